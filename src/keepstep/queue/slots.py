"""The slot: one row a customer, its mutex for both directions together. Who claims it gets a fence that no one had
before."""

from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    ColumnElement,
    Connection,
    RootTransaction,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy import exists as sql_exists
from sqlalchemy.sql.dml import ReturningUpdate

from keepstep.database import upsert
from keepstep.model.change import REPLACING, Lane
from keepstep.model.errors import Problem
from keepstep.model.instant import Instant
from keepstep.schema.tables import customer, delivery, entry, is_new, job, mark, slot, step
from keepstep.state.places import KEEPER


class Fenced(Problem):
    """Somebody else holds the slot now: nothing of this turn may be stored or sent any more."""


class Paused(Fenced):
    """The customer was paused during the turn: no call may be made. The slot is still ours to release."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A claimed slot. No call may be sent that could end after `lease_until`."""

    customer_id: str
    fence: int
    lease_until: Instant
    holder: str


# Statements of every turn are built once: building one costs more than running it.
_LOCKED = select(slot.c.wake, slot.c.fence).where(slot.c.customer_id == bindparam("customer")).with_for_update()
_WOKEN = update(slot).where(slot.c.customer_id == bindparam("customer")).values(wake=bindparam("at"))
_STATE = select(customer.c.state).where(customer.c.customer_id == bindparam("customer"))
# Which slot a transaction has locked and checked: the lock lasts until its end, so the second check would be a wasted
# round trip.
_guarded: "WeakKeyDictionary[RootTransaction, tuple[str, int]]" = WeakKeyDictionary()


def lock(tx: Connection, customer_id: str) -> Instant | None:
    """Lock the customer's slot, made if missing; returns `wake`."""
    row = tx.execute(_LOCKED, {"customer": customer_id}).first()
    if row is None:
        upsert(tx, slot, [{"customer_id": customer_id}])
        row = tx.execute(_LOCKED, {"customer": customer_id}).one()
    found: Instant | None = row.wake
    return found


def wake(tx: Connection, customer_id: str, at: Instant) -> None:
    """The slot is due at `at` or earlier."""
    known = lock(tx, customer_id)
    if known is None or known > at:
        tx.execute(_WOKEN, {"customer": customer_id, "at": at})


def claim(tx: Connection, holder: str, now: Instant, lease: float, customer_id: str | None = None) -> Slot | None:
    """The slot that has been due longest and is free, of an active customer, locked for `lease` seconds; None if there
    is none.

    A slot is also due when a delivery waits that nobody read: the door's append touches no slot and may die before it
    wakes one.
    """
    values: dict[str, object] = {"now": now, "until": now + lease, "by": holder}
    if customer_id is not None:
        values["customer"] = customer_id
    for why in ("wake", "unread"):
        found = tx.execute(_CLAIMED[why, customer_id is None], values).first()
        if found is not None:
            claimed = Slot(found.customer_id, found.fence, now + lease, holder)
            _remember(tx, claimed)
            return claimed
    return None


def _claim(why: str, anybody: bool) -> ReturningUpdate[Any]:
    """In one statement: the inner select locks one free slot, passing over those that others are claiming."""
    free = slot.alias("free")
    # The customer is read apart from the lock: who pauses locks the customer row, never the slot.
    active = sql_exists().where(customer.c.customer_id == free.c.customer_id, customer.c.state == "active")
    news = sql_exists().where(delivery.c.customer_id == free.c.customer_id, is_new)
    now = bindparam("now", type_=slot.c.wake.type)
    due = free.c.wake <= now if why == "wake" else news
    wanted = select(free.c.customer_id).where(due, free.c.lease_until <= now, active)
    if not anybody:
        wanted = wanted.where(free.c.customer_id == bindparam("customer"))
    first = wanted.order_by(free.c.wake, free.c.customer_id).limit(1).with_for_update(skip_locked=True, of=free)
    values = {"fence": slot.c.fence + 1, "lease_until": bindparam("until"), "holder": bindparam("by")}
    mine = slot.c.customer_id == first.scalar_subquery()
    return update(slot).where(mine).values(**values).returning(slot.c.customer_id, slot.c.fence)


_CLAIMED = {(why, anybody): _claim(why, anybody) for why in ("wake", "unread") for anybody in (True, False)}


def guard(tx: Connection, held: Slot) -> None:
    """Lock the slot and make sure it is still ours, once a transaction. Raises Fenced."""
    key = (held.customer_id, held.fence)
    if _guarded.get(_transaction(tx)) == key:
        return
    row = tx.execute(_LOCKED, {"customer": held.customer_id}).first()
    if row is None or row.fence != held.fence:
        raise Fenced(f"slot of {held.customer_id}: fence {held.fence} is no longer the newest")
    _remember(tx, held)


def guard_active(tx: Connection, held: Slot) -> None:
    """The same, and the customer is not paused. Raises Fenced or Paused."""
    guard(tx, held)
    state = tx.execute(_STATE, {"customer": held.customer_id}).scalar_one_or_none()
    if state != "active":
        raise Paused(f"customer {held.customer_id} is paused")


