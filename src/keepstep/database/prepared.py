"""Statements that are compiled once and executed on SQLite's driver itself: the disk of the simulator.

SQLAlchemy asks of every execution anew what its statement is, which costs ten times what SQLite needs to answer. Here
the text, the order of the values and the types of both sides are kept for each statement; rows are SQLAlchemy's.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.engine.row import Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

Values = Mapping[str, Any]
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Text:
    """A statement as the driver takes it, for so many values in each list. `pick`: the values in its order."""

    sql: str
    pick: Callable[[Values], Sequence[Any]]
    convert: Mapping[str, Any]
    lists: Mapping[str, Sequence[str]]


class Prepared:
    """One statement. `writes`: whether it changes anything; `reads`: the names of what it returns, None for nothing."""

    def __init__(self, statement: Any, compiled: SQLCompiler, dialect: Any) -> None:
        self.statement, self._compiled = statement, compiled  # holds on to it: identities are keys
        self.writes = isinstance(statement, UpdateBase)
        columns = compiled._result_columns or ()
        self.reads = SimpleResultMetaData([one[0] for one in columns]) if columns else None
        found = [one[3].result_processor(dialect, None) for one in columns]
        self._from: list[tuple[int, Convert]] = [(at, change) for at, change in enumerate(found) if change is not None]
        self._texts: dict[tuple[int, ...], _Text] = {}
        # Those that must be given are left out, so that one that is not given is missed.
        own = compiled.construct_params(None, _check=False)
        needed = {name for one, name in compiled.bind_names.items() if one.required}
        self._own = {name: value for name, value in own.items() if name not in needed}
        self._lists = tuple(sorted(compiled.bind_names[one] for one in compiled.post_compile_params))
        self._plain = None if self._lists else self._text({})

    def values(self, given: Values, extracted: Sequence[Any] | None) -> dict[str, Any]:
        """The values of one execution by their names. `extracted`: those that another statement of this shape carries
        in itself."""
        if extracted is None:
            return {**self._own, **given}
        return dict(self._compiled.construct_params(given, extracted_parameters=extracted))

    def text(self, values: Values) -> _Text:
        """The statement for these values: every list of an IN is as long as it is."""
        if self._plain is not None:
            return self._plain
        lengths = tuple(len(values[name]) for name in self._lists)
        found = self._texts.get(lengths)
        if found is None:
            found = self._texts[lengths] = self._text(values)
        return found

    def _text(self, values: Values) -> _Text:
        compiled = self._compiled
        if not self._lists:
            names = tuple(compiled.positiontup or ())
            return _Text(compiled.string, _picking(names), _needed(compiled._bind_processors, names), {})
        expanded = compiled._process_parameters_for_postcompile(dict(values))
        names = tuple(expanded.positiontup or ())
        convert = _needed({**compiled._bind_processors, **expanded.processors}, names)
        return _Text(expanded.statement, _picking(names), convert, expanded.parameter_expansion)

    def rows(self, cursor: sqlite3.Cursor) -> list[Any]:
        """What was found, as the product's types."""
        rows = cursor.fetchall()
        return [self._converted(row) for row in rows] if self._from else rows

    def _converted(self, row: Sequence[Any]) -> list[Any]:
        values = list(row)
        for at, change in self._from:
            values[at] = change(values[at])
        return values


def _needed(processors: Mapping[str, Any], names: Collection[str]) -> dict[str, Convert]:
    return {name: processors[name] for name in names if processors.get(name)}


def _picking(names: tuple[str, ...]) -> Callable[[Values], Sequence[Any]]:
    return itemgetter(*names) if len(names) > 1 else lambda values: [values[name] for name in names]


def _ordered(text: _Text, values: dict[str, Any]) -> Sequence[Any]:
    for name, parts in text.lists.items():
        flat = values[name]
        if flat and isinstance(flat[0], tuple):
            flat = [one for row in flat for one in row]
        values.update(zip(parts, flat, strict=False))
    for name, change in text.convert.items():
        values[name] = change(values[name])
    return text.pick(values)


class Written:
    """What a statement that returns no rows came to."""

    def __init__(self, rowcount: int) -> None:
        self.rowcount = rowcount


