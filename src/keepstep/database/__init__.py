"""The database port and its engines: one transaction is one call of a plain function, so no vendor call can sit inside
one."""

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, Table

from keepstep.database.engines import engine_of, truncate_log
from keepstep.database.inline import Inline
from keepstep.database.migration import migrate
from keepstep.database.statements import canonical_json, portions, replacing, upsert
from keepstep.database.threads import ThreadedDatabase

__all__ = [
    "Connection",
    "Database",
    "Inline",
    "canonical_json",
    "engine_of",
    "migrate",
    "open_database",
    "portions",
    "replacing",
    "truncate_log",
    "upsert",
]

P = ParamSpec("P")
T = TypeVar("T")

_POSTGRESQL_THREADS = 8


class Database(Protocol):
    """What everything above may do with a database. `dialect` is "sqlite" or "postgresql"."""

    @property
    def dialect(self) -> str: ...

    async def run(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One transaction around fn: committed if it returns, rolled back if it raises. A cancelled call may commit."""
        ...

    async def append(self, table: Table, row: Mapping[str, Any]) -> None:
        """Store one row, returns when it is durable. Raises Overloaded when more than 2,000 rows wait."""
        ...

    async def close(self) -> None:
        """Finish what was handed in, then stop."""
        ...


def open_database(url: str) -> Database:
    """sqlite:///file.db (one writer thread) or postgresql://... (a thread per transaction at a time)."""
    threads = 1 if url.startswith("sqlite") else _POSTGRESQL_THREADS
    return ThreadedDatabase(engine_of(url, threads), threads)
