"""`keepstep vault` beside a real `keepstep serve` that is never started again: its grants are refreshed and its calls
made all the while."""

import json
import threading
import time
from pathlib import Path
from typing import Any, Self

import pytest

from keepstep import cli
from tests.safes.providing import REGION
from tests.tokens.serving import CUSTOMER, DAY, Serving


class Lived(threading.Thread):
    """Time goes on for the length of a block, half a day at a time: a refresh and some calls each."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(daemon=True)
        self.serving, self.ended = serving, threading.Event()
        self.wrong: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.ended.set()
        self.join(60)

    def run(self) -> None:
        try:
            while not self.ended.wait(0.1):
                self.serving.until(self.serving.now + DAY / 2)
        except BaseException as error:
            self.wrong.append(repr(error))


def told(capsys: pytest.CaptureFixture[str], *command: str) -> Any:
    """What a command says; 3 where the service stored something in the last moment."""
    capsys.readouterr()
    code = cli.main([*command, "--json"])
    out, wrong = capsys.readouterr()
    assert code in (0, 3), (out, wrong)
    return json.loads(out)


def beside(serving: Serving, capsys: pytest.CaptureFixture[str], *command: str) -> Any:
    """The same, while the service refreshes and calls; it does so afterwards, too."""
    with Lived(serving) as life:
        another_refresh(serving, life)
        said = told(capsys, *command)
        another_refresh(serving, life)
        another_refresh(serving, life)
    assert not life.wrong, life.wrong
    return said


def another_refresh(serving: Serving, life: Lived) -> None:
    before, deadline = serving.seen.refreshes, time.monotonic() + 30
    while serving.seen.refreshes == before:
        assert not life.wrong and time.monotonic() < deadline, life.wrong
        time.sleep(0.01)


def goes_on(serving: Serving) -> None:
    refreshes, calls = serving.seen.refreshes, serving.seen.calls
    serving.until(serving.now + DAY)
    assert serving.seen.refreshes > refreshes and serving.seen.calls > calls


def test_keys_are_replaced_and_secrets_moved_beside_a_service_that_goes_on(
    tmp_path: Path, moto: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service began before the settings knew of any provider."""
    with Serving(tmp_path) as serving:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("KEEPSTEP_CLOCK", serving.url)
        assert beside(serving, capsys, "vault", "rotate")["made"]
        assert beside(serving, capsys, "vault", "rotate", "--finish")["taken_out"]
        # Sealed anew and moved before the service looks again: it has read nothing of this.
        assert told(capsys, "vault", "rotate")["made"]
        settings = tmp_path / "keepstep.toml"
        vault = f'[vault]\nprovider = "parameter_store"\nregion = "{REGION}"\nendpoint = "{moto}"\n'
        settings.write_text(settings.read_text() + vault)
        made = told(capsys, "vault", "move", "--to", "parameter_store", "--yes")
        assert made["moved"] > 3 and made["proven"], made
        goes_on(serving)
        made = beside(serving, capsys, "vault", "move", "--to", "parameter_store", "--yes")
        assert made["moved"] and not made["not_read"], made
        whole(serving, capsys)


def whole(serving: Serving, capsys: pytest.CaptureFixture[str]) -> None:
    """One process all the while, no connection that needs a person, no token sent that was void."""
    shown = told(capsys, "status", "--customer", CUSTOMER)["customers"][0]
    assert (shown["connections"], shown["blocked"]) == ({"constant_contact": "ok"}, {})
    assert (serving.restarts, serving.seen.invalid, serving.seen.refused) == (0, 0, 0)
    log = (serving.home / "service.log").read_text()
    assert not any(word in log for word in ("blocked", "failed", "trouble", "Misconfigured")), log
