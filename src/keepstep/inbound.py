"""④ The inbound handler: reads what deliveries of either side name, polls and sweeps of the CRM side, and files what is
ours.

A delivery is a hint, never a value: the records it names are read again (design section 4, the door writes no links).
Our own echoes are dropped by comparison: a reading that says nothing new marks nobody.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from keepstep import filing, queue, rounds
from keepstep.desk import ACCOUNT, BLOCKED_PAUSE, DELIVERIES, Chore, Desk
from keepstep.model.change import Lane
from keepstep.model.errors import Blocked, Permanent, Refused, Transient
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.rounds import Poll
from keepstep.state import customers, deliveries, journal, marks
from keepstep.state.marks import Mark

Parse = Callable[[bytes], list[str]]
POLLS = {"crm_sweep": "sweep", "crm_changed": "changed"}
# Of the CRM side so many ids at a time, since a lease ends: a bulk action names thousands (Virtuous facts 13.3).
READ_IDS = 2000
# The audience side has no read of many by id, and a turn is short.
READS = 50
READ_SECONDS = 5.0
# What one page of a poll of the CRM side takes of it: a tenth of the hour's 1,200 calls (Virtuous facts 4).
PAGE_SECONDS = 30.0
# So often a contact's read may fail before the others are read without it: the polls will find it.
PATIENCE = 5


def chores(desk: Desk) -> tuple[Chore, ...]:
    """What inbound wants done, most urgent first."""
    crm, audience = desk.route.crm, desk.route.audience
    return (
        Chore(crm, ACCOUNT, read_account),
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
    named = _a_piece((row["id"], _named(row["body"], parse)) for row in waiting)
    ids = sorted({record_id for found in named.values() for record_id in found})
    records = await desk.crm.read_many(ids) if ids else ()

    def file(tx: Connection, rows: filing.Rows, now: Instant) -> None:
        filing.contacts(tx, desk, rows, now, now, Lane.changes)

    await rounds.keep(desk, slot, (desk.route.crm, DELIVERIES), file, records)
    if named:
        await desk.db.run(_understood, desk, slot, named, desk.clock.now())
    return len(named)


def _a_piece(waiting: Iterable[tuple[str, list[str]]]) -> dict[str, list[str]]:
    """The oldest deliveries that name few enough together, one at least; the rest waits for the next turn."""
    found: dict[str, list[str]] = {}
    left = READ_IDS
    for delivery, ids in waiting:
        left -= len(ids)
        if found and left < 0:
            break
        found[delivery] = ids
    return found


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


def _understood(tx: Connection, desk: Desk, slot: Slot, named: Mapping[str, list[str]], now: Instant) -> None:
    queue.guard(tx, slot)
    mark = marks.get(tx, desk.customer_id, desk.route.crm, DELIVERIES)
    if (mark.data or {}).get("tries"):
        marks.put(tx, desk.customer_id, replace(mark, data={"tries": 0}))
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

    def file(tx: Connection, rows: filing.Rows, now: Instant) -> None:
        filing.people(tx, desk, rows, now, now, Lane.changes)

    await rounds.keep(desk, slot, (platform, DELIVERIES), file, records)
    await desk.db.run(_store_hints, desk, slot, hints, read, desk.clock.now())


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


def _store_hints(tx: Connection, desk: Desk, slot: Slot, hints: Hints, read: int, now: Instant) -> None:
    """A delivery is done with when the last one it names is."""
    queue.guard(tx, slot)
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
    known, leads = (mark.data or {}).get("id"), _leads(desk)
    alive = await desk.crm.subscription(known) if known else None
    same = (mark.data or {}).get("leads") in (None, leads)
    writes = not _observes(desk)  # a subscription is a write as well: who only observes polls
    if writes and desk.hook_url and desk.hook_secret and not (same and alive and alive.get("active")):
        known = await desk.crm.subscribe(desk.hook_url, desk.hook_secret.reveal())
    await desk.db.run(_subscribed, desk, slot, mark, known, desk.clock.now())


def _leads(desk: Desk) -> str | None:
    """Where our subscription leads and what signs it, as a fingerprint: with another address it delivers to nobody,
    with another secret nobody believes it."""
    if desk.hook_url is None or desk.hook_secret is None:
        return None
    return hashlib.sha256(f"{desk.hook_url} {desk.hook_secret.reveal()}".encode()).hexdigest()[:32]


def _subscribed(tx: Connection, desk: Desk, slot: Slot, mark: Mark, vendor_id: str | None, now: Instant) -> None:
    queue.guard(tx, slot)
    leads = (mark.data or {}).get("leads") if _observes(desk) else _leads(desk)
    due = now + (BLOCKED_PAUSE if _observes(desk) else desk.route.cadence.subscription)
    marks.put(tx, desk.customer_id, replace(mark, due=due, data={"id": vendor_id, "tries": 0, "leads": leads}))


def _observes(desk: Desk) -> bool:
    return desk.route.policy.stage == "observe"


async def read_account(desk: Desk, slot: Slot) -> None:
    """Bind the connection to its organization, once. Raises Blocked where it leads to another one later: ids are unique
    only inside one, so that each of ours would name a stranger there (Virtuous facts 6)."""
    names = await desk.crm.names()
    if not await desk.db.run(filing.account, desk, slot, desk.route.crm, names, desk.clock.now()):
        raise Blocked("wrong_account", "the connection leads to another organization than before")


async def poll_page(desk: Desk, slot: Slot, name: str) -> None:
    """Read and store one page of the CRM side."""
    await rounds.poll_page(desk, slot, _poll(desk, name))


def _poll(desk: Desk, name: str) -> Poll:
    return Poll(
        platform=desk.route.crm,
        name=name,
        read=lambda since, cursor, _size: desk.crm.changes(POLLS[name], since, cursor),
        file=lambda tx, mark, rows, read_at, now: _file(desk, tx, mark, rows, read_at, now),
        every=lambda pages: max(float(getattr(desk.route.cadence, name)), pages * PAGE_SECONDS),
        carried=lambda pages: pages * PAGE_SECONDS,
        first=partial(_begin_changed, desk) if name == "crm_sweep" else None,
    )


def _file(desk: Desk, tx: Connection, mark: Mark, rows: filing.Rows, read_at: Instant, now: Instant) -> None:
    filing.contacts(tx, desk, rows, read_at, now, Lane.bulk if mark.mark is None else Lane.changes)


def _begin_changed(desk: Desk, tx: Connection, since: Instant, now: Instant) -> None:
    """The poll begins where the first sweep began; a sweep that begins again leaves it where it is."""
    if marks.get(tx, desk.customer_id, desk.route.crm, "crm_changed").mark is not None:
        return
    due = now + desk.route.cadence.crm_changed
    marks.put(tx, desk.customer_id, Mark(desk.route.crm, "crm_changed", mark=since, due=due))
