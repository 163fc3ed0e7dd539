"""Drift: what differs although nothing waits; what is explained; repairs that narrow, remove nothing, join nobody."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model import decide as decision
from keepstep.model.brake import discarded
from keepstep.model.change import a_step
from keepstep.model.contact import Consent, Side
from keepstep.model.custom import Binding, CustomField
from keepstep.model.customer import Policy
from keepstep.model.drift import Looked, _of_step, look, repaired
from keepstep.model.party import Act, Answer, Party, Submission
from keepstep.model.settle import refused, settle
from tests.model.people import (
    HOME,
    SETTING,
    decided,
    household,
    individual,
    number,
    paired,
    party,
    person,
    readings,
    subscriber,
)

ANN = subscriber("a")
THERE = household()


def looked(known: Party, crm: Any = THERE, *contacts: Any, setting: Any = SETTING, **told: Any) -> Looked:
    return look(known, readings(crm, *(contacts or (ANN,))), setting, **told)


def found(*given: Any, **told: Any) -> list[tuple[str, str, str]]:
    return [(one.what, one.why, one.repair) for one in looked(*given, **told).findings]


def changed(known: Party, record_id: str = "a", **values: Any) -> Party:
    return known.with_person(replace(person(known, record_id), **values))


def based(known: Party, record_id: str = "a", *, here: Any = None, there: Any = None) -> Party:
    """Somebody has changed what we know of the fields, behind our back."""
    one = person(known, record_id)
    base = {"audience": {**(one.audience or {}), **(here or {})}, "crm": {**(one.crm or {}), **(there or {})}}
    return known.with_person(replace(one, **base))


def after(known: Party, crm: Any, *contacts: Any, setting: Any = SETTING, **told: Any) -> decision.Decision:
    """The decision once everything that is found is repaired and both sides are read again."""
    seen = readings(crm, *contacts)
    mended = repaired(known, look(known, seen, setting, **told).findings)
    assert mended.reread and all(one.reread for one in mended.people)
    fresh = tuple(replace(one, reread=False) for one in mended.people)
    return decision.decide(replace(mended, reread=False, people=fresh), seen, setting)


def test_who_is_the_same_on_both_sides_has_not_drifted() -> None:
    seen = looked(paired(THERE, ANN))
    assert (seen.linked, seen.findings, seen.explained) == (1, (), 0)


def test_a_party_without_people_is_nothing_to_compare() -> None:
    assert looked(Party(party_id="P", crm_id="900")) == Looked(linked=0, findings=())


@pytest.mark.parametrize("stale", ["crm", "person"])
def test_an_old_reading_is_had_again_before_anything_is_compared(stale: str) -> None:
    known = paired(THERE, ANN)
    old = replace(known, reread=True) if stale == "crm" else changed(known, reread=True)
    assert found(based(old, here={"first_name": "Zoe"})) == [("person", "reading_old", "mark")]


# --- fields ----------------------------------------------------------------------------------------------------------


def test_an_edit_that_nobody_was_asked_about_is_drift_and_the_crm_keeps_its_own() -> None:
    known = paired(THERE, ANN)
    anna = replace(ANN, first_name="Anna", last_name="Leigh")
    assert found(known, THERE, anna) == [
        ("field:first_name", "undecided", "forget"),
        ("field:last_name", "undecided", "forget"),
    ]
    done = after(known, THERE, anna)
    assert (done.steps, [note.kind for note in done.notes]) == ((), ["conflict", "conflict"])


def test_a_base_that_hides_a_difference_is_taken_away() -> None:
    anna = replace(ANN, first_name="Anna")
    known = based(paired(THERE, ANN), here={"first_name": "Anna"})
    assert found(known, THERE, anna) == [("field:first_name", "unexplained", "forget")]
    assert [note.data for note in after(known, THERE, anna).notes] == [{"field": "first_name"}]


def test_the_owner_wins_once_the_base_is_gone() -> None:
    owned = replace(SETTING, policy=Policy(owners={**Policy().owners, "first_name": Side.audience}))
    anna = replace(ANN, first_name="Anna")
    known = based(paired(THERE, ANN, setting=owned), here={"first_name": "Anna"})
    assert [step.kind for step in after(known, THERE, anna, setting=owned).steps] == ["set_person"]


def test_other_fields_that_nobody_was_asked_about() -> None:
    known = paired(THERE, ANN)
    assert found(known, THERE, replace(ANN, email="new@example.org")) == [("field:email", "undecided", "forget")]
    other = number("pa", "(617) 253-1999").value
    phoned = replace(ANN, phones=(replace(ANN.phones[0], raw=other),))
    assert found(known, THERE, phoned) == [("field:phone", "undecided", "forget")]


def test_custom_fields_that_nobody_was_asked_about() -> None:
    binding = Binding(
        audience=CustomField(field_id="c1", names=("Shoe",), kind="text"),
        crm=CustomField(field_id="Shoe", names=("Shoe",), kind="text"),
    )
    setting = replace(SETTING, bindings=(binding,))
    shod = replace(ANN, custom_fields=(("c1", "39"),))
    home = household(custom_fields=(("Shoe", "39"),))
    known = paired(home, shod, setting=setting)
    larger = replace(ANN, custom_fields=(("c1", "41"),))
    assert found(known, home, larger, setting=setting) == [("field:custom:Shoe", "undecided", "forget")]
    assert after(known, home, larger, setting=setting).steps == ()


def test_a_value_that_the_crm_cannot_take_is_explained() -> None:
    binding = Binding(
        audience=CustomField(field_id="c1", names=("Size",), kind="text"),
        crm=CustomField(field_id="Size", names=("Size",), kind="date"),
    )
    binding = replace(binding, audience=replace(binding.audience, kind="date"))
    setting = replace(SETTING, bindings=(binding,))
    odd = replace(ANN, custom_fields=(("c1", "no day"),))
    assert found(paired(THERE, odd, setting=setting), THERE, odd, setting=setting) == []


def test_staffs_own_edit_is_explained() -> None:
    staffs = household(individual("a", first_name="Nan"))
    known = decided(paired(THERE, ANN), staffs, ANN).party
    seen = looked(known, staffs)
    assert (seen.findings, seen.explained) == ((), 1)


def test_a_conflict_that_was_told_is_explained() -> None:
    staffs = household(individual("a", first_name="Nan"))
    known = paired(staffs, ANN)
    assert found(known, staffs) == [("field:first_name", "unexplained", "forget")]
    assert looked(known, staffs, told={("a", "first_name")}).explained == 1


def test_an_emptied_field_is_no_difference() -> None:
    bare = replace(ANN, first_name=None)
    known = decided(paired(THERE, ANN), THERE, bare).party
    assert looked(known, THERE, bare).explained == 0


def test_other_members_have_no_say_of_what_is_the_households() -> None:
    home = household(individual("a"), individual("b"))
    bob = subscriber("b", addresses=(replace(HOME, street="9 Elm St"),))
    known = paired(replace(home, address=HOME), replace(ANN, addresses=(HOME,)), bob)
    assert looked(known, replace(home, address=HOME), replace(ANN, addresses=(HOME,)), bob).findings == ()


@pytest.mark.parametrize("silent", [{"whole": False}, {"deleted": True}, {"consent": Consent.opted_out}])
def test_a_contact_without_a_say_has_no_fields_that_differ(silent: dict[str, Any]) -> None:
    quiet = replace(ANN, first_name="Anna", **silent)
    known = based(paired(THERE, ANN), here={"first_name": "Anna"})
    assert not [one for one in found(known, THERE, quiet) if one[0].startswith("field")]


# --- who is aside ----------------------------------------------------------------------------------------------------


def test_of_whom_nothing_is_written_nothing_drifts() -> None:
    gone = replace(THERE, merged_into="901")
    anna = replace(ANN, first_name="Anna")
    assert found(paired(THERE, ANN), gone, anna) == []
    buried = household(individual("a", deceased=True))
    assert found(paired(THERE, ANN), buried, anna) == []
    assert found(paired(THERE, ANN), household(individual("b")), ANN) == []
    assert found(paired(THERE, ANN), household(replace(individual("a"), methods=())), ANN) == []


def test_a_write_that_the_vendor_refused_is_explained() -> None:
    known, anna = paired(THERE, ANN), replace(ANN, first_name="Anna")
    [step] = decided(known, THERE, anna).steps
    assert found(refused(known, step), THERE, anna) == []


def test_who_is_linked_and_never_read_again_is_left_to_the_sweeps() -> None:
    assert found(paired(THERE, ANN), None, ANN) == []
    assert look(paired(THERE, ANN), readings(THERE), SETTING).findings == ()


def test_who_is_on_the_way_and_moved_by_nothing_is_marked() -> None:
    assert found(party("a", crm_id=None), None, ANN) == [("person", "unattended", "mark")]
    sent = Submission(state="waiting", since=1.0, sent={})
    assert found(changed(party("a", crm_id=None), submission=sent), None, ANN) == []


# --- lists and tags --------------------------------------------------------------------------------------------------

READER = subscriber("a", lists=("L1",))
TAGGED = household(tags=("CC: News",))


def on_news() -> Party:
    known = paired(TAGGED, READER)
    assert (known.tags, person(known).lists) == (("L1",), ("L1",))
    return known


def test_a_removal_that_nobody_was_asked_about_removes_nothing() -> None:
    for crm, contact in ((TAGGED, ANN), (household(), READER)):
        known = on_news()
        assert [one.kind for one in decided(known, crm, contact).steps] in (["remove_tag"], ["leave"])
        assert found(known, crm, contact) == [("list:L1", "undecided", "forget")]
        assert [one.kind for one in after(known, crm, contact).steps] in ([], ["add_tag"])


def test_a_removal_that_somebody_discarded_is_explained() -> None:
    known, left = on_news(), ANN
    [step] = decided(known, TAGGED, left).steps
    assert found(known, TAGGED, left) != []
    assert found(discarded(known, step), TAGGED, left) == []


def test_a_missing_tag_goes_on() -> None:
    known = replace(on_news(), tags=(), known=("L1", "L2"))
    assert found(known, household(), READER) == [("list:L1", "undecided", "forget")]
    assert [one.kind for one in after(known, household(), READER).steps] == ["add_tag"]


def test_a_join_that_nobody_was_asked_about_is_a_persons_to_ask_for() -> None:
    known = paired(THERE, ANN)
    [one] = looked(known, TAGGED).findings
    assert (one.what, one.repair, one.widens) == ("list:L1", "mark", True)


def test_a_tag_of_which_nobody_is_on_the_list_is_told_and_left() -> None:
    known = changed(on_news(), lists=())
    assert found(known, TAGGED, ANN) == [("list:L1", "unexplained", "none")]
    assert found(changed(known, left=("L1",)), TAGGED, ANN) == []
    assert repaired(known, looked(known, TAGGED).findings).tags == known.tags


def test_a_forgotten_label_joins_nobody() -> None:
    known = changed(on_news(), lists=(), added=("L1",))
    mended = repaired(known, [replace(looked(known, TAGGED).findings[0], repair="forget")])
    assert (mended.tags, mended.known, person(mended).left, person(mended).added) == ((), ("L2",), ("L1",), ())
    assert decided(replace(mended, reread=False), TAGGED, ANN).steps == ()


# --- consent ---------------------------------------------------------------------------------------------------------

OUT = replace(ANN, consent=Consent.opted_out, opt_out_source="Contact", opt_out_at=90.0)


def test_an_opt_out_that_nobody_was_asked_about_is_decided() -> None:
    assert found(paired(THERE, ANN), THERE, OUT) == [("consent", "undecided", "mark")]
    shut = household(individual("a", opted_in=False))
    assert found(paired(THERE, ANN), shut) == [("consent", "undecided", "mark")]


def test_an_opt_out_that_counts_as_seen_and_is_open_in_the_crm_becomes_an_act() -> None:
    known, out = changed(paired(THERE, ANN), consent=Consent.opted_out), replace(OUT, opt_out_source="Account")
    assert found(known, THERE, out) == [("consent", "open_in_crm", "forget")]
    done = after(known, THERE, out)
    assert [(one.kind, one.payload["opted_in"]) for one in done.steps] == [("set_consent", False)]


def test_a_false_that_nothing_explains_is_asked_about_and_opts_nobody_out() -> None:
    shut = household(individual("a", opted_in=False))
    known = changed(paired(THERE, ANN), opted_in=False)
    assert found(known, shut) == [("consent", "shut_in_crm", "forget")]
    done = after(known, shut, ANN)
    assert (done.steps, person(done.party).reason) == ((), "consent_unknown")


def test_a_false_that_somebody_has_answered_is_explained() -> None:
    shut = household(individual("a", opted_in=False))
    answer = Answer(kind="stays", at=1.0, by="me")
    assert found(changed(paired(THERE, ANN), opted_in=False, answer=answer), shut) == []


def test_an_opt_out_is_never_lifted_by_a_repair() -> None:
    shut = household(individual("a", opted_in=False))
    gone = Act(id="1", side=Side.audience, kind="choice", direction="out", after=1.0, before=20.0)
    back = replace(ANN, opt_in_at=50.0, read_at=60.0)
    known = changed(paired(THERE, ANN), opted_in=False, consent=Consent.opted_out, acts=(gone,), true_at=None)
    [one] = [each for each in looked(known, shut, back).findings if each.what == "consent"]
    assert one.repair == "none"


def test_without_a_base_there_is_nothing_to_take_away() -> None:
    known = party("a")
    [one] = looked(
        based(paired(THERE, ANN), here={"first_name": "Zoe"}), THERE, replace(ANN, first_name="Zoe")
    ).findings
    assert repaired(known, [one]).people[0].audience is None
    assert repaired(known, [replace(one, record_id="nobody")]).people == (replace(known.people[0], reread=True),)


def test_what_is_left_of_a_note_is_decided_again() -> None:
    deleted = replace(ANN, deleted=True, deleted_at=50.0)
    known = decided(paired(THERE, ANN), THERE, deleted)
    shut = household(individual("a", opted_in=False))
    for step in known.steps:
        known = replace(known, party=settle(known.party, step, {})) if step.kind == "set_consent" else known
    assert found(replace(known.party, reread=False), shut, deleted) == [("person", "undecided", "mark")]


def test_a_new_contact_for_somebody_of_the_crm_only_is_a_persons_to_ask_for() -> None:
    [one] = _of_step(a_step("P", "a", "enrol", {"list_ids": ["L1"]}, side=Side.audience))
    assert (one.what, one.widens) == ("person", True)


def test_fields_towards_the_audience_side_are_fields() -> None:
    [one] = _of_step(a_step("P", "a", "set_fields", {"values": {"phone": {}}}, side=Side.audience))
    assert (one.what, one.repair) == ("field:phone", "forget")
