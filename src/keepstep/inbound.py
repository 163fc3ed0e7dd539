"""④ The inbound handler: reads deliveries, polls and sweeps of the CRM side, and files what is ours.

A delivery is a hint, never a value: the records it names are read again, in batches (design section 4, the door writes
no links). Our own echoes are dropped by comparison: a reading that says nothing new marks nobody.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import BLOCKED_PAUSE, DELIVERIES, Chore, Desk
from keepstep.model.change import Lane
from keepstep.model.errors import Permanent, Refused
from keepstep.model.instant import Instant
from keepstep.ports import Page
from keepstep.queue import Slot
from keepstep.state import customers, deliveries, journal, marks, readings
from keepstep.state.marks import Mark

OVERLAP = 600.0
# Where the vendor does not tell its time, ours counts, and nobody's clock is a day ahead.
UNDATED = 86_400.0
# Before a round begins again: a page that cannot be believed once may not be believable at once again.
REFUSED_PAUSE = 60.0
Parse = Callable[[bytes], list[str]]


def chores(desk: Desk) -> tuple[Chore, ...]:
    """What inbound wants done."""
    platform = desk.route.crm
    polls = (("crm_sweep", "sweep"), ("crm_changed", "changed"))
    return (
        Chore(platform, "subscription", keep_subscription),
        Chore(platform, DELIVERIES, read_again, first=False),
        *(
            Chore(platform, name, partial(poll_page, name=name, poll=poll), first=poll == "sweep")
            for name, poll in polls
        ),
    )


async def read_deliveries(desk: Desk, slot: Slot, parse: Parse) -> int:
    """Interpret what the door stored; returns how many deliveries there were."""
    waiting = await desk.db.run(_unread, desk, slot, desk.clock.now())
    named: dict[str, list[str]] = {row["id"]: _named(row["body"], parse) for row in waiting}
    ids = sorted({record_id for found in named.values() for record_id in found})
    records = await desk.crm.read_many(ids) if ids else ()
    if waiting:
        await desk.db.run(_store_deliveries, desk, slot, named, records, desk.clock.now())
    return len(waiting)


def _unread(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> list[dict[str, Any]]:
    """What waits to be read. Of a blocked connection nothing can be: it is set aside until the connection works."""
    waiting = deliveries.unread(tx, desk.customer_id)
    if waiting and any(
        one.platform == desk.route.crm and one.health == "blocked"
        for one in customers.connections(tx, desk.customer_id)
    ):
        queue.guard(tx, slot)
        deliveries.set_aside(tx, desk.customer_id)
        mark = marks.get(tx, desk.customer_id, desk.route.crm, DELIVERIES)
        if mark.due is None:
            marks.put(tx, desk.customer_id, replace(mark, due=now + BLOCKED_PAUSE))
        return []
    return waiting


async def read_again(desk: Desk, slot: Slot) -> None:
    """What was set aside is unread again; the next turn reads it."""
    await desk.db.run(_put_back, desk, slot)


def _put_back(tx: Connection, desk: Desk, slot: Slot) -> None:
    queue.guard(tx, slot)
    deliveries.put_back(tx, desk.customer_id)
    mark = marks.get(tx, desk.customer_id, desk.route.crm, DELIVERIES)
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
    file_records(tx, desk, records, now, Lane.changes, now)
    understood = [delivery_id for delivery_id, found in named.items() if found]
    refused = [delivery_id for delivery_id, found in named.items() if not found]
    deliveries.settle(tx, desk.customer_id, understood, "parsed")
    deliveries.settle(tx, desk.customer_id, refused, "refused")
    if refused:
        journal.append(tx, desk.customer_id, [(now, None, "delivery_not_understood", {"count": len(refused)})])


async def keep_subscription(desk: Desk, slot: Slot) -> None:
    """Make the webhook subscription, and read it again every day: one that is gone or inactive drops events silently,
    so it is made anew (Virtuous facts 13.1)."""
    mark = await desk.db.run(marks.get, desk.customer_id, desk.route.crm, "subscription")
    known = (mark.data or {}).get("id")
    alive = await desk.crm.subscription(known) if known else None
    if desk.hook_url and desk.hook_secret and not (alive and alive.get("active")):
        known = await desk.crm.subscribe(desk.hook_url, desk.hook_secret.reveal())
    await desk.db.run(_subscribed, desk, slot, mark, known, desk.clock.now())


def _subscribed(tx: Connection, desk: Desk, slot: Slot, mark: Mark, vendor_id: str | None, now: Instant) -> None:
    queue.guard(tx, slot)
    due = now + desk.route.cadence.subscription
    marks.put(tx, desk.customer_id, replace(mark, due=due, data={"id": vendor_id, "tries": 0}))


async def poll_page(desk: Desk, slot: Slot, name: str, poll: str) -> None:
    """Read and store one page of the CRM side."""
    mark = await desk.db.run(marks.get, desk.customer_id, desk.route.crm, name)
    try:
        page = await desk.crm.changes(poll, mark.mark, mark.cursor)
    except Permanent:
        if mark.cursor is None:
            raise
        await desk.db.run(_restart, desk, slot, mark)
        return
    await desk.db.run(store_page, desk, slot, mark, page, desk.clock.now())


def _restart(tx: Connection, desk: Desk, slot: Slot, mark: Mark) -> None:
    queue.guard(tx, slot)
    marks.put(tx, desk.customer_id, replace(mark, cursor=None, data={}, due=desk.clock.now() + REFUSED_PAUSE))


def store_page(tx: Connection, desk: Desk, slot: Slot, mark: Mark, page: Page, now: Instant) -> None:
    """Snapshots, entries and the cursor in one transaction."""
    queue.guard(tx, slot)
    read_at = page.source_time if page.source_time is not None else now
    lane = Lane.bulk if mark.mark is None else Lane.changes
    file_records(tx, desk, page.records, read_at, lane, now)
    marks.put(tx, desk.customer_id, _moved(desk, mark, page, now))
    if mark.name == "crm_sweep" and mark.mark is None and mark.cursor is None:
        due = now + desk.route.cadence.crm_changed
        marks.put(tx, desk.customer_id, Mark(desk.route.crm, "crm_changed", mark=read_at - OVERLAP, due=due))


def _moved(desk: Desk, mark: Mark, page: Page, now: Instant) -> Mark:
    data = dict(mark.data or {}) | {"tries": 0}
    started = data.get("started") if mark.cursor else None
    started = started if started is not None else page.source_time
    if page.cursor and page.cursor != mark.cursor:
        return replace(mark, cursor=page.cursor, due=now, data=data | {"started": started})
    due = now + float(getattr(desk.route.cadence, mark.name))
    moved = (started if started is not None else now - UNDATED) - OVERLAP
    whole = page.cursor is None
    return replace(mark, cursor=None, due=due, mark=moved if whole else mark.mark, data=data | {"finished": now})


def file_records(
    tx: Connection, desk: Desk, records: Sequence[Any], read_at: Instant, lane: Lane, now: Instant
) -> list[str]:
    """File CRM records and mark the parties that have news."""
    rows = [(record_id, raw, desk.crm.snapshot(raw, read_at)) for record_id, raw in records]
    news = readings.file_crm(tx, desk.shelf, rows, read_at, now, desk.chance.id)
    queue.put(tx, desk.customer_id, [(party_id, lane, now) for party_id in news], now)
    return news
