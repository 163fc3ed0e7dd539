"""The commands on the real service, with an embedded database and no vendor."""

import io
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from keepstep import cli, telemetry


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder where `keepstep init` was run."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("KEEPSTEP_")]:
        monkeypatch.delenv(name)
    # It is the whole process' log that a command sets up, and here the process is the test run.
    monkeypatch.setattr(telemetry, "setup", lambda *_: None)
    assert cli.main(["init", "--json"]) == 0
    capsys.readouterr()
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert cli.main([*arguments, "--json"]) == code, capsys.readouterr()
    return json.loads(capsys.readouterr().out)


def test_a_customer_is_added_shown_paused_and_removed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setattr(
        sys, "stdin", io.StringIO("api_key=canary-1\nclient_id=a\nclient_secret=canary-2\nrefresh_token=canary-3\n")
    )
    assert len(told(capsys, "customer", "add", "acme")["connections"]) == 2
    assert [each["customer"] for each in told(capsys, "customer", "list")] == ["acme"]
    shown = told(capsys, "customer", "show", "acme")
    assert {"virtuous.api_key", "virtuous.webhook_secret", "constant_contact.refresh_token"} <= set(shown["stored"])
    told(capsys, "customer", "pause", "acme")
    assert told(capsys, "customer", "show", "acme")["state"] == "paused"
    told(capsys, "status")
    told(capsys, "timeline", "--customer", "acme", "nobody", code=1)
    database = b"".join(path.read_bytes() for path in home.glob("keepstep.db*"))
    assert b"acme" in database and b"canary" not in database
    assert told(capsys, "customer", "remove", "acme", code=3)["erases"]["connection"] == 2
    assert "--no-export" in told(capsys, "customer", "remove", "acme", "--yes", code=2)["error"]["what"]
    report = told(capsys, "customer", "remove", "acme", "--yes", "--export", "acme.tar.gz")
    assert report["state"] == "removed" and report["erased"]["connection"] == 2 and len(report["by_hand"]) == 2
    assert b"canary" not in (home / "acme.tar.gz").read_bytes()
    assert told(capsys, "customer", "list") == []
    assert told(capsys, "customer", "show", "acme", code=2)["error"]["next"]


def test_a_webhook_secret_is_rotated_where_webhooks_arrive(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("api_key=k\n"))
    told(capsys, "customer", "add", "acme")
    assert "no webhooks arrive" in told(capsys, "customer", "rotate-secret", "acme", code=2)["error"]["what"]
    monkeypatch.setenv("KEEPSTEP_PUBLIC_URL", "https://keepstep.example")
    before = told(capsys, "customer", "show", "acme", "--door-secret", "virtuous")
    told(capsys, "customer", "rotate-secret", "acme", "--overlap", "soon", code=2)
    done = told(capsys, "customer", "rotate-secret", "acme", "--overlap", "2h")
    assert (done["rotated"], done["overlap"], done["vendor"]) == ("webhook_secret", 7200.0, "has no subscription yet")
    after = told(capsys, "customer", "show", "acme", "--door-secret", "virtuous")
    assert after["url"] == before["url"] and after["secret"] != before["secret"]
    assert list(told(capsys, "customer", "show", "acme")["rotating"]) == ["virtuous"]
    assert told(capsys, "customer", "rotate-secret", "acme", "--end")["ended"] == ["webhook_secret"]
    assert told(capsys, "customer", "show", "acme")["rotating"] == {}
    assert told(capsys, "customer", "rotate-secret", "acme", "--door")["rotated"] == "door_token"


def test_work_once_without_customers_has_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "work", "--once") == {"turns": 0, "under_way": 0, "needs": []}


def test_serve_answers_and_ends_on_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("KEEPSTEP_LISTEN", f"127.0.0.1:{port}")
    answers: list[int] = []

    def ask() -> None:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
                    answers.append(answer.status)
                break
            except urllib.error.URLError:  # also a 503: not ready yet
                time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    assert cli.main(["serve"]) == 0
    asking.join()
    assert answers == [200]
