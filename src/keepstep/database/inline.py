"""The database of the simulator: executed on the caller's loop, with a hook around every commit; SQLite in memory
unless another engine is given."""

import asyncio
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, cast

from sqlalchemy import Connection, Engine, Insert, Table, insert
from sqlalchemy.pool import StaticPool

from keepstep.database.engines import memory_engine
from keepstep.database.prepared import Driver
from keepstep.schema.tables import metadata

P = ParamSpec("P")
T = TypeVar("T")

Hook = Callable[[Literal["before", "after"], str], None]


class Inline:
    """The database port without threads. `at(point, name of fn)` is called before and after each commit and may raise:
    before means that nothing was stored, after that it was and the caller never learnt it."""

    def __init__(self, at: Hook | None = None, *, disk: Engine | None = None) -> None:
        self._at = at
        self._disk = disk or memory_engine()
        if disk is None:
            metadata.create_all(self._disk)
        self.dialect = self._disk.dialect.name
        direct = self.dialect == "sqlite" and isinstance(self._disk.pool, StaticPool)
        self._driver = Driver(self._disk) if direct else None

    def beside(self, at: Hook | None = None) -> "Inline":
        """Another process on the same disk, with a hook of its own."""
        return Inline(at, disk=self._disk)

    async def run(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One transaction around fn, with a chance for other tasks before and after it."""
        await asyncio.sleep(0)
        result = self._commit(getattr(fn, "__name__", "run"), lambda tx: fn(tx, *args, **kwargs))
        await asyncio.sleep(0)
        return result

    async def append(self, table: Table, row: Mapping[str, Any]) -> None:
        """Store one row."""
        await asyncio.sleep(0)
        self._commit("append", lambda tx: tx.execute(_insert(table), dict(row)))
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Nothing to stop: the disk outlives the process."""

    def dump(self) -> bytes:
        """The disk."""
        with self._disk.connect() as connection:
            return bytes(_driver(connection).serialize())

    def load(self, disk: bytes) -> None:
        """Put an older disk in, as a restored backup does."""
        with self._disk.connect() as connection:
            _driver(connection).deserialize(disk)

    def _commit(self, name: str, work: Callable[[Connection], T]) -> T:
        if self._driver is not None:
            result = self._directly(self._driver, name, work)
        else:
            with self._disk.begin() as tx:
                result = work(tx)
                self._tell("before", name)
        self._tell("after", name)
        return result

    def _directly(self, driver: Driver, name: str, work: Callable[[Connection], T]) -> T:
        driver.begin()
        try:
            result = work(cast(Connection, driver))
            self._tell("before", name)
        except BaseException:
            driver.rollback()
            raise
        driver.commit()
        return result

    def _tell(self, point: Literal["before", "after"], name: str) -> None:
        if self._at is not None:
            self._at(point, name)


@cache
def _insert(table: Table) -> Insert:
    return insert(table)


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
