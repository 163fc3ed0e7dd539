"""Fields that staff change are written back where the route says so, and nothing else of a contact is: not its consent,
not an edit that came in between, nobody who is gone."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from keepstep.model.contact import Side
from keepstep.model.customer import Policy
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Crossing, methods
from tests.flows.test_changes import PLACE
from tests.flows.test_consent import linked

ALL = {"fields_to_audience": ("first_name", "last_name", "phone", "address")}
MAIL = "/v3/contacts"


def rename(c: Crossing, record: str, **names: str) -> None:
    person = c.there(record)["contactIndividuals"][0]["id"]
    c.v.staff_renames(CUSTOMER, person, c.now(), **names)


def puts(c: Crossing) -> list[dict[str, Any]]:
    return [json.loads(one.request.body) for one in c.made("PUT", MAIL)]


def during(c: Crossing, act: Callable[[], object], method: str = "PUT", after: bool = False) -> None:
    """Let somebody act just before, or just after, the first call of a method to a contact is answered."""
    done: list[bool] = []

    def wire(vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
        mine = vendor == "constant_contact" and request.method == method and request.path.startswith(f"{MAIL}/")
        if mine and not done and not after:
            done.append(True)
            act()
        answer = handle()
        if mine and not done:
            done.append(True)
            act()
        return answer

    c.wire = wire


def test_fields_are_written_back_only_where_the_route_says_so() -> None:
    with Crossing() as c:
        ann = linked(c)
        rename(c, ann, first_name="Annie")
        c.wait(hours=2)
        assert c.here(ann)["first_name"] == "Ann"
        assert puts(c) == []


def test_staffs_edits_of_every_field_are_one_write_and_then_quiet() -> None:
    with Crossing(policy=ALL) as c:
        ann = linked(c, phones=[("mobile", "202-555-0111")], addresses=[PLACE], permission="explicit")
        contact = c.there(ann)
        person = contact["contactIndividuals"][0]["id"]
        kept = c.here(ann)["email_address"]
        c.v.staff_renames(CUSTOMER, person, c.now(), first_name="Annie", last_name="Lane")
        c.v.staff_sets_phone(CUSTOMER, person, c.now(), "202-555-0199")
        c.v.staff_sets_address(CUSTOMER, contact["id"], c.now(), address1="2 Oak Ave", city="Everett")
        c.wait(minutes=12)
        here = c.here(ann)
        assert (here["first_name"], here["last_name"]) == ("Annie", "Lane")
        assert [one["phone_number"] for one in here["phone_numbers"]] == ["202-555-0199"]
        assert [one["street"] for one in here["street_addresses"]] == ["2 Oak Ave"]
        assert here["email_address"] == kept
        assert len(puts(c)) == 1
        written = len(c.writes())
        c.wait(hours=30)
        assert len(c.writes()) == written
        assert c.standing(ann) == ("in_step", "")


def test_an_edit_of_both_sides_is_the_owners_and_the_loser_is_listed_once() -> None:
    with Crossing(policy=ALL) as c:
        ann = linked(c)
        c.v.lose_next(100)
        rename(c, ann, first_name="Annie")
        c.edits(ann, first_name="Anna")
        c.wait(hours=3)
        assert c.here(ann)["first_name"] == "Annie"
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Annie"
        assert c.lines("conflict") == [{"record": ann, "field": "first_name"}]


def test_a_write_waits_until_nobody_has_changed_the_contact_for_ten_minutes() -> None:
    with Crossing(policy=ALL) as c:
        ann = linked(c)
        c.edits(ann, job_title="Boss")
        rename(c, ann, first_name="Annie")
        c.wait(minutes=9)
        assert puts(c) == []
        c.edits(ann, job_title="Big boss")
        c.wait(minutes=9)
        assert puts(c) == []
        c.wait(minutes=5)
        assert c.here(ann)["first_name"] == "Annie"
        assert c.here(ann)["job_title"] == "Big boss"


def test_an_edit_that_nobody_has_read_is_not_written_over() -> None:
    """The write compares what the decision saw, and is decided anew: here the edit's side owns the field."""
    owners = {**Policy().owners, "phone": Side.audience}
    with Crossing(policy={**ALL, "owners": owners}) as c:
        ann = linked(c, phones=[("mobile", "202-555-0111")])
        c.edits(ann, phones=[("mobile", "202-555-0122")])
        person = c.there(ann)["contactIndividuals"][0]["id"]
        c.v.staff_sets_phone(CUSTOMER, person, c.now(), "202-555-0133")
        c.wait(minutes=5)
        assert c.here(ann)["phone_numbers"][0]["phone_number"] == "202-555-0122"
        assert [one["value"] for one in methods(c.there(ann), "phone")] == ["202-555-0122"]
        assert puts(c) == []


