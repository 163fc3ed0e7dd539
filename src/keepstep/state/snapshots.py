"""Records as last read, raw."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from keepstep.database import canonical_json, portions, upsert
from keepstep.database.statements import Excluded
from keepstep.model.instant import Instant
from keepstep.schema.tables import snapshot

Reading = tuple[Mapping[str, Any], Instant, bool]

# Built once: building one costs more than running it.
_SOME = (
    snapshot.c.customer_id == bindparam("customer"),
    snapshot.c.platform == bindparam("of"),
    snapshot.c.record_id.in_(bindparam("some", expanding=True)),
)
_READ = select(snapshot.c.record_id, snapshot.c.body, snapshot.c.read_at, snapshot.c.whole).where(*_SOME)
_STORED = select(snapshot.c.record_id, snapshot.c.body, snapshot.c.read_at, snapshot.c.previous_at).where(*_SOME)
_BEFORE = select(snapshot.c.record_id, snapshot.c.previous_at).where(*_SOME, snapshot.c.previous_at.is_not(None))


def store(
    tx: Connection, customer_id: str, platform: str, rows: Sequence[tuple[str, Mapping[str, Any], Instant, bool]]
) -> list[str]:
    """Replace with what was read now: (record id, raw body, read at, whole). Returns the ids that are new or whose
    body differs.

    Of several readings of one record the last one counts, and it replaces whatever is stored: the slot's holder is the
    only
    reader, so its order is the true one even where clocks disagree.
    """
    newest = {row[0]: row for row in rows}
    known = _stored(tx, customer_id, platform, list(newest))
    differs = {key: key not in known or _differs(known[key].body, row[1]) for key, row in newest.items()}
    otherwise = {key: one.read_at if differs[key] else one.previous_at for key, one in known.items()}
    values = [
        _columns(customer_id, platform, *newest[key]) | {"previous_at": otherwise.get(key)} for key in sorted(newest)
    ]
    upsert(tx, snapshot, values, _read_again)
    return [key for key in newest if differs[key]]


def _stored(tx: Connection, customer_id: str, platform: str, record_ids: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for some in portions(record_ids):
        rows = tx.execute(_STORED, {"customer": customer_id, "of": platform, "some": some})
        found.update((row.record_id, row) for row in rows)
    return found


def previous(tx: Connection, customer_id: str, platform: str, record_ids: Sequence[str]) -> dict[str, Instant]:
    """Record id to the moment it was last read with another body than now, for those that ever were."""
    found: dict[str, Instant] = {}
    for some in portions(record_ids):
        rows = tx.execute(_BEFORE, {"customer": customer_id, "of": platform, "some": some})
        found.update((row.record_id, row.previous_at) for row in rows)
    return found


def _differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return canonical_json(before) != canonical_json(dict(after))


def _columns(
    customer_id: str, platform: str, record_id: str, body: Mapping[str, Any], read_at: Instant, whole: bool
) -> dict[str, Any]:
    key = {"customer_id": customer_id, "platform": platform, "record_id": record_id}
    return key | {"read_at": read_at, "body": dict(body), "whole": whole}


def _read_again(new: Excluded) -> dict[str, object]:
    values = {name: new[name] for name in ("read_at", "body", "whole", "previous_at")}
    return {"read_no": snapshot.c.read_no + 1, **values}


def get(tx: Connection, customer_id: str, platform: str, record_ids: Sequence[str]) -> dict[str, Reading]:
    """Record id to (raw body, read at, whole), for those that were read."""
    found: dict[str, Reading] = {}
    for some in portions(record_ids):
        for row in tx.execute(_READ, {"customer": customer_id, "of": platform, "some": some}):
            found[row.record_id] = (row.body, row.read_at, row.whole)
    return found


def count(tx: Connection, customer_id: str, platform: str) -> int:
    """How many records of the platform were read."""
    mine = (snapshot.c.customer_id == customer_id, snapshot.c.platform == platform)
    return tx.execute(select(func.count()).select_from(snapshot).where(*mine)).scalar_one()


def ids(tx: Connection, customer_id: str, platform: str, after: str = "", limit: int = 1000) -> list[str]:
    """Record ids in order, those after `after`."""
    mine = (snapshot.c.customer_id == customer_id, snapshot.c.platform == platform, snapshot.c.record_id > after)
    page = select(snapshot.c.record_id).where(*mine).order_by(snapshot.c.record_id).limit(limit)
    return list(tx.execute(page).scalars())


def unread_since(tx: Connection, customer_id: str, platform: str, since: Instant, limit: int = 1000) -> list[str]:
    """Records not read since: what a complete sweep that began then did not find."""
    mine = (snapshot.c.customer_id == customer_id, snapshot.c.platform == platform, snapshot.c.read_at < since)
    page = select(snapshot.c.record_id).where(*mine).order_by(snapshot.c.record_id).limit(limit)
    return list(tx.execute(page).scalars())
