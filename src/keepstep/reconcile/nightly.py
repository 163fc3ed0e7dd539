"""Reconciliation by itself: a range a turn, first to look, then, below the threshold, to repair.

Mass change is refused: it is logged, told once, and waits for a person, who sees it by `keepstep reconcile`.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from keepstep import queue, telemetry
from keepstep.desk import Chore, Desk
from keepstep.model.alerts import Kind
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.reconcile import compare, repair, survey
from keepstep.reconcile.compare import Means, Tally
from keepstep.reconcile.survey import Item
from keepstep.state import dead_letters, journal, marks, reconciliations
from keepstep.state.alerts import raise_alert
from keepstep.state.marks import Mark
from keepstep.telemetry import Event

NAME = "reconcile"
HOUR = 3600.0
_ALERTS = {"drift_spike": Kind.drift_refused, "failed_spike": Kind.dead_letters_grow}
Row = dict[str, Any]


def chores(desk: Desk, means: Means) -> tuple[Chore, ...]:
    """Once a night, after the certificate's sweeps."""
    return (Chore(desk.route.audience, NAME, partial(reconcile, means=means)),)


async def reconcile(desk: Desk, slot: Slot, means: Means) -> None:
    """One range, and after the last one the end of it."""
    alerts = await desk.db.run(_piece, desk, slot, means, desk.clock.now())
    for reason in alerts:
        telemetry.report(Event.warned, desk.customer_id, platform=desk.route.audience, reason=reason)


def _piece(tx: Connection, desk: Desk, slot: Slot, means: Means, now: Instant) -> list[str]:
    queue.guard(tx, slot)
    mark = marks.get(tx, desk.customer_id, desk.route.audience, NAME)
    if any(one["trouble"] == "never_whole" for one in survey.sweeps(tx, desk, means, now).values()):
        marks.put(tx, desk.customer_id, replace(mark, cursor=None, due=now + HOUR, data={}))
        return []
    data = dict(mark.data or {})
    if not data.get("phase"):
        data |= {"phase": "look", "tally": {}, "drift": 0, "repairs": 0, "left": 0, "runs": []}
    one = compare.compared(tx, desk, means.setting(tx, desk, now), mark.cursor or "")
    if one is not None:
        compare.remember(tx, desk, one, now)
        items = survey.drifted(tx, desk, one.found, now)
        _look(data, one.tally, items) if data["phase"] == "look" else _repair(tx, desk, data, items, now)
    if one is not None and one.upto:
        marks.put(tx, desk.customer_id, replace(mark, cursor=one.upto, due=now, data=data))
        return []
    if data["phase"] == "look" and 0 < data["repairs"] <= _limit(desk, data):
        marks.put(tx, desk.customer_id, replace(mark, cursor=None, due=now, data={**data, "phase": "repair"}))
        return []
    return _ended(tx, desk, means, data, now)


def _limit(desk: Desk, data: Row) -> int:
    return survey.limit(desk, Tally(**data["tally"]).linked)


def _look(data: Row, tally: Tally, items: Sequence[Item]) -> None:
    data["tally"] = asdict(Tally(**data["tally"]) + tally)
    data["drift"] += len(items)
    data["repairs"] += sum(one.automatic for one in items)


def _repair(tx: Connection, desk: Desk, data: Row, items: Sequence[Item], now: Instant) -> None:
    """What came to light since may not make a mass change of it."""
    left = _limit(desk, data) - sum(one["repairs"] for one in data["runs"])
    some = [one for one in items if one.automatic][:left]
    if some:
        data["runs"] = [*data["runs"], {"run": repair.do(tx, desk, some, now), "repairs": len(some)}]


def _ended(tx: Connection, desk: Desk, means: Means, data: Row, now: Instant) -> list[str]:
    """The log, the journal's line, and whom to tell: each trouble once."""
    said = _said(tx, desk, means, data, now)
    journal.append(tx, desk.customer_id, [(now, None, "reconciled", said)])
    before: Row = data.get("last") or {}
    spike = said["failed"] > max(desk.route.policy.brake_floor, 2 * int(before.get("failed") or 0))
    last = {"failed": said["failed"], "refused": said["refused"], "spike": spike}
    sighted = max(survey.sighted(tx, desk, now), survey.told_by(desk, now))
    every = desk.route.cadence.reconcile
    ended = {"finished": now, "every": every, "last": last, "sighted": sighted}
    marks.put(tx, desk.customer_id, Mark(desk.route.audience, NAME, mark=now, due=now + every, data=ended))
    troubles = {"drift_spike": "refused", "failed_spike": "spike"}
    told = [reason for reason, name in troubles.items() if last[name] and not before.get(name)]
    for reason in told:
        raise_alert(tx, desk.customer_id, _ALERTS[reason], NAME, {"failed": said["failed"]}, now)
    return told


def _said(tx: Connection, desk: Desk, means: Means, data: Row, now: Instant) -> Row:
    missed = survey.missed(tx, desk, now)
    runs = [one["run"] for one in data["runs"]]
    if missed:
        runs.append(repair.do(tx, desk, missed, now))
    counts = _logged(tx, desk, runs[0] if runs else desk.chance.id(), now)
    return {
        **counts,
        "missed": len(missed),
        "drift": data["drift"],
        "repaired": sum(one["repairs"] for one in data["runs"]),
        "refused": data["repairs"] > _limit(desk, data),
        "failed": dead_letters.count(tx, desk.customer_id),
        "runs": runs,
        "pairs": data["tally"],
        "sweeps": survey.sweeps(tx, desk, means, now),
    }


def _logged(tx: Connection, desk: Desk, name: str, now: Instant) -> Row:
    """Who waits in the batch, and who was found there after all."""
    there = survey.recovered(tx, desk, now)
    details = {"what": "submission", "why": "in_the_crm_by_now"}
    reconciliations.log(tx, desk.customer_id, name, "stuck", "recovered", there, details, now)
    waits = survey.waiting(tx, desk, now)
    words = {"stuck": "waits", "needs_update": "needs_review"}
    repair.log(tx, desk, name, [(one, words[one.category]) for one in waits], now)
    counts = {category: sum(one.category == category for one in waits) for category in words}
    return {**counts, "recovered": len(there)}
