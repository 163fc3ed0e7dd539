"""`keepstep simulate`: a user's own settings, played by another program; nothing is written, no secret is needed."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from keepstep.cli import main
from keepstep.cli import simulate as command

SETTINGS = """\
[customers.acme.route]
contact_tags_prefix = "Tag: "
[customers.acme.cadence]
opted_out = "2h"
changed = "4h"
[customers.lone.route]
crm = "none"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text(SETTINGS)
    return tmp_path


def test_a_story_is_played_with_the_settings_of_a_file_and_nothing_is_written(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--seeds", "1", "--days", "2", "--config", "own.toml"]) == 0
    said = capfd.readouterr().out
    assert "of acme" in said and "no CRM: lone" in said
    assert "answers lost" in said and "Nothing broke" in said
    assert sorted(path.name for path in here.iterdir()) == ["own.toml"]


def test_a_script_gets_one_document(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seeds", "1", "--days", "2", "--start", "5", "--json"]) == 0
    out, err = capfd.readouterr()
    report = json.loads(out)
    assert (report["seeds"], report["first"], report["last"], report["clean"]) == (1, 5, 5, True)
    assert err == ""


def test_wrong_settings_are_named_before_anything_is_played(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "own.toml").write_text('[customers.acme.cadence]\nopted_out = "soon"\n')
    assert main(["simulate", "--config", "own.toml"]) == 2
    assert "customers.acme.cadence.opted_out" in capfd.readouterr().err


# --- with another program in place of the simulator ---


def program(monkeypatch: pytest.MonkeyPatch, *lines: Any, code: int = 0, complaint: str = "") -> None:
    """What the program says and how it ends."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    script = f"import sys; sys.stdout.write({text!r}); sys.stderr.write({complaint!r}); sys.exit({code})"
    monkeypatch.setattr(command, "_command", lambda *_: [sys.executable, "-c", script])


def report(**more: Any) -> dict[str, Any]:
    """A clean one, but for what is said."""
    figures = {"seeds": 40, "wall_seconds": 9.6, "medians": {"days": 2.5, "customers": 2, "people": 20}}
    found: dict[str, Any] = {"broken": [], "lost": [], "stories": [], "twice": {"seeds": 1, "unlike": []}}
    rules = [
        {"id": "I5", "says": "nothing of ours undoes an opt-out", "seeds": 40},
        {"id": "I9", "says": "x", "waits": "y"},
    ]
    return {"clean": True, "tried": {"opt-outs": 12}, "invariants": rules, **figures, **found, **more}


def test_a_clean_end_says_what_was_tried_and_what_to_do_next(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program(monkeypatch, {"progress": {"seeds": 7, "of": 40, "seconds": 1.0, "broken": 0}}, {"report": report()})
    assert main(["simulate", "--seeds", "40"]) == 0
    said = capfd.readouterr().out
    assert "40 stories of about 2.5 days" in said and "usual settings" in said
    assert "1 rules were checked" in said and "12" in said and "next: `keepstep plan`" in said


def test_what_broke_is_told_with_its_story(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = [{"seed": 17, "violations": [{"invariant": "I5", "at": 9, "why": "method:3 [bold] was taken back in"}]}]
    stories = [{"seed": 17, "lines": ["Seed 17 breaks I5 with 2 events.", "Day 1, 09:14: Ana opts out."]}]
    lost = [{"seed": 18, "why": "its process ended"}]
    twice = {"seeds": 1, "unlike": [0]}
    program(
        monkeypatch, {"report": report(clean=False, broken=broken, stories=stories, lost=lost, twice=twice)}, code=1
    )
    assert main(["simulate", "--seeds", "40"]) == 1
    said = " ".join(capfd.readouterr().out.split())
    assert 'story 17: broken is "nothing of ours undoes an opt-out": method:3 [bold] was taken back in' in said
    assert "Day 1, 09:14: Ana opts out." in said and "story 18: its process ended" in said
    assert "story 0 is not the same when it is played again" in said and "please report it" in said


def test_a_program_that_fails_is_a_problem_in_words(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program(monkeypatch, code=3, complaint="no room")
    assert main(["simulate"]) == 1
    assert "keepstep: the simulator ended with 3: no room" in capfd.readouterr().err


@pytest.mark.parametrize("words", [["--seeds", "0"], ["--days", "1"], ["--start", "-1"]])
def test_wrong_usage(words: list[str], here: Path) -> None:
    assert main(["simulate", *words]) == 2
