"""④ The inbound handler: reads what deliveries of either side name, polls and sweeps of the CRM side, and files what is
ours.

A delivery is a hint, never a value: the records it names are read again (design section 4, the door writes no links).
Our own echoes are dropped by comparison: a reading that says nothing new marks nobody.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from keepstep import filing, queue, rounds
from keepstep.desk import BLOCKED_PAUSE, DELIVERIES, Chore, Desk
from keepstep.model.change import Lane
from keepstep.model.errors import Permanent, Refused, Transient
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.rounds import Poll
from keepstep.state import customers, deliveries, journal, marks
from keepstep.state.marks import Mark

Parse = Callable[[bytes], list[str]]
POLLS = {"crm_sweep": "sweep", "crm_changed": "changed"}
# The audience side has no read of many by id, and a turn is short.
READS = 50
READ_SECONDS = 5.0
# So often a contact's read may fail before the others are read without it: the polls will find it.
PATIENCE = 5


def chores(desk: Desk) -> tuple[Chore, ...]:
    """What inbound wants done, most urgent first."""
    crm, audience = desk.route.crm, desk.route.audience
    return (
        Chore(crm, "subscription", keep_subscription),
        *(
            Chore(platform, DELIVERIES, partial(read_again, platform=platform), first=False)
            for platform in (crm, audience)
        ),
        *(Chore(crm, name, partial(poll_page, name=name), first=name == "crm_sweep") for name in POLLS),
    )


# --- deliveries of the CRM side --------------------------------------------------------------------------------------


async def read_deliveries(desk: Desk, slot: Slot, parse: Parse) -> int:
    """Interpret what the door stored of the CRM side; returns how many deliveries there were."""
    waiting = await desk.db.run(_unread, desk, slot, desk.route.crm, desk.clock.now())
    named: dict[str, list[str]] = {row["id"]: _named(row["body"], parse) for row in waiting}
    ids = sorted({record_id for found in named.values() for record_id in found})
    records = await desk.crm.read_many(ids) if ids else ()
    if waiting:
        await desk.db.run(_store_deliveries, desk, slot, named, records, desk.clock.now())
    return len(waiting)


def _unread(tx: Connection, desk: Desk, slot: Slot, platform: str, now: Instant) -> list[dict[str, Any]]:
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


def _named(body: bytes, parse: Parse) -> list[str]:
    try:
        return parse(body)
    except Refused:
        return []


def _store_deliveries(
    tx: Connection, desk: Desk, slot: Slot, named: Mapping[str, list[str]], records: Sequence[Any], now: Instant
) -> None:
    queue.guard(tx, slot)
    filing.contacts(tx, desk, records, now, now, Lane.changes)
    understood = [delivery_id for delivery_id, found in named.items() if found]
    refused = [delivery_id for delivery_id, found in named.items() if not found]
    _settle(tx, desk, understood, refused, now)


def _settle(tx: Connection, desk: Desk, understood: Sequence[str], refused: Sequence[str], now: Instant) -> None:
    deliveries.settle(tx, desk.customer_id, understood, "parsed")
    deliveries.settle(tx, desk.customer_id, refused, "refused")
    if refused:
        journal.append(tx, desk.customer_id, [(now, None, "delivery_not_understood", {"count": len(refused)})])


# --- deliveries of the audience side ---------------------------------------------------------------------------------


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
    waiting = await desk.db.run(_unread, desk, slot, platform, desk.clock.now())
    if not waiting:
        return
    mark = await desk.db.run(marks.get, desk.customer_id, platform, DELIVERIES)
    hints = _hints(waiting, parse if desk.route.policy.contact_webhooks else lambda _body: [], mark)
    records, read = await _read_people(desk, hints, int((mark.data or {}).get("tries") or 0))
    await desk.db.run(_store_hints, desk, slot, hints, records, read, desk.clock.now())


def _hints(waiting: Sequence[Mapping[str, Any]], parse: Parse, mark: Mark) -> Hints:
    found = {row["id"]: _named(row["body"], parse) for row in waiting}
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


def _store_hints(
    tx: Connection, desk: Desk, slot: Slot, hints: Hints, records: Sequence[Any], read: int, now: Instant
) -> None:
    """File what was read; a delivery is done with when the last one it names is."""
    queue.guard(tx, slot)
    filing.people(tx, desk, records, now, now, Lane.changes)
    left = hints.named[read:]
    ahead = left[0][0] if left else None
    begun = [delivery for delivery, _ in hints.named[:read]]
    _settle(tx, desk, sorted({one for one in begun if one != ahead}), hints.empty, now)
    mark = marks.get(tx, desk.customer_id, desk.route.audience, DELIVERIES)
    before = hints.begun if left and left[0][0] == hints.named[0][0] else 0
    place = {"delivery": ahead, "read": before + begun.count(ahead)} if ahead in begun else {}
    marks.put(tx, desk.customer_id, replace(mark, data={"tries": 0, **place}))


# --- the subscription and the polls of the CRM side ------------------------------------------------------------------


async def keep_subscription(desk: Desk, slot: Slot) -> None:
    """Make the webhook subscription, and read it again every day: one that is gone or inactive drops events silently,
    so it is made anew (Virtuous facts 13.1)."""
    mark = await desk.db.run(marks.get, desk.customer_id, desk.route.crm, "subscription")
    known = (mark.data or {}).get("id")
    alive = await desk.crm.subscription(known) if known else None
    writes = desk.route.policy.stage != "observe"  # a subscription is a write as well: who only observes polls
    if writes and desk.hook_url and desk.hook_secret and not (alive and alive.get("active")):
        known = await desk.crm.subscribe(desk.hook_url, desk.hook_secret.reveal())
    await desk.db.run(_subscribed, desk, slot, mark, known, desk.clock.now())


def _subscribed(tx: Connection, desk: Desk, slot: Slot, mark: Mark, vendor_id: str | None, now: Instant) -> None:
    queue.guard(tx, slot)
    observing = desk.route.policy.stage == "observe"
    due = now + (BLOCKED_PAUSE if observing else desk.route.cadence.subscription)
    marks.put(tx, desk.customer_id, replace(mark, due=due, data={"id": vendor_id, "tries": 0}))


async def poll_page(desk: Desk, slot: Slot, name: str) -> None:
    """Read and store one page of the CRM side."""
    await rounds.poll_page(desk, slot, _poll(desk, name))


def _poll(desk: Desk, name: str) -> Poll:
    return Poll(
        platform=desk.route.crm,
        name=name,
        read=lambda since, cursor, _size: desk.crm.changes(POLLS[name], since, cursor),
        file=lambda tx, mark, rows, read_at, now: _file(desk, tx, mark, rows, read_at, now),
        every=lambda _pages: float(getattr(desk.route.cadence, name)),
        first=partial(_begin_changed, desk) if name == "crm_sweep" else None,
    )


def _file(desk: Desk, tx: Connection, mark: Mark, rows: filing.Rows, read_at: Instant, now: Instant) -> None:
    filing.contacts(tx, desk, rows, read_at, now, Lane.bulk if mark.mark is None else Lane.changes)


def _begin_changed(desk: Desk, tx: Connection, since: Instant, now: Instant) -> None:
    due = now + desk.route.cadence.crm_changed
    marks.put(tx, desk.customer_id, Mark(desk.route.crm, "crm_changed", mark=since, due=due))
