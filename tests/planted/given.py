"""What tests get from fixtures, for those that are run by hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Engine

from keepstep.state.vault import Vault
from tests.connectors.sql_table import world
from tests.database.tables import engine_with_tables
from tests.safes.providing import providing
from tests.safes.spoiling import Memory
from tests.wire.hands import HandChance, HandClock


@contextmanager
def database() -> Iterator[tuple[str, Engine]]:
    """Empty tables in a file: its URL, and an engine."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'keepstep.db'}"
        with engine_with_tables(url) as engine:
            yield url, engine


def with_engine(test: Callable[..., None], *rest: Any) -> None:
    with database() as (_, engine):
        test(engine, *rest)


def with_url(test: Callable[..., None], *rest: Any) -> None:
    with database() as (url, engine):
        test(url, engine, *rest)


def with_vault(test: Callable[..., None], *rest: Any) -> None:
    """Tables in one transaction, and a vault."""
    with database() as (_, engine), engine.connect() as tx:
        test(tx, Vault({"k1": b"1" * 32}, "k1", HandChance().token), *rest)


def with_tx(test: Callable[[Connection], None]) -> None:
    with database() as (_, engine), engine.begin() as tx:
        test(tx)


def with_memory(test: Callable[[Any], None]) -> None:
    """A provider in memory."""
    safe = Memory()
    with database() as (url, _), providing("parameter_store", url, None, clock=HandClock(), safe=safe) as kept:
        test((kept, safe))


def with_shop(test: Callable[..., None], *rest: Any) -> None:
    """A customer's database."""
    with TemporaryDirectory() as folder, world.sqlite(str(Path(folder) / "shop.db")) as customers:
        test(customers, *rest)
