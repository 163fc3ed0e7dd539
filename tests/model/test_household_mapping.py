"""The same household with custom fields, and with the audience side's tags in place of its lists."""

from dataclasses import fields, replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep.model.change import Step
from keepstep.model.contact import AudienceContact
from keepstep.model.custom import CustomField, bind
from keepstep.model.customer import Policy
from keepstep.model.decide import Setting
from keepstep.model.party import Readings
from tests.model.people import GIFTS, NEWS, SETTING
from tests.model.test_household import BEGINNINGS, EVERYTHING, LISTS, READS, Act, holds, stories
from tests.model.world import World, household_of_two

# --- custom fields ---------------------------------------------------------------------------------------------------

HERE = (
    CustomField(field_id="f1", names=("Hobby",), kind="text"),
    CustomField(field_id="f2", names=("Size",), kind="single", choices={"1": "Small", "2": "Huge"}),
)
THERE = (
    CustomField(field_id="Hobby", names=("Hobby",), kind="text"),
    CustomField(field_id="Size", names=("Size",), kind="single", choices={"Small": "Small", "Large": "Large"}),
    CustomField(field_id="Lists", names=("Lists",), kind="text"),
)
BOUND = replace(SETTING, bindings=bind(HERE, THERE))
OWNED = replace(BOUND, policy=Policy(custom_fields_owner="audience"))
LISTS_TO_FIELD = replace(
    BOUND,
    policy=Policy(lists_to="custom_field", lists_field="Lists"),
    bindings=bind(HERE, THERE, lists_field="Lists"),
)


def says(world: World, record_id: str, field_id: str, value: str | None) -> bool:
    said = dict(world.audience[record_id].custom_fields)
    said.pop(field_id, None)
    kept = {**said, field_id: value} if value else said
    return world.edit(record_id, custom_fields=tuple(sorted(kept.items())))


def staff_says(world: World, name: str, value: str | None) -> bool:
    said = dict(world.crm.custom_fields)
    said.pop(name, None)
    kept = {**said, name: value} if value else said
    return world.staff(custom_fields=tuple(sorted(kept.items())))


CUSTOM: dict[str, Act] = {
    "ann plays chess": lambda world: says(world, "a", "f1", "chess"),
    "ann plays go": lambda world: says(world, "a", "f1", "go"),
    "ann plays nothing": lambda world: says(world, "a", "f1", None),
    "ann is small": lambda world: says(world, "a", "f2", "1"),
    "ann is huge": lambda world: says(world, "a", "f2", "2"),
    "bob plays golf": lambda world: says(world, "b", "f1", "golf"),
    "staff: golf": lambda world: staff_says(world, "Hobby", "golf"),
    "staff: no hobby": lambda world: staff_says(world, "Hobby", None),
    "staff: large": lambda world: staff_says(world, "Size", "Large"),
    "ann is deleted": lambda world: world.delete("a"),
    "ann joins": lambda world: world.join("a"),
    "ann leaves": lambda world: world.leave("a"),
}


def turn(world: World) -> None:
    """The connector writes over nothing that the decision did not see: it has it decided anew."""
    world.poll_crm()
    world.turns()


SOMETIMES_READ = CUSTOM | READS | {"turn": turn}


def mapped(world: World) -> None:
    """Only what is bound was written, only what somebody said, and nothing was cleared."""
    holds(world)
    for step in world.written:
        if step.kind == "set_custom":
            values = step.payload["values"]
            assert values["Hobby"] in ("chess", "go", "golf") if "Hobby" in values else True, world.story
            assert values.get("Size", "Small") == "Small", world.story
            assert values.get("Lists", NEWS.list_name) == NEWS.list_name, world.story
            assert set(values) <= {one.crm.field_id for one in world.setting.bindings}


@pytest.mark.parametrize("setting", [BOUND, OWNED], ids=["crm", "audience"])
def test_every_story_of_custom_fields_comes_to_rest(setting: Setting) -> None:
    acts = {name: act for name, act in CUSTOM.items() if name not in ("ann joins", "ann leaves")}
    told = 0
    for world in stories(household_of_two(setting), acts | {"sync": World.sync}, 3):
        mapped(world.branch())
        told += 1
    assert told > 500


