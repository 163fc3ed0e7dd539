"""`keepstep feed` as it is typed, over a stand-in of Constant Contact and tables in SQLite files."""

import contextlib
import io
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keepstep import cli, telemetry
from keepstep.cli import page
from keepstep.cli import run as run_commands
from keepstep.cli import service as service_commands
from keepstep.model.errors import Blocked, Transient
from keepstep.model.feed import Feed
from keepstep.settings import Customer
from keepstep.state import alerts, feeds
from keepstep.wiring.tables import Tables
from tests.flows.crossing import CUSTOMER, HOUR, MINUTE, Crossing

Capture = pytest.CaptureFixture[str]
EVIDENCE = "Members agreed to mail when they joined."
COLUMNS = {"email": "email", "first_name": "first_name"}


class Fed:
    """A customer without a CRM, nobody who serves, and a table of members."""

    def __init__(self, c: Crossing, folder: Path) -> None:
        self.c, self.file = c, folder / "members.db"
        self.feed(name="members", lists=("News",))
        with self.sql() as db:
            db.execute("CREATE TABLE members (id INTEGER PRIMARY KEY, email TEXT, first_name TEXT, changed_at TEXT)")

    @contextlib.contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.file)) as db, db:
            yield db

    def feed(self, *, crm: str = "none", **more: Any) -> None:
        """The settings have this feed from now on, and no other one."""
        given: dict[str, Any] = {
            "database": f"sqlite:///{self.file}",
            "table": "members",
            "key": "id",
            "columns": COLUMNS,
        }
        one = Feed(**{**given, "permission_evidence": EVIDENCE, "new_rows_only": True, **more})
        self.settings(one)

    def settings(self, *given: Feed) -> None:
        service = self.c.service
        known = service.settings.customers[CUSTOMER]
        route = replace(known.route, feeds={one.name: one for one in given})
        customers = {CUSTOMER: Customer(id=CUSTOMER, name=CUSTOMER, route=route)}
        from msgspec.structs import replace as changed

        service.settings = changed(service.settings, customers=customers)
        service.forget(CUSTOMER)

    def rows(self, *emails: str | None) -> None:
        with self.sql() as db:
            db.executemany("INSERT INTO members (email, first_name) VALUES (?, 'Ann')", [(one,) for one in emails])

    def state(self) -> dict[str, dict[str, dict[str, int]]]:
        found: dict[str, dict[str, dict[str, int]]] = self.c.ask(self.c.service.db.run(feeds.counts, CUSTOMER))
        return found


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Fed]:
    with Crossing(crm="none") as c:
        c.a_list("News")
        c.consent(c.refresh_tokens[CUSTOMER])
        made = Fed(c, tmp_path)

        @contextlib.asynccontextmanager
        async def opened(_settings: object) -> AsyncIterator[Any]:
            yield c.service

        for module in (service_commands, run_commands):
            monkeypatch.setattr(module, "open_service", opened)
        monkeypatch.setattr(telemetry, "setup", lambda *_: None)
        monkeypatch.setattr(telemetry, "_write", lambda *_, **__: None)
        monkeypatch.chdir(tmp_path)
        yield made


def typed(capsys: Capture, *words: str, code: int = 0) -> Any:
    assert cli.main([*words, "--json"]) == code, capsys.readouterr().out
    return json.loads(capsys.readouterr().out)


def feed(capsys: Capture, command: str, *words: str, code: int = 0) -> Any:
    return typed(capsys, "feed", command, "members", "--customer", CUSTOMER, *words, code=code)


def said(capsys: Capture, *words: str, code: int = 0) -> str:
    assert cli.main([*words]) == code
    return capsys.readouterr().out


# --- check ---


def test_check_says_that_a_feed_can_be_read_and_which_list_is_meant(fed: Fed, capsys: Capture) -> None:
    found = feed(capsys, "check")
    assert (found["state"], found["problems"]) == ("ok", [])
    assert [one["list"] for one in found["lists"]] == ["News"] and found["lists"][0]["id"]
    assert "members can be read" in said(capsys, "feed", "check", "members", "--customer", CUSTOMER)


def test_an_unknown_list_is_named_with_one_that_is_like_it(fed: Fed, capsys: Capture) -> None:
    fed.feed(name="members", lists=("Newz",))
    found = feed(capsys, "check", code=3)
    assert found["problems"] == [
        "list 'Newz' is not at Constant Contact (is 'News' meant?); make it there, or correct the name"
    ]


def test_a_name_of_two_lists_asks_for_the_id(fed: Fed, capsys: Capture) -> None:
    fed.c.a_list("news ")
    assert "write the id instead" in feed(capsys, "check", code=3)["problems"][0]


