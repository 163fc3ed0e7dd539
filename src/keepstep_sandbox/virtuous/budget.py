"""The hourly budget of one organization (Virtuous facts 4)."""

import math

from keepstep_sandbox.switches import Switches

HOUR = 3600


class Budget:
    """A fixed window on the clock hour; every key of the organization draws from it."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._hour = -1
        self._used = 0

    def take(self, now: float) -> bool:
        """Use one call; False once nothing is left."""
        self._turn(now)
        if self._used >= self.limit:
            return False
        self._used += 1
        return True

    def spend(self, calls: int, now: float) -> None:
        """A stranger uses calls of this hour."""
        self._turn(now)
        self._used = min(self.limit, self._used + calls)

    @property
    def limit(self) -> int:
        return int(self._switches["hourly-limit"])

    def retry_after(self, now: float) -> int:
        """Whole seconds until the window ends, at least one."""
        return max(1, math.ceil((math.floor(now / HOUR) + 1) * HOUR - now))

    def headers(self, now: float) -> dict[str, str]:
        """What every answer says about the window."""
        self._turn(now)
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self._used)),
            "X-RateLimit-Reset": str((self._hour + 1) * HOUR),
        }

    def _turn(self, now: float) -> None:
        hour = math.floor(now / HOUR)
        if hour != self._hour:
            self._hour, self._used = hour, 0
