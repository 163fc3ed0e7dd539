"""First connection: stages, the plan, doing exactly it, the hours of bulk work, going from one way to both."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.errors import Refused, Transient
from keepstep.wiring import plans
from tests.flows.crossing import CUSTOMER, Crossing, emails


def at_stage(c: Crossing, stage: str, **more: Any) -> None:
    """The settings file says something else, and the service was started again."""
    c.policy = replace(c.policy, stage=stage, **more)
    c.open()


def drawn(c: Crossing) -> dict[str, Any]:
    """What `keepstep plan` does and prints."""
    c.ask(plans.begin(c.service, CUSTOMER))
    c.wait(minutes=10)
    return dict(c.ask(plans.draw(c.service, CUSTOMER)))


def applied(c: Crossing, checksum: str) -> dict[str, Any]:
    return dict(c.ask(plans.apply(c.service, CUSTOMER, checksum)))


def effects(c: Crossing) -> int:
    return len(c.writes())


def a_mixed_world(c: Crossing) -> dict[str, Any]:
    """People of every fate on both sides."""
    news, gala = c.a_list("News"), c.a_list("Gala")
    found: dict[str, Any] = {"news": news, "gala": gala}
    found["new"] = [c.person(f"new{n}@example.org", "New", f"Person{n}", lists=[news]) for n in range(12)]
    found["known"] = []
    for n in range(8):
        c.household(f"known{n}@example.org", "Known", f"Person{n}")
        found["known"].append(c.person(f"known{n}@example.org", "Known", f"Person{n}", lists=[gala]))
    found["out"] = c.person("out@example.org", "Out", "Person", lists=[news])
    c.opts_out(found["out"])
    c.household("staff@example.org", "Only", "There", tags=["CC: News"])
    found["tagged"] = c.household("tagged@example.org", "Tagged", "Person", tags=["CC: News"])
    found["tagged_here"] = c.person("tagged@example.org", "Tagged", "Person")
    return found


# --- stages ----------------------------------------------------------------------------------------------------------


def test_who_only_observes_writes_nothing_at_either_vendor_and_decides_everything() -> None:
    with Crossing(policy={"stage": "observe"}) as c:
        a_mixed_world(c)
        before = effects(c)
        c.connect()
        c.wait(hours=30)
        assert effects(c) == before
        assert c.made("POST", "/api/Webhook") == []
        assert [one for one in c.calls if one.request.method in ("PUT", "DELETE", "PATCH")] == []
        held = c.status()["steps_held"]
        assert held["shadow"] >= 20 and set(held) <= {"shadow", "shadow gate"}


# --- the plan --------------------------------------------------------------------------------------------------------


@pytest.fixture
def planned() -> Iterator[tuple[Crossing, dict[str, Any], dict[str, Any]]]:
    """A new customer whose plan is drawn and not applied; the world, the plan."""
    with Crossing(policy={"stage": "observe"}) as c:
        world = a_mixed_world(c)
        c.connect()
        plan = drawn(c)
        yield c, world, plan


Planned = tuple[Crossing, dict[str, Any], dict[str, Any]]


def test_a_plan_says_what_would_become_of_everybody(planned: Planned) -> None:
    _, world, plan = planned
    people = {name: count for name, count in plan["people"].items() if count and not name.endswith("reasons")}
    assert people == {"created": 12, "created_opted_out": 1, "linked": 9}
    alone = {name: value for name, value in plan["crm_only"].items() if value}
    assert alone == {"policy": "leave", "people": 1}
    assert plan["steps"]["crm"] == {"add_tag": 8, "create": 1, "link": 9, "submit": 12}
    assert plan["steps"]["audience"] == {"join": 1}
    news = next(row for row in plan["labels"] if row["list"] == "News")
    assert (news["tagged"], news["joined"], news["paused"]) == (12, 1, None)
    assert {row["record"]: row["steps"] for row in plan["records"]}[world["tagged_here"]] == ["join", "link"]
    assert plan["stage"] == "both" and plan["first"] is True


def test_a_plan_foresees_what_a_bounce_will_close_once_its_person_is_linked() -> None:
    with Crossing(policy={"stage": "observe"}) as c:
        c.household("bounced@example.org", "Bounced", "Person")
        bounced = c.person("bounced@example.org", "Bounced", "Person", lists=[c.a_list("News")])
        c.cc.bounce(CUSTOMER, bounced, "B", c.now())
        c.connect()
        plan = drawn(c)
        assert [row["steps"] for row in plan["records"]] == [["add_tag", "link", "note", "set_consent"]]
        before = state(c)
        at_stage(c, "both")
        assert applied(c, plan["checksum"])["dropped"] == []
        c.wait(hours=2)
        assert diff(before, state(c)) == {bounced: ["add_tag", "link", "set_consent"]}
        assert len(c.made("POST", "/api/ContactNote")) == 1


def test_a_plan_drawn_again_on_the_same_world_is_the_same(planned: Planned) -> None:
    c, _, plan = planned
    assert drawn(c) == plan
    with Crossing(policy={"stage": "observe"}) as other:
        a_mixed_world(other)
        other.connect()
        assert drawn(other)["steps"] == plan["steps"]


def test_a_plan_that_is_not_applied_holds_everything_whatever_the_stage(planned: Planned) -> None:
    c, world, _ = planned
    before = effects(c)
    at_stage(c, "both")
    c.opts_out(world["new"][0])
    c.wait(hours=30)
    subscribed = [one for one in c.writes()[before:] if "Webhook" not in one.request.path]
    assert subscribed == []


def test_a_plan_cannot_be_drawn_before_both_sides_are_read() -> None:
    with Crossing(policy={"stage": "observe"}) as c:
        a_mixed_world(c)
        c.consent(c.refresh_tokens[CUSTOMER])
        c.key("v_key")
        c.ask(plans.begin(c.service, CUSTOMER))
        with pytest.raises(Transient):
            c.ask(plans.draw(c.service, CUSTOMER))


# --- doing exactly it ------------------------------------------------------------------------------------------------


def tags_there(c: Crossing) -> dict[int, set[str]]:
    return {one["id"]: {tag["name"] if isinstance(tag, dict) else tag for tag in one["tags"]} for one in c.everybody()}


def lists_here(c: Crossing) -> dict[str, set[str]]:
    return {one["contact_id"]: set(one["list_memberships"]) for one in c.cc.contacts(CUSTOMER)}


def permissions(c: Crossing) -> dict[str, Any]:
    return {one["contact_id"]: one["email_address"]["permission_to_send"] for one in c.cc.contacts(CUSTOMER)}


def references(c: Crossing) -> dict[str, int]:
    return {ref["id"]: one["id"] for one in c.everybody() for ref in one["contactReferences"]}


def state(c: Crossing) -> dict[str, Any]:
    """Both sides: what a plan speaks of."""
    consent = {one["id"]: [method["isOptedIn"] for method in emails(one)] for one in c.everybody()}
    names = {one["id"]: [(i["firstName"], i["lastName"]) for i in one["contactIndividuals"]] for one in c.everybody()}
    return {
        "tags": tags_there(c),
        "lists": lists_here(c),
        "permissions": permissions(c),
        "references": references(c),
        "consent": consent,
        "names": names,
    }


def diff(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[str]]:
    """Per record of ours what happened to it, in the words of a plan's steps; anything else by its own name."""
    found: dict[str, list[str]] = {}
    for record, contact in after["references"].items():
        did = found.setdefault(record, [])
        if contact in before["tags"]:
            did += ["link"] if record not in before["references"] else []
            did += ["add_tag"] * len(after["tags"][contact] - before["tags"][contact])
            did += ["remove_tag"] * len(before["tags"][contact] - after["tags"][contact])
            did += ["set_consent"] if before["consent"][contact] != after["consent"][contact] else []
            did += ["set_person"] if before["names"][contact] != after["names"][contact] else []
        else:
            did += ["create" if after["consent"][contact] == [False] else "submit"]
    for record in after["lists"]:
        did = found.setdefault(record, [])
        did += ["join"] * (len(after["lists"][record] - before["lists"][record]) > 0)
        did += ["leave"] * (len(before["lists"][record] - after["lists"][record]) > 0)
        did += ["opt_out"] * (before["permissions"][record] != after["permissions"][record])
    untouched = set(before["tags"]) - set(after["references"].values())
    assert all(before["tags"][one] == after["tags"][one] for one in untouched)
    return {record: sorted(did) for record, did in sorted(found.items()) if did}


