"""`keepstep alerts` on the real service: who is told is set, tried, shown and forgotten, and its address never said."""

import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keepstep import cli, telemetry
from keepstep.database import open_database
from keepstep.model.alerts import Kind
from keepstep.state import alerts
from keepstep.state.alerts import OPERATOR
from tests.flows.ears import Ears, ears

SECRET = "hunter2canary"


@pytest.fixture
def there() -> Iterator[Ears]:
    with ears() as built:
        yield built


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder where `keepstep init` was run, with one customer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KEEPSTEP_ALERT_URL", raising=False)
    monkeypatch.setattr(telemetry, "setup", lambda *_: None)
    monkeypatch.setattr(telemetry, "_write", lambda *_, **__: None)
    assert cli.main(["init", "--json"]) == 0
    given(monkeypatch, "api_key=k\n")
    assert cli.main(["customer", "add", "acme", "--json"]) == 0
    capsys.readouterr()
    return tmp_path


def given(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert cli.main([*arguments, "--json"]) == code
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    return json.loads(out)


async def _up(home: Path) -> None:
    db = open_database(f"sqlite:///{home}/keepstep.db")
    await db.run(alerts.raise_alert, OPERATOR, Kind.quota_used, "default", {}, time.time())
    await db.close()


def up(home: Path) -> None:
    from keepstep.cli.console import run

    run(_up(home))


def test_who_is_told_is_set_tried_and_forgotten(
    there: Ears, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    given(monkeypatch, there.url(SECRET) + "\n")
    assert said(capsys, "alerts", "set") == {"customer": None, "service": "JSON"}
    given(monkeypatch, there.url("own") + "\n")
    said(capsys, "alerts", "set", "--customer", "acme")
    assert said(capsys, "alerts", "test") == {"customer": None, "told": "default", "sent": True}
    assert said(capsys, "alerts", "test", "--customer", "acme")["told"] == "customer"
    assert [one["title"] for one in there.at("own")] == ["Keepstep, acme: test"]
    assert said(capsys, "alerts", "clear", "--customer", "acme") == {"customer": "acme", "told": "default"}
    there.status = 500
    assert said(capsys, "alerts", "test", "--customer", "acme", code=1)["sent"] is False
    assert said(capsys, "alerts", "clear") == {"customer": None, "told": "none"}
    assert said(capsys, "alerts", "test", code=1) == {"customer": None, "told": "none", "sent": False}
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in home.glob("keepstep.db*"))
    assert [one["customer"] for one in said(capsys, "customer", "list")] == ["acme"]


@pytest.mark.parametrize("text", ["", SECRET + "\n", f"http://{SECRET}\n"])
def test_an_address_that_cannot_be_read_is_refused_in_words(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, text)
    assert "address" in said(capsys, "alerts", "set", code=2)["error"]["what"]


def test_work_once_sends_what_is_due_to_the_address_of_the_environment(
    there: Ears, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    up(home)
    monkeypatch.setenv("KEEPSTEP_ALERT_URL", there.url(SECRET))
    said(capsys, "work", "--once", "--customer", "nobody")
    assert [one["title"] for one in there.at(SECRET)] == [f"Keepstep, {OPERATOR}: quota used"]
    assert said(capsys, "alerts", "list") == {"told": "environment", "alerts": []}
    [row] = said(capsys, "alerts", "list", "--all")["alerts"]
    assert (row["kind"], row["subject"], row["state"], row["times"]) == ("quota_used", "default", "sent", 1)


def test_what_nobody_heard_needs_a_person(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    up(home)
    said(capsys, "work", "--once", "--customer", "nobody")
    [row] = said(capsys, "alerts", "list", code=3)["alerts"]
    assert row["state"] == "unheard"
    assert cli.main(["alerts", "list"]) == 3
    words = capsys.readouterr().out
    assert "there is no recipient, so nobody is told: keepstep alerts set" in words and "unheard" in words


def test_nothing_to_tell_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["alerts", "list", "--customer", "acme"]) == 0
    assert "nothing lasts" in capsys.readouterr().out
    assert said(capsys, "alerts", "list", "--customer", "nobody", code=2)["error"]["next"]


def test_the_words_for_people_name_no_address(
    there: Ears, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, there.url(SECRET) + "\n")
    assert cli.main(["alerts", "set", "--customer", "acme"]) == 0
    there.status = 500
    assert cli.main(["alerts", "test", "--customer", "acme"]) == 1
    assert cli.main(["alerts", "clear", "--customer", "acme"]) == 0
    assert cli.main(["alerts", "test", "--customer", "acme"]) == 1
    out, err = capsys.readouterr()
    assert SECRET not in out + err and "127.0.0.1" not in out + err
    assert "next: keepstep alerts test --customer acme" in out and "look at the address" in out
    assert "nobody is told: keepstep alerts set" in out
