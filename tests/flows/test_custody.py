"""An address goes from one person of ours to another one: handed over, swapped, passed round in a ring."""

from typing import Any

import pytest

from keepstep import queue
from keepstep.submit import custody
from keepstep.submit.custody import Turns
from keepstep.wiring import plans
from tests.flows.crossing import CUSTOMER, Call, Crossing, emails

ANN, BOB, CAT = "ann@example.org", "bob@example.org", "cat@example.org"
SHARING = pytest.mark.parametrize("shared", ["allowed", "409"])


def settled(shared: str, *addresses: str) -> tuple[Crossing, list[str]]:
    """People with these addresses, linked and in step."""
    c = Crossing(v={"shared-email": shared})
    people = [c.person(one, f"First{n}", f"Last{n}") for n, one in enumerate(addresses)]
    c.connect()
    c.night()
    assert c.standings() == {"in_step": len(people)}
    return c, people


def addresses(c: Crossing, people: list[str]) -> list[list[str]]:
    return [[one["value"] for one in emails(c.there(record))] for record in people]


def moves(c: Crossing, *pairs: tuple[str, str]) -> None:
    """People get each other's addresses in Constant Contact, by way of one that nobody has."""
    for record, _ in pairs:
        c.edits(record, email=f"{record}@away.example.org")
    for record, address in pairs:
        c.edits(record, email=address)


def clashes(c: Crossing) -> list[Call]:
    return [one for one in c.calls if one.vendor == "virtuous" and one.answer.status == 409]


@SHARING
def test_an_address_that_is_handed_over_is_waited_for(shared: str) -> None:
    c, people = settled(shared, ANN, BOB)
    with c:
        c.edits(people[1], email="new@example.org")
        c.edits(people[0], email=BOB)
        c.wait(hours=2)
        assert addresses(c, people) == [[BOB], ["new@example.org"]]
        assert c.standings() == {"in_step": 2}
        assert (clashes(c), c.letters()) == ([], [])


@SHARING
def test_two_who_swap_their_addresses_end_with_one_each(shared: str) -> None:
    c, people = settled(shared, ANN, BOB)
    with c:
        moves(c, (people[0], BOB), (people[1], ANN))
        c.wait(hours=2)
        assert addresses(c, people) == [[BOB], [ANN]]
        assert [c.consents(one) for one in people] == [[True], [True]]
        assert all(method["isPrimary"] for one in people for method in emails(c.there(one)))
        assert c.standings() == {"in_step": 2}
        assert c.letters() == []


@SHARING
def test_a_ring_of_three_is_broken_at_one_place(shared: str) -> None:
    c, people = settled(shared, ANN, BOB, CAT)
    with c:
        moves(c, (people[0], BOB), (people[1], CAT), (people[2], ANN))
        c.wait(hours=2)
        assert addresses(c, people) == [[BOB], [CAT], [ANN]]
        assert c.standings() == {"in_step": 3}
        assert len(c.made("DELETE", "/api/ContactMethod")) == 1
        assert c.letters() == []


@SHARING
def test_a_swap_carries_an_opt_out_over_that_nobody_explained(shared: str) -> None:
    """A false found at first pairing opts nobody out, and nothing of ours may ever turn it into a true."""
    c = Crossing(v={"shared-email": shared})
    with c:
        c.household(ANN, "First0", "Last0", opted_in=False)
        people = [c.person(ANN, "First0", "Last0"), c.person(BOB, "First1", "Last1")]
        c.connect()
        c.night()
        moves(c, (people[0], BOB), (people[1], ANN))
        c.wait(hours=2)
        assert addresses(c, people) == [[BOB], [ANN]]
        assert [c.consents(one) for one in people] == [[False], [True]]
        assert [c.permission(one) for one in people] == ["implicit", "implicit"]


def given_up_by_somebody_out(shared: str, how: str) -> tuple[Crossing, list[str]]:
    """Bob is out, with the old address in the CRM for good; at the list service it has become Ann's."""
    c, people = settled(shared, ANN, BOB)
    if how == "opted_out":
        c.opts_out(people[1])
        c.wait(hours=1)
        c.edits(people[1], email="new@example.org")
    else:
        c.cc.delete(CUSTOMER, people[1], c.now())
        c.wait(hours=30)
    c.edits(people[0], email=BOB)
    c.wait(hours=2)
    return c, people


