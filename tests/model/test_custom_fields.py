"""Custom fields in the three-way comparison: as other fields, but the household's, and only where they are bound."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.change import Step
from keepstep.model.contact import AudienceContact, Consent, CrmContact
from keepstep.model.custom import CustomField, bind
from keepstep.model.customer import Policy
from keepstep.model.decide import Decision, Setting, decide
from keepstep.model.party import Label, Party, Submission
from keepstep.model.settle import refused, settle
from tests.model.people import (
    GIFTS,
    NEWS,
    SETTING,
    decided,
    household,
    individual,
    kinds,
    paired,
    party,
    person,
    readings,
    subscriber,
)

HOBBY = CustomField(field_id="f1", names=("Hobby",), kind="text")
SIZE = CustomField(field_id="f2", names=("Size",), kind="single", choices={"1": "Small", "2": "Large", "3": "Huge"})
BORN = CustomField(field_id="f3", names=("Joined",), kind="date")
THERE = (
    CustomField(field_id="Hobby", names=("Hobby",), kind="text"),
    CustomField(field_id="Size", names=("Size",), kind="single", choices={"Small": "Small", "Large": "Large"}),
    CustomField(field_id="Joined", names=("Joined",), kind="date"),
    CustomField(field_id="Other", names=("Other",), kind="text"),
)
BINDINGS = bind([HOBBY, SIZE, BORN], THERE)
BOUND = replace(SETTING, bindings=BINDINGS)
OWNED = replace(BOUND, policy=Policy(custom_fields_owner="audience"))


def saying(contact: AudienceContact, **values: str) -> AudienceContact:
    return replace(contact, custom_fields=tuple(sorted(values.items())))


def holding(crm: CrmContact, **values: str) -> CrmContact:
    return replace(crm, custom_fields=tuple(sorted(values.items())))


ANN, BOB = saying(subscriber("a"), f1="chess", f2="2"), subscriber("b")
HERS = holding(household(individual("a")), Hobby="chess", Size="Large", Other="x")
BOTH = holding(household(individual("a"), individual("b")), Hobby="chess", Size="Large")


def known(*contacts: AudienceContact, crm: CrmContact = HERS, setting: Setting = BOUND) -> Party:
    return paired(crm, *contacts or (ANN,), setting=setting)


def custom_step(decision: Decision) -> Step:
    (step,) = [step for step in decision.steps if step.kind == "set_custom"]
    return step


def said(decision: Decision) -> list[tuple[str, str, str]]:
    return [(note.kind, note.record_id, note.data["field"]) for note in decision.notes]


def test_both_sides_alike_want_nothing_and_are_seen() -> None:
    decision = decided(party("a"), HERS, ANN, setting=BOUND)
    assert decision.steps == ()
    assert [note.kind for note in decision.notes] == ["confirmed"]
    seen = person(decision.party)
    assert (seen.audience or {})["custom:Size"] == (seen.crm or {})["custom:Size"] == "Large"
    assert "custom:Joined" in (seen.crm or {})


def test_all_changed_values_of_a_contact_go_in_one_write() -> None:
    changed = saying(ANN, f1="go", f2="1", f3="03/01/2026")
    decision = decided(known(), HERS, changed, setting=BOUND)
    assert custom_step(decision).target == "set_custom"
    assert custom_step(decision).payload == {
        "contact": "900",
        "values": {"Hobby": "go", "Size": "Small", "Joined": "2026-03-01"},
        "was": {"Hobby": "chess", "Size": "Large", "Joined": None},
    }
    assert decided(decision.party, HERS, changed, setting=BOUND).steps == decision.steps


def test_the_writes_own_answer_becomes_seen() -> None:
    changed = saying(ANN, f1="go", f2="2", f3="03/01/2026")
    decision = decided(known(), HERS, changed, setting=BOUND)
    settled = settle(decision.party, decision.steps[0], {"values": {"Hobby": "GO"}})
    there = holding(HERS, Hobby="GO", Size="Large", Joined="3/1/2026")
    after = decided(settled, there, changed, setting=BOUND)
    assert (after.steps, after.notes) == ((), ())
    assert decided(after.party, there, changed, setting=BOUND).party == after.party


def test_a_change_of_staff_stays_and_of_two_changes_the_owners_wins() -> None:
    staffs = holding(HERS, Hobby="golf", Size="Large")
    decision = decided(known(), staffs, ANN, setting=BOUND)
    assert (decision.steps, decision.notes) == ((), ())
    both = decided(known(), staffs, saying(ANN, f1="go", f2="2"), setting=BOUND)
    assert both.steps == ()
    assert said(both) == [("conflict", "a", "custom:Hobby")]
    assert decided(both.party, staffs, saying(ANN, f1="go", f2="2"), setting=BOUND).notes == ()
    owned = decided(known(setting=OWNED), staffs, saying(ANN, f1="go", f2="2"), setting=OWNED)
    assert custom_step(owned).payload["values"] == {"Hobby": "go"}


def test_a_clear_does_not_travel() -> None:
    assert decided(known(), HERS, replace(ANN, custom_fields=()), setting=BOUND).steps == ()


@pytest.mark.parametrize(
    "changed", [{"whole": False}, {"deleted": True}, {"consent": Consent.opted_out, "lists": None}]
)
def test_a_snapshot_without_an_opinion_changes_no_custom_field(changed: dict[str, Any]) -> None:
    decision = decided(known(), HERS, replace(saying(ANN, f1="go"), **changed), setting=BOUND)
    assert "set_custom" not in kinds(decision)


def test_a_choice_that_is_no_option_is_withheld_said_once_and_written_when_it_becomes_one() -> None:
    huge = saying(ANN, f1="chess", f2="3")
    decision = decided(known(), HERS, huge, setting=BOUND)
    assert decision.steps == ()
    assert said(decision) == [("value_withheld", "a", "custom:Size")]
    again = decided(decision.party, HERS, huge, setting=BOUND)
    assert (again.steps, again.notes, again.party) == ((), (), decision.party)
    more = replace(THERE[1], choices={**THERE[1].choices, "Huge": "Huge"})
    later = decided(again.party, HERS, huge, setting=replace(BOUND, bindings=bind([HOBBY, SIZE], [THERE[0], more])))
    assert custom_step(later).payload["values"] == {"Size": "Huge"}


def test_a_value_that_would_not_be_written_anyway_is_not_reported() -> None:
    staffs = holding(HERS, Hobby="chess", Size="Small")
    decision = decided(known(), staffs, saying(ANN, f1="chess", f2="3"), setting=BOUND)
    assert said(decision) == [("conflict", "a", "custom:Size")]


def test_a_choice_with_another_label_has_changed() -> None:
    renamed = replace(SIZE, choices={**SIZE.choices, "2": "Small"})
    decision = decided(known(), HERS, ANN, setting=replace(BOUND, bindings=bind([HOBBY, renamed], THERE)))
    assert custom_step(decision).payload["values"] == {"Size": "Small"}


# --- what is mapped at all -------------------------------------------------------------------------------------------


def test_what_is_not_bound_or_switched_off_is_in_no_payload() -> None:
    changed = saying(ANN, f1="go", f9="secret")
    off = replace(BOUND, policy=Policy(custom_fields="off"))
    assert decided(known(setting=off), HERS, changed, setting=off).steps == ()
    assert decided(known(setting=SETTING), HERS, changed, setting=SETTING).steps == ()
    assert custom_step(decided(known(), HERS, changed, setting=BOUND)).payload["values"] == {"Hobby": "go"}


def test_a_paused_binding_is_not_decided_and_not_forgotten() -> None:
    paused = replace(BOUND, bindings=tuple(replace(one, paused="field_gone") for one in BINDINGS))
    changed = saying(ANN, f1="go", f2="2")
    decision = decided(known(), HERS, changed, setting=paused)
    assert decision.steps == ()
    assert (person(decision.party).crm or {})["custom:Hobby"] == "chess"
    assert custom_step(decided(decision.party, HERS, changed, setting=BOUND)).payload["values"] == {"Hobby": "go"}


def test_a_field_bound_only_now_is_filled_and_overwrites_nothing() -> None:
    before = paired(holding(HERS, Hobby="golf"), ANN)
    decision = decided(before, holding(HERS, Hobby="golf"), ANN, setting=BOUND)
    assert custom_step(decision).payload["values"] == {"Size": "Large"}
    assert said(decision) == [("conflict", "a", "custom:Hobby")]
    assert "custom:Size" not in (person(decision.party).crm or {})


# --- one household, one value ----------------------------------------------------------------------------------------


def test_custom_fields_travel_with_the_primary_person_and_others_only_fill() -> None:
    bob = saying(BOB, f1="golf", f3="2026-03-01")
    decision = decided(known(ANN, BOB, crm=BOTH), BOTH, ANN, bob, setting=BOUND)
    assert [(step.member, step.payload["values"]) for step in decision.steps] == [("b", {"Joined": "2026-03-01"})]
    filled = settle(decision.party, decision.steps[0], {})
    there = holding(BOTH, Hobby="chess", Size="Large", Joined="2026-03-01")
    after = decided(filled, there, ANN, bob, setting=BOUND)
    assert after.steps == ()
    cleared = decided(after.party, BOTH, ANN, saying(bob, f1="golf", f3="2026-03-02"), setting=BOUND)
    assert cleared.steps == ()


def test_of_two_members_who_would_write_the_first_one_goes_first() -> None:
    ann, bob = saying(ANN, f1="go", f2="2"), saying(BOB, f3="2026-03-01")
    decision = decided(known(ANN, BOB, crm=BOTH), BOTH, ann, bob, setting=BOUND)
    assert [(step.member, step.payload["values"]) for step in decision.steps] == [("a", {"Hobby": "go"})]
    assert (person(decision.party, "b").standing, person(decision.party, "b").reason) == ("pending", "step_waiting")
    there = holding(BOTH, Hobby="go", Size="Large")
    after = decided(settle(decision.party, decision.steps[0], {}), there, ann, bob, setting=BOUND)
    assert [(step.member, step.payload["values"]) for step in after.steps] == [("b", {"Joined": "2026-03-01"})]


def test_a_write_refused_for_good_leaves_the_other_members_way_free() -> None:
    ann, bob = saying(ANN, f1="go", f2="2"), saying(BOB, f3="2026-03-01")
    first = decided(known(ANN, BOB, crm=BOTH), BOTH, ann, bob, setting=BOUND)
    decision = decided(refused(first.party, first.steps[0]), BOTH, ann, bob, setting=BOUND)
    assert [step.member for step in decision.steps] == ["b"]


def test_a_value_filled_for_a_household_yields_to_its_first_person_whoever_was_linked_first() -> None:
    bare = replace(BOTH, custom_fields=())
    bob = saying(BOB, f1="golf")
    alone = decided(known(BOB, crm=bare), bare, bob, setting=BOUND)
    filled = settle(alone.party, alone.steps[0], {})
    assert person(filled, "b").filled == ("custom:Hobby",)
    late = replace(person(known(ANN, BOB, crm=bare)), audience=None, crm=None)
    both = replace(filled, people=(late, *filled.people))
    there = holding(bare, Hobby="golf")
    assert custom_step(decided(both, there, ANN, bob, setting=BOUND)).payload["values"]["Hobby"] == "chess"
    staffs = decided(both, holding(bare, Hobby="chess club"), ANN, bob, setting=BOUND)
    assert "Hobby" not in custom_step(staffs).payload["values"]
    over = replace(alone.steps[0], payload={**alone.steps[0].payload, "was": {"Hobby": "golf"}})
    assert person(settle(filled, over, {}), "b").filled == ()


# --- creations -------------------------------------------------------------------------------------------------------

NEW = party("a", crm_id=None)


def created(contact: AudienceContact, setting: Setting = BOUND) -> Decision:
    return decide(NEW, readings(None, contact, candidates={"a": ()}), setting)


@pytest.mark.parametrize(("consent", "kind"), [(Consent.opted_in, "submit"), (Consent.opted_out, "create")])
def test_a_creation_says_what_can_be_said(consent: Consent, kind: str) -> None:
    lists = None if consent is Consent.opted_out else ()
    contact = replace(saying(ANN, f1="go", f2="3", f3="soon", f9="secret"), consent=consent, lists=lists)
    (step,) = created(contact).steps
    assert (step.kind, step.payload["custom"]) == (kind, {"Hobby": "go"})
    (bare,) = created(contact, SETTING).steps
    assert bare.payload["custom"] == {}


def test_what_a_creation_said_is_the_base_of_what_comes_after() -> None:
    (step,) = created(ANN).steps
    waits = Submission(state="waiting", since=1.0, sent=dict(step.payload))
    waiting = replace(NEW, people=(replace(person(NEW), submission=waits),))
    decision = decided(waiting, HERS, ANN, setting=BOUND)
    assert (decision.steps, [note.kind for note in decision.notes]) == ((), ["confirmed"])
    staffs = holding(HERS, Hobby="golf", Size="Large")
    assert decided(waiting, staffs, ANN, setting=BOUND).steps == ()
    changed = decided(waiting, HERS, saying(ANN, f1="go", f2="2"), setting=BOUND)
    assert custom_step(changed).payload["values"] == {"Hobby": "go"}


def test_what_a_merge_threw_away_before_anybody_read_it_is_filled_again() -> None:
    """Staff merge the new household into Bob's before it was read; his values stand, nobody cleared hers."""
    (step,) = created(ANN).steps
    waits = Submission(state="waiting", since=1.0, sent=dict(step.payload))
    waiting = replace(NEW, people=(replace(person(NEW), submission=waits),))
    crm = household(individual("a", primary=False), individual("b", primary=True))
    decision = decided(waiting, holding(crm, Size="Small"), ANN, setting=BOUND)
    assert custom_step(decision).payload["values"] == {"Hobby": "chess"}
    first = holding(household(individual("a"), individual("b")), Size="Small")
    assert decided(waiting, first, ANN, setting=BOUND).steps == ()


