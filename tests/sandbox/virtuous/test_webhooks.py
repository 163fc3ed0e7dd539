"""Subscriptions, envelopes, signatures, retries and scripted faults (Virtuous facts 13, 18.7)."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from keepstep_sandbox.virtuous import Delivery
from tests.sandbox.virtuous.door import CC, HOOK, ORG, SECRET, Door, method_id


def said(delivery: Delivery) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(delivery.body)
    return value


def test_a_direct_write_echoes_within_seconds_in_the_observed_envelope() -> None:
    """Virtuous facts 13.2, 13.3: the API client's own changes come back"""
    door = Door()
    door.subscribe()
    number = door.person(references=[(CC, "g1")])
    (created,) = door.deliveries(5)
    assert (created.url, created.organization, created.attempt) == (HOOK, ORG, 1)
    assert (said(created)["event"], said(created)["contact"]["id"]) == ("ContactCreate", number)
    assert said(created)["contact"]["contactReferences"] == [{"source": CC, "id": "g1"}]
    method = method_id(door.contact(number), "ann@example.org")
    door.send("PUT", f"/api/ContactMethod/{method}", {"type": "Home Email", "value": "ann@example.org"})
    (updated,) = door.deliveries(5)
    assert said(updated)["event"] == "ContactUpdate"
    assert said(updated)["contact"]["contactIndividuals"][0]["contactMethods"][0]["isOptedIn"] is False


def test_a_person_without_methods_has_null_there_and_the_lean_record_no_stamps() -> None:
    """Virtuous facts 7.2, 13.3 (switch webhook-record)"""
    door = Door({"webhook-record": "lean"})
    door.subscribe()
    door.person(email="")
    contact = said(door.deliveries()[0])["contact"]
    assert contact["contactIndividuals"][0]["contactMethods"] is None
    assert "modifiedDateTimeUtc" not in contact
    assert "contactReferences" not in contact


def test_the_guides_envelope() -> None:
    """Virtuous facts 13.3, 17 (switch webhook-envelope)"""
    door = Door({"webhook-envelope": "guide"})
    door.subscribe()
    number = door.person()
    first = said(door.deliveries()[0])
    assert (first["eventType"], first["data"]["id"]) == ("contact.created", number)
    door.machine.staff_adds_tag(ORG, number, "T", door.now)
    second = said(door.deliveries()[0])
    assert second["eventType"] == "contact.updated"
    assert first["eventId"] != second["eventId"]


@pytest.mark.switch("virtuous", "signature-encoding", "base64", "hex")
@pytest.mark.parametrize("encoding", ["base64", "hex"])
def test_the_signature_is_over_the_raw_body_with_the_secret_of_the_moment(encoding: str) -> None:
    """Virtuous facts 13.4: a rotated secret counts from the next delivery"""
    door = Door({"signature-encoding": encoding})
    hook = door.subscribe()
    door.person()
    fresh = "t" * 32
    every = {"payloadUrl": HOOK, "contactCreate": True, "active": True}
    door.send("PUT", f"/api/Webhook/{hook}", {**every, "secret": fresh})
    (delivery,) = door.deliveries()
    digest = hmac.new(fresh.encode(), delivery.body, hashlib.sha256).digest()
    expected = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    assert delivery.headers["X-Virtuous-Signature"] == expected


@pytest.mark.switch("virtuous", "signature-header", "X-Virtuous-Signature", "X-Webhook-Signature")
def test_without_a_secret_there_is_no_signature_and_its_name_can_differ() -> None:
    """Virtuous facts 13.1, 13.4 (switch signature-header)"""
    door = Door({"signature-header": "X-Webhook-Signature"})
    door.subscribe(secret=None)
    door.subscribe()
    door.person()
    names = [set(d.headers) - {"Content-Type"} for d in door.deliveries()]
    assert sorted(map(sorted, names)) == [[], ["X-Webhook-Signature"]]


def test_the_night_sends_one_delivery_per_row() -> None:
    """Virtuous facts 13.2, 18.7: unchanged rows too"""
    door = Door()
    door.subscribe()
    for reference in ("g1", "g2", "g1"):
        door.submit(referenceId=reference, firstName="A", lastName=reference)
    assert door.deliveries() == []
    door.night()
    events = sorted(said(d)["event"] for d in door.deliveries())
    assert events == ["ContactCreate", "ContactCreate", "ContactUpdate"]


def test_a_bulk_action_is_one_delivery_with_models() -> None:
    """Virtuous facts 13.3"""
    door = Door()
    numbers = [door.person(f"p{n}@example.org") for n in range(3)]
    door.subscribe()
    assert len(door.machine.bulk_adds_tag(ORG, numbers, "CC: News", door.now)) == 4
    (delivery,) = door.deliveries()
    assert [m["contact"]["tags"] for m in said(delivery)["models"]] == [["CC: News"]] * 3


@pytest.mark.switch("virtuous", "webhook-exhausted", "keep", "deactivate")
def test_anything_but_2xx_is_tried_five_times_within_a_day() -> None:
    """Virtuous facts 13.5, 18.7"""
    door = Door({"webhook-exhausted": "deactivate"})
    hook = door.subscribe()
    door.person()
    start, attempts, bodies = door.now, [], set()
    for status in (500, 404, None, 302, 410, 500, 500):
        due = door.machine.next_due()
        if due is None:
            break
        door.now = due
        (delivery,) = door.deliveries(0)
        attempts.append(delivery.attempt)
        bodies.add(delivery.body)
        door.machine.delivered(delivery, status, door.now)
    assert attempts == [1, 2, 3, 4, 5]
    assert len(bodies) == 1
    assert door.now - start <= 86400
    assert door.get(f"/api/Webhook/{hook}")["active"] is False


