"""Every story that was kept is played again: with its bug it breaks what it broke, without it nothing."""

import pytest

from keepstep_simulator import shrink, story
from keepstep_simulator.script import SETTING
from tests.simulator import stories
from tests.simulator.stories import Stored

MOST_EVENTS = 15
STORED = stories.read()
WITH_BUG = [one for one in STORED if one.bug]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "MOST_FACTS", stories.MOST_FACTS)


@pytest.mark.parametrize("stored", WITH_BUG, ids=lambda one: one.name)
def test_with_its_bug_a_story_breaks_what_it_broke(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that it is made of happens, or it would be another story."""
    stored.plant(monkeypatch)
    outcome = shrink.retold(stored.seed, stored.made(), frozenset(stored.only))
    assert stored.invariant in {one.invariant for one in outcome.violations}
    assert set(outcome.script.played) == set(stored.only)
    assert sum(one.event for one in outcome.script.played.values()) <= MOST_EVENTS


@pytest.mark.parametrize("stored", STORED, ids=lambda one: one.name)
def test_without_the_bug_it_breaks_nothing(stored: Stored) -> None:
    outcome = shrink.retold(stored.seed, stored.made(), frozenset(stored.only))
    assert outcome.violations == (), f"seed {stored.seed}, only {stored.only}"


@pytest.mark.parametrize("stored", WITH_BUG, ids=lambda one: one.name)
def test_none_of_its_events_can_be_left_out(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the story would tell of things that have nothing to do with the bug."""
    stored.plant(monkeypatch)
    for label in [label for label in stored.only if label.partition(" ")[0] not in SETTING]:
        less = shrink.retold(stored.seed, stored.made(), frozenset(stored.only) - {label})
        assert stored.invariant not in {one.invariant for one in less.violations}, label


def test_there_are_stories() -> None:
    """Each under the name that its content gives it."""
    assert len(WITH_BUG) >= 6
    assert {path.stem for path in stories.FOLDER.glob("*.json")} == {one.name for one in STORED}