# --- lists to one custom field ---------------------------------------------------------------------------------------

LISTS = replace(
    SETTING,
    policy=Policy(lists_to="custom_field", lists_field="Newsletter", lists_precedence=("News",), custom_fields="off"),
    bindings=bind(
        [HOBBY], [*THERE, CustomField(field_id="Newsletter", names=("Newsletter",), kind="text")], (), "newsletter"
    ),
    labels=(NEWS, GIFTS, Label(list_id="L0", list_name="Alumni", tag_name="CC: Alumni")),
)
PLAIN = household(individual("a"), individual("b"))


def on(contact: AudienceContact, *lists: str) -> AudienceContact:
    return replace(contact, lists=lists)


@pytest.mark.parametrize(
    ("lists", "value"),
    [(("L2",), "Gifts"), (("L0", "L2"), "Alumni"), (("L0", "L1", "L2"), "News"), (("L0", "L9"), "Alumni")],
)
def test_lists_go_to_one_field_by_precedence_and_then_by_name(lists: tuple[str, ...], value: str) -> None:
    before = paired(PLAIN, on(ANN), on(BOB), setting=LISTS)
    decision = decided(before, PLAIN, on(ANN, *lists), on(BOB, "L1"), setting=LISTS)
    (step,) = decision.steps
    assert (step.kind, step.member, step.payload["values"]) == ("set_custom", "a", {"Newsletter": value})
    several = len([one for one in lists if one != "L9"]) > 1
    assert said(decision) == ([("several_lists", "a", "custom:Newsletter")] if several else [])
    again = decided(decision.party, PLAIN, on(ANN, *lists), on(BOB, "L1"), setting=LISTS)
    assert (again.steps, again.notes) == (decision.steps, ())


