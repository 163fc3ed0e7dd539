"""What is found before a feed is read, and what a database refuses: in words with a remedy, without values."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from keepstep.connectors.sql_table import survey
from keepstep.database import guests
from keepstep.database.foreign import Foreign
from keepstep.model.errors import Blocked, Misconfigured, Problem, Transient
from keepstep.model.feed import Feed, When
from tests.connectors.sql_table.certificates import authority
from tests.connectors.sql_table.world import Customers, asked, opened, round_of

PEOPLE = "id {words}, Email {words}, changed {stamp}"
ANN = {"id": "1", "Email": "ann@example.org", "changed": "2026-01-01 00:00:00"}
SERVERS = ("mysql", "postgresql")


def refused(feed: Feed, password: str | None = None) -> Problem:
    async def read() -> None:
        await opened(feed, password).read(None, None, 10)

    with pytest.raises(Problem) as raised:
        asyncio.run(read())
    assert "s3cret" not in str(raised.value) and "ann@" not in str(raised.value)
    assert raised.value.__cause__ is None and raised.value.__suppress_context__
    return raised.value


def email(customers: Customers) -> str:
    """The column's name as the database keeps it."""
    return "email" if customers.dialect == "postgresql" else "Email"


def test_a_feed_that_can_be_read_has_no_problem(customers: Customers) -> None:
    customers.table("id INTEGER PRIMARY KEY, Email {words}, changed {stamp}", {**ANN, "id": 1})
    customers.run("CREATE INDEX by_change ON {T} (changed, id)")
    assert asked(customers.feed(columns={"email": email(customers)})) == ([], [])


def test_a_table_that_is_not_there_is_named_with_one_like_it(customers: Customers) -> None:
    customers.table(PEOPLE, ANN)
    [problem], _ = asked(customers.feed(table=customers.name.upper() + "x"))
    assert problem == f"there is no table {customers.name.upper()}x; did you mean {customers.name}?"
    [elsewhere], _ = asked(customers.feed(table="elsewhere.people"))
    assert "elsewhere" in elsewhere


def test_where_its_user_sees_no_table_that_is_said(customers: Customers) -> None:
    assert survey._near("people", []) == "; its user sees no table there: correct `database`, or grant it SELECT"
    assert survey._near("first_name", ["id", "last_name"]) == "; there are id, last_name", (
        "no guess that is another one"
    )


def test_columns_that_are_not_there_are_all_named_with_ones_like_them(customers: Customers) -> None:
    customers.table(PEOPLE, ANN)
    when = (When(column="zzz", equals=("US",), lists=("US",)),)
    problems, warnings = asked(customers.feed(columns={"email": "E_mail"}, when=when, permission_at="chnged"))
    assert problems == [
        "there is no column chnged; did you mean changed?",
        f"there is no column E_mail; did you mean {email(customers)}?",
        f"there is no column zzz; there are {', '.join(sorted(['id', email(customers), 'changed']))}",
    ]
    assert warnings == []
    said = refused(customers.feed(key="idd"))
    assert isinstance(said, Misconfigured) and str(said).startswith("feed news: the database says: ")


def test_a_query_that_the_database_does_not_understand_is_a_problem(customers: Customers) -> None:
    customers.table(PEOPLE, ANN)
    [problem], _ = asked(customers.feed(query=f"SELECT nothing FROM {customers.name}"))
    assert "nothing" in problem and "correct the feed's settings" in problem
    [problem], _ = asked(customers.feed(query="SELECT FROM WHERE"))
    assert "correct the feed's settings" in problem


def test_an_inexact_key_is_refused(customers: Customers) -> None:
    customers.table("id {real}, Email {words}, changed {stamp}", {**ANN, "id": 0.1})
    problems, _ = asked(customers.feed(columns={"email": email(customers)}))
    if customers.dialect == "sqlite":  # its only inexact type is a double, which comes back as it went
        assert problems == []
    else:
        assert problems[0].startswith("key: the column id is in an inexact type")


def test_what_will_not_go_well_is_said_to_who_asks(customers: Customers) -> None:
    rows = [{"id": str(n), "Email": "no address", "changed": "2999-01-01 00:00:00"} for n in range(3)]
    customers.table(PEOPLE, *rows, {**ANN, "id": None}, {**ANN, "id": "9", "changed": None})
    problems, warnings = asked(customers.feed(columns={"email": email(customers)}))
    assert problems == []
    said = " / ".join(warnings)
    for part in (
        "the key id is not declared unique",
        "changed has no index",
        "1 row has no id: not imported; fill it",
        "1 row has no changed: read again in every round",
        "changed has stamps in the future",
        "3 of the first 5 rows have no email address",
    ):
        assert part in said
    assert "ann@" not in said