def test_what_the_stand_ins_hold_afterwards_is_the_plan_record_by_record(planned: Planned) -> None:
    c, _, plan = planned
    before = state(c)
    at_stage(c, "both")
    done = applied(c, plan["checksum"])
    assert done["state"] == "applied" and done["dropped"] == []
    assert done["steps"] == 22
    c.night()
    c.wait(hours=2)
    assert diff(before, state(c)) == {row["record"]: row["steps"] for row in plan["records"]}
    assert c.standings() == {"in_step": 22}
    assert c.letters() == []
    written = effects(c)
    c.wait(days=2)
    assert effects(c) == written


def test_its_calls_are_within_a_tenth_of_the_plan() -> None:
    """To the call, where no webhook brings our own writes back; with them, a big plan does (test_plan_scale.py)."""
    with Crossing(policy={"stage": "observe"}, public_url=None) as c:
        a_mixed_world(c)
        c.connect()
        plan = drawn(c)
        at_stage(c, "both")
        c.wait(minutes=1)
        before = len(c.calls)
        applied(c, plan["checksum"])
        c.wait(minutes=9)
        made = Counter(one.vendor for one in c.calls[before:])
    for vendor, cost in plan["cost"].items():
        assert abs(made[vendor] - cost["calls"]) <= max(1, 0.1 * cost["calls"])


