"""Two people, one household, both sides acted on and read at any moment: what must hold whatever the order."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep.model.change import Lane, Step
from keepstep.model.contact import Consent
from keepstep.model.customer import Policy
from keepstep.model.decide import Setting, decide
from keepstep.model.settle import refused
from tests.model.people import HOME, NEWS, SETTING
from tests.model.world import World, called, household_of_two, moved_to

ALL = replace(SETTING, policy=Policy(added_tag_goes_to="all"))
Act = Callable[[World], object]

LISTS: dict[str, Act] = {
    "ann joins": lambda world: world.join("a"),
    "ann leaves": lambda world: world.leave("a"),
    "bob joins": lambda world: world.join("b"),
    "bob leaves": lambda world: world.leave("b"),
    "staff tag": lambda world: world.tag(),
    "staff untag": lambda world: world.untag(),
    "ann opts out": lambda world: world.opt_out("a"),
    "ann comes back": lambda world: world.come_back("a"),
}
CONSENT: dict[str, Act] = {
    "ann opts out": lambda world: world.opt_out("a"),
    "ann comes back": lambda world: world.come_back("a"),
    "ann is deleted": lambda world: world.delete("a"),
    "staff: ann out": lambda world: world.permit("a", opted_in=False),
    "staff: ann in": lambda world: world.permit("a", opted_in=True),
    "bob opts out": lambda world: world.opt_out("b"),
    "staff: bob out": lambda world: world.permit("b", opted_in=False),
    "staff tag": lambda world: world.tag(),
}
BOUNCES: dict[str, Act] = {
    "ann bounces": lambda world: world.bounce("a"),
    "ann changes her address": lambda world: world.change_address("a"),
    "ann comes back": lambda world: world.come_back("a"),
    "ann complains": lambda world: world.opt_out_of_a_mailing("a", "Reported as SPAM"),
    "staff: ann out": lambda world: world.permit("a", opted_in=False),
    "staff: ann in": lambda world: world.permit("a", opted_in=True),
    "staff tag": lambda world: world.tag(),
}
MISLEADING: dict[str, Act] = {
    "ann is deleted": lambda world: world.delete("a"),
    "the account revives ann": lambda world: world.revive("a"),
    "ann is held": lambda world: world.hold("a"),
    "ann is released": lambda world: world.release("a"),
    "ann opts out of a mailing": lambda world: world.opt_out_of_a_mailing("a"),
    "ann opts out": lambda world: world.opt_out("a"),
}
FIELDS: dict[str, Act] = {
    "ann renames": lambda world: world.edit("a", first_name="Anna"),
    "ann calls": lambda world: world.edit("a", phones=called("617 253 2000")),
    "ann moves": lambda world: world.edit("a", addresses=moved_to("2 Oak St")),
    "ann has a new address": lambda world: world.edit("a", email="ann.lee@example.org"),
    "bob moves": lambda world: world.edit("b", addresses=moved_to("3 Ash St")),
    "bob renames": lambda world: world.edit("b", first_name="Robert"),
    "staff rename ann": lambda world: world.rename("a", "Annie"),
    "staff rename bob": lambda world: world.rename("b", "Rob"),
    "staff call ann": lambda world: world.set_method("pa", value="617 253 3000"),
    "staff move": lambda world: world.staff(address=replace(HOME, street="9 Fir St")),
    "staff clear the address": lambda world: world.staff(address=None),
    "staff edit ann's email": lambda world: world.set_method("ma", value="typo@example.org"),
}
READS: dict[str, Act] = {
    "sync": World.sync,
    "read ann": lambda world: world.poll("a"),
    "read bob": lambda world: world.poll("b"),
    "read crm": World.poll_crm,
    "read reports": World.poll_reports,
    "turn": World.turns,
}
SWAPS: dict[str, Act] = {
    "bob bounces": lambda world: world.bounce("b"),
    "ann and bob swap addresses": lambda world: world.swap_addresses(),
}
EVERYTHING = LISTS | CONSENT | BOUNCES | MISLEADING | FIELDS | SWAPS | READS


def holds(world: World) -> None:
    """Bring the world to rest, then: at rest it stays, who is out is out everywhere, nobody is on a list unasked."""
    world.sync()
    world.sync()
    written = world.written
    decision = decide(world.party, world.readings(), world.setting)
    assert decision.steps == ()
    assert decision.party == world.party
    assert decision.acts == ()
    world.sync()
    assert world.written == written
    for record_id, book in world.oracle.items():
        contact = world.audience[record_id]
        if book.out:
            assert contact.deleted or contact.consent is Consent.opted_out or book.revived, world.story
            assert world.method(f"m{record_id}").opted_in is False, world.story
        if not book.ever:
            assert world.method(f"m{record_id}").opted_in, f"opted out by nobody: {world.story}"
        if world.bounced(record_id):
            everybody = [method for who in world.crm.individuals for method in who.methods]
            open_ = [one for one in everybody if one.value == contact.email and one.opted_in]
            assert open_ == [], f"an address that bounces is open: {world.story}"
        if NEWS.list_id in (contact.lists or ()) and contact.consent is Consent.opted_in:
            assert book.own or book.staff, f"on a list that nobody asked for: {world.story}"

    assert noted_once(world), world.story


def noted_once(world: World) -> bool:
    """Every bounce and every deletion that was seen left one note, and each time of complaints one."""
    acts = [act for person in world.party.people for act in person.acts]
    read = [line.id for line in world.seen_lines if line.kind == "opt_out" or line.strength == "hard"]
    assert sorted(act.report for act in acts if act.report) == sorted(read)
    always = [act.id for act in acts if act.kind in ("address", "record")]
    complaints = [act.id for act in acts if act.reason == "Reported as SPAM"]
    most = sum(line.reason == "Reported as SPAM" for line in world.seen_lines)
    told = [act for act in world.notes if act in complaints]
    return sorted([*always, *told]) == sorted(world.notes) and bool(complaints) <= len(told) <= most


def stories(world: World, alphabet: dict[str, Act], length: int) -> Iterator[World]:
    """Every story of so many acts; acts that change nothing are left out, for a shorter story tells the same."""
    if length == 0:
        return
    for name, act in alphabet.items():
        after = world.branch()
        after.story = (*world.story, name)
        if act(after) is False:
            continue
        yield after
        yield from stories(after, alphabet, length - 1)


BEGINNINGS = [(), ("a",), ("b",), ("a", "b")]


@pytest.mark.parametrize("on_news", BEGINNINGS)
def test_no_story_of_lists_makes_a_subscription_that_nobody_asked_for(on_news: tuple[str, ...]) -> None:
    told = 0
    for world in stories(household_of_two(on_news=on_news), LISTS | {"sync": World.sync}, 4):
        holds(world.branch())
        told += 1
    assert told > 500


@pytest.mark.parametrize("on_news", BEGINNINGS)
def test_nor_where_a_tag_goes_to_all(on_news: tuple[str, ...]) -> None:
    for world in stories(household_of_two(ALL, on_news), LISTS | {"sync": World.sync}, 3):
        holds(world.branch())


@pytest.mark.parametrize("on_news", [(), ("a", "b")])
def test_every_story_of_opt_outs_ends_out_on_both_sides(on_news: tuple[str, ...]) -> None:
    for world in stories(household_of_two(on_news=on_news), CONSENT | {"sync": World.sync}, 4):
        holds(world.branch())


@pytest.mark.parametrize("on_news", [(), ("a", "b")])
def test_every_story_of_bounces_and_complaints(on_news: tuple[str, ...]) -> None:
    for world in stories(household_of_two(on_news=on_news), BOUNCES | {"sync": World.sync}, 4):
        holds(world.branch())


def test_every_story_of_two_people_who_swap_addresses() -> None:
    names = ("ann opts out", "ann comes back", "ann bounces", "bob bounces", "ann and bob swap addresses", "sync")
    for world in stories(household_of_two(), {name: EVERYTHING[name] for name in names}, 4):
        holds(world.branch())


def test_every_story_of_deletions_revivals_holds_and_reports() -> None:
    alphabet = BOUNCES | MISLEADING | {"sync": World.sync, "read ann": READS["read ann"]}
    for world in stories(household_of_two(on_news=("a",)), alphabet, 3):
        holds(world.branch())


@settings(max_examples=400)
@given(
    on_news=st.sampled_from(BEGINNINGS),
    setting=st.sampled_from([SETTING, ALL]),
    acts=st.lists(st.sampled_from(sorted(EVERYTHING)), min_size=5, max_size=12),
)
def test_any_longer_story_holds_however_readings_fall_between_acts(
    on_news: tuple[str, ...], setting: Setting, acts: list[str]
) -> None:
    world = household_of_two(setting, on_news)
    world.story = tuple(acts)
    for act in acts:
        EVERYTHING[act](world)
    holds(world)


@settings(max_examples=400)
@given(
    on_news=st.sampled_from(BEGINNINGS),
    acts=st.lists(st.sampled_from(["land", *sorted(LISTS | CONSENT | BOUNCES | READS)]), min_size=4, max_size=10),
)
def test_a_list_job_may_be_under_way_for_long_while_people_act(on_news: tuple[str, ...], acts: list[str]) -> None:
    """Meanwhile only consent is written. A job takes effect as it was sent, whatever happened since."""
    world = household_of_two(on_news=on_news)
    world.story = tuple(acts)
    flying: list[Step] = []
    for act in acts:
        if act == "land" and flying:
            landed(world, flying.pop())
        elif act != "land" and not (flying and act in ("sync", "turn")):
            EVERYTHING[act](world)
        steps = world.decide()
        for step in steps:
            if step.lane is Lane.consent:
                world.land(step)
        if not flying:
            flying = [step for step in sent(world, world.decide()) if step.kind in ("join", "leave")]
    for step in flying:
        landed(world, step)
    holds(world)


def sent(world: World, steps: tuple[Step, ...]) -> list[Step]:
    """What passes the gate: it reads again, and what is not wanted then is not sent."""
    if any(step.hold for step in steps):
        world.poll()
        world.poll_crm()
    again = world.decide()
    return [step for step in steps if step in again]


def landed(world: World, step: Step) -> None:
    """The vendor puts nobody on a list who opted out or was deleted meanwhile; that step is dead."""
    contact = world.audience[step.payload["record_id"]]
    if step.kind == "join" and (contact.deleted or contact.consent is Consent.opted_out or world.oracle["a"].out):
        world.party = refused(world.party, step)
    else:
        world.land(step)


DIFFERENT = [
    ["ann renames", "ann calls", "staff move", "staff rename bob", "bob opts out"],
    ["ann has a new address", "staff call ann", "bob leaves", "staff rename bob"],
    ["ann leaves", "ann renames", "staff move", "staff: bob out"],
]


@pytest.mark.parametrize("names", DIFFERENT)
@pytest.mark.parametrize("between", [False, True])
def test_acts_on_different_fields_and_people_end_alike_in_any_order(names: list[str], between: bool) -> None:
    ends = []
    for order in permutations(names):
        world = household_of_two(on_news=("a", "b"))
        for name in order:
            EVERYTHING[name](world)
            if between:
                world.sync()
        world.sync()
        ends.append(world.state())
    for end in ends:
        assert end == ends[0]


def test_one_sided_edits_cross_and_concurrent_ones_are_the_owners() -> None:
    world = household_of_two()
    for name in ("ann renames", "ann has a new address", "ann calls", "staff call ann", "staff move"):
        EVERYTHING[name](world)
    holds(world)
    ann = world.crm.individuals[0]
    assert ann.first_name == "Anna"
    assert world.method("ma").value == "ann.lee@example.org"
    assert world.method("pa").value == "617 253 3000"
    assert world.crm.address == replace(HOME, street="9 Fir St")


def test_staff_untagging_takes_everybody_off_who_was_there() -> None:
    world = household_of_two(on_news=("a", "b"))
    world.untag()
    holds(world)
    assert [one.lists for one in world.audience.values()] == [(), ()]


def test_a_tag_goes_with_the_last_member_only() -> None:
    world = household_of_two(on_news=("a", "b"))
    world.leave("a")
    holds(world)
    assert NEWS.tag_name in world.crm.tags
    world.leave("b")
    holds(world)
    assert world.crm.tags == ()


def test_who_leaves_while_staff_tag_again_is_put_back_only_by_a_later_tag() -> None:
    world = household_of_two(on_news=("a",))
    world.leave("a")
    world.untag()
    world.tag()
    holds(world)
    assert world.audience["a"].lists == ()
    world.tag()
    holds(world)
    assert world.audience["a"].lists == (NEWS.list_id,)


def test_a_deletion_leaves_exactly_one_note_even_if_the_person_came_back_at_once() -> None:
    world = household_of_two()
    world.delete("a")
    world.poll()
    world.decide()
    world.come_back("a")
    holds(world)
    assert len(world.notes) == 1
    assert world.method("ma").opted_in is True
