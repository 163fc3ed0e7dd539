"""What happened and why: rows are added, never changed. A row of kind `merged` with data {"from": party id} carries a
party's past over."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from keepstep.model.instant import Instant
from keepstep.schema.tables import alias, journal

Line = tuple[Instant, str | None, str, Mapping[str, Any] | None]

# An opt-out that a write of ours fell upon.
RACED = "raced_optout"
# Whole parties, or single people of one, became part of another; `from` is where they were before.
CAME = ("merged", "moved")

# Built once: building one costs more than running it, and every decision and every round asks these.
_ADDED = insert(journal)
_MINE = select(journal).where(journal.c.customer_id == bindparam("customer"))
_OF_KIND_SINCE = _MINE.where(journal.c.kind == bindparam("word"), journal.c.at >= bindparam("moment")).order_by(
    journal.c.id
)


def append(tx: Connection, customer_id: str, lines: Sequence[Line]) -> None:
    """Add lines: (at, party id, kind, data)."""
    names = ("at", "party_id", "kind", "data")
    rows = [{"customer_id": customer_id, **dict(zip(names, line, strict=True))} for line in lines]
    if rows:
        tx.execute(_ADDED, rows)


def of_party(tx: Connection, customer_id: str, party_id: str, until: Instant | None = None) -> list[dict[str, Any]]:
    """The lines of a party, of those merged into it and of those that people came from, until they came; in the order
    they were added, up to and including `until`."""
    found: dict[int, dict[str, Any]] = {}
    asked: set[str] = set()
    ask: list[tuple[str, int | None]] = [(party_id, None)]
    while ask:
        one, last = ask.pop(0)
        asked.add(one)
        for row in _lines(tx, customer_id, one):
            if last is not None and row["id"] > last:
                break
            found[row["id"]] = row
            if row["kind"] in CAME and row["data"] and row["data"].get("from") not in {None, *asked}:
                ask.append((row["data"]["from"], row["id"] if row["kind"] == "moved" else None))
    return [found[key] for key in sorted(found) if until is None or found[key]["at"] <= until]


def _lines(tx: Connection, customer_id: str, party_id: str) -> list[dict[str, Any]]:
    mine = select(journal).where(journal.c.customer_id == customer_id, journal.c.party_id == party_id)
    return [dict(row) for row in tx.execute(mine.order_by(journal.c.id)).mappings()]


def of_record(
    tx: Connection, customer_id: str, platform: str, record_id: str, until: Instant | None = None
) -> list[dict[str, Any]]:
    """The lines of the party that a record belongs to; none if it belongs to nobody."""
    mine = (alias.c.customer_id == customer_id, alias.c.platform == platform, alias.c.record_id == record_id)
    party_id = tx.execute(select(alias.c.party_id).where(*mine)).scalar_one_or_none()
    return [] if party_id is None else of_party(tx, customer_id, party_id, until)


def latest(tx: Connection, customer_id: str, kinds: Sequence[str] = (), limit: int = 100) -> list[dict[str, Any]]:
    """The newest lines first, of some kinds or of all."""
    mine = select(journal).where(journal.c.customer_id == customer_id)
    if kinds:
        mine = mine.where(journal.c.kind.in_(kinds))
    return [dict(row) for row in tx.execute(mine.order_by(journal.c.id.desc()).limit(limit)).mappings()]


def count(tx: Connection, customer_id: str, kind: str) -> int:
    """How many lines of a kind there are."""
    mine = select(func.count()).where(journal.c.customer_id == customer_id, journal.c.kind == kind)
    return int(tx.execute(mine).scalar_one())


def since(tx: Connection, customer_id: str, kind: str, at: Instant, side: str | None = None) -> list[dict[str, Any]]:
    """The lines of a kind since a moment, of one side where it is named, oldest first."""
    rows = tx.execute(_OF_KIND_SINCE, {"customer": customer_id, "word": kind, "moment": at}).mappings()
    return [dict(row) for row in rows if side is None or (row["data"] or {}).get("side") == side]
