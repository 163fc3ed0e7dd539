"""`keepstep vault`: status, rotate, move; on a real service, and on a server that plays AWS."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from keepstep import cli
from keepstep.database import engine_of
from keepstep.schema.tables import secret as table
from tests.safes.moto import moto, moto_server

__all__ = ["moto", "moto_server"]

CREDENTIALS = "api_key=canary-1\nclient_id=a\nclient_secret=canary-2\nrefresh_token=canary-3\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder where `keepstep init` was run, and a customer with credentials."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("KEEPSTEP_")]:
        monkeypatch.delenv(name)
    assert cli.main(["init", "--json"]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(CREDENTIALS))
    assert cli.main(["customer", "add", "acme", "--json"]) == 0
    capsys.readouterr()
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert cli.main([*arguments, "--json"]) == code, capsys.readouterr()
    out = capsys.readouterr().out
    assert "canary" not in out
    return json.loads(out)


def stored(capsys: pytest.CaptureFixture[str]) -> int:
    return len(told(capsys, "customer", "show", "acme")["stored"])


def test_a_key_is_replaced_and_taken_out(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    before = (home / "keepstep.key").read_text()
    made = told(capsys, "vault", "rotate")
    assert made["made"] == made["current"] and made["resealed"] == stored(capsys)
    assert [one["state"] for one in told(capsys, "vault", "status")["keys"]] == ["seals", "opens"]
    assert (home / "keepstep.key").read_text().endswith(before)
    done = told(capsys, "vault", "rotate", "--finish")
    assert done == {"taken_out": [before.partition(":")[0]], "still_needed": {}}
    assert told(capsys, "vault", "status")["keys"] == [
        {"key": made["current"], "state": "seals", "secrets": stored(capsys)}
    ]


def test_a_missing_key_needs_a_person(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    engine = engine_of(f"sqlite:///{home / 'keepstep.db'}")
    with engine.begin() as tx:
        tx.execute(update(table).where(table.c.field == "api_key").values(key_id="lost"))
    engine.dispose()
    assert told(capsys, "vault", "status", code=3)["keys"][-1] == {"key": "lost", "state": "missing", "secrets": 1}
    assert told(capsys, "vault", "rotate", code=3)["missing"] == {"lost": 1}
    assert told(capsys, "vault", "rotate", "--finish", code=3)["still_needed"]["lost"] == 1


def test_with_keys_of_the_environment_it_is_said_what_to_do(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEPSTEP_KEY", (home / "keepstep.key").read_text())
    (home / "keepstep.key").unlink()
    assert told(capsys, "vault", "status")["keys_from"] == "environment"
    assert cli.main(["vault", "rotate"]) == 3
    assert "KEEPSTEP_KEY" in capsys.readouterr().out
    assert told(capsys, "vault", "rotate", "--finish", code=2)["error"]["what"].startswith("the keys are in")
    checks = {one["check"]: one for one in told(capsys, "doctor", code=1)["checks"]}
    assert checks["key file"]["detail"] == "the environment (KEEPSTEP_KEY)"


def test_without_yes_only_the_counts_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "vault", "move", "--to", "parameter_store")
    assert shown["to_move"] == stored(capsys) and shown["there"] == 0 and "--yes" in shown["next"]
    assert told(capsys, "vault", "status")["places"] == [{"place": "database", "secrets": stored(capsys)}]


def test_a_move_to_what_the_settings_do_not_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    error = told(capsys, "vault", "move", "--to", "secrets_manager", "--yes", code=2)["error"]
    assert 'provider = "secrets_manager"' in error["what"]


@pytest.mark.parametrize("provider", ["parameter_store", "secrets_manager"])
def test_everything_moves_and_comes_back(
    provider: str, capsys: pytest.CaptureFixture[str], home: Path, moto: str
) -> None:
    settings = home / "keepstep.toml"
    for to in (provider, "database"):
        whole = f'[vault]\nprovider = "{to}"\nregion = "us-east-1"\nendpoint = "{moto}"\n'
        settings.write_text(whole)
        made = told(capsys, "vault", "move", "--to", to, "--yes")
        assert made == {"moved": stored(capsys), "proven": True, "left": [], "not_read": [], "trouble": None}
        assert {"place": to, "secrets": stored(capsys)} in told(capsys, "vault", "status")["places"]
        assert told(capsys, "vault", "move", "--to", to)["next"] == "nothing to move"
        database = b"".join(path.read_bytes() for path in home.glob("keepstep.db*"))
        assert b"canary" not in database


def test_what_is_left_needs_a_person_and_is_named(
    capsys: pytest.CaptureFixture[str], home: Path, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepstep.safes.moving._MOST_ROUNDS", 1)
    whole = '[vault]\nprovider = "parameter_store"\nregion = "us-east-1"\nendpoint = "http://127.0.0.1:9"\n'
    (home / "keepstep.toml").write_text(whole)
    made = told(capsys, "vault", "move", "--to", "parameter_store", "--yes", code=3)
    assert "acme/virtuous/api_key" in made["left"] and not made["proven"] and "AWS" in made["trouble"]
    assert cli.main(["vault", "move", "--to", "parameter_store", "--yes"]) == 3
    assert "nothing is lost" in capsys.readouterr().out


def test_for_people_it_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["vault", "status"]) == 0
    assert "seals" in capsys.readouterr().out
    assert cli.main(["vault", "rotate"]) == 0
    assert "--finish" in capsys.readouterr().out


def test_work_once_sends_what_waits(
    capsys: pytest.CaptureFixture[str], home: Path, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(f"sqlite:///{home / 'keepstep.db'}")
    with engine.begin() as tx:
        tx.execute(update(table).values(updated=table.c.updated - 60.0))  # it waits for what is settled
    engine.dispose()
    told(capsys, "customer", "pause", "acme")
    whole = f'[vault]\nprovider = "parameter_store"\nregion = "us-east-1"\nendpoint = "{moto}"\n'
    (home / "keepstep.toml").write_text(whole)
    monkeypatch.setattr("keepstep.telemetry.setup", lambda *_: None)
    told(capsys, "work", "--once")
    places = {one["place"]: one["secrets"] for one in told(capsys, "vault", "status")["places"]}
    assert places == {"database": 0, "parameter_store": stored(capsys)}
