"""Who is this person in the CRM? Proof or nothing."""

from dataclasses import replace

import pytest

from keepstep.model.contact import CrmContact
from keepstep.model.match import Match, confirm, match
from tests.model.people import SOURCE, household, individual, mail, subscriber

ANN = subscriber("a")
HERS = household(individual("a"))
STRANGERS = replace(HERS, references=())


def found(*candidates: CrmContact, **taken: str) -> tuple[str, str]:
    answer = match(ANN, candidates, SOURCE, taken)
    return answer.verdict, answer.reason


def test_reference_and_address_prove_it() -> None:
    assert confirm(HERS, SOURCE, ANN, ("ANN@example.org",)).individual == HERS.individuals[0]
    assert found(HERS) == ("confirmed", "")


def test_a_reference_alone_may_be_a_merge_into_the_spouse() -> None:
    assert confirm(HERS, SOURCE, ANN, ("other@example.org", None)).reason == "reference_without_address"


def test_of_two_who_share_the_address_the_one_of_the_name_is_the_person() -> None:
    """The spouse comes first; whatever is written for the person must not land there."""
    spouse = individual("b", methods=(mail("mb", "ann@example.org"),))
    both = household(spouse, individual("a"))
    assert confirm(both, SOURCE, ANN, ("ann@example.org",)).individual == both.individuals[1]
    unnamed = replace(ANN, first_name="Cay", last_name="Roe")
    assert confirm(both, SOURCE, unnamed, ("ann@example.org",)).individual == spouse


def test_a_reference_that_is_gone_proves_nothing() -> None:
    assert confirm(STRANGERS, SOURCE, ANN, ("ann@example.org",)).reason == "reference_gone"


def test_an_address_and_a_name_are_the_same_person_to_be_linked() -> None:
    answer = match(ANN, [STRANGERS], SOURCE, {})
    assert answer == Match("same_person", crm=STRANGERS, individual=STRANGERS.individuals[0])


def test_a_missing_name_does_not_speak_against_it() -> None:
    assert found(household(individual("a", first_name=None), references=()))[0] == "same_person"


@pytest.mark.parametrize(
    ("candidates", "taken", "answer"),
    [
        ((), {}, ("nobody", "")),
        ((replace(HERS, merged_into="901"),), {}, ("nobody", "")),
        ((replace(STRANGERS, archived=True),), {}, ("parked", "archived")),
        ((HERS, replace(HERS, record_id="901")), {}, ("parked", "several_references")),
        ((STRANGERS, replace(STRANGERS, record_id="901")), {}, ("parked", "several_matches")),
        ((household(individual("a", last_name="Roe"), references=()),), {}, ("parked", "name_differs")),
        (
            (household(individual("a"), replace(individual("a"), record_id="ix"), references=()),),
            {},
            ("parked", "several_people"),
        ),
        ((STRANGERS,), {"ia": "other"}, ("wait", "address_held")),
        ((STRANGERS,), {"ia": "a"}, ("same_person", "")),
        ((), {"submission": "other"}, ("wait", "address_held")),
        ((), {"submission": "a"}, ("nobody", "")),
        ((household(individual("b"), references=()),), {}, ("nobody", "")),
    ],
)
def test_whatever_proves_less_is_parked_or_waits(
    candidates: tuple[CrmContact, ...], taken: dict[str, str], answer: tuple[str, str]
) -> None:
    assert found(*candidates, **taken) == answer


def test_an_address_counts_on_any_email_method() -> None:
    second = replace(individual("a"), methods=(mail("m1", "old@example.org"), mail("m2", "ann@example.org")))
    assert found(household(second, references=()))[0] == "same_person"
