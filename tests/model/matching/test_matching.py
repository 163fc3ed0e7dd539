"""The corpus: every label holds, nobody is linked to somebody else, and few are asked about or doubled."""

from collections import Counter
from dataclasses import replace

import pytest

from keepstep.model.likeness import POINTS, evidence, score
from keepstep.model.match import ALIKE, PROVEN
from tests.model.matching.corpus import SOURCE, Case, cases
from tests.model.matching.measure import tally, whole

ALL = cases()


@pytest.mark.parametrize("family", sorted({case.family for case in ALL}))
def test_every_case_is_settled_as_its_label_says(family: str) -> None:
    mine = [case for case in ALL if case.family == family]
    assert [(case.line, case.found()) for case in mine] == [(case.line, (case.todo, case.to)) for case in mine]


def test_the_corpus_is_large_and_has_every_kind_of_end() -> None:
    assert len(ALL) >= 300
    ends = Counter(case.todo if case.todo != "park" else case.to for case in ALL)
    reasons = {"name_differs", "several_matches", "several_people", "several_references", "reference_without_address"}
    assert {"link", "create", "wait", "archived", "deceased", "survivor_unknown", *reasons} == set(ends)
    assert min(ends.values()) >= 4


def test_nobody_is_linked_to_somebody_else() -> None:
    wrong = [case.line for case in ALL if case.found()[0] == "link" and case.found()[1] != case.truth]
    assert wrong == []
    assert whole().link_precision == 1.0


def test_most_who_are_there_are_linked_and_hardly_anybody_is_created_twice() -> None:
    """Measured; what may be lost by a change is nothing. The duplicates are the known limits of a look-up by
    address: dots, plus signs, and a number or a house alone."""
    found = whole()
    assert found.link_recall >= 0.648
    assert found.duplicates <= 4
    assert found.creation_precision >= 0.84
    assert found.creation_recall >= 0.2


def test_a_duplicate_is_made_only_where_the_address_is_another_one() -> None:
    twice = [case for case in ALL if case.found()[0] == "create" and case.truth is not None]
    assert {case.family for case in twice} == {"the_address_itself", "phone_or_house_only"}


# --- whatever the corpus holds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.line)
def test_every_verdict_is_explained_and_the_order_of_candidates_changes_nothing(case: Case) -> None:
    answer = case.match()
    shown = {(row.contact, row.individual) for row in answer.compared}
    assert shown == {(crm.record_id, one.record_id) for crm in case.candidates for one in crm.individuals}
    turned = replace(case, candidates=case.candidates[::-1])
    assert turned.found() == case.found()
    assert turned.match().compared == answer.compared
    others = answer.compared[1:] if answer.individual else answer.compared
    assert [row.score for row in others] == sorted((row.score for row in others), reverse=True)


def test_no_link_rests_on_the_score() -> None:
    """Whoever is linked has the address, and our reference or a name that proves; nobody is linked for points."""
    for case in ALL:
        answer = case.match()
        if answer.individual:
            words = set(answer.compared[0].evidence)
            assert words & {"address_exact", "address_canonical"}, case.line
            assert "reference" in words or words & set(PROVEN) or (words & set(ALIKE) and "mobile" in words), case.line


def test_somebody_with_everything_but_the_address_has_many_points_and_no_link() -> None:
    [case] = [case for case in ALL if case.family == "phone_or_house_only" and "m:202-555-0119" in case.line]
    [crm] = case.candidates
    words = evidence(case.contact, crm, crm.individuals[0], SOURCE)
    assert (words, score(words)) == (("name_equal", "mobile"), 28)
    assert case.found() == ("create", "")
    assert all(word in POINTS for case in ALL for row in case.match().compared for word in row.evidence)


def test_a_wrong_link_would_be_counted() -> None:
    case = next(case for case in ALL if case.todo == "link")
    assert tally([replace(case, truth=None)]).wrong == 1
    assert tally([replace(case, truth="9.9")]).link_precision == 0.0
