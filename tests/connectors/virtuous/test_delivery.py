"""Webhook bodies of every shape (Virtuous facts 13.3, 13.4) and what is no delivery."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from keepstep.connectors.virtuous.delivery import LARGEST, parse_delivery, signatures
from keepstep.model.errors import Refused
from tests.connectors.virtuous.test_mapping import RECORDS
from tests.connectors.virtuous.world import ORGANIZATION, START, World, run


def names(body: bytes) -> list[str]:
    """Whom a delivery names."""
    return [one.record_id for one in parse_delivery(body) if one.record_id]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"event": "ContactUpdate", "contact": {"id": 1}}, ["1"]),
        ({"event": "ContactUpdate", "models": [{"contact": {"id": 1}}, {"contact": {"id": 2}}]}, ["1", "2"]),
        ({"event": "ContactCreate", "models": [{"id": 3}, {"id": 3}, None]}, ["3"]),
        ({"eventType": "contact.created", "eventId": "e", "organizationId": 9, "data": {"id": 4}}, ["4"]),
        ({"eventType": "contact.updated", "data": {"contact": {"id": "5"}}}, ["5"]),
        ({"type": "contactUpdate", "data": {"id": 6}}, ["6"]),
        ([{"event": "ContactUpdate", "contact": {"id": 1}}, {"event": "GiftCreate", "gift": {"id": 2}}], ["1"]),
        ({"event": "ContactUpdate", "contact": {"id": 7, "mergedIntoContactId": 8}}, ["7", "8"]),
        ({"event": "ContactUpdate", "contactId": 9}, ["9"]),
        ({"event": "ContactUpdate", "contact": {"id": True}}, []),
        ({"event": "ContactUpdate", "contact": None}, []),
        ({"event": "GiftDelete", "id": 5}, []),
        ({"event": "ContactNoteCreate", "contactNote": {"id": 5, "contactId": 1}}, []),
        ({"event": "SomethingNew", "contact": {"id": 5}}, []),
    ],
)
def test_the_contacts_that_a_delivery_names(value: Any, named: list[str]) -> None:
    """One or many records, under either envelope; other events name nobody (Virtuous facts 13.3)."""
    assert names(json.dumps(value).encode()) == named


@pytest.mark.parametrize(
    ("event", "known"),
    [
        *(("GiftDelete", True), ("contactNote.created", True), ("formSubmission", True), ("EventUpdate", True)),
        *(("SomethingNew", False), ("contactTagged", False)),
    ],
)
def test_an_event_of_something_else_is_told_from_one_that_nobody_knows(event: str, known: bool) -> None:
    """We subscribe to all fifteen (Virtuous facts 13.1), so most deliveries may be of something else."""
    [notice] = parse_delivery(json.dumps({"event": event, "id": 5}).encode())
    assert (notice.record_id, notice.known) == (None, known)


def test_a_record_says_when_it_was_changed() -> None:
    """But a record that was merged away says nothing of when its survivor was."""
    at = "2025-06-15T15:06:40"
    body = {"event": "ContactUpdate", "contact": {"id": 7, "modifiedDateTimeUtc": at}}
    merged = {"event": "ContactUpdate", "contact": {"id": 8, "mergedIntoContactId": 9, "modifiedDateTimeUtc": at}}
    said = parse_delivery(json.dumps([body, merged]).encode())
    assert [(one.event, one.record_id, one.changed_at) for one in said] == [
        ("contactupdate", "7", START),
        ("contactupdate", "8", None),
        ("contactupdate", "9", None),
    ]


@pytest.mark.switch("virtuous", "webhook-envelope", "observed", "guide")
@pytest.mark.switch("virtuous", "webhook-record", "full", "lean")
@pytest.mark.parametrize("envelope", ["observed", "guide"])
@pytest.mark.parametrize("record", ["full", "lean"])
def test_what_the_stand_in_sends(envelope: str, record: str) -> None:
    world = World(webhook_envelope=envelope, webhook_record=record, webhook_delay="none")
    run(world.crm.subscribe("https://keepstep.example.org/hook", "made-up-secret"))
    numbers = [world.add(), world.add(email="b@example.org")]
    world.vendor.bulk_adds_tag(ORGANIZATION, numbers, "CC: News", world.clock.at)
    sent = world.vendor.due_deliveries(world.clock.at + 60)
    # Two creations and a bulk action, which the guides would send record by record.
    named = [name for delivery in sent for name in names(delivery.body)]
    assert named == [str(number) for number in numbers] * 2
    assert all(len(signatures(delivery.headers)) == 1 for delivery in sent)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\xff", b"<html>", b"1", b"{}", b"[1]", b'{"event": 5}', b'"ContactUpdate"'),
        *(b"[" * 100_000, b'{"data":' * 100_000, b'{"event": "ContactUpdate", "contact":' + b"[" * 100_000),
    ],
)
def test_what_is_no_delivery_is_refused(body: bytes) -> None:
    """Also what is nested deeper than anybody can read."""
    with pytest.raises(Refused) as caught:
        parse_delivery(body)
    assert caught.value.status == 400


def test_a_delivery_that_is_too_large_is_refused_unread() -> None:
    """A working receiver allows 5 MB (Virtuous facts 13.3)."""
    with pytest.raises(Refused) as caught:
        parse_delivery(bytes(LARGEST + 1))
    assert caught.value.status == 413


@settings(derandomize=True, deadline=None, max_examples=60)
@given(RECORDS)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        assert all(name.isdigit() for name in names(json.dumps(value).encode()))
    except Refused as refused:
        assert refused.status == 400


def test_signatures_are_found_under_any_spelling() -> None:
    """The header's name is unconfirmed and configurable (Virtuous facts 13.4)."""
    headers = {"x-virtuous-signature": "a", "X-Webhook-Signature": "b", "Other": "c"}
    assert signatures(headers) == ["a"]
    assert signatures(headers, ("X-Webhook-Signature", "X-Virtuous-Signature")) == ["a", "b"]