def test_the_doctor_looks_whether_the_lists_of_feeds_are_there(fed: Fed) -> None:
    fed.feed(name="members", lists=("Newz",))
    (row,) = [one for one in fed.c.ask(fed.c.service.check(CUSTOMER)) if one["check"] == "feed members"]
    assert row["state"] == "person" and "is 'News' meant?" in row["detail"] and "feed check members" in row["next"]


def test_what_did_not_travel_of_a_row_is_said_with_what_to_do(fed: Fed, capsys: Capture) -> None:
    with fed.sql() as db:
        db.execute("INSERT INTO members (email, first_name) VALUES ('ann@example.org', ?)", ("x" * 300,))
    assert feed(capsys, "run", "--wait")["rows"] == {"done": 1}
    (done,) = feed(capsys, "rows", "--state", "done")
    assert done["reason"] == "name_cut" and "50 characters" in done["next"]


def test_a_wrong_column_is_named(fed: Fed, capsys: Capture) -> None:
    fed.feed(name="members", lists=("News",), columns={"email": "mail"})
    found = feed(capsys, "check", code=3)
    assert "mail" in found["problems"][0] and found["warnings"] == []


def test_a_feed_that_is_not_in_the_settings_is_wrong_usage(fed: Fed, capsys: Capture) -> None:
    found = typed(capsys, "feed", "check", "nobody", "--customer", CUSTOMER, code=2)
    assert "there are members" in found["error"]["what"]
    assert "no customer" in typed(capsys, "feed", "check", "members", "--customer", "x", code=2)["error"]["what"]


def test_what_was_mended_counts_at_once(fed: Fed, capsys: Capture) -> None:
    fed.feed(name="members", lists=("News",), columns={"email": "mail"}, schedule="0 3 1 1 *")
    fed.rows("ann@example.org")
    feed(capsys, "run", "--wait", code=3)
    assert typed(capsys, "feed", "list", code=3)[0]["state"] == "problem"
    fed.feed(name="members", lists=("News",), schedule="0 3 1 1 *")
    feed(capsys, "check")
    fed.c.wait(minutes=5)
    assert fed.state() == {"members": {"done": {"": 1}}}


def test_a_run_after_a_correction_does_not_stop_at_what_was_wrong_before(fed: Fed, capsys: Capture) -> None:
    fed.feed(name="members", lists=("News",), columns={"email": "mail"})
    fed.rows("ann@example.org")
    assert "mail" in feed(capsys, "run", "--wait", code=3)["problem"][0]
    assert "feed check members" in said(capsys, "feed", "run", "members", "--customer", CUSTOMER, "--wait", code=3)
    fed.feed(name="members", lists=("News",))
    assert feed(capsys, "run", "--wait")["rows"] == {"done": 1}


# --- connect ---


def test_connect_keeps_a_password_sealed_and_looks_whether_it_works(
    fed: Fed, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("canary-password\n"))
    found = feed(capsys, "connect")
    assert found["state"] == "ok" and "canary" not in json.dumps(found)
    service = fed.c.service
    kept = fed.c.ask(service.db.run(service.vault.get, CUSTOMER, feeds.PLATFORM, "members"))
    assert kept.reveal() == "canary-password"


# --- preview ---


def test_a_preview_counts_what_would_come_of_it_and_writes_nothing(fed: Fed, capsys: Capture) -> None:
    fed.rows("ann@example.org", "bob@example.org", None, "no address", "ann@example.org")
    fed.c.wait(minutes=5)  # the schedule's own round
    before = len(fed.c.writes())
    fed.rows("cid@example.org")
    found = feed(capsys, "preview")
    assert (found["rows"], found["new"], found["unchanged"], found["import"]) == (6, 1, 5, 1)
    assert found["lists"] == {"News": 1} and found["calls"] == 3 and found["everybody_read"]
    assert len(fed.c.writes()) == before
    assert "members" in fed.state() and sum(sum(one.values()) for one in fed.state()["members"].values()) == 5


def test_before_anything_was_read_a_preview_says_that_nobody_is_known(fed: Fed, capsys: Capture) -> None:
    fed.rows("ann@example.org", "ann@example.org", None)
    found = feed(capsys, "preview")
    assert (found["import"], found["parked"], found["same_address"]) == (2, {"no_email": 1}, 1)
    assert not found["everybody_read"] and found["next"]["no_email"]
    shown = said(capsys, "feed", "preview", "members", "--customer", CUSTOMER, "--rows", "2")
    assert "the first 2 rows" in shown and "keepstep work --once" in shown
    assert fed.state() == {}


def test_a_sample_holds_no_personal_data_unless_it_is_asked_for(fed: Fed, capsys: Capture) -> None:
    fed.rows("canary@example.org")
    assert "canary" not in json.dumps(feed(capsys, "preview"))
    (shown,) = feed(capsys, "preview", "--show")["sample"]
    assert (shown["key"], shown["fields"]["email"]) == ("1", "canary@example.org")


