"""The segment that new contacts name as their origin: left out where the organization does not know it, for an unknown
one may make rows wait for staff (Virtuous facts 10.1)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from keepstep import telemetry
from keepstep.connectors.virtuous.mapping import PLATFORM
from keepstep.model.errors import Permanent, Transient
from keepstep.model.instant import Instant
from keepstep.ports import Connection
from keepstep.telemetry import Event

ONCE = 86_400.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that the organization knows; `id` is None where its answer holds none."""

    code: str
    id: str | None


Find = Callable[[str], Awaitable[Segment | None]]


class Origin:
    """The segment of the setting `origin_segment_code`, asked for at most once a day."""

    def __init__(self, conn: Connection, find: Find) -> None:
        self._conn, self._find = conn, find
        self._code = str(conn.settings.get("origin_segment_code") or "").strip()
        self._known: Segment | None = None
        self._asked: Instant | None = None

    async def segment(self) -> Segment | None:
        """None where no code is set or none is known. Raises Transient and Blocked as long as nobody ever answered."""
        now = self._conn.clock.now()
        if self._code and (self._asked is None or now - self._asked >= ONCE):
            try:
                self._known, self._asked = await self._ask(), now
            except Transient:
                if self._asked is None:
                    raise
        return self._known

    async def _ask(self) -> Segment | None:
        """A key that may not read segments cannot tell, and the code is left out then too."""
        try:
            found = await self._find(self._code)
        except Permanent:
            found = None
        if found is None:
            telemetry.report(Event.warned, self._conn.customer_id, platform=PLATFORM, reason="unknown_origin_segment")
        return found
