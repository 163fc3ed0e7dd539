"""The statements of a feed: which rows, in which order, from where on."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from psycopg import postgres
from pymysql.constants import FIELD_TYPE as F
from sqlalchemy import (
    ColumnElement,
    FromClause,
    LargeBinary,
    Select,
    and_,
    bindparam,
    case,
    cast,
    column,
    or_,
    select,
    table,
)
from sqlalchemy import Text as TextType
from sqlalchemy import text as written
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.types import NullType

from keepstep.connectors.sql_table.stamps import Kind
from keepstep.model.feed import Feed

Part = Literal["stamped", "unstamped", "every", "keyless"]

_NUMBERS = (F.TINY, F.SHORT, F.LONG, F.INT24, F.LONGLONG, F.DECIMAL, F.NEWDECIMAL, F.YEAR, F.DOUBLE)
_MYSQL: Mapping[int, Kind] = {
    **dict.fromkeys(_NUMBERS, "number"),
    F.FLOAT: "float",
    F.TIMESTAMP: "moment",
    F.DATETIME: "stamp",
    F.DATE: "date",
    F.NEWDATE: "date",
}
_POSTGRESQL: Mapping[str, Kind] = {
    **dict.fromkeys(("int2", "int4", "int8", "numeric", "float8", "oid"), "number"),
    "float4": "float",
    "timestamptz": "moment",
    "timestamp": "stamp",
    "date": "date",
}


def kind_of(dialect: str, code: Any) -> Kind:
    """What a driver's word for a type means to us. SQLite has a type a value, not a column."""
    if dialect == "postgresql":
        known = postgres.types.get(code)
        return _POSTGRESQL.get(known.name if known else "", "text")
    return _MYSQL.get(code, "text")


def parts(feed: Feed) -> tuple[Part, ...]:
    """The pieces of a round, in order. Rows that no order reaches come in pieces of their own."""
    return ("every", "keyless") if feed.new_rows_only else ("stamped", "unstamped", "keyless")


def names(feed: Feed) -> tuple[str, ...]:
    """Every column that is read, each once; the key first."""
    found = (feed.key, feed.changed, feed.permission_at, *feed.columns.values(), *(one.column for one in feed.when))
    return tuple(dict.fromkeys(filter(None, found)))


def rows_of(feed: Feed) -> FromClause:
    """What a feed's rows are read from."""
    if feed.query:
        # Its colons are no parameters; its last line may be a comment.
        query = feed.query.strip().removesuffix(";").replace(":", "\\:")
        return written(f"{query}\n").columns(*map(_column, names(feed))).subquery("feed")
    schema, _, name = feed.table.rpartition(".")
    return table(
        quoted_name(name, quote=True),
        *map(_column, names(feed)),
        schema=quoted_name(schema, quote=True) if schema else None,
    )


def nothing_of(feed: Feed, *, every: bool) -> Select[Any]:
    """No rows, but their columns: all that there are, or those that are read."""
    source = rows_of(feed)
    read = [written("*")] if every else [source.c[name] for name in names(feed)]
    return select(*read).select_from(source).limit(0)


class Reading:
    """The rows of a feed as statements, for one database."""

    def __init__(self, feed: Feed, dialect: str, kinds: Mapping[str, Kind]) -> None:
        self._feed = feed
        self._dialect = dialect
        self._kinds = kinds
        self._from = rows_of(feed)
        self._key = self._from.c[feed.key]
        self._changed = self._from.c[feed.changed] if feed.changed else None
        self._all = [self._from.c[name] for name in names(feed)]

    def part(self, part: Part, low: Any, after: tuple[Any, Any] | None, most: int) -> Select[Any]:
        """The rows of one part, from the row of `after` on, itself and its equals included. The last column of each
        says whether it is equal to that one, as the database sees it: 1 or 0."""
        key, changed = self._key, self._changed
        keyed = key.is_not(None)
        if part == "stamped" and changed is not None:
            where = [keyed, changed.is_not(None), *self._from_on(low, after)]
            return self._rows(after, [changed, key]).where(*where).order_by(changed, key)
        if part == "unstamped" and changed is not None:
            return self._rows(after, [key]).where(keyed, changed.is_(None), *self._keys_from(after)).order_by(key)
        if part == "every":
            return self._rows(after, [key]).where(keyed, *self._keys_from(after)).order_by(key)
        rows = self._rows(None, []).where(key.is_(None)).limit(most)
        if changed is None or low is None:
            return rows
        return rows.where(or_(changed.is_(None), changed >= self._value(low, self._feed.changed)))

    def _rows(self, after: tuple[Any, Any] | None, ends: list[ColumnElement[Any]]) -> Select[Any]:
        if after is None:
            return select(*self._all, written("0")).select_from(self._from)
        last = [(self._feed.key, after[1]), (self._feed.changed, after[0])]
        equal = and_(*(self._from.c[name] == self._value(value, name) for name, value in last[: len(ends)]))
        return select(*self._all, case((equal, written("1")), else_=written("0")))

    def _from_on(self, low: Any, after: tuple[Any, Any] | None) -> list[ColumnElement[bool]]:
        """The first comparison is the one that an index serves."""
        assert self._changed is not None
        if after is None:
            return [self._changed >= self._value(low, self._feed.changed)] if low is not None else []
        stamp = self._value(after[0], self._feed.changed)
        return [and_(self._changed >= stamp, or_(self._changed > stamp, *self._keys_from(after)))]

    def _keys_from(self, after: tuple[Any, Any] | None) -> list[ColumnElement[bool]]:
        return [self._key >= self._value(after[1], self._feed.key)] if after is not None else []

    def _value(self, value: Any, name: str) -> ColumnElement[Any]:
        """A value as it came, with no type of ours: the database takes it for the column's own."""
        if self._kinds[name] == "number" and isinstance(value, str):
            return bindparam(None, Decimal(value), NullType())
        if self._dialect == "sqlite" and isinstance(value, str) and not value.isascii():
            # The driver takes no text in a broken encoding, which files may hold.
            return cast(bindparam(None, value.encode("utf-8", "surrogateescape"), LargeBinary()), TextType())
        return bindparam(None, value, NullType())


def _column(name: str) -> Any:
    return column(quoted_name(name, quote=True))
