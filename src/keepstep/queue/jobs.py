"""Jobs: one vendor call each, with the steps it carries. Written down before the call, settled after it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    Row,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import exists as sql_exists

from keepstep.database import portions
from keepstep.model.instant import Instant
from keepstep.queue.slots import Slot, guard, guard_active, sendable
from keepstep.queue.steps import COLUMNS, StepRow, read_step
from keepstep.schema.tables import job, step

State = Literal["done", "accepted", "unknown"]

# Built once: every turn asks these, and building one costs more than running it.
_MINE = job.c.customer_id == bindparam("customer")
_ANY = select(sql_exists().where(_MINE))
_INTENTS = select(job.c.id).where(_MINE, job.c.state == "intent")
_UNANSWERED = (
    update(job)
    .where(_MINE, job.c.state == "sent")
    .values(state="unknown", look_at=job.c.sent_at + bindparam("settling", type_=job.c.sent_at.type))
)
_TO_LOOK_AT = (
    select(job)
    .where(_MINE, or_(job.c.look_at.is_(None), job.c.look_at <= bindparam("now")))
    .order_by(job.c.look_at, job.c.id)
)
_SENDABLE = (
    select(*COLUMNS)
    .where(sendable(bindparam("customer", type_=step.c.customer_id.type)), step.c.due <= bindparam("now"))
    .order_by(step.c.lane, step.c.due, step.c.id)
    .limit(bindparam("most", type_=Integer))
)
_CARRIED = (step.c.customer_id == bindparam("customer"), step.c.job_id == bindparam("job"))
_FORMED = (
    update(step)
    .where(step.c.customer_id == bindparam("customer"), step.c.id == bindparam("which"))
    .values(job_id=bindparam("job"))
)
_LEFT = select(func.count()).where(*_CARRIED)


def _superseded() -> ColumnElement[bool]:
    """A newer decision about the same target waits already: that one stands."""
    newer = step.alias("newer")
    place = [newer.c[name] == step.c[name] for name in ("customer_id", "party_id", "side", "target")]
    return select(newer.c.id).where(*place, newer.c.job_id.is_(None)).exists()


_ONE_OF_IT = (*_CARRIED, step.c.id == bindparam("which"))
_STEP_SUPERSEDED = delete(step).where(*_ONE_OF_IT, _superseded())
_STEP_AGAIN = update(step).where(*_ONE_OF_IT).values(job_id=None, due=bindparam("at"), tries=step.c.tries + 1)
_THESE: BindParameter[Any] = bindparam("jobs", expanding=True)
_OF_THESE = (step.c.customer_id == bindparam("customer"), step.c.job_id.in_(_THESE))
_INTENTS_OF = select(job.c.id).where(_MINE, job.c.id.in_(_THESE), job.c.state == "intent")
_SUPERSEDED = delete(step).where(*_OF_THESE, _superseded())
_UNSENT = update(step).where(*_OF_THESE).values(job_id=None)
_UNSENT_UNTIL = update(step).where(*_OF_THESE).values(job_id=None, due=bindparam("at"))
_GONE = delete(job).where(_MINE, job.c.id.in_(_THESE))

# So many calls are more than a turn has time for; what is formed and not called costs as much as what is.
MOST_JOBS = 200


@dataclass(frozen=True, slots=True)
class Job:
    """One vendor call. state: intent, sent, accepted, unknown."""

    id: str
    side: str
    kind: str
    group: str
    state: str
    vendor_id: str | None
    look_at: Instant | None
    sent_at: Instant | None
    payload: Mapping[str, Any] | None
    steps: tuple[StepRow, ...]


def form(
    tx: Connection,
    slot: Slot,
    now: Instant,
    group_size: Callable[[str, str], int],
    new_id: Callable[[], str],
    limit: int = 2000,
) -> list[Job]:
    """Put up to `limit` due steps into jobs with state intent, one side, kind and group a job, most urgent lane
    first."""
    guard(tx, slot)
    rows = map(read_step, tx.execute(_SENDABLE, {"customer": slot.customer_id, "now": now, "most": limit}))
    jobs = [_intent(new_id(), steps) for steps in _grouped(rows, group_size)[:MOST_JOBS]]
    if jobs:
        _store(tx, slot.customer_id, jobs)
    return jobs


def _grouped(rows: "map[StepRow]", group_size: Callable[[str, str], int]) -> list[list[StepRow]]:
    groups: list[list[StepRow]] = []
    filling: dict[tuple[str, str, str], list[StepRow]] = {}
    for row in rows:
        key = (row.side, row.kind, row.group)
        group = filling.get(key)
        if group is None or len(group) >= group_size(row.side, row.kind):
            group = filling[key] = []
            groups.append(group)
        group.append(row)
    return groups


def _intent(job_id: str, steps: Sequence[StepRow]) -> Job:
    first = steps[0]
    return Job(job_id, first.side, first.kind, first.group, "intent", None, None, None, None, tuple(steps))


def _store(tx: Connection, customer_id: str, jobs: Sequence[Job]) -> None:
    rows = [{"id": item.id, "side": item.side, "kind": item.kind, "grp": item.group} for item in jobs]
    tx.execute(insert(job), [{"customer_id": customer_id, **row} for row in rows])
    carried = [{"customer": customer_id, "job": item.id, "which": row.id} for item in jobs for row in item.steps]
    tx.execute(_FORMED, carried)


def send(tx: Connection, slot: Slot, job_id: str, now: Instant) -> None:
    """intent -> sent; commit this before a call that cannot be repeated. Raises Fenced, Paused; ValueError if it is no
    intent."""
    guard_active(tx, slot)
    intent = (*_is(slot, job_id), job.c.state == "intent")
    if tx.execute(update(job).where(*intent).values(state="sent", sent_at=now)).rowcount != 1:
        raise ValueError(f"job {job_id} is not an intent")


def settle(
    tx: Connection,
    slot: Slot,
    job_id: str,
    state: State,
    now: Instant,
    *,
    vendor_id: str | None = None,
    look_at: Instant | None = None,
    done: Collection[int] = (),
    again: Mapping[int, Instant] | None = None,
    dead: Collection[int] = (),
) -> None:
    """What became of a job. Done and dead steps are deleted, `again` ones ({step id: due}) are unsent again with tries
    + 1, the rest stay
    with the job. `accepted` and `unknown` are looked at from `look_at` on (None: at once). A job left without steps is
    deleted.

    Raises Fenced; ValueError for an unknown job and for state done with a step nobody accounted for: unknown is never
    done.
    """
    guard(tx, slot)
    values: dict[str, object] = {"state": state, "look_at": now if look_at is None else look_at}
    if vendor_id is not None:
        values["vendor_id"] = vendor_id
    if tx.execute(update(job).where(*_is(slot, job_id)).values(values)).rowcount != 1:
        raise ValueError(f"no job {job_id}")
    _delete_steps(tx, slot, job_id, [*done, *dead])
    if again:
        mine = {"customer": slot.customer_id, "job": job_id}
        tx.execute(_STEP_SUPERSEDED, [{**mine, "which": step_id} for step_id in again])
        tx.execute(_STEP_AGAIN, [{**mine, "which": step_id, "at": due} for step_id, due in again.items()])
    _close(tx, slot, job_id, state)


def _close(tx: Connection, slot: Slot, job_id: str, state: State) -> None:
    left = tx.execute(_LEFT, {"customer": slot.customer_id, "job": job_id}).scalar_one()
    if left and state == "done":
        raise ValueError(f"job {job_id} is done but {left} of its steps are not accounted for")
    if not left:
        tx.execute(delete(job).where(*_is(slot, job_id)))


def give_back(tx: Connection, slot: Slot, job_ids: Collection[str], due: Instant | None = None) -> None:
    """Jobs that were never called become unsent steps again, due when they were or at `due`; no try is counted."""
    guard(tx, slot)
    for some in portions(list(job_ids)):
        these = {"customer": slot.customer_id, "jobs": some}
        others = sorted({*some}.difference(tx.execute(_INTENTS_OF, these).scalars()))
        if others:
            raise ValueError(f"job {others[0]} is not an intent")
        tx.execute(_SUPERSEDED, these)
        tx.execute(*((_UNSENT, these) if due is None else (_UNSENT_UNTIL, these | {"at": due})))
        tx.execute(_GONE, these)


def unresolved(tx: Connection, slot: Slot, now: Instant, settle_seconds: float = 120.0) -> list[Job]:
    """What a turn finds at its start: intents were never sent and become steps again; what was sent and never answered
    is unknown, looked
    at `settle_seconds` after it was sent; returned are the accepted and unknown jobs that are to be looked at now.
    """
    guard(tx, slot)
    mine = {"customer": slot.customer_id}
    if not tx.execute(_ANY, mine).scalar_one():
        return []
    give_back(tx, slot, tx.execute(_INTENTS, mine).scalars().all())
    tx.execute(_UNANSWERED, mine | {"settling": settle_seconds})
    return [_read(tx, slot, row) for row in tx.execute(_TO_LOOK_AT, mine | {"now": now}).all()]


def job_states(tx: Connection, customer_id: str) -> dict[str, str]:
    """Every job under way with its state."""
    return {
        row.id: row.state for row in tx.execute(select(job.c.id, job.c.state).where(job.c.customer_id == customer_id))
    }


def _read(tx: Connection, slot: Slot, row: Row[Any]) -> Job:
    found = tx.execute(select(*COLUMNS).where(*_carried(slot, row.id)).order_by(step.c.id))
    steps = tuple(map(read_step, found))
    values = (row.side, row.kind, row.grp, row.state, row.vendor_id, row.look_at, row.sent_at, row.payload)
    return Job(row.id, *values, steps)


def _delete_steps(tx: Connection, slot: Slot, job_id: str, ids: Sequence[int]) -> None:
    for some in portions(ids):
        tx.execute(delete(step).where(*_carried(slot, job_id), step.c.id.in_(some)))


def _is(slot: Slot, job_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (job.c.customer_id == slot.customer_id, job.c.id == job_id)


def _carried(slot: Slot, job_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (step.c.customer_id == slot.customer_id, step.c.job_id == job_id)
