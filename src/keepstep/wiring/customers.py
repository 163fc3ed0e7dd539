"""Who is served: added, shown, paused and resumed, also while another process serves them."""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import queue
from keepstep.desk import ACCOUNT
from keepstep.model.alerts import Kind
from keepstep.model.errors import Refused
from keepstep.model.instant import Instant, format_instant
from keepstep.state import alerts, customers, installation, journal, marks, rotations
from keepstep.state.alerts import OPERATOR
from keepstep.state.customers import OURS
from keepstep.state.vault import Secret
from keepstep.tokens import start_over
from keepstep.wiring import alone, doors
from keepstep.wiring.alerts import FIELD as ALERT_URL
from keepstep.wiring.blocked import blocked

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

Row = dict[str, Any]


async def add(service: "Service", customer_id: str, platform: str, secrets: Mapping[str, Secret]) -> Row:
    """Store credentials; make the door token and webhook secret where missing; unblock the connection. Raises Refused
    for those of a CRM where the customer has none."""
    if service.connectors[platform].open_crm is not None:
        alone.refuse(service.settings.route(customer_id), f"nothing is written to {platform}")
    await service.db.run(_add, service, customer_id, platform, secrets, service.clock.now())
    service.forget(customer_id)
    token = await service.db.run(service.vault.get, customer_id, platform, doors.TOKEN)
    has_door = service.hook_url(platform, token) is not None
    return {
        "platform": platform,
        "stored": sorted(secrets),
        "webhooks": "arrive here" if has_door else "none: polled",
    }


def _add(
    tx: Tx, service: "Service", customer_id: str, platform: str, secrets: Mapping[str, Secret], now: Instant
) -> None:
    known = customers.get(tx, customer_id)
    if known is None:
        customers.add(tx, customer_id, {}, now)
    elif customers.removal(known):
        raise Refused(409, f"{customer_id} is being removed: end that first, `keepstep customer remove {customer_id}`")
    queue.wake(tx, customer_id, now)
    if "refresh_token" in secrets:
        start_over(tx, service.vault, customer_id, platform)
    for name, secret in secrets.items():
        service.vault.put(tx, customer_id, platform, name, secret, now)
    bound = customers.get_connection(tx, customer_id, platform)
    customers.set_connection(
        tx, customer_id, platform, bound.account_id if bound else None, bound.data if bound else {}
    )
    installation.claim(tx, customer_id, platform)
    alerts.close(tx, customer_id, Kind.connection_blocked, platform, now)
    made = [customers.LEDGER_KEY]
    if service.connectors[platform].signatures and doors.has_door(service, customer_id, platform):
        made += [(platform, doors.TOKEN), (platform, doors.SECRET)]
    for owner, name in made:
        if service.vault.readable(tx, customer_id, owner, name) is None:
            service.vault.put(tx, customer_id, owner, name, new_secret(service), now)
    queue.let_go(tx, customer_id, "blocked", now)
    _all_due(tx, customer_id, platform, now)


def _all_due(tx: Tx, customer_id: str, platform: str, now: Instant) -> None:
    """Everything of this connection is done anew, and first of all it is asked where its credential leads."""
    for mark in marks.every(tx, customer_id):
        if mark.platform == platform and mark.name == ACCOUNT:
            marks.put(tx, customer_id, replace(mark, due=now, data={}))
        elif mark.platform == platform and mark.due is not None and mark.due > now:
            marks.put(tx, customer_id, replace(mark, due=now))


def new_secret(service: "Service") -> Secret:
    """32 unguessable bytes (Virtuous facts 16.9), in letters that a URL and a form take."""
    return Secret(base64.urlsafe_b64encode(service.chance.token(32)).decode().rstrip("="))


async def everybody(service: "Service") -> Sequence[Row]:
    """Everybody who is served."""
    found = await service.db.run(customers.every)
    return [{"customer": one.customer_id, "state": one.state} for one in found]


async def one(service: "Service", customer_id: str) -> Row:
    """One customer: state and what paused it, connections and what blocks them, feeds, doors, who is alerted, and how
    old each secret is; no values. Raises Refused for one whom nobody knows."""
    return await service.db.run(_one, service, customer_id, service.clock.now())


