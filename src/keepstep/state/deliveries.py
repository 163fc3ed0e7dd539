"""Raw webhooks as the door stored them. The door adds them with Database.append; the slot's holder reads them."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Integer, bindparam, func, select, update

from keepstep.database import portions
from keepstep.schema.tables import delivery, is_new

# Built once: every turn asks these.
_SETTLED = (
    update(delivery)
    .where(delivery.c.customer_id == bindparam("customer"), delivery.c.id.in_(bindparam("some", expanding=True)))
    .values(state=bindparam("to"))
)
_UNREAD = (
    select(delivery)
    .where(
        delivery.c.customer_id == bindparam("customer"),
        delivery.c.platform == bindparam("of"),
        is_new,
    )
    .order_by(delivery.c.received, delivery.c.id)
    .limit(bindparam("most", type_=Integer))
)

_WAITING = select(delivery.c.platform).where(delivery.c.customer_id == bindparam("customer"), is_new).distinct()


def waiting(tx: Connection, customer_id: str) -> list[str]:
    """The platforms that have new ones."""
    return sorted(tx.execute(_WAITING, {"customer": customer_id}).scalars())


def unread(tx: Connection, customer_id: str, platform: str, limit: int = 200) -> list[dict[str, Any]]:
    """New ones of a platform, oldest first: id, platform, received, headers, body."""
    these = {"customer": customer_id, "of": platform, "most": limit}
    return [dict(row) for row in tx.execute(_UNREAD, these).mappings()]


def settle(tx: Connection, customer_id: str, ids: Sequence[str], state: Literal["parsed", "refused"]) -> None:
    """They were understood, or never will be."""
    for some in portions(ids):
        tx.execute(_SETTLED, {"customer": customer_id, "some": some, "to": state})


def set_aside(tx: Connection, customer_id: str, platform: str) -> None:
    """They cannot be read now: without this an unread delivery would keep its slot due, turn after turn."""
    _moved(tx, customer_id, platform, "new", "aside")


def put_back(tx: Connection, customer_id: str, platform: str) -> None:
    """Those set aside are unread again."""
    _moved(tx, customer_id, platform, "aside", "new")


def _moved(tx: Connection, customer_id: str, platform: str, before: str, after: str) -> None:
    mine = (delivery.c.customer_id == customer_id, delivery.c.platform == platform, delivery.c.state == before)
    tx.execute(update(delivery).where(*mine).values(state=after))


def counts(tx: Connection, customer_id: str) -> dict[str, int]:
    """How many there are by state; the door stores none whose signature it does not believe."""
    mine = select(delivery.c.state, func.count()).where(delivery.c.customer_id == customer_id)
    return {row[0]: row[1] for row in tx.execute(mine.group_by(delivery.c.state))}


def latest(tx: Connection, platform: str, limit: int) -> list[dict[str, Any]]:
    """The newest of a platform, everybody's, newest first."""
    mine = select(delivery).where(delivery.c.platform == platform)
    rows = tx.execute(mine.order_by(delivery.c.received.desc(), delivery.c.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]
