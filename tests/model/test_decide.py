"""People who are not in the CRM yet, creations on their way, and how a decision is put together."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.contact import Address, AudienceContact, Consent, CrmContact, Phone
from keepstep.model.customer import Policy
from keepstep.model.decide import Decision, decide, needs_look_up
from keepstep.model.party import Party, Person, Submission
from keepstep.model.settle import refused, settle, submitted, withdrawn
from tests.model.people import (
    HOME,
    SETTING,
    decided,
    household,
    individual,
    kinds,
    mail,
    number,
    paired,
    party,
    person,
    readings,
    subscriber,
)

ANN = subscriber("a", lists=("L1",), addresses=(replace(HOME, record_id=None),))
HERS = household(individual("a"), address=HOME, tags=("CC: News",))
NEW = party("a", crm_id=None)
OUT: dict[str, Any] = {"consent": Consent.opted_out, "lists": None, "read_at": 150.0}
LEAVE_OUT = replace(SETTING, policy=Policy(opted_out_people="leave_out"))


def looked_up(
    known: Party, contact: AudienceContact, *candidates: CrmContact, crm: CrmContact | None = None, **changed: Any
) -> Decision:
    found = readings(crm, contact, candidates={contact.record_id: candidates}, **changed)
    return decide(known, found, SETTING)


# --- who is looked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"deleted": True}, "deleted"),
        ({"email": None}, "no_email"),
        ({"consent": Consent.not_mailable}, "not_mailable"),
        ({"consent": Consent.unknown}, "not_mailable"),
    ],
)
def test_who_cannot_be_mailed_is_left_out_by_rule(changed: dict[str, Any], reason: str) -> None:
    contact = replace(ANN, **changed)
    assert not needs_look_up(person(NEW), contact, Policy())
    decision = looked_up(NEW, contact)
    assert decision.steps == ()
    assert (person(decision.party).standing, person(decision.party).reason) == ("left_out", reason)


def test_the_routes_own_policy_says_whether_opted_out_people_are_created() -> None:
    gone = replace(ANN, **OUT)
    assert needs_look_up(person(NEW), gone, Policy())
    assert not needs_look_up(person(NEW), gone, LEAVE_OUT.policy)
    decision = decide(NEW, readings(None, gone), LEAVE_OUT)
    assert (person(decision.party).standing, person(decision.party).reason) == ("left_out", "opted_out")


def test_nobody_is_looked_for_twice_or_unread() -> None:
    assert needs_look_up(person(NEW), ANN, Policy())
    assert not needs_look_up(person(NEW), None, Policy())
    assert not needs_look_up(replace(person(NEW), individual="ia"), ANN, Policy())
    waits = Submission(state="waiting", since=1.0, sent={})
    assert not needs_look_up(replace(person(NEW), submission=waits), ANN, Policy())
    decision = decide(NEW, readings(None), SETTING)
    assert decision.steps == ()
    waiting = decide(NEW, readings(None, ANN), SETTING)
    assert (person(waiting.party).standing, person(waiting.party).reason) == ("pending", "look_up")


# --- creating and linking --------------------------------------------------------------------------------------------


def test_somebody_unknown_and_mailable_goes_by_import_with_everything_the_snapshot_has() -> None:
    (step,) = looked_up(NEW, ANN).steps
    assert (step.kind, step.group, step.target) == ("submit", "submit", "create:a")
    assert step.payload == {
        "record_id": "a",
        "first_name": "Ann",
        "last_name": "Lee",
        "email": "ann@example.org",
        "phone": {"kind": "mobile", "raw": ANN.phones[0].raw},
        "address": {
            "kind": "home",
            "street": "1 Elm St",
            "city": "Salem",
            "state": "MA",
            "postal": "01970",
            "country": "US",
        },
        "lists": ["L1"],
        "tags": ["CC: News"],
        "custom": {},
    }


def test_somebody_unknown_and_opted_out_is_made_directly_without_lists() -> None:
    (step,) = looked_up(NEW, subscriber("a", phones=(), **OUT)).steps
    assert (step.kind, step.payload["lists"], step.payload["tags"]) == ("create", [], [])
    assert (step.payload["phone"], step.payload["address"]) == (None, None)


def test_a_creation_is_settled_by_its_answer() -> None:
    decision = looked_up(NEW, replace(ANN, **OUT))
    answer = {"contact": "900", "individual": "ia", "email_method": "ma", "phone_method": "pa"}
    known = settle(decision.party, decision.steps[0], answer)
    closed = household(individual("a", opted_in=False), address=HOME)
    assert decided(known, closed, replace(ANN, **OUT)).steps == ()
    back = decided(known, closed, replace(ANN, read_at=300.0, opt_in_at=200.0))
    assert kinds(back) == ["set_consent", "add_tag"]


def test_a_creation_whose_answer_is_short_is_found_by_the_next_reading() -> None:
    decision = looked_up(NEW, replace(ANN, **OUT))
    assert settle(decision.party, decision.steps[0], {"contact": "900"}).crm_id == "900"
    assert settle(decision.party, decision.steps[0], {}).crm_id is None


def test_nobody_who_was_out_and_is_back_without_an_own_act_is_imported() -> None:
    known = looked_up(NEW, replace(ANN, **OUT)).party
    decision = looked_up(known, replace(ANN, read_at=300.0, opt_in_source="Account", opt_in_at=250.0))
    assert decision.steps == ()
    assert person(decision.party).reason == "back_without_own_act"


def test_the_same_person_is_linked_and_paired_by_the_next_reading() -> None:
    decision = looked_up(NEW, ANN, replace(HERS, references=()))
    assert [(step.kind, step.target) for step in decision.steps] == [("link", "link:a")]
    known = settle(decision.party, decision.steps[0], {})
    assert known.crm_id == "900"
    linked = decided(known, HERS, ANN)
    assert linked.steps == ()
    assert (person(linked.party).individual, person(linked.party).email_method) == ("ia", "ma")


def test_two_new_people_of_one_party_are_two_steps() -> None:
    both = replace(NEW, people=(Person(record_id="b"), Person(record_id="a")))
    found = readings(None, ANN, subscriber("b"), candidates={"a": (), "b": ()})
    decision = decide(both, found, SETTING)
    assert [step.target for step in decision.steps] == ["create:a", "create:b"]
    assert [one.record_id for one in decision.party.people] == ["b", "a"]


@pytest.mark.parametrize(
    ("candidates", "held", "reason"),
    [
        ((household(individual("a", last_name="Roe"), references=()),), {}, "name_differs"),
        ((replace(HERS, references=()),), {"ia": "other"}, "address_held"),
        ((), {"submission": "other"}, "address_held"),
    ],
)
def test_what_is_not_proved_is_parked_with_its_reason(
    candidates: tuple[CrmContact, ...], held: dict[str, str], reason: str
) -> None:
    decision = looked_up(NEW, ANN, *candidates, held=held)
    assert decision.steps == ()
    assert (person(decision.party).standing, person(decision.party).reason) == ("parked", reason)


def test_a_member_of_a_linked_household_is_neither_created_nor_linked_elsewhere() -> None:
    known = paired(household(individual("b")), subscriber("b"))
    known = replace(known, people=(*known.people, Person(record_id="a")))
    crm, bob = household(individual("b")), subscriber("b")
    for candidates, reason in (
        ((), "not_in_household"),
        ((replace(HERS, record_id="901", references=()),), "other_household"),
        ((replace(HERS, record_id="901"),), "other_household"),
    ):
        found = readings(crm, ANN, bob, candidates={"a": candidates})
        decision = decide(known, found, SETTING)
        assert decision.steps == ()
        assert person(decision.party).reason == reason


def test_one_individual_is_one_person() -> None:
    shared = individual("a", methods=(mail("ma", "ann@example.org"), mail("mb", "bob@example.org")))
    crm = replace(household(shared), references=(("Constant Contact", "a"), ("Constant Contact", "b")))
    decision = decided(party("a", "b"), crm, subscriber("a"), subscriber("b"))
    assert [one.individual for one in decision.party.people] == ["ia", None]
    assert person(decision.party, "b").reason == "individual_held"


@pytest.mark.parametrize(("changed", "reason"), [({"merged_into": "901"}, "merged"), ({"archived": True}, "archived")])
def test_nobody_is_linked_to_a_contact_that_is_merged_or_archived(changed: dict[str, Any], reason: str) -> None:
    decision = decided(party("a"), replace(HERS, **changed), ANN)
    assert decision.steps == ()
    assert (person(decision.party).individual, person(decision.party).reason) == (None, reason)


# --- while an import is on its way -----------------------------------------------------------------------------------


def waiting(contact: AudienceContact = ANN) -> Party:
    decision = looked_up(NEW, contact)
    return submitted(decision.party, decision.steps[0], "waiting", 100.0)


def imported(opted_in: bool = False, **changed: Any) -> CrmContact:
    return replace(household(individual("a", opted_in=opted_in), address=HOME, tags=("CC: News",)), **changed)


def test_while_it_waits_nothing_else_creates_the_person() -> None:
    decision = looked_up(waiting(), replace(ANN, first_name="Anna"))
    assert decision.steps == ()
    assert person(decision.party).reason == "submission_waiting"
    again = submitted(decision.party, looked_up(NEW, ANN).steps[0], "unknown", 500.0)
    assert person(again).submission == Submission(
        state="unknown", since=100.0, sent=looked_up(NEW, ANN).steps[0].payload
    )


def test_a_creation_that_certainly_did_not_happen_may_be_made_again() -> None:
    step = looked_up(NEW, ANN).steps[0]
    assert kinds(looked_up(withdrawn(waiting(), step), ANN)) == ["submit"]


@pytest.mark.parametrize(
    ("changed", "kinds_wanted"),
    [
        ({"first_name": "Anna"}, ["submit"]),
        ({"consent": Consent.not_mailable}, []),
        ({"deleted": True, "lists": None}, []),
    ],
)
def test_one_that_never_arrived_goes_again_word_for_word_while_the_person_may_be_mailed(
    changed: dict[str, Any], kinds_wanted: list[str]
) -> None:
    step = looked_up(NEW, ANN).steps[0]
    known = submitted(looked_up(NEW, ANN).party, step, "again", 100.0)
    decision = decided(known, None, replace(ANN, **changed))
    assert kinds(decision) == kinds_wanted
    assert [one.payload for one in decision.steps] == [step.payload] * len(kinds_wanted)
    assert bool(person(decision.party).submission) is bool(kinds_wanted)


@pytest.mark.parametrize("policy", ["create", "leave_out"])
def test_of_whoever_opted_out_one_that_may_have_arrived_is_waited_for_and_nothing_is_created_beside_it(
    policy: Any,
) -> None:
    step = looked_up(NEW, ANN).steps[0]
    known = submitted(looked_up(NEW, ANN).party, step, "again", 100.0)
    setting = replace(SETTING, policy=replace(SETTING.policy, opted_out_people=policy))
    decision = decided(known, None, replace(ANN, **OUT), setting=setting)
    ann, waits = person(decision.party), policy == "create"
    assert decision.steps == () and ann.standing == ("pending" if waits else "left_out")
    assert (ann.submission.state if ann.submission else None) == ("waiting" if waits else None)


def test_nobody_goes_again_who_was_out_meanwhile_and_is_back_without_an_own_act() -> None:
    step = looked_up(NEW, ANN).steps[0]
    known = submitted(looked_up(NEW, ANN).party, step, "waiting", 100.0)
    known = decided(known, None, replace(ANN, **OUT)).party
    known = submitted(known, step, "again", 100.0)
    back = replace(ANN, read_at=300.0, opt_in_source="Account", opt_in_at=250.0)
    assert decided(known, None, back).steps == ()


def test_confirmed_as_sent_it_is_in_step_with_its_default_consent_left_alone() -> None:
    found = settle(waiting(), looked_up(NEW, ANN).steps[0], {"contact": "900"})
    decision = decided(found, imported(), ANN)
    assert decision.steps == ()
    ann = person(decision.party)
    assert (ann.standing, ann.submission, ann.imported, ann.acts[-1].kind) == ("in_step", None, True, "default")


def test_an_edit_of_the_person_before_confirmation_crosses_after_it() -> None:
    moved = replace(ANN, first_name="Anna", email="new@example.org")
    steps = {step.kind: step.payload for step in decided(waiting(), imported(), moved).steps}
    assert set(steps) == {"set_person", "set_email"}
    assert steps["set_email"]["was"] == "ann@example.org"


def test_an_edit_of_staff_right_after_the_batch_survives() -> None:
    crm = replace(imported(), individuals=(individual("a", opted_in=False, first_name="Annie"),))
    decision = decided(waiting(), crm, ANN)
    assert decision.steps == ()
    assert decided(decision.party, crm, ANN).steps == ()


def test_a_tag_taken_off_by_staff_right_after_the_batch_survives() -> None:
    assert kinds(decided(waiting(), imported(tags=()), ANN)) == ["leave"]


def test_a_list_left_while_waiting_loses_its_tag_and_is_not_joined_again() -> None:
    off = replace(ANN, lists=())
    decision = decided(waiting(), imported(), off)
    assert kinds(decision) == ["remove_tag"]
    known = settle(decision.party, decision.steps[0], {})
    assert decided(known, imported(tags=()), off).steps == ()


def test_a_list_joined_while_waiting_brings_its_tag() -> None:
    decision = decided(waiting(), imported(), replace(ANN, lists=("L1", "L2")))
    assert [(step.kind, step.payload["list_id"]) for step in decision.steps] == [("add_tag", "L2")]


def test_an_opt_out_while_waiting_closes_the_method_on_confirmation() -> None:
    gone = replace(ANN, **OUT)
    before = looked_up(waiting(), gone)
    assert before.steps == ()
    steps = decided(before.party, imported(opted_in=True), gone).steps
    assert [(step.kind, step.payload["opted_in"]) for step in steps] == [("set_consent", False)]


def test_a_fuzzy_merge_into_the_spouse_is_parked() -> None:
    spouse = replace(household(individual("b")), references=(("Constant Contact", "a"),))
    decision = decided(waiting(), spouse, ANN)
    assert decision.steps == ()
    assert person(decision.party).reason == "reference_without_address"


def test_a_phone_withheld_from_the_import_is_written_after_it() -> None:
    step = looked_up(NEW, ANN).steps[0]
    step = replace(step, payload={**step.payload, "phone": None})
    known = submitted(looked_up(NEW, ANN).party, step, "waiting", 100.0)
    bare = replace(imported(), individuals=(individual("a", methods=(mail("ma", "ann@example.org", False),)),))
    assert kinds(decided(known, bare, ANN)) == ["set_phone"]


# --- after a merge ---------------------------------------------------------------------------------------------------


def test_a_person_whose_individual_has_another_id_after_a_merge_is_found_by_the_same_proof() -> None:
    survivor = household(replace(individual("a"), record_id="i7", methods=(mail("m7", "ann@example.org"),)))
    survivor = replace(survivor, references=(("Constant Contact", "a"),))
    decision = decided(paired(HERS, ANN), survivor, ANN)
    assert (person(decision.party).individual, person(decision.party).email_method) == ("i7", "m7")


def test_but_not_in_somebody_elses_place() -> None:
    known = paired(household(individual("a"), individual("b")), subscriber("a"), subscriber("b"))
    bob = individual("b", methods=(mail("mb", "bob@example.org"), mail("mx", "ann@example.org")))
    crm = replace(household(bob), references=(("Constant Contact", "a"), ("Constant Contact", "b")))
    decision = decided(known, crm, subscriber("a"), subscriber("b"))
    assert person(decision.party).reason == "individual_gone"


# --- put together ----------------------------------------------------------------------------------------------------


def test_a_step_that_the_vendor_refused_is_not_asked_for_in_the_same_words() -> None:
    changed = replace(ANN, first_name="Anna")
    decision = decided(paired(HERS, ANN), HERS, changed)
    known = refused(decision.party, decision.steps[0])
    parked = decided(known, HERS, changed)
    assert parked.steps == ()
    assert (person(parked.party).standing, person(parked.party).reason) == ("parked", "refused_by_vendor")
    other = decided(parked.party, HERS, replace(ANN, first_name="Annie"))
    assert kinds(other) == ["set_person"]
    assert person(settle(other.party, other.steps[0], {})).refused == ()
    undone = decided(parked.party, HERS, ANN)
    assert person(undone.party).standing == "in_step"


def test_while_a_step_waits_the_person_is_pending() -> None:
    decision = decided(paired(HERS, ANN), HERS, replace(ANN, first_name="Anna"))
    assert (person(decision.party).standing, person(decision.party).reason) == ("pending", "step_waiting")


def test_two_people_who_want_the_same_write_make_one_step() -> None:
    """Both are out, and a stale method of Bob's carries Ann's address."""
    crm = household(individual("a"), individual("b", methods=(mail("mb", "bob@example.org"),)))
    known = paired(crm, subscriber("a"), subscriber("b"))
    shared = household(individual("a"), individual("b", methods=(mail("mb", "ann@example.org"),)))
    steps = decided(known, shared, *(replace(subscriber(one), **OUT) for one in ("a", "b"))).steps
    assert sorted(step.target for step in steps) == ["consent:ma", "consent:mb"]


def test_a_step_for_nobody_known_changes_nothing() -> None:
    known = paired(HERS, ANN)
    step = replace(looked_up(NEW, ANN).steps[0], member="nobody")
    for after in (
        submitted(known, step, "waiting", 1.0),
        withdrawn(known, step),
        refused(known, step),
        settle(known, step, {}),
        settle(known, replace(step, member=None), {}),
    ):
        assert after == known


def test_a_written_record_is_to_be_read_again() -> None:
    decision = decided(paired(HERS, ANN), HERS, replace(ANN, first_name="Anna"))
    assert settle(decision.party, decision.steps[0], {}).reread
    off = decided(paired(HERS, ANN), replace(HERS, tags=()), ANN)
    settled = settle(off.party, off.steps[0], {})
    assert (settled.reread, person(settled).reread) == (False, True)


def test_phones_of_an_unknown_kind_come_last_and_addresses_are_taken_as_given() -> None:
    contact = subscriber(
        "a",
        phones=(Phone("fax", "617 253 1111"), Phone("work", "617 253 2222")),
        addresses=(Address(kind="work", street="5 Dock"),),
    )
    payload = looked_up(NEW, contact).steps[0].payload
    assert payload["phone"] == {"kind": "work", "raw": "617 253 2222"}
    assert payload["address"]["kind"] == "work"


def test_an_edit_made_before_an_opt_out_is_no_later_than_staffs_edit_during_it() -> None:
    """The reading of somebody who is out says nothing of phones: who was first, nobody can tell, and the owner wins."""
    phones = (Phone("mobile", "(617) 253-2222"),)
    known = paired(household(individual("a")), ANN)
    theirs = household(individual("a", methods=(mail("ma", "ann@example.org"), number("pa", "(617) 253-3333"))))
    known = decided(known, replace(theirs, read_at=120.0), ANN).party
    out = replace(ANN, **OUT, phones=phones, previous_at=100.0)
    known = decided(known, replace(theirs, read_at=120.0), out).party
    back = replace(ANN, phones=phones, read_at=300.0, previous_at=150.0, opt_in_at=250.0)
    decision = decided(known, replace(theirs, read_at=120.0), back)
    assert "set_phone" not in kinds(decision)
    assert [note.kind for note in decision.notes if note.data.get("field") == "phone"] == ["conflict"]