@pytest.mark.parametrize("how", ["opted_out", "deleted"])
def test_an_address_that_somebody_out_has_given_up_is_free(how: str) -> None:
    """Their method stays as it is, closed: a new address of theirs is not theirs to be written."""
    c, people = given_up_by_somebody_out("allowed", how)
    with c:
        assert addresses(c, people) == [[BOB], [BOB]]
        assert [c.consents(one) for one in people] == [[True], [False]]
        assert c.standings() == {"in_step": 2}
        assert c.letters() == []


def test_an_address_that_the_crm_gives_to_nobody_else_is_waited_for_a_day() -> None:
    """The organization takes no address twice: then somebody is told, instead of waiting for ever."""
    c, people = given_up_by_somebody_out("409", "opted_out")
    with c:
        assert addresses(c, people) == [[ANN], [BOB]]
        assert c.standing(people[0]) == ("pending", "step_waiting")
        assert c.letters() == []
        c.wait(hours=26)
        assert c.standing(people[0]) == ("parked", "refused_by_vendor")
        assert len(c.letters()) == 1
        clashed = len(clashes(c))
        assert clashed < 120
        c.wait(hours=6)
        assert len(clashes(c)) == clashed


def test_a_holder_who_moves_at_last_lets_the_other_one_go_on() -> None:
    c, people = settled("409", ANN, BOB)
    with c:
        number = emails(c.there(people[1]))[0]["id"]
        c.edits(people[1], email="new@example.org")
        c.edits(people[0], email=BOB)
        c.faults.arm("503", vendor="virtuous", method="PUT", path=f"/api/ContactMethod/{number}", count=3)
        c.wait(hours=2)
        assert addresses(c, people) == [[BOB], ["new@example.org"]]
        assert (clashes(c), c.letters()) == ([], [])


@SHARING
@pytest.mark.parametrize("after", range(1, 5))
def test_a_crash_between_the_writes_of_a_swap_costs_nobody_an_address(shared: str, after: int) -> None:
    c, people = settled(shared, ANN, BOB)
    with c:
        moves(c, (people[0], BOB), (people[1], ANN))
        crash_after(c, after)
        c.wait(hours=3)
        assert addresses(c, people) == [[BOB], [ANN]]
        assert [c.consents(one) for one in people] == [[True], [True]]
        assert c.standings() == {"in_step": 2}
        assert c.letters() == []


class Crashed(BaseException):
    """The process is gone."""


def crash_after(c: Crossing, writes: int) -> None:
    """The process dies after so many writes of methods took effect; the next one begins over the same database."""
    left = [writes]

    def wire(vendor: str, request: Any, handle: Any) -> Any:
        answer = handle()
        if vendor == "virtuous" and request.path.startswith("/api/ContactMethod") and answer.effects and left[0]:
            left[0] -= 1
            if not left[0]:
                raise Crashed
        return answer

    c.wire = wire
    try:
        c.wait(hours=2)
    except Crashed:
        c.wire = None
        c.open()


def test_of_two_creations_with_one_address_the_second_is_looked_at_again() -> None:
    with Crossing() as c:
        first = c.person(ANN, "Ann", "Lee")
        c.connect()
        second = c.person("other@example.org", "Other", "Person")
        c.edits(first, email="moved@example.org")
        c.edits(second, email=ANN)
        c.wait(minutes=70)
        assert c.standing(second) == ("parked", "address_held")
        c.night()
        c.wait(hours=3)
        c.night()
        assert [one["value"] for one in emails(c.there(first))] == ["moved@example.org"]
        assert c.standings() == {"in_step": 2}
        assert len(c.v.waiting(CUSTOMER)) == 0


def test_a_plan_holds_nobodys_turn_for_an_address() -> None:
    """What the plan holds must wait for the address as well, when the plan lets it go."""
    c, [ann] = settled("allowed", ANN)
    with c:
        c.ask(plans.begin(c.service, CUSTOMER))
        c.edits(ann, email=BOB)
        c.wait(hours=2)
        rows = c.ask(c.service.db.run(queue.steps_of_kinds, CUSTOMER, ("set_email",)))
        assert [row.hold for row in rows] == ["plan"]
        desk = c.ask(c.service.desk(CUSTOMER))

        def follow(tx: Any) -> None:
            queue.wake(tx, CUSTOMER, c.now())
            slot = queue.claim(tx, "me", c.now(), 300.0, CUSTOMER)
            assert slot is not None
            turns = Turns({str(rows[0].payload["method"]): "wait"}, tuple(rows))
            custody.follow(tx, desk, slot, turns, [], c.now())
            queue.release(tx, slot, c.now())

        c.ask(c.service.db.run(follow))
        rows = c.ask(c.service.db.run(queue.steps_of_kinds, CUSTOMER, ("set_email",)))
        assert [row.hold for row in rows] == ["address_held"]
