"""What a person said of somebody who was parked settles that question and no other."""

from dataclasses import replace

import pytest

from keepstep.model.answers import heeded, is_left_alone, may_lift, possible, said_of, stays_out
from keepstep.model.contact import Consent, CrmContact
from keepstep.model.decide import Decision, decide, needs_look_up
from keepstep.model.match import Match
from keepstep.model.party import Answer, Party, Person
from keepstep.model.settle import settle, submitted
from tests.model.people import (
    SETTING,
    decided,
    household,
    individual,
    kinds,
    mail,
    paired,
    party,
    person,
    readings,
    subscriber,
)

ANN = subscriber("a")
NEW = party("a", crm_id=None)
OTHER = household(individual("a", first_name="Bea"), references=())
TWIN = individual("b", methods=(mail("mb", "ann@example.org"),))
TWO = household(individual("a", first_name="Bea"), TWIN, references=())


def said(kind: str, *individuals: str, at: float = 500.0) -> Answer:
    return Answer(kind=kind, at=at, by="olga", individuals=individuals)  # type: ignore[arg-type]


def with_answer(known: Party, answer: Answer | None) -> Party:
    return known.with_person(replace(person(known), answer=answer))


def looked_up(answer: Answer | None, *candidates: CrmContact, known: Party = NEW, **held: str) -> Decision:
    found = readings(None, ANN, candidates={"a": candidates}, held=held)
    return decide(with_answer(known, answer), found, SETTING)


def stands(decision: Decision) -> tuple[str, str]:
    one = person(decision.party)
    return one.standing, one.reason


# --- who it is -------------------------------------------------------------------------------------------------------


def test_the_same_person_under_another_name_is_linked_and_stays_so() -> None:
    assert stands(looked_up(None, OTHER)) == ("parked", "name_differs")
    decision = looked_up(said("same", "ia"), OTHER)
    [step] = decision.steps
    assert (step.kind, step.payload["individual"]) == ("link", "ia")
    known = settle(decision.party, step, {})
    carried = household(individual("a", first_name="Bea"))
    after = decided(replace(known, reread=False), carried, ANN)
    assert person(after.party).individual == "ia"


def test_of_several_people_of_one_contact_the_one_that_was_meant_is_linked() -> None:
    both = household(individual("a"), replace(TWIN, first_name="Ann"), references=())
    assert stands(looked_up(None, both)) == ("parked", "several_people")
    [step] = looked_up(said("same", "ib"), both).steps
    assert step.payload["individual"] == "ib"
    carried = replace(both, references=(("Constant Contact", "a"),))
    after = decided(with_answer(party("a"), said("same", "ib")), carried, ANN)
    assert person(after.party).individual == "ib"


def test_of_several_contacts_the_one_that_was_meant_is_linked() -> None:
    second = replace(household(individual("b", first_name="Ann", methods=TWIN.methods), references=()), record_id="901")
    assert stands(looked_up(None, OTHER, second)) == ("parked", "several_matches")
    [step] = looked_up(said("same", "ib"), OTHER, second).steps
    assert step.payload["contact"] == "901"


def test_an_answer_whose_individual_is_gone_is_void() -> None:
    assert stands(looked_up(said("same", "i9"), OTHER)) == ("parked", "name_differs")
    assert heeded(said("same", "i9"), [OTHER]) == (OTHER,)


def test_an_answer_takes_no_individual_from_another_person_of_ours() -> None:
    assert stands(looked_up(said("same", "ia"), OTHER, ia="b")) == ("parked", "address_held")


def test_nobody_is_linked_to_an_archived_contact_by_an_answer() -> None:
    assert stands(looked_up(said("same", "ia"), replace(OTHER, archived=True))) == ("parked", "archived")


def test_somebody_who_is_nobody_of_these_is_made_directly_since_an_import_would_match_by_address() -> None:
    [step] = looked_up(said("nobody", "ia"), OTHER).steps
    assert (step.kind, step.payload["opted_in"], step.payload["tags"]) == ("create", True, [])
    known = looked_up(said("nobody", "ia"), OTHER).party
    made = settle(known, step, {"contact": "901", "individual": "i9", "email_method": "m9"})
    assert (person(made).individual, person(made).opted_in, made.crm_id) == ("i9", True, "901")


def test_but_whoever_is_new_since_may_be_the_one() -> None:
    [step] = looked_up(
        said("nobody", "ia"),
        household(individual("a", first_name="Bea"), replace(TWIN, first_name="Ann"), references=()),
    ).steps
    assert (step.kind, step.payload["individual"]) == ("link", "ib")


def test_an_import_that_was_merged_into_one_of_these_is_no_confirmation() -> None:
    decision = looked_up(said("nobody", "ia"), OTHER)
    known = submitted(decision.party, decision.steps[0], "waiting", 600.0)
    after = decided(replace(known, crm_id="900"), household(individual("a", first_name="Bea")), ANN)
    assert stands(after) == ("parked", "reference_without_address")


