"""SQLAlchemy engines set up so that a transaction means what the queue's protocol needs on each database."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.pool import StaticPool

from keepstep.database.statements import json_text, json_value
from keepstep.model.errors import Misconfigured

# SQLite's waiters come by chance, not in turn: of many, one may find the lock taken again and again. Nobody keeps it
# for long, so that whoever gives up after a few seconds fails for nothing.
BUSY_SECONDS = 30
# A turn reads and writes documents more than anything else.
_JSON: Mapping[str, Any] = {"json_serializer": json_text, "json_deserializer": json_value}


def engine_of(url: str, threads: int = 1) -> Engine:
    """An engine for sqlite:///file or postgresql://...; other schemes raise Misconfigured."""
    parsed = make_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed)
        case "postgresql" | "postgres":
            return _postgresql(parsed, threads)
    raise Misconfigured(("database: the URL must begin with sqlite:/// or postgresql://",))


def memory_engine() -> Engine:
    """One SQLite database in memory behind one connection."""
    # The driver keeps 128 statements unless told otherwise; the product has more.
    apart = {"check_same_thread": False, "cached_statements": 1024}
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args=apart, **_JSON)
    _begin_immediate(engine)
    return engine


def truncate_log(url: str) -> bool:
    """Empty an SQLite file's write-ahead log, which holds pages as they were before; False where a reader is in the
    way. True for any other database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or not Path(parsed.database).exists():
        return True
    engine = _sqlite(parsed)
    connection = engine.raw_connection()
    try:
        busy = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.close()
        engine.dispose()
    return not (busy and busy[0])


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}, **_JSON)
    _begin_immediate(engine)

    @event.listens_for(engine, "connect")
    def durable(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # In KiB: with the default of 2 MB whatever looks at all that waits reads the file again and again.
        connection.execute("PRAGMA cache_size=-32768")
        # What is deleted is overwritten: people who were forgotten must not stay in free pages.
        connection.execute("PRAGMA secure_delete=ON")

    return engine


def _begin_immediate(engine: Engine) -> None:
    """The driver's own BEGIN is deferred: two writers that both read first could then only fail (SQLITE_BUSY)."""

    @event.listens_for(engine, "connect")
    def no_begin_of_its_own(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def immediate(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql(url: URL, threads: int) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",
        pool_size=threads,
        max_overflow=2,
        **_JSON,
    )

    @event.listens_for(engine, "connect")
    def durable(connection: Any, _: object) -> None:
        # A server or role set to `off` would answer a commit before it is on disk; stronger settings stay.
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.commit()

    return engine