def test_a_zone_that_is_not_the_servers_is_asked_about(customers: Customers) -> None:
    customers.table("id INTEGER PRIMARY KEY, Email {words}, changed {stamp}", {**ANN, "id": 1})
    customers.run("CREATE INDEX by_change ON {T} (changed, id)")
    _, warnings = asked(customers.feed(columns={"email": email(customers)}, zone="Asia/Kathmandu"))
    if customers.dialect == "sqlite":
        assert warnings == []
    else:
        assert "`zone` is Asia/Kathmandu; is that right?" in warnings[0]


# --- only reading ----------------------------------------------------------------------------------------------------


def test_nothing_can_be_written_whatever_the_query_says(customers: Customers) -> None:
    customers.table(PEOPLE, ANN)
    foreign = Foreign(customers.url, None)
    assert foreign.is_read_only()
    for statement in (f"DELETE FROM {customers.name}", f"INSERT INTO {customers.name} (id) VALUES ('2')"):
        with pytest.raises(Misconfigured, match="a feed may only read"):
            foreign.all(text(statement))
    foreign.close()
    found, _ = round_of(customers.feed(columns={"email": email(customers)}))
    assert len(found) == 1


def test_a_statement_may_not_take_for_ever(customers: Customers, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {"mysql": "SELECT SLEEP(5)", "postgresql": "SELECT pg_sleep(5)"}
    if customers.dialect not in slow:
        pytest.skip("not tested: SQLite has no limit of its own, its file is on this machine")
    monkeypatch.setattr(guests, "STATEMENT_SECONDS", 1)
    customers.table(PEOPLE, ANN)
    foreign = Foreign(customers.url, None)
    try:
        found = foreign.all(text(slow[customers.dialect]))
    except Transient as late:
        assert "an index on the change column makes it quick" in str(late)
    else:  # some versions of SLEEP only end early
        assert customers.dialect == "mysql" and found[0][0] == 1
    foreign.close()


# --- who is there ----------------------------------------------------------------------------------------------------


def test_off_this_machine_a_server_without_tls_is_not_spoken_to(
    customers: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    if customers.dialect not in SERVERS:
        pytest.skip("not tested: SQLite is a file, nobody listens")
    monkeypatch.setattr(guests, "is_here", lambda host: False)
    blocked = refused(customers.feed(), "s3cret")
    assert isinstance(blocked, Blocked) and blocked.reason == "tls"
    assert "name its certificate authority in ca_file" in str(blocked)


def test_an_authority_that_is_named_is_asked_for_on_this_machine_too(customers: Customers, tmp_path: Path) -> None:
    if customers.dialect not in SERVERS:
        pytest.skip("not tested: SQLite is a file, nobody listens")
    blocked = refused(customers.feed(ca_file=str(authority(tmp_path))), "s3cret")
    assert isinstance(blocked, Blocked) and blocked.reason == "tls"


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *((host, True) for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8", None)),
        *((host, False) for host in ("db.example.org", "10.0.0.7", "localhost.example.org", "0.0.0.0")),
    ],
)
def test_only_this_machine_is_this_machine(host: str | None, here: bool) -> None:
    assert guests.is_here(host) is here


def test_a_wrong_password_blocks_the_feed_and_is_not_repeated(customers: Customers) -> None:
    if customers.dialect not in SERVERS:
        pytest.skip("not tested: SQLite has no passwords")
    url = customers.url.replace("root@", "nobody_here@").replace("postgres@", "nobody_here@")
    blocked = refused(customers.feed(database=url), "s3cret-Ж")
    assert isinstance(blocked, Blocked) and blocked.reason == "credential"
    assert "keepstep feed connect" in str(blocked)


def test_a_database_that_is_not_there_is_said_to_be_so(customers: Customers) -> None:
    if customers.dialect == "sqlite":
        url = customers.url + "x"
    else:
        url = customers.url.rpartition("/")[0] + "/nowhere_at_all"
    said = refused(customers.feed(database=url))
    assert isinstance(said, Misconfigured) and str(said).startswith("feed news: ")


def test_nobody_at_the_port_is_asked_again_later(customers: Customers) -> None:
    if customers.dialect not in SERVERS:
        pytest.skip("not tested: SQLite has no port")
    scheme = customers.url.partition("://")[0]
    assert isinstance(refused(customers.feed(database=f"{scheme}://me@127.0.0.1:1/shop")), Transient)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_bytes(b"no database at all, " * 100)
    said = refused(Feed(name="news", database=f"sqlite:///{tmp_path}/shop.db", table="t", key="id", changed="c"))
    assert isinstance(said, Misconfigured) and "is no whole SQLite database" in str(said)