def _transaction(tx: Connection) -> RootTransaction:
    transaction = tx.get_transaction()
    if transaction is None:
        raise RuntimeError("queue functions need a transaction")
    return transaction


def _remember(tx: Connection, held: Slot) -> None:
    _guarded[_transaction(tx)] = (held.customer_id, held.fence)


def renew(tx: Connection, held: Slot, now: Instant, lease: float) -> Slot:
    """The same slot, ours for `lease` seconds from now. Raises Fenced."""
    guard(tx, held)
    tx.execute(update(slot).where(slot.c.customer_id == held.customer_id).values(lease_until=now + lease))
    return replace(held, lease_until=now + lease)


def expire_leases(tx: Connection, at: Instant) -> None:
    """Leases end no later than `at`: for a process that knows that every other worker is dead. The keeper of secrets
    may be a command beside it."""
    workers = slot.c.customer_id != KEEPER
    tx.execute(update(slot).where(slot.c.lease_until > at, workers).values(lease_until=at))


def release(tx: Connection, held: Slot, now: Instant) -> Instant | None:
    """Free the slot; returns when it is due next, None if nothing waits. Raises Fenced.

    The lock is a statement of its own, before. A statement that waits for a lock keeps the snapshot it began with, so
    `min(due)` inside it would not see an entry that was committed while it waited, and that entry would sleep for ever.
    """
    guard(tx, held)
    found: Instant | None = tx.execute(_RELEASED, {"customer": held.customer_id, "now": now}).scalar_one()
    return found


def rest(tx: Connection, held: Slot, now: Instant) -> bool:
    """Free the slot where no entry is due and no step waits that no job carries, held ones included; False where there
    is work. Raises Fenced."""
    guard(tx, held)
    return tx.execute(_RESTED, {"customer": held.customer_id, "now": now}).first() is not None


def sendable(customer_id: str | ColumnElement[str]) -> ColumnElement[bool]:
    """Unsent, not held, and no job under way writes the same target. Consent steps wait for no job but for one that
    replaces the same record and was never answered: it may still come, and overwrite whatever is written meanwhile."""
    flying = step.alias("flying")
    in_flight = sql_exists().where(
        flying.c.customer_id == step.c.customer_id,
        flying.c.party_id == step.c.party_id,
        flying.c.side == step.c.side,
        flying.c.target == step.c.target,
        # Not `is_not(None)`: SQLite takes that for a range, and reads all steps under way for every one that waits.
        flying.c.job_id != "",
    )
    lost = step.alias("lost")
    unanswered = sql_exists().where(
        lost.c.customer_id == step.c.customer_id,
        lost.c.party_id == step.c.party_id,
        lost.c.side == step.c.side,
        lost.c.member == step.c.member,
        lost.c.kind.in_(REPLACING),
        job.c.customer_id == lost.c.customer_id,
        job.c.id == lost.c.job_id,
        job.c.state.in_(("sent", "unknown")),
    )
    free = and_(or_(step.c.lane == int(Lane.consent), ~in_flight), ~unanswered)
    return and_(step.c.customer_id == customer_id, step.c.job_id.is_(None), step.c.hold.is_(None), free)


def _freed(*idle: ColumnElement[bool]) -> ReturningUpdate[Any]:
    who, now = bindparam("customer", type_=slot.c.customer_id.type), bindparam("now", type_=slot.c.wake.type)
    news = sql_exists().where(delivery.c.customer_id == who, is_new)
    moments = union_all(
        select(func.min(entry.c.due).label("at")).where(entry.c.customer_id == who),
        select(func.min(step.c.due)).where(sendable(who)),
        select(func.min(func.coalesce(job.c.look_at, now))).where(job.c.customer_id == who),
        select(func.min(mark.c.due)).where(mark.c.customer_id == who),
        select(now).where(news),
    ).subquery("moments")
    at = select(func.min(moments.c.at)).scalar_subquery()
    freed = update(slot).where(slot.c.customer_id == who, *idle).values(wake=at, lease_until=0.0, holder=None)
    return freed.returning(slot.c.wake)


_DUE = sql_exists().where(entry.c.customer_id == bindparam("customer"), entry.c.due <= bindparam("now"))
_UNSENT = sql_exists().where(step.c.customer_id == bindparam("customer"), step.c.job_id.is_(None))
_RELEASED, _RESTED = _freed(), _freed(~_DUE, ~_UNSENT)


def _next_claim() -> Select[Any]:
    active = sql_exists().where(customer.c.customer_id == slot.c.customer_id, customer.c.state == "active")
    news = sql_exists().where(delivery.c.customer_id == slot.c.customer_id, is_new)
    after_lease = or_(slot.c.lease_until > slot.c.wake, news)
    at = case((after_lease, slot.c.lease_until), else_=slot.c.wake)
    return select(func.min(at)).where(active, or_(slot.c.wake.is_not(None), news))


_NEXT_CLAIM = _next_claim()


def next_claim(tx: Connection) -> Instant | None:
    """When the next slot of an active customer can be claimed; None if none will be without new work."""
    found: Instant | None = tx.execute(_NEXT_CLAIM).scalar_one()
    return found
