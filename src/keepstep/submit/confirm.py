"""Confirmation of what waits in the CRM's nightly batch: the webhook first, these chores as the net.

An opt-out for somebody who waits is an obligation: from the organization's midnight on, one modified-since query
every five minutes, hourly after 72 h, daily after 14 days, until paid (design section 4, consent). Staff may never run
the import, and nothing lists what waits there (Virtuous facts 10.3, 10.5): whoever waits for a day is asked for once a
day, in bulk, and only the rest by its reference; after three days a person must look.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import Chore, Desk, Left
from keepstep.model.change import Lane
from keepstep.model.consent import standing_out
from keepstep.model.contact import Consent
from keepstep.model.instant import Instant
from keepstep.ports import Page
from keepstep.queue import Slot
from keepstep.state import journal, marks, readings, snapshots, submissions
from keepstep.state.marks import Mark
from keepstep.submit import standstill

HOUR, DAY = 3600.0, 86_400.0
AFTER_BATCH = (300.0, 1800.0)
STUCK = "stuck"
# A round before the first day of whoever is sent after this one is full.
A_DAY_ON = DAY - HOUR
# References asked for at once, and the pause between: 240 an hour, a fifth of what is ours (Virtuous facts 4).
REFERENCES, PAUSE = 20, 300.0
Row = dict[str, Any]


def chores(desk: Desk) -> tuple[Chore, ...]:
    """What the submitter wants done."""
    platform = desk.route.crm
    return (Chore(platform, "watch_batch", watch_batch), Chore(platform, STUCK, ask_for_stuck))


async def watch_batch(desk: Desk, slot: Slot) -> Left | None:
    """Pull the CRM poll to now where somebody waits: after each batch, and every five minutes while an opt-out is
    owed."""
    zone = ZoneInfo(await desk.crm.zone())
    return await desk.last(_watch, desk, slot, zone, desk.clock.now())


def _watch(tx: Connection, desk: Desk, slot: Slot, zone: ZoneInfo, now: Instant) -> None:
    queue.guard(tx, slot)
    everybody = submissions.unresolved(tx, desk.customer_id)
    out = _opted_out(tx, desk, everybody)
    waiting = [row for row in everybody if row["since"] < _midnight(zone, now)]
    owed = [row["since"] for row in waiting if row["record_id"] in out]
    midnight = _midnight(zone, now)
    standstill.batch_ran(tx, desk, midnight, now)
    next_midnight = _midnight(zone, midnight + 1.5 * DAY)
    coming = [
        at for at in (midnight + AFTER_BATCH[0], midnight + AFTER_BATCH[1], next_midnight + AFTER_BATCH[0]) if at > now
    ]
    due = min([*coming, now + _rhythm(desk, now - max(owed))] if owed else coming)
    mark = desk.known(tx, desk.route.crm, "watch_batch")
    data = {"owed": len(out), "oldest": min(out.values(), default=None)}
    marks.put(tx, desk.customer_id, replace(mark, due=due, data=data))
    if waiting and (owed or now - midnight < AFTER_BATCH[1] + 60):
        poll = desk.known(tx, desk.route.crm, "crm_changed")
        if poll.due is None or poll.due > now:
            marks.put(tx, desk.customer_id, replace(poll, due=now))


def _rhythm(desk: Desk, age: float) -> float:
    return desk.route.cadence.obligations if age < 3 * DAY else HOUR if age < 14 * DAY else DAY


def _midnight(zone: ZoneInfo, now: Instant) -> Instant:
    local = datetime.fromtimestamp(now, zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _opted_out(tx: Connection, desk: Desk, waiting: list[Row]) -> dict[str, Instant]:
    """Who waits and may not be mailed any more, with the moment since which that is owed to the CRM."""
    stored = snapshots.get(tx, desk.customer_id, desk.route.audience, [row["record_id"] for row in waiting])
    contacts = {key: desk.audience.snapshot(raw, read_at) for key, (raw, read_at, _) in stored.items()}
    found = readings.load(tx, desk.customer_id, sorted({row["party_id"] for row in waiting}))
    owed = {}
    for row in waiting:
        contact, party = contacts.get(row["record_id"]), found.get(row["party_id"])
        person = party.person(row["record_id"]) if party else None
        act = standing_out(person.acts, contact.email) if person and contact else None
        if contact and (act or contact.deleted or contact.consent is Consent.opted_out):
            owed[row["record_id"]] = act.before if act else contact.read_at
    return owed


# --- who waits for more than a day -----------------------------------------------------------------------------------


async def ask_for_stuck(desk: Desk, slot: Slot) -> Left | None:
    """One piece of a round: a page of what was modified since the oldest of them was sent, then some references.

    Found means that the webhook and the poll were missed. A round is begun within the hour for those whose next day is
    full, and for whoever's submission nobody answered once the batch has run others of ours.
    """
    now = desk.clock.now()
    mark = await desk.mark(desk.route.crm, STUCK)
    data, (stuck, after) = mark.data or {}, await desk.db.run(_stuck, desk, mark, now)
    if not stuck:
        return await desk.last(_ended, desk, slot, mark, now, after)
    if not data.get("read"):
        page = await desk.crm.changes("changed", min(row["since"] for row in stuck) - DAY, mark.cursor)
        await desk.db.run(_read, desk, slot, mark, page, now)
    else:
        rest = [row for row in stuck if row["record_id"] > str(data.get("asked") or "")]
        asked = rest[:REFERENCES]
        found = [record for row in asked if (record := await desk.crm.by_reference(row["record_id"])) is not None]
        await desk.db.run(_asked, desk, slot, mark, rest, found, now)
    return None


def _stuck(tx: Connection, desk: Desk, mark: Mark, now: Instant) -> tuple[list[Row], float]:
    """Whom the round that is under way asks for, by record id, and in how many seconds there may be somebody else."""
    started = float((mark.data or {}).get("round") or now)
    batch = desk.known(tx, desk.route.crm, "batch").mark or 0.0
    waiting = submissions.unresolved(tx, desk.customer_id)
    found = [row for row in waiting if _a_day_more(row, mark.mark, started) or _left_behind(row, batch)]
    return sorted(found, key=lambda row: str(row["record_id"])), min(
        [A_DAY_ON, *(_due_in(row, now) for row in waiting)]
    )


def _due_in(row: Row, now: Instant) -> float:
    """Whole hours until a row's next day is full; one where any moment may be the one. In seconds."""
    return HOUR if row["state"] == "unknown" else max(math.ceil((DAY - (now - row["since"]) % DAY) / HOUR), 1) * HOUR


