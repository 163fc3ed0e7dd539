"""A copy of the database that runs elsewhere uses up nobody's grant; a person says which one goes on."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from keepstep.database import engine_of, open_database
from keepstep.database.identity import identity
from keepstep.model.errors import Blocked
from keepstep.schema.tables import metadata
from keepstep.state import customers, installation
from keepstep.state.vault import Secret
from keepstep.tokens import KeyGrant
from tests.tokens.refreshing import PLATFORM, VAULT, Yard, yard_of
from tests.wire.hands import HandClock


@pytest.fixture
def place(database_url: str) -> str:
    """A database of its own, with tables."""
    engine = engine_of(database_url)
    metadata.create_all(engine)
    engine.dispose()
    return database_url


@contextmanager
def copy_of(url: str, folder: Path) -> Iterator[str]:
    """As a test machine gets it: all that was committed, under another name."""
    named = make_url(url)
    if named.get_backend_name() == "sqlite":
        copied = folder / "copied.db"
        with closing(sqlite3.connect(str(named.database))) as ours, closing(sqlite3.connect(copied)) as theirs:
            ours.backup(theirs)
        yield f"sqlite:///{copied}"
        return
    name = f"{named.database}_copied"
    server = named.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {named.database}")  # type: ignore[call-overload]
        try:
            yield named.set(database=name).render_as_string(hide_password=False)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


def connected(yard: Yard) -> None:
    with yard.engine.begin() as tx:
        customers.set_connection(tx, "acme", PLATFORM, "their-own", {"plan": "kept"})


def test_a_copy_uses_up_no_grant_until_it_is_adopted(place: str, tmp_path: Path) -> None:
    with yard_of(place, refresh_reuse="revokes_family") as yard:
        trial = yard.connect("acme")
        connected(yard)
        assert yard.go_on(trial) == "used 200"
        yard.engine.dispose()
        with copy_of(place, tmp_path) as copied:
            yard.url = copied
            assert yard.go_on(trial) == "copied" and trial.tokens == 1
            engine = engine_of(copied)
            with engine.begin() as tx:
                installation.claim(tx, "acme", PLATFORM)
                kept = customers.get_connection(tx, "acme", PLATFORM)
            engine.dispose()
            assert kept is not None and kept.data["plan"] == "kept"
            assert yard.go_on(trial) == "used 200"


def test_the_same_database_stays_the_same_and_a_copy_does_not(place: str, tmp_path: Path) -> None:
    assert identity_of(place) == identity_of(place) is not None
    with copy_of(place, tmp_path) as copied:
        assert identity_of(copied) not in (None, identity_of(place))


def test_a_key_of_a_copy_writes_to_nobodys_account(place: str, tmp_path: Path) -> None:
    async def asked(url: str) -> str:
        db = open_database(url)
        try:
            await db.run(VAULT.put, "acme", PLATFORM, "api_key", Secret("key"), 0.0)
            who = {"customer_id": "acme", "platform": PLATFORM}
            return await KeyGrant(**who, db=db, vault=VAULT, clock=HandClock()).bearer()
        except Blocked as problem:
            return problem.reason
        finally:
            await db.close()

    with yard_of(place) as yard:
        yard.connect("acme")
        connected(yard)
        assert asyncio.run(asked(place)) == "key"
        yard.engine.dispose()
        with copy_of(place, tmp_path) as copied:
            assert asyncio.run(asked(copied)) == "copied"


def identity_of(url: str) -> str | None:
    engine = engine_of(url)
    with engine.begin() as tx:
        found = identity(tx)
    engine.dispose()
    return found
