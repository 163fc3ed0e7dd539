"""Commands that work on the service: what they ask of it, what they print, how they end."""

import contextlib
import io
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import keepstep
from keepstep import cli
from keepstep.database import Inline
from keepstep.model.errors import Blocked
from keepstep.state.vault import Secret

SIDE = {"first_name": "Ann", "consent": "opted_in", "deleted": False, "lists": ["News"], "custom:Shirt": "L"}
THEN = {
    "at": "2026-01-01T00:00:00Z",
    "record": "known",
    "decided": None,
    "people": [
        {
            "record": "known",
            "standing": "pending",
            "reason": "step_waiting",
            "audience": {"now": SIDE, "seen": None},
            "crm": {"now": {**SIDE, "lists": []}, "seen": {**SIDE, "first_name": "Anna"}},
        }
    ],
    "steps": [
        {"kind": "set_person", "side": "crm", "target": "set_person:known", "member": "known", "hold": "blocked"}
    ],
    "notes": [{"kind": "conflict", "record_id": "known", "data": {}}],
    "acts": [{"kind": "choice", "direction": "out", "source": "Contact", "at": None, "before": "2025-12-01T00:00:00Z"}],
}


class Hands:
    """A service that remembers what it was asked."""

    def __init__(self) -> None:
        self.db = Inline()
        self.asked: list[Any] = []
        self.checks: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.trouble: Exception | None = None

    async def add_customer(self, customer_id: str, platform: str, secrets: Mapping[str, Secret]) -> dict[str, Any]:
        self.asked.append((customer_id, platform, {name: secret.reveal() for name, secret in secrets.items()}))
        return {"customer": customer_id, "platform": platform, "stored": sorted(secrets), "hook": None}

    async def customers(self) -> list[dict[str, Any]]:
        if self.trouble:
            raise self.trouble
        return [{"id": "acme", "state": "active"}]

    async def customer(self, customer_id: str) -> dict[str, Any]:
        return {"id": customer_id}

    async def pause(self, customer_id: str) -> None:
        self.asked.append(("pause", customer_id))

    async def resume(self, customer_id: str) -> None:
        self.asked.append(("resume", customer_id))

    async def outlook(self, customer_id: str) -> dict[str, Any]:
        return {"customer": customer_id, "erases": {"party": 3}}

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        yield

    async def remove(self, customer_id: str, wish: Any, tell: Any) -> dict[str, Any]:
        tell("erasing")
        self.asked.append(("remove", customer_id, wish.to, wish.unexported, wish.force))
        return {"erased": 1, "by_hand": ["virtuous: delete the key"]}

    async def status(self, customer_id: str | None) -> dict[str, Any]:
        return {"customer": customer_id, "queue": {"consent": 0}}

    async def claims(self, customer_id: str | None) -> list[dict[str, Any]]:
        return [{"party": "p1", "customer": customer_id}]

    async def timeline(self, customer_id: str, record: str) -> list[dict[str, Any]]:
        return [{"at": "2026-01-01T00:00:00Z", "kind": "linked"}] if record == "known" else []

    async def at_moment(self, customer_id: str, record: str, at: float) -> dict[str, Any] | None:
        self.asked.append((customer_id, record, at))
        return THEN if record == "known" else None

    async def check(self, customer_id: str | None = None) -> list[dict[str, Any]]:
        return self.checks

    async def ready_for_production(self, customer_id: str) -> list[dict[str, Any]]:
        return self.lines


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    install(monkeypatch, hands)
    return hands


def install(monkeypatch: pytest.MonkeyPatch, hands: Hands) -> None:
    @contextlib.asynccontextmanager
    async def open_service(_settings: Any) -> AsyncIterator[Hands]:
        yield hands

    monkeypatch.setattr(keepstep, "wiring", SimpleNamespace(open_service=open_service), raising=False)


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert cli.main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_add_hands_over_what_standard_input_says(
    service: Hands, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("api_key=canary\nclient_id=a\nclient_secret=b\nrefresh_token=c\n"))
    answer = told(capsys, "customer", "add", "acme")
    assert service.asked == [
        ("acme", "virtuous", {"api_key": "canary"}),
        ("acme", "constant_contact", {"client_id": "a", "client_secret": "b", "refresh_token": "c"}),
    ]
    assert "canary" not in json.dumps(answer) and len(answer["connections"]) == 2


def test_an_id_that_is_none_is_refused_before_anything_is_asked(service: Hands) -> None:
    assert cli.main(["customer", "add", "a b"]) == 2 and service.asked == []


def test_list_show_pause_and_resume(service: Hands, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "customer", "list") == [{"id": "acme", "state": "active"}]
    assert told(capsys, "customer", "show", "acme") == {"id": "acme"}
    assert told(capsys, "customer", "pause", "acme")["state"] == "paused"
    assert told(capsys, "customer", "resume", "acme")["state"] == "active"
    assert service.asked == [("pause", "acme"), ("resume", "acme")]


