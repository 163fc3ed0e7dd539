"""What is only inferred and from what, how much of it may go out, and what somebody has discarded."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.brake import discarded, inferred_from, most, trips, without_discarded, words
from keepstep.model.canonical import fingerprint
from keepstep.model.change import Step, a_step
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Report, Side
from keepstep.model.customer import Policy
from keepstep.model.decide import Decision, decide
from keepstep.model.drift import look
from keepstep.model.party import Act, Party, Person
from keepstep.model.settle import settle
from tests.model.people import (
    SETTING,
    decided,
    household,
    individual,
    paired,
    party,
    person,
    readings,
    subscriber,
)

ANN, BOB, HERS = subscriber("a"), subscriber("b"), household(individual("a"))
OUT = replace(ANN, consent=Consent.opted_out, lists=None, read_at=200.0)
TAGGED = replace(HERS, tags=("CC: News",))


def on(contact: AudienceContact, *lists: str) -> AudienceContact:
    return replace(contact, lists=lists)


def act(kind: Any, side: Side = Side.audience, **more: Any) -> Act:
    return Act(id="1", side=side, kind=kind, direction="out", after=None, before=5.0, **more)


def whys(decision: Decision) -> list[tuple[str, str | None]]:
    return [(step.kind, step.inferred) for step in decision.steps if step.kind != "note"]


# --- how much --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("linked", "share", "limit"),
    [
        (0, 0.05, 20),
        (8, 0.05, 20),
        (400, 0.05, 20),
        (420, 0.05, 21),
        (439, 0.05, 21),
        (1000, 0.05, 50),
        (100, 0.29, 29),
    ],
)
def test_the_limit_is_the_floor_or_the_share_whichever_is_more(linked: int, share: float, limit: int) -> None:
    assert most(Policy(brake_share=share), linked) == limit


def test_the_limit_itself_may_go_out_and_one_more_may_not() -> None:
    assert not trips(20, 0, 0, 20)
    assert not trips(1, 19, 0, 20)
    assert trips(21, 0, 0, 20)
    assert trips(1, 20, 0, 20)


def test_while_something_is_held_everything_inferred_is() -> None:
    assert trips(1, 0, 1, 20)


# --- what is inferred ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acts", "why"),
    [
        ([act("record", at=3.0)], "deletion"),
        ([act("address", at=3.0, report="m:1")], "bounce"),
        ([act("choice", Side.crm)], "false"),
        ([act("choice")], "false"),
        ([act("address"), act("record")], "deletion"),
        ([act("choice", at=3.0)], None),
        ([act("choice", report="m:1")], None),
        ([act("choice", Side.crm, source="answer")], None),
        ([act("record"), act("choice", at=3.0)], None),
    ],
)
def test_only_a_dated_choice_of_somebodys_own_is_no_inference(acts: list[Act], why: str | None) -> None:
    assert inferred_from(acts) == why


def test_an_opt_out_for_a_false_of_the_crm_is_inferred_and_a_dated_one_is_not() -> None:
    known = paired(HERS, ANN)
    assert whys(decided(known, household(individual("a", opted_in=False)), ANN)) == [("opt_out", "false")]
    assert whys(decided(known, HERS, replace(OUT, opt_out_at=150.0))) == [("set_consent", None)]
    assert whys(decided(known, HERS, OUT)) == [("set_consent", "false")]


def test_a_deletion_and_a_bounce_are_inferred() -> None:
    known = paired(HERS, ANN)
    gone = replace(ANN, deleted=True, deleted_at=150.0, read_at=200.0)
    assert whys(decided(known, HERS, gone)) == [("set_consent", "deletion")]
    line = Report(id="m:1", record_id="a", kind="bounce", at=150.0, address=ANN.email, strength="hard", code="B")
    bounced = decide(known, readings(HERS, ANN, reports={"a": (line,)}), SETTING)
    assert whys(bounced) == [("set_consent", "bounce")]


def test_of_two_reasons_to_close_one_method_the_dated_one_counts() -> None:
    """Two people of one address: one is deleted, the other one opts out."""
    shared = replace(individual("b"), methods=individual("a").methods)
    both = household(individual("a"), shared)
    bob = replace(BOB, email=ANN.email)
    known = paired(both, ANN, bob)
    gone = replace(ANN, deleted=True, deleted_at=150.0, read_at=200.0)
    out = replace(bob, consent=Consent.opted_out, opt_out_at=150.0, lists=None, read_at=200.0)
    assert {why for kind, why in whys(decided(known, both, gone, out)) if kind == "set_consent"} == {None}


def test_removals_of_lists_and_tags_are_inferred_and_additions_are_not() -> None:
    known = paired(TAGGED, on(ANN, "L1"))
    assert whys(decided(known, TAGGED, on(ANN))) == [("remove_tag", "absence")]
    assert whys(decided(known, HERS, on(ANN, "L1"))) == [("leave", "absence")]
    bare = paired(HERS, ANN)
    assert whys(decided(bare, HERS, on(ANN, "L1"))) == [("add_tag", None)]
    assert whys(decided(bare, TAGGED, ANN)) == [("join", None)]


# --- what was discarded ----------------------------------------------------------------------------------------------


def refused_opt_out() -> tuple[Party, CrmContact]:
    false = household(individual("a", opted_in=False))
    first = decided(paired(HERS, ANN), false, ANN)
    return discarded(first.party, first.steps[0]), false


def test_what_was_discarded_is_not_wanted_again_and_says_so() -> None:
    known, false = refused_opt_out()
    again = decided(known, false, ANN)
    assert again.steps == ()
    assert (person(again.party, "a").standing, person(again.party, "a").reason) == ("parked", "discarded")
    assert decided(again.party, false, ANN) == again


def test_what_was_discarded_keeps_the_person_out_of_what_widens() -> None:
    known, false = refused_opt_out()
    assert decided(known, replace(false, tags=("CC: News",)), ANN).steps == ()


def test_a_no_is_forgotten_when_both_sides_agree() -> None:
    known, false = refused_opt_out()
    agreed = decided(known, false, replace(OUT, opt_out_at=150.0))
    assert (person(agreed.party, "a").standing, person(agreed.party, "a").discarded) == ("in_step", ())


def test_of_several_lists_those_that_were_discarded_stay() -> None:
    both = replace(HERS, tags=("CC: News", "CC: Gifts"))
    known = paired(both, on(ANN, "L1", "L2"))
    first = decided(known, replace(HERS, tags=("CC: Gifts",)), on(ANN, "L1", "L2"))
    assert [step.payload["list_ids"] for step in first.steps] == [["L1"]]
    known = discarded(first.party, first.steps[0])
    both_gone = decided(known, HERS, on(ANN, "L1", "L2"))
    assert [(step.payload["list_ids"], step.group) for step in both_gone.steps] == [(["L2"], "leave:L2")]
    assert person(both_gone.party, "a").reason == "step_waiting"
    done = settle(both_gone.party, both_gone.steps[0], {})
    last = decided(replace(done, people=tuple(replace(one, reread=False) for one in done.people)), HERS, on(ANN, "L1"))
    assert (last.steps, person(last.party, "a").reason) == ((), "discarded")


def test_a_step_of_other_lists_is_left_as_it_is() -> None:
    step = leave("L1", "L2")
    known = discarded(party("a"), leave("L3"))
    assert without_discarded(known, step) is step
    assert without_discarded(party("a"), step) is step


def test_a_no_about_a_household_thing_is_heeded_whoever_asks_for_it_next() -> None:
    tag = a_step("P", "a", "remove_tag", {"contact": "900", "tag_id": "71"}, target="tag:71")
    tag = replace(tag, inferred="absence")
    known = discarded(party("a", "b"), replace(tag, member="gone"))
    assert known.people[0].discarded == words(tag)
    assert without_discarded(known, replace(tag, member="b")) is None
    other = replace(tag, payload={"contact": "901", "tag_id": "71"})
    assert without_discarded(known, other) is other
    assert discarded(known, tag) == known


def test_nobody_remembers_for_a_party_without_people() -> None:
    empty = Party(party_id="P")
    assert discarded(empty, leave("L1")) == empty


def bounced(known: Party, contact: AudienceContact = ANN) -> Decision:
    line = Report(id="m:1", record_id="a", kind="bounce", at=150.0, address=ANN.email, strength="hard", code="B")
    return decide(known, readings(HERS, contact, reports={"a": (line,)}), SETTING)


def test_an_own_opt_out_goes_out_also_where_the_same_was_discarded_as_inferred() -> None:
    first = bounced(paired(HERS, ANN))
    shut = next(step for step in first.steps if step.kind == "set_consent")
    known = discarded(first.party, shut)
    assert "set_consent" not in dict(whys(bounced(known)))
    own = bounced(known, replace(OUT, opt_out_at=180.0, opt_out_source="Contact"))
    assert dict(whys(own))["set_consent"] is None
    assert person(own.party, "a").reason == "step_waiting"


def test_who_was_no_bounce_may_be_a_deletion_later() -> None:
    first = bounced(paired(HERS, ANN))
    known = discarded(first.party, next(step for step in first.steps if step.kind == "set_consent"))
    gone = replace(ANN, deleted=True, deleted_at=170.0, lists=None, consent=Consent.not_mailable, read_at=200.0)
    assert dict(whys(bounced(known, gone)))["set_consent"] == "deletion"


def test_a_no_is_forgotten_though_somebody_of_the_household_is_left_out() -> None:
    known, false = refused_opt_out()
    known = replace(known, people=(*known.people, Person(record_id="b")))
    nobody = subscriber("b", email=None)
    agreed = decided(known, false, replace(OUT, opt_out_at=150.0), nobody)
    assert person(agreed.party, "b").standing == "left_out"
    assert person(agreed.party, "a").discarded == ()


def test_what_the_vendor_refused_is_called_so_even_if_something_else_was_discarded() -> None:
    known, false = refused_opt_out()
    step = decided(paired(HERS, ANN), false, ANN).steps[0]
    pair = (step.target, fingerprint(dict(step.payload)))
    known = known.with_person(replace(known.people[0], refused=(pair,)))
    assert person(decided(known, false, ANN).party, "a").reason == "refused_by_vendor"


def leave(*lists: str) -> Step:
    payload = {"record_id": "a", "list_ids": list(lists)}
    step = a_step("P", "a", "leave", payload, side=Side.audience, group=f"leave:{','.join(lists)}")
    return replace(step, inferred="absence")


def test_what_was_discarded_is_no_drift() -> None:
    known, false = refused_opt_out()
    settled = decided(known, false, ANN).party
    assert look(settled, readings(false, ANN), SETTING).findings == ()
    tagless = decided(paired(TAGGED, on(ANN, "L1")), HERS, on(ANN, "L1"))
    settled = decided(discarded(tagless.party, tagless.steps[0]), HERS, on(ANN, "L1")).party
    assert look(settled, readings(HERS, on(ANN, "L1")), SETTING).findings == ()
