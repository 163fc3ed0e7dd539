"""What changed on one side crosses; the owner wins; what is empty, unmapped or not read stays."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.canonical import FIELDS
from keepstep.model.change import Step
from keepstep.model.contact import Address, AudienceContact, Consent, CrmContact, Phone
from keepstep.model.party import Party
from keepstep.model.settle import settle
from tests.model.people import HOME, decided, household, individual, mail, number, paired, person, subscriber

PLACE = replace(HOME, record_id=None)
ANN = subscriber("a", addresses=(PLACE,))
HERS = household(individual("a"), address=HOME)


def wanted(known: Party, crm: CrmContact, *contacts: AudienceContact) -> dict[str, Step]:
    return {step.kind: step for step in decided(known, crm, *contacts).steps}


def crm_with(**changed: Any) -> CrmContact:
    return replace(HERS, individuals=(individual("a", **changed),))


def test_both_sides_alike_want_nothing() -> None:
    assert wanted(paired(HERS, ANN), HERS, ANN) == {}


@pytest.mark.parametrize(
    ("changed", "kind", "says"),
    [
        ({"first_name": "Anna"}, "set_person", {"first_name": "Anna", "last_name": None}),
        ({"last_name": "Roe"}, "set_person", {"first_name": None, "last_name": "Roe"}),
        (
            {"email": "new@example.org"},
            "set_email",
            {"method": "ma", "value": "new@example.org", "was": "ann@example.org"},
        ),
        (
            {"phones": (Phone("home", "617 253 9999"),)},
            "set_phone",
            {"method": "pa", "kind": "home", "value": "617 253 9999"},
        ),
        (
            {"addresses": (replace(PLACE, street="2 Oak"),)},
            "set_address",
            {"address": "801", "kind": "home", "street": "2 Oak"},
        ),
    ],
)
def test_a_change_of_the_person_crosses_alone(changed: dict[str, Any], kind: str, says: dict[str, Any]) -> None:
    steps = wanted(paired(HERS, ANN), HERS, replace(ANN, **changed))
    assert list(steps) == [kind]
    assert says.items() <= steps[kind].payload.items()
    assert steps[kind].payload["contact"] == "900"


def test_the_writes_own_answer_becomes_seen() -> None:
    moved = replace(ANN, phones=(Phone("home", "617 253 9999"),))
    decision = decided(paired(HERS, ANN), HERS, moved)
    known = settle(decision.party, decision.steps[0], {"value": "6172539999", "method": "pa"})
    written = crm_with(methods=(mail("ma", "ann@example.org"), number("pa", "6172539999")))
    assert wanted(known, written, moved) == {}
    assert (person(known).crm or {})["phone"] == "6172539999"


def test_a_write_leaves_the_base_of_every_other_field() -> None:
    changed = replace(ANN, first_name="Anna")
    decision = decided(paired(HERS, ANN), HERS, changed)
    known = person(settle(decision.party, decision.steps[0], {}))
    assert (known.audience or {})["last_name"] == (known.crm or {})["last_name"] == "Lee"
    assert (known.audience or {})["first_name"] == (known.crm or {})["first_name"] == "Anna"


def test_an_address_becomes_seen_as_the_crm_wrote_it() -> None:
    moved = replace(ANN, addresses=(replace(PLACE, street="2 Oak"),))
    decision = decided(paired(HERS, ANN), HERS, moved)
    known = settle(decision.party, decision.steps[0], {"street": "2 Oak St"})
    assert wanted(known, replace(HERS, address=replace(HOME, street="2 Oak St")), moved) == {}


def test_a_change_of_staff_stays_and_is_not_written_back() -> None:
    known = paired(HERS, ANN)
    decision = decided(known, crm_with(first_name="Annie"), ANN)
    assert decision.steps == ()
    assert decision.notes == ()
    assert wanted(decision.party, crm_with(first_name="Annie"), ANN) == {}


def test_of_two_changes_the_owners_wins_and_the_other_is_journalled_once() -> None:
    decision = decided(paired(HERS, ANN), crm_with(first_name="Annie"), replace(ANN, first_name="Anna"))
    assert decision.steps == ()
    assert [(note.kind, dict(note.data)) for note in decision.notes] == [("conflict", {"field": "first_name"})]
    again = decided(decision.party, crm_with(first_name="Annie"), replace(ANN, first_name="Anna"))
    assert again.notes == ()


@pytest.mark.parametrize(("otherwise", "crosses"), [(150.0, False), (250.0, True), (None, True)])
def test_an_edit_that_may_be_older_than_one_of_staff_does_not_win_by_being_read_later(
    otherwise: float | None, crosses: bool
) -> None:
    """Staff's was seen at 200. The person's fell between `otherwise`, the last reading without it, and 300."""
    staffs = replace(crm_with(first_name="Annie"), read_at=200.0)
    known = decided(paired(HERS, ANN), staffs, ANN).party
    decision = decided(known, staffs, replace(ANN, first_name="Anna", read_at=300.0, previous_at=otherwise))
    assert [step.kind for step in decision.steps] == (["set_person"] if crosses else [])
    assert [note.kind for note in decision.notes] == ([] if crosses else ["conflict"])


def test_an_email_edited_in_the_crm_is_listed_and_never_crosses() -> None:
    typo = crm_with(methods=(mail("ma", "typo@example.org"), number("pa", ANN.phones[0].raw)))
    decision = decided(paired(HERS, ANN), typo, ANN)
    assert decision.steps == ()
    assert person(decision.party).reason == "email_edited_in_crm"
    steps = wanted(decision.party, typo, replace(ANN, email="new@example.org"))
    assert steps["set_email"].payload["was"] == "typo@example.org"


def test_a_clear_does_not_travel() -> None:
    bare = subscriber("a", first_name=None, last_name=None, phones=(), email=None)
    decision = decided(paired(HERS, ANN), HERS, bare)
    assert decision.steps == ()
    assert person(decision.party).standing == "in_step"


@pytest.mark.parametrize(
    "changed",
    [{"whole": False}, {"deleted": True}, {"consent": Consent.opted_out, "lists": None}],
)
def test_a_snapshot_without_an_opinion_changes_no_field(changed: dict[str, Any]) -> None:
    known = paired(HERS, ANN)
    decision = decided(known, HERS, replace(ANN, first_name="Anna", **changed))
    assert not [step for step in decision.steps if step.kind == "set_person"]
    assert person(decision.party).audience == person(known).audience


def test_at_first_pairing_what_is_empty_is_filled_and_what_differs_stays() -> None:
    crm = household(individual("a", first_name="Annie", last_name=None))
    decision = decided(Party(party_id="P"), None)
    assert decision.steps == ()
    steps = {step.kind: step for step in decided(paired_empty(), crm, ANN).steps}
    assert set(steps) == {"set_person", "set_address"}
    assert steps["set_person"].payload["first_name"] is None
    assert steps["set_person"].payload["last_name"] == "Lee"
    assert steps["set_address"].payload["address"] is None


def paired_empty() -> Party:
    known = paired(HERS, ANN)
    return known.with_person(replace(person(known), audience=None, crm=None))


def test_an_email_that_differs_where_there_is_no_base_is_the_audience_sides() -> None:
    other = crm_with(methods=(mail("ma", "old@example.org"), number("pa", ANN.phones[0].raw)))
    assert wanted(paired_empty(), other, ANN)["set_email"].payload["value"] == "ann@example.org"


# --- phones ----------------------------------------------------------------------------------------------------------


def phones(*methods: tuple[str, str]) -> CrmContact:
    return crm_with(methods=(mail("ma", "ann@example.org"), *(number(*one) for one in methods)))


def test_a_phone_deleted_by_staff_does_not_make_its_neighbour_ours() -> None:
    known = paired(phones(("pa", ANN.phones[0].raw), ("pw", "617 253 7777")), ANN)
    left = phones(("pw", "617 253 7777"))
    decision = decided(known, left, ANN)
    assert decision.steps == ()
    step = wanted(decision.party, left, replace(ANN, phones=(Phone("mobile", "617 253 5555"),)))["set_phone"]
    assert (step.payload["method"], step.payload["was"]) == (None, None)


def test_a_phone_is_found_by_its_number_now_or_before() -> None:
    known = paired(HERS, ANN)
    moved = phones(("px", ANN.phones[0].raw))
    assert person(decided(known, moved, ANN).party).phone_method == "px"
    called = replace(ANN, phones=(Phone("mobile", "617 253 5555"),))
    assert wanted(known, moved, called)["set_phone"].payload["method"] == "px"


def test_a_phone_added_by_us_is_known_by_the_answer() -> None:
    none = phones()
    known = paired(none, replace(ANN, phones=()))
    decision = decided(known, none, ANN)
    assert decision.steps[0].payload["method"] is None
    settled = settle(decision.party, decision.steps[0], {"value": ANN.phones[0].raw, "method": "pn"})
    assert person(settled).phone_method == "pn"
    assert wanted(settled, phones(("pn", ANN.phones[0].raw)), ANN) == {}


# --- one household, one address --------------------------------------------------------------------------------------

OAK = Address(street="2 Oak St", city="Salem", state="MA", postal="01970", country="US")
BOB = subscriber("b", addresses=(OAK,))
BOTH = household(individual("a"), individual("b"), address=HOME)


def test_household_fields_travel_with_the_primary_person_only() -> None:
    known = paired(BOTH, ANN, BOB)
    assert wanted(known, BOTH, ANN, replace(BOB, addresses=(replace(OAK, street="3 Ash"),))) == {}
    assert "set_address" in wanted(known, BOTH, replace(ANN, addresses=(OAK,)), BOB)


def test_another_member_fills_an_empty_address_once() -> None:
    bare = replace(BOTH, address=None)
    steps = decided(paired(bare, replace(ANN, addresses=()), BOB), bare, replace(ANN, addresses=()), BOB).steps
    assert [(step.kind, step.member) for step in steps] == [("set_address", "b")]


def test_two_who_would_fill_the_address_make_one_step_the_primary_ones() -> None:
    bare = replace(BOTH, address=None)
    steps = decided(paired(bare, ANN, BOB), bare, ANN, BOB).steps
    assert [(step.kind, step.member) for step in steps] == [("set_address", "a")]


def test_an_address_filled_for_a_household_yields_to_its_first_person_whoever_was_linked_first() -> None:
    bare = replace(BOTH, address=None)
    alone = decided(paired(bare, replace(BOB, addresses=())), bare, BOB)
    assert [(step.kind, step.member) for step in alone.steps] == [("set_address", "b")]
    filled = settle(alone.party, alone.steps[0], {})
    late = replace(person(paired(BOTH, ANN, BOB), "a"), audience=None, crm=None)
    both = replace(filled, people=(late, *filled.people))
    there = replace(BOTH, address=replace(OAK, record_id="ad"))
    assert wanted(both, there, ANN, BOB)["set_address"].payload["street"] == HOME.street
    assert "set_address" not in wanted(both, replace(BOTH, address=replace(OAK, street="9 Elm")), ANN, BOB)


def test_an_address_cleared_by_staff_is_not_filled_again_by_another_member() -> None:
    known = paired(BOTH, ANN, BOB)
    assert wanted(known, replace(BOTH, address=None), ANN, BOB) == {}


def test_an_address_cleared_by_staff_stays_so_in_every_later_decision() -> None:
    known, bare = paired(BOTH, ANN, BOB), replace(BOTH, address=None, read_at=200.0)
    for _ in range(3):
        known = decided(known, bare, ANN, BOB).party
    assert wanted(known, bare, ANN, BOB) == {}


def test_a_deleted_primary_person_speaks_for_nobody() -> None:
    known = paired(BOTH, ANN, BOB)
    gone = replace(ANN, deleted=True, read_at=200.0, lists=None, consent=Consent.not_mailable)
    known = decided(known, BOTH, gone, BOB).party
    assert "set_address" in wanted(known, BOTH, gone, replace(BOB, addresses=(replace(OAK, street="3 Ash"),)))


def test_payloads_carry_mapped_names_only() -> None:
    changed = replace(ANN, first_name="Anna", email="new@example.org", custom_fields=(("nick", "Nan"),))
    for step in decided(paired(HERS, ANN), HERS, changed).steps:
        assert set(step.payload) <= {"contact", "individual", "method", "value", "was", *FIELDS}
