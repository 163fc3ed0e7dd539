"""Polls and chores: the high-water mark, the place inside a round, the next time to run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from keepstep.database import replacing, upsert
from keepstep.model.instant import Instant
from keepstep.schema.tables import mark


@dataclass(frozen=True, slots=True)
class Mark:
    """A chore of a platform. `mark` is in the source's time, `cursor` None between rounds, `due` None for never."""

    platform: str
    name: str
    mark: Instant | None = None
    cursor: str | None = None
    due: Instant | None = None
    data: Mapping[str, Any] | None = None


_COLUMNS = (mark.c.platform, mark.c.name, mark.c.mark, mark.c.cursor, mark.c.due, mark.c.data)
# Built once: every turn asks these.
_MINE = select(*_COLUMNS).where(mark.c.customer_id == bindparam("customer"))
_ONE = _MINE.where(mark.c.platform == bindparam("of"), mark.c.name == bindparam("named"))
_NAMED = _MINE.where(mark.c.platform == bindparam("of"), mark.c.name.in_(bindparam("names", expanding=True)))
_EVERY = _MINE.order_by(mark.c.platform, mark.c.name)


def get(tx: Connection, customer_id: str, platform: str, name: str) -> Mark:
    """The chore as it stands; one that never ran has nothing set."""
    row = tx.execute(_ONE, {"customer": customer_id, "of": platform, "named": name}).first()
    return Mark(platform, name) if row is None else Mark(*row)


def named(tx: Connection, customer_id: str, platform: str, names: Sequence[str]) -> list[Mark]:
    """The same of several chores of a platform, in the order of their names as given."""
    asked = {"customer": customer_id, "of": platform, "names": list(names)}
    found = {one.name: one for one in (Mark(*row) for row in tx.execute(_NAMED, asked))}
    return [found.get(name) or Mark(platform, name) for name in names]


def put(tx: Connection, customer_id: str, item: Mark) -> None:
    """Store a chore as given. Whoever does not hold the slot wakes it as well."""
    row = {"mark": item.mark, "cursor": item.cursor, "due": item.due, "data": None}
    if item.data is not None:
        row["data"] = dict(item.data)  # type: ignore[assignment]
    key = {"customer_id": customer_id, "platform": item.platform, "name": item.name}
    upsert(tx, mark, [key | row], replacing(*row))


def drop(tx: Connection, customer_id: str, platform: str, name: str) -> None:
    """Forget a chore."""
    mine = (mark.c.customer_id == customer_id, mark.c.platform == platform, mark.c.name == name)
    tx.execute(delete(mark).where(*mine))


def every(tx: Connection, customer_id: str) -> list[Mark]:
    """All chores of the customer."""
    return [Mark(*row) for row in tx.execute(_EVERY, {"customer": customer_id})]