@settings(max_examples=200)
@given(
    setting=st.sampled_from([BOUND, OWNED, LISTS_TO_FIELD]),
    acts=st.lists(st.sampled_from(sorted(SOMETIMES_READ)), min_size=4, max_size=12),
)
def test_any_longer_story_of_custom_fields_holds(setting: Setting, acts: list[str]) -> None:
    world = household_of_two(setting)
    world.story = tuple(acts)
    for act in acts:
        SOMETIMES_READ[act](world)
    mapped(world)


def test_one_sided_edits_of_custom_fields_cross_and_the_first_person_speaks() -> None:
    world = household_of_two(BOUND)
    for name in ("bob plays golf", "sync", "ann is small"):
        SOMETIMES_READ[name](world)
    mapped(world)
    assert dict(world.crm.custom_fields) == {"Hobby": "golf", "Size": "Small"}
    CUSTOM["ann plays chess"](world)
    mapped(world)
    assert dict(world.crm.custom_fields)["Hobby"] == "chess"


def test_the_lists_of_the_first_person_fill_the_field_and_no_tag() -> None:
    world = household_of_two(LISTS_TO_FIELD)
    world.join("b")
    mapped(world)
    assert (world.crm.custom_fields, world.crm.tags) == ((), ())
    world.join("a")
    mapped(world)
    assert (world.crm.custom_fields, world.crm.tags) == ((("Lists", "News"),), ())


# --- the audience side's tags: everything that is told of lists, told of them ----------------------------------------

NAMED = {"tag_on": "join", "tag_off": "leave"}
TAGS = replace(
    SETTING,
    policy=Policy(contact_tags_prefix="CC: "),
    labels=(replace(NEWS, kind="tag"), replace(GIFTS, kind="tag")),
)
TAGS_TO_ALL = replace(TAGS, policy=Policy(contact_tags_prefix="CC: ", added_tag_goes_to="all"))


class TagWorld(World):
    """What is a list to its people is a tag to us."""

    def readings(self) -> Readings:
        read = super().readings()
        return replace(read, audience={key: _as_tags(one) for key, one in read.audience.items()})

    def decide(self) -> tuple[Step, ...]:
        steps = super().decide()
        assert not [step for step in steps if step.kind in NAMED.values()]
        return tuple(replace(step, kind=NAMED.get(step.kind, step.kind)) for step in steps)


def _as_tags(contact: AudienceContact) -> AudienceContact:
    return replace(contact, lists=None if contact.lists is None else (), tags=contact.lists)


def tagged_household(setting: Setting, on_news: tuple[str, ...]) -> TagWorld:
    before = household_of_two(setting, on_news)
    world = TagWorld(**{one.name: getattr(before, one.name) for one in fields(World)})
    world.sync()
    assert not world.written
    return world


@pytest.mark.parametrize("setting", [TAGS, TAGS_TO_ALL], ids=["primary", "all"])
@pytest.mark.parametrize("on_news", BEGINNINGS)
def test_no_story_of_tags_tags_anybody_unasked(on_news: tuple[str, ...], setting: Setting) -> None:
    for world in stories(tagged_household(setting, on_news), LISTS | {"sync": World.sync}, 3):
        holds(world.branch())


@settings(max_examples=200)
@given(
    on_news=st.sampled_from(BEGINNINGS),
    setting=st.sampled_from([TAGS, TAGS_TO_ALL]),
    acts=st.lists(st.sampled_from(sorted(EVERYTHING)), min_size=5, max_size=12),
)
def test_any_longer_story_of_tags_holds(on_news: tuple[str, ...], setting: Setting, acts: list[str]) -> None:
    world = tagged_household(setting, on_news)
    world.story = tuple(acts)
    for act in acts:
        EVERYTHING[act](world)
    holds(world)


def test_a_tag_and_a_list_end_alike_in_every_story() -> None:
    ends = [
        [world.state() for world in map(_at_rest, stories(begin(on_news=("a",)), LISTS, 2))]
        for begin in (household_of_two, partial(tagged_household, TAGS))
    ]
    assert ends[0] == ends[1]


def _at_rest(world: World) -> World:
    other = world.branch()
    other.sync()
    other.sync()
    return other
