"""What `brake`, `undo` and `reconcile` print for people, and how they end."""

import contextlib
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from keepstep import cli, worker
from keepstep.wiring import brake, reconcile, undo
from keepstep.wiring.lock import Served

RECORD = "08966897-55ff-4e77-a6ab-a6b7a17810d4"
HELD = {
    "customer": "acme",
    "checksum": "c76d",
    "held": 2,
    "since": "2026-01-02T03:04:05Z",
    "limit": 20,
    "counted": 3,
    "steps": [{"why": "deletion", "side": "crm", "kind": "set_consent", "count": 2}],
    "labels": [],
    "opt_outs": {"count": 2, "first_at": "2026-01-03T03:04:05Z", "last_at": "2026-01-03T03:04:05Z"},
    "records": [{"record": RECORD, "why": "deletion", "side": "crm", "kind": "set_consent", "goes_at": None}],
}
NOTHING = {**HELD, "held": 0, "checksum": None, "since": None, "steps": [], "records": []}
UNDONE = {
    "run": "plan-20260102-1",
    "state": "undone",
    "restored": 3,
    "restoring": 0,
    "touched": 1,
    "stays": 7,
    "refused": 0,
    "not_sent": 0,
    "for_a_person": 1,
    "created": [f"made-{n}" for n in range(7)],
    "records": [
        {"record": RECORD, "side": "crm", "kind": "set_person", "what": "first_name", "state": "touched", "why": None},
        {"record": "quiet", "side": "crm", "kind": "add_tag", "what": "l1", "state": "restored", "why": None},
    ],
}
FOUND = {
    "customer": "acme",
    "verdict": "differs",
    "checksum": "4475",
    "found": {"stuck": 0, "drift": 7},
    "repairs": 7,
    "limit": 2,
    "mass": True,
    "pairs": {"parties": 44, "compared": 44, "waiting": 0},
    "sweeps": {"constant_contact": {"at": None, "trouble": "never_whole"}},
    "report": {
        "pending": 0,
        "needs_review": 0,
        "latency_seconds": {"median": 102.3002119064331, "p99": 5400.0, "writes": 26},
    },
    "findings": [
        {
            "category": "drift",
            "record": RECORD,
            "crm_id": "9",
            "what": "field:first_name",
            "why": "unexplained",
            "repair": "forget",
            "next": "is decided again",
        }
    ],
}


