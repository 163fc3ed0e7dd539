"""Who is this person in the CRM? Proof or nothing."""

from dataclasses import replace

import pytest

from keepstep.model.answers import said_of
from keepstep.model.contact import CrmContact
from keepstep.model.decide import decide
from keepstep.model.match import Match, confirm, match
from keepstep.model.party import Answer
from tests.model.people import SETTING, SOURCE, household, individual, mail, party, person, readings, subscriber

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
    assert confirm(both, SOURCE, unnamed, ("ann@example.org",)).reason == "several_people"
    initial = replace(ANN, first_name="B")
    assert confirm(both, SOURCE, initial, ("ann@example.org",)).individual == spouse


def test_a_reference_that_is_gone_proves_nothing() -> None:
    assert confirm(STRANGERS, SOURCE, ANN, ("ann@example.org",)).reason == "reference_gone"


def test_an_address_and_a_name_are_the_same_person_to_be_linked() -> None:
    answer = match(ANN, [STRANGERS], SOURCE, {})
    assert replace(answer, compared=()) == Match("same_person", crm=STRANGERS, individual=STRANGERS.individuals[0])
    [meant] = answer.compared
    assert (meant.contact, meant.individual, meant.why_not) == ("900", "ia", ())
    assert meant.evidence == ("address_exact", "name_equal", "mobile")


def test_a_missing_name_does_not_speak_against_it() -> None:
    assert found(household(individual("a", first_name=None), references=()))[0] == "same_person"


@pytest.mark.parametrize(
    ("candidates", "taken", "answer"),
    [
        ((), {}, ("nobody", "")),
        ((replace(HERS, merged_into="901"),), {}, ("parked", "survivor_unknown")),
        ((replace(HERS, merged_into="901"), household(individual("b"), record_id="901")), {}, ("nobody", "")),
        ((replace(STRANGERS, archived=True), replace(STRANGERS, record_id="901")), {}, ("same_person", "")),
        ((household(individual("a", deceased=True), references=()),), {}, ("parked", "deceased")),
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


def test_of_many_candidates_the_likeliest_are_kept_and_the_others_counted() -> None:
    others = [individual("b", methods=(), last_name=f"Roe{n}") for n in range(14)]
    crowd = household(
        *(replace(one, record_id=f"i{n}") for n, one in enumerate(others)), individual("a"), references=()
    )
    linked = decide(party("a", crm_id=None), readings(None, ANN, candidates={"a": (crowd,)}), SETTING)
    [note] = linked.notes
    assert (note.kind, note.data["individual"], note.data["more"]) == ("matched", "ia", 3)
    assert person(linked.party).compared[0].individual == "ia"
    again = decide(linked.party, readings(None, ANN, candidates={"a": (crowd,)}), SETTING)
    assert (again.notes, again.party) == ((), linked.party)


def test_a_question_is_told_once_and_again_when_there_is_something_new() -> None:
    other = household(individual("a", last_name="Roe"), references=())
    asked = decide(party("a", crm_id=None), readings(None, ANN, candidates={"a": (other,)}), SETTING)
    [note] = asked.notes
    assert (note.kind, note.data["reason"]) == ("compared", "name_differs")
    assert note.data["candidates"][0]["why_not"] == ["name_differs"]
    found = {"a": (other, replace(other, record_id="901"))}
    later = decide(asked.party, readings(None, ANN, candidates=found), SETTING)
    assert [len(one.data["candidates"]) for one in later.notes] == [2]


def test_an_address_that_only_the_creation_named_says_so() -> None:
    [row] = confirm(HERS, SOURCE, replace(ANN, email="new@example.org"), ("ann@example.org",)).compared
    assert row.evidence == ("reference", "address_sent", "name_equal", "mobile")


def test_a_death_is_outweighed_by_a_persons_word_and_an_archived_contact_is_not() -> None:
    died = household(individual("a", deceased=True), references=())
    asked = match(ANN, [died], SOURCE, {})
    said = Answer(kind="same", at=1.0, by="olga", individuals=("ia",))
    assert said_of(said, asked).verdict == "same_person"
    assert said_of(replace(said, kind="leave"), asked) == asked
    assert match(ANN, [replace(died, archived=True)], SOURCE, {}).reason == "archived"
