"""An address that changes its method: the person is never without one, and nothing else about it changes."""

from typing import Any

import pytest

from keepstep.model.change import Done, Nothing, Retry, Unknown
from keepstep.model.errors import Unanswered
from keepstep_sandbox.http import Response
from tests.connectors.virtuous.world import ORGANIZATION, START, World, call, run, said, scripted

OLD, NEW = "ada@example.org", "new@example.org"


def swap(world: World, number: int, at: int = 0, **values: Any) -> dict[str, Any]:
    method = world.method(number, at)
    ids = {"contact": str(number), "individual": str(world.person(number)["id"]), "method": str(method["id"])}
    return {**ids, "value": NEW, "was": OLD, "opted_in": method["isOptedIn"], **values}


def mails(world: World, number: int) -> list[tuple[str, str, bool, bool]]:
    """Type, value, consent and primacy of every e-mail method."""
    return [
        (one["type"], one["value"], one["isOptedIn"], one["isPrimary"])
        for one in world.person(number)["contactMethods"]
        if one["type"].endswith("Email")
    ]


@pytest.mark.parametrize("opted_in", [True, False])
@pytest.mark.parametrize("kind", ["Home Email", "Work Email"])
def test_the_new_method_has_the_type_the_consent_and_the_place_of_the_old_one(opted_in: bool, kind: str) -> None:
    world = World()
    method = {"type": kind, "value": OLD, "isOptedIn": opted_in, "isPrimary": True}
    person = {"firstName": "Ada", "lastName": "Lee", "isPrimary": True, "contactMethods": [method]}
    number = world.add(contactIndividuals=[person])
    step = swap(world, number)
    assert world.look("swap_email", step) == [Retry(0.0, "not there")]
    [made] = world.write("swap_email", step)
    assert mails(world, number) == [(kind, NEW, opted_in, True)]
    assert made == Done({"method": str(world.method(number)["id"]), "value": NEW})
    assert made.answer["method"] != step["method"]
    assert world.look("swap_email", step) == world.write("swap_email", step) == [made]
    assert len(world.sent("POST")) == len(world.sent("DELETE")) == 1


def test_a_further_address_stays_further() -> None:
    world = World()
    number = world.add()
    individual = world.person(number)["id"]
    world.vendor.staff_adds_method(ORGANIZATION, individual, START, "Work Email", "work@example.org", True)
    step = swap(world, number, 1, was="work@example.org")
    world.write("swap_email", step)
    assert mails(world, number) == [("Home Email", OLD, True, True), ("Work Email", NEW, True, False)]


@pytest.mark.parametrize("after", [1, 2])
def test_a_swap_whose_answer_is_lost_is_finished_by_looking(after: int) -> None:
    """After the new method came, or after the old one went (design: look before repeating)."""

    class Lossy(World):
        writes = 0

        async def __call__(self, method: str, url: str, headers: Any, body: bytes = b"", timeout: float = 30.0) -> Any:
            answer = await super().__call__(method, url, headers, body, timeout)
            self.writes += method != "GET"
            if method != "GET" and self.writes == after:
                raise Unanswered("reset")
            return answer

    world = Lossy()
    number = world.add()
    step = swap(world, number)
    if after == 1:
        with pytest.raises(Unanswered):
            world.write("swap_email", step)
    else:
        assert world.write("swap_email", step) == [Unknown(60.0, "reset")]
    assert NEW in [value for _, value, _, _ in mails(world, number)]
    [seen] = world.look("swap_email", step)
    assert seen == Done({"method": str(world.method(number)["id"]), "value": NEW})
    assert mails(world, number) == [("Home Email", NEW, True, True)]
    assert len(world.sent("POST")) == len(world.sent("DELETE")) == 1


