"""Webhooks of Virtuous: every envelope, every spelling of the signature, lost, late, doubled; the poll is the net."""

import base64
import hashlib
import hmac
import json

import pytest

from tests.flows.crossing import CUSTOMER, Crossing, emails
from tests.flows.test_consent import linked


@pytest.mark.parametrize("encoding", ["base64", "hex"])
@pytest.mark.parametrize("envelope", ["observed", "guide"])
@pytest.mark.parametrize("record", ["full", "lean"])
def test_every_delivery_is_taken_and_understood(envelope: str, encoding: str, record: str) -> None:
    with Crossing(v={"webhook-envelope": envelope, "signature-encoding": encoding, "webhook-record": record}) as c:
        news = c.a_list("Newsletter")
        people = [c.person(f"p{n}@example.org", f"F{n}", f"L{n}") for n in range(3)]
        c.connect()
        c.night()
        c.v.bulk_adds_tag(CUSTOMER, [c.there(one)["id"] for one in people], "CC: Newsletter", c.now())
        c.wait(minutes=5)
        assert c.answered and set(c.answered) == {200}
        assert [c.here(one)["list_memberships"] for one in people] == [[news]] * 3
        assert c.lines("delivery_not_understood") == []


def test_lost_webhooks_are_made_up_for_by_the_poll() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.v.lose_next(10_000)
        c.connect()
        c.night()
        assert c.standings() == {"in_step": 2}
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.v.staff_opts(CUSTOMER, emails(c.there(bob))[0]["id"], False, c.now())
        c.wait(hours=1, minutes=10)
        assert c.answered == []
        assert c.here(ann)["list_memberships"] == [news]
        assert c.permission(bob) == "unsubscribed"


def test_doubled_and_reordered_webhooks_have_one_effect() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = linked(c)
        c.v.duplicate_next(4)
        c.v.reorder_next(4)
        contact = c.there(ann)["id"]
        c.v.staff_adds_tag(CUSTOMER, contact, "CC: Newsletter", c.now())
        c.v.staff_removes_tag(CUSTOMER, contact, "CC: Newsletter", c.now())
        c.v.staff_adds_tag(CUSTOMER, contact, "CC: Newsletter", c.now())
        c.wait(minutes=10)
        assert c.here(ann)["list_memberships"] == [news]
        assert len(c.made("POST", "/v3/activities")) == 1


def test_a_delivery_is_a_hint_and_never_a_value() -> None:
    """A delivery that comes two hours late says what was so then; what is so now counts."""
    with Crossing() as c:
        ann = linked(c)
        method = emails(c.there(ann))[0]["id"]
        c.v.delay_next(1, 7200)
        c.v.staff_opts(CUSTOMER, method, False, c.now())
        c.v.staff_opts(CUSTOMER, method, True, c.now())
        c.wait(hours=3)
        assert c.permission(ann) == "implicit"
        assert c.consents(ann) == [True]


def test_the_door_stores_and_calls_nobody() -> None:
    with Crossing() as c:
        ann = linked(c)
        path, secret = c.hook()
        body = json.dumps({"event": "ContactUpdate", "contact": {"id": c.there(ann)["id"]}}).encode()
        signed = {"x-virtuous-signature": base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()}
        c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
        made, at = len(c.calls), c.now()
        assert c.ask(c.post(path, signed, body)) == 200
        assert len(c.calls) == made
        c.until(at)
        assert len(c.calls) > made


def test_a_missing_subscription_is_made_anew() -> None:
    with Crossing() as c:
        ann = linked(c)
        [made] = c.made("POST", "/api/Webhook")
        subscription = json.loads(made.answer.body)["id"]
        c.v._organizations[CUSTOMER].subscriptions[subscription].fields["active"] = False
        c.wait(days=1, minutes=5)
        assert len(c.made("POST", "/api/Webhook")) == 2
        c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
        c.wait(minutes=1)
        assert c.permission(ann) == "unsubscribed"