def test_remove_needs_a_second_word(service: Hands, capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "customer", "remove", "acme", code=3)
    assert "--yes --export" in shown["next"] and shown["erases"] == {"party": 3} and service.asked == []
    assert told(capsys, "customer", "remove", "acme", "--yes", "--export", "a.tar.gz", "--force")["erased"] == 1
    assert cli.main(["customer", "remove", "acme", "--yes", "--no-export"]) == 0
    assert "by hand: virtuous: delete the key" in capsys.readouterr().out
    asked = [("remove", "acme", Path("a.tar.gz"), False, True), ("remove", "acme", None, True, False)]
    assert service.asked == asked
    both = ("--export", "a.tar.gz", "--no-export")
    assert "not both" in told(capsys, "customer", "remove", "acme", "--yes", *both, code=2)["error"]["what"]


def test_status_people_and_timeline(service: Hands, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "status")["queue"] == {"consent": 0}
    assert told(capsys, "status", "--customer", "acme")["customer"] == "acme"
    assert told(capsys, "status", "--customer", "acme", "--people") == [{"party": "p1", "customer": "acme"}]
    assert told(capsys, "timeline", "--customer", "acme", "known")[0]["kind"] == "linked"
    assert told(capsys, "timeline", "--customer", "acme", "unknown", code=1) == []
    assert cli.main(["timeline", "--customer", "acme", "unknown"]) == 1
    assert "nothing is known" in capsys.readouterr().out


def test_the_timeline_of_a_moment(service: Hands, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("timeline", "--customer", "acme", "known", "--at", "2026-01-01T00:00:00Z")
    assert told(capsys, *asked)["people"][0]["standing"] == "pending"
    assert service.asked == [("acme", "known", 1_767_225_600.999_999)], "the whole second"
    assert cli.main([*asked]) == 0
    shown = capsys.readouterr().out
    for words in ("pending: step waiting", "Anna", "set person to the CRM, held: blocked", "opted out (choice", "none"):
        assert words in shown, words
    assert told(capsys, "timeline", "--customer", "acme", "unknown", "--at", "2026-01-01T00:00:00.5Z", code=1) is None
    assert cli.main(["timeline", "--customer", "acme", "unknown", "--at", "2026-01-01"]) == 1
    assert "nothing was known" in capsys.readouterr().out


@pytest.mark.parametrize("time", ["yesterday", "", "2026-13-01", "25:00"])
def test_a_moment_that_is_none_is_wrong_usage(service: Hands, capsys: pytest.CaptureFixture[str], time: str) -> None:
    assert "--at" in told(capsys, "timeline", "--customer", "acme", "known", "--at", time, code=2)["error"]["what"]
    assert service.asked == []


@pytest.fixture(autouse=True)
def quiet_log(monkeypatch: pytest.MonkeyPatch) -> None:
    from keepstep import telemetry

    monkeypatch.setattr(telemetry, "setup", lambda *_: None)


def test_trouble_in_the_service_is_told_with_its_exit_code(service: Hands, capsys: pytest.CaptureFixture[str]) -> None:
    service.trouble = Blocked("reauthorize", "connect again")
    assert told(capsys, "customer", "list", code=3)["error"]["what"] == "connect again"


@pytest.mark.parametrize(("states", "code"), [(["ok"], 0), (["ok", "person"], 3), (["person", "failed"], 1)])
def test_doctor_ends_with_the_worst_finding(
    service: Hands,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    states: list[str],
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "--json"]) == 0
    capsys.readouterr()
    service.checks = [{"check": "account", "state": state} for state in states]
    found = told(capsys, "doctor", code=code)["checks"]
    assert [each["state"] for each in found] == ["ok", "ok", "ok", *states]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["pass", "not applicable"], 0),
        (["pass", "fail by person"], 3),
        (["fail", "fail by person"], 1),
    ],
)
def test_the_doctor_of_a_customer_adds_the_checklist(
    service: Hands,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    lines: list[str],
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "--json"]) == 0
    capsys.readouterr()
    service.checks = [{"check": "account", "state": "ok"}]
    service.lines = [
        {"line": one, "state": one.removesuffix(" by person"), "person": one.endswith("person")} for one in lines
    ]
    service.lines = [{**one, "evidence": "evidence of it", "next": "do this"} for one in service.lines]
    found = told(capsys, "doctor", "--customer", "acme", code=code)
    assert [each["line"] for each in found["readiness"]] == lines
    assert cli.main(["doctor", "--customer", "acme"]) == code
    shown = capsys.readouterr().out
    assert all(word in shown for word in [*lines, "evidence of it"])
    assert "readiness" not in told(capsys, "doctor")
