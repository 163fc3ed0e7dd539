"""`init` and `doctor`."""

import json
from pathlib import Path

import pytest

from keepstep import cli


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("KEEPSTEP_CONFIG", "KEEPSTEP_KEY_FILE", "KEEPSTEP_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_init_makes_settings_and_a_private_key_and_keeps_what_is_there(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["init", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"] == ["keepstep.toml", "keepstep.key"]
    key = (home / "keepstep.key").read_bytes()
    assert (home / "keepstep.key").stat().st_mode & 0o777 == 0o600
    assert cli.main(["init", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"] == []
    assert (home / "keepstep.key").read_bytes() == key


def test_init_puts_both_files_where_the_settings_are_asked_for(home: Path) -> None:
    assert cli.main(["--config", "etc/keepstep.toml", "init"]) == 0
    assert (home / "etc" / "keepstep.toml").exists() and (home / "etc" / "keepstep.key").exists()


def checks(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)["checks"]
    return found


def test_doctor_names_every_mistake_of_the_settings(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "keepstep.toml").write_text("[service]\nlog = 1\nlisten = 1\n")
    assert cli.main(["doctor", "--json"]) == 1
    found = checks(capsys)
    assert [each["check"] for each in found] == ["settings", "settings"]
    assert all(each["state"] == "failed" and each["next"] for each in found)
    assert "keepstep.toml:2: service.log" in found[0]["detail"]


def test_doctor_refuses_a_key_file_that_others_can_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["init", "--json"])
    capsys.readouterr()
    (home / "keepstep.key").chmod(0o644)
    assert cli.main(["doctor", "--json"]) == 1
    found = checks(capsys)
    assert [(each["check"], each["state"]) for each in found] == [("settings", "ok"), ("key file", "failed")]
    assert "chmod 600" in found[1]["detail"]
