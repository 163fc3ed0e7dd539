"""Runs: what a person let go at once, what was written for it, and what became of that when it was undone.

A party belongs to a run from the moment it is let go until it rests; what is written for it meanwhile is the run's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, func, insert, or_, select, update
from sqlalchemy import exists as sql_exists

from keepstep.database import portions, replacing, upsert
from keepstep.model.change import Lane
from keepstep.model.instant import Instant, format_instant
from keepstep.schema.oversight import run, run_party, written
from keepstep.schema.tables import entry, step


@dataclass(frozen=True, slots=True)
class Run:
    """kind: plan, brake, reconcile, undo. state: open, ended, undone. `doc`: what whoever began it keeps with it."""

    id: str
    kind: str
    at: Instant
    state: str
    doc: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One value that was written in a run: `what` names it within the step's payload (model/restore.py).

    state: kept, undoing, undone, touched (somebody has changed it since), stays (it is not undone: `why`), refused.
    """

    run: str
    at: Instant
    party_id: str
    member: str | None
    side: str
    kind: str
    what: str
    payload: Mapping[str, Any]
    answer: Mapping[str, Any] | None = None
    state: str = "kept"
    why: str | None = None
    id: int = 0


_RUN = (run.c.id, run.c.kind, run.c.at, run.c.state, run.c.doc)
_NAMES = ("run", "at", "party_id", "member", "side", "kind", "what", "payload", "answer", "state", "why", "id")
_WRITTEN = [written.c[name] for name in _NAMES]


# Built once: the first is asked whenever jobs are formed, the other of every job that was done.
_MINE: BindParameter[str] = bindparam("customer")
_GOING = select(
    or_(
        sql_exists().where(run_party.c.customer_id == _MINE),
        sql_exists().where(run.c.customer_id == _MINE, run.c.state == "open"),
    )
)
_OF_PARTIES = select(run_party.c.party_id, run_party.c.run).where(
    run_party.c.customer_id == _MINE, run_party.c.party_id.in_(bindparam("some", expanding=True))
)


def begin(
    tx: Connection,
    customer_id: str,
    kind: str,
    party_ids: Collection[str],
    doc: Mapping[str, Any] | None,
    now: Instant,
) -> str:
    """From now on what is written for these parties belongs to a new run; its id, such as `plan-20261121-1`."""
    stem = f"{kind}-{format_instant(now)[:10].replace('-', '')}-"
    like = (run.c.customer_id == customer_id, run.c.id.startswith(stem, autoescape=True))
    number = tx.execute(select(func.count()).select_from(run).where(*like)).scalar_one() + 1
    row = {"customer_id": customer_id, "id": f"{stem}{number}", "kind": kind, "at": now, "doc": dict(doc or {})}
    tx.execute(insert(run), [row | {"state": "open"}])
    rows = [{"customer_id": customer_id, "party_id": key, "run": row["id"]} for key in sorted(party_ids)]
    upsert(tx, run_party, rows, replacing("run"))
    return f"{stem}{number}"


def get(tx: Connection, customer_id: str, run_id: str) -> Run | None:
    """The run with this id, or None."""
    row = tx.execute(select(*_RUN).where(run.c.customer_id == customer_id, run.c.id == run_id)).first()
    return None if row is None else Run(*row)


def every(tx: Connection, customer_id: str) -> list[Run]:
    """The customer's runs, the newest first."""
    mine = select(*_RUN).where(run.c.customer_id == customer_id).order_by(run.c.at.desc(), run.c.id.desc())
    return [Run(*row) for row in tx.execute(mine)]


def set_state(tx: Connection, customer_id: str, run_id: str, state: str, doc: Mapping[str, Any] | None = None) -> None:
    """The run is in this state now, and keeps this."""
    values: dict[str, Any] = {"state": state} | ({"doc": dict(doc)} if doc is not None else {})
    tx.execute(update(run).where(run.c.customer_id == customer_id, run.c.id == run_id).values(values))


def of_parties(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[str, str]:
    """Party id to the run that it belongs to now, for those that belong to one."""
    found: dict[str, str] = {}
    for some in portions(party_ids):
        rows = tx.execute(_OF_PARTIES, {"customer": customer_id, "some": some})
        found.update((row.party_id, row.run) for row in rows)
    return found


def parties_of(tx: Connection, customer_id: str, run_id: str) -> list[str]:
    """The parties that a run still writes for, in order."""
    mine = (run_party.c.customer_id == customer_id, run_party.c.run == run_id)
    return list(tx.execute(select(run_party.c.party_id).where(*mine).order_by(run_party.c.party_id)).scalars())


def end(tx: Connection, customer_id: str, now: Instant) -> None:
    """Parties that rest, with neither an unsent step nor a mark, belong to no run any more; a run without any has
    ended. Somebody parked, who is looked at again in a day, rests."""
    if not tx.execute(_GOING, {"customer": customer_id}).scalar_one():
        return
    mine, going = run_party.c.customer_id == customer_id, (run.c.customer_id == customer_id, run.c.state == "open")
    same = [(one.c.customer_id == customer_id) & (one.c.party_id == run_party.c.party_id) for one in (step, entry)]
    marked = or_(entry.c.due <= now, entry.c.lane <= int(Lane.changes))
    tx.execute(delete(run_party).where(mine, ~sql_exists().where(same[0]), ~sql_exists().where(same[1], marked)))
    busy = sql_exists().where(mine, run_party.c.run == run.c.id)
    tx.execute(update(run).where(*going, ~busy).values(state="ended"))


# --- what was written ------------------------------------------------------------------------------------------------


def remember(tx: Connection, customer_id: str, rows: Sequence[Written]) -> None:
    """Keep what was written."""
    if rows:
        names = [name for name in _NAMES if name != "id"]
        tx.execute(
            insert(written), [{"customer_id": customer_id, **{n: getattr(row, n) for n in names}} for row in rows]
        )


def written_in(tx: Connection, customer_id: str, run_id: str) -> list[Written]:
    """What was written in a run, oldest first."""
    mine = select(*_WRITTEN).where(written.c.customer_id == customer_id, written.c.run == run_id).order_by(written.c.id)
    return [Written(**row._mapping) for row in tx.execute(mine)]


def counts(tx: Connection, customer_id: str) -> dict[str, dict[str, int]]:
    """Run id to how much was written in it, by state; runs without a write are not in the answer."""
    mine = select(written.c.run, written.c.state, func.count()).where(written.c.customer_id == customer_id)
    found: dict[str, dict[str, int]] = {}
    for run_id, state, count in tx.execute(mine.group_by(written.c.run, written.c.state)):
        found.setdefault(run_id, {})[state] = count
    return found


def mark(tx: Connection, customer_id: str, ids: Sequence[int], state: str, why: str | None = None) -> None:
    """What became of these writes."""
    for some in portions(list(ids)):
        these = (written.c.customer_id == customer_id, written.c.id.in_(some))
        tx.execute(update(written).where(*these).values(state=state, why=why))


def follow(tx: Connection, customer_id: str, gone: str, into: str) -> None:
    """One party became part of another one: what was and is written for it goes along."""
    for table in (written, run_party):
        mine = (table.c.customer_id == customer_id, table.c.party_id == gone)
        if table is run_party and of_parties(tx, customer_id, [into]):
            tx.execute(delete(table).where(*mine))
        else:
            tx.execute(update(table).where(*mine).values(party_id=into))
