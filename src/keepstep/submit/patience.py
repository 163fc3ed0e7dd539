"""How long a step is tried: some times fast, then ever slower, and when a day has passed somebody is told."""

from keepstep.model.instant import Instant
from keepstep.queue import StepRow

TRIES = 5
# An outage of some hours must not cost a person's work: after the fast tries come slow ones, and a day passes first.
SLOW, SLOWEST = 60.0, 900.0
ENOUGH = 86_400.0
HOURLY = 3600.0


def slower(tries: int) -> float:
    """The least pause before the next try: none at first, then a minute, doubling to a quarter of an hour."""
    return 0.0 if tries < TRIES else float(min(SLOWEST, SLOW * 2.0 ** min(tries - TRIES, 10)))


def is_spent(row: StepRow, after: float, now: Instant) -> bool:
    """Was it tried often enough, and for a day? What waits an hour or longer waits for somebody and is not counted."""
    return row.tries + 1 >= TRIES and now - row.since > ENOUGH and after < HOURLY