def test_an_import_whose_contact_was_merged_before_anybody_read_it_is_confirmed_on_the_survivor() -> None:
    """The reference may stay behind on the contact that is no more (Virtuous facts 7.6); the address must be there."""
    decision = looked_up(None)
    known = replace(submitted(decision.party, decision.steps[0], "waiting", 600.0), crm_id="900")
    there = household(individual("a"), references=())
    assert stands(decided(known, there, ANN)) == ("pending", "submission_waiting")
    told = known.with_person(replace(person(known), carrier="899"))
    assert person(decided(told, there, ANN).party).individual == "ia"
    without = household(individual("b", first_name="Bo"), references=())
    assert stands(decided(told, without, ANN)) == ("parked", "reference_without_address")


def test_somebody_to_be_left_alone_is_left_out_and_not_looked_for() -> None:
    decision = looked_up(said("leave"), OTHER)
    assert stands(decision) == ("left_out", "left_alone")
    assert decision.steps == ()
    left = person(decision.party)
    assert is_left_alone(left)
    assert not needs_look_up(left, ANN, SETTING.policy)
    assert needs_look_up(replace(left, answer=None), ANN, SETTING.policy)


def test_a_creation_under_way_is_seen_to_its_end_before_anybody_is_left_alone() -> None:
    decision = looked_up(None)
    known = submitted(decision.party, decision.steps[0], "waiting", 600.0)
    after = decided(with_answer(known, said("leave")), None, ANN)
    assert stands(after) == ("pending", "submission_waiting")


def test_an_answer_speaks_of_its_own_doubt_only() -> None:
    twice = Match("parked", "several_people")
    assert said_of(said("same", "ia"), twice) == twice
    assert said_of(said("leave"), twice) == twice
    alone = Match("parked", "name_differs", OTHER)
    assert said_of(said("same", "i9"), alone) == alone
    assert heeded(said("stays"), [OTHER]) == (OTHER,)


# --- consent ---------------------------------------------------------------------------------------------------------

FALSE = household(individual("a", opted_in=False))
ASKED = paired(FALSE, ANN)


def test_an_opt_out_that_was_said_to_stay_reaches_the_audience_side_once() -> None:
    assert person(ASKED).reason == "consent_unknown"
    decision = decided(with_answer(ASKED, said("stays")), FALSE, ANN)
    assert kinds(decision) == ["opt_out"]
    [(_, act)] = decision.acts
    assert (act.kind, act.direction, act.before, act.source) == ("choice", "out", 500.0, "answer")
    again = decided(decision.party, FALSE, ANN)
    assert again.acts == () and kinds(again) == ["opt_out"]


def test_one_that_may_be_lifted_is_lifted_behind_the_gate() -> None:
    decision = decided(with_answer(ASKED, said("lifted")), FALSE, ANN)
    [step] = decision.steps
    assert (step.kind, step.payload["opted_in"], step.hold) == ("set_consent", True, "gate")
    assert decision.acts == ()


def test_a_false_that_came_after_the_answer_is_another_question() -> None:
    early = with_answer(ASKED, said("lifted", at=50.0))
    assert stands(decided(early, FALSE, ANN)) == ("parked", "consent_unknown")
    assert not may_lift(person(early))
    before = replace(person(ASKED), answer=said("stays", at=50.0))
    assert stays_out(before) == before


def test_nothing_is_lifted_while_somebody_else_is_out_at_that_address() -> None:
    """Staff gave her the address of the spouse, who had opted out: what was said of one is not said of the other."""
    bob = subscriber("b", consent=Consent.opted_out, lists=None)
    apart = household(individual("a", opted_in=False), individual("b", opted_in=False))
    known = with_answer(paired(apart, ANN, bob), said("lifted"))
    shared = individual("a", methods=(mail("ma", "bob@example.org", False),))
    together = household(shared, individual("b", opted_in=False), read_at=600.0)
    decision = decided(known, together, ANN, bob)
    assert stands(decision) == ("parked", "address_opted_out")


def test_nothing_is_lifted_for_somebody_who_opted_out_besides() -> None:
    out = replace(person(ASKED), answer=said("lifted"))
    known = ASKED.with_person(out)
    seen = decided(known, FALSE, replace(ANN, consent=Consent.opted_out, lists=None, read_at=700.0))
    assert "set_consent" not in kinds(seen)


# --- what may be said ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"standing": "parked", "reason": "name_differs"}, ("same", "nobody", "leave")),
        ({"standing": "parked", "reason": "consent_unknown", "individual": "ia"}, ("stays", "lifted")),
        ({"standing": "parked", "reason": "deceased", "individual": "ia"}, ()),
        ({"standing": "pending", "reason": "look_up"}, ()),
        ({"standing": "left_out", "reason": "left_alone", "answer": said("leave")}, ("ask",)),
    ],
)
def test_what_may_be_said_follows_from_the_reason(changed: dict[str, object], expected: tuple[str, ...]) -> None:
    assert possible(replace(Person(record_id="a"), **changed)) == expected  # type: ignore[arg-type]