@pytest.mark.switch("virtuous", "shared-email", "409")
def test_two_people_swap_where_an_address_may_stand_on_one_contact_only() -> None:
    """The old method goes first, and looking makes the new one once its address is free (Virtuous facts 5)."""
    world = World(shared_email="409")
    one, other = world.add(), world.add(email=NEW)
    world.vendor.staff_opts(ORGANIZATION, world.method(one)["id"], False, START)
    step = swap(world, one, type="Home Email")
    [begun] = world.write("swap_email", step)
    assert isinstance(begun, Unknown) and "example.org" not in begun.reason
    assert isinstance(world.look("swap_email", step)[0], Unknown) and mails(world, one) == []
    assert isinstance(world.write("set_email", swap(world, other, value=OLD, was=NEW))[0], Done)
    assert isinstance(world.look("swap_email", step)[0], Done)
    assert mails(world, one) == [("Home Email", NEW, False, True)]
    assert mails(world, other) == [("Home Email", OLD, True, True)]


def test_a_delete_that_is_refused_for_now_is_finished_by_looking() -> None:
    world = World()
    number = world.add()
    step = swap(world, number)
    made = world.vendor.staff_adds_method(ORGANIZATION, world.person(number)["id"], START, "Home Email", NEW, True)
    world.faults = [Response(429, {"Retry-After": "7"})]
    assert isinstance(world.write("swap_email", step)[0], Unknown)
    assert world.look("swap_email", step) == [Done({"method": str(made), "value": NEW})]
    assert [value for _, value, _, _ in mails(world, number)] == [NEW]


def test_the_address_as_a_further_method_is_taken_over_with_the_opt_out() -> None:
    """Out dominates: the old method's opt-out holds for the address that takes its place."""
    world = World()
    number = world.add()
    world.vendor.staff_opts(ORGANIZATION, world.method(number)["id"], False, START)
    world.vendor.staff_adds_method(ORGANIZATION, world.person(number)["id"], START, "Other Email", NEW, True)
    world.write("swap_email", swap(world, number))
    assert [(value, opted_in) for _, value, opted_in, _ in mails(world, number)] == [(NEW, False)]
    assert not world.sent("POST")


def test_an_opt_out_since_the_decision_is_carried() -> None:
    world = World()
    number = world.add()
    step = swap(world, number)
    world.vendor.staff_opts(ORGANIZATION, world.method(number)["id"], False, START)
    world.write("swap_email", step)
    assert mails(world, number) == [("Home Email", NEW, False, True)]


def test_what_staff_changed_meanwhile_is_left_alone() -> None:
    """No ETag: compare before writing (Virtuous facts 6)."""
    world = World()
    number = world.add()
    step = swap(world, number)
    world.vendor.staff_sets_email(ORGANIZATION, int(step["method"]), START, "staff@example.org")
    assert world.write("swap_email", step) == [Retry(300.0, "changed since it was read")]
    world.vendor.staff_sets_email(ORGANIZATION, int(step["method"]), START, NEW)
    assert world.write("swap_email", step) == [Nothing()]
    assert world.look("swap_email", step) == [Done({"method": step["method"], "value": NEW})]
    assert not world.sent("POST") and not world.sent("DELETE")
    gone = {**step, "method": "77", "value": "third@example.org"}
    assert world.write("swap_email", gone) == [Retry(300.0, "changed since it was read")]


def test_a_new_method_without_an_id_in_the_answer_is_unanswered() -> None:
    old = {"id": 3, "type": "Home Email", "value": OLD, "isOptedIn": True}
    crm, _ = scripted(said(200, {"id": 2, "contactMethods": [old]}), said(200, text=b""))
    step = {"contact": "1", "individual": "2", "method": "3", "value": NEW, "was": OLD, "opted_in": True}
    with pytest.raises(Unanswered):
        run(crm.write(call("swap_email", step)))


def test_a_method_that_somebody_took_away_in_between_is_no_problem() -> None:
    methods = [{"id": at, "type": "Home Email", "value": value} for at, value in ((3, OLD), (4, NEW))]
    crm, _ = scripted(said(200, {"id": 2, "contactMethods": methods}), said(404))
    step = {"contact": "1", "individual": "2", "method": "3", "value": NEW, "was": OLD, "opted_in": True}
    assert run(crm.write(call("swap_email", step))) == [Done({"method": "4", "value": NEW})]
