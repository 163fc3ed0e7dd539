"""Which installation a connection belongs to. A copy of the database that runs elsewhere must neither use up a grant
whose refresh tokens work once (CC facts 2.4) nor write to anybody's account."""

from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import select, update

from keepstep.database.identity import identity
from keepstep.schema.tables import connection, slot

COPIED = "copied"
_NAME = "installation"


def belongs(tx: Tx, customer_id: str, platform: str) -> bool:
    """Does the connection belong to this database? One that belongs to none belongs to this one from now on."""
    here = identity(tx)
    if here is None:
        return True
    data = tx.execute(select(connection.c.data).where(*_place(customer_id, platform))).scalar_one_or_none()
    if data is not None and data.get(_NAME) is None:
        claim(tx, customer_id, platform)
        return True
    return data is None or data[_NAME] == here


def claim(tx: Tx, customer_id: str, platform: str) -> None:
    """The connection belongs to this database. Slot first."""
    tx.execute(select(slot.c.fence).where(slot.c.customer_id == customer_id).with_for_update())
    data: Any = tx.execute(select(connection.c.data).where(*_place(customer_id, platform))).scalar_one_or_none()
    here = identity(tx)
    if data is not None and here is not None:
        whole = {**data, _NAME: here}
        tx.execute(update(connection).where(*_place(customer_id, platform)).values(data=whole))


def _place(customer_id: str, platform: str) -> tuple[Any, ...]:
    return connection.c.customer_id == customer_id, connection.c.platform == platform
