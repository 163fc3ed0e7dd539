"""Which installation a connection belongs to. A copy of the database that runs elsewhere must neither use up a grant
whose refresh tokens work once (CC facts 2.4) nor write to anybody's account."""

from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import bindparam, select, update

from keepstep.database.identity import identity
from keepstep.schema.tables import connection
from keepstep.state import places

COPIED = "copied"
_NAME = "installation"
_MINE = (connection.c.customer_id == bindparam("customer"), connection.c.platform == bindparam("of"))
_DATA = select(connection.c.data).where(*_MINE)
_TOLD = update(connection).where(*_MINE).values(data=bindparam("whole"))


def belongs(tx: Tx, customer_id: str, platform: str) -> bool:
    """Does the connection belong to this database? One that belongs to none belongs to this one from now on."""
    here = identity(tx)
    if here is None:
        return True
    data = tx.execute(_DATA, {"customer": customer_id, "of": platform}).scalar_one_or_none()
    if data is not None and data.get(_NAME) is None:
        claim(tx, customer_id, platform)
        return True
    return data is None or data[_NAME] == here


def claim(tx: Tx, customer_id: str, platform: str) -> None:
    """The connection belongs to this database. Slot first."""
    places.lock(tx, customer_id)
    data: Any = tx.execute(_DATA, {"customer": customer_id, "of": platform}).scalar_one_or_none()
    here = identity(tx)
    if data is not None and here is not None:
        whole = {**data, _NAME: here}
        tx.execute(_TOLD, {"customer": customer_id, "of": platform, "whole": whole})