@pytest.mark.parametrize("permission", ["explicit", "implicit", "temp_hold"])
def test_a_write_of_fields_says_nothing_of_consent(permission: str) -> None:
    with Crossing(policy=ALL) as c:
        ann = linked(c, permission="explicit")
        c.edits(ann, permission=permission)
        rename(c, ann, first_name="Annie")
        c.wait(hours=26)
        assert c.here(ann)["first_name"] == "Annie"
        assert c.permission(ann) == permission
        assert [body["email_address"]["permission_to_send"] for body in puts(c)] == [permission]


def test_nobody_deleted_or_out_is_written() -> None:
    """The deletion and the opt-out are not read yet when the write is decided."""
    with Crossing(policy=ALL) as c:
        ann, bob = c.person(), c.person("bob@example.org", first="Bob", last="Ray")
        c.connect()
        c.night()
        c.cc.delete(CUSTOMER, ann, c.now())
        c.opts_out(bob)
        rename(c, ann, first_name="Annie")
        rename(c, bob, first_name="Bobby")
        c.wait(hours=3)
        assert c.here(ann).get("deleted_at")
        assert c.permission(bob) == "unsubscribed"
        assert (c.here(ann)["first_name"], c.here(bob)["first_name"]) == ("Ann", "Bob")
        assert puts(c) == []


def test_an_opt_out_inside_our_write_ends_opted_out_on_both_sides() -> None:
    with Crossing(policy=ALL) as c:
        ann = linked(c, permission="explicit")
        during(c, lambda: c.cc.campaign_opt_out(CUSTOMER, ann, c.now(), "too many"))
        rename(c, ann, first_name="Annie")
        c.wait(minutes=1)
        email = c.here(ann)["email_address"]
        assert (email["permission_to_send"], email.get("opt_out_source")) == ("unsubscribed", "Contact")
        assert c.lines("raced_optout") == [{"record": ann, "written": True}]
        assert c.status()["raced_optouts"] == 1
        c.wait(minutes=5)
        assert c.consents(ann) == [False]
        c.wait(hours=30)
        assert c.permission(ann) == "unsubscribed" and c.consents(ann) == [False]


@pytest.mark.parametrize("fault", ["503", "reset_after"])
def test_a_raced_opt_out_whose_repair_fails_is_written_by_the_next_decision(fault: str) -> None:
    with Crossing(policy=ALL) as c:
        ann = linked(c, permission="explicit")
        during(c, lambda: c.cc.campaign_opt_out(CUSTOMER, ann, c.now()))
        c.faults.arm(fault, vendor="constant_contact", method="PUT", skip=1)
        rename(c, ann, first_name="Annie")
        c.wait(minutes=5)
        assert c.permission(ann) == "unsubscribed"
        assert c.consents(ann) == [False]
        assert c.status()["raced_optouts"] == 1


@pytest.mark.parametrize("fault", ["503", "reset_before", "reset_after", "truncated"])
def test_after_a_lost_answer_nothing_is_written_to_that_contact_for_two_minutes(fault: str) -> None:
    with Crossing(policy=ALL) as c:
        news = c.a_list("Newsletter")
        ann = linked(c, permission="explicit")
        c.faults.arm(fault, vendor="constant_contact", method="PUT")
        c.v.lose_next(100)  # the poll finds both at once, so that both writes are decided before the first one is lost
        rename(c, ann, first_name="Annie")
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        while not c.made("PUT", MAIL):
            c.wait(minutes=0.5)
        [lost] = c.made("PUT", MAIL)
        c.until(lost.at + 119)
        after = c.calls[c.calls.index(lost) + 1 :]
        assert [one for one in after if one.request.method != "GET" and one.vendor == "constant_contact"] == []
        c.wait(minutes=5)
        assert c.here(ann)["first_name"] == "Annie"
        assert c.here(ann)["list_memberships"] == [news]


def test_a_persons_own_opt_out_inside_our_opt_out_stays_their_own() -> None:
    with Crossing() as c:
        ann = linked(c, permission="explicit")
        during(c, lambda: c.opts_out(ann, "too many"))
        c.v.staff_opts(CUSTOMER, c.there(ann)["contactIndividuals"][0]["contactMethods"][0]["id"], False, c.now())
        c.wait(minutes=5)
        email = c.here(ann)["email_address"]
        assert (email["permission_to_send"], email["opt_out_source"]) == ("unsubscribed", "Contact")
