"""Permits: the right to make one call now, shared by every process that uses the same application key.

A permit is a row, claimed in a transaction of its own; it returns one second after the answer, so that never more
calls than
there are permits arrive in any one second (design section 4, budgets; CC facts 3.1).
"""

import contextlib
from dataclasses import dataclass, field

from sqlalchemy import Connection

from keepstep.database import Database
from keepstep.model.alerts import Kind
from keepstep.model.errors import Transient
from keepstep.model.instant import Instant
from keepstep.ports import Clock
from keepstep.state import permits
from keepstep.state.alerts import OPERATOR, raise_alert

CALL_SECONDS = 31.0
# A caller holds a lease while it waits: a longer wait, such as for the next day, is the queue's.
LONGEST_WAIT = 30.0
# A shorter stop is no news: the vendor asks for a moment's rest.
TOLD_SECONDS = 600.0


@dataclass(slots=True)
class SharedPermits:
    """`keepstep.ports.Permits` over the permit rows. A crash returns a permit after the call's timeout and a second.

    A database that fails once a call was made costs nobody its answer: a hold ends by itself, and a stop is kept here.
    """

    db: Database
    clock: Clock
    rows: int = 4
    per_day: int = 10_000
    _held: dict[tuple[str, int], Instant] = field(default_factory=dict)
    _stops: dict[str, Instant] = field(default_factory=dict)

    async def take(self, key: str) -> int:
        """Wait for a permit and claim it. Raises Transient where that would take long."""
        while True:
            permit, moment = await self._claim(key, self.clock.now())
            if permit is not None:
                self._held[key, permit] = moment
                return permit
            wait = moment - self.clock.now()
            if wait > LONGEST_WAIT:
                raise Transient("no permit for a call is free", retry_after=wait)
            await self.clock.sleep(max(wait, 0.01))

    async def _claim(self, key: str, now: Instant) -> tuple[int | None, Instant]:
        if (stop := self._stops.get(key, now)) > now:
            return None, stop
        return await self.db.run(permits.claim, key, now, CALL_SECONDS, rows=self.rows, limit=self.per_day)

    async def give_back(self, key: str, permit: int) -> None:
        """The call was answered."""
        held = self._held.pop((key, permit), None)
        with contextlib.suppress(Exception):
            # A little more than the second: the vendor's clock ticks apart from ours.
            await self.db.run(permits.give_back, key, permit, self.clock.now() + 1.05, held)

    async def stop(self, key: str, until: Instant) -> None:
        """No call of anybody before this moment."""
        self._stops[key] = max(until, self._stops.get(key, until))
        with contextlib.suppress(Exception):
            await self.db.run(self._stop, key, until, self.clock.now())

    def _stop(self, tx: Connection, key: str, until: Instant, now: Instant) -> None:
        permits.stop_until(tx, key, until, rows=self.rows)
        if until - now > TOLD_SECONDS:
            raise_alert(tx, OPERATOR, Kind.quota_used, key, {}, now)
