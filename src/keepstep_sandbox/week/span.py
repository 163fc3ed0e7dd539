"""The moments of a week, and its events."""

from collections.abc import Callable
from dataclasses import dataclass, field

from keepstep_sandbox.people import ZONE
from keepstep_sandbox.world import next_midnight

MINUTE = 60.0
HOUR = 3600.0
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Span:
    """The week's moments, epoch seconds. What only a daily sweep can see ends 25 hours before the quiet."""

    begin: float
    midnights: tuple[float, ...]

    @classmethod
    def of(cls, begin: float, days: int) -> "Span":
        """The span of so many nights. Raises ValueError for fewer than three: two are quiet."""
        if days < 3:
            raise ValueError("a week has at least 3 days: the last two nights are quiet")
        midnights = [next_midnight(begin, ZONE)]
        while len(midnights) < days:
            midnights.append(next_midnight(midnights[-1], ZONE))
        return cls(begin, tuple(midnights))

    @property
    def quiet(self) -> float:
        return self.midnights[-2] - HOUR

    @property
    def end(self) -> float:
        return self.midnights[-1] + 2 * HOUR

    @property
    def waiting(self) -> tuple[float, float]:
        """While the first transactions wait for their batch."""
        return self.begin + 2 * HOUR, self.midnights[0] - 2 * HOUR

    @property
    def swept(self) -> tuple[float, float]:
        """For changes at Constant Contact that no poll shows; after the first batch where the week is long enough."""
        last = self.quiet - 25 * HOUR
        return (
            max(self.midnights[0] + HOUR, self.begin) if last > self.midnights[0] + 3 * HOUR else self.begin + HOUR
        ), last

    @property
    def live(self) -> tuple[float, float]:
        """For changes that polls and webhooks show, on records that are linked."""
        return self.midnights[0] + HOUR, self.quiet - 11 * HOUR


@dataclass(slots=True)
class Event:
    """One event: tried at `at` and, where it cannot happen yet, every half hour until `until`."""

    at: float
    what: str
    side: str
    record: str
    run: Callable[[], bool]
    until: float = field(default=0.0)
