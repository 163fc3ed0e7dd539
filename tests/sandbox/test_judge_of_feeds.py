"""The judge of a feed finds nothing where nothing is wrong, and bites on every kind of wrong."""

from typing import Any

import pytest

from keepstep_sandbox import people as crowd
from keepstep_sandbox.judge import judge
from keepstep_sandbox.judge.fed import IMPORT, SQL, rows_of
from keepstep_sandbox.judge.feeds import MUST_BE_ZERO, failed, judge_feed
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.world import World
from tests.sandbox.oracle import Oracle

HOUR, DAY = 3600.0, 86_400.0


class Town:
    """A table of rows, a list, and somebody who imports by hand, rightly or wrongly."""

    def __init__(self, **switches: str) -> None:
        self.world = World(1, {CONSTANT_CONTACT: switches})
        self.oracle = Oracle(self.world, crowd.first_customer(self.world))
        self.list = self.act("add_list", name="Members")
        self.claims: dict[str, dict[str, Any]] = {}

    def act(self, act: str, /, **values: Any) -> Any:
        return self.world.act(CONSTANT_CONTACT, act, **crowd.with_tenant(self.world, CONSTANT_CONTACT, act, values))

    def row(self, key: str, email: str | None = "", state: str = "done", reason: str = "", **more: Any) -> None:
        """A version of a row, and what the service says of it."""
        email = f"{key}@example.org" if email == "" else email
        values = {"first_name": key.title(), "last_name": "Roe", **more.pop("values", {})}
        self.world.note("staff", SQL, "row", key, feed="f", email=email, lists=[self.list], values=values, **more)
        self.claims[key] = {"key": key, "state": state, "reason": reason}

    def imports(self, *keys: str, wait: float = HOUR, **more: Any) -> None:
        """One import of these keys, and time for it to end."""
        rows = [{"email": f"{one}@example.org", "first_name": one.title(), "last_name": "Roe", **more} for one in keys]
        answer = self.oracle.cc("POST", IMPORT, "", {"import_data": rows, "list_ids": [self.list]})
        assert answer.status == 201 or answer.drop, answer.body
        self.wait(wait)

    def wait(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def who(self, key: str) -> str:
        people = self.world.constant_contact.contacts(ACCOUNT)
        return str(next(one["contact_id"] for one in people if one["email_address"]["address"] == f"{key}@example.org"))

    def found(self) -> dict[str, Any]:
        return judge_feed(self.world, rows_of(self.world, "f"), self.claims.values())

    def wrong(self) -> dict[str, int]:
        """What is not zero that must be."""
        found = self.found()
        assert failed(found) is any(found[one] for one in MUST_BE_ZERO)
        return {one: found[one] for one in MUST_BE_ZERO if found[one]}


@pytest.fixture
def town() -> Town:
    """Three on the list, one without an address, one who opted out before and one with half an address."""
    made = Town()
    out = made.act("add_person", email="out@example.org", permission="unsubscribed")
    assert out
    for key in ("ann", "bob", "cat"):
        made.row(key)
    made.row("nobody", None, "parked", "no_email")
    made.row("half", "half@", "parked", "bad_email")
    made.row("out", state="left_out", reason="opted_out")
    made.wait(HOUR)
    made.imports("ann", "bob", "cat")
    return made


def test_a_feed_that_went_well_adds_up_without_a_finding(town: Town) -> None:
    found = town.found()
    assert found["details"] == []
    assert not failed(found)
    assert (found["rows"], found["on_list"], found["missing"], found["imports"]) == (6, 3, 0, 1)
    assert found["left_out"] == {"bad_address": 1, "no_address": 1, "opted_out": 1}


def test_who_left_was_deleted_or_opted_out_since_need_not_be_there(town: Town) -> None:
    town.act("person_leaves", contact_id=town.who("ann"), list_id=town.list)
    town.act("delete", contact_id=town.who("bob"))
    town.act("person_opts_out", contact_id=town.who("cat"))
    found = town.found()
    assert found["details"] == []
    assert found["left_out"] == {"bad_address": 1, "deleted": 1, "left_list": 1, "no_address": 1, "opted_out": 1} or (
        found["on_list"] == 1
    )


def test_somebody_who_never_came_is_missing(town: Town) -> None:
    town.row("dan")
    assert town.wrong() == {"missing": 1}


def test_somebody_whom_the_service_took_off_is_missing_as_nobody_wished_it(town: Town) -> None:
    number = town.who("ann")
    body = town.world.constant_contact.contact(ACCOUNT, number)
    town.oracle.cc("DELETE", f"/v3/contacts/{number}")
    assert body["list_memberships"] == [town.list]
    assert town.wrong() == {"missing": 1}


def test_rows_beyond_four_megabytes_are_missing_although_the_job_completed() -> None:
    town = Town()
    keys = [f"p{number:05}" for number in range(30_000)]
    for key in (keys[0], keys[-1]):
        town.row(key, values={"last_name": ""})
    town.imports(*keys, street="x" * 100)
    assert town.found()["missing"] == 1


def test_a_row_that_is_not_known_or_left_out_without_a_reason_is_unsaid(town: Town) -> None:
    del town.claims["ann"]
    town.claims["nobody"]["reason"] = ""
    town.claims["out"] = {"key": "out", "state": "done", "reason": ""}
    assert town.wrong() == {"unsaid": 3}


def test_the_same_version_twice_with_an_effect_is_doubled(town: Town) -> None:
    """A re-run writes over what the person changed since."""
    town.act("edit", contact_id=town.who("ann"), first_name="Anna")
    town.imports("ann")
    assert town.wrong() == {"doubled": 1, "wrong_fields": 1}


def test_the_same_version_twice_without_an_effect_is_not_doubled(town: Town) -> None:
    town.imports("ann", "bob")
    assert town.wrong() == {}


def test_a_new_version_is_no_second_effect(town: Town) -> None:
    town.row("ann", values={"last_name": "Low"})
    town.wait(HOUR)
    town.imports("ann", last_name="Low")
    assert town.wrong() == {}


def test_a_new_version_that_did_not_arrive_is_a_wrong_field(town: Town) -> None:
    town.row("ann", values={"last_name": "Low"})
    town.wait(HOUR)
    assert town.wrong() == {"wrong_fields": 1}


def test_who_left_and_is_on_the_list_again_was_put_back(town: Town) -> None:
    town.act("person_leaves", contact_id=town.who("ann"), list_id=town.list)
    town.wait(HOUR)
    town.row("ann", values={"last_name": "Low"})
    town.imports("ann", last_name="Low")
    assert town.wrong() == {"put_back": 1}


def test_newer_permission_lets_who_left_be_put_back(town: Town) -> None:
    town.act("person_leaves", contact_id=town.who("ann"), list_id=town.list)
    town.wait(HOUR)
    town.row("ann", permitted=town.world.now)
    assert town.wrong() == {"missing": 1}, "and then it is asked for"
    town.imports("ann")
    assert town.wrong() == {}


def test_an_own_return_is_nobody_elses_doing(town: Town) -> None:
    town.act("person_leaves", contact_id=town.who("ann"), list_id=town.list)
    town.wait(HOUR)
    town.act("person_joins", contact_id=town.who("ann"), list_id=town.list)
    assert town.wrong() == {}


def test_a_deleted_person_whom_an_import_brings_back_is_revived_and_put_back(town: Town) -> None:
    town.act("delete", contact_id=town.who("bob"))
    town.wait(HOUR)
    town.imports("bob")
    assert town.wrong() == {"doubled": 1, "put_back": 1, "revived": 1}


def test_newer_permission_may_revive(town: Town) -> None:
    town.act("delete", contact_id=town.who("bob"))
    town.wait(HOUR)
    town.row("bob", permitted=town.world.now)
    town.imports("bob")
    assert town.wrong() == {}


def test_an_import_of_somebody_who_is_out_for_long_is_mailing_them(town: Town) -> None:
    """Constant Contact keeps them off the list, and a service must not count on it."""
    town.wait(DAY)
    town.imports("out")
    assert town.wrong() == {"mailed_opted_out": 1}


def test_an_opt_out_at_virtuous_counts_too(town: Town) -> None:
    method = {"type": "Home Email", "value": "dan@example.org", "isOptedIn": True, "isPrimary": True}
    person = {"firstName": "Dan", "lastName": "Roe", "contactMethods": [method]}
    values = {"contactType": "Household", "name": "Dan Roe", "contactIndividuals": [person]}
    town.world.act(VIRTUOUS, "add_contact", ORGANIZATION, **values)
    made = town.world.virtuous.contacts(ORGANIZATION)[0]["contactIndividuals"][0]["contactMethods"][0]
    town.world.act(VIRTUOUS, "staff_opts", ORGANIZATION, made["id"], opted_in=False)
    town.wait(DAY)
    town.row("dan", state="left_out", reason="opted_out")
    assert town.wrong() == {}
    town.imports("dan")
    assert town.wrong() == {"mailed_opted_out": 1}


def test_an_opt_out_that_crossed_with_the_import_is_forgiven(town: Town) -> None:
    town.row("dan", state="left_out", reason="opted_out")
    town.imports("dan", wait=0)
    town.act("person_opts_out", contact_id=town.act("add_person", email="other@example.org"))
    town.wait(HOUR)
    town.act("person_opts_out", contact_id=town.who("dan"))
    assert town.wrong() == {}


def test_an_opted_out_person_made_mailable_is_never_forgiven(town: Town) -> None:
    number = town.who("out")
    email = {"address": "out@example.org", "permission_to_send": "implicit"}
    town.oracle.cc("PUT", f"/v3/contacts/{number}", "", {"update_source": "Account", "email_address": email})
    assert town.wrong() == {"mailed_opted_out": 1, "missing": 1}


@pytest.mark.parametrize("name", ["first_name", "last_name"])
def test_a_wrong_name_is_a_wrong_field(town: Town, name: str) -> None:
    town.row("dan")
    town.imports("dan", **{name: "Nobody"})
    assert town.wrong() == {"wrong_fields": 1}


def test_a_number_that_the_import_dropped_is_a_wrong_field(town: Town) -> None:
    town.row("dan", values={"phone": "+44 20 7946 0958"})
    town.imports("dan", mobile_phone="+44 20 7946 0958")
    assert town.wrong() == {"wrong_fields": 1}
    phones = [{"phone_number": "+44 20 7946 0958", "kind": "mobile"}]
    body = {"update_source": "Account", "phone_numbers": phones, "first_name": "Dan", "last_name": "Roe"}
    email = {"address": "dan@example.org", "permission_to_send": "implicit"}
    town.oracle.cc("PUT", f"/v3/contacts/{town.who('dan')}", "", {**body, "email_address": email})
    assert town.wrong() == {}


def test_a_wrong_street_is_a_wrong_field(town: Town) -> None:
    town.row("dan", values={"street": "1 Main", "city": "Oslo", "country": "Norway"})
    town.row("eve", values={"street": "1 Main", "city": "Oslo", "country": "Norway"})
    town.imports("dan", street="1 Main", city="Bergen", country="Norway")
    town.imports("eve", street="1 MAIN", city="Oslo", country="Norway")
    assert town.wrong() == {"wrong_fields": 1}


def test_an_edit_that_crossed_with_the_row_may_stand_or_not(town: Town) -> None:
    town.row("dan")
    made = town.act("add_person", email="dan@example.org", first_name="Daniel", last_name="Roe")
    town.wait(HOUR)
    town.act("edit", contact_id=made, first_name="Danny")
    town.imports("dan")
    assert town.wrong() == {}


def test_a_row_that_waits_for_a_person_is_left_out_with_its_reason(town: Town) -> None:
    """A name of 300 letters: planted, and parked with a reason; without one it is missing."""
    town.row("long", state="parked", reason="name_too_long", odd="name_too_long")
    found = town.found()
    assert (found["left_out"]["name_too_long"], found["missing"]) == (1, 0)
    town.claims["long"]["state"] = "done"
    assert town.wrong() == {"missing": 1}


def test_an_import_whose_answer_was_lost_is_counted_as_sent(town: Town) -> None:
    """Repeated without a look, it would be the second of one version; it changes nothing, so nobody is harmed."""
    town.row("dan")
    town.world.faults.arm("reset_after", path=IMPORT)
    town.imports("dan")
    town.imports("dan")
    assert town.wrong() == {}
    assert town.found()["imports"] == 3


def test_a_moved_person_is_followed_by_the_contact(town: Town) -> None:
    town.act("edit", contact_id=town.who("ann"), email="anna@example.org")
    assert town.wrong() == {}


def reasons(town: Town) -> list[str]:
    """What the judge of the sync says of the same world."""
    return [str(one["reason"]) for one in judge(town.world, [])["details"]]


def test_the_judge_of_the_sync_takes_newer_permission_for_a_wish_and_an_import_for_no_echo(town: Town) -> None:
    town.act("person_leaves", contact_id=town.who("ann"), list_id=town.list)
    town.wait(HOUR)
    town.row("ann", permitted=town.world.now)
    town.imports("ann")
    town.imports("ann", "bob")
    assert not any("person_leaves" in one or "import" in one for one in reasons(town))


def test_the_judge_of_the_sync_sees_who_was_put_back_without_permission(town: Town) -> None:
    town.act("person_leaves", contact_id=town.who("ann"), list_id=town.list)
    town.wait(HOUR)
    town.imports("ann")
    assert any("person_leaves" in one for one in reasons(town))


def test_what_an_import_changes_of_people_of_no_row_is_collateral(town: Town) -> None:
    town.imports("stranger")
    assert any("changed at Constant Contact by the service" in one for one in reasons(town))