def test_who_leaves_every_list_clears_nothing_and_another_member_fills_nothing() -> None:
    there = holding(PLAIN, Newsletter="News")
    before = paired(there, on(ANN, "L1"), on(BOB), setting=LISTS)
    assert decided(before, there, on(ANN), on(BOB, "L2"), setting=LISTS).steps == ()
    bare = paired(PLAIN, on(ANN), on(BOB), setting=LISTS)
    assert decided(bare, PLAIN, on(ANN), on(BOB, "L2"), setting=LISTS).steps == ()


def test_the_audience_side_owns_the_field_of_the_lists() -> None:
    there = holding(PLAIN, Newsletter="staff's own words")
    decision = decided(party("a", "b"), there, on(ANN, "L2"), on(BOB), setting=LISTS)
    assert custom_step(decision).payload["values"] == {"Newsletter": "Gifts"}


def test_lists_that_go_to_a_field_go_to_no_tag_and_tags_to_no_list() -> None:
    before = paired(PLAIN, on(ANN), on(BOB), setting=LISTS)
    decision = decided(before, replace(PLAIN, tags=("CC: Gifts",)), on(ANN, "L1"), on(BOB), setting=LISTS)
    assert kinds(decision) == ["set_custom"]
    (step,) = created(on(ANN, "L1", "L2"), LISTS).steps
    assert (step.payload["lists"], step.payload["tags"]) == ([], [])
    assert step.payload["custom"] == {"Newsletter": "News"}


