"""Deliveries of the CRM side: the records that they name are read again, all of them in one call.

A delivery of a change that is older than what is stored is not read at all: it came late, and says nothing any more.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from keepstep import filing, queue, rounds
from keepstep.desk import BLOCKED_PAUSE, DELIVERIES, Desk
from keepstep.filing import Road
from keepstep.model.change import Lane
from keepstep.model.errors import Refused
from keepstep.model.instant import Instant
from keepstep.ports import Notice
from keepstep.queue import Slot
from keepstep.state import customers, deliveries, journal, marks, sightings, snapshots

Parse = Callable[[bytes], list[Notice]]
Said = Mapping[str, Sequence[Notice]]
# Of the CRM side so many ids at a time, since a lease ends: a bulk action names thousands (Virtuous facts 13.3).
READ_IDS = 2000
# Older by this than the stored record's own stamp: the stamps of one vendor may differ between its machines.
STALE = 60.0
# So many words of events that nobody knows are remembered; the vendor has fifteen (Virtuous facts 13.1).
WORDS, LONGEST_WORD = 100, 40


async def read_deliveries(desk: Desk, slot: Slot, parse: Parse) -> int:
    """Interpret what the door stored of the CRM side; returns how many deliveries there were."""
    waiting = await desk.db.run(unread, desk, slot, desk.route.crm, desk.clock.now())
    said = _a_piece((row["id"], named_in(row["body"], parse)) for row in waiting)
    notices = [one for found in said.values() for one in found if one.record_id]
    stale = await desk.db.run(_stale, desk, notices)
    fresh = [one for one in notices if one not in stale]
    ids = sorted({one.record_id for one in fresh if one.record_id})
    records = await desk.crm.read_many(ids) if ids else ()
    road = Road("hook", {one.record_id: one.event for one in fresh if one.record_id})

    def file(tx: Connection, rows: filing.Rows, now: Instant) -> None:
        filing.contacts(tx, desk, rows, now, now, Lane.changes, source=road)

    await rounds.keep(desk, slot, (desk.route.crm, DELIVERIES), file, records)
    if said:
        await desk.db.run(_understood, desk, slot, said, stale, desk.clock.now())
    return len(said)


def _a_piece(waiting: Iterable[tuple[str, Sequence[Notice]]]) -> dict[str, Sequence[Notice]]:
    """The oldest deliveries that name few enough together, one at least; the rest waits for the next turn."""
    found: dict[str, Sequence[Notice]] = {}
    left = READ_IDS
    for delivery, notices in waiting:
        left -= sum(one.record_id is not None for one in notices)
        if found and left < 0:
            break
        found[delivery] = notices
    return found


def _stale(tx: Connection, desk: Desk, notices: Sequence[Notice]) -> list[Notice]:
    """Those that tell of an older change than the stored record's newest. One that says no moment is never stale."""
    dated = {one.record_id: one for one in notices if one.record_id and one.changed_at is not None}
    stored = snapshots.get(tx, desk.customer_id, desk.route.crm, list(dated))
    newest = {key: desk.crm.snapshot(raw, read_at).updated_at for key, (raw, read_at, _) in stored.items()}
    return [
        one
        for one in notices
        if one.changed_at is not None and one.changed_at < (newest.get(one.record_id or "") or 0.0) - STALE
    ]


def unread(tx: Connection, desk: Desk, slot: Slot, platform: str, now: Instant) -> list[dict[str, Any]]:
    """What waits to be read. Of a blocked connection nothing can be: it is set aside until the connection works."""
    waiting = deliveries.unread(tx, desk.customer_id, platform)
    if waiting and any(
        one.platform == platform and one.health == "blocked" for one in customers.connections(tx, desk.customer_id)
    ):
        queue.guard(tx, slot)
        deliveries.set_aside(tx, desk.customer_id, platform)
        mark = marks.get(tx, desk.customer_id, platform, DELIVERIES)
        if mark.due is None:
            marks.put(tx, desk.customer_id, replace(mark, due=now + BLOCKED_PAUSE))
        return []
    return waiting


async def read_again(desk: Desk, slot: Slot, platform: str) -> None:
    """What was set aside is unread again; the next turn reads it."""
    await desk.db.run(_put_back, desk, slot, platform)


def _put_back(tx: Connection, desk: Desk, slot: Slot, platform: str) -> None:
    queue.guard(tx, slot)
    deliveries.put_back(tx, desk.customer_id, platform)
    mark = marks.get(tx, desk.customer_id, platform, DELIVERIES)
    marks.put(tx, desk.customer_id, replace(mark, due=None))


def named_in(body: bytes, parse: Parse) -> list[Notice]:
    """What a delivery says; nothing where it is none."""
    try:
        return parse(body)
    except Refused:
        return []


def _understood(tx: Connection, desk: Desk, slot: Slot, said: Said, stale: Sequence[Notice], now: Instant) -> None:
    queue.guard(tx, slot)
    mark = marks.get(tx, desk.customer_id, desk.route.crm, DELIVERIES)
    before = dict(mark.data or {})
    words = list(before.get("unknown") or ())
    words += _new_words(tx, desk, said, words, now)
    after = before | ({"tries": 0} if before.get("tries") else {}) | ({"unknown": words} if words else {})
    if after != before:
        marks.put(tx, desk.customer_id, replace(mark, data=after))
    late = [(one.record_id or "", sightings.stamp_of(one.changed_at, None), one.event) for one in stale]
    sightings.see(tx, desk.customer_id, desk.route.crm, "hook", late, now)
    understood = [delivery_id for delivery_id, found in said.items() if found]
    refused = [delivery_id for delivery_id, found in said.items() if not found]
    settle(tx, desk, understood, refused, now)


def _new_words(tx: Connection, desk: Desk, said: Said, known: Sequence[str], now: Instant) -> list[str]:
    """Events that no document names, each told once in the journal."""
    heard = [one.event[:LONGEST_WORD] for found in said.values() for one in found if not one.known]
    new = [word for word in dict.fromkeys(heard) if word not in known][: max(WORDS - len(known), 0)]
    journal.append(tx, desk.customer_id, [(now, None, "event_unknown", {"event": word}) for word in new])
    return new


def settle(tx: Connection, desk: Desk, understood: Sequence[str], refused: Sequence[str], now: Instant) -> None:
    """They were read, or name nobody and never will."""
    deliveries.settle(tx, desk.customer_id, understood, "parsed")
    deliveries.settle(tx, desk.customer_id, refused, "refused")
    if refused:
        journal.append(tx, desk.customer_id, [(now, None, "delivery_not_understood", {"count": len(refused)})])
