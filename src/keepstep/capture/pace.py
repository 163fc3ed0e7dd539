"""How often a poll may come: as the route says, but no oftener than its budget carries.

The calls of a day belong to the application key, over all its customers (CC facts 3.1), so each customer plans with an
equal part. Of that part each poll may cost its share in a day; the rest is left to re-reads and writes. So one customer
with many contacts or mailings, or many customers of one key, make polls rarer for themselves, evenly over the day,
instead of using the day up and being blind for the rest of it. Account sizes are from a few hundred contacts to some
hundred thousand: with 10,000 calls a day and five customers, 100,000 contacts (200 pages) are swept daily, 400,000
every other day; a hundred customers have their opt-outs read hourly.
"""

DAY, WEEK = 86_400.0, 604_800.0
SHARES = {"opted_out": 0.25, "changed": 0.15, "deleted": 0.1, "lists": 0.1, "reports": 0.1, "sweep": 0.2}


def every(asked: float, calls: int, part: float | None, share: float) -> float:
    """Seconds between two rounds of so many calls: `asked`, or longer where `share` of the customer's `part` of the
    day's calls (None: nobody counts them) would not carry that; never longer than a week, unless asked for."""
    return max(asked, carried(calls, part, share))


def carried(calls: int, part: float | None, share: float) -> float:
    """Seconds in which that share of the part gives so many calls; a week at most."""
    return min(DAY * calls / max(part * share, 1.0), WEEK) if part is not None else 0.0
