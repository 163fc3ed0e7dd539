"""The same household where staff's edits are written back, and a household that only the CRM has."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep.model.contact import CrmContact
from keepstep.model.customer import Policy
from keepstep.model.party import Party
from keepstep.model.toward import FIELDS as TRAVEL
from tests.model.people import SETTING, household, individual
from tests.model.test_household import BEGINNINGS, EVERYTHING, FIELDS, READS, holds, stories
from tests.model.world import Oracle, World, household_of_two

BACK = replace(SETTING, policy=Policy(fields_to_audience=TRAVEL))
CREATED = replace(BACK, policy=replace(BACK.policy, crm_only="create", permission_evidence="a form"))
ACTS = {name: act for name, act in EVERYTHING.items() if name not in READS} | {"sync": World.sync}


def same_names(world: World) -> None:
    """At rest both sides say the same of a name: whoever changed it last, it crosses one way or the other."""
    holds(world)
    for record_id, contact in world.audience.items():
        there = next(one for one in world.crm.individuals if one.record_id == f"i{record_id}")
        assert there.first_name == contact.first_name, world.story


def test_every_story_of_edits_that_cross_both_ways_comes_to_rest() -> None:
    told = 0
    for world in stories(household_of_two(BACK), FIELDS | {"sync": World.sync}, 3):
        same_names(world.branch())
        told += 1
    assert told > 500


@settings(max_examples=150)
@given(
    on_news=st.sampled_from(BEGINNINGS),
    acts=st.lists(st.sampled_from(sorted(ACTS)), min_size=5, max_size=12),
)
def test_any_longer_story_with_edits_written_back_holds(on_news: tuple[str, ...], acts: list[str]) -> None:
    world = household_of_two(BACK, on_news)
    world.story = tuple(acts)
    for act in acts:
        ACTS[act](world)
    holds(world)


def only_there(crm: CrmContact) -> World:
    world = World({}, replace(crm, references=()), Party(party_id="P", crm_id="900"), CREATED)
    world.oracle = {one: Oracle(staff=True) for one in ("a", "b")}
    world.sync()
    return world


@pytest.mark.parametrize("out", [None, False])
def test_whom_only_the_crm_has_is_created_once_linked_and_kept_in_step(out: bool | None) -> None:
    there = household(individual("a"), individual("b", opted_in=out), tags=("CC: News",))
    world = only_there(there)
    assert [step.kind for step in world.written][:1] == ["enrol"] and set(world.audience) == {"a"}
    world.sync()
    assert world.party.person("a") is not None and world.party.people[0].individual == "ia"
    before = world.written
    world.rename("a", "Annie")
    world.sync()
    assert world.audience["a"].first_name == "Annie"
    assert [step.kind for step in world.written[len(before) :]] == ["set_fields"]
