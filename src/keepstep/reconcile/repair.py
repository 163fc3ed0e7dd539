"""Do what a survey found, or nothing: bases are taken away, parties marked, the batch asked again. Nothing is written
to a vendor here, and the log says what was done."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.change import Lane
from keepstep.model.drift import Finding, Repair, repaired
from keepstep.model.errors import Refused
from keepstep.model.instant import Instant
from keepstep.reconcile import compare
from keepstep.reconcile.survey import Item, Survey
from keepstep.state import marks, readings, reconciliations, runs


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of it. `refused`: why nothing was done; `run`: under which name it can be undone."""

    repairs: int
    run: str | None = None
    refused: str | None = None


def apply(tx: Connection, desk: Desk, checksum: str, survey: Survey, now: Instant) -> Repaired:
    """Do all repairs of the survey with this checksum, for a person who asked. Refuses where the world has changed."""
    if survey.checksum != checksum:
        return Repaired(0, refused="what was found then is not what is found now; look at it again")
    items = [one for one in survey.items if one.acts]
    if not items:
        raise Refused(404, "there is nothing to repair")
    if not as_they_were(tx, desk, items):
        return Repaired(0, refused="somebody has changed meanwhile; look at it again")
    if any(one.category == "stuck" for one in items):
        _ask_now(tx, desk, now)
    return Repaired(len(items), do(tx, desk, items, now))


def as_they_were(tx: Connection, desk: Desk, items: Iterable[Item]) -> bool:
    """Are the parties of these findings what they were, with nothing waiting for them?"""
    seen = {one.party_id: one.seen for one in items if one.category == "drift" and one.party_id}
    docs = reconciliations.documents(tx, desk.customer_id, sorted(seen))
    stored = compare.as_stored(tx, desk, docs)
    return stored.prints == seen and not stored.waiting


def do(tx: Connection, desk: Desk, items: Sequence[Item], now: Instant) -> str:
    """Repair these, and log it. The caller holds the slot; returns the run."""
    drifted: dict[str, list[Item]] = {}
    for one in items:
        if one.category == "drift" and one.party_id:
            drifted.setdefault(one.party_id, []).append(one)
    found = readings.load(tx, desk.customer_id, sorted(drifted))
    readings.save(
        tx, desk.customer_id, [repaired(party, map(_finding, drifted[key])) for key, party in sorted(found.items())]
    )
    missed = {one.party_id for one in items if one.category == "missed" and one.party_id}
    touched = sorted({*found, *missed})
    queue.put(tx, desk.customer_id, [(party_id, Lane.changes, now) for party_id in touched], now)
    run = runs.begin(tx, desk.customer_id, "reconcile", touched, {"repairs": len(items)}, now)
    log(tx, desk, run, [(one, _resolution(one)) for one in items], now)
    return run


def log(tx: Connection, desk: Desk, run: str, ended: Iterable[tuple[Item, str]], now: Instant) -> None:
    """One row for what is alike, however many records it has."""
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for one, resolution in ended:
        alike.setdefault((one.category, resolution, one.what, one.why), []).append(one.record)
    for (category, resolution, what, why), records in alike.items():
        details: Mapping[str, str] = {"what": what, "why": why}
        reconciliations.log(tx, desk.customer_id, run, category, resolution, records, details, now)


def _resolution(item: Item) -> str:
    return {"stuck": "asked", "missed": "marked"}.get(item.category, "repaired")


def _finding(item: Item) -> Finding:
    forget: Repair = "forget" if item.repair == "forget" else "mark"
    return Finding(record_id=item.record, what=item.what, why=item.why, repair=forget)


def _ask_now(tx: Connection, desk: Desk, now: Instant) -> None:
    """The round that asks for whoever waits too long begins now, for all of them."""
    mark = marks.get(tx, desk.customer_id, desk.route.crm, "stuck")
    marks.put(tx, desk.customer_id, replace(mark, mark=None, cursor=None, due=now, data={}))
