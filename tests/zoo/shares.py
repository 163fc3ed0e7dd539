"""A mistake with fair shares: I28."""

from pytest import MonkeyPatch
from sqlalchemy import bindparam, select, update

from keepstep.queue import slots
from keepstep.schema.tables import customer, slot


def the_same_one_again(patch: MonkeyPatch) -> None:
    """I28: of the customers that are due the first by name is served, however long another one has waited."""
    free = slot.alias("free")
    active = select(customer.c.customer_id).where(customer.c.state == "active")
    due = (free.c.wake <= bindparam("now"), free.c.lease_until <= bindparam("now"), free.c.customer_id.in_(active))
    first = select(free.c.customer_id).where(*due).order_by(free.c.customer_id).limit(1)
    values = {"fence": slot.c.fence + 1, "lease_until": bindparam("until"), "holder": bindparam("by")}
    mine = slot.c.customer_id == first.scalar_subquery()
    claimed = update(slot).where(mine).values(**values).returning(slot.c.customer_id, slot.c.fence)
    patch.setattr(slots, "_CLAIMED", {**slots._CLAIMED, ("wake", True): claimed})