def test_lists_that_go_to_tags_go_to_no_field() -> None:
    both = replace(LISTS, policy=Policy(lists_field="Newsletter", custom_fields="off"))
    decision = decided(paired(PLAIN, on(ANN), on(BOB), setting=both), PLAIN, on(ANN, "L1"), on(BOB), setting=both)
    assert kinds(decision) == ["add_tag"]


# --- what the CRM refuses --------------------------------------------------------------------------------------------


def test_of_values_that_were_refused_together_each_goes_by_itself() -> None:
    changed = saying(ANN, f1="go", f2="1", f3="03/01/2026")
    decision = decided(known(), HERS, changed, setting=BOUND)
    apart = decided(refused(decision.party, decision.steps[0]), HERS, changed, setting=BOUND)
    assert [(step.target, step.payload["values"]) for step in apart.steps] == [
        ("set_custom:Hobby", {"Hobby": "go"}),
        ("set_custom:Size", {"Size": "Small"}),
        ("set_custom:Joined", {"Joined": "2026-03-01"}),
    ]


def test_a_value_that_is_refused_for_good_keeps_back_no_other() -> None:
    changed = saying(ANN, f1="go", f2="1")
    decision = decided(known(), HERS, changed, setting=BOUND)
    apart = decided(refused(decision.party, decision.steps[0]), HERS, changed, setting=BOUND)
    hobby, size = apart.steps
    there = holding(HERS, Hobby="chess", Size="Small")
    settled = settle(refused(apart.party, hobby), size, {"values": {"Size": "Small"}})
    left = decided(settled, there, changed, setting=BOUND)
    assert left.steps == ()
    assert (person(left.party).standing, person(left.party).reason) == ("parked", "refused_by_vendor")
    later = decided(left.party, there, saying(ANN, f1="go", f2="2", f3="03/01/2026"), setting=BOUND)
    assert custom_step(later).payload["values"] == {"Size": "Large", "Joined": "2026-03-01"}
    other = decided(left.party, there, saying(ANN, f1="golf", f2="1"), setting=BOUND)
    assert custom_step(other).payload["values"] == {"Hobby": "golf"}


def test_a_creation_that_is_refused_goes_once_more_without_its_custom_values() -> None:
    known = party("a", crm_id=None)
    read = readings(None, ANN, candidates={"a": ()})
    decision = decide(known, read, BOUND)
    assert decision.steps[0].payload["custom"] == {"Hobby": "chess", "Size": "Large"}
    bare = decide(refused(decision.party, decision.steps[0]), read, BOUND)
    assert bare.steps[0].payload == {**decision.steps[0].payload, "custom": {}}
    assert decide(refused(bare.party, bare.steps[0]), read, BOUND).steps == ()
