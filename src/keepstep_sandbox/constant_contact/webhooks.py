"""Webhooks about contacts, which the vendor does not document and the recipe expects (CC facts 10, 11).

Off unless switch `contact_webhooks` says array or object. Signed like the vendor's v2 webhooks (CC facts 10.3).
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from keepstep_sandbox.http import Effect
from keepstep_sandbox.switches import Switches

DELAY = 2.0  # seconds between a change and its delivery; not stated
RETRY = 60.0  # every minute for up to one hour (CC facts 10.3)
ATTEMPTS = 60
SIGNATURE = "x-ctct-hmac-sha256"
_SILENT = ("bounce", "complaint", "resubscribe_mail")  # not in the contact's record


@dataclass(frozen=True, slots=True)
class ContactDelivery:
    """One POST to make; report what became of it."""

    id: int
    due: float
    account_id: str
    url: str
    headers: dict[str, str]
    body: bytes
    attempt: int = 1


@dataclass(slots=True, eq=False)
class _Waiting:
    due: float
    account_id: str
    events: list[dict[str, Any]]
    attempt: int = 1
    copies: int = 1


@dataclass(slots=True)
class ContactWebhooks:
    """Subscriptions and what is still to be delivered. Nothing is sent from here."""

    switches: Switches
    _hooks: dict[str, tuple[str, str]] = field(default_factory=dict)  # account -> url, secret
    _waiting: list[_Waiting] = field(default_factory=list)
    _taken: dict[int, _Waiting] = field(default_factory=dict)
    _count: int = 0
    _lose: int = 0
    _duplicate: int = 0
    _late: list[float] = field(default_factory=list)

    def subscribe(self, account_id: str, url: str, secret: str) -> None:
        """Send this account's events there from now on; an empty URL ends it."""
        self._hooks.pop(account_id, None)
        if url:
            self._hooks[account_id] = (url, secret)

    def lose_next(self, n: int) -> None:
        """The next n events never come."""
        self._lose += n

    def duplicate_next(self, n: int) -> None:
        """The next n events come twice."""
        self._duplicate += n

    def delay_next(self, n: int, seconds: float) -> None:
        """The next n events come so much later, after younger ones."""
        self._late += [seconds] * n

    def tell(self, account_id: str, effects: Iterable[Effect], now: float) -> None:
        """Queue an event for each contact that changed."""
        if account_id not in self._hooks or self.switches["contact_webhooks"] == "off":
            return
        for contact_id, kind in _events(effects).items():
            if self._lose:
                self._lose -= 1
            else:
                self._queue(account_id, {"account_id": account_id, "contact_id": contact_id, "event_type": kind}, now)

    def due(self, now: float) -> list[ContactDelivery]:
        """Take what is due; a delivery that is never reported on is lost."""
        if not self._waiting:
            return []
        ready = [one for one in self._waiting if one.due <= now]
        self._waiting = [one for one in self._waiting if one.due > now]
        found = [self._delivery(one) for one in sorted(ready, key=lambda one: one.due) for _ in range(one.copies)]
        return [one for one in found if one is not None]

    def delivered(self, delivery: ContactDelivery, status: int | None, now: float) -> None:
        """Without a success code it is tried again every minute for an hour."""
        waiting = self._taken.pop(delivery.id, None)
        if waiting is None or (status is not None and 200 <= status < 300) or waiting.attempt >= ATTEMPTS:
            return
        self._waiting.append(_Waiting(now + RETRY, waiting.account_id, waiting.events, waiting.attempt + 1))

    def next_due(self) -> float | None:
        """When the next delivery falls due."""
        return min([one.due for one in self._waiting]) if self._waiting else None

    def _queue(self, account_id: str, event: dict[str, Any], now: float) -> None:
        late = self._late.pop(0) if self._late else 0.0
        copies = 2 if self._duplicate else 1
        self._duplicate -= copies - 1
        last = self._waiting[-1] if self._waiting else None
        joins = self.switches["contact_webhooks"] == "array" and not late and copies == 1
        if joins and last and last.attempt == 1 and last.account_id == account_id and last.due <= now + DELAY:
            last.events.append(event)  # several events in one delivery, as the recipe has it
        else:
            self._waiting.append(_Waiting(now + DELAY + late, account_id, [event], copies=copies))

    def _delivery(self, waiting: _Waiting) -> ContactDelivery | None:
        hook = self._hooks.get(waiting.account_id)
        if hook is None:
            return None
        url, secret = hook
        many = self.switches["contact_webhooks"] == "array"
        body = json.dumps(waiting.events if many else waiting.events[0], indent=1).encode()
        self._count += 1
        self._taken[self._count] = waiting
        headers = {"Content-Type": "application/json", SIGNATURE: sign(secret, body)}
        return ContactDelivery(self._count, waiting.due, waiting.account_id, url, headers, body, waiting.attempt)


def sign(secret: str, body: bytes) -> str:
    """Base64 of HMAC-SHA256 over the raw bytes (CC facts 10.3)."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def _events(effects: Iterable[Effect]) -> dict[str, str]:
    """The contacts that changed and what happened to each; only `contact.deleted` has a source (CC facts 11)."""
    found: dict[str, str] = {}
    for one in effects:
        kind, _, contact_id = one.record.partition(":")
        if kind == "contact" and one.field not in _SILENT:
            found[contact_id] = _kind(one) or found.get(contact_id, "contact.updated")
    return found


def _kind(one: Effect) -> str | None:
    if one.field == "contact_id":
        return "contact.created"
    if one.field == "deleted_at" and one.after is not None:
        return "contact.deleted"
    if one.field == "email_address.permission_to_send" and one.after == "unsubscribed":
        return "contact.unsubscribed"
    return None
