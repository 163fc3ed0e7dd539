"""The few statements that SQLite and PostgreSQL write differently, and the limit on values in one statement."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.dml import Insert

Excluded = ReadOnlyColumnCollection[str, ColumnElement[Any]]
Update = Callable[[Excluded], Mapping[str, Any]]
V = TypeVar("V")

# SQLite takes 32,766 variables in a statement (SQLITE_MAX_VARIABLE_NUMBER), PostgreSQL 65,535.
_VALUES_A_STATEMENT = 5000


def upsert(
    tx: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    update: Update | None = None,
) -> None:
    """Insert rows; where the primary key is taken, set what `update(new values)` says, or leave the row alone.

    The statement is built once for each `update`: it is a function that stays, not one made for the call.
    """
    if rows:
        tx.execute(_upsert(tx.dialect.name, table, update), list(rows))


@lru_cache(maxsize=256)
def _upsert(dialect: str, table: Table, update: Update | None) -> Insert:
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    key = list(table.primary_key.columns)
    if update is None:
        return insert.on_conflict_do_nothing(index_elements=key)
    return insert.on_conflict_do_update(index_elements=key, set_=update(insert.excluded))


@lru_cache(maxsize=64)
def replacing(*names: str) -> Update:
    """For `upsert`: these columns get the new values."""
    return lambda new: {name: new[name] for name in names}


def portions(values: Sequence[V], size: int = _VALUES_A_STATEMENT) -> Iterator[list[V]]:
    """The values in lists short enough for one statement."""
    rest = iter(values)
    while portion := list(islice(rest, size)):
        yield portion


def canonical_json(value: object) -> str:
    """One text for every way to write the same JSON value."""
    try:
        return msgspec.json.encode(value, order="deterministic").decode()
    except (TypeError, ValueError):  # half a surrogate pair, which has no UTF-8
        return json.dumps(value, sort_keys=True, separators=(",", ":"))


def json_text(value: object) -> str:
    """A JSON value as a database keeps it."""
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError):
        return json.dumps(value)


def json_value(text: str | bytes) -> Any:
    """What `json_text` kept."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)
