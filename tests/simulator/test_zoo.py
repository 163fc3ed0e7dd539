"""The zoo: enough of it, each mistake at a place of its own, one for every checker; its table is what was played."""

from collections import Counter
from typing import Any

import pytest

from docs import simulated
from keepstep.model import decide
from keepstep_simulator import story
from keepstep_simulator.invariants import INVARIANTS
from keepstep_simulator.twins import TWINS
from tests.zoo import ZOO, classics, evaluating, recipes
from tests.zoo.evaluating import Hunt
from tests.zoo.planting import SEEDS, Planted

ENOUGH = 60
BY_NAME = {one.name: one for one in ZOO}
# Found in the first seed or two by different checkers: the whole zoo is played by `./run simulate zoo`.
AT_ONCE = ("effects.sent_before_it_is_meant", "reading.wall_clock_mark", "reading.no_include")


def test_there_are_enough_under_names_of_their_own() -> None:
    assert len(ZOO) >= ENOUGH
    assert len(BY_NAME) == len(ZOO)
    assert all(len(one.says) > 20 for one in ZOO)


def test_each_patches_another_site_of_the_product() -> None:
    sites = Counter(one.sites for one in ZOO)
    assert [sorted(site) for site, count in sites.items() if count > 1] == []
    outside = [one.name for one in ZOO if not any(site.startswith("keepstep.") for site in one.sites)]
    assert outside == []


def test_every_checker_that_is_at_work_has_a_mistake_to_find() -> None:
    at_work = {one.id for one in INVARIANTS if one.check is not None} | {one.id for one in TWINS}
    assert {name for one in ZOO for name in one.invariants} == at_work


def test_the_recipes_traps_and_the_classics_are_in_it() -> None:
    assert set(recipes.TRAPS.values()) | set(classics.CLASSICS.values()) <= set(BY_NAME)


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_mistake_is_found(name: str) -> None:
    found = evaluating.hunt(Hunt(name, 6))
    assert evaluating.fine(found), found


def spins(patch: pytest.MonkeyPatch) -> None:
    """A mistake that writes without end."""
    right = story.Story.tell

    def tell(self: Any, *given: Any, **data: Any) -> Any:
        told = right(self, *given, **data)
        while told.kind == "TX":
            right(self, *given, **data)
        return told

    patch.setattr(story.Story, "tell", tell)


def misfit(patch: pytest.MonkeyPatch) -> None:
    """A mistake that does not fit the product any more."""
    patch.setattr(decide, "returned", lambda: None)


def test_a_mistake_that_goes_on_for_ever_comes_to_an_end() -> None:
    found, _ = evaluating.played(Planted(spins, ("alive",)), 0)
    assert "alive" in {one.invariant for one in found}


def test_a_mistake_that_does_not_fit_any_more_says_so() -> None:
    _, broken = evaluating.played(Planted(misfit, ("I10",)), 0)
    assert broken


def test_what_breaks_without_the_mistake_is_not_its_doing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake in a mistake's place does nothing, and a checker that always speaks is believed nothing."""
    monkeypatch.setattr(evaluating, "registry", lambda: {"nothing": Planted(lambda _patch: None, ())})
    monkeypatch.setattr("keepstep_simulator.run.checked", lambda _story: ((story.Violation("I5", 0, "so"),), {"I5": 1}))
    assert evaluating.hunt(Hunt("nothing", 1))["spoke"] == []


# --- the table ---


def test_the_table_is_of_this_zoo_and_everything_in_it_was_found() -> None:
    zoo = simulated.read("zoo")
    played = [one["name"] for one in zoo["plants"]]
    assert played == list(BY_NAME), "./run simulate zoo --json > docs/reference/zoo.json"
    for one in zoo["plants"]:
        assert one["says"] == BY_NAME[one["name"]].says
        assert one["expected"] == list(BY_NAME[one["name"]].invariants)
        assert evaluating.fine(one), one["name"]
        assert one["seeds"] <= SEEDS


def test_the_table_of_invariants_is_of_these() -> None:
    night = simulated.read("night")
    pairs = {one.id for one in TWINS}
    told = [(one["id"], one["says"], one.get("waits", "")) for one in night["invariants"]]
    known = [(one.id, one.says, "" if one.id in pairs else one.waits) for one in INVARIANTS]
    assert told == known, "./run simulate night --json > docs/reference/night.json"
