"""The few statements that SQLite and PostgreSQL write differently, and the limit on values in one statement."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import ReadOnlyColumnCollection

Excluded = ReadOnlyColumnCollection[str, ColumnElement[Any]]
V = TypeVar("V")

# SQLite takes 32,766 variables in a statement (SQLITE_MAX_VARIABLE_NUMBER), PostgreSQL 65,535.
_VALUES_A_STATEMENT = 5000


def upsert(
    tx: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    update: Callable[[Excluded], Mapping[str, Any]] | None = None,
) -> None:
    """Insert rows; where the primary key is taken, set what `update(new values)` says, or leave the row alone."""
    if not rows:
        return
    insert = postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)
    key = list(table.primary_key.columns)
    if update is None:
        tx.execute(insert.on_conflict_do_nothing(index_elements=key), list(rows))
    else:
        tx.execute(insert.on_conflict_do_update(index_elements=key, set_=update(insert.excluded)), list(rows))


def portions(values: Sequence[V], size: int = _VALUES_A_STATEMENT) -> Iterator[list[V]]:
    """The values in lists short enough for one statement."""
    rest = iter(values)
    while portion := list(islice(rest, size)):
        yield portion


def canonical_json(value: object) -> str:
    """One text for every way to write the same JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