def test_who_changed_since_is_dropped_listed_and_planned_again(planned: Planned) -> None:
    c, world, plan = planned
    late = world["new"][3]
    c.edits(late, last_name="Changed")
    c.wait(hours=2)
    newcomer = c.person("late@example.org", "Late", "Comer")
    c.wait(hours=2)
    at_stage(c, "both")
    done = applied(c, plan["checksum"])
    assert done["state"] == "applied"
    assert sorted(done["dropped"]) == sorted([late, newcomer])
    assert done["steps"] == 21
    c.night()
    c.wait(hours=1)
    assert c.carriers(late) == [] and c.carriers(newcomer) == []
    again = drawn(c)
    assert again["first"] is False
    assert {row["record"] for row in again["records"]} == {late, newcomer}
    applied(c, again["checksum"])
    c.night()
    c.wait(hours=1)
    assert c.there(late)["contactIndividuals"][0]["lastName"] == "Changed"
    assert c.standings() == {"in_step": 23}


def test_a_dropped_persons_opt_out_does_not_wait_for_the_next_plan(planned: Planned) -> None:
    c, world, plan = planned
    known = world["known"][0]
    at_stage(c, "both")
    applied(c, plan["checksum"])
    c.night()
    c.wait(hours=1)
    c.ask(plans.begin(c.service, CUSTOMER))
    c.opts_out(known)
    c.wait(hours=1)
    assert c.consents(known) == [False]


# --- refusing --------------------------------------------------------------------------------------------------------


def refused(c: Crossing, checksum: str) -> str:
    before = effects(c)
    done = applied(c, checksum)
    assert (done["state"], done["steps"]) == ("refused", 0)
    c.wait(hours=1)
    assert [one for one in c.writes()[before:] if "Webhook" not in one.request.path] == []
    return str(done["refused"])


def test_a_changed_mapping_refuses_the_whole_plan(planned: Planned) -> None:
    c, _, plan = planned
    at_stage(c, "both", added_tag_goes_to="all")
    assert "mapping" in refused(c, plan["checksum"])


def test_a_new_list_is_a_changed_mapping(planned: Planned) -> None:
    c, _, plan = planned
    at_stage(c, "both")
    c.a_list("Brand new")
    c.wait(hours=2)
    assert "mapping" in refused(c, plan["checksum"])


def test_another_account_refuses_the_whole_plan(planned: Planned) -> None:
    c, _, plan = planned
    at_stage(c, "both")

    known_as(c, "somebody else's", "another name")
    assert "account" in refused(c, plan["checksum"])


def test_a_renamed_organization_or_another_users_key_is_the_same_account(planned: Planned) -> None:
    c, _, plan = planned
    at_stage(c, "both")
    desk = c.ask(c.service.desk(CUSTOMER))
    known, *_ = c.ask(desk.crm.names())
    known_as(c, known, "renamed since")
    assert applied(c, plan["checksum"])["state"] == "applied"
    again = drawn(c)
    known_as(c, "another user", "renamed since")
    assert applied(c, again["checksum"])["state"] == "applied"


def known_as(c: Crossing, *names: str) -> None:
    """The CRM's account is known by these from now on."""

    async def read() -> tuple[str, ...]:
        return names

    desk = c.ask(c.service.desk(CUSTOMER))
    c.service._desks[CUSTOMER] = replace(desk, crm=_With(desk.crm, read))


class _With:
    """A CRM whose account is another one."""

    def __init__(self, crm: Any, names: Any) -> None:
        self._crm, self.names = crm, names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._crm, name)


def test_too_many_changes_refuse_the_whole_plan() -> None:
    with Crossing(policy={"stage": "observe"}) as c:
        people = [c.person(f"p{n}@example.org", "P", f"Person{n}") for n in range(40)]
        c.connect()
        plan = drawn(c)
        for one in people[:20]:
            c.edits(one, last_name="Changed")
        c.wait(hours=2)
        at_stage(c, "both")
        c.edits(people[20], last_name="Changed")
        c.wait(hours=2)
        assert "21 of 40" in refused(c, plan["checksum"])


def test_who_only_observes_applies_nothing(planned: Planned) -> None:
    c, _, plan = planned
    assert "observes" in refused(c, plan["checksum"])


def test_a_checksum_of_no_plan_is_wrong_input(planned: Planned) -> None:
    c, _, plan = planned
    at_stage(c, "both")
    with pytest.raises(Refused):
        applied(c, "0" * 16)
    applied(c, plan["checksum"])
    with pytest.raises(Refused):
        applied(c, plan["checksum"])


