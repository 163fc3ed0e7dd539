"""Steps that are decided and not sent. A hold keeps a step from being sent: plan, brake, gate, quota, blocked, ..."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, bindparam, delete, func, insert, select, update
from sqlalchemy import exists as sql_exists

from keepstep.database import canonical_json, portions
from keepstep.model.change import Inferred, Lane, Step
from keepstep.model.contact import Side
from keepstep.model.instant import Instant
from keepstep.queue.slots import Slot, guard, wake
from keepstep.schema.tables import entry, step


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step as stored. `job_id` None: not sent."""

    id: int
    party_id: str
    side: str
    kind: str
    target: str
    lane: int
    group: str
    since: Instant
    due: Instant
    tries: int
    hold: str | None
    member: str | None
    payload: Mapping[str, Any]
    job_id: str | None
    inferred: Inferred | None = None

    def as_step(self) -> Step:
        """The step as the model knows it."""
        return Step(
            party_id=self.party_id,
            side=Side(self.side),
            kind=self.kind,
            target=self.target,
            lane=Lane(self.lane),
            group=self.group,
            payload=self.payload,
            member=self.member,
            hold=self.hold,
            inferred=self.inferred,
        )


COLUMNS: Sequence[Column[Any]] = (
    step.c.id,
    step.c.party_id,
    step.c.side,
    step.c.kind,
    step.c.target,
    step.c.lane,
    step.c.grp,
    step.c.since,
    step.c.due,
    step.c.tries,
    step.c.hold,
    step.c.member,
    step.c.payload,
    step.c.job_id,
    step.c.inferred,
)


# Built once: every decision asks them.
_OF_PARTIES = select(*COLUMNS).where(
    step.c.customer_id == bindparam("customer"), step.c.party_id.in_(bindparam("some", expanding=True))
)
# Each by its own index; asked for together SQLite reads all steps of everybody. `!= ""`: see slots.sendable.
_OF_PARTIES_EITHER = (_OF_PARTIES.where(step.c.job_id.is_(None)), _OF_PARTIES.where(step.c.job_id != ""))
_OF_KINDS = (
    select(*COLUMNS)
    .where(step.c.customer_id == bindparam("customer"), step.c.kind.in_(bindparam("kinds", expanding=True)))
    .order_by(step.c.id)
)


_HELD = (
    update(step)
    .where(step.c.customer_id == bindparam("customer"), step.c.job_id.is_(None), step.c.hold.is_(None))
    .values(hold=bindparam("by"))
)
_HELD_OF_SIDE = _HELD.where(step.c.side == bindparam("of"))
_HELD_SOME = _HELD.where(step.c.id.in_(bindparam("some", expanding=True)))


def read_step(row: Sequence[Any]) -> StepRow:
    """A row of COLUMNS."""
    return StepRow(*row)


