"""Dead letters: a step that will never succeed becomes one, and its owner is told. One whose cause is gone closes
itself: a count of open letters that nobody can act on is soon not read."""

from dataclasses import replace

from sqlalchemy import Connection

from keepstep import queue, telemetry
from keepstep.desk import Chore, Desk
from keepstep.model.alerts import Kind
from keepstep.model.change import Dead
from keepstep.model.instant import Instant
from keepstep.queue import Slot, StepRow
from keepstep.state import dead_letters, journal, letters, marks
from keepstep.state.alerts import raise_alert
from keepstep.telemetry import Event

DAY = 86_400.0
NAME = "letters"


def write(tx: Connection, desk: Desk, row: StepRow, dead: Dead, now: Instant) -> None:
    """A step that is given up, with payload, answer and reason."""
    tries = row.tries + 1
    dead_letters.add(
        tx,
        desk.customer_id,
        desk.chance.id(),
        now,
        side=row.side,
        kind=row.kind,
        reason=dead.reason,
        party_id=row.party_id,
        payload=row.payload,
        answer={"status": dead.status},
        tries=tries,
    )
    telemetry.report(Event.dead_letter, desk.customer_id, side=row.side, kind=row.kind, tries=tries)
    raise_alert(tx, desk.customer_id, Kind.dead_letters, str(row.side), {"kind": row.kind}, now)


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
            dead_letters.resolve(tx, desk.customer_id, letter["id"], "closed", now)
            party_id = letters.survivor(tx, desk.customer_id, letter["party_id"])
            journal.append(tx, desk.customer_id, [(now, party_id, "letter_closed", {"letter": letter["id"]})])
    mark = marks.get(tx, desk.customer_id, desk.route.crm, NAME)
    marks.put(tx, desk.customer_id, replace(mark, due=now + DAY))