class Stage:
    """A service whose answers are made up; `worked` counts the turns that a command made by itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch
        self.asked: list[Any] = []
        self.worked = 0
        self.served = False
        import keepstep.wiring

        monkeypatch.setattr(keepstep.wiring, "open_service", self.open_service)
        monkeypatch.setattr(worker, "once", self.once)
        monkeypatch.setattr(worker, "work", self.rests)

    @contextlib.asynccontextmanager
    async def open_service(self, _settings: Any) -> AsyncIterator[Any]:
        clock = SimpleNamespace(now=lambda: 0.0)
        log = SimpleNamespace(service=SimpleNamespace(log="text"))
        chance = SimpleNamespace(id=lambda: "h")
        yield SimpleNamespace(settings=log, clock=clock, chance=chance, working=self.working)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        if self.served:
            raise Served("somebody serves")
        yield

    async def once(self, _service: Any, _customer: str) -> int:
        self.worked += 1
        return 1

    async def rests(self, *_given: Any) -> None:
        return None

    def answers(self, module: Any, name: str, value: Any) -> None:
        async def said(_service: Any, *given: Any) -> Any:
            self.asked.append((name, *given))
            return value

        self.patch.setattr(module, name, said)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("COLUMNS", "120")
    return Stage(monkeypatch)


def printed(capsys: pytest.CaptureFixture[str], *typed: str, code: int = 0) -> str:
    capsys.readouterr()
    assert cli.main([*typed, "--customer", "acme"]) == code
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *typed: str, code: int = 0) -> Any:
    return json.loads(printed(capsys, *typed, "--json", code=code))


# --- brake -----------------------------------------------------------------------------------------------------------


def test_what_the_brake_holds_is_shown_with_both_ways_out(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.answers(brake, "shown", HELD)
    assert document(capsys, "brake", "show", code=3) == HELD
    out = printed(capsys, "brake", "show", code=3)
    assert RECORD in out and "3 of 20 inferred changes went out" in out
    assert "2 opt-outs among them go out by themselves from 2026-01-03T03:04:05Z on" in out
    assert "keepstep brake approve --customer acme c76d" in out and "brake discard --customer acme c76d" in out


def test_a_brake_that_holds_nothing_says_so(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.answers(brake, "shown", NOTHING)
    assert (
        printed(capsys, "brake", "show") == "nothing is held; 3 of 20 inferred changes went out in the last 24 hours\n"
    )


def test_what_was_approved_is_written_here_where_nobody_serves(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.answers(brake, "approve", {"state": "approved", "steps": 2, "left": 1, "run": "brake-20260102-1"})
    out = printed(capsys, "brake", "approve", "c76d", "--by", "olga")
    assert stage.asked == [("approve", "acme", "c76d", "olga")] and stage.worked == 1
    assert "brake-20260102-1" in out and "1 are held still: keepstep brake show --customer acme" in out
    stage.served = True
    assert document(capsys, "brake", "approve", "c76d")["steps"] == 2
    assert stage.worked == 1, "whoever serves writes it"


def test_a_discarded_change_starts_no_turn(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.answers(brake, "discard", {"state": "discarded", "steps": 2, "left": 0})
    assert "discarded" in printed(capsys, "brake", "discard", "c76d")
    assert stage.worked == 0


# --- undo ------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_and_none_is_said(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.answers(undo, "listed", [])
    assert "no runs yet" in printed(capsys, "undo")
    stage.answers(undo, "listed", [{"run": "plan-20260102-1", "state": "ended", "of": None}])
    out = printed(capsys, "undo")
    assert "plan-20260102-1" in out and " of " not in out, "a column without a value is left out"


def test_a_trial_of_an_undo_writes_nothing_and_names_what_stays(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.answers(undo, "foreseen", {**UNDONE, "state": "ended"})
    stage.answers(undo, "begin", None)
    out = printed(capsys, "undo", "plan-20260102-1", "--dry-run", code=3)
    assert [name for name, *_ in stage.asked] == ["foreseen"]
    assert "3 values go back, 1 somebody has changed since, 7 stay" in out
    assert RECORD in out and "touched" in out and "quiet" not in out
    assert "made-4 and 2 more" in out and "made-5" not in out
    assert document(capsys, "undo", "plan-20260102-1", "--dry-run", code=3)["dry_run"]


def test_an_undo_is_done_to_its_end_and_ends_with_3_where_something_is_left(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.answers(undo, "foreseen", UNDONE)
    stage.answers(undo, "begin", None)
    assert "restored" in printed(capsys, "undo", "plan-20260102-1", code=3)
    assert ("begin", "acme", "plan-20260102-1") in stage.asked
    stage.answers(undo, "foreseen", {**UNDONE, "for_a_person": 0})
    assert document(capsys, "undo", "plan-20260102-1")["restored"] == 3


# --- reconcile -------------------------------------------------------------------------------------------------------


def test_findings_are_shown_with_the_way_to_repair_them(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.answers(reconcile, "look", FOUND)
    assert document(capsys, "reconcile", code=3) == FOUND
    out = printed(capsys, "reconcile", code=3)
    assert "drift 7" in out and "stuck" not in out, "what there is none of is left out"
    assert "median 102 s, p99 90 min, writes 26" in out
    assert RECORD in out and "unexplained: is decided again" in out
    assert "a sweep is not whole" in out and "7 repairs are more than 2: they wait for a person" in out
    assert "keepstep reconcile --customer acme --apply 4475" in out


def test_a_repair_is_done_here_where_nobody_serves_and_a_refusal_says_what_next(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    done = {"state": "applied", "repairs": 7, "run": "reconcile-20260102-1", "refused": None}
    stage.answers(reconcile, "apply", done)
    assert "7 repairs, run reconcile-20260102-1" in printed(capsys, "reconcile", "--apply", "4475")
    assert stage.worked == 1 and document(capsys, "reconcile", "--apply", "4475") == done
    worked = stage.worked
    stage.answers(reconcile, "apply", {**done, "state": "refused", "run": None, "refused": "it has changed"})
    out = printed(capsys, "reconcile", "--apply", "4475", code=3)
    assert "nothing is repaired: it has changed" in out and "next: keepstep reconcile --customer acme" in out
    assert stage.worked == worked
