"""What is known of feeds: every row as last read, what became of it, and how far the feed's round is.

A row's place in the queue is `model.feed.party_id`. Who changes rows holds the slot.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, bindparam, case, func, or_, select, update

from keepstep.database import portions, replacing, upsert
from keepstep.model.feed import PREFIX, Feed, Row, State, party_id
from keepstep.model.instant import Instant
from keepstep.schema.feeds import feed_row
from keepstep.state import marks
from keepstep.state.marks import Mark

# Each feed is a connection of its own: where one database refuses us, the others are read on.
PLATFORM = "sql_table"
CHORE = "feed"


def platform(feed: str) -> str:
    """The connection that a feed reads through; its marks and its health are under this name."""
    return f"{PLATFORM}:{feed}"


def of_rows(party: ColumnElement[str]) -> ColumnElement[bool]:
    """Places in the queue of rows of any feed."""
    return func.substr(party, 1, len(PREFIX)) == PREFIX


def of_feed(party: ColumnElement[str]) -> ColumnElement[bool]:
    """Places in the queue of the rows of one feed, of which `in_queue` has the values. By their first characters and
    not by a range: a database may order texts as a language does."""
    return func.substr(party, 1, bindparam("size", type_=Integer)) == bindparam("prefix")


def in_queue(customer_id: str, feed: str) -> dict[str, Any]:
    """The values of a statement with `of_feed`."""
    prefix = party_id(feed, "")
    return {"customer": customer_id, "prefix": prefix, "size": len(prefix)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRow:
    """A row as kept. body: {fields, lists (as the settings name them), problem}. lists: list id to {version, at, state:
    on, left or missing}, what was imported there and what became of it."""

    feed: str
    row_id: str
    party_id: str
    version: str
    address: str | None
    body: Mapping[str, Any]
    lists: Mapping[str, Mapping[str, Any]]
    permission_at: Instant | None
    state: State
    reason: str | None
    read_at: Instant
    since: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of one version of a row. `lists` replaces what is kept of its lists; None leaves it."""

    party_id: str
    version: str
    state: State
    reason: str | None = None
    lists: Mapping[str, Mapping[str, Any]] | None = None


_NAMES = tuple(FeedRow.__dataclass_fields__)
_COLUMNS = tuple(feed_row.c[name] for name in _NAMES)
_MINE = feed_row.c.customer_id == bindparam("customer")
# Built once: each page and each turn asks these.
_KNOWN = select(feed_row.c.row_id, feed_row.c.version).where(
    _MINE, feed_row.c.feed == bindparam("of"), feed_row.c.row_id.in_(bindparam("these", expanding=True))
)
_ROWS = select(*_COLUMNS).where(_MINE)
_BY_PARTY = _ROWS.where(feed_row.c.party_id.in_(bindparam("these", expanding=True)))
# In no order: with one SQLite reads all rows of the customer by the index that has it.
_BY_ADDRESS = _ROWS.where(feed_row.c.address.in_(bindparam("these", expanding=True)))
_WAITING = (
    select(feed_row.c.party_id)
    .where(_MINE, feed_row.c.address.in_(bindparam("these", expanding=True)))
    .where(or_(feed_row.c.state == "waiting", feed_row.c.reason == "not_mailable"))
)
_COUNTS = (
    select(feed_row.c.feed, feed_row.c.state, feed_row.c.reason, func.count())
    .where(_MINE)
    .group_by(feed_row.c.feed, feed_row.c.state, feed_row.c.reason)
)
_PARKED = (
    select(func.count())
    .select_from(feed_row)
    .where(_MINE, feed_row.c.feed == bindparam("of"), feed_row.c.state == "parked")
)


# --- rows ------------------------------------------------------------------------------------------------------------


