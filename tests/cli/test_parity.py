"""`keepstep parity` of a customer of whom nothing was seen yet."""

import json
from pathlib import Path

import pytest

from keepstep.cli import main
from keepstep.cli.parity import WHY
from tests.docs.test_docs import CLI, documented_keys, sections


def test_the_report_has_the_documented_keys_and_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "credentials").write_text("virtuous.api_key=made-up\n")
    assert main(["init"]) == 0
    with (tmp_path / "credentials").open() as credentials:
        monkeypatch.setattr("sys.stdin", credentials)
        assert main(["customer", "add", "acme"]) == 0
    capsys.readouterr()
    assert main(["parity", "--customer", "acme", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    part = sections(CLI)["keepstep parity"]
    assert documented_keys(part, "Key") == set(found)
    assert (found["verdict"], found["why"]) == ("keep", ["no_subscription", "too_few_events", "too_few_days"])
    assert all(f"`{name}`" in part for name in (*found["total"], *WHY))
    assert main(["parity", "--customer", "acme"]) == 0
    assert "too few changes by others" in capsys.readouterr().out


def test_a_customer_that_nobody_knows_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert main(["parity", "--customer", "nobody", "--json"]) == 2
    assert "keepstep customer list" in capsys.readouterr().out
