"""Webhook subscriptions over the API; there is no list (Virtuous facts 13.1)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from keepstep_sandbox.http import Effect, Response, answer
from keepstep_sandbox.virtuous.calls import Call, Refused, Route, boolean, empty, required, text
from keepstep_sandbox.virtuous.outbox import TOGGLES, Subscription

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def create(call: Call) -> Response:
    fields = _fields(call)
    subscription = Subscription(call.organization.next_id("webhook"), call.organization.name, fields)
    call.organization.subscriptions[subscription.id] = subscription
    return answer(200, subscription.shape(), _effects(call, subscription, {}, fields))


def get(call: Call) -> Response:
    return answer(200, _known(call).shape())


def update(call: Call) -> Response:
    """Full replacement: an omitted toggle becomes false (Virtuous facts 13.1)."""
    subscription = _known(call)
    before, subscription.fields = subscription.fields, _fields(call)
    return answer(200, subscription.shape(), _effects(call, subscription, before, subscription.fields))


def set_active(call: Call) -> Response:
    subscription = _known(call)
    active = boolean(call.query, "active")
    if active is None:
        raise Refused(400, "An error has occurred.", "active")
    before = dict(subscription.fields)
    subscription.fields["active"] = active
    return answer(200, subscription.shape(), _effects(call, subscription, before, subscription.fields))


def delete(call: Call) -> Response:
    """What is still in the outbox for it is never delivered."""
    subscription = _known(call)
    subscription.deleted = True
    del call.organization.subscriptions[subscription.id]
    return empty(_effects(call, subscription, subscription.fields, {}))


def _fields(call: Call) -> dict[str, Any]:
    url = required(call.body, "payloadUrl")
    if not _allowed(url, call.organization.switches["payload-url"] == "https"):
        raise Refused(400, "The payload url must be a secure address.", "payloadUrl")
    toggles = {name: bool(boolean(call.body, name)) for name in TOGGLES}
    active = bool(boolean(call.body, "active"))
    return {"payloadUrl": url, "secret": text(call.body, "secret"), **toggles, "active": active}


def _allowed(url: str, strict: bool) -> bool:
    # The vendor wants HTTPS (Virtuous facts 13.1); loopback is let through for receivers on a developer's machine.
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(parts.hostname)
    return not strict and parts.scheme == "http" and parts.hostname in LOOPBACK


def _effects(
    call: Call, subscription: Subscription, before: dict[str, Any], after: dict[str, Any]
) -> tuple[Effect, ...]:
    """What changed; the secret's value stays out."""
    change = call.change()
    for name in ("payloadUrl", *TOGGLES, "active"):
        if before.get(name) != after.get(name):
            change.effect(f"webhook:{subscription.id}", name, before.get(name), after.get(name))
    if before.get("secret") != after.get("secret"):
        change.effect(f"webhook:{subscription.id}", "secret", bool(before.get("secret")), "changed")
    return change.finish()


def _known(call: Call) -> Subscription:
    subscription = call.organization.subscriptions.get(call.number())
    if subscription is None:
        raise Refused(404)
    return subscription


ROUTES = (
    Route("POST", "Webhook", create),
    Route("GET", "Webhook/{}", get),
    Route("PUT", "Webhook/{}", update),
    Route("PUT", "Webhook/{}/Active", set_active),
    Route("DELETE", "Webhook/{}", delete),
)
