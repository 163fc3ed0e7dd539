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
    update,
)
from sqlalchemy import exists as sql_exists

from keepstep.database import upsert
from keepstep.model.change import REPLACING, Lane
from keepstep.model.errors import Problem
from keepstep.model.instant import Instant
from keepstep.schema.tables import customer, delivery, entry, job, mark, slot, step


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
_CLAIMED = (
    update(slot)
    .where(slot.c.customer_id == bindparam("customer"))
    .values(fence=slot.c.fence + 1, lease_until=bindparam("until"), holder=bindparam("by"))
    .returning(slot.c.fence)
)
_WOKEN = update(slot).where(slot.c.customer_id == bindparam("customer")).values(wake=bindparam("at"))
_STATE = select(customer.c.state).where(customer.c.customer_id == bindparam("customer"))
_RELEASED = (
    update(slot)
    .where(slot.c.customer_id == bindparam("customer"))
    .values(wake=bindparam("at"), lease_until=0.0, holder=None)
)

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
    found = _first_due(tx, "wake", now, customer_id)
    if found is None:
        found = _first_due(tx, "unread", now, customer_id)
    if found is None:
        return None
    fence = tx.execute(_CLAIMED, {"customer": found, "until": now + lease, "by": holder}).scalar_one()
    claimed = Slot(found, fence, now + lease, holder)
    _remember(tx, claimed)
    return claimed


def _first_due(tx: Connection, why: str, now: Instant, customer_id: str | None) -> str | None:
    values: dict[str, object] = {"now": now} if customer_id is None else {"now": now, "customer": customer_id}
    found: str | None = tx.execute(_FIRST_DUE[why, customer_id is None], values).scalar_one_or_none()
    return found


def _due_first(why: str, anybody: bool) -> Select[Any]:
    # The customer is read apart from the lock: who pauses locks the customer row, never the slot.
    active = sql_exists().where(customer.c.customer_id == slot.c.customer_id, customer.c.state == "active")
    unread = sql_exists().where(delivery.c.customer_id == slot.c.customer_id, delivery.c.state == "new")
    now = bindparam("now", type_=slot.c.wake.type)
    due = slot.c.wake <= now if why == "wake" else unread
    wanted = select(slot.c.customer_id).where(due, slot.c.lease_until <= now, active)
    if not anybody:
        wanted = wanted.where(slot.c.customer_id == bindparam("customer"))
    return wanted.order_by(slot.c.wake, slot.c.customer_id).limit(1).with_for_update(skip_locked=True, of=slot)


_FIRST_DUE = {(why, anybody): _due_first(why, anybody) for why in ("wake", "unread") for anybody in (True, False)}


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
    """Leases end no later than `at`: for a process that knows that every other holder is dead."""
    tx.execute(update(slot).where(slot.c.lease_until > at).values(lease_until=at))


def release(tx: Connection, held: Slot, now: Instant) -> Instant | None:
    """Free the slot; returns when it is due next, None if nothing waits. Raises Fenced.

    The lock is a statement of its own. A statement that waits for a lock keeps the snapshot it began with, so
    `min(due)` inside the UPDATE
    would not see an entry that was committed while it waited, and that entry would sleep for ever.
    """
    guard(tx, held)
    due = tx.execute(_NEXT_DUE, {"customer": held.customer_id, "now": now}).one()
    at = min((moment for moment in due if moment is not None), default=None)
    tx.execute(_RELEASED, {"customer": held.customer_id, "at": at})
    return at


def sendable(customer_id: str | ColumnElement[str]) -> ColumnElement[bool]:
    """Unsent, not held, and no job under way writes the same target. Consent steps wait for no job but for one that
    replaces the same record and was never answered: it may still come, and overwrite whatever is written meanwhile."""
    flying = step.alias("flying")
    in_flight = sql_exists().where(
        flying.c.customer_id == step.c.customer_id,
        flying.c.party_id == step.c.party_id,
        flying.c.side == step.c.side,
        flying.c.target == step.c.target,
        flying.c.job_id.is_not(None),
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


def _next_due() -> Select[Any]:
    who, now = bindparam("customer", type_=slot.c.customer_id.type), bindparam("now", type_=slot.c.wake.type)
    unread = sql_exists().where(delivery.c.customer_id == who, delivery.c.state == "new")
    moments: list[ColumnElement[Instant | None]] = [
        select(func.min(entry.c.due)).where(entry.c.customer_id == who).scalar_subquery(),
        select(func.min(step.c.due)).where(sendable(who)).scalar_subquery(),
        select(func.min(func.coalesce(job.c.look_at, now))).where(job.c.customer_id == who).scalar_subquery(),
        select(func.min(mark.c.due)).where(mark.c.customer_id == who).scalar_subquery(),
        case((unread, now)),
    ]
    found: Select[Any] = select(*moments)  # type: ignore[assignment]  # the overloads end at ten columns
    return found


def _next_claim() -> Select[Any]:
    active = sql_exists().where(customer.c.customer_id == slot.c.customer_id, customer.c.state == "active")
    at = case((slot.c.lease_until > slot.c.wake, slot.c.lease_until), else_=slot.c.wake)
    return select(func.min(at)).where(active, slot.c.wake.is_not(None))


_NEXT_DUE, _NEXT_CLAIM = _next_due(), _next_claim()


def next_claim(tx: Connection) -> Instant | None:
    """When the next slot of an active customer can be claimed; None if none will be without new work."""
    found: Instant | None = tx.execute(_NEXT_CLAIM).scalar_one()
    return found
