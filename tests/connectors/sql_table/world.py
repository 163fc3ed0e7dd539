"""Databases of a customer, for tests: one each of SQLite, MariaDB (or MySQL) and PostgreSQL."""

import asyncio
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pymysql
import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from keepstep.connectors import discover
from keepstep.model.feed import Feed, Row
from keepstep.ports import RowPage, Table

PLATFORM = "sql_table"
MARIADB = "mysql://root@127.0.0.1:3306/test"
# Types whose names differ.
TYPES: Mapping[str, Mapping[str, str]] = {
    "sqlite": {"stamp": "TEXT", "moment": "TEXT", "uuid": "TEXT", "bytes": "BLOB", "real": "REAL", "words": "TEXT"},
    "mysql": {
        "stamp": "DATETIME(6)",
        "moment": "TIMESTAMP(6) NULL",
        "uuid": "CHAR(36)",
        "bytes": "VARBINARY(300)",
        "real": "FLOAT",
        "words": "VARCHAR(400)",
    },
    "postgresql": {
        "stamp": "TIMESTAMP",
        "moment": "TIMESTAMPTZ",
        "uuid": "UUID",
        "bytes": "BYTEA",
        "real": "REAL",
        "words": "TEXT",
    },
}


@dataclass
class Customers:
    """A database that a test may write and a feed reads. Its tables are the test's own."""

    url: str
    engine: Engine
    name: str = field(default_factory=lambda: f"people_{uuid.uuid4().hex[:12]}")

    @property
    def dialect(self) -> str:
        found = self.engine.dialect.name
        return "mysql" if found == "mariadb" else found

    def run(self, statement: str, *rows: Mapping[str, Any]) -> None:
        """Write; {T} is the table, {stamp} and the like are types. Stays in UTC."""
        said = statement.format(T=self.name, **TYPES[self.dialect])
        with self.engine.begin() as tx:
            tx.execute(text(said), list(rows) or None)

    def table(self, columns: str, *rows: Mapping[str, Any]) -> None:
        """Make the table, with rows."""
        self.run(f"CREATE TABLE {{T}} ({columns})")
        self.rows(*rows)

    def rows(self, *rows: Mapping[str, Any]) -> None:
        if rows:
            names = list(rows[0])
            self.run(
                f"INSERT INTO {{T}} ({', '.join(names)}) VALUES ({', '.join(f':{each}' for each in names)})", *rows
            )

    def feed(self, **settings: Any) -> Feed:
        source = {} if "query" in settings else {"table": self.name}
        stamped = {} if settings.get("new_rows_only") else {"changed": "changed"}
        known = {"columns": {"email": "email"}, "lists": ("News",), "key": "id", "overlap": 1.0}
        return Feed(**{"name": "news", "database": self.url, **source, **stamped, **known, **settings})


@contextmanager
def sqlite(path: str) -> Iterator[Customers]:
    url = f"sqlite:///{path}"
    engine = create_engine(url)
    yield Customers(url, engine)
    engine.dispose()


@contextmanager
def mariadb() -> Iterator[Customers]:
    """The server at its usual port; the test is skipped where none answers."""
    try:
        pymysql.connect(host="127.0.0.1", user="root", database="test", connect_timeout=2).close()
    except pymysql.err.OperationalError as refused:
        pytest.skip(
            f"not tested: no MySQL or MariaDB answers root at 127.0.0.1:3306, database test ({refused.args[0]})"
        )
    engine = create_engine(
        MARIADB.replace("mysql", "mysql+pymysql"), connect_args={"init_command": "SET time_zone = '+00:00'"}
    )
    with dropping(Customers(MARIADB, engine)) as customers:
        yield customers


@contextmanager
def postgresql(url: str) -> Iterator[Customers]:
    """A database of the test's own."""
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"), connect_args={"options": "-c timezone=UTC"}
    )
    with dropping(Customers(url, engine)) as customers:
        yield customers


@contextmanager
def dropping(customers: Customers) -> Iterator[Customers]:
    try:
        yield customers
    finally:
        customers.run("DROP TABLE IF EXISTS {T}")
        customers.engine.dispose()


def opened(feed: Feed, password: str | None = None) -> Table:
    open_table = discover()[PLATFORM].open_table
    assert open_table is not None
    return open_table(feed, password)


def round_of(feed: Feed, since: str | None = None, most: int = 3, *, killed: bool = False) -> tuple[list[Row], RowPage]:
    """A whole round, and its last page. killed: every page is read by another process, as it were."""
    return asyncio.run(_round(feed, since, most, killed))


async def _round(feed: Feed, since: str | None, most: int, killed: bool) -> tuple[list[Row], RowPage]:
    table, cursor, rows = opened(feed), None, list[Row]()
    try:
        while True:
            page = await table.read(since, cursor, most)
            assert len(page.rows) <= most
            rows += page.rows
            if page.cursor is None:
                return rows, page
            assert page.cursor != cursor
            cursor = page.cursor
            if killed:
                await table.close()
                table = opened(feed)
    finally:
        await table.close()


def asked(feed: Feed, password: str | None = None) -> tuple[Sequence[str], Sequence[str]]:
    """Problems and warnings."""

    async def ask() -> tuple[Sequence[str], Sequence[str]]:
        table = opened(feed, password)
        try:
            return await table.check(), await table.warnings()
        finally:
            await table.close()

    return asyncio.run(ask())


def addresses(rows: Sequence[Row]) -> list[str]:
    return [str(row.address).partition("@")[0] for row in rows]


def stamp(at: float) -> str:
    """A moment as a column without a zone holds it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
