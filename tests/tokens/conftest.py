"""Databases for the processes of tests/tokens/refreshing.py."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.database.tables import empty_tables, engine_with_tables


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Empty tables that other processes may open, on SQLite, then on PostgreSQL."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
        with engine_with_tables(url):
            yield url
        return
    shared: Engine = request.getfixturevalue("shared_postgres")
    yield shared.url.render_as_string(hide_password=False)
    empty_tables(shared)
