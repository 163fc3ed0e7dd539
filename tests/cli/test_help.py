"""The command line answers at once, in words, with the promised exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keepstep import cli
from keepstep.cli import console
from keepstep.model.errors import Blocked, Misconfigured, Overloaded, Permanent, Problem, Refused, Transient, Unanswered

SRC = Path(cli.__file__).parents[2]


def test_help_imports_neither_the_database_nor_the_network() -> None:
    code = (
        "import sys; from keepstep.cli import main; main(['--help']);"
        "heavy = {'sqlalchemy', 'aiohttp', 'cryptography', 'uvicorn', 'alembic', 'phonenumbers'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "customer" in done.stdout


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "keepstep.cli", "explain", "--help"],
        env={"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "--platform" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["timeline", "x"], ["work", "--customer", "acme"], ["customer", "add"]]
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Misconfigured(("a", "b")), 2),
        (Refused(400, "a"), 2),
        (Blocked("reauthorize", "a"), 3),
        (Transient("a"), 1),
        (Unanswered("a"), 1),
        (Permanent(400, "a"), 1),
        (Overloaded("a"), 1),
        (Problem("a"), 1),
        (KeyError("canary"), 1),
        (OSError(2, "No such file"), 1),
    ],
)
def test_every_error_becomes_words_a_next_step_and_an_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert console.failed(error, as_json=False) == code
    words = capsys.readouterr().err
    assert words.startswith("keepstep: ") and "canary" not in words
    assert console.failed(error, as_json=True) == code
    told = json.loads(capsys.readouterr().out)["error"]
    assert told["kind"] == type(error).__name__ and set(told) == {"kind", "what", "next"}


def test_a_settings_file_that_is_named_and_not_there_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--config", str(tmp_path / "none.toml"), "customer", "list", "--json"]) == 2
    assert "keepstep init" in json.loads(capsys.readouterr().out)["error"]["what"]


def test_rows_and_values_for_people_show_brackets_and_nothing_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.show([{"name": "[red]Ada[/]", "since": None}], as_json=False)
    console.show({"queue": {"consent": 1}, "none": []}, as_json=False)
    console.show([], as_json=False)
    out = capsys.readouterr().out
    assert "[red]Ada[/]" in out and "queue consent" in out and "nothing" in out
