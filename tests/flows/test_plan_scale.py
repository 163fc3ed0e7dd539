"""A plan of many people of every fate: what it says is what is done, record by record and call by
call."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from keepstep.wiring import plans
from tests.flows.crossing import CUSTOMER, Crossing
from tests.flows.test_pairing import at_stage, drawn, state

POLICY = {
    "stage": "observe",
    "crm_only": "create",
    "permission_evidence": "Everybody in our CRM signed the paper form that asks for our letters.",
}
# 1,000 and more on a machine that has minutes for it.
PEOPLE = int(os.environ.get("KEEPSTEP_TEST_PEOPLE", "100"))


def a_big_world(c: Crossing, people: int = PEOPLE) -> None:
    """Of ten people each: four new ones, one of them opted out; three known, one of them with a tag of staff's, one
    opted out since; one couple of a household; one whom only the CRM has, and one there without any list."""
    news, gala = c.a_list("News"), c.a_list("Gala")
    for n in range(people // 10):
        for m in range(3):
            c.person(f"new{m}.{n}@example.org", "New", f"Person{m}x{n}", lists=[news] if m else [gala])
        c.person(f"out{n}@example.org", "Out", f"Person{n}", permission="unsubscribed")
        for m in range(2):
            c.household(f"known{m}.{n}@example.org", "Known", f"Person{m}x{n}", tags=["CC: Gala"] if m else [])
            c.person(f"known{m}.{n}@example.org", "Known", f"Person{m}x{n}", lists=[news])
        c.household(f"left{n}@example.org", "Left", f"Person{n}")
        c.opts_out(c.person(f"left{n}@example.org", "Left", f"Person{n}"))
        eve = {"type": "Home Email", "value": f"eve{n}@example.org", "isOptedIn": True, "isPrimary": True}
        spouse = {"firstName": "Eve", "lastName": f"Pair{n}", "isPrimary": False, "contactMethods": [eve]}
        c.household(f"adam{n}@example.org", "Adam", f"Pair{n}", others=[spouse])
        c.person(f"adam{n}@example.org", "Adam", f"Pair{n}", lists=[gala])
        c.person(f"eve{n}@example.org", "Eve", f"Pair{n}", lists=[news])
        c.household(f"only{n}@example.org", "Only", f"There{n}", tags=["CC: News"])
        c.household(f"bare{n}@example.org", "Bare", f"There{n}")


Planned = tuple[Crossing, dict[str, Any]]


@pytest.fixture(scope="module")
def planned() -> Iterator[Planned]:
    """The plan of a big world, drawn while the service runs."""
    with Crossing(policy=POLICY) as c:
        a_big_world(c)
        c.connect()
        plan = drawn(c)
        plan["asked"] = list(c.calls)
        yield c, plan


def test_nothing_but_reading_was_done_before_anybody_said_yes(planned: Planned) -> None:
    _, plan = planned
    at_the_wire = {(one.request.method, one.request.path.split("/")[-1]) for one in plan["asked"]}
    reads = {"FullContact", "QueryOptions", "Token", "token"}
    assert {path for method, path in at_the_wire if method != "GET"} <= reads
    assert plan["first"] is True


def test_a_big_plan_says_what_becomes_of_everybody(planned: Planned) -> None:
    _, plan = planned
    tenth = PEOPLE // 10
    people = {name: count for name, count in plan["people"].items() if count and not name.endswith("reasons")}
    assert people == {"created": 3 * tenth, "created_opted_out": tenth, "linked": 5 * tenth}
    alone = plan["crm_only"]
    assert alone["policy"] == "create" and alone["evidence"] == POLICY["permission_evidence"]
    assert (alone["people"], alone["created"], alone["external"]) == (2 * tenth, tenth, 0)
    assert alone["left_out_reasons"] == {"no_list": tenth}
    assert plan["steps"]["audience"]["enrol"] == tenth
    news = next(row for row in plan["labels"] if row["list"] == "News")
    assert news["joined"] == tenth
    assert plan["webhooks"] == sum(plan["steps"]["crm"].values())
    assert all(cost["calls"] and cost["hours"] for cost in plan["cost"].values())


def test_a_big_plan_is_done_record_by_record_and_call_by_call(planned: Planned) -> None:
    c, plan = planned
    before = state(c)
    at_stage(c, "both")
    c.wait(minutes=1)
    began = c.now(), len(c.calls)
    done = c.ask(plans.apply(c.service, CUSTOMER, plan["checksum"]))
    assert done["refused"] is None and done["dropped"] == []
    c.night()
    c.wait(hours=8)
    after, took, made = state(c), c.now() - began[0], per_vendor(c, began[1])
    assert what_was_done(c, before, after) == what_was_planned(c, plan, after)
    assert set(c.standings()) == {"in_step"} and c.letters() == []
    # What polls cost anyway is no part of a plan: as long again, when there is nothing to do.
    rested, written = len(c.calls), len(c.writes())
    c.wait(minutes=took / 60)
    assert len(c.writes()) == written
    made.subtract(per_vendor(c, rested))
    for vendor, cost in plan["cost"].items():
        assert abs(made[vendor] - cost["calls"]) <= 0.1 * cost["calls"], (vendor, made, plan["cost"])


def per_vendor(c: Crossing, since: int) -> Counter[str]:
    return Counter(one.vendor for one in c.calls[since:])


def homes(c: Crossing, after: dict[str, Any]) -> dict[str, str]:
    """Record, or individual of the CRM, to the CRM contact that it belongs to at the end."""
    individuals = {str(one["id"]): str(there["id"]) for there in c.everybody() for one in there["contactIndividuals"]}
    return {record: str(contact) for record, contact in after["references"].items()} | individuals


def what_was_planned(c: Crossing, plan: dict[str, Any], after: dict[str, Any]) -> dict[str, list[str]]:
    """Per household, since a tag is the household's."""
    there, found = homes(c, after), dict[str, list[str]]()
    for row in plan["records"]:
        found.setdefault(there[row["record"]], []).extend(row["steps"])
    return {key: sorted(steps) for key, steps in found.items()}


def what_was_done(c: Crossing, before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[str]]:
    """The same from what both stand-ins hold."""
    found: dict[str, list[str]] = {}
    for record, contact in after["references"].items():
        did = found.setdefault(str(contact), [])
        known = contact in before["tags"]
        did += ["link" if known else "create" if after["consent"][contact] == [False] else "submit"]
        if record not in before["lists"]:
            did += ["enrol"]
            continue
        did += ["join"] * (len(after["lists"][record] - before["lists"][record]) > 0)
        did += ["leave"] * (len(before["lists"][record] - after["lists"][record]) > 0)
        did += ["opt_out"] * (before["permissions"][record] != after["permissions"][record])
    for contact, did in found.items():
        if int(contact) in before["tags"]:
            one = int(contact)
            did += ["add_tag"] * len(after["tags"][one] - before["tags"][one])
            did += ["remove_tag"] * len(before["tags"][one] - after["tags"][one])
            did += ["set_consent"] * (before["consent"][one] != after["consent"][one])
            did += ["set_person"] * (before["names"][one] != after["names"][one])
    assert {one: after["tags"][one] for one in before["tags"] if str(one) not in found} == {
        one: before["tags"][one] for one in before["tags"] if str(one) not in found
    }
    return {key: sorted(did) for key, did in found.items() if did}
