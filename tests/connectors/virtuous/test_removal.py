"""What we added ourselves is taken back, once, and only while it is what we made of it."""

from typing import Any

import pytest

from keepstep.model.change import Done, Nothing, Retry
from tests.connectors.virtuous.world import ORGANIZATION, START, World

OURS = {"source": "Constant Contact", "id": "cc-1"}
STALE = Retry(300.0, "changed since it was read")
PLACE = {"kind": "home", "street": "1 Elm St", "city": "Salem", "state": "MA", "postal": "01970", "country": None}


def contact(world: World, number: int) -> dict[str, Any]:
    return next(one for one in world.vendor.contacts(ORGANIZATION) if one["id"] == number)


def linked(world: World, number: int) -> dict[str, Any]:
    world.write("link", {"contact": str(number), "record_id": "cc-1", "individual": "1"})
    return {"contact": str(number), "record_id": "cc-1"}


def test_our_reference_goes_and_every_other_one_stays() -> None:
    world = World()
    number = world.add()
    step = linked(world, number)
    world.write("link", {**step, "record_id": "cc-2", "individual": "1"})
    assert world.look("unlink", step) == [Retry(0.0, "still there")]
    assert world.write("unlink", step) == [Done()]
    assert contact(world, number)["contactReferences"] == [{**OURS, "id": "cc-2"}]
    assert world.look("unlink", step) == [Done()]
    assert world.write("unlink", step) == [Nothing()]
    assert len(world.sent("DELETE")) == 1


def test_of_two_contacts_with_one_reference_none_loses_it() -> None:
    world = World()
    first, second = world.add(references=[OURS]), world.add(references=[OURS])
    step = {"contact": str(second), "record_id": "cc-1"}
    assert world.write("unlink", step) == [Retry(300.0, "another contact carries the same reference")]
    assert [contact(world, one)["contactReferences"] for one in (first, second)] == [[OURS], [OURS]]


@pytest.mark.parametrize("read", ["200", "404"])
def test_a_reference_that_a_merged_contact_kept_goes_to_the_survivor(read: str) -> None:
    """Virtuous facts 7.6, 11"""
    world = World(merge_carries="people", merged_read=read, reference_clash="400")
    loser, survivor = world.add(references=[OURS]), world.add()
    world.vendor.staff_merges(ORGANIZATION, loser, survivor, START)
    step = {"contact": str(survivor), "record_id": "cc-1", "individual": "1"}
    assert world.write("link", step) == [Done({"contact": str(survivor)})]
    assert [contact(world, one)["contactReferences"] for one in (loser, survivor)] == [[], [OURS]]


@pytest.mark.parametrize("changed", [False, True])
def test_a_phone_that_we_added_goes_while_it_has_our_number(changed: bool) -> None:
    world = World()
    number = world.add()
    individual = world.person(number)["id"]
    ids = {"contact": str(number), "individual": str(individual)}
    before = len(world.person(number)["contactMethods"])
    [made] = world.write("set_phone", {**ids, "method": None, "kind": "mobile", "value": "202-555-0111", "was": None})
    assert isinstance(made, Done)
    step = {**ids, "method": made.answer["method"], "was": "(202) 555-0111"}
    assert world.look("drop_phone", step) == [Retry(0.0, "still there")]
    if changed:
        world.vendor.staff_sets_phone(ORGANIZATION, individual, START, "303-555-0199")
        assert world.write("drop_phone", step) == [STALE]
        return
    assert world.write("drop_phone", step) == [Done()]
    assert world.look("drop_phone", step) == [Done()]
    assert world.write("drop_phone", step) == [Nothing()]
    assert len(world.person(number)["contactMethods"]) == before


@pytest.mark.parametrize("changed", [False, True])
def test_an_address_that_we_added_goes_while_it_says_the_same(changed: bool) -> None:
    world = World()
    number = world.add()
    ids = {"contact": str(number), "individual": "1"}
    [made] = world.write("set_address", {**ids, "address": None, **PLACE, "was": None})
    assert isinstance(made, Done)
    step = {**ids, "address": made.answer["address"], "was": {key: PLACE[key] for key in PLACE if key != "kind"}}
    assert world.look("drop_address", step) == [Retry(0.0, "still there")]
    if changed:
        world.vendor.staff_sets_address(ORGANIZATION, number, START, address1="9 Elm Ct")
        assert world.write("drop_address", step) == [STALE]
        return
    assert world.write("drop_address", step) == [Done()]
    assert world.look("drop_address", step) == [Done()]
    assert world.write("drop_address", step) == [Nothing()]
    assert contact(world, number)["address"] is None
