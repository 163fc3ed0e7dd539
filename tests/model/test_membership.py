"""Lists and tags: additions and removals against what was seen; no base, no removal; who left is not put back."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.contact import AudienceContact, Consent, CrmContact
from keepstep.model.customer import Policy
from keepstep.model.decide import Decision
from keepstep.model.membership import memberships, submitted_tags, wants_of
from keepstep.model.party import Label, Party, Person, Submission
from keepstep.model.settle import settle
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

ANN, BOB = subscriber("a"), subscriber("b")
PLAIN = household(individual("a"), individual("b"))
TAGGED = replace(PLAIN, tags=("CC: News",))
ALL = replace(SETTING, policy=Policy(added_tag_goes_to="all"))
OUT: dict[str, Any] = {"consent": Consent.opted_out, "lists": None, "read_at": 200.0}


def on(contact: AudienceContact, *lists: str) -> AudienceContact:
    return replace(contact, lists=lists or ("L1",))


def moved(decision: Decision) -> list[tuple[str, str | None]]:
    return [(step.kind, step.member) for step in decision.steps]


def test_a_join_adds_the_tag_by_id_and_a_second_join_needs_nothing() -> None:
    known = paired(PLAIN, ANN, BOB)
    decision = decided(known, PLAIN, on(ANN), BOB)
    assert moved(decision) == [("add_tag", "a")]
    assert decision.steps[0].payload == {"contact": "900", "tag_id": "71", "tag": "CC: News", "list_id": "L1"}
    assert decided(settle(decision.party, decision.steps[0], {}), TAGGED, on(ANN), on(BOB)).steps == ()


def test_a_leave_removes_the_tag_only_with_the_last_member() -> None:
    known = paired(TAGGED, on(ANN), on(BOB))
    first = decided(known, TAGGED, ANN, on(BOB))
    assert first.steps == ()
    assert moved(decided(first.party, TAGGED, ANN, BOB)) == [("remove_tag", "b")]


@pytest.mark.parametrize("silent", [OUT, {**OUT, "consent": Consent.not_mailable, "deleted": True}])
def test_somebody_who_is_out_has_no_opinion_and_keeps_the_tag(silent: dict[str, Any]) -> None:
    known = paired(TAGGED, on(ANN), on(BOB))
    decision = decided(known, TAGGED, replace(ANN, **silent), on(BOB))
    assert "remove_tag" not in kinds(decision)
    after = decided(decision.party, TAGGED, replace(ANN, **silent), BOB)
    assert "remove_tag" not in kinds(after)


def test_a_member_who_was_not_read_keeps_the_tag() -> None:
    known = paired(TAGGED, on(ANN), on(BOB))
    assert decided(known, TAGGED, ANN).steps == ()


def test_a_tag_added_by_staff_goes_to_the_primary_person_behind_the_gate() -> None:
    decision = decided(paired(PLAIN, ANN, BOB), TAGGED, ANN, BOB)
    assert [(step.kind, step.member, step.hold, step.group) for step in decision.steps] == [
        ("join", "a", "gate", "join:L1")
    ]


def test_or_to_all_if_the_route_says_so() -> None:
    decision = decided(paired(PLAIN, ANN, BOB, setting=ALL), TAGGED, ANN, BOB, setting=ALL)
    assert moved(decision) == [("join", "a"), ("join", "b")]


def test_two_tags_make_one_step_a_person() -> None:
    both = replace(PLAIN, tags=("CC: Gifts", "CC: News"))
    decision = decided(paired(PLAIN, ANN, BOB), both, ANN, BOB)
    assert [step.payload for step in decision.steps] == [{"record_id": "a", "list_ids": ["L1", "L2"]}]


@pytest.mark.parametrize("silent", [OUT, {**OUT, "deleted": True}, {"consent": Consent.not_mailable}])
def test_a_tag_for_somebody_who_is_out_does_nothing_and_is_journalled_once(silent: dict[str, Any]) -> None:
    known = decided(paired(PLAIN, ANN, BOB), PLAIN, replace(ANN, **silent), BOB).party
    decision = decided(known, TAGGED, replace(ANN, **silent), BOB)
    assert "join" not in kinds(decision)
    assert [(note.kind, note.record_id, dict(note.data)) for note in decision.notes] == [
        ("tag_withheld", "a", {"list_id": "L1"})
    ]
    assert decided(decision.party, TAGGED, replace(ANN, **silent), BOB).notes == ()


def test_a_tag_for_somebody_who_was_not_read_waits() -> None:
    decision = decided(paired(PLAIN, ANN, BOB), TAGGED, BOB)
    assert decision.steps == ()
    assert moved(decided(decision.party, TAGGED, ANN, BOB)) == [("join", "a")]


def test_a_tag_removed_by_staff_takes_off_every_linked_member_ungated() -> None:
    decision = decided(paired(TAGGED, on(ANN), on(BOB)), PLAIN, on(ANN), on(BOB))
    assert [(step.kind, step.member, step.hold) for step in decision.steps] == [
        ("leave", "a", None),
        ("leave", "b", None),
    ]


def test_who_joins_while_staff_remove_the_tag_stays_and_the_others_go_first() -> None:
    decision = decided(paired(TAGGED, on(ANN), BOB), PLAIN, on(ANN), on(BOB))
    assert moved(decision) == [("leave", "a")]
    after = decided(settle(decision.party, decision.steps[0], {}), PLAIN, ANN, on(BOB))
    assert moved(after) == [("add_tag", "b")]


def test_a_removal_waits_for_a_member_who_was_not_read() -> None:
    known = paired(TAGGED, on(ANN), on(BOB))
    decision = decided(known, PLAIN, on(ANN))
    assert moved(decision) == [("leave", "a")]
    later = decided(settle(decision.party, decision.steps[0], {}), PLAIN, ANN)
    assert moved(decided(later.party, PLAIN, ANN, on(BOB))) == [("leave", "b")]


def test_who_was_out_while_staff_removed_the_tag_and_comes_back_to_the_list_brings_it_again() -> None:
    """The own return is the later act."""
    known = decided(paired(TAGGED, ANN, on(BOB)), PLAIN, ANN, replace(BOB, **OUT)).party
    back = replace(on(BOB), read_at=300.0, opt_in_at=250.0)
    assert "add_tag" in kinds(decided(known, PLAIN, ANN, back))


def test_a_join_of_ours_whose_tag_is_gone_again_is_taken_back() -> None:
    decision = decided(paired(PLAIN, ANN, BOB), TAGGED, ANN, BOB)
    settled = settle(decision.party, decision.steps[0], {})
    assert person(settled).added == ("L1",)
    assert moved(decided(settled, PLAIN, on(ANN), BOB)) == [("leave", "a")]
    agreed = decided(settled, TAGGED, on(ANN), BOB)
    assert agreed.steps == ()
    assert person(agreed.party).added == ()


@pytest.mark.parametrize(
    ("before", "crm", "ann"),
    [
        ((PLAIN, ANN), PLAIN, on(ANN)),
        ((TAGGED, on(ANN)), TAGGED, ANN),
        ((PLAIN, ANN), TAGGED, ANN),
        ((TAGGED, on(ANN)), PLAIN, on(ANN)),
    ],
)
def test_what_is_not_done_yet_is_wanted_again(
    before: tuple[CrmContact, AudienceContact], crm: CrmContact, ann: AudienceContact
) -> None:
    first = decided(paired(*before, BOB), crm, ann, BOB)
    assert len(first.steps) == 1
    assert decided(first.party, crm, ann, BOB).steps == first.steps


# --- no base ---------------------------------------------------------------------------------------------------------


def test_first_pairing_is_a_union() -> None:
    both = replace(PLAIN, tags=("CC: Gifts",))
    decision = decided(party("a", "b"), both, on(ANN), BOB)
    assert decided(decision.party, both, on(ANN), BOB).steps == decision.steps
    assert moved(decision) == [("add_tag", "a"), ("join", "a")]


def test_first_pairing_puts_nobody_on_a_list_whose_tag_a_member_explains() -> None:
    for setting in (SETTING, ALL):
        assert decided(party("a", "b"), TAGGED, ANN, on(BOB), setting=setting).steps == ()


def test_after_a_merge_nothing_is_removed_and_who_left_is_not_put_back() -> None:
    left = decided(paired(TAGGED, on(ANN), BOB), PLAIN, ANN, BOB).party
    assert person(left).left == ("L1",)
    merged = replace(left, tags=None)
    decision = decided(merged, TAGGED, ANN, BOB)
    assert decision.steps == ()
    leaving = replace(paired(TAGGED, on(ANN), BOB), tags=None)
    assert decided(leaving, TAGGED, ANN, BOB).steps == ()


def test_after_a_merge_a_membership_that_was_there_brings_its_tag() -> None:
    merged = replace(paired(TAGGED, on(ANN), BOB), tags=None)
    assert moved(decided(merged, PLAIN, on(ANN), BOB)) == [("add_tag", "a")]


def test_a_label_that_is_new_to_the_route_has_no_base() -> None:
    known = paired(PLAIN, ANN, BOB, setting=replace(SETTING, labels=(NEWS,)))
    assert moved(decided(known, PLAIN, on(ANN, "L2"), BOB)) == [("add_tag", "a")]
    assert known.known == ("L1",)


def test_white_space_of_a_tags_name_tells_nothing_apart() -> None:
    spaced = replace(SETTING, labels=(replace(NEWS, tag_name="CC:   News "),))
    assert decided(paired(TAGGED, on(ANN), BOB, setting=spaced), TAGGED, on(ANN), BOB, setting=spaced).steps == ()


def test_a_renamed_tag_is_the_same_tag() -> None:
    renamed = replace(SETTING, labels=(replace(NEWS, tag_name="CC: Bulletin"), GIFTS))
    known = paired(TAGGED, on(ANN), BOB)
    assert decided(known, replace(PLAIN, tags=("CC: Bulletin",)), on(ANN), BOB, setting=renamed).steps == ()


@pytest.mark.parametrize("label", [replace(NEWS, paused="renamed"), replace(NEWS, tag_id=None)])
def test_a_label_that_is_paused_or_has_no_tag_decides_nothing(label: Label) -> None:
    setting = replace(SETTING, labels=(label,))
    assert decided(paired(TAGGED, on(ANN), on(BOB)), PLAIN, ANN, on(BOB), setting=setting).steps == ()


# --- who may not be known --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crm", "reason"),
    [
        (household(individual("b"), tags=("CC: News",)), "individual_gone"),
        (household(individual("a", methods=()), individual("b"), tags=("CC: News",)), "address_gone"),
    ],
)
def test_nothing_is_decided_for_somebody_the_household_does_not_show(crm: CrmContact, reason: str) -> None:
    known = paired(PLAIN, ANN, BOB)
    decision = decided(known, crm, ANN, BOB)
    assert decision.steps == () or moved(decision) == [("join", "b")]
    assert person(decision.party).reason == reason


def test_nobody_deceased_is_put_on_a_list_but_may_be_taken_off() -> None:
    gone = (individual("a", deceased=True), individual("b"))
    decision = decided(paired(PLAIN, ANN, BOB), replace(TAGGED, individuals=gone), ANN, BOB)
    assert decision.steps == ()
    assert person(decision.party).reason == "deceased"
    off = decided(paired(TAGGED, on(ANN), BOB), replace(PLAIN, individuals=gone), on(ANN), BOB)
    assert moved(off) == [("leave", "a")]


@pytest.mark.parametrize("changed", [{"merged_into": "901"}, {"archived": True}])
def test_a_merged_or_archived_contact_is_written_nothing(changed: dict[str, Any]) -> None:
    known = paired(TAGGED, on(ANN), BOB)
    shell = replace(household(individual("a"), individual("b")), **changed)
    decision = decided(known, shell, replace(ANN, first_name="Anna"), on(BOB))
    assert decision.steps == ()
    assert decision.party.tags == known.tags
    assert person(decision.party).reason == ("merged" if "merged_into" in changed else "archived")


@pytest.mark.parametrize("known_by", ["reading", "submission"])
def test_a_tag_that_came_with_an_import_merged_into_the_household_means_nobody_else(known_by: str) -> None:
    """Bob waits for his import. It lands in Ann's household and is parked; its tag is not staff's wish for Ann."""
    alone = household(individual("a"))
    known = paired(alone, ANN)
    waits = Submission(state="waiting", since=1.0, sent={"lists": ["L1"], "email": "bob@example.org"})
    known = replace(known, people=(*known.people, Person(record_id="b", submission=waits)))
    merged = replace(alone, tags=("CC: News",), references=(*alone.references, ("Constant Contact", "b")))
    bob = (on(BOB),) if known_by == "reading" else ()
    decision = decided(known, merged, ANN, *bob)
    assert decision.steps == ()
    assert decided(decision.party, merged, ANN, *bob).steps == ()


# --- inside an import ------------------------------------------------------------------------------------------------


def test_an_import_carries_known_tags_without_the_separator() -> None:
    labels = (
        NEWS,
        replace(GIFTS, tag_name="CC: Gifts; more"),
        Label(list_id="L3", list_name="New", tag_name="CC: New"),
        Label(list_id="L4", list_name="Off", tag_name="CC: Off", tag_id="74", paused="gone"),
    )
    lists = ("L4", "L3", "L2", "L1", "L9")
    assert submitted_tags(lists, labels, Policy()) == (["L1"], ["CC: News"])
    assert submitted_tags(lists, labels, Policy(unknown_tags="send")) == (["L1", "L3"], ["CC: News", "CC: New"])


def test_memberships_speak_of_linked_people_only() -> None:
    stranger: Party = party("a")
    assert memberships(stranger, wants_of(stranger, readings(TAGGED, on(ANN)), SETTING.labels, SETTING.policy)) == (
        stranger,
        (),
    )


# --- the audience side's own tags ------------------------------------------------------------------------------------

VIP = Label(list_id="T1", list_name="VIP", tag_name="Tag: VIP", tag_id="81", kind="tag")
BOARD = Label(list_id="T2", list_name="Board; old", tag_name="Tag: Board; old", tag_id="82", kind="tag")
TAGS = replace(SETTING, policy=Policy(contact_tags_prefix="Tag: "), labels=(NEWS, GIFTS, VIP, BOARD))


def tagged(contact: AudienceContact, *tags: str) -> AudienceContact:
    return replace(contact, tags=tags)


def test_a_tag_of_the_audience_side_becomes_a_tag_of_its_own_prefix_and_goes_with_the_last_member() -> None:
    ann, bob = tagged(ANN), tagged(BOB)
    decision = decided(paired(PLAIN, ann, bob, setting=TAGS), PLAIN, tagged(ANN, "T1"), bob, setting=TAGS)
    assert [dict(step.payload) for step in decision.steps] == [
        {"contact": "900", "tag_id": "81", "tag": "Tag: VIP", "list_id": "T1"}
    ]
    there = replace(PLAIN, tags=("Tag: VIP",))
    known = decided(settle(decision.party, decision.steps[0], {}), there, tagged(ANN, "T1"), bob, setting=TAGS).party
    assert person(known).lists == ("T1",)
    assert moved(decided(known, there, ann, bob, setting=TAGS)) == [("remove_tag", "a")]


def test_staff_tagging_and_untagging_reach_the_audience_sides_tags_by_their_own_steps() -> None:
    there = replace(PLAIN, tags=("CC: News", "Tag: Board; old", "Tag: VIP"))
    decision = decided(
        paired(PLAIN, tagged(ANN), tagged(BOB), setting=TAGS), there, tagged(ANN), tagged(BOB), setting=TAGS
    )
    assert [(step.kind, step.hold, step.group, step.payload["list_ids"]) for step in decision.steps] == [
        ("join", "gate", "join:L1", ["L1"]),
        ("tag_on", "gate", "tag_on:T1,T2", ["T1", "T2"]),
    ]
    known = decision.party
    for step in decision.steps:
        known = settle(known, step, {})
    ann = tagged(on(ANN), "T1", "T2")
    known = decided(known, there, ann, tagged(BOB), setting=TAGS).party
    off = decided(known, replace(there, tags=("CC: News",)), ann, tagged(BOB), setting=TAGS)
    assert [(step.kind, step.hold, step.payload) for step in off.steps] == [
        ("tag_off", None, {"record_id": "a", "list_ids": ["T1", "T2"]})
    ]
    gone = settle(off.party, off.steps[0], {})
    assert decided(gone, replace(there, tags=("CC: News",)), on(tagged(ANN)), tagged(BOB), setting=TAGS).steps == ()


def test_without_a_prefix_the_audience_sides_tags_are_nobodys_business() -> None:
    plain = replace(TAGS, policy=Policy())
    decision = decided(paired(PLAIN, tagged(ANN), BOB, setting=plain), PLAIN, tagged(ANN, "T1"), BOB, setting=plain)
    assert decision.steps == ()
    assert submitted_tags(("L1", "T1"), TAGS.labels, plain.policy) == (["L1"], ["CC: News"])


def test_tags_that_were_not_read_are_not_gone_and_lists_that_were_not_read_keep_no_tag_waiting() -> None:
    there = replace(PLAIN, tags=("Tag: VIP",))
    known = paired(there, tagged(ANN, "T1"), tagged(BOB), setting=TAGS)
    assert decided(known, there, ANN, BOB, setting=TAGS).steps == ()
    unread = replace(tagged(ANN), lists=None)
    assert moved(decided(known, there, unread, tagged(BOB), setting=TAGS)) == [("remove_tag", "a")]


@pytest.mark.parametrize("silent", [OUT, {"consent": Consent.not_mailable}])
def test_nobody_who_is_out_is_tagged(silent: dict[str, Any]) -> None:
    known = paired(PLAIN, tagged(ANN), tagged(BOB), setting=TAGS)
    out = replace(tagged(ANN), **silent)
    decision = decided(known, replace(PLAIN, tags=("Tag: VIP",)), out, tagged(BOB), setting=TAGS)
    assert "tag_on" not in kinds(decision)
    assert [(note.kind, dict(note.data)) for note in decision.notes] == [("tag_withheld", {"list_id": "T1"})]


def test_an_import_carries_tags_of_both_kinds_and_a_name_with_the_separator_goes_by_id_after_it() -> None:
    assert submitted_tags(("T2", "L1", "T1"), TAGS.labels, TAGS.policy) == (["L1", "T1"], ["CC: News", "Tag: VIP"])
    sent = {"lists": ["L1", "T1"], "email": ANN.email, "first_name": "Ann", "last_name": "Lee"}
    waits = Person(record_id="a", submission=Submission(state="waiting", since=1.0, sent=sent))
    imported = household(individual("a"), tags=("CC: News", "Tag: VIP"))
    ann = tagged(on(ANN), "T1", "T2")
    decision = decided(Party(party_id="P", crm_id="900", people=(waits,)), imported, ann, setting=TAGS)
    assert [(step.kind, step.payload["tag_id"]) for step in decision.steps] == [("add_tag", "82")]
