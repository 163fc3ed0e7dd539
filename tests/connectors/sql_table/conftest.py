"""The three kinds of databases. SQLite always runs; the others say so where no server answers."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connectors.sql_table import world
from tests.database.postgres import fresh_database

USUAL = "postgresql://postgres@127.0.0.1:5432/postgres"


@pytest.fixture(scope="session")
def usual_postgres(request: pytest.FixtureRequest) -> str:
    """The server at its usual port, else the one that the other tests use."""
    try:
        socket.create_connection(("127.0.0.1", 5432), 1).close()
    except OSError:
        server: str = request.getfixturevalue("postgres_server")
        return server
    return USUAL


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def customers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[world.Customers]:
    """A customer's database."""
    if request.param == "sqlite":
        with world.sqlite(str(tmp_path / "shop.db")) as found:
            yield found
    elif request.param == "mariadb":
        with world.mariadb() as found:
            yield found
    else:
        server = request.getfixturevalue("usual_postgres")
        with fresh_database(server) as url, world.postgresql(url) as found:
            yield found
