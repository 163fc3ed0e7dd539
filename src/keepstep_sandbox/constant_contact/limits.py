"""The request limits of one application key, shared by every account connected to it (CC facts 3.1)."""

from collections import deque
from dataclasses import dataclass, field

from keepstep_sandbox.constant_contact.dates import DAY
from keepstep_sandbox.http import Response, answer

PER_SECOND = 4
PER_DAY = 10_000


@dataclass(slots=True, eq=False)
class Limiter:
    """4 calls in any one second and 10,000 a UTC day; no header ever tells how many are left."""

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=PER_SECOND))
    day: int = -1
    used: int = 0

    def refuse(self, now: float, refused_count: bool) -> Response | None:
        """None where the call may pass, else the 429. `refused_count`: whether a throttled call costs quota."""
        self._turn_day(now)
        if self.used >= PER_DAY:
            return answer(429, {"error_key": "quota_exceeded", "error_message": "Limit Exceeded"})
        throttled = len(self.recent) == PER_SECOND and now - self.recent[0] < 1.0
        if not throttled:
            self.recent.append(now)
        if not throttled or refused_count:
            self.used += 1
        return answer(429, {"error_key": "throttled", "error_message": "Too Many Requests"}) if throttled else None

    def count(self, now: float) -> None:
        """One call that was refused for another reason (401) and costs quota."""
        self._turn_day(now)
        self.used += 1

    def _turn_day(self, now: float) -> None:
        today = int(now // DAY)
        if today != self.day:
            self.day, self.used = today, 0
