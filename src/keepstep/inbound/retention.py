"""How long things are kept that are not kept for good: once a day, class by class, a piece at a time."""

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import Desk
from keepstep.inbound.subscription import RHYTHM
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.state import marks, retention
from keepstep.state.marks import Mark
from keepstep.state.retention import Piece, Place

# Of no platform: a blocked connection must not keep what is to be forgotten.
PLATFORM, NAME, EVERY = "keepstep", "prune", 86_400.0
# So many pieces a turn: other work waits meanwhile.
PIECES = 20
_DONE: Mapping[str, Any] = {"stage": 0, "at": None, "number": 0}


def classes(desk: Desk) -> list[tuple[Piece, float]]:
    """Everything that is forgotten, and after how many seconds."""
    kept = desk.retention
    # What tells that webhooks are quiet (`subscription.py`) is needed for so long.
    seen = max(kept.payloads, RHYTHM)
    return [
        (retention.deliveries, kept.payloads),
        *((retention.sightings_of(one), seen) for one in dict.fromkeys((desk.route.crm, desk.route.audience))),
        (retention.letters, kept.dead_letters),
        (retention.reconciled, kept.reconciliation_log),
        (retention.lines, kept.journal),
        (retention.past, kept.journal),
    ]


async def forget(desk: Desk, slot: Slot) -> None:
    """Forget what is old, up to PIECES transactions of at most 200 rows; the rest is the next turn's."""
    for _ in range(PIECES):
        if await desk.db.run(_forgotten, desk, slot, desk.clock.now()):
            return


def _forgotten(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> bool:
    """One piece; True where nothing is left today."""
    queue.guard(tx, slot)
    data = marks.get(tx, desk.customer_id, PLATFORM, NAME).data or {}
    wanted, stage = classes(desk), int(data.get("stage", 0))
    piece, seconds = wanted[stage]
    place = piece(tx, desk.customer_id, now - seconds, _place(data))
    if place is None:
        stage, place = stage + 1, Place()
    over = stage == len(wanted)
    data = _DONE if over else {"stage": stage, "at": _finite(place.at), "number": place.number}
    due = now + EVERY if over else now
    marks.put(tx, desk.customer_id, Mark(PLATFORM, NAME, due=due, data={**data, "tries": 0, "finished": now}))
    return over


def _place(data: Mapping[str, Any]) -> Place:
    return Place() if data.get("at") is None else Place(data["at"], data["number"])


def _finite(at: Instant) -> Instant | None:
    return at if math.isfinite(at) else None