def test_all_reads_more_than_the_first_rows(fed: Fed, capsys: Capture) -> None:
    fed.rows(*(f"p{n}@example.org" for n in range(2500)))
    assert (feed(capsys, "preview")["rows"], feed(capsys, "preview", "--all")["rows"]) == (1000, 2500)


# --- run ---


def test_run_without_a_service_says_what_to_type(fed: Fed, capsys: Capture) -> None:
    fed.feed(name="members", lists=("News",), schedule="0 3 1 1 *")
    assert feed(capsys, "run") == {"feed": "members", "state": "due", "service": False}
    assert "keepstep work --once" in said(capsys, "feed", "run", "members", "--customer", CUSTOMER)


def test_run_and_wait_ends_when_every_row_has_come_to_its_end(fed: Fed, capsys: Capture) -> None:
    fed.feed(name="members", lists=("News",), schedule="0 3 1 1 *")
    fed.rows("ann@example.org", "bob@example.org", None)
    found = feed(capsys, "run", "--wait")
    assert (found["state"], found["rows"]) == ("done", {"done": 2, "parked": 1})
    assert "feed rows members" in said(capsys, "feed", "run", "members", "--customer", CUSTOMER, "--wait")


def test_run_ends_where_something_holds_its_rows_for_long(fed: Fed, capsys: Capture) -> None:
    known = fed.c.service.settings.customers[CUSTOMER].route
    fed.rows("ann@example.org")
    observed = replace(known, policy=replace(known.policy, stage="observe"))
    customers = {CUSTOMER: Customer(id=CUSTOMER, name=CUSTOMER, route=observed)}
    from msgspec.structs import replace as changed

    fed.c.service.settings = changed(fed.c.service.settings, customers=customers)
    fed.c.service.forget(CUSTOMER)
    found = feed(capsys, "run", "--wait")
    assert (found["rows"], sum(found["held"].values())) == ({"waiting": 1}, 1)


# --- rows and list ---


def test_rows_are_named_with_their_reason_and_what_to_do(fed: Fed, capsys: Capture) -> None:
    fed.rows("canary@example.org", None)
    fed.c.wait(minutes=5)
    (parked,) = feed(capsys, "rows", code=3)
    assert (parked["state"], parked["reason"], parked["feed"]) == ("parked", "no_email", "members")
    assert "`email` is mapped" in parked["next"]
    assert "no_email: fill the column" in said(capsys, "feed", "rows", "members", "--customer", CUSTOMER, code=3)
    assert len(feed(capsys, "rows", "--state", "all", code=3)) == 2
    (done,) = feed(capsys, "rows", "--state", "done")
    assert "canary" not in json.dumps(done) and "key" not in done
    assert [one["key"] for one in feed(capsys, "rows", "--show", code=3)] == ["2"], "its key is how it is found again"
    assert feed(capsys, "rows", "--state", "done", "--show")[0]["fields"]["email"] == "canary@example.org"
    assert "--state" in feed(capsys, "rows", "--state", "gone", code=2)["error"]["what"]


def test_rows_of_a_feed_that_left_the_settings_are_still_shown(fed: Fed, capsys: Capture) -> None:
    fed.rows("ann@example.org")
    fed.c.wait(minutes=5)
    fed.settings()
    assert len(feed(capsys, "rows", "--state", "done")) == 1
    (one,) = typed(capsys, "feed", "list")
    assert (one["state"], one["next"], one["rows"]) == ("gone", None, {"done": 1})
    fed.c.wait(hours=2)


def test_list_says_when_each_feed_was_read_and_is_read_next(fed: Fed, capsys: Capture) -> None:
    fed.rows("ann@example.org")
    assert typed(capsys, "feed", "list", "--customer", CUSTOMER)[0]["last"] is None
    fed.c.wait(minutes=5)
    (one,) = typed(capsys, "feed", "list")
    assert (one["feed"], one["state"], one["rows"], one["problem"]) == ("members", "waiting", {"done": 1}, None)
    assert one["last"] < one["next"]
    assert "members" in said(capsys, "feed", "list")


def test_status_shows_feeds_apart_from_the_polls(fed: Fed, capsys: Capture) -> None:
    fed.rows("ann@example.org")
    fed.c.wait(minutes=5)
    found = fed.c.ask(fed.c.service.status(CUSTOMER))["customers"][0]
    assert found["feeds"]["members"]["rows"] == {"done": 1}
    assert not [name for name in found["polls"] if "sql_table" in name]


