"""A dead letter whose cause is gone closes itself: a count of open letters that nobody can act on is soon not read."""

from dataclasses import replace

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import Chore, Desk
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.state import dead_letters, journal, letters, marks

DAY = 86_400.0
NAME = "letters"


def chores(desk: Desk) -> tuple[Chore, ...]:
    """Once a day."""
    return (Chore(desk.route.crm, NAME, close),)


async def close(desk: Desk, slot: Slot) -> None:
    """Close what is moot."""
    await desk.db.run(_close, desk, slot, desk.clock.now())


def _close(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> None:
    queue.guard(tx, slot)
    for letter in dead_letters.of_customer(tx, desk.customer_id):
        platform = desk.route.audience if letter["side"] == "audience" else desk.route.crm
        if letters.is_moot(tx, desk.customer_id, letter, platform):
            dead_letters.resolve(tx, desk.customer_id, letter["id"], "closed")
            party_id = letters.survivor(tx, desk.customer_id, letter["party_id"])
            journal.append(tx, desk.customer_id, [(now, party_id, "letter_closed", {"letter": letter["id"]})])
    mark = marks.get(tx, desk.customer_id, desk.route.crm, NAME)
    marks.put(tx, desk.customer_id, replace(mark, due=now + DAY))
