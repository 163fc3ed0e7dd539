"""Deliveries of the audience side, of which the vendor has no read of many by id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from keepstep import filing, queue, rounds
from keepstep.desk import DELIVERIES, Desk
from keepstep.inbound.deliveries import Parse, named_in, settle, unread
from keepstep.model.change import Lane
from keepstep.model.errors import Permanent, Transient
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.state import marks
from keepstep.state.marks import Mark

# A turn is short, and each costs a call.
READS = 50
READ_SECONDS = 5.0
# So often a contact's read may fail before the others are read without it: the polls will find it.
PATIENCE = 5


@dataclass(frozen=True, slots=True)
class Hints:
    """What the waiting deliveries name, oldest first, as (delivery, record id); those that name nobody; and how many of
    the first one's were read in an earlier turn."""

    named: Sequence[tuple[str, str]]
    empty: Sequence[str]
    begun: int = 0


async def read_hints(desk: Desk, slot: Slot, parse: Parse) -> None:
    """Read again, one by one, whom deliveries of the audience side name. A bounded piece; the rest waits for the next
    turn. Where the route has no such webhooks any more nothing is read."""
    platform = desk.route.audience
    waiting = await desk.db.run(unread, desk, slot, platform, desk.clock.now())
    if not waiting:
        return
    mark = await desk.db.run(marks.get, desk.customer_id, platform, DELIVERIES)
    hints = _hints(waiting, parse if desk.route.policy.contact_webhooks else lambda _body: [], mark)
    records, read = await _read_people(desk, hints, int((mark.data or {}).get("tries") or 0))

    def file(tx: Connection, rows: filing.Rows, now: Instant) -> None:
        filing.people(tx, desk, rows, now, now, Lane.changes)

    await rounds.keep(desk, slot, (platform, DELIVERIES), file, records)
    await desk.db.run(_store_hints, desk, slot, hints, read, desk.clock.now())


def _hints(waiting: Sequence[Mapping[str, Any]], parse: Parse, mark: Mark) -> Hints:
    said = {row["id"]: named_in(row["body"], parse) for row in waiting}
    found = {delivery: [one.record_id for one in notices if one.record_id] for delivery, notices in said.items()}
    named = [(delivery, record_id) for delivery, ids in found.items() for record_id in ids]
    data = mark.data or {}
    begun = int(data.get("read") or 0) if named and data.get("delivery") == named[0][0] else 0
    return Hints(named[begun:], [delivery for delivery, ids in found.items() if not ids], begun)


async def _read_people(desk: Desk, hints: Hints, tries: int) -> tuple[list[tuple[str, Any]], int]:
    """The records that are there, and how many hints they answer. Whoever cannot be read stops the others for a while,
    not for ever."""
    records: dict[str, Any] = {}
    began = desk.clock.now()
    for done, (_, record_id) in enumerate(hints.named[:READS]):
        if desk.clock.now() - began > READ_SECONDS:
            return _there(records), done
        if record_id in records:
            continue
        try:
            records[record_id] = await desk.audience.read(record_id)
        except Transient:
            if done:
                return _there(records), done
            if tries < PATIENCE:
                raise
        except Permanent:
            records[record_id] = None
    return _there(records), min(len(hints.named), READS)


def _there(records: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Who is not there is left to the sweeps: one answer that says so is no deletion (design section 4, polls)."""
    return [(record_id, raw) for record_id, raw in records.items() if raw is not None]


def _store_hints(tx: Connection, desk: Desk, slot: Slot, hints: Hints, read: int, now: Instant) -> None:
    """A delivery is done with when the last one it names is."""
    queue.guard(tx, slot)
    left = hints.named[read:]
    ahead = left[0][0] if left else None
    begun = [delivery for delivery, _ in hints.named[:read]]
    settle(tx, desk, sorted({one for one in begun if one != ahead}), hints.empty, now)
    mark = marks.get(tx, desk.customer_id, desk.route.audience, DELIVERIES)
    before = hints.begun if left and left[0][0] == hints.named[0][0] else 0
    place = {"delivery": ahead, "read": before + begun.count(ahead)} if ahead in begun else {}
    marks.put(tx, desk.customer_id, replace(mark, data={"tries": 0, **place}))
