"""The consent ledger's chain: each row holds the seal of the row before it, of the same customer, and its own.

A row that was changed no longer fits its seal, one that is missing or was put in breaks the link after it. Who may
write the tables can forge the whole chain: the nightly certificates hold how long it was and how it ended.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from keepstep.database import canonical_json
from keepstep.schema.tables import act

# Migration 0003 seals old rows by the same words, in the same order.
SEALED = (
    *("customer_id", "party_id", "platform", "record_id", "address_hash", "kind", "direction"),
    *("after", "before", "at", "source", "evidence", "seen_at"),
)
INSTANTS = ("after", "before", "at", "seen_at")
PAGE = 2000


def seal(row: Mapping[str, Any], previous: str) -> str:
    """What stands for this row and all before it."""
    said = {name: row[name] for name in SEALED}
    said |= {name: None if row[name] is None else float(row[name]) for name in INSTANTS}
    return hashlib.sha256((previous + canonical_json(said)).encode()).hexdigest()


def head(tx: Connection, customer_id: str) -> str:
    """The newest row's seal; empty where there is no row."""
    newest = select(act.c.seal).where(act.c.customer_id == customer_id).order_by(act.c.id.desc()).limit(1)
    return tx.execute(newest).scalar_one_or_none() or ""


def linked(rows: list[dict[str, Any]], previous: str) -> list[dict[str, Any]]:
    """New rows in the order in which they are added, each with the seal of the one before and its own."""
    found = []
    for row in rows:
        own = seal(row, previous)
        found.append({**row, "previous": previous, "seal": own})
        previous = own
    return found


@dataclass(frozen=True, slots=True)
class Break:
    """What is wrong at a row. what: changed, inserted, or missing (before this row; of the end, `row` is None)."""

    row: int | None
    what: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A ledger as it was found. `breaks` is empty where it is whole."""

    rows: int
    head: str
    breaks: tuple[Break, ...]


def check(tx: Connection, customer_id: str, ended: str | None = None) -> Chain:
    """Follow the whole chain. `ended`: a seal that a certificate once gave as its end, which must still be in it.

    What is left of a customer that was erased earlier stands first, without record or person, and proves nothing.
    """
    count, before, earlier = 0, "", ""
    breaks: list[Break] = []
    held = ended in (None, "")
    last: int | None = None
    for row in _rows(tx, customer_id):
        if not row["record_id"]:
            before = earlier = row["seal"]
            continue
        count += 1
        if seal(row, row["previous"]) != row["seal"]:
            breaks.append(Break(row["id"], "changed"))
        elif row["previous"] != before:
            inserted = last is not None and row["previous"] == earlier
            breaks.append(Break(last if inserted else row["id"], "inserted" if inserted else "missing"))
        held = held or row["seal"] == ended
        before, earlier, last = row["seal"], before, row["id"]
    if not held:
        breaks.append(Break(None, "missing"))
    return Chain(count, before, tuple(breaks))


def _rows(tx: Connection, customer_id: str) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        page = select(act).where(act.c.customer_id == customer_id, act.c.id > after).order_by(act.c.id).limit(PAGE)
        rows = [dict(row) for row in tx.execute(page).mappings()]
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1]["id"]
