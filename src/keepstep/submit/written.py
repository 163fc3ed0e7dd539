"""What a run has written is kept with what was there before, so that it can be undone (model/written.py)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from keepstep.desk import Desk
from keepstep.model.change import Accepted, Dead, Done, Nothing, Outcome, Unknown
from keepstep.model.decide import Decision
from keepstep.model.instant import Instant
from keepstep.model.party import Party
from keepstep.model.written import folded, values
from keepstep.queue import StepRow
from keepstep.state import runs
from keepstep.state.journal import Line
from keepstep.state.runs import Run, Written

Ended = Iterable[tuple[StepRow, Outcome]]


def keep(tx: Connection, desk: Desk, ended: Ended, parties: Mapping[str, Party], now: Instant) -> dict[str, Party]:
    """Remember what was written for parties of a run, and what became of what an undo restores. What still lands for a
    run that was undone meanwhile is undone as well: those parties come back with that to be restored."""
    rows = list(ended)
    _restored(tx, desk, rows)
    done = [(row, outcome) for row, outcome in rows if _is_written(row, outcome)]
    of = runs.of_parties(tx, desk.customer_id, sorted({row.party_id for row, _ in done}))
    known = {name: runs.get(tx, desk.customer_id, name) for name in sorted(set(of.values()))}
    mine = [(row, outcome, known[of[row.party_id]]) for row, outcome in done if row.party_id in of]
    fresh = [
        one for row, outcome, run in mine if run and _belongs(row, run) for one in _kept(row, outcome, run.id, now)
    ]
    runs.remember(tx, desk.customer_id, fresh)
    late = [run.id for run in known.values() if run and run.state == "undone"]
    return {party.party_id: party for name in late for party in restore(tx, desk, name, parties, now)}


def _belongs(row: StepRow, run: Run) -> bool:
    """What an undo restores is of no other run; what is wanted only since a run was undone is not of that one."""
    if row.payload.get("undo"):
        return run.kind == "undo"
    return run.state != "undone" or row.since <= (run.doc or {}).get("undone_at", 0.0)


def _is_written(row: StepRow, outcome: Outcome) -> bool:
    """A creation that went into an import is written, whether it was answered or not; nobody undoes it."""
    return isinstance(outcome, Done) or (row.kind == "submit" and isinstance(outcome, (Accepted, Unknown)))


def _kept(row: StepRow, outcome: Outcome, run: str, now: Instant) -> list[Written]:
    answer = dict(outcome.answer) if isinstance(outcome, Done) else None
    return [
        Written(
            run=run,
            at=now,
            party_id=row.party_id,
            member=row.member,
            side=row.side,
            kind=row.kind,
            what=what,
            payload=dict(row.payload),
            answer=answer,
        )
        for what in values(row.kind, row.payload)
    ]


def _restored(tx: Connection, desk: Desk, rows: Ended) -> None:
    for row, outcome in rows:
        undo = row.payload.get("undo")
        if undo and isinstance(outcome, (Done, Nothing)):
            runs.mark(tx, desk.customer_id, undo["rows"], "undone")
        elif undo and isinstance(outcome, Dead):
            runs.mark(tx, desk.customer_id, undo["rows"], "refused", outcome.reason)


def restore(tx: Connection, desk: Desk, run: str, parties: Mapping[str, Party], now: Instant) -> list[Party]:
    """These parties with everything to be restored that the run has written for them and nobody has undone yet."""
    by_party: dict[str, list[Written]] = {}
    for row in runs.written_in(tx, desk.customer_id, run):
        if row.state == "kept" and row.party_id in parties:
            by_party.setdefault(row.party_id, []).append(row)
    return [_with_restores(tx, desk, run, parties[key], rows, now) for key, rows in by_party.items()]


def _with_restores(tx: Connection, desk: Desk, run: str, party: Party, rows: list[Written], now: Instant) -> Party:
    found, stays = folded(run, now, rows)
    for row, why in sorted(stays.items()):
        runs.mark(tx, desk.customer_id, [row], "stays", why)
    runs.mark(tx, desk.customer_id, [row for one in found for row in one.rows], "undoing")
    return replace(party, restore=(*party.restore, *found), reread=party.reread or bool(found))


def ended(tx: Connection, desk: Desk, decision: Decision) -> None:
    """What a decision says that is not restored."""
    for note in decision.notes:
        if note.kind == "undo":
            touched = note.data["state"] == "touched"
            state, why = ("touched", None) if touched else ("stays", str(note.data["state"]))
            runs.mark(tx, desk.customer_id, list(note.data["rows"]), state, why)


def lines(rows: Ended, now: Instant) -> list[Line]:
    """What was restored, for the log of what differs: by value, without the values."""
    found: list[Line] = []
    for row, outcome in rows:
        undo = row.payload.get("undo")
        if undo and isinstance(outcome, (Done, Nothing)):
            said: dict[str, Any] = {"record": row.member, "run": undo["run"], "side": row.side}
            found += [(now, row.party_id, "undone", {**said, "field": what}) for what in sorted(undo["seen"])]
    return found
