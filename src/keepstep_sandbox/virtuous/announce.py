"""What a webhook delivery says (Virtuous facts 13.3)."""

from __future__ import annotations

import json
import zlib
from typing import Any

from keepstep_sandbox.virtuous import shapes
from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.outbox import Subscription
from keepstep_sandbox.virtuous.records import Contact, Note

# The guides spell types with dots and in the past tense (Virtuous facts 13.3).
GUIDE_TYPES = {
    "contactCreate": "contact.created", "contactUpdate": "contact.updated", "contactNoteCreate": "contactNote.created",
    "contactNoteUpdate": "contactNote.updated", "contactNoteDelete": "contactNote.deleted",
}  # fmt: skip


def contacts(organization: Organization, toggle: str, changed: list[Contact], now: float, bulk: bool) -> None:
    """One delivery per contact, or for a bulk action one with `models`."""
    listeners = _listeners(organization, toggle) if changed else []
    if not listeners:
        return
    records = [shapes.webhook_contact(contact, organization) for contact in changed]
    guide = organization.switches["webhook-envelope"] == "guide"
    if bulk and not guide:
        models = [{"contact": record} for record in records]
        _post(organization, listeners, {"event": _pascal(toggle), "models": models}, now)
        return
    for record in records:
        _post(organization, listeners, _envelope(organization, toggle, "contact", record, now), now)


def note(organization: Organization, toggle: str, changed: Note, now: float) -> None:
    """A note's delivery; its shape is unconfirmed (Virtuous facts 13.3)."""
    listeners = _listeners(organization, toggle)
    if listeners:
        record = shapes.note(changed)
        _post(organization, listeners, _envelope(organization, toggle, "contactNote", record, now), now)


def _envelope(organization: Organization, toggle: str, noun: str, record: Any, now: float) -> dict[str, Any]:
    if organization.switches["webhook-envelope"] != "guide":
        return {"event": _pascal(toggle), noun: record}
    return {
        "eventType": GUIDE_TYPES[toggle],
        "eventId": organization.outbox.event_id(),
        "timestamp": shapes.stamp(now) + "Z",
        "organizationId": zlib.crc32(organization.name.encode()),
        "data": record,
    }


def _listeners(organization: Organization, toggle: str) -> list[Subscription]:
    return [subscription for subscription in organization.subscriptions.values() if subscription.wants(toggle)]


def _post(organization: Organization, listeners: list[Subscription], value: dict[str, Any], now: float) -> None:
    body = json.dumps(value).encode()
    for subscription in listeners:
        organization.outbox.post(subscription, body, now)


def _pascal(toggle: str) -> str:
    return toggle[0].upper() + toggle[1:]