def look_soon(tx: Connection, desk: Desk, now: Instant) -> None:
    """Somebody's submission was not answered just now: one that no round of today has looked for."""
    mark = marks.get(tx, desk.customer_id, desk.route.crm, STUCK)
    if mark.due is not None and mark.due > now + HOUR:
        marks.put(tx, desk.customer_id, replace(mark, due=now + HOUR))


def _a_day_more(row: Row, last: Instant | None, now: Instant) -> bool:
    """Is one more whole day over since the round before?"""
    before = 0.0 if last is None else max((last - row["since"]) // DAY, 0.0)
    return bool((now - row["since"]) // DAY > before)


def _left_behind(row: Row, batch: Instant) -> bool:
    """Nobody answered it, and a row of ours that was sent then or later has come out of the batch."""
    return bool(row["state"] == "unknown" and row["since"] <= batch)


def _read(tx: Connection, desk: Desk, slot: Slot, mark: Mark, page: Page, now: Instant) -> None:
    """File what was found; after the last page the rest is asked for by reference."""
    queue.guard(tx, slot)
    _file(tx, desk, page.records, now)
    data = {**(mark.data or {}), "round": (mark.data or {}).get("round") or now, "tries": 0}
    going = page.cursor is not None and page.cursor != mark.cursor
    data |= {"read": not going, "asked": ""}
    marks.put(tx, desk.customer_id, replace(mark, cursor=page.cursor if going else None, due=now, data=data))


def _asked(tx: Connection, desk: Desk, slot: Slot, mark: Mark, rest: list[Row], found: list[Any], now: Instant) -> None:
    """What was found is filed; of what was not, some goes again and some needs a person. A round that is not over goes
    on after a pause, so that it leaves the hour's calls to others."""
    queue.guard(tx, slot)
    _file(tx, desk, found, now)
    there = {one for _, raw in found for one in _references(desk, raw, now)}
    batch = marks.get(tx, desk.customer_id, desk.route.crm, "batch").mark or 0.0
    absent = [row for row in rest[:REFERENCES] if row["record_id"] not in there]
    for row in absent:
        if _left_behind(row, batch):
            _send_again(tx, desk, row, now)
        elif submissions.stage(row, now) == "review":
            _to_review(tx, desk, row, now)
    if len(rest) <= REFERENCES:
        _ended(tx, desk, slot, mark, now)
        return
    data = {**(mark.data or {}), "asked": rest[REFERENCES - 1]["record_id"], "tries": 0}
    marks.put(tx, desk.customer_id, replace(mark, due=now + PAUSE, data=data))


def _ended(tx: Connection, desk: Desk, slot: Slot, mark: Mark, now: Instant, after: float = HOUR) -> None:
    queue.guard(tx, slot)
    began = float((mark.data or {}).get("round") or now)
    ended = replace(mark, mark=began, cursor=None, due=now + after, data={"finished": now, "tries": 0})
    marks.put(tx, desk.customer_id, ended)


def _references(desk: Desk, raw: Any, now: Instant) -> list[str]:
    """Whom of ours a CRM record names."""
    pairs = desk.crm.snapshot(raw, now).references
    return [record_id for source, record_id in pairs if source == desk.route.policy.reference_source]


def _file(tx: Connection, desk: Desk, records: Sequence[Any], now: Instant) -> None:
    rows = [(record_id, raw, desk.crm.snapshot(raw, now)) for record_id, raw in records]
    news = readings.file_crm(tx, desk.shelf, rows, now, now, desk.chance.id)
    queue.put(tx, desk.customer_id, [(party_id, Lane.changes, now) for party_id in news], now)


def _send_again(tx: Connection, desk: Desk, row: Row, now: Instant) -> None:
    """It never arrived: the next decision sends the very same payload again."""
    if _moved(tx, desk, row, "again", now):
        submissions.reopen(tx, desk.customer_id, row["record_id"], now)


def _to_review(tx: Connection, desk: Desk, row: Row, now: Instant) -> None:
    """Told once. A row of unknown fate stays so: should the batch run others of its night, it still goes again."""
    if not _moved(tx, desk, row, "review", now):
        return
    if row["state"] != "unknown":
        submissions.set_state(tx, desk.customer_id, row["record_id"], "review")
    journal.append(tx, desk.customer_id, [(now, row["party_id"], "stuck", {"record": row["record_id"]})])


def _moved(tx: Connection, desk: Desk, row: Row, state: Literal["again", "review"], now: Instant) -> bool:
    """The person's submission in another state, to be decided upon; False if it was so already or is there no more."""
    party = readings.load(tx, desk.customer_id, [row["party_id"]]).get(row["party_id"])
    person = party.person(row["record_id"]) if party else None
    if not party or not person or not person.submission or person.submission.state == state:
        return False
    changed = replace(person, submission=replace(person.submission, state=state))
    readings.save(tx, desk.customer_id, [party.with_person(changed)])
    queue.put(tx, desk.customer_id, [(party.party_id, Lane.changes, now)], now)
    return True
