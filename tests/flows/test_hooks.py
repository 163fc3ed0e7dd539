"""Webhooks of Virtuous: every envelope, every spelling of the signature, lost, late, doubled; the poll is the net."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from msgspec.structs import replace

from keepstep.inbound import retention
from keepstep.model.retention import Retention
from keepstep.state import deliveries, sightings, snapshots
from keepstep_sandbox.virtuous.outbox import TOGGLES
from tests.flows.crossing import CUSTOMER, DAY, MINUTE, Crossing, emails
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


def subscription(c: Crossing) -> Any:
    """The newest subscription as the vendor has it."""
    return list(c.v._organizations[CUSTOMER].subscriptions.values())[-1]


def test_a_missing_subscription_is_made_anew() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.v._organizations[CUSTOMER].subscriptions.clear()
        c.wait(days=1, minutes=5)
        assert len(c.made("POST", "/api/Webhook")) == 2
        c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
        c.wait(minutes=1)
        assert c.permission(ann) == "unsubscribed"


def test_connecting_subscribes_to_every_event_and_keeps_id_and_secret() -> None:
    with Crossing() as c:
        c.connect()
        made, (_, secret) = subscription(c), c.hook()
        assert [name for name in TOGGLES if not made.fields[name]] == []
        assert made.fields["active"] and made.fields["secret"].encode() == secret
        assert (c.mark("virtuous", "subscription").data or {})["id"] == str(made.id)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("active", False), ("contactUpdate", False), ("giftCreate", False)),
        *(("payloadUrl", "https://elsewhere.example.org/hook"), ("secret", "somebody else's")),
    ],
)
def test_a_subscription_that_somebody_changed_is_repaired(name: str, value: Any) -> None:
    """Every toggle, since an omitted one is false (Virtuous facts 13.1); id and place stay."""
    with Crossing() as c:
        ann = linked(c)
        subscription(c).fields[name] = value
        c.wait(days=1, minutes=5)
        assert len(c.made("PUT", "/api/Webhook")) == len(c.made("POST", "/api/Webhook")) == 1
        assert c.lines("subscription_mended") == [{"found": "repaired"}]
        c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
        c.wait(minutes=1)
        assert c.permission(ann) == "unsubscribed"
        c.wait(days=2)
        assert len(c.made("PUT", "/api/Webhook")) == 1


@pytest.mark.parametrize("gone", [True, False])
def test_what_a_broken_subscription_missed_is_read_again_at_once(gone: bool) -> None:
    """From the moment at which it was last good: the poll of this route comes once in ten days only."""
    with Crossing(cadence={"crm_changed": 10 * DAY}) as c:
        ann = linked(c)
        c.wait(days=1)
        good = (c.mark("virtuous", "subscription").data or {})["good"]
        if gone:
            c.v._organizations[CUSTOMER].subscriptions.clear()
        else:
            subscription(c).fields["active"] = False
        c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
        c.wait(hours=20)
        assert c.permission(ann) == "implicit"
        c.until(good + DAY + 5 * MINUTE)
        assert c.permission(ann) == "unsubscribed"
        polled = c.mark("virtuous", "crm_changed")
        assert polled.mark is not None and polled.mark > good


def test_a_delivery_that_tells_of_an_older_change_than_is_known_is_not_even_read() -> None:
    with Crossing() as c:
        ann = linked(c)
        contact = c.there(ann)["id"]
        c.wait(minutes=10)
        c.v.delay_next(1, 1800)
        c.v.staff_adds_tag(CUSTOMER, contact, "Board", c.now())
        c.wait(minutes=5)
        c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
        c.wait(minutes=5)
        read = len(c.made("POST", "/api/Contact/Query/FullContact"))
        answered = len(c.answered)
        c.wait(minutes=30)
        assert len(c.answered) == answered + 1
        assert len(c.made("POST", "/api/Contact/Query/FullContact")) == read
        assert c.permission(ann) == "unsubscribed"


def test_a_delivery_that_comes_late_takes_nothing_back() -> None:
    """What is stored stays what the newest reading said, though an old body comes last."""
    with Crossing(cadence={"crm_changed": DAY}) as c:
        ann = linked(c)
        method = emails(c.there(ann))[0]["id"]
        c.wait(minutes=10)
        c.v.delay_next(1, 1800)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "Board", c.now())
        c.wait(minutes=5)
        c.v.staff_opts(CUSTOMER, method, False, c.now())
        c.wait(hours=1)
        read = c.ask(c.service.db.run(snapshots.get, CUSTOMER, "virtuous", [str(c.there(ann)["id"])]))
        [(stored, _, _)] = read.values()
        assert stored["contactIndividuals"][0]["contactMethods"][0]["isOptedIn"] is False


def test_an_event_that_nobody_knows_is_acknowledged_and_told_once() -> None:
    with Crossing() as c:
        linked(c)
        path, secret = c.hook()
        for word in ("ContactTagged", "ContactTagged", "GiftCreate", "PledgeCreate", "contact.tagged"):
            body = json.dumps({"event": word, "id": 7}).encode()
            signed = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
            assert c.ask(c.post(path, {"x-virtuous-signature": signed}, body)) == 200
            c.wait(minutes=1)
        assert c.lines("event_unknown") == [{"event": "contacttagge"}, {"event": "pledgecreate"}]
        assert c.lines("delivery_not_understood") == []
        assert c.ask(c.service.db.run(deliveries.counts, CUSTOMER)).get("refused") is None


def test_deliveries_and_sightings_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A month in the product, three days here."""
    monkeypatch.setattr(sightings, "KEPT", 3 * DAY)
    monkeypatch.setattr(retention, "RHYTHM", 3 * DAY)
    with Crossing(cadence=dict.fromkeys(("changed", "opted_out", "deleted", "reports", "lists"), DAY)) as c:
        c.service.settings = replace(c.service.settings, retention=Retention(payloads=3 * DAY))
        ann = linked(c)
        c.wait(days=2)
        assert c.ask(c.service.db.run(deliveries.counts, CUSTOMER))["parsed"] >= 1
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "Board", c.now())
        c.wait(days=2, hours=12)
        assert c.ask(c.service.db.run(deliveries.counts, CUSTOMER)) == {"parsed": 1}
        kept = c.ask(c.service.db.run(sightings.since, CUSTOMER, "virtuous", 0.0))
        assert {one.source for one in kept} >= {"hook", "poll"}
        assert min(one.at for one in kept) > c.now() - 4 * DAY
