"""The commands that take a person's word or give proof: what they ask for, and how they end."""

import contextlib
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from keepstep import cli
from keepstep.wiring import letters, parked, proof

CANDIDATE = {"contact": "9", "score": 60, "evidence": ["address"], "why_not": ["name_differs"]}
LETTER = {"id": "x1", "at": "t", "side": "crm", "kind": "set_person", "state": "open", "next": "mend it"}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the commands asked of the service; every answer is made up."""
    found: list[Any] = []

    def answers(module: Any, name: str, value: Any) -> None:
        async def said(_service: Any, *given: Any) -> Any:
            found.append((name, *given))
            return value

        monkeypatch.setattr(module, name, said)

    @contextlib.asynccontextmanager
    async def open_service(_settings: Any) -> AsyncIterator[Any]:
        yield SimpleNamespace()

    import keepstep.wiring

    monkeypatch.setattr(keepstep.wiring, "open_service", open_service)
    answers(letters, "listed", {"groups": [{"cause": "value_refused"}], "letters": [LETTER]})
    answers(letters, "shown", {**LETTER, "payload": {}, "trace": [{"at": "t", "what": "outcome", "step": "note"}]})
    answers(letters, "chosen", ["x1"])
    for name in ("replayed", "discarded"):
        answers(letters, name, {"id": "x1", "state": name, "changed": True})
    answers(parked, "listed", [{"record": "r1", "reason": "name_differs"}])
    answers(parked, "shown", {"record": "r1", "alternatives": [CANDIDATE], "overwritten": []})
    answers(parked, "answered", {"record": "r1", "answer": "same", "changed": True})
    answers(proof, "conflicts", [{"record": "r1", "field": "phone"}])
    answers(proof, "may_mail", {"may_mail": "no", "why": ["out"], "people": [{"record": "r1"}], "acts": []})
    answers(proof, "certificate", {"verdict": "complete", "records": []})
    return found


def told(capsys: pytest.CaptureFixture[str], *typed: str, code: int = 0) -> Any:
    assert cli.main([*typed, "--customer", "acme"]) == code
    capsys.readouterr()
    assert cli.main([*typed, "--customer", "acme", "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_open_letters_need_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "dead-letters", "list", code=3)["letters"] == [LETTER]
    assert told(capsys, "dead-letters", "show", "x1")["trace"][0]["what"] == "outcome"


def test_letters_are_replayed_and_discarded_by_id_or_cause(
    capsys: pytest.CaptureFixture[str], asked: list[Any]
) -> None:
    assert told(capsys, "dead-letters", "replay", "x1", "--by", "olga")[0]["state"] == "replayed"
    assert asked[-1] == ("replayed", "acme", "x1", "olga")
    assert told(capsys, "dead-letters", "discard", "--cause", "value_refused")[0]["state"] == "discarded"
    assert asked[-2] == ("chosen", "acme", (), "value_refused")
    assert asked[-1][-1], "somebody says so"


def test_parked_people_are_listed_shown_and_answered_for(capsys: pytest.CaptureFixture[str], asked: list[Any]) -> None:
    assert told(capsys, "parked", "list", code=3)[0]["record"] == "r1"
    assert told(capsys, "parked", "show", "r1")["alternatives"] == [CANDIDATE]
    assert told(capsys, "parked", "answer", "r1", "same", "--individual", "5", "--by", "olga")["changed"]
    assert asked[-1] == ("answered", "acme", "r1", "same", "olga", "5")


def test_only_a_yes_ends_with_nought(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "consent", "ann@example.org", code=3)["may_mail"] == "no"
    assert told(capsys, "consent", "--certificate")["verdict"] == "complete"
    assert told(capsys, "conflicts")[0]["field"] == "phone"


def test_the_answer_about_an_address_is_told_with_its_evidence_in_sentences(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    act = {"id": 6, "direction": "out", "kind": "choice", "source": "crm", "after": None, "before": "b", "at": None}
    reading = {"says": "opted_out", "read": "r"}
    one = {"record": "r1", "crm": "1011", "standing": "in_step", "audience": reading, "crm_method": None, "acts": [act]}
    other = {**act, "id": 7, "record_id": "r0"}
    found = {"may_mail": "no", "why": ["out"], "people": [one], "acts": [act, other], "ledger": {"breaks": [{}]}}

    async def may_mail(*_given: Any) -> Any:
        return found

    monkeypatch.setattr(proof, "may_mail", may_mail)
    assert cli.main(["consent", "ann@example.org", "--customer", "acme"]) == 3
    out = capsys.readouterr().out
    assert out.splitlines()[:3] == ["no: out", "r1 (CRM contact 1011), in_step", "  audience side: opted_out, read r"]
    assert "  CRM: not read" in out and "  opted out (choice, by crm), between before we read and b, act 6" in out
    assert "on the address, for r0:" in out and out.count("act 6") == 1 and "broken at 1 rows" in out


@pytest.mark.parametrize(
    "typed",
    [
        ("dead-letters", "replay"),
        ("dead-letters", "list", "--state", "odd"),
        ("parked", "answer", "r1", "perhaps"),
        ("parked", "answer", "r1", "leave", "--individual", "5"),
        ("consent",),
        ("consent", "ann@example.org", "--certificate"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(typed: tuple[str, ...], asked: list[Any]) -> None:
    assert cli.main([*typed, "--customer", "acme"]) == 2
    assert asked == []
