"""A real table of a sample database, with the spellings and telephone numbers of five continents."""

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.flows.feeding import CHINOOK, COLUMNS, FEED, LIST, a_feed, chinook, fed, made
from tests.flows.test_imports import Fed

pytestmark = pytest.mark.skipif(not CHINOOK.is_file(), reason=f"no {CHINOOK.name} beside the checkout")
STAMP = "2025-06-01 00:00:00"
_OURS = ("Email", "FirstName", "LastName", "Phone", "Address", "City", "State", "PostalCode", "Country")


def rows() -> list[tuple[Any, ...]]:
    """The customers in the order of the feed's columns."""
    return [(int(one["CustomerId"]), *(one[name] or None for name in _OURS), STAMP) for one in chinook()]


def arrived(url: str, **more: Any) -> None:
    """Everybody of the table is on the list, letter by letter, with the number that the table has."""
    with Fed(a_feed(url, **more), crm="none") as c:
        members = c.a_list(LIST, tag=False)
        c.consent(c.refresh_tokens["acme"])
        c.wait(hours=2)
        found = fed(c)
        there = {one["email_address"]["address"]: one for one in found.on(members)}
        assert found.rows == {"done": {"": len(rows())}}
        assert len(there) == len(rows()) == 59
        for one in chinook():
            _same(there[one["Email"]], one)
        assert found.imports >= 1


def _same(person: dict[str, Any], row: dict[str, str]) -> None:
    assert (person["first_name"], person["last_name"]) == (row["FirstName"], row["LastName"])
    numbers = [re.sub(r"\D", "", one["phone_number"]) for one in person.get("phone_numbers", ())]
    assert numbers == ([re.sub(r"\D", "", row["Phone"])] if row["Phone"] else []), row["CustomerId"]
    [place] = person["street_addresses"]
    assert (place["street"], place["city"], place["country"]) == tuple(
        row[name].strip() for name in ("Address", "City", "Country")
    )


def test_fifty_nine_customers_are_on_the_list_with_names_numbers_and_addresses(tmp_path: Path) -> None:
    arrived(made(tmp_path / "chinook.db", rows()))


def test_a_vendor_that_leaves_rows_with_numbers_from_abroad_out_gets_none_of_them(tmp_path: Path) -> None:
    """CC facts 7.1: what becomes of such a row is not stated, so it goes another way."""
    url = made(tmp_path / "chinook.db", rows())
    with Fed(a_feed(url), crm="none", cc={"import_foreign_phone": "correctable", "import_unknown_field": "400"}) as c:
        members = c.a_list(LIST, tag=False)
        c.consent(c.refresh_tokens["acme"])
        c.wait(hours=2)
        assert len(fed(c).on(members)) == 59


@pytest.fixture
def mariadb() -> Iterator[str]:
    """A table of its own in the server at the usual place; skipped where none answers."""
    import pymysql

    where = {"host": "127.0.0.1", "port": int(os.environ.get("MYSQL_TCP_PORT", "3306")), "user": "root"}
    try:
        connection = pymysql.connect(**where, connect_timeout=2)  # type: ignore[arg-type]
    except pymysql.MySQLError as error:
        pytest.skip(f"no MySQL or MariaDB at 127.0.0.1:3306 for root without a password ({type(error).__name__})")
    name = f"keepstep_chinook_{os.getpid()}"
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        columns = ", ".join(f"{one} VARCHAR(255)" for one in COLUMNS)
        cursor.execute(f"CREATE TABLE {name}.{FEED} (id INT PRIMARY KEY, {columns}, changed_at DATETIME)")
        marks = ", ".join(["%s"] * (len(COLUMNS) + 2))
        cursor.executemany(f"INSERT INTO {name}.{FEED} VALUES ({marks})", rows())
        connection.commit()
        try:
            yield f"mysql://root@127.0.0.1:{where['port']}/{name}"
        finally:
            cursor.execute(f"DROP DATABASE {name}")


def test_the_same_from_a_mariadb_server(mariadb: str) -> None:
    arrived(mariadb)
