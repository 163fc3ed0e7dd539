"""The consent ledger's chain: each row holds the seal of the row before it, of the same customer, and its own.

A row that was changed no longer fits its seal, one that is missing or was put in breaks the link after it. Who may
write the tables can forge the whole chain: the nightly certificates hold how long it was and how it ended.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Walk:
    """How far a ledger was followed: the last row and its seal, and what was found. `earlier`: the seal before the last
    one; `held`: the seal that was looked for was met; `whole`: there are no more rows."""

    rows: int = 0
    after: int = 0
    head: str = ""
    earlier: str = ""
    last: int | None = None
    held: bool = False
    whole: bool = False
    breaks: tuple[Break, ...] = ()


def check(tx: Connection, customer_id: str, ended: str | None = None) -> Chain:
    """Follow the whole chain, a portion of it in memory at a time. `ended`: see `follow`."""
    walk = Walk()
    while not walk.whole:
        walk = follow(tx, customer_id, walk, ended)
    return found(walk, ended)


def follow(tx: Connection, customer_id: str, walk: Walk, ended: str | None = None) -> Walk:
    """Follow the chain for one portion more. `ended`: a seal that a certificate once gave as its end, which must still
    be in it.

    What is left of a customer that was erased earlier stands first, without record or person, and proves nothing.
    """
    mine = (act.c.customer_id == customer_id, act.c.id > walk.after)
    rows = tx.execute(select(act).where(*mine).order_by(act.c.id).limit(PAGE)).mappings().all()
    for row in rows:
        walk = _followed(walk, dict(row), ended)
    return replace(walk, whole=len(rows) < PAGE)


def found(walk: Walk, ended: str | None = None) -> Chain:
    """What a walk to the end has found."""
    lost = not (walk.held or ended in (None, ""))
    return Chain(walk.rows, walk.head, (*walk.breaks, Break(None, "missing")) if lost else walk.breaks)


def _followed(walk: Walk, row: Mapping[str, Any], ended: str | None) -> Walk:
    own = row["seal"]
    if not row["record_id"]:
        return replace(walk, after=row["id"], head=own, earlier=own)
    breaks = walk.breaks
    if seal(row, row["previous"]) != own:
        breaks = (*breaks, Break(row["id"], "changed"))
    elif row["previous"] != walk.head:
        inserted = walk.last is not None and row["previous"] == walk.earlier
        breaks = (*breaks, Break(walk.last if inserted else row["id"], "inserted" if inserted else "missing"))
    return Walk(
        rows=walk.rows + 1,
        after=row["id"],
        head=own,
        earlier=walk.head,
        last=row["id"],
        held=walk.held or own == ended,
        breaks=breaks,
    )
