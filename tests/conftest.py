"""Fresh, empty databases for any test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.database.postgres import fresh_database, server_url
from tests.database.tables import empty_tables, engine_with_tables


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file that is not there yet."""
    return f"sqlite:///{tmp_path / 'keepstep.db'}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server for all tests, also of parallel test processes."""
    with server_url() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A new empty database, dropped after the test."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A new empty database; the test runs twice, on SQLite and on PostgreSQL."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture(scope="session")
def shared_postgres(postgres_server: str) -> Iterator[Engine]:
    """One database with tables for a whole run: making one costs more than most tests."""
    with fresh_database(postgres_server) as url, engine_with_tables(url) as engine:
        yield engine


@pytest.fixture
def postgres_engine(shared_postgres: Engine) -> Iterator[Engine]:
    """Empty tables on PostgreSQL."""
    yield shared_postgres
    empty_tables(shared_postgres)


@pytest.fixture
def sqlite_engine(sqlite_url: str) -> Iterator[Engine]:
    """Empty tables on SQLite."""
    with engine_with_tables(sqlite_url) as engine:
        yield engine


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Empty tables on SQLite, then on PostgreSQL, for plain functions of a connection: `with engine.begin() as tx`."""
    found: Engine = request.getfixturevalue("sqlite_engine" if request.param == "sqlite" else "postgres_engine")
    return found
