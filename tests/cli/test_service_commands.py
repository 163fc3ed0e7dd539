"""Commands that work on the service: what they ask of it, what they print, how they end."""

import contextlib
import io
import json
import sys
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

import keepstep
from keepstep import cli
from keepstep.database import Inline
from keepstep.model.errors import Blocked
from keepstep.state.vault import Secret


class Hands:
    """A service that remembers what it was asked."""

    def __init__(self) -> None:
        self.db = Inline()
        self.asked: list[Any] = []
        self.checks: list[dict[str, Any]] = []
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

    async def remove(self, customer_id: str) -> dict[str, Any]:
        self.asked.append(("remove", customer_id))
        return {"erased": 1}

    async def status(self, customer_id: str | None) -> dict[str, Any]:
        return {"customer": customer_id, "queue": {"consent": 0}}

    async def claims(self, customer_id: str | None) -> list[dict[str, Any]]:
        return [{"party": "p1", "customer": customer_id}]

    async def timeline(self, customer_id: str, record: str) -> list[dict[str, Any]]:
        return [{"at": "2026-01-01T00:00:00Z", "kind": "linked"}] if record == "known" else []

    async def check(self) -> list[dict[str, Any]]:
        return self.checks


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
    assert "--yes" in told(capsys, "customer", "remove", "acme", code=3)["next"] and service.asked == []
    assert told(capsys, "customer", "remove", "acme", "--yes") == {"erased": 1}


def test_status_people_and_timeline(service: Hands, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "status")["queue"] == {"consent": 0}
    assert told(capsys, "status", "--customer", "acme")["customer"] == "acme"
    assert told(capsys, "status", "--customer", "acme", "--people") == [{"party": "p1", "customer": "acme"}]
    assert told(capsys, "timeline", "--customer", "acme", "known")[0]["kind"] == "linked"
    assert told(capsys, "timeline", "--customer", "acme", "unknown", code=1) == []
    assert cli.main(["timeline", "--customer", "acme", "unknown"]) == 1
    assert "nothing is known" in capsys.readouterr().out


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
