"""How often what has no date filter may be read whole: as the route says, but no oftener than its budget carries.

The calls of a day belong to the application key, over all its customers (CC facts 3.1), so each customer plans with an
equal part. Of that part all full sweeps of a day may cost `SWEEP` and all reads of the deleted `DELETED`; the rest is
left to the other polls, re-reads and writes. Account sizes are from a few hundred contacts to some hundred thousand:
with 10,000 calls a day and five customers, 100,000 contacts (200 pages) are swept daily, 400,000 every other day.
"""

DAY, WEEK = 86_400.0, 604_800.0
SWEEP, DELETED = 0.2, 0.1


def every(asked: float, pages: int, calls: float | None, share: float) -> float:
    """Seconds between two whole reads of so many pages: `asked`, or longer where `share` of the customer's `calls` a
    day (None: nobody counts them) would not carry that; never longer than a week, unless asked for."""
    carried = DAY * pages / max(calls * share, 1.0) if calls is not None else 0.0
    return max(asked, min(carried, WEEK))
