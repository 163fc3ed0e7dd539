"""The disk of one seed: SQLite in memory that outlives every process, with what each commit touched."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, TypeVar

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import OperationalError

from keepstep.database import Inline
from keepstep.database.engines import memory_engine
from keepstep.schema.tables import delivery, metadata
from keepstep_simulator import witness
from keepstep_simulator.story import digested

T = TypeVar("T")


class Watched(Inline):
    """A database port whose transactions each begin with nothing noted."""

    def _commit(self, name: str, work: Callable[[Connection], T]) -> T:
        witness.forget()
        return super()._commit(name, work)


class Disk:
    """One engine for all seeds of this process (its compiled statements are dear), emptied for each."""

    _shared: ClassVar[tuple[Engine, bytes] | None] = None

    def __init__(self) -> None:
        if Disk._shared is None:
            engine = memory_engine()
            template = Inline(disk=engine)
            _create(engine)
            with engine.connect() as connection:
                witness.watch(_driver(connection))
            Disk._shared = engine, template.dump()
        self.engine, empty = Disk._shared
        Inline(disk=self.engine).load(empty)

    def open(self, at: Any) -> Inline:
        """The database port of one process."""
        return Watched(at, disk=self.engine)

    def dump(self) -> bytes:
        """Everything on it."""
        return Inline(disk=self.engine).dump()

    def load(self, saved: bytes) -> None:
        """Put back what was there once."""
        Inline(disk=self.engine).load(saved)

    def deliveries(self) -> dict[str, int]:
        """How often each body is stored, whatever became of it."""
        with self.engine.connect() as tx:
            return counted(tx.execute(select(delivery.c.body)).scalars())

    @staticmethod
    def rows() -> tuple[witness.Touched, ...]:
        """What the transaction that just ended wrote, of the tables that checkers read."""
        return witness.take()

    def tables(self) -> dict[str, tuple[dict[str, Any], ...]]:
        """Every row of every table, as it is stored."""
        with self.engine.connect() as tx:
            disk = _driver(tx)
            return {name: _rows(disk, name) for name in sorted(metadata.tables)}


def counted(bodies: Iterable[bytes]) -> dict[str, int]:
    """How often there is each, by its digest."""
    return dict(sorted(Counter(digested(body.decode("utf-8", "replace")) for body in bodies).items()))


def _create(engine: Engine) -> None:
    metadata.create_all(engine)


def _rows(disk: sqlite3.Connection, table: str) -> tuple[dict[str, Any], ...]:
    found = disk.execute(f'SELECT * FROM "{table}" ORDER BY rowid')  # noqa: S608  a name of ours
    names = [column[0] for column in found.description]
    return tuple(dict(zip(names, row, strict=True)) for row in found)


def _driver(connection: Connection) -> sqlite3.Connection:
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    return driver


def trouble(point: Literal["before", "after"]) -> OperationalError:
    """What a driver raises when a commit fails or its answer is lost."""
    return OperationalError(f"simulated: {point} the commit", None, Exception("disk"))
