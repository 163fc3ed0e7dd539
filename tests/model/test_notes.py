"""Exactly one note in the CRM for each bounce, deletion and complaint, found again by its act."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.contact import Consent, Report
from keepstep.model.decide import Decision, decide
from keepstep.model.party import Party
from keepstep.model.settle import settle
from tests.model.people import SETTING, household, individual, paired, person, readings, subscriber
from tests.model.world import household_of_two

ANN, HERS = subscriber("a"), household(individual("a"))
OUT: dict[str, Any] = {"consent": Consent.opted_out, "opt_out_source": "Contact", "lists": None}


def line(at: float, kind: Any, **said: Any) -> Report:
    return Report(id=f"mailing:{at:.0f}", record_id="a", kind=kind, at=at, **said)


def noted(known: Party, contact: Any, *lines: Report) -> tuple[Decision, list[str]]:
    decision = decide(known, readings(HERS, contact, reports={"a": lines}), SETTING)
    return decision, [step.payload["text"] for step in decision.steps if step.kind == "note"]


def after(decision: Decision) -> Party:
    known = decision.party
    for step in decision.steps:
        known = settle(known, step, {})
    return known


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (
            {"strength": "hard", "code": "B"},
            "Mail to the email address bounced (hard, code B); opted out here. [keepstep {}]",
        ),
        ({"strength": "soft"}, "Mail to the email address bounced (soft); opted out here. [keepstep {}]"),
        (
            {"strength": "hard", "code": "S", "address": "old@example.org"},
            "Mail to an earlier email address bounced (hard, code S). [keepstep {}]",
        ),
    ],
)
def test_a_bounce_is_noted_with_class_and_code_and_without_its_address(said: dict[str, Any], text: str) -> None:
    bounce = line(150.0, "bounce", **{"address": "ann@example.org"} | said)
    decision, notes = noted(paired(HERS, ANN), ANN, bounce)
    assert notes == [text.format(person(decision.party).acts[0].id)]
    assert noted(after(decision), ANN, bounce)[1] == []


def test_each_bounce_has_its_own_note() -> None:
    lines = [line(at, "bounce", strength="hard", code="B", address=ANN.email) for at in (150.0, 160.0)]
    assert len(noted(paired(HERS, ANN), ANN, *lines)[1]) == 2


@pytest.mark.parametrize("reason", ["Reported as SPAM", "abuse report", "A complaint."])
def test_an_opt_out_whose_reason_names_a_complaint_is_noted(reason: str) -> None:
    decision, notes = noted(paired(HERS, ANN), replace(ANN, read_at=200.0, **OUT, opt_out_reason=reason))
    act = person(decision.party).acts[-1]
    assert notes == [f"Opted out in the mailing list service with a complaint; opted out here. [keepstep {act.id}]"]


@pytest.mark.parametrize("reason", [None, "no longer interested"])
def test_any_other_opt_out_is_not(reason: str | None) -> None:
    assert noted(paired(HERS, ANN), replace(ANN, read_at=200.0, **OUT, opt_out_reason=reason))[1] == []


def test_staff_opting_somebody_out_is_no_complaint() -> None:
    world = household_of_two()
    world.permit("a", opted_in=False)
    world.sync()
    assert world.notes == ()


@pytest.mark.parametrize("first", ["contact", "report", "both"])
def test_the_contact_and_the_report_tell_of_one_complaint(first: str) -> None:
    gone = replace(ANN, read_at=200.0, **OUT, opt_out_at=150.0, opt_out_reason="spam")
    told = line(150.0, "opt_out", reason="spam")
    known = paired(HERS, ANN)
    if first != "both":
        decision, notes = noted(known, gone if first == "contact" else ANN, *[told] * (first == "report"))
        assert len(notes) == 1
        known = after(decision)
    decision, notes = noted(known, gone, told)
    assert len(notes) == (first == "both")
    assert noted(after(decision), gone, told)[1] == []


def test_whoever_came_back_may_complain_again() -> None:
    world = household_of_two()
    for _ in range(2):
        world.opt_out_of_a_mailing("a", "Reported as SPAM")
        world.sync()
        world.come_back("a")
        world.sync()
    assert len(world.notes) == 2


def test_a_second_deletion_that_nobody_saw_begin_has_its_own_note() -> None:
    world = household_of_two()
    world.delete("a")
    world.sync()
    world.come_back("a")
    world.delete("a")
    world.sync()
    assert len(world.notes) == 2


def test_while_the_contact_is_archived_notes_wait() -> None:
    archived = replace(HERS, archived=True)
    bounce = line(150.0, "bounce", strength="hard", address=ANN.email)
    found = readings(archived, ANN, reports={"a": (bounce,)})
    known = decide(paired(HERS, ANN), found, SETTING)
    assert known.steps == ()
    assert len(noted(known.party, ANN, bounce)[1]) == 1
