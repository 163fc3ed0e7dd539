"""Pairs of runs of a seed: no difference where there must be none, and one where a mistake is planted."""

import pytest

from keepstep_simulator.story import Final, Story
from keepstep_simulator.twins import TWINS, Twin, Without, compared, effects, played, standing
from tests.simulator.invariants.telling import CUSTOMER, act, contact, eff, household, story
from tests.zoo import twins as zoo

BY_ID = {one.id: one for one in TWINS}
SEEDS_FOR_A_BUG = 12


def ended(audience: object, crm: object) -> Story:
    """A story that ends so."""
    return Story(final=Final(audience={CUSTOMER: [audience]}, crm={CUSTOMER: [crm]}))  # type: ignore[list-item]


def test_ids_and_moments_are_not_compared_and_everything_else_is() -> None:
    """What comes later gets another number; what is said is the same."""
    ana = contact("ana", "ana@example.org", updated_at="2026-03-02", list_memberships=["b", "a"])
    one = standing(ended(ana, household(7, "ana@example.org", "ana")), CUSTOMER)
    late = ana | {"updated_at": "2026-03-03", "list_memberships": ["a", "b"]}
    assert standing(ended(late, household(90, "ana@example.org", "ana")), CUSTOMER) == one
    assert standing(ended(ana | {"list_memberships": ["a"]}, household(7, "ana@example.org", "ana")), CUSTOMER) != one
    assert standing(ended(ana, household(7, "ana@example.org", "ana", opted_in=False)), CUSTOMER) != one


def test_effects_are_ours_and_counted() -> None:
    """What staff do is no effect of ours, and twice is not once."""
    once = effects(story(eff("method:1", "value", "a", "b")), CUSTOMER)
    assert effects(story(eff("method:9", "value", "x", "b"), act("1", "staff_opts")), CUSTOMER) == once
    assert effects(story(eff("method:1", "value", "a", "b", actor="staff")), CUSTOMER) != once
    assert effects(story(*[eff("method:1", "value", "a", "b")] * 2), CUSTOMER) != once


def test_labels_are_struck_out_by_their_first_word() -> None:
    """For a plan's `only`."""
    only = Without({"visitor"})
    assert "deed customer-0 3" in only and "visitor 1" not in only and "visitors" in only


@pytest.mark.parametrize("twin", TWINS, ids=lambda one: one.id)
def test_a_difference_that_must_make_none_makes_none(twin: Twin) -> None:
    """And it did strike."""
    struck = 0
    for seed in range(2):
        found, count = compared(twin, seed)
        assert found == [], found
        struck += count
    assert struck


def test_the_same_seed_twice_is_no_difference() -> None:
    """Or a pair would say nothing."""
    still = Twin("I3", "", lambda _sim: None, lambda sim: sim.customers, lambda _sim: 1, effects=True)
    assert compared(still, 3) == ([], 1)
    assert played(3).story.count("EFF") > 0


@pytest.mark.parametrize("plant", zoo.TWINS, ids=lambda one: str(one.__name__))
def test_a_planted_bug_makes_a_difference(plant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair that lets its bug through proves nothing when it is silent."""
    twin = BY_ID[zoo.TWINS[plant]]  # type: ignore[index]
    plant(monkeypatch)  # type: ignore[operator]
    assert any(compared(twin, seed)[0] for seed in range(SEEDS_FOR_A_BUG))