def _one(tx: Tx, service: "Service", customer_id: str, now: Instant) -> Row:
    known = customers.get(tx, customer_id)
    if known is None:
        raise Refused(404, f"no customer {customer_id}; `keepstep customer list` shows who there is")
    route = service.settings.route(customer_id)
    stored = {f"{platform}.{field}": at for (platform, field), at in service.vault.stored(tx, customer_id).items()}
    bound = customers.connections(tx, customer_id)
    turning = {one.platform: rotations.get(tx, customer_id, one.platform) for one in bound}
    return {
        "customer": customer_id,
        "state": known.state,
        "paused_by": _paused_by(known),
        "connections": {one.platform: one.reason or one.health for one in bound},
        "blocked": blocked(tx, route, now),
        "feeds": sorted(route.feeds),
        "alerts": _recipient(tx, service, stored),
        "stored": sorted(stored),
        "stored_at": {name: format_instant(at) for name, at in sorted(stored.items())},
        "rotating": {name: _rotating(one) for name, one in turning.items() if one},
        "doors": {name: url for name in service.signatures if (url := doors.url(tx, service, customer_id, name))},
    }


def _paused_by(known: customers.Customer) -> str | None:
    """A word of ours: the partner event, a removal that was begun, or a person."""
    if known.state != "paused":
        return None
    return "removal" if customers.removal(known) else known.config.get(customers.PAUSED_BY, "person")


def _recipient(tx: Tx, service: "Service", stored: Collection[str]) -> str:
    """Whose recipient hears of trouble, never its address."""
    if f"{OURS}.{ALERT_URL}" in stored:
        return "customer"
    if service.alert_url is not None:
        return "environment"
    return "default" if (OURS, ALERT_URL) in service.vault.fields(tx, OPERATOR) else "none"


def _rotating(one: rotations.Rotation) -> Row:
    until = "the vendor has taken the new one" if one.until is None else format_instant(one.until)
    return {"fields": list(one.fields), "began": format_instant(one.began), "both_until": until}


async def door_secret(service: "Service", customer_id: str, platform: str) -> dict[str, str]:
    """Where a platform's webhooks arrive and the secret that signs them, to be set up there by hand; the journal
    tells that it was shown. Raises Refused where there is no such door."""
    await one(service, customer_id)
    return await service.db.run(_door_secret, service, customer_id, platform, service.clock.now())


def _door_secret(tx: Tx, service: "Service", customer_id: str, platform: str, now: Instant) -> dict[str, str]:
    url, secret = door(tx, service, customer_id, platform)
    journal.append(tx, customer_id, [(now, None, "door_secret_shown", {"platform": platform})])
    return {"url": url, "secret": secret.reveal()}


def door(tx: Tx, service: "Service", customer_id: str, platform: str) -> tuple[str, Secret]:
    """Address and secret of a door. Raises Refused where there is none."""
    url = doors.url(tx, service, customer_id, platform)
    secret = service.vault.readable(tx, customer_id, platform, doors.SECRET)
    if url is None or secret is None:
        raise Refused(404, f"{platform}: no webhooks arrive here; the route and service.public_url say whether")
    return url, secret


async def pause(service: "Service", customer_id: str) -> None:
    """No turn begins and no call is sent from now on; work is kept."""
    await one(service, customer_id)
    await service.db.run(customers.pause, customer_id)


async def resume(service: "Service", customer_id: str) -> None:
    """Turns begin again, also with connections that were blocked; a removal is called off. Raises Refused once that has
    deleted the secrets."""
    await service.db.run(_called_off, customer_id)
    for platform in (await one(service, customer_id))["connections"]:
        await service.db.run(customers.unblock, customer_id, platform)
        await service.db.run(alerts.close, customer_id, Kind.connection_blocked, platform, service.clock.now())
    await service.db.run(queue.let_go, customer_id, "blocked", service.clock.now())
    await service.db.run(customers.resume, customer_id)


def _called_off(tx: Tx, customer_id: str) -> None:
    known = customers.get(tx, customer_id)
    begun = customers.removal(known) if known else None
    if begun and "secrets" in begun:
        raise Refused(409, f"{customer_id} is being removed, its secrets are gone: `keepstep customer remove` goes on")
    customers.note_removal(tx, customer_id, None)
