"""What a row says, and how one row's problem stays its own."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepstep.connectors.sql_table.mapping import is_address, mapped
from keepstep.model.feed import Feed, Row, When, row_id

NOW = 1_770_000_000.0
FEED = Feed(
    name="news",
    key="id",
    columns={"email": "mail", "first_name": "first", "custom:Member no": "member"},
    lists=("News",),
    when=(
        When(column="country", equals=("us", "United  States"), lists=("US", "News")),
        When(column="joined", since="2026-01-01", before="2026-02-01", lists=("January",)),
    ),
    zone="America/Phoenix",
    permission_at="asked",
)
GOOD: dict[str, Any] = {
    "id": 7,
    "mail": "ann@example.org",
    "first": "Ann",
    "member": 12,
    "country": None,
    "joined": None,
    "asked": None,
}


def row(**changed: Any) -> Row:
    return mapped(FEED, GOOD | changed, NOW)


def test_a_row_says_what_its_columns_say() -> None:
    found = row(mail=" Ann@Bücher.Example ", first="  Ann\u00a0 Marie\t")
    assert found.row_id == row_id("key:7") and found.problem is None
    assert found.address == "ann@xn--bcher-kva.example"
    assert found.fields == {"email": "Ann@Bücher.Example", "first_name": "Ann Marie", "custom:Member no": "12"}
    assert found.lists == ("News",) and found.permission_at is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"mail": None}, "no_email"),
        ({"mail": " \0 "}, "no_email"),
        ({"mail": "ann at example.org"}, "bad_email"),
        ({"mail": f"{'a' * 69}@example.org"}, "long_email"),
        ({"id": None}, "no_key"),
        ({"id": None, "mail": None}, "no_key"),
        ({"first": b"\xff\xfe"}, "unreadable"),
        ({"first": "broken \udcff"}, "unreadable"),
        ({"member": ["a", "list"]}, "unreadable"),
    ],
)
def test_a_row_that_cannot_be_imported_says_why(changed: dict[str, Any], problem: str) -> None:
    found = row(**changed)
    assert found.problem == problem
    assert (found.address is None) == ("mail" in changed)


def test_a_row_that_is_for_no_list_says_so() -> None:
    feed = Feed(name="f", key="id", columns={"email": "mail"}, when=FEED.when)
    assert mapped(feed, GOOD, NOW).problem == "no_list"


@pytest.mark.parametrize("name", ["N" * 300, "😀 Ann 👩‍👩‍👧", "A\0nn", "\x1b[31mAnn", "Ann\r\nLee", "Ünïcödé"])
def test_a_strange_name_is_no_problem_and_holds_no_sign_that_controls(name: str) -> None:
    found = row(first=name)
    assert found.problem is None
    assert not any(ord(sign) < 32 for sign in found.fields["first_name"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Decimal("12.50"), "12.50"),
        (Decimal("1E+3"), "1000"),
        (5.0, "5"),
        (1.5, "1.5"),
        (True, "true"),
        (b"caf\xc3\xa9", "café"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("2026-01-01 10:00:00", "2026-01-01 10:00:00"),
    ],
)
def test_values_of_any_type_become_text(value: Any, said: str) -> None:
    assert row(member=value).fields["custom:Member no"] == said


def test_an_empty_value_is_left_out_and_blanks_nothing() -> None:
    assert "first_name" not in row(first="  ").fields
    assert "first_name" not in row(first=None).fields


@pytest.mark.parametrize(
    ("changed", "lists"),
    [
        ({"country": "US"}, ("News", "US")),
        ({"country": " united states "}, ("News", "US")),
        ({"country": "USA"}, ("News",)),
        ({"joined": "2026-01-01"}, ("News", "January")),
        ({"joined": "2026-02-01"}, ("News",)),
        ({"joined": "2026-02-01T05:00:00+00:00"}, ("News", "January")),
        ({"joined": "2026-01-31 23:59:59"}, ("News", "January")),
        ({"joined": "2025-12-31"}, ("News",)),
        ({"joined": 1_768_000_000}, ("News", "January")),
        ({"joined": "0000-00-00"}, ("News",)),
        ({"country": b"\xff"}, ("News",)),
        ({"country": "us", "joined": "2026-01-15"}, ("News", "US", "January")),
    ],
)
def test_conditions_choose_lists(changed: dict[str, Any], lists: tuple[str, ...]) -> None:
    assert row(**changed).lists == lists


def test_the_moment_of_a_permission_is_in_the_feeds_zone_and_never_to_come() -> None:
    assert row(asked="2026-01-01 00:00:00").permission_at == 1_767_250_800.0
    assert row(asked="2026-01-01T00:00:00Z").permission_at == 1_767_225_600.0
    assert row(asked=1_767_225_600).permission_at == 1_767_225_600.0
    assert row(asked="2027-01-01").permission_at is None
    assert row(asked="soon").permission_at is None and row(asked=b"\xff").permission_at is None


def test_a_version_moves_with_what_is_mapped_and_with_nothing_else() -> None:
    version = row().version
    assert row().version == version
    for changed in ({"first": "Anna"}, {"country": "us"}, {"asked": "2026-01-01"}, {"member": 13}):
        assert row(**changed).version != version
    assert row(joined="2020-01-01").version == version


def test_rows_without_a_key_are_told_apart_by_what_they_say() -> None:
    assert row(id=None).row_id != row(id=None, first="Bob").row_id
    assert row(id="none").row_id != row(id=None).row_id
    assert row(id=b"\x01").row_id == row_id("key:01")


@pytest.mark.parametrize(
    "address",
    ["a@b.co", "a+b@x.example.org", "o'neill@example.org", "jörg@xn--bcher-kva.example", f"{'a' * 64}@example.org"],
)
def test_addresses_that_mail_goes_to(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "@",
            "a@",
            "@b.co",
            "a@b",
            "a@b..co",
            "a@-b.co",
            "a.@b.co",
            ".a@b.co",
            "a..b@c.co",
            "a b@c.co",
            "a@b@c.co",
        ),
        *("Ann <a@b.co>", "a@b.co;c@d.co", "a@b.co, c@d.co", "a@127.0.0.1", f"{'a' * 65}@b.co", "mailto:a@b.co"),
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    assert not is_address(address)


anything = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.dates()
)


@given(st.fixed_dictionaries(dict.fromkeys(GOOD, anything)))
def test_no_value_whatsoever_raises(values: dict[str, Any]) -> None:
    found = mapped(FEED, values, NOW)
    assert all(isinstance(each, str) and each.encode() and "\0" not in each for each in found.fields.values())
    assert (found.address is None) or found.problem in (None, "no_key", "unreadable")
