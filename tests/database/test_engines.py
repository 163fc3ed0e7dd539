"""What every engine of the database port promises, on each of them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, func, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from keepstep.database import Database, Inline, engine_of, engines, open_database
from keepstep.database.threads import MOST_WAITING, ThreadedDatabase
from keepstep.model.errors import Misconfigured, Overloaded
from keepstep.schema.tables import delivery, metadata

Open = Callable[[], Database]


@pytest.fixture(params=["sqlite", "postgresql", "inline"])
def opened(request: pytest.FixtureRequest) -> Open:
    """Opens a database that has its tables."""
    if request.param == "inline":
        return Inline
    url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    make_tables(url)
    return lambda: open_database(url)


@pytest.fixture
def url(database_url: str) -> str:
    make_tables(database_url)
    return database_url


def make_tables(url: str) -> None:
    engine = engine_of(url)
    metadata.create_all(engine)
    engine.dispose()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


@asynccontextmanager
async def closing(database: Database) -> AsyncIterator[Database]:
    try:
        yield database
    finally:
        await database.close()


def row(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "customer_id": "c",
        "platform": "p",
        "received": 1.5,
        "headers": {"a": "b"},
        "body": b"\x00\xff",
    }


def add(tx: Connection, name: str) -> str:
    tx.execute(insert(delivery), row(name))
    return name


def names(tx: Connection) -> list[str]:
    return list(tx.execute(select(delivery.c.id).order_by(delivery.c.id)).scalars())


def test_a_function_that_returns_is_committed(opened: Open) -> None:
    async def story() -> None:
        async with closing(opened()) as database:
            assert await database.run(add, "one") == "one"
            assert await database.run(names) == ["one"]

    run(story)


def test_a_function_that_raises_is_rolled_back_and_its_error_comes_through(opened: Open) -> None:
    class Ours(Exception):
        pass

    def fails(tx: Connection, name: str) -> None:
        add(tx, name)
        raise Ours(name)

    async def story() -> None:
        async with closing(opened()) as database:
            with pytest.raises(Ours, match="one"):
                await database.run(fails, name="one")
            assert await database.run(names) == []

    run(story)


def test_an_error_of_the_database_leaves_it_usable(opened: Open) -> None:
    async def story() -> None:
        async with closing(opened()) as database:
            await database.run(add, "one")
            with pytest.raises(IntegrityError):
                await database.run(add, "one")
            await database.run(add, "two")
            assert await database.run(names) == ["one", "two"]

    run(story)


def test_appended_rows_are_there_when_append_returns(opened: Open) -> None:
    async def story() -> None:
        async with closing(opened()) as database:
            await asyncio.gather(*(database.append(delivery, row(f"{n:03}")) for n in range(200)))
            assert await database.run(names) == [f"{n:03}" for n in range(200)]

    run(story)


def test_a_bad_row_fails_alone(opened: Open) -> None:
    async def story() -> None:
        async with closing(opened()) as database:
            wanted = ["a", "b", "a", "c"]
            results = await asyncio.gather(*(database.append(delivery, row(n)) for n in wanted), return_exceptions=True)
            assert [type(result) for result in results] == [type(None), type(None), IntegrityError, type(None)]
            assert await database.run(names) == ["a", "b", "c"]

    run(story)


def test_values_come_back_as_they_went_in(opened: Open) -> None:
    odd = row("odd") | {"received": 1763718123.123456, "headers": {"b": [1, None, "\x00", "ü"], "a": {}}}

    async def story() -> None:
        async with closing(opened()) as database:
            await database.append(delivery, odd)
            found = await database.run(lambda tx: dict(tx.execute(select(delivery)).mappings().one()))
            assert found == odd | {"state": "new"}
            assert list(found["headers"]) == ["b", "a"]

    run(story)


def test_rows_that_wait_share_commits(url: str) -> None:
    async def story() -> None:
        engine = engine_of(url)
        commits: list[object] = []
        event.listen(engine, "commit", commits.append)
        async with closing(ThreadedDatabase(engine, 2)) as database:
            await asyncio.gather(*(database.append(delivery, row(str(n))) for n in range(1000)))
            assert len(commits) < 100

    run(story)


def test_appended_rows_survive_a_reopening(url: str) -> None:
    async def story() -> None:
        async with closing(open_database(url)) as database:
            await database.append(delivery, row("kept"))
        async with closing(open_database(url)) as database:
            assert await database.run(names) == ["kept"]

    run(story)


def test_more_rows_than_may_wait_are_refused_and_the_others_stored(url: str) -> None:
    async def story() -> None:
        gate = threading.Event()
        async with closing(ThreadedDatabase(engine_of(url), 1)) as database:
            busy = asyncio.create_task(database.run(lambda tx: gate.wait(30)))
            await asyncio.sleep(0)
            waiting = [asyncio.create_task(database.append(delivery, row(str(n)))) for n in range(MOST_WAITING)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await database.append(delivery, row("too many"))
            gate.set()
            await asyncio.gather(busy, *waiting)
            await database.append(delivery, row("later"))
            assert len(await database.run(names)) == MOST_WAITING + 1

    run(story)


def test_close_finishes_what_was_handed_in_and_refuses_what_comes_later(url: str) -> None:
    async def story() -> None:
        database = open_database(url)
        runs = [asyncio.create_task(database.run(add, f"run {n}")) for n in range(20)]
        rows = [asyncio.create_task(database.append(delivery, row(f"row {n}"))) for n in range(20)]
        await asyncio.sleep(0)
        await database.close()
        await asyncio.gather(*runs, *rows)
        with pytest.raises(RuntimeError):
            await database.run(names)
        with pytest.raises(RuntimeError):
            await database.append(delivery, row("late"))
        async with closing(open_database(url)) as again:
            assert len(await again.run(names)) == 40

    run(story)


def test_a_caller_that_gives_up_does_not_stop_the_others(url: str) -> None:
    async def story() -> None:
        async with closing(open_database(url)) as database:
            given_up = [asyncio.create_task(database.append(delivery, row(f"a{n}"))) for n in range(20)]
            kept = [asyncio.create_task(database.append(delivery, row(f"b{n}"))) for n in range(20)]
            await asyncio.sleep(0)
            for task in given_up:
                task.cancel()
            await asyncio.gather(*kept)
            assert {f"b{n}" for n in range(20)} <= set(await database.run(names))

    run(story)


def test_postgresql_runs_transactions_side_by_side(postgres_url: str) -> None:
    async def story() -> None:
        meeting = threading.Barrier(4, timeout=30)
        async with closing(open_database(postgres_url)) as database:
            await asyncio.gather(*(database.run(lambda tx: meeting.wait()) for _ in range(4)))

    run(story)


def test_appends_go_on_while_transactions_are_open_on_postgresql(postgres_url: str) -> None:
    make_tables(postgres_url)

    async def story() -> None:
        gate = threading.Event()
        async with closing(open_database(postgres_url)) as database:
            busy = [asyncio.create_task(database.run(lambda tx: gate.wait(30))) for _ in range(4)]
            await database.append(delivery, row("through"))
            gate.set()
            await asyncio.gather(*busy)

    run(story)


def test_a_lost_connection_fails_one_transaction_and_no_more(postgres_url: str) -> None:
    async def story() -> None:
        async with closing(ThreadedDatabase(engine_of(postgres_url), 1)) as database:
            with pytest.raises(Exception, match=r"terminat|closed"):
                await database.run(lambda tx: tx.execute(select(func.pg_terminate_backend(func.pg_backend_pid()))))
            assert await database.run(lambda tx: tx.execute(select(1)).scalar()) == 1

    run(story)


def test_a_transaction_on_sqlite_locks_out_other_writers_from_its_beginning(sqlite_url: str) -> None:
    """Two that read first and write later must not both pass: the second waits for the first."""
    make_tables(sqlite_url)
    begun, met = threading.Event(), []

    def first(tx: Connection) -> None:
        begun.set()
        met.append(other_waits.wait(0.3))
        add(tx, str(len(names(tx))))

    def second(tx: Connection) -> None:
        other_waits.set()
        add(tx, str(len(names(tx))))

    other_waits = threading.Event()

    async def story() -> None:
        async with closing(open_database(sqlite_url)) as one, closing(open_database(sqlite_url)) as two:
            task = asyncio.create_task(one.run(first))
            await asyncio.to_thread(begun.wait, 30)
            await two.run(second)
            await task
            assert met == [False]
            assert await two.run(names) == ["0", "1"]

    run(story)


def test_sqlite_is_set_up_to_lose_nothing(sqlite_url: str) -> None:
    engine = engine_of(sqlite_url)
    with engine.connect() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    engine.dispose()
    assert found == ["wal", 2]


def test_postgresql_commits_are_on_disk_even_where_the_role_says_otherwise(postgres_url: str) -> None:
    lax = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    with lax.begin() as connection:
        name = connection.exec_driver_sql("SELECT current_database()").scalar()
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    lax.dispose()
    engine = engine_of(postgres_url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    engine.dispose()


def test_rows_that_wait_for_a_busy_file_fail_together_and_can_be_sent_again(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tables(sqlite_url)
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.1)
    engine = engine_of(sqlite_url)
    begun: list[object] = []
    event.listen(engine, "begin", begun.append)

    async def story() -> None:
        other = engine_of(sqlite_url)
        async with closing(ThreadedDatabase(engine, 1)) as database:
            with other.begin():
                waiting = (database.append(delivery, row(str(n))) for n in range(50))
                results = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(result) for result in results} == {OperationalError}
            assert len(begun) < 10
            await database.append(delivery, row("again"))
            assert await database.run(names) == ["again"]
        other.dispose()

    run(story)


@pytest.mark.parametrize("url", ["mysql://localhost/x", "oracle://x"])
def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(Misconfigured, match="sqlite:///"):
        engine_of(url)