def test_a_2xx_ends_it_and_silence_too() -> None:
    """Virtuous facts 13.5"""
    door = Door()
    door.subscribe()
    door.person()
    door.person()
    first, second = door.deliveries()
    door.machine.delivered(first, 204, door.now)
    assert door.machine.next_due() is None
    door.machine.delivered(second, 503, door.now)
    assert door.machine.next_due() == door.now + 60


def test_inactive_and_deleted_subscriptions_drop_events() -> None:
    """Virtuous facts 13.1: dropped, not queued"""
    door = Door()
    hook = door.subscribe()
    assert door.send("PUT", f"/api/Webhook/{hook}/Active", query="active=false").status == 200
    door.person()
    door.send("PUT", f"/api/Webhook/{hook}/Active", query="active=true")
    assert door.deliveries() == []
    door.person()
    assert door.send("DELETE", f"/api/Webhook/{hook}").status == 200
    assert door.deliveries() == []


def test_a_put_without_a_toggle_turns_it_off() -> None:
    """Virtuous facts 13.1"""
    door = Door()
    hook = door.subscribe()
    after = door.send("PUT", f"/api/Webhook/{hook}", {"payloadUrl": HOOK, "active": True}).json()
    assert (after["contactUpdate"], after["secret"]) == (False, None)
    door.person()
    assert door.deliveries() == []


@pytest.mark.parametrize(
    ("url", "status"),
    [("http://hooks.example.org", 400), ("x", 400), ("http://127.0.0.1:9/in", 200), ("https://", 400)],
)
def test_payload_urls_are_secure_or_loopback(url: str, status: int) -> None:
    """Virtuous facts 13.1 (switch payload-url)"""
    assert Door().send("POST", "/api/Webhook", {"payloadUrl": url, "active": True}).status == status
    strict = Door({"payload-url": "https"}).send("POST", "/api/Webhook", {"payloadUrl": "http://127.0.0.1:9/in"})
    assert strict.status == 400


def test_effects_of_a_subscription_never_hold_the_secret() -> None:
    door = Door()
    body = {"payloadUrl": HOOK, "secret": SECRET, "active": True}
    assert SECRET not in repr(door.send("POST", "/api/Webhook", body).effects)


@pytest.mark.switch("virtuous", "webhook-delay", "seconds", "none")
def test_scripted_faults_lose_repeat_delay_and_reorder() -> None:
    """Virtuous facts 18.7"""
    door = Door({"webhook-delay": "none"})
    door.subscribe()
    door.machine.lose_next(1)
    door.person()
    assert door.deliveries() == []
    door.machine.duplicate_next(1)
    door.person()
    twice = door.deliveries(0)
    assert len({d.id for d in twice}) == 2
    assert twice[0].body == twice[1].body
    door.machine.delay_next(1, 3600)
    door.person()
    assert door.deliveries(3599) == []
    assert len(door.deliveries(1)) == 1
    door.machine.reorder_next(3)
    made = [door.person() for _ in range(3)]
    assert [said(d)["contact"]["id"] for d in door.deliveries()] == made[::-1]


@pytest.mark.switch("virtuous", "webhook-duplicates", "scripted", "sometimes")
def test_delays_come_from_the_seed_and_repeat_by_switch() -> None:
    """Virtuous facts 13.5, 18.7: at least once, out of order"""

    def run(seed: int) -> list[tuple[float, bytes]]:
        door = Door({"webhook-duplicates": "sometimes"}, seed)
        door.subscribe()
        for _ in range(40):
            door.person()
        return [(d.due, d.body) for d in door.deliveries()]

    assert run(1) == run(1)
    assert run(1) != run(2)
    order = [json.loads(body)["contact"]["id"] for _, body in run(1)]
    assert order != sorted(order)
    assert 40 < len(order) < 80


def test_notes_are_announced_to_those_who_asked() -> None:
    """Virtuous facts 13.1, 13.3"""
    door = Door()
    number = door.person()
    door.subscribe(contactNoteCreate=True)
    door.send("POST", "/api/ContactNote", {"contactId": number, "type": "General", "note": "x"})
    assert [said(d)["event"] for d in door.deliveries()] == ["ContactNoteCreate"]


def test_a_write_that_changes_nothing_is_silent_unless_the_switch_says_otherwise() -> None:
    """Virtuous facts 14 (switch write-without-change)"""
    door = Door()
    number = door.person()
    door.subscribe()
    body = {"description": None}
    door.send("PUT", f"/api/Contact/{number}", body)
    assert door.deliveries() == []
    door.machine.switches.choose("write-without-change", "touches")
    assert door.send("PUT", f"/api/Contact/{number}", body).effects == ()
    assert len(door.deliveries()) == 1


def test_a_reference_alone_may_fire_nothing() -> None:
    """Virtuous facts 13.2 (switch reference-event)"""
    door = Door({"reference-event": "silent"})
    number = door.person()
    door.subscribe()
    door.send("POST", "/api/ContactReference", {"contactId": number, "referenceSource": CC, "referenceId": "g1"})
    assert door.deliveries() == []


def test_a_silent_organization_looks_as_it_should_and_tells_nothing() -> None:
    """Nothing at the vendor says that deliveries stopped: there is no log (Virtuous facts 13.1)."""
    door = Door()
    door.subscribe()
    door.machine.silence_webhooks(ORG, True)
    number = door.person()
    [subscription] = door.machine._organizations[ORG].subscriptions.values()
    assert door.deliveries(60) == [] and subscription.fields["active"]
    door.machine.silence_webhooks(ORG, False)
    door.machine.staff_adds_tag(ORG, number, "T", door.now)
    assert len(door.deliveries(60)) == 1
