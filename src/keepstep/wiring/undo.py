"""Undoing a run: what it has written goes back, but for what somebody has changed since, consent, and what was made."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import filing, queue
from keepstep.model.change import Lane
from keepstep.model.decide import decide
from keepstep.model.errors import Refused
from keepstep.model.instant import Instant, format_instant
from keepstep.model.party import Party, Person
from keepstep.model.written import BACK, folded
from keepstep.queue import StepRow
from keepstep.state import brake, journal, plans, readings, runs
from keepstep.state.runs import Run, Written
from keepstep.submit import load, written
from keepstep.submit.brake import OPT_OUTS
from keepstep.wiring.between import between_turns, known_customer

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.wiring.service import Service

Row = dict[str, Any]
# Why a write stays that nobody needs to look at: it was said so before anybody asked.
EXPECTED = ("created", "note", "consent", "as_before")
# The states of `written` in a report's words.
SAID = {"kept": "kept", "undoing": "restoring", "undone": "restored"}


async def listed(service: "Service", customer_id: str) -> list[Row]:
    """The runs of a customer, the newest first."""
    return await service.db.run(_listed, customer_id)


def _listed(tx: Tx, customer_id: str) -> list[Row]:
    known_customer(tx, customer_id)
    counts = runs.counts(tx, customer_id)
    return [_in_list(one, counts.get(one.id, {})) for one in runs.every(tx, customer_id)]


def _in_list(run: Run, counts: Mapping[str, int]) -> Row:
    state = "undoing" if counts.get("undoing") else run.state
    return {
        "run": run.id,
        "kind": run.kind,
        "at": format_instant(run.at),
        "writes": sum(counts.values()),
        "state": state,
        "of": (run.doc or {}).get("of"),
    }


async def foreseen(service: "Service", customer_id: str, run_id: str) -> Row:
    """What an undo would do, by what was last read of both sides: see docs/reference/cli.md. Of a run that was undone,
    what became of it. Raises Refused for an unknown run and for an undo."""
    return await service.db.run(_foreseen, await service.desk(customer_id), run_id)


def _foreseen(tx: Tx, desk: "Desk", run_id: str) -> Row:
    run = _run(tx, desk.customer_id, run_id)
    rows = runs.written_in(tx, desk.customer_id, run_id)
    waiting = _waiting(tx, desk.customer_id, run_id)
    found = {row.id: _foretold(row) for row in rows}
    if run.state != "undone":
        found |= _by_decision(tx, desk, run_id, rows)
    return _report(run, rows, found, len(waiting))


def _run(tx: Tx, customer_id: str, run_id: str) -> Run:
    known_customer(tx, customer_id)
    run = runs.get(tx, customer_id, run_id)
    if run is None:
        raise Refused(404, f"no run {run_id}; `keepstep undo --customer {customer_id}` lists them")
    if run.kind == "undo":
        raise Refused(409, f"{run_id} is an undo itself and is not undone: do again what was undone, with a new plan")
    return run


def _foretold(row: Written) -> tuple[str, str | None]:
    return SAID.get(row.state, row.state), row.why


def _by_decision(tx: Tx, desk: "Desk", run_id: str, rows: Sequence[Written]) -> dict[int, tuple[str, str | None]]:
    """What a decision upon the stored readings would say of every write."""
    by_party: dict[str, list[Written]] = {}
    for row in rows:
        by_party.setdefault(row.party_id, []).append(row)
    known = readings.load(tx, desk.customer_id, list(by_party))
    now, found = desk.clock.now(), dict[int, tuple[str, str | None]]()
    setting, kept = load.setting(tx, desk, now), filing.filed(tx, desk, known.values())
    for key, mine in by_party.items():
        restores, stays = folded(run_id, now, mine)
        found |= {row: ("stays", why) for row, why in stays.items()}
        party = replace(known.get(key, Party(party_id=key)), restore=restores)
        said = decide(party, filing.understood(desk, party, kept), setting).notes
        ends = {row: str(note.data["state"]) for note in said if note.kind == "undo" for row in note.data["rows"]}
        found |= {row: _ending(ends.get(row)) for one in restores for row in one.rows}
    return found


def _ending(why: str | None) -> tuple[str, str | None]:
    if why is None:
        return "restored", None
    return (why, None) if why == "touched" else ("stays", why)


def _report(run: Run, rows: Sequence[Written], found: Mapping[int, tuple[str, str | None]], waiting: int) -> Row:
    counts = Counter(state for state, _ in found.values())
    records = [
        {
            "record": row.member,
            "side": row.side,
            "kind": row.kind,
            "what": row.what,
            "state": found[row.id][0],
            "why": found[row.id][1],
        }
        for row in rows
    ]
    return {
        "run": run.id,
        "kind": run.kind,
        "at": format_instant(run.at),
        "state": "undoing" if counts["restoring"] else run.state,
        "restored": counts["restored"],
        "restoring": counts["restoring"],
        "touched": counts["touched"],
        "stays": counts["stays"],
        "refused": counts["refused"],
        "created": sorted({str(row.member) for row in rows if found[row.id][1] == "created"}),
        "not_sent": (run.doc or {}).get("not_sent", waiting),
        "for_a_person": sum(_is_left(*one) for one in found.values()),
        "records": records,
    }


def _is_left(state: str, why: str | None) -> bool:
    return state in ("touched", "refused") or (state == "stays" and why not in EXPECTED)


def _waiting(tx: Tx, customer_id: str, run_id: str) -> list[StepRow]:
    """The steps that a run still has to send; opt-outs go anyway."""
    mine = runs.parties_of(tx, customer_id, run_id)
    rows = queue.steps_of(tx, customer_id, mine)
    return [row for row in rows if row.job_id is None and row.lane != int(Lane.consent) and not row.payload.get("undo")]


# --- doing it --------------------------------------------------------------------------------------------------------


async def begin(service: "Service", customer_id: str, run_id: str) -> Row:
    """Undo a run, once: from now on turns restore what can be. The report as `foreseen` gives it afterwards."""
    desk = await service.desk(customer_id)
    await between_turns(service, customer_id, _begin, desk, run_id, service.clock.now())
    return await foreseen(service, customer_id, run_id)


def _begin(tx: Tx, desk: "Desk", run_id: str, now: Instant) -> None:
    run, customer_id = _run(tx, desk.customer_id, run_id), desk.customer_id
    if run.state == "undone":
        return
    waiting = _waiting(tx, customer_id, run_id)
    _drop(tx, customer_id, run, waiting, now)
    homes = {row.party_id: None for row in runs.written_in(tx, customer_id, run_id)}
    known = readings.load(tx, customer_id, list(homes))
    changed = [_to_be_read(party) for party in written.restore(tx, desk, run_id, known, now)]
    readings.save(tx, customer_id, changed)
    marked = sorted({*(party.party_id for party in changed), *(row.party_id for row in waiting)})
    queue.put(tx, customer_id, [(key, Lane.changes, now) for key in marked], now)
    doc = {**(run.doc or {}), "not_sent": len(waiting), "undone_at": now}
    runs.set_state(tx, customer_id, run_id, "undone", doc)
    flying = {row.party_id for row in queue.steps_of(tx, customer_id, marked) if row.job_id is not None}
    mine = [party.party_id for party in changed if party.party_id not in flying]
    again = runs.begin(tx, customer_id, "undo", mine, {"of": run_id}, now)
    said = {"run": again, "of": run_id, "parties": len(changed), "not_sent": len(waiting)}
    journal.append(tx, customer_id, [(now, None, "undo_begun", said)])


def _drop(tx: Tx, customer_id: str, run: Run, waiting: Sequence[StepRow], now: Instant) -> None:
    """What the run has not sent yet waits for somebody's next word: as left out of the plan, or held by the brake; but
    for opt-outs, which nobody takes back."""
    homes = sorted({row.party_id for row in waiting})
    if run.kind == "plan":
        plans.leave(tx, customer_id, homes)
    known = brake.of_parties(tx, customer_id, homes)
    waits = [key for key, one in known.items() if one.state == "approved" and one.kind not in OPT_OUTS]
    brake.set_state(tx, customer_id, waits, "held", now)


def _to_be_read(party: Party) -> Party:
    """A membership is asked for anew before it is changed; the CRM's contact is read anyway."""
    moved = {one.member for one in party.restore if one.kind in (*BACK, "set_fields")}
    people = tuple(_read_again(one) if one.record_id in moved else one for one in party.people)
    return replace(party, people=people)


def _read_again(person: Person) -> Person:
    return replace(person, reread=True)
