"""Webhooks about contacts: none exist (CC facts 10), the recipe expects them, the stand-in can send them."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from keepstep_sandbox.constant_contact import ContactDelivery
from tests.sandbox.constant_contact.door import Door

URL = "https://example.org/hooks/1"


def hooked(form: str) -> Door:
    door = Door(contact_webhooks=form)
    door.cc.set_contact_webhook("a1", URL, "secret")
    return door


def delivered(door: Door, later: float = 5.0) -> list[ContactDelivery]:
    door.now += later
    return door.cc.due_deliveries(door.now)


def said(deliveries: list[ContactDelivery]) -> list[Any]:
    return [json.loads(one.body) for one in deliveries]


def test_nothing_is_sent_unless_the_switch_says_so() -> None:
    door = hooked("off")
    door.person(email="a@example.org")
    assert delivered(door) == []
    assert door.cc.next_due() is None


def test_an_object_tells_one_change_and_an_array_several() -> None:
    """Account, contact and kind, as the recipe reads them."""
    for form, count in (("object", 2), ("array", 1)):
        door = hooked(form)
        a = door.person(email="a@example.org")
        door.cc.person_opts_out("a1", a, door.now)
        found = delivered(door)
        assert len(found) == count
        told = said(found) if form == "object" else said(found)[0]
        assert [one["event_type"] for one in told] == ["contact.created", "contact.unsubscribed"]
        assert told[0].keys() == {"account_id", "contact_id", "event_type"}
        assert (told[0]["account_id"], told[0]["contact_id"]) == ("a1", a)
        assert found[0].url == URL


def test_the_signature_is_over_the_raw_bytes_in_base64() -> None:
    """CC facts 10.3, v2."""
    door = hooked("object")
    door.person(email="a@example.org")
    (one,) = delivered(door)
    digest = hmac.new(b"secret", one.body, hashlib.sha256).digest()
    assert one.headers["x-ctct-hmac-sha256"] == base64.b64encode(digest).decode()
    assert b"\n" in one.body  # which is not what parsing and writing it again would give


def test_without_a_success_code_it_comes_again_every_minute_for_an_hour() -> None:
    """CC facts 10.3, v3."""
    door = hooked("object")
    door.person(email="a@example.org")
    attempts: list[int] = []
    waiting = delivered(door)
    while waiting:
        attempts.append(waiting[0].attempt)
        door.cc.delivered(waiting[0], 500 if len(attempts) % 2 else None, door.now)
        assert delivered(door, 59.0) == []
        waiting = delivered(door, 1.0)
    assert attempts == list(range(1, 61))
    assert door.cc.next_due() is None


def test_a_delivered_one_never_comes_again() -> None:
    door = hooked("array")
    door.person(email="a@example.org")
    (one,) = delivered(door)
    door.cc.delivered(one, 204, door.now)
    door.cc.delivered(one, 500, door.now)
    assert delivered(door, 7200.0) == []


def test_deliveries_are_lost_doubled_and_late_on_demand() -> None:
    door = hooked("object")
    people = [door.person(email=f"p{at}@example.org") for at in range(3)]
    delivered(door)
    door.cc.lose_next(1)
    door.cc.duplicate_next(1)
    door.cc.delay_next(1, 60.0)
    for one in people:
        door.cc.edit("a1", one, door.now, first_name="New")
    assert [one["contact_id"] for one in said(delivered(door))] == [people[2]]
    assert [one["contact_id"] for one in said(delivered(door, 60.0))] == [people[1], people[1]]


def test_every_act_on_a_contact_is_told_and_the_service_s_own_writes_are_not() -> None:
    door = hooked("object")
    a = door.person(email="a@example.org")
    tag, listed = door.cc.add_tag("a1", "Vip", door.now), door.list("News")
    delivered(door)
    door.cc.person_tagged("a1", a, tag, door.now)
    door.cc.person_joins("a1", a, listed, door.now)
    door.cc.bounce("a1", a, "B", door.now)
    door.cc.complain("a1", a, door.now)
    door.cc.delete("a1", a, door.now)
    kinds = ["contact.updated", "contact.updated", "contact.unsubscribed", "contact.deleted"]
    assert [one["event_type"] for one in said(delivered(door))] == kinds
    door.call("PUT", f"/v3/contacts/{a}", {"update_source": "Account", "first_name": "X"})
    assert delivered(door) == []


@pytest.mark.switch("constant_contact", "contact_webhooks", "array", "object")
def test_a_webhook_that_was_taken_away_gets_nothing_more() -> None:
    door = hooked("object")
    door.person(email="a@example.org")
    door.cc.set_contact_webhook("a1", "", "")
    assert delivered(door) == []
    door.person(email="b@example.org")
    assert delivered(door) == []
