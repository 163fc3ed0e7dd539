"""What writing comes to, in calls: a plan says it before anybody says yes."""

# At the vendor's pace, a call every three seconds (Virtuous facts 4), a turn has room for one write that reads first,
# or for two blind ones; what a turn has written is read again in one call.
BLIND = ("create", "link")
READ_WRITE_REREAD = 3
# The old method is read, made anew with its consent, and taken off (Virtuous facts 7.3).
SWAP = 5


def cost(kind: str, steps: int) -> int:
    """Calls of one job of this kind with so many steps. A request carries a batch of people, however many they are."""
    if kind == "submit":
        return 1
    if kind in BLIND:
        return steps + steps // 2
    return steps * (SWAP if kind == "swap_email" else READ_WRITE_REREAD)