class Found:
    """What a statement found. What is asked of nearly every one is answered here, the rest by SQLAlchemy's result."""

    __slots__ = ("_reads", "_rows")

    def __init__(self, reads: SimpleResultMetaData, rows: list[Any]) -> None:
        self._reads, self._rows = reads, rows

    def __iter__(self) -> Iterator[Any]:
        reads, names = self._reads, self._reads._key_to_index
        return iter([Row(reads, None, names, row) for row in self._rows])

    def first(self) -> Any:
        """Like Result.first."""
        rows, reads = self._rows, self._reads
        return Row(reads, None, reads._key_to_index, rows[0]) if rows else None

    def all(self) -> list[Any]:
        """Like Result.all."""
        return list(self)

    def scalar_one(self) -> Any:
        """Like Result.scalar_one."""
        rows = self._rows
        return rows[0][0] if len(rows) == 1 else self._whole().scalar_one()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole(), name)

    def _whole(self) -> IteratorResult[Any]:
        return IteratorResult(self._reads, iter([tuple(row) for row in self._rows]))


class Transaction:
    """Nothing but an identity."""


# Every disk in memory is of one dialect, so that what was compiled for one serves all: by the identity of a statement
# that stays, and by the shape of one that is made anew each time.
_FIXED: dict[tuple[int, tuple[str, ...], bool], Prepared] = {}
_SHAPES: dict[Any, Prepared] = {}


class Driver:
    """What a transaction of the product is given in place of SQLAlchemy's connection."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.dialect = engine, engine.dialect
        self._disk: sqlite3.Connection = engine.raw_connection().driver_connection  # type: ignore[assignment]
        self._transaction, self._writes = Transaction(), False

    def begin(self) -> None:
        """Another transaction. Nobody else uses this disk meanwhile: the driver's own begins with the first write."""
        self._transaction, self._writes = Transaction(), False

    def get_transaction(self) -> "Transaction":
        """The one that is going on; another object for every one."""
        return self._transaction

    def commit(self) -> None:
        if self._writes:
            self._disk.execute("COMMIT")

    def rollback(self) -> None:
        if self._writes and self._disk.in_transaction:
            self._disk.execute("ROLLBACK")

    def execute(self, statement: Any, parameters: Values | Sequence[Values] | None = None) -> Any:
        """Like Connection.execute."""
        given: Any = parameters or {}
        if isinstance(given, list | tuple):
            if len(given) > 1:
                return self._each(statement, given)
            given = given[0]
        one, extracted = self._prepared(statement, tuple(given))
        cursor = self._one(one, one.values(given, extracted))
        return Written(cursor.rowcount) if one.reads is None else Found(one.reads, one.rows(cursor))

    def _each(self, statement: Any, given: Sequence[Values]) -> Any:
        one, extracted = self._prepared(statement, tuple(given[0]), many=True)
        if one.reads is None:
            return self._many(one, given, extracted)
        rows: list[Any] = []
        for values in given:
            rows += one.rows(self._one(one, one.values(values, extracted)))
        return Found(one.reads, rows)

    def _prepared(
        self, statement: Any, names: tuple[str, ...], *, many: bool = False
    ) -> tuple[Prepared, Sequence[Any] | None]:
        """The statement as it was compiled before. A statement that was seen twice is known by what it is."""
        cached = _FIXED.get((id(statement), names, many))
        if cached is not None:
            return cached, None
        key = statement._generate_cache_key()
        if key is None:
            return self._compiled(statement, names, many, None), None
        place = (key.key, names, many)
        known = _SHAPES.get(place)
        if known is None:
            known = _SHAPES[place] = self._compiled(statement, names, many, key)
            _FIXED[id(statement), names, many] = known
        return known, key.bindparams

    def _compiled(self, statement: Any, names: tuple[str, ...], many: bool, key: Any) -> Prepared:
        made = statement._compiler(
            self.dialect, cache_key=key, column_keys=list(names) or None, for_executemany=many, linting=0
        )
        return Prepared(statement, made, self.dialect)

    def _one(self, one: Prepared, values: dict[str, Any]) -> sqlite3.Cursor:
        if one.writes and not self._writes:
            self._disk.execute("BEGIN IMMEDIATE")
            self._writes = True
        text = one.text(values)
        try:
            return self._disk.execute(text.sql, _ordered(text, values))
        except sqlite3.Error as trouble:
            raise DBAPIError.instance(text.sql, None, trouble, sqlite3.Error, dialect=self.dialect) from trouble

    def _many(self, one: Prepared, given: Sequence[Values], extracted: Sequence[Any] | None) -> Written:
        count = 0
        for values in given:
            count += self._one(one, one.values(values, extracted)).rowcount
        return Written(count)
