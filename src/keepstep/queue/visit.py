"""A person's word between two turns: what a command changes, it changes as the slot's holder would."""

from sqlalchemy import Connection, bindparam, select, update

from keepstep.model.errors import Transient
from keepstep.model.instant import Instant
from keepstep.queue.slots import Slot, lock
from keepstep.schema.tables import slot

# Built once: every command asks these.
_MINE = slot.c.customer_id == bindparam("customer")
_LEASED = select(slot.c.lease_until).where(_MINE)
_FENCED = update(slot).where(_MINE).values(fence=slot.c.fence + 1)


class UnderWay(Transient):
    """A turn of this customer is under way: it would store what it read before, so the command must come back."""


def visit(tx: Connection, customer_id: str, now: Instant) -> None:
    """Hold the slot for the rest of this transaction; works for paused customers too. Raises UnderWay.

    Whoever held it before and went silent is fenced out: its decisions were made without what changes here.
    """
    lock(tx, customer_id)
    if tx.execute(_LEASED, {"customer": customer_id}).scalar_one() > now:
        raise UnderWay("a turn is under way")
    tx.execute(_FENCED, {"customer": customer_id})


def occupy(tx: Connection, customer_id: str, holder: str, now: Instant, lease: float) -> Slot:
    """The slot of a customer who is paused, for reads that must come before it works again. Raises UnderWay."""
    visit(tx, customer_id, now)
    mine = slot.c.customer_id == customer_id
    tx.execute(update(slot).where(mine).values(lease_until=now + lease, holder=holder))
    fence = tx.execute(select(slot.c.fence).where(mine)).scalar_one()
    return Slot(customer_id, fence, now + lease, holder)
