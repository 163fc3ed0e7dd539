"""Jobs: one vendor call each, with the steps it carries. Written down before the call, settled after it."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
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
    not_,
    or_,
    select,
    update,
)
from sqlalchemy import exists as sql_exists

from keepstep.database import portions
from keepstep.model.instant import Instant
from keepstep.queue.slots import Slot, guard, guard_active, sendable
from keepstep.queue.steps import COLUMNS, StepRow, read_step
from keepstep.schema.tables import delivery, is_new, job, step

State = Literal["done", "accepted", "unknown"]

# Built once: every turn asks these, and building one costs more than running it.
_MINE = job.c.customer_id == bindparam("customer")
_ANY = select(sql_exists().where(_MINE))
_UNREAD = sql_exists().where(delivery.c.customer_id == bindparam("customer"), is_new)
_QUIET = select(not_(or_(sql_exists().where(_MINE), _UNREAD)))
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
_OF_GROUP = _SENDABLE.where(
    step.c.side == bindparam("side"), step.c.kind == bindparam("kind"), step.c.grp == bindparam("group")
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


_SOME: BindParameter[Any] = bindparam("some", expanding=True)
_SOME_OF_IT = (*_CARRIED, step.c.id.in_(_SOME))
_STEPS_SUPERSEDED = delete(step).where(*_SOME_OF_IT, _superseded())
_STEPS_AGAIN = (
    update(step)
    .where(*_SOME_OF_IT)
    .values(job_id=None, due=bindparam("at"), tries=step.c.tries + bindparam("tried", type_=Integer))
)
_THESE: BindParameter[Any] = bindparam("jobs", expanding=True)
_OF_THESE = (step.c.customer_id == bindparam("customer"), step.c.job_id.in_(_THESE))
_INTENTS_OF = select(job.c.id).where(_MINE, job.c.id.in_(_THESE), job.c.state == "intent")
_SUPERSEDED = delete(step).where(*_OF_THESE, _superseded())
_UNSENT = update(step).where(*_OF_THESE).values(job_id=None)
_UNSENT_UNTIL = update(step).where(*_OF_THESE).values(job_id=None, due=bindparam("at"))
_SENT = (
    update(job)
    .where(_MINE, job.c.id == bindparam("which"), job.c.state == "intent")
    .values(state="sent", sent_at=bindparam("at"))
)
_SETTLED = (
    update(job).where(_MINE, job.c.id == bindparam("which")).values(state=bindparam("to"), look_at=bindparam("at"))
)
_SETTLED_THERE = _SETTLED.values(vendor_id=bindparam("there"))
_STATES = select(job.c.id, job.c.state).where(_MINE)
_ENDED = delete(step).where(*_SOME_OF_IT)
_OVER = delete(job).where(_MINE, job.c.id == bindparam("job"))
_STORED = insert(job)
_CARRYING = select(*COLUMNS).where(*_CARRIED).order_by(step.c.id)
_GONE = delete(job).where(_MINE, job.c.id.in_(_THESE))

# So many calls are more than a turn has time for; what is formed and not called costs as much as what is.
MOST_JOBS = 200


@dataclass(frozen=True, slots=True)
class Scale:
    """What the steps of one call may weigh together, each weighed by `weigh`."""

    most: int
    weigh: Callable[[StepRow], int]


NO_SCALES: Mapping[str, Scale] = MappingProxyType({})


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
    scales: Mapping[str, Scale] = NO_SCALES,
) -> list[Job]:
    """Put due steps into jobs with state intent, one side, kind and group a job, most urgent lane first.

    `limit` steps are looked at. Of the groups whose jobs carry more than that, the first one is filled beyond it, and
    the others wait for the next turn. scales: of the kinds whose steps are weighed besides being counted.
    """
    guard(tx, slot)
    mine = {"customer": slot.customer_id, "now": now, "most": limit}
    groups = _grouped(map(read_step, tx.execute(_SENDABLE, mine)), group_size, scales)
    small = [group for group in groups if group_size(group[0].side, group[0].kind) <= limit]
    large = [group for group in groups if group_size(group[0].side, group[0].kind) > limit][:1]
    filled = [_filled(tx, slot, now, group, group_size, scales) for group in large]
    jobs = [_intent(new_id(), steps) for steps in (*small[:MOST_JOBS], *filled)]
    if jobs:
        _store(tx, slot.customer_id, jobs)
    return jobs


def _grouped(
    rows: Iterable[StepRow], group_size: Callable[[str, str], int], scales: Mapping[str, Scale]
) -> list[list[StepRow]]:
    groups: list[list[StepRow]] = []
    filling: dict[tuple[str, str, str], tuple[list[StepRow], int]] = {}
    for row in rows:
        key, scale = (row.side, row.kind, row.group), scales.get(row.kind)
        weight = scale.weigh(row) if scale else 0
        group, heavy = filling.get(key, ([], 0))
        full = len(group) >= group_size(row.side, row.kind) or (scale is not None and heavy + weight > scale.most)
        if not group or full:
            group, heavy = [], 0
            groups.append(group)
        group.append(row)
        filling[key] = (group, heavy + weight)
    return groups


def _filled(
    tx: Connection,
    slot: Slot,
    now: Instant,
    group: Sequence[StepRow],
    group_size: Callable[[str, str], int],
    scales: Mapping[str, Scale],
) -> list[StepRow]:
    """The first job of all due steps of a group."""
    one = group[0]
    most = group_size(one.side, one.kind)
    of_it = {"side": one.side, "kind": one.kind, "group": one.group}
    found = tx.execute(_OF_GROUP, {"customer": slot.customer_id, "now": now, "most": most, **of_it})
    filled, heavy, scale = list[StepRow](), 0, scales.get(one.kind)
    for row in map(read_step, found):
        heavy += scale.weigh(row) if scale else 0
        if filled and scale is not None and heavy > scale.most:
            break
        filled.append(row)
    return filled


def _intent(job_id: str, steps: Sequence[StepRow]) -> Job:
    first = steps[0]
    return Job(job_id, first.side, first.kind, first.group, "intent", None, None, None, None, tuple(steps))


def _store(tx: Connection, customer_id: str, jobs: Sequence[Job]) -> None:
    rows = [{"id": item.id, "side": item.side, "kind": item.kind, "grp": item.group} for item in jobs]
    tx.execute(_STORED, [{"customer_id": customer_id, **row} for row in rows])
    carried = [{"customer": customer_id, "job": item.id, "which": row.id} for item in jobs for row in item.steps]
    tx.execute(_FORMED, carried)


def send(tx: Connection, slot: Slot, job_id: str, now: Instant) -> None:
    """intent -> sent; commit this before a call that cannot be repeated. Raises Fenced, Paused; ValueError if it is no
    intent."""
    guard_active(tx, slot)
    if tx.execute(_SENT, {"customer": slot.customer_id, "which": job_id, "at": now}).rowcount != 1:
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
    tried: bool = True,
) -> None:
    """What became of a job. Done and dead steps are deleted, `again` ones ({step id: due}) are unsent again with tries
    + 1 where it was `tried`, the rest stay with the job. `accepted` and `unknown` are looked at from `look_at` on
    (None: at once). A job left without steps is deleted.

    Raises Fenced; ValueError for an unknown job and for state done with a step nobody accounted for: unknown is never
    done.
    """
    guard(tx, slot)
    became = {"customer": slot.customer_id, "which": job_id, "to": state, "at": now if look_at is None else look_at}
    asked = (_SETTLED, became) if vendor_id is None else (_SETTLED_THERE, became | {"there": vendor_id})
    if tx.execute(*asked).rowcount != 1:
        raise ValueError(f"no job {job_id}")
    _delete_steps(tx, slot, job_id, [*done, *dead])
    if again:
        _unsend(tx, slot, job_id, again, tried)
    _close(tx, slot, job_id, state)


def _unsend(tx: Connection, slot: Slot, job_id: str, again: Mapping[int, Instant], tried: bool) -> None:
    by_due: dict[Instant, list[int]] = {}
    for step_id, due in again.items():
        by_due.setdefault(due, []).append(step_id)
    mine = {"customer": slot.customer_id, "job": job_id}
    for some in portions(list(again)):
        tx.execute(_STEPS_SUPERSEDED, {**mine, "some": some})
    for due, ids in by_due.items():
        for some in portions(ids):
            tx.execute(_STEPS_AGAIN, {**mine, "some": some, "at": due, "tried": int(tried)})


def _close(tx: Connection, slot: Slot, job_id: str, state: State) -> None:
    mine = {"customer": slot.customer_id, "job": job_id}
    left = tx.execute(_LEFT, mine).scalar_one()
    if left and state == "done":
        raise ValueError(f"job {job_id} is done but {left} of its steps are not accounted for")
    if not left:
        tx.execute(_OVER, mine)


def part(tx: Connection, slot: Slot, job_id: str, parts: Mapping[str, Collection[int]], due: Instant) -> None:
    """A job that was refused as a whole becomes unsent steps again, in the groups named for them."""
    guard(tx, slot)
    mine = {"customer": slot.customer_id, "jobs": [job_id]}
    tx.execute(_SUPERSEDED, mine)
    for group, ids in parts.items():
        for some in portions(list(ids)):
            values = {"job_id": None, "grp": group, "due": due, "tries": step.c.tries + 1}
            tx.execute(update(step).where(*_carried(slot, job_id), step.c.id.in_(some)).values(values))
    tx.execute(_GONE, mine)


def take_out(tx: Connection, slot: Slot, job_id: str, ids: Collection[int], hold: str, now: Instant) -> None:
    """These steps of an intent are unsent again, held, and as old as a decision of now; an intent without steps is
    deleted."""
    guard(tx, slot)
    for some in portions(list(ids)):
        mine = (*_carried(slot, job_id), step.c.id.in_(some))
        tx.execute(update(step).where(*mine).values(job_id=None, hold=hold, since=now))
    whole = {"customer": slot.customer_id, "job": job_id}
    if not tx.execute(_LEFT, whole).scalar_one():
        tx.execute(_OVER, whole)


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


def quiet(tx: Connection, slot: Slot) -> bool:
    """Neither is a call under way nor does a delivery wait to be read: what nearly every turn finds."""
    guard(tx, slot)
    return bool(tx.execute(_QUIET, {"customer": slot.customer_id}).scalar_one())


def job_states(tx: Connection, customer_id: str) -> dict[str, str]:
    """Every job under way with its state."""
    return {row.id: row.state for row in tx.execute(_STATES, {"customer": customer_id})}


def _read(tx: Connection, slot: Slot, row: Row[Any]) -> Job:
    found = tx.execute(_CARRYING, {"customer": slot.customer_id, "job": row.id})
    steps = tuple(map(read_step, found))
    values = (row.side, row.kind, row.grp, row.state, row.vendor_id, row.look_at, row.sent_at, row.payload)
    return Job(row.id, *values, steps)


def _delete_steps(tx: Connection, slot: Slot, job_id: str, ids: Sequence[int]) -> None:
    for some in portions(ids):
        tx.execute(_ENDED, {"customer": slot.customer_id, "job": job_id, "some": some})


def _carried(slot: Slot, job_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (step.c.customer_id == slot.customer_id, step.c.job_id == job_id)
