"""Confirmation of what waits in the CRM's nightly batch: the webhook first, these chores as the net.

An opt-out for somebody who waits is an obligation: from the organization's midnight on, one modified-since query
every five minutes, hourly after 72 h, daily after 14 days, until paid (design section 4, consent). What the batch does
not bring out in a day is asked for by its reference (Virtuous facts 16.7).
"""

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import Chore, Desk
from keepstep.model.change import Lane
from keepstep.model.contact import Consent
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.state import journal, marks, readings, snapshots, submissions

HOUR, DAY = 3600.0, 86_400.0
AFTER_BATCH = (300.0, 1800.0)
STUCK_BATCH = 50


def chores(desk: Desk) -> tuple[Chore, ...]:
    """What the submitter wants done."""
    platform = desk.route.crm
    return (Chore(platform, "watch_batch", watch_batch), Chore(platform, "stuck", ask_for_stuck))


async def watch_batch(desk: Desk, slot: Slot) -> None:
    """Pull the CRM poll to now where somebody waits: after each batch, and every five minutes while an opt-out is
    owed."""
    zone = ZoneInfo(await desk.crm.zone())
    await desk.db.run(_watch, desk, slot, zone, desk.clock.now())


def _watch(tx: Connection, desk: Desk, slot: Slot, zone: ZoneInfo, now: Instant) -> None:
    queue.guard(tx, slot)
    waiting = [row for row in submissions.unresolved(tx, desk.customer_id) if row["since"] < _midnight(zone, now)]
    out = _opted_out(tx, desk, waiting)
    owed = [row["since"] for row in waiting if row["record_id"] in out]
    midnight = _midnight(zone, now)
    next_midnight = _midnight(zone, midnight + 1.5 * DAY)
    coming = [
        at for at in (midnight + AFTER_BATCH[0], midnight + AFTER_BATCH[1], next_midnight + AFTER_BATCH[0]) if at > now
    ]
    due = min([*coming, now + _rhythm(desk, now - max(owed))] if owed else coming)
    mark = marks.get(tx, desk.customer_id, desk.route.crm, "watch_batch")
    marks.put(tx, desk.customer_id, replace(mark, due=due, data={"owed": len(owed)}))
    if waiting and (owed or now - midnight < AFTER_BATCH[1] + 60):
        poll = marks.get(tx, desk.customer_id, desk.route.crm, "crm_changed")
        if poll.due is None or poll.due > now:
            marks.put(tx, desk.customer_id, replace(poll, due=now))


def _rhythm(desk: Desk, age: float) -> float:
    return desk.route.cadence.obligations if age < 3 * DAY else HOUR if age < 14 * DAY else DAY


def _midnight(zone: ZoneInfo, now: Instant) -> Instant:
    local = datetime.fromtimestamp(now, zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _opted_out(tx: Connection, desk: Desk, waiting: list[dict[str, Any]]) -> set[str]:
    ids = [row["record_id"] for row in waiting]
    stored = snapshots.get(tx, desk.customer_id, desk.route.audience, ids)
    contacts = [desk.audience.snapshot(raw, read_at) for raw, read_at, _ in stored.values()]
    return {one.record_id for one in contacts if one.deleted or one.consent is Consent.opted_out}


async def ask_for_stuck(desk: Desk, slot: Slot) -> None:
    """Ask by reference for who waits for more than a day, once a day each, and for whoever's submission nobody answered
    once the batch has run others of ours. Found means that the webhook and the poll were missed."""
    now = desk.clock.now()
    stuck = (await desk.db.run(_stuck, desk, now))[:STUCK_BATCH]
    found = {}
    for row in stuck:
        record = await desk.crm.by_reference(row["record_id"])
        if record is not None:
            found[row["record_id"]] = record
    await desk.db.run(_recovered, desk, slot, stuck, found, now)


def _stuck(tx: Connection, desk: Desk, now: Instant) -> list[dict[str, Any]]:
    batch = marks.get(tx, desk.customer_id, desk.route.crm, "batch").mark or 0.0
    waiting = submissions.unresolved(tx, desk.customer_id)
    return [row for row in waiting if _a_day_more(now - row["since"]) or _left_behind(row, batch)]


def _a_day_more(age: float) -> bool:
    return age // DAY > max(age - HOUR, 0.0) // DAY


def _left_behind(row: dict[str, Any], batch: Instant) -> bool:
    """Nobody answered it, and a row of ours that was sent then or later has come out of the batch."""
    return bool(row["state"] == "unknown" and row["since"] <= batch)


def _send_again(tx: Connection, desk: Desk, row: dict[str, Any], now: Instant) -> None:
    """It never arrived: the next decision sends the very same payload again."""
    party = readings.load(tx, desk.customer_id, [row["party_id"]]).get(row["party_id"])
    person = party.person(row["record_id"]) if party else None
    if party and person and person.submission:
        again = replace(person, submission=replace(person.submission, state="again"))
        readings.save(tx, desk.customer_id, [party.with_person(again)])
        submissions.reopen(tx, desk.customer_id, row["record_id"], now)
        queue.put(tx, desk.customer_id, [(party.party_id, Lane.changes, now)], now)


def _recovered(
    tx: Connection, desk: Desk, slot: Slot, stuck: list[dict[str, Any]], found: dict[str, Any], now: Instant
) -> None:
    queue.guard(tx, slot)
    rows = [(record_id, raw, desk.crm.snapshot(raw, now)) for record_id, raw in found.values()]
    news = readings.file_crm(tx, desk.shelf, rows, now, now, desk.chance.id)
    queue.put(tx, desk.customer_id, [(party_id, Lane.changes, now) for party_id in news], now)
    absent = [row for row in stuck if row["record_id"] not in found]
    batch = marks.get(tx, desk.customer_id, desk.route.crm, "batch").mark or 0.0
    for row in absent:
        if _left_behind(row, batch):
            _send_again(tx, desk, row, now)
    lost = [row for row in absent if row["state"] != "unknown" and now - row["since"] > 3 * DAY]
    for row in lost:
        submissions.set_state(tx, desk.customer_id, row["record_id"], "review")
    lines = [(now, row["party_id"], "stuck", {"record": row["record_id"]}) for row in lost]
    journal.append(tx, desk.customer_id, lines)
    mark = marks.get(tx, desk.customer_id, desk.route.crm, "stuck")
    marks.put(tx, desk.customer_id, replace(mark, due=now + HOUR))