def steps_of(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> list[StepRow]:
    """All steps of these parties, sent or not, by id."""
    found: list[StepRow] = []
    for some in portions(party_ids):
        for asked in _OF_PARTIES_EITHER:
            found += map(read_step, tx.execute(asked, {"customer": customer_id, "some": some}))
    return sorted(found, key=lambda row: row.id)


def steps_of_kinds(tx: Connection, customer_id: str, kinds: Sequence[str]) -> list[StepRow]:
    """All steps of these kinds, sent or not, by id."""
    return list(map(read_step, tx.execute(_OF_KINDS, {"customer": customer_id, "kinds": list(kinds)})))


def unsent(tx: Connection, customer_id: str) -> list[StepRow]:
    """All steps that no job carries, by id."""
    mine = select(*COLUMNS).where(step.c.customer_id == customer_id, step.c.job_id.is_(None)).order_by(step.c.id)
    return list(map(read_step, tx.execute(mine)))


def replace_steps(tx: Connection, slot: Slot, party_id: str, steps: Sequence[Step], now: Instant) -> None:
    """These are the party's unsent steps now. See replace_all_steps."""
    replace_all_steps(tx, slot, {party_id: steps}, now)


def replace_all_steps(tx: Connection, slot: Slot, wanted: Mapping[str, Sequence[Step]], now: Instant) -> None:
    """For each party its unsent steps. An equal step (same target, kind and payload) that is there keeps its age, due,
    tries and hold;
    one that is in a job already is not added again; a different one for the same target waits until that job is
    resolved.
    """
    guard(tx, slot)
    rows = steps_of(tx, slot.customer_id, list(wanted))
    flying = {_write(row) for row in rows if row.job_id is not None}
    fresh = {_place(item): item for steps in wanted.values() for item in steps if _write(item) not in flying}
    kept = {_place(row): row for row in rows if row.job_id is None and _equal(row, fresh.get(_place(row)))}
    _drop(tx, slot.customer_id, [row.id for row in rows if row.job_id is None and _place(row) not in kept])
    new = [_columns(slot.customer_id, item, now) for place, item in fresh.items() if place not in kept]
    if new:
        tx.execute(insert(step), new)
    for place, row in kept.items():
        _follow(tx, slot.customer_id, row, fresh[place])


def _place(item: Step | StepRow) -> tuple[str, str, str]:
    return (item.party_id, str(item.side), item.target)


def _write(item: Step | StepRow) -> tuple[str, str, str, str, str]:
    return (*_place(item), item.kind, canonical_json(dict(item.payload)))


def _equal(row: StepRow, item: Step | None) -> bool:
    return item is not None and _write(row) == _write(item)


def _columns(customer_id: str, item: Step, now: Instant) -> dict[str, Any]:
    return {
        "customer_id": customer_id,
        "party_id": item.party_id,
        "side": str(item.side),
        "kind": item.kind,
        "target": item.target,
        "lane": int(item.lane),
        "grp": item.group,
        "since": now,
        "due": now,
        "hold": item.hold,
        "member": item.member,
        "payload": dict(item.payload),
        "inferred": item.inferred,
    }


def _follow(tx: Connection, customer_id: str, row: StepRow, item: Step) -> None:
    """What came as a change stays one, though a sweep has found it as well by now."""
    lane = min(row.lane, int(item.lane))
    if (row.lane, row.group, row.member, row.inferred) != (lane, item.group, item.member, item.inferred):
        values = {"lane": lane, "grp": item.group, "member": item.member, "inferred": item.inferred}
        tx.execute(update(step).where(step.c.customer_id == customer_id, step.c.id == row.id).values(values))


def _drop(tx: Connection, customer_id: str, ids: Iterable[int]) -> None:
    for some in portions(list(ids)):
        tx.execute(delete(step).where(step.c.customer_id == customer_id, step.c.id.in_(some)))


def hold_steps(tx: Connection, slot: Slot, hold: str, *, side: str | None = None, ids: Collection[int] = ()) -> int:
    """Hold the unsent, unheld steps of a side, or those with these ids; returns how many."""
    guard(tx, slot)
    mine = {"customer": slot.customer_id, "by": hold}
    if side is not None:
        return tx.execute(_HELD_OF_SIDE, mine | {"of": str(side)}).rowcount
    return tx.execute(_HELD_SOME, mine | {"some": list(ids)}).rowcount


def hold_instead(tx: Connection, slot: Slot, hold: str, ids: Collection[int]) -> None:
    """Hold these unsent steps by this, whatever held them before."""
    guard(tx, slot)
    for some in portions(list(ids)):
        mine = (step.c.customer_id == slot.customer_id, step.c.job_id.is_(None), step.c.id.in_(some))
        tx.execute(update(step).where(*mine).values(hold=hold))


def let_go(
    tx: Connection,
    customer_id: str,
    hold: str,
    now: Instant,
    *,
    side: str | None = None,
    ids: Collection[int] | None = None,
    unmarked: Lane | None = None,
) -> int:
    """Take a hold off, of one side, of some steps, or of parties without an entry in a lane only; they are due at once.

    Needs no slot; returns how many.
    """
    wake(tx, customer_id, now)
    held = [step.c.customer_id == customer_id, step.c.hold == hold]
    if side is not None:
        held.append(step.c.side == str(side))
    if ids is not None:
        held.append(step.c.id.in_(ids))
    if unmarked is not None:
        same = (entry.c.customer_id == step.c.customer_id, entry.c.party_id == step.c.party_id)
        held.append(~sql_exists().where(*same, entry.c.lane == int(unmarked)))
    return tx.execute(update(step).where(*held).values(hold=None, due=now)).rowcount


def backlog(tx: Connection, customer_id: str) -> dict[str, Any]:
    """What waits: entries by lane {lane: (count, oldest arrival)}, unsent steps by hold {hold or "": count}, steps in
    jobs."""
    mine = {"customer": customer_id}
    return {
        "entries": {lane: (count, oldest) for lane, count, oldest in tx.execute(_LANES, mine)},
        "steps": {hold or "": count for hold, count in tx.execute(_HOLDS, mine)},
        "in_jobs": tx.execute(_IN_JOBS, mine).scalar_one(),
    }


# Built once: every turn asks how much waits.
_MINE = step.c.customer_id == bindparam("customer")
_LANES = (
    select(entry.c.lane, func.count(), func.min(entry.c.arrived))
    .where(entry.c.customer_id == bindparam("customer"))
    .group_by(entry.c.lane)
)
_HOLDS = select(step.c.hold, func.count()).where(_MINE, step.c.job_id.is_(None)).group_by(step.c.hold)
_IN_JOBS = select(func.count()).select_from(step).where(_MINE, step.c.job_id.is_not(None))
