"""Raw webhooks as the door stored them. The door adds them with Database.append; the slot's holder reads them."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection, select, update

from keepstep.database import portions
from keepstep.schema.tables import delivery


def unread(tx: Connection, customer_id: str, limit: int = 200) -> list[dict[str, Any]]:
    """New ones, oldest first: id, platform, received, headers, body."""
    mine = select(delivery).where(delivery.c.customer_id == customer_id, delivery.c.state == "new")
    rows = tx.execute(mine.order_by(delivery.c.received, delivery.c.id).limit(limit)).mappings()
    return [dict(row) for row in rows]


def settle(tx: Connection, customer_id: str, ids: Sequence[str], state: Literal["parsed", "refused"]) -> None:
    """They were understood, or never will be."""
    for some in portions(ids):
        mine = (delivery.c.customer_id == customer_id, delivery.c.id.in_(some))
        tx.execute(update(delivery).where(*mine).values(state=state))
