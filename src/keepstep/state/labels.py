"""Which list goes with which tag: ids are the link, names are labels. state: live, paused, gone. kind: list, tag (of
the audience side), none: a tag that is no list's, under the id `tag:ID`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, bindparam, delete, select, update

from keepstep.database import portions, replacing, upsert
from keepstep.schema.tables import label


@dataclass(frozen=True, slots=True)
class Label:
    """A list and its tag. `tag_id` None: no such tag on the other side yet."""

    list_id: str
    list_name: str
    tag_id: str | None = None
    tag_name: str | None = None
    state: str = "live"
    reason: str | None = None
    kind: str = "list"


_COLUMNS = (
    label.c.list_id,
    label.c.list_name,
    label.c.tag_id,
    label.c.tag_name,
    label.c.state,
    label.c.reason,
    label.c.kind,
)
# Built once: every decision asks it.
_EVERY = select(*_COLUMNS).where(label.c.customer_id == bindparam("customer")).order_by(label.c.list_id)


def every(tx: Connection, customer_id: str) -> list[Label]:
    """All of the customer, by list id."""
    return [Label(*row) for row in tx.execute(_EVERY, {"customer": customer_id})]


def put(tx: Connection, customer_id: str, labels: Sequence[Label]) -> None:
    """Add or replace, by list id."""
    rows = [{"customer_id": customer_id, **asdict(item)} for item in labels]
    others = [column.name for column in _COLUMNS if column.name != "list_id"]
    upsert(tx, label, rows, replacing(*others))


def drop(tx: Connection, customer_id: str, list_ids: Sequence[str]) -> None:
    """Forget these: a tag that waited for a list and does no more."""
    for some in portions(list_ids):
        tx.execute(delete(label).where(label.c.customer_id == customer_id, label.c.list_id.in_(some)))


def set_state(tx: Connection, customer_id: str, list_id: str, state: str, reason: str | None = None) -> None:
    """live, paused or gone."""
    mine = (label.c.customer_id == customer_id, label.c.list_id == list_id)
    tx.execute(update(label).where(*mine).values(state=state, reason=reason))