def changed(tx: Connection, customer_id: str, feed: Feed, rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """(new ones, those with another version than known); where only new rows count, the second is empty. Of a row that
    comes twice the last one counts."""
    latest = {row.row_id: row for row in rows}
    known: dict[str, str] = {}
    for some in portions(list(latest)):
        found = tx.execute(_KNOWN, {"customer": customer_id, "of": feed.name, "these": some})
        known.update((row.row_id, row.version) for row in found)
    new = [row for key, row in latest.items() if key not in known]
    other = [row for key, row in latest.items() if key in known and known[key] != row.version]
    return new, [] if feed.new_rows_only else other


def file(tx: Connection, customer_id: str, feed: Feed, rows: Iterable[Row], now: Instant) -> list[str]:
    """Keep rows as read; the ids of those that are new or have another version come back, in order. They are waiting
    again; what was imported of their earlier versions stays known."""
    new, other = changed(tx, customer_id, feed, rows)
    upsert(tx, feed_row, [_as_row(customer_id, feed.name, row, now) for row in (*new, *other)], _AGAIN)
    return sorted(row.row_id for row in (*new, *other))


_AGAIN = replacing("version", "address", "body", "permission_at", "state", "reason", "read_at", "since")


def as_kept(feed: str, row: Row, before: FeedRow | None, now: Instant) -> FeedRow:
    """A row as it would be kept, in place of what is known of it."""
    found = _as_row("", feed, row, now)
    del found["customer_id"]
    return FeedRow(**{**found, "lists": before.lists if before else {}})


def _as_row(customer_id: str, feed: str, row: Row, now: Instant) -> dict[str, Any]:
    return {
        "customer_id": customer_id,
        "feed": feed,
        "row_id": row.row_id,
        "party_id": party_id(feed, row.row_id),
        "version": row.version,
        "address": row.address,
        "body": {"fields": dict(row.fields), "lists": list(row.lists), "problem": row.problem, "key": row.key},
        "lists": {},
        "permission_at": row.permission_at,
        "state": "waiting",
        "reason": None,
        "read_at": now,
        "since": now,
    }


def load(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[str, FeedRow]:
    """These rows, by party id; one that is not there (any more) is not in the answer."""
    found: dict[str, FeedRow] = {}
    for some in portions(party_ids):
        rows = tx.execute(_BY_PARTY, {"customer": customer_id, "these": some})
        found.update((row.party_id, _kept(row)) for row in rows)
    return found


def of_addresses(tx: Connection, customer_id: str, addresses: Sequence[str]) -> dict[str, list[FeedRow]]:
    """Canonical address to the rows of all feeds that hold it, by party id; addresses without any are not in the
    answer."""
    found: dict[str, list[FeedRow]] = {}
    for some in portions(addresses):
        for row in tx.execute(_BY_ADDRESS, {"customer": customer_id, "these": some}):
            found.setdefault(row.address, []).append(_kept(row))
    return {address: sorted(rows, key=lambda row: row.party_id) for address, rows in found.items()}


def waiting_of(tx: Connection, customer_id: str, addresses: Sequence[str]) -> list[str]:
    """The party ids of rows with these canonical addresses that nothing was sent of yet, or that could not be mailed
    then."""
    found: list[str] = []
    for some in portions(addresses):
        found += tx.execute(_WAITING, {"customer": customer_id, "these": some}).scalars()
    return sorted(found)


def _kept(row: Any) -> FeedRow:
    return FeedRow(**{name: getattr(row, name) for name in _NAMES})


def set_states(tx: Connection, customer_id: str, settled: Sequence[Settled], now: Instant) -> None:
    """What became of these rows. `since` moves where the state or the reason is another one. A row that was read anew
    since keeps waiting: only its lists are kept then."""
    rows = [
        {
            "customer": customer_id,
            "party": one.party_id,
            "seen": one.version,
            "to": one.state,
            "why": one.reason,
            "at": now,
        }
        for one in settled
    ]
    kept = [
        {"customer": customer_id, "party": one.party_id, "whole": {key: dict(each) for key, each in one.lists.items()}}
        for one in settled
        if one.lists is not None
    ]
    if rows:
        tx.execute(_SET, rows)
    if kept:
        tx.execute(_LISTS, kept)


_ONE = (_MINE, feed_row.c.party_id == bindparam("party"))
_SAME = feed_row.c.state.is_not_distinct_from(bindparam("to")) & feed_row.c.reason.is_not_distinct_from(
    bindparam("why")
)
_SET = (
    update(feed_row)
    .where(*_ONE, feed_row.c.version == bindparam("seen"))
    .values(
        state=bindparam("to"),
        reason=bindparam("why"),
        since=case((_SAME, feed_row.c.since), else_=bindparam("at")),
    )
)
_LISTS = update(feed_row).where(*_ONE).values(lists=bindparam("whole", type_=feed_row.c.lists.type))


def counts(tx: Connection, customer_id: str) -> dict[str, dict[str, dict[str, int]]]:
    """Feed to state to reason ("" where there is none) to how many rows."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for feed, state, reason, count in tx.execute(_COUNTS, {"customer": customer_id}):
        found.setdefault(feed, {}).setdefault(state, {})[reason or ""] = count
    return found


def parked(tx: Connection, customer_id: str, feed: str) -> int:
    """How many rows of a feed wait for a person."""
    return tx.execute(_PARKED, {"customer": customer_id, "of": feed}).scalar_one()


def in_state(
    tx: Connection, customer_id: str, feed: str, state: State | None, most: int, reason: str | None = None
) -> list[FeedRow]:
    """Rows of a feed in a state (None: in any), the longest so first."""
    wanted = _ROWS.where(feed_row.c.feed == feed)
    wanted = wanted if state is None else wanted.where(feed_row.c.state == state)
    wanted = wanted if reason is None else wanted.where(feed_row.c.reason == reason)
    ordered = wanted.order_by(feed_row.c.since, feed_row.c.row_id).limit(most)
    return [_kept(row) for row in tx.execute(ordered, {"customer": customer_id})]


def with_reason(tx: Connection, customer_id: str, feed: str, reasons: Sequence[str]) -> list[str]:
    """The party ids of rows that are parked or left out for one of these reasons."""
    mine = (_MINE, feed_row.c.feed == feed, feed_row.c.state.in_(("parked", "left_out")))
    wanted = select(feed_row.c.party_id).where(*mine, feed_row.c.reason.in_(reasons)).order_by(feed_row.c.party_id)
    return list(tx.execute(wanted, {"customer": customer_id}).scalars())


# --- rounds ----------------------------------------------------------------------------------------------------------


def mark(tx: Connection, customer_id: str, feed: str) -> Mark:
    """How far a feed is read, and when next."""
    return marks.get(tx, customer_id, platform(feed), CHORE)


def is_feed(place: str) -> bool:
    """Is it the connection of a feed?"""
    return place.startswith(f"{PLATFORM}:")


def ask(tx: Connection, customer_id: str, feed: str, now: Instant) -> None:
    """A round is wanted now, whatever the schedule says and however often it failed; the caller wakes the slot."""
    known = mark(tx, customer_id, feed)
    data = {name: each for name, each in (known.data or {}).items() if name != "tries"}
    marks.put(tx, customer_id, replace(known, due=now, data={**data, "asked": True}))


def reading(tx: Connection, customer_id: str, feed: str) -> bool:
    """Is a round under way and going on? One that fails for the moment does not count: nobody waits for it."""
    known = mark(tx, customer_id, feed)
    held = known.data or {}
    return known.cursor is not None and not (held.get("tries") or held.get("problem"))