def test_a_feed_whose_database_refuses_us_is_blocked_alone_and_says_what_to_do(
    fed: Fed, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shut:
        async def check(self) -> list[str]:
            raise Blocked("credential", "feed shut: the database refuses the password", feeds.PLATFORM)

    known, tables = fed.c.service.settings.customers[CUSTOMER].route.feeds["members"], Tables.of
    fed.settings(replace(known, name="shut"), known)
    monkeypatch.setattr(Tables, "of", lambda *given: {**tables(*given), "shut": Shut()})
    fed.rows("ann@example.org")
    (need,) = typed(capsys, "work", "--once", code=3)["needs"]
    assert need["what"] == "sql_table:shut is blocked: credential"
    assert "keepstep feed connect shut" in need["next"] and fed.state() == {"members": {"done": {"": 1}}}
    found = {one["feed"]: one for one in typed(capsys, "feed", "list", code=3)}
    assert (found["shut"]["state"], found["members"]["state"]) == ("blocked", "waiting")
    assert typed(capsys, "feed", "check", "shut", "--customer", CUSTOMER, code=3)["state"] == "person"
    assert typed(capsys, "feed", "run", "shut", "--customer", CUSTOMER, "--wait", code=3)["state"] == "blocked"
    page.status(fed.c.ask(fed.c.service.status(CUSTOMER)))
    assert "feed shut" in capsys.readouterr().out
    monkeypatch.setattr(Tables, "of", tables)
    typed(capsys, "feed", "check", "shut", "--customer", CUSTOMER)
    assert typed(capsys, "feed", "list")[0]["state"] == "waiting", "it works, so it is blocked no more"


def test_a_blocked_feed_that_left_the_settings_is_nobodys_chore_any_more(
    fed: Fed, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tables, "of", lambda *_: {})
    typed(capsys, "work", "--once", code=3)
    stand = fed.c.service.db.run
    assert [one.subject for one in fed.c.ask(stand(alerts.listed, CUSTOMER))] == ["sql_table:members"]
    fed.settings()
    typed(capsys, "work", "--once")
    assert fed.c.ask(stand(alerts.listed, CUSTOMER))[0].closed is not None


def test_a_database_that_does_not_answer_is_no_persons_fault(
    fed: Fed, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Down:
        async def check(self) -> list[str]:
            raise Transient("feed members: no answer")

    tables = Tables.of
    monkeypatch.setattr(Tables, "of", lambda *_: {"members": Down()})
    assert feed(capsys, "check", code=1)["state"] == "failed"
    assert feed(capsys, "run", "--wait", code=1)["state"] == "failing", "who waits is told, and not kept waiting"
    (one,) = typed(capsys, "feed", "list")
    assert one["state"] == "failing" and "asked again by itself" in one["problem"][0]
    monkeypatch.setattr(Tables, "of", tables)
    assert feed(capsys, "run", "--wait")["state"] == "done"
    monkeypatch.setattr(Tables, "of", lambda *_: {})
    assert "feed connect members" in feed(capsys, "check", code=3)["error"]["what"]


# --- work --once ---


def test_once_follows_the_import_that_it_began_to_its_end(fed: Fed, capsys: Capture) -> None:
    fed.rows("ann@example.org")
    found = typed(capsys, "work", "--once")
    assert found["under_way"] == 0 and found["needs"] == []
    assert fed.state() == {"members": {"done": {"": 1}}}


def test_once_without_waiting_leaves_it_to_the_next_run(fed: Fed, capsys: Capture) -> None:
    fed.rows("ann@example.org")
    began = fed.c.now()
    while not typed(capsys, "work", "--once", "--no-wait")["under_way"]:
        assert fed.c.now() < began + HOUR
        fed.c.clock.at += 15
    assert fed.state() == {"members": {"sent": {"": 1}}}
    fed.c.clock.at += 10 * MINUTE
    typed(capsys, "work", "--once", "--no-wait")
    assert fed.state() == {"members": {"done": {"": 1}}}


def test_once_waits_no_longer_than_a_few_minutes(fed: Fed, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_commands, "PATIENCE", 3.0)
    fed.rows("ann@example.org")
    began = fed.c.now()
    typed(capsys, "work", "--once")
    assert fed.c.now() - began <= 5


def test_once_ends_with_three_where_a_person_is_needed_and_says_for_what(fed: Fed, capsys: Capture) -> None:
    fed.rows(None)
    (need,) = typed(capsys, "work", "--once", code=3)["needs"]
    assert (need["customer"], need["what"]) == (CUSTOMER, "1 more row of feed members parked")
    assert typed(capsys, "work", "--once")["needs"] == [], "the same row is said once"
    fed.feed(name="members", lists=("News",), columns={"email": "mail"})
    feed(capsys, "run")
    (need,) = typed(capsys, "work", "--once", code=3)["needs"]
    assert "feed members cannot be read" in need["what"]
    assert "feed check members" in said(capsys, "work", "--once", code=3)
