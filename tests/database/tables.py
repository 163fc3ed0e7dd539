"""Engines on databases that have their tables, for tests that call plain functions of a connection."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from keepstep.database import engine_of
from keepstep.schema.tables import metadata


@contextmanager
def engine_with_tables(url: str) -> Iterator[Engine]:
    """The tables are made, and the engine is closed at the end."""
    engine = engine_of(url, threads=4)
    metadata.create_all(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def empty_tables(engine: Engine) -> None:
    """As new, for the next test."""
    with engine.begin() as tx:
        for table in metadata.sorted_tables:
            tx.execute(table.delete())
