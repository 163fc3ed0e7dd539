"""A customer without a CRM: one side is read and kept, and nothing is asked of, or written to, anybody else."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from keepstep.model.customer import NO_CRM
from keepstep.model.errors import Problem, Refused
from keepstep.schema.tables import job, step
from keepstep.state.vault import Secret
from keepstep.wiring import brake, parity, plans, proof, reconcile
from tests.flows.crossing import CUSTOMER, Crossing

PEOPLE = 200
ADDRESS = "p007@example.org"


def alone(**more: Any) -> Crossing:
    return Crossing(crm=NO_CRM, **more)


def connected(c: Crossing, count: int = 1) -> list[str]:
    """The customer's people, its grant stored and both first rounds over."""
    c.cc.add_list(CUSTOMER, "Donor Updates", c.now())
    people = [c.person(email=f"p{n:03d}@example.org", first=f"P{n}", last="Lee") for n in range(count)]
    c.consent(c.refresh_tokens[CUSTOMER])
    c.wait(hours=2)
    return people


def rows(c: Crossing, table: Any) -> int:
    return int(c.ask(c.service.db.run(lambda tx: tx.execute(select(func.count()).select_from(table)).scalar_one())))


def test_two_hundred_people_are_known_and_nobody_else_is_asked() -> None:
    with alone() as c:
        people = connected(c, PEOPLE)
        c.opts_out(people[7])
        c.wait(days=3)
        assert c.standings() == {"left_out": PEOPLE}
        assert {c.standing(one) for one in people} == {("left_out", "no_crm")}
        assert not c.made(vendor="virtuous")
        assert not c.writes()
        assert (rows(c, step), rows(c, job), c.letters(), c.lines("turn_failed")) == (0, 0, [], [])
        assert c.lines("read_failed") == []
        assert not c.v.contacts(CUSTOMER)


def test_an_opt_out_is_in_the_ledger_and_answered_by_the_command() -> None:
    with alone() as c:
        people = connected(c, 10)
        before = c.ask(proof.may_mail(c.service, CUSTOMER, ADDRESS))
        c.opts_out(people[7])
        c.wait(hours=1)
        after = c.ask(proof.may_mail(c.service, CUSTOMER, ADDRESS))
        assert (before["may_mail"], after["may_mail"]) == ("yes", "no")
        [act] = after["people"][0]["acts"]
        assert (act["kind"], act["direction"], act["platform"]) == ("choice", "out", "constant_contact")


def test_doctor_status_and_the_checklist_speak_of_one_side() -> None:
    with alone() as c:
        connected(c, 3)
        c.wait(days=1)
        checks = c.ask(c.service.check(CUSTOMER))
        assert {one["state"] for one in checks} == {"ok"}
        assert {one["platform"] for one in checks} <= {"constant_contact", "keepstep"}
        lines = c.ask(c.service.ready_for_production(CUSTOMER))
        assert {one["state"] for one in lines} == {"pass"}, [one for one in lines if one["state"] != "pass"]
        status = c.status()
        assert status["connections"] == {"constant_contact": "ok"}
        assert {name.partition(".")[0] for name in status["polls"]} == {"constant_contact", "keepstep"}
        assert list(c.ask(c.service.customer(CUSTOMER))["connections"]) == ["constant_contact"]


COMMANDS: dict[str, Callable[[Any], Any]] = {
    "plan": lambda service: plans.begin(service, CUSTOMER),
    "apply": lambda service: plans.apply(service, CUSTOMER, "0" * 8),
    "reconcile": lambda service: reconcile.look(service, CUSTOMER),
    "reconcile --apply": lambda service: reconcile.apply(service, CUSTOMER, "0" * 8),
    "parity": lambda service: parity.parity(service, CUSTOMER, 7),
    "brake show": lambda service: brake.shown(service, CUSTOMER),
    "brake approve": lambda service: brake.approve(service, CUSTOMER, "0" * 8, "me"),
    "brake discard": lambda service: brake.discard(service, CUSTOMER, "0" * 8, "me"),
    "certificate": lambda service: proof.certificate(service, CUSTOMER),
    "customer add": lambda service: service.add_customer(CUSTOMER, "virtuous", {"api_key": Secret("k")}),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_about_both_sides_says_that_there_is_one(command: str) -> None:
    with alone() as c:
        connected(c)
        with pytest.raises(Refused, match=f"customer {CUSTOMER} has no CRM"):
            c.ask(COMMANDS[command](c.service))


def test_a_crm_that_is_connected_later_gets_everybody() -> None:
    with alone() as c:
        people = connected(c, 5)
        c.opts_out(people[0])
        c.wait(hours=1)
        c.crm = "virtuous"
        c.open()
        c.key("v_key")
        c.wait(minutes=10)
        c.night()
        assert c.standings() == {"in_step": 5}
        assert c.consents(people[0]) == [False]
        assert c.consents(people[1]) != [False]


def test_a_crm_that_is_taken_away_gets_nothing_more() -> None:
    with Crossing() as c:
        c.a_list("Donor Updates")
        people = [c.person(email=f"p{n}@example.org") for n in range(3)]
        c.connect()
        c.night()
        c.crm = NO_CRM
        c.open()
        before = len(c.made(vendor="virtuous"))
        c.opts_out(people[0])
        c.edits(people[1], first_name="Anna")
        c.wait(days=2)
        assert len(c.made(vendor="virtuous")) == before
        assert c.ask(proof.may_mail(c.service, CUSTOMER, "p0@example.org"))["may_mail"] == "no"
        assert c.standing(people[0]) == c.standing(people[1]) == ("left_out", "no_crm")


def test_the_crm_that_is_not_there_takes_nothing() -> None:
    with alone() as c:
        nowhere = c.ask(c.service.desk(CUSTOMER)).crm
        for ask in (nowhere.subscribe("u", "s"), nowhere.write(None), nowhere.look(None)):
            with pytest.raises(Problem):
                c.ask(ask)
