"""Bounces and opt-outs that only the reports of mailings tell (CC facts 8): kept first, since nothing repeats them, and
then looked at before anything else."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
from sqlalchemy import Connection

from keepstep import queue, rounds
from keepstep.capture import pace
from keepstep.desk import Desk, Left
from keepstep.filing import Rows
from keepstep.model.change import Lane
from keepstep.model.contact import Report
from keepstep.model.errors import NotGranted
from keepstep.model.instant import Instant
from keepstep.ports import Page
from keepstep.queue import Slot
from keepstep.rounds import Poll
from keepstep.state import journal, marks, parties, readings, reports
from keepstep.state.marks import Mark

# Before reports are tried again that the owner gave no permission to read: consent is given on some other day.
NOT_GRANTED = 86_400.0


async def read_reports(desk: Desk, slot: Slot) -> Left | None:
    """The next piece of the reports. Without permission to read them all else goes on, and the status says so."""
    asked, part, share = desk.route.cadence.reports, desk.calls_a_day, pace.SHARES["reports"]
    poll = Poll(
        platform=desk.route.audience,
        name="reports",
        read=lambda since, cursor, _size: _page(desk, since, cursor),
        file=lambda tx, mark, rows, _at, now: _file(tx, desk, mark, rows, now),
        every=lambda calls: pace.every(asked, calls, part, share),
        carried=lambda calls: pace.carried(calls, part, share),
    )
    try:
        return await rounds.poll_page(desk, slot, poll)
    except NotGranted:
        await desk.db.run(_not_granted, desk, slot, desk.clock.now())
        return None


async def _page(desk: Desk, since: Instant | None, cursor: str | None) -> Page:
    found = await desk.audience.reports(since, cursor)
    rows = tuple((line.record_id, msgspec.to_builtins(line)) for line in found.reports)
    return Page(rows, found.cursor, found.source_time, found.poison, found.calls)


def _not_granted(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> None:
    queue.guard(tx, slot)
    mark = marks.get(tx, desk.customer_id, desk.route.audience, "reports")
    if (mark.data or {}).get("trouble") is None:
        journal.append(tx, desk.customer_id, [(now, None, "reports_not_granted", {"platform": mark.platform})])
    data = {**(mark.data or {}), "tries": 0, "trouble": "not_granted"}
    marks.put(tx, desk.customer_id, replace(mark, cursor=None, due=now + NOT_GRANTED, data=data))


def _file(tx: Connection, desk: Desk, mark: Mark, rows: Rows, now: Instant) -> None:
    """Keep the lines; whoever a new one is about is looked at. Whoever opted out is read again as well."""
    lines = [msgspec.convert(raw, Report) for _, raw in rows]
    fresh = reports.store(tx, desk.customer_id, desk.route.audience, lines, now)
    telling = {line.record_id for line in lines if line.strength != "delivered"}
    homes = parties.party_of(tx, desk.customer_id, desk.route.audience, [one for one in fresh if one in telling])
    _read_again(tx, desk, [line.record_id for line in lines if line.kind == "opt_out"], homes)
    lane = Lane.bulk if mark.mark is None else Lane.consent
    queue.put(tx, desk.customer_id, [(party_id, lane, now) for party_id in sorted({*homes.values()})], now)


def _read_again(tx: Connection, desk: Desk, out: Sequence[str], homes: dict[str, str]) -> None:
    waiting = sorted({homes[record_id] for record_id in out if record_id in homes})
    changed = []
    for party in readings.load(tx, desk.customer_id, waiting).values():
        people = tuple(replace(one, reread=True) if one.record_id in out else one for one in party.people)
        changed.append(replace(party, people=people))
    readings.save(tx, desk.customer_id, changed)
