"""What the journal's lines are about, as it was: readings, and parties with what was decided of them. Rows are added,
never changed. They hold personal data and go with their customer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from keepstep.database import portions
from keepstep.model.instant import Instant
from keepstep.schema.tables import history

READING = "reading"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One thing as it was. kind: reading (of `platform` and `record_id`), decided (the party, the steps wanted, the
    notes), or settled (the party after a call, and the steps that are done)."""

    at: Instant
    party_id: str
    kind: str
    body: Mapping[str, Any]
    platform: str | None = None
    record_id: str | None = None


_NAMES = ("at", "party_id", "kind", "body", "platform", "record_id")
_COLUMNS = tuple(history.c[name] for name in _NAMES)
# Built once: every decision asks these.
_ADDED = insert(history)
_NEWEST = (
    select(func.max(history.c.id))
    .where(
        history.c.customer_id == bindparam("customer"),
        history.c.party_id.in_(bindparam("some", expanding=True)),
        history.c.kind != READING,
    )
    .group_by(history.c.party_id)
)
_LATEST = select(*_COLUMNS).where(history.c.id.in_(_NEWEST))


def append(tx: Connection, customer_id: str, rows: Sequence[Past]) -> None:
    """Add rows."""
    if rows:
        tx.execute(_ADDED, [{"customer_id": customer_id, **{n: getattr(row, n) for n in _NAMES}} for row in rows])


def latest(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[str, Past]:
    """Party id to the last row that is no reading; parties without any are not in the answer."""
    found: dict[str, Past] = {}
    for some in portions(party_ids):
        for row in tx.execute(_LATEST, {"customer": customer_id, "some": some}):
            found[row.party_id] = Past(**row._mapping)
    return found


def of_party(tx: Connection, customer_id: str, party_ids: Sequence[str], until: Instant) -> list[Past]:
    """Every row of these parties up to and including a moment, in the order they were added."""
    found: list[tuple[int, Past]] = []
    for some in portions(party_ids):
        mine = (history.c.customer_id == customer_id, history.c.party_id.in_(some), history.c.at <= until)
        rows = tx.execute(select(history.c.id, *_COLUMNS).where(*mine))
        found += [(row.id, Past(**{name: row._mapping[name] for name in _NAMES})) for row in rows]
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]
