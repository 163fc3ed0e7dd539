"""What an account of the audience side pays for, and what that means for us."""

from dataclasses import dataclass

# No word is known for a suspended account: its calls tell (CC facts 9, billing_status).
SHUT = frozenset({"canceled", "cancelled"})


@dataclass(frozen=True, slots=True)
class Plan:
    """kind: TRIAL, BRONZE, ...; tier: 1 and up, by active contacts; status: the vendor's word, as it is."""

    kind: str | None
    tier: int | None
    status: str | None

    @property
    def shut(self) -> bool:
        """Nothing may be written any more."""
        return (self.status or "").strip().lower() in SHUT

    @property
    def weight(self) -> int:
        """How many equal parts of the day's calls the account gets: tiers grow with contacts, and so does a sweep."""
        return min(max(self.tier or 1, 1), MOST_PARTS)


# The guide knows 32 tiers; a wrong number must not take everybody's calls.
MOST_PARTS = 32
