"""The doors where webhooks arrive: whose a token opens, which secrets sign there, and where they are."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection as Tx

from keepstep.model.errors import Transient
from keepstep.model.instant import Instant
from keepstep.state import customers, rotations
from keepstep.state.rotations import PREVIOUS

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

# Customer id, webhook secrets, the account that is bound.
Sender = tuple[str, tuple[bytes, ...], str | None]
TOKEN, SECRET = "door_token", "webhook_secret"
# Stands for doors whose tokens a provider does not give now; no digest is empty.
_UNREAD = b""
# For so long the door of a customer that another process added may be unknown.
DOORS_SECONDS = 5.0


def sender(tx: Tx, service: "Service", platform: str, token: str, now: Instant) -> Sender | None:
    """Who sends, where a token opens a door: the current one, or the one before while that is still accepted."""
    customer_id = _behind(tx, service, platform, token, now)
    if customer_id is None or not has_door(service, customer_id, platform):
        return None
    held, secrets = _accepted(tx, service, customer_id, platform, (TOKEN, SECRET), now)
    if not any(hmac.compare_digest(one, token.encode()) for one in held):
        return None  # it was replaced since
    bound = customers.get_connection(tx, customer_id, platform)
    return customer_id, secrets, bound.account_id if bound else None


def _accepted(
    tx: Tx, service: "Service", customer_id: str, platform: str, fields: Sequence[str], now: Instant
) -> list[tuple[bytes, ...]]:
    """What each field held of late, the current value first. What is over is refused whether or not it is gone yet."""
    turning, held = rotations.get(tx, customer_id, platform), service.vault.drawer(tx, customer_id)
    ends = ("", PREVIOUS) if turning is None or turning.accepts_previous(now) else ("",)
    found = [[held.readable(platform, field + end) for end in ends] for field in fields]
    return [tuple(one.reveal().encode() for one in secrets if one) for secrets in found]


def _behind(tx: Tx, service: "Service", platform: str, token: str, now: Instant) -> str | None:
    """Whose door a token opens. Strangers choose tokens: ours are all opened once in a while, not at every guess.

    A customer whose secrets no key opens any more, or whose provider lost them, must not shut the others' doors.
    """
    read_at, known = service.doors.get(platform, (None, {}))
    asked = _digest(token.encode())
    if asked not in known and (read_at is None or now - read_at > DOORS_SECONDS):
        ids = [one.customer_id for one in customers.every(tx)]
        held = {one: _tokens(tx, service, one, platform, now) for one in ids}
        known = {_digest(text): one for one, texts in held.items() for text in texts or ()}
        if None in held.values():
            known[_UNREAD] = ""
        service.doors[platform] = now, known
    if asked not in known and _UNREAD in known:
        raise Transient("not every door can be looked up now")
    return known.get(asked)


def _tokens(tx: Tx, service: "Service", customer_id: str, platform: str, now: Instant) -> tuple[bytes, ...] | None:
    """None while a provider does not give them."""
    try:
        return _accepted(tx, service, customer_id, platform, (TOKEN,), now)[0]
    except Transient:
        return None


def has_door(service: "Service", customer_id: str, platform: str) -> bool:
    """Webhooks about contacts of the audience side are in no vendor's document: a route must ask for them."""
    route = service.settings.route(customer_id)
    return platform != route.audience or route.policy.contact_webhooks


def url(tx: Tx, service: "Service", customer_id: str, platform: str) -> str | None:
    """Where a platform's webhooks about this customer arrive; None where there is no door, or no public address."""
    if not has_door(service, customer_id, platform):
        return None
    return service.hook_url(platform, service.vault.readable(tx, customer_id, platform, TOKEN))


def _digest(token: bytes) -> bytes:
    """What a token is looked up by: how long that takes must say nothing of the tokens there are."""
    return hashlib.sha256(token).digest()
