"""Fields towards the audience side: off, then what staff changed, in its terms, and never an empty value."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.change import Lane, Step
from keepstep.model.contact import Address, AudienceContact, Consent, CrmContact, Phone, Side
from keepstep.model.customer import Policy
from keepstep.model.decide import Setting, decide
from keepstep.model.party import Label, Party
from keepstep.model.settle import settle
from keepstep.model.toward import FIELDS, kind_of, told, unknown
from tests.model.people import (
    HOME,
    NEWS,
    SETTING,
    decided,
    household,
    individual,
    number,
    paired,
    person,
    readings,
    subscriber,
)

BACK = replace(SETTING, policy=Policy(fields_to_audience=FIELDS))
THERE = Address(
    kind="work", street="2 Oak Ave", city="Salem", state="MA", postal="01970", country="US", record_id="801"
)


def owned(**owners: Side) -> Setting:
    policy = Policy(fields_to_audience=FIELDS, owners={**Policy().owners, **owners})
    return replace(SETTING, policy=policy)


def renamed(first: str | None) -> CrmContact:
    return household(individual("a", first_name=first))


def written(known: Party, crm: CrmContact, *contacts: AudienceContact, setting: Setting = BACK) -> list[Step]:
    return [step for step in decided(known, crm, *contacts, setting=setting).steps if step.kind == "set_fields"]


def test_off_by_default() -> None:
    ann = subscriber()
    assert written(paired(household(), ann), renamed("Annie"), ann, setting=SETTING) == []


def test_what_staff_changed_alone_crosses_and_is_seen_on_both_sides() -> None:
    ann = subscriber()
    known = paired(household(), ann, setting=BACK)
    decision = decided(known, renamed("Annie"), ann, setting=BACK)
    [step] = decision.steps
    assert (step.side, step.kind, step.target, step.lane) == (Side.audience, "set_fields", "set_fields:a", Lane.changes)
    assert step.payload == {"record_id": "a", "values": {"first_name": "Annie"}, "was": {"first_name": "Ann"}}
    assert person(decision.party).standing == "pending"
    again = decided(decision.party, renamed("Annie"), ann, setting=BACK)
    assert again.steps == decision.steps
    after = settle(decision.party, step, {"values": {"first_name": "Annie"}})
    assert person(after).reread
    assert decided(after, renamed("Annie"), replace(ann, first_name="Annie"), setting=BACK).steps == ()
    assert settle(decision.party, step, {}) == after


def test_of_two_changes_the_crms_wins_where_it_owns_and_the_loser_is_listed_once() -> None:
    ann, edited = subscriber(), subscriber(first_name="Anna")
    known = paired(household(), ann, setting=BACK)
    first = decided(known, renamed("Annie"), edited, setting=BACK)
    assert [note.kind for note in first.notes] == ["conflict"]
    assert [step.payload["values"] for step in first.steps] == [{"first_name": "Annie"}]
    second = decided(first.party, renamed("Annie"), edited, setting=BACK)
    assert (second.notes, second.steps) == ((), first.steps)


def test_of_two_changes_the_audience_sides_wins_where_it_owns() -> None:
    ann, edited = subscriber(), subscriber(first_name="Anna")
    setting = owned(first_name=Side.audience)
    known = paired(household(), ann, setting=setting)
    assert [step.kind for step in decided(known, renamed("Annie"), edited, setting=setting).steps] == ["set_person"]
    assert [step.kind for step in decided(known, renamed("Annie"), ann, setting=setting).steps] == ["set_fields"]


@pytest.mark.parametrize(("owner", "goes"), [(Side.crm, True), (Side.audience, False)])
def test_a_clear_of_the_person_is_filled_only_by_a_newer_value_of_an_owner(owner: Side, goes: bool) -> None:
    setting, cleared = owned(first_name=owner), subscriber(first_name=None)
    known = paired(household(), subscriber(), setting=setting)
    assert written(known, household(), cleared, setting=setting) == []
    assert bool(written(known, renamed("Annie"), cleared, setting=setting)) is goes


def test_an_empty_value_never_travels() -> None:
    ann = subscriber(addresses=(HOME,))
    known = paired(household(address=HOME), ann, setting=BACK)
    assert written(known, renamed(None), ann) == []
    bare = household(individual("a", first_name="", methods=individual().methods[:1]))
    assert written(known, bare, ann) == []


def test_at_first_pairing_what_is_empty_is_filled_and_what_differs_stays() -> None:
    ann = subscriber(first_name=None, last_name="Li", phones=())
    [step] = written(paired(household(), ann, setting=BACK), household(), ann)
    assert step.payload["values"] == {"first_name": "Ann", "phone": {"kind": "mobile", "raw": "(617) 253-1007"}}


@pytest.mark.parametrize(
    "silent",
    [{"whole": False}, {"deleted": True}, {"consent": Consent.opted_out, "lists": None}],
)
def test_nothing_is_written_to_whom_the_audience_side_has_no_whole_reading_of(silent: dict[str, Any]) -> None:
    ann = subscriber()
    assert written(paired(household(), ann, setting=BACK), renamed("Annie"), replace(ann, **silent)) == []


def test_a_new_number_takes_the_place_of_the_one_that_was_compared() -> None:
    ann = subscriber(phones=(Phone("home", "617 253 1007"),))
    known = paired(household(), ann, setting=BACK)
    moved = household(individual("a", methods=(individual().methods[0], number("pa", "617-253-1999"))))
    [step] = written(known, moved, ann)
    assert step.payload["values"] == {"phone": {"kind": "home", "raw": "617-253-1999"}}
    assert step.payload["was"] == {"phone": "617 253 1007"}
    assert person(settle(known, step, {})).audience == {**(person(known).audience or {}), "phone": "617-253-1999"}


def test_the_first_phone_that_staff_enter_stands_for_the_person() -> None:
    ann, bare = subscriber(phones=()), household(individual("a", methods=individual().methods[:1]))
    known = paired(bare, ann, setting=BACK)
    [step] = written(known, household(), ann)
    assert step.payload["values"]["phone"] == {"kind": "mobile", "raw": "(617) 253-1007"}
    off = paired(bare, ann)
    assert decided(off, household(), ann).steps == ()


def test_a_household_address_goes_to_its_first_person_only() -> None:
    ann, bob = subscriber(addresses=(HOME,)), subscriber("b", addresses=(HOME,))
    both = (individual("a"), individual("b"))
    known = paired(household(*both, address=HOME), ann, bob, setting=BACK)
    [step] = written(known, household(*both, address=THERE), ann, bob)
    parts = {"street": "2 Oak Ave", "city": "Salem", "state": "MA", "postal": "01970", "country": "US"}
    assert (step.member, step.payload["values"]) == ("a", {"address": {"kind": "home", **parts}})
    assert (person(settle(known, step, {})).crm or {})["address"] == parts


def test_what_the_audience_side_cannot_hold_is_cut_or_withheld_and_noted_once() -> None:
    ann, long = subscriber(addresses=(HOME,)), replace(THERE, city="x" * 51)
    known = paired(household(address=HOME), ann, setting=BACK)
    first = decided(known, replace(renamed("A" * 60), address=long), ann, setting=BACK)
    assert [step.payload["values"] for step in first.steps] == [{"first_name": "A" * 50}]
    assert [(note.kind, note.data) for note in first.notes] == [("value_withheld", {"field": "address"})]
    cut = settle(first.party, first.steps[0], {})
    after = decided(cut, replace(renamed("A" * 60), address=long), replace(ann, first_name="A" * 50), setting=BACK)
    assert (after.steps, after.notes) == ((), ())


def test_values_in_the_other_sides_terms() -> None:
    none = {"phone_kind": None, "address_kind": None}
    assert told("phone", "1" * 26, "Work Phone", none) is None
    assert told("address", {"street": "x" * 256}, "work", none) is None
    assert (told("address", {"street": "1 Elm St"}, None, none) or {})["kind"] == "home"
    assert [kind_of(word) for word in ("Cell / Mobile", "Work Phone", "Fax", None)] == [
        "mobile",
        "work",
        "other",
        "other",
    ]
    assert unknown(("phone", "email")) == ["email"]


def test_an_own_opt_out_under_our_write_is_an_act_and_is_written_until_it_shows() -> None:
    ann = subscriber(read_at=200.0)
    known = paired(household(), ann, setting=BACK)
    [step] = written(known, renamed("Annie"), ann)
    lost = settle(known, step, {"raced": {"at": 150.0, "written": False}})
    decision = decided(lost, renamed("Annie"), replace(ann, first_name="Annie"), setting=BACK)
    [(who, act)] = decision.acts
    assert (who, act.direction, act.kind, act.source, act.code, act.at) == (
        "a",
        "out",
        "choice",
        "Contact",
        "raced",
        150.0,
    )
    wanted = {step.kind: step for step in decision.steps}
    assert wanted["opt_out"].payload == {"record_id": "a", "reason": "Opted out", "source": "Contact"}
    assert wanted["opt_out"].lane is Lane.consent and wanted["set_consent"].payload["opted_in"] is False
    out = replace(
        ann, first_name="Annie", consent=Consent.opted_out, lists=None, opt_out_source="Contact", opt_out_at=190.0
    )
    after = decided(decision.party, renamed("Annie"), out, setting=BACK)
    assert [step.kind for step in after.steps] == ["set_consent"]


def test_one_that_was_repaired_at_once_is_one_act() -> None:
    ann = subscriber(read_at=200.0)
    known = paired(household(), ann, setting=BACK)
    [step] = written(known, renamed("Annie"), ann)
    kept = settle(known, step, {"raced": {"at": 150.0, "written": True}})
    out = subscriber(read_at=300.0, consent=Consent.opted_out, lists=None, opt_out_source="Contact", opt_out_at=160.0)
    decision = decided(kept, renamed("Annie"), out, setting=BACK)
    assert len(decision.acts) == 1
    assert [step.kind for step in decision.steps] == ["set_consent"]


def test_a_tag_without_a_list_is_noted_once_for_its_household() -> None:
    missing = Label(list_id="tag:9", list_name="Soon", tag_name="CC: Soon", tag_id="9", paused="no_list")
    setting = replace(SETTING, labels=(NEWS, missing))
    both, tagged = (individual("a"), individual("b")), {"tags": ("CC: Soon",)}
    ann, bob = subscriber(), subscriber("b")
    known = paired(household(*both), ann, bob, setting=setting)
    first = decided(known, household(*both, **tagged), ann, bob, setting=setting)
    assert [(note.kind, note.record_id, note.data) for note in first.notes] == [
        ("list_missing", "a", {"field": "tag:9"})
    ]
    assert decided(first.party, household(*both, **tagged), ann, bob, setting=setting).notes == ()


def many(size: int, kind: str = "list") -> tuple[Label, ...]:
    return tuple(
        Label(
            list_id=f"{kind}{one:02}", list_name=f"{one}", tag_name=f"{kind} {one}", tag_id=f"{kind[0]}{one}", kind=kind
        )
        for one in range(size)
    )


@pytest.mark.parametrize("kind", ["list", "tag"])
def test_nobody_is_put_on_more_lists_than_there_may_be(kind: str) -> None:
    labels = many(2, kind)
    setting = Setting(policy=Policy(contact_tags_prefix="T: "), labels=labels, now=1000.0)
    full = tuple(f"x{one}" for one in range(49))
    on = {"lists": full, "tags": ()} if kind == "list" else {"lists": (), "tags": full}
    ann, tags = subscriber(**on), tuple(label.tag_name for label in labels)
    known = paired(household(), ann, setting=setting)
    first = decided(known, household(tags=tags), ann, setting=setting)
    assert [step.payload["list_ids"] for step in first.steps] == [[f"{kind}00"]]
    assert (person(first.party).standing, person(first.party).reason) == ("parked", f"{kind}_limit")
    done = settle(first.party, first.steps[0], {})
    on[f"{kind}s"] = (*full, f"{kind}00")
    second = decided(done, household(tags=tags), subscriber(**on), setting=setting)
    assert (second.steps, person(second.party).reason) == ((), f"{kind}_limit")
    on[f"{kind}s"] = (*full[1:], f"{kind}00")
    third = decided(second.party, household(tags=tags), subscriber(**on), setting=setting)
    assert [step.payload["list_ids"] for step in third.steps] == [[f"{kind}01"]]


def test_who_left_a_list_after_the_lists_were_read_waits_for_them() -> None:
    on, off = subscriber(lists=("L1",)), subscriber(lists=(), read_at=200.0)
    crm = household(tags=("CC: News",))
    known = paired(crm, on)
    waits = decide(known, readings(crm, off, labels_at=150.0), SETTING)
    assert waits.labels_are_old and waits.steps == ()
    assert person(waits.party).lists == ("L1",)
    goes = decide(waits.party, readings(crm, off, labels_at=250.0), SETTING)
    assert not goes.labels_are_old and [step.kind for step in goes.steps] == ["remove_tag"]
