"""How long deliveries are kept. Their bodies are personal data: as long as what was seen by them, and no longer."""

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.state import deliveries, marks, sightings
from keepstep.state.marks import Mark

NAME, EVERY = "prune", 86_400.0


async def forget(desk: Desk, slot: Slot) -> None:
    """Forget deliveries and sightings of a month ago, a piece of them at a time."""
    await desk.db.run(_forgotten, desk, slot, desk.clock.now())


def _forgotten(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> None:
    queue.guard(tx, slot)
    left = deliveries.prune(tx, desk.customer_id, now - sightings.KEPT)
    left += sightings.prune(tx, desk.customer_id, now - sightings.KEPT)
    due = now if left else now + EVERY
    marks.put(tx, desk.customer_id, Mark(desk.route.crm, NAME, due=due, data={"tries": 0, "finished": now}))