def test_a_discarded_plan_leaves_it_to_the_stage(planned: Planned) -> None:
    c, world, _ = planned
    at_stage(c, "both")
    c.ask(plans.discard(c.service, CUSTOMER))
    c.wait(minutes=5)
    assert c.carriers(world["known"][0])


# --- the hours of bulk work ------------------------------------------------------------------------------------------


def test_outside_its_hours_only_consent_and_changes_go_out() -> None:
    # Virtual time begins on a Sunday at 22:06 in Phoenix.
    night = {"bulk_hours": "01:00-05:00", "bulk_zone": "America/Phoenix"}
    with Crossing(policy=night) as c:
        a_mixed_world(c)
        c.connect()
        c.wait(hours=1)
        assert [one for one in c.made("POST", "/api/Contact/Batch") if one.answer.effects] == []
        held = c.status()
        assert held["steps_held"]["window"] >= 20
        assert held["window"]["open"] is False and held["window"]["opens"].endswith("T08:00:00Z")
        late = c.person("late@example.org", "Late", "Comer")
        c.wait(hours=1, minutes=10)
        assert c.standing(late) == ("pending", "submission_waiting")
        c.wait(hours=2)
        assert c.status()["window"]["open"] is True
        assert "window" not in c.status()["steps_held"]
        assert len([one for one in c.made("POST", "/api/Contact/Batch") if one.answer.effects]) == 1


def test_a_plan_is_bulk_work() -> None:
    policy = {"stage": "observe", "bulk_hours": "01:00-05:00", "bulk_zone": "America/Phoenix"}
    with Crossing(policy=policy) as c:
        world = a_mixed_world(c)
        c.connect()
        plan = drawn(c)
        assert plan["window"]["open"] is False
        at_stage(c, "both")
        applied(c, plan["checksum"])
        c.wait(hours=1)
        assert c.carriers(world["known"][0]) == []
        c.wait(hours=3)
        assert len(c.carriers(world["known"][0])) == 1


def test_a_change_of_somebody_whose_plan_is_done_is_no_bulk_work() -> None:
    with Crossing(policy={"stage": "observe"}) as c:
        c.household("known@example.org", "Known", "Person")
        known = c.person("known@example.org", "Known", "Person")
        c.connect()
        plan = drawn(c)
        at_stage(c, "both")
        applied(c, plan["checksum"])
        c.wait(hours=6)
        assert len(c.carriers(known)) == 1
        at_stage(c, "both", bulk_hours="01:00-02:00", bulk_zone="America/Phoenix")
        c.edits(known, last_name="Renamed")
        c.wait(hours=1)
        assert c.there(known)["contactIndividuals"][0]["lastName"] == "Renamed"


# --- from one way to both --------------------------------------------------------------------------------------------


def test_one_way_writes_nothing_to_the_audience_side_but_opt_outs() -> None:
    with Crossing(policy={"stage": "one_way"}) as c:
        world = a_mixed_world(c)
        c.connect()
        c.night()
        c.wait(hours=1)
        assert c.made("POST", "/v3/activities") == []
        assert c.status()["steps_held"] == {"one_way gate": 1}
        known = c.there(world["known"][0])
        c.v.staff_opts(CUSTOMER, emails(known)[0]["id"], False, c.now())
        c.wait(hours=1)
        assert c.permission(world["known"][0]) == "unsubscribed"


# 500 on a machine that has minutes for it.
INSTALLED = int(os.environ.get("KEEPSTEP_TEST_PEOPLE", "200"))


def test_people_of_one_way_go_both_ways_without_an_echo_or_an_invented_opt_out() -> None:
    with Crossing(policy={"stage": "one_way"}) as c:
        news, gala = c.a_list("News"), c.a_list("Gala")
        people = [
            c.person(f"p{n}@example.org", "P", f"Person{n}", lists=[news] if n % 2 else []) for n in range(INSTALLED)
        ]
        c.connect()
        c.night()
        c.wait(days=1)
        assert c.standings() == {"in_step": INSTALLED}
        for one in people[:3]:
            c.v.staff_adds_tag(CUSTOMER, c.there(one)["id"], "CC: Gala", c.now())
        c.wait(hours=2)
        before, written = state(c), effects(c)
        at_stage(c, "both")
        c.wait(days=2)
        changed = diff(before, state(c))
        # The list job, which takes effect by itself later, is all that was asked for.
        assert c.writes()[written:] == []
        assert {one.request.path.split("/")[-1] for one in c.made("POST", "/v3")} == {"add_list_memberships"}
        assert changed == {one: ["join"] for one in sorted(people[:3])}
        assert Counter(permissions(c).values()) == Counter(before["permissions"].values())
        assert c.standings() == {"in_step": INSTALLED}
        assert c.letters() == [] and lists_here(c)[people[0]] == {gala}
