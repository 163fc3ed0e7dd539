"""Tells owners: a loop beside the worker takes what is due, and sends it through apprise.

At least once: a row is claimed before it is sent, and a process that dies in between leaves it to be sent again. The
address of a recipient is a secret, for it holds a password or a token: it lies in the vault and is shown to nobody.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx
from sqlalchemy import func, select

from keepstep import telemetry
from keepstep.model.alerts import Kind, body, next_step, title
from keepstep.model.contact import Side
from keepstep.model.errors import Problem, Refused
from keepstep.model.instant import Instant, format_instant
from keepstep.schema.tables import step
from keepstep.state import alerts
from keepstep.state.alerts import OPERATOR, Alert
from keepstep.state.customers import OURS
from keepstep.state.vault import Secret
from keepstep.telemetry import Event
from keepstep.wiring.between import known_customer
from keepstep.wiring.ended import ended

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

Row = dict[str, Any]
Notify = Callable[[Secret, str, str], Awaitable[bool]]
FIELD = "alert_url"
ENVIRONMENT = "KEEPSTEP_ALERT_URL"
SEND_SECONDS = 30.0
# So often it is looked whether causes are gone; and so soon again after the database failed.
LOOK_EVERY, PAUSE_AFTER_TROUBLE = 900.0, 5.0
# In virtual time nobody far away is called, and of these services alone it is known whom they call.
_NEARBY, _LOOPBACK = ("json", "xml", "form"), ("127.0.0.1", "::1", "localhost")


async def run(service: "Service") -> None:
    """Send what is due until the service is stopping."""
    looked = -LOOK_EVERY
    while not service.stopping:
        try:
            if service.clock.now() >= looked + LOOK_EVERY:
                await _close_gone(service)
                looked = service.clock.now()
            await send_due(service)
            await service.clock.until(await service.db.run(_next_look, looked + LOOK_EVERY), service.told)
        except Exception as failure:  # nobody starts this loop again: an error of one message must not end it
            telemetry.note(telemetry.Process.failed, source="alerts", **telemetry.trouble_of(failure))
            await service.clock.sleep(PAUSE_AFTER_TROUBLE)


async def once(service: "Service") -> int:
    """What is due now; how many messages were taken."""
    await _close_gone(service)
    return await send_due(service)


def _next_look(tx: Tx, look_at: Instant) -> Instant | None:
    """When the next message is due, or the next look at the causes that last."""
    moments = [alerts.next_due(tx), look_at if alerts.any_open(tx) else None]
    return min((at for at in moments if at is not None), default=None)


async def send_due(service: "Service", notify: Notify | None = None) -> int:
    """Send what is due now; how many messages were taken."""
    taken = 0
    while some := await service.db.run(alerts.claim, service.clock.now()):
        for causes in _messages(some):
            taken += await _sent(service, causes, notify or by_apprise)
    return taken


async def _close_gone(service: "Service") -> None:
    """Each in a transaction of its own: one that looks at many, or holds several rows, could stand in a turn's way."""
    for one in await service.db.run(alerts.every_open):
        await service.db.run(_close_if_gone, service, one, service.clock.now())
    await service.db.run(alerts.prune, service.clock.now() - service.settings.retention.alerts)


def _close_if_gone(tx: Tx, service: "Service", one: Alert, now: Instant) -> None:
    if ended(tx, service.settings.route(one.customer_id), one):
        alerts.close(tx, one.customer_id, one.kind, one.subject, now)


def _messages(some: Sequence[Alert]) -> list[list[Alert]]:
    """What is new goes alone; what keeps coming goes together, one message a customer."""
    news = [[one] for one in some if not one.again]
    rest = sorted((one for one in some if one.again), key=lambda one: (one.customer_id, one.id))
    return news + [list(group) for _, group in groupby(rest, key=lambda one: one.customer_id)]


async def _sent(service: "Service", some: Sequence[Alert], notify: Notify) -> bool:
    """One message, outside of any transaction."""
    customer_id = some[0].customer_id
    try:
        to = await _recipient(service, customer_id)
    except Problem:  # where its address is kept does not answer: nobody else's message waits for that
        await _each(service, alerts.failed, some)
        return False
    if to is None:
        await _each(service, alerts.unheard, some)
        return False
    causes = [one.cause(await service.db.run(_waits, service, one)) for one in some]
    done = await notify(to, title(causes), body(causes))
    await _each(service, alerts.told if done else alerts.failed, some)
    tries = max(one.tries for one in some) + 1
    kind = some[0].kind.value if len(some) == 1 else "digest"
    telemetry.report(Event.alert, customer_id, kind=kind, outcome="sent" if done else "failed", tries=tries)
    return done


async def _each(service: "Service", note: Callable[[Tx, Alert, Instant], None], some: Sequence[Alert]) -> None:
    """Each in a transaction of its own, as in `_close_gone`."""
    for one in some:
        await service.db.run(note, one, service.clock.now())


def _waits(tx: Tx, service: "Service", one: Alert) -> int | None:
    """How many decided writes a blocked connection keeps waiting."""
    route = service.settings.route(one.customer_id)
    sides = {route.audience: Side.audience, route.crm: Side.crm}
    if one.kind is not Kind.connection_blocked or one.subject not in sides:
        return None
    mine = (step.c.customer_id == one.customer_id, step.c.side == sides[one.subject], step.c.job_id.is_(None))
    return tx.execute(select(func.count()).select_from(step).where(*mine)).scalar_one()


# --- recipients ------------------------------------------------------------------------------------------------------


async def _recipient(service: "Service", customer_id: str) -> Secret | None:
    """Who is told: the customer's own recipient, else the operator's. None where there is none that may be called."""
    _, to = await service.db.run(_chosen, service, customer_id)
    if to is None or service.settings.service.clock is None:
        return to
    return to if await asyncio.to_thread(_is_near, to) else None


def _chosen(tx: Tx, service: "Service", customer_id: str) -> tuple[str, Secret | None]:
    """(whose: customer, environment, default, none; the address)."""
    own = None if customer_id.startswith("_") else _kept(tx, service, customer_id)
    if own is not None:
        return "customer", own
    if service.alert_url is not None:
        return "environment", service.alert_url
    default = _kept(tx, service, OPERATOR)
    return ("none" if default is None else "default"), default


def _kept(tx: Tx, service: "Service", customer_id: str) -> Secret | None:
    """Under a lost key it is as good as gone: the default hears what its owner cannot."""
    return service.vault.readable(tx, customer_id, OURS, FIELD)


async def set_recipient(service: "Service", customer_id: str | None, url: Secret) -> Row:
    """Store one. Raises Refused for what apprise cannot read; nothing of it is quoted."""
    kind = await asyncio.to_thread(service_of, url)
    if kind is None:
        raise Refused(400, "that is no address apprise knows; examples are in docs/how-to/be-told.md")
    await service.db.run(_set, service, customer_id, url, service.clock.now())
    service.told.set()
    return {"customer": customer_id, "service": kind}


def _set(tx: Tx, service: "Service", customer_id: str | None, url: Secret, now: Instant) -> None:
    _known(tx, customer_id)
    if customer_id is not None and customer_id.startswith("_"):
        raise Refused(
            400, f"{customer_id} is the operator: what concerns it goes to the default, set without --customer"
        )
    service.vault.put(tx, customer_id or OPERATOR, OURS, FIELD, url, now)
    alerts.revive(tx, now)


async def clear_recipient(service: "Service", customer_id: str | None) -> Row:
    """Forget one. Who is told from now on: default, environment, none."""
    return await service.db.run(_clear, service, customer_id)


def _clear(tx: Tx, service: "Service", customer_id: str | None) -> Row:
    _known(tx, customer_id)
    service.vault.drop(tx, customer_id or OPERATOR, OURS, FIELD)
    return {"customer": customer_id, "told": _told(tx, service, customer_id)}


async def test(service: "Service", customer_id: str | None, notify: Notify | None = None) -> Row:
    """Send a message that says it is none: {customer, told, sent}."""
    told = await service.db.run(_told, service, customer_id)
    to = await _recipient(service, customer_id or OPERATOR)
    words = "This is a test: messages about this service arrive here. There is nothing to do."
    sent = to is not None and await (notify or by_apprise)(to, f"Keepstep, {customer_id or 'default'}: test", words)
    return {"customer": customer_id, "told": told, "sent": sent}


def _told(tx: Tx, service: "Service", customer_id: str | None) -> str:
    _known(tx, customer_id)
    return _chosen(tx, service, customer_id or OPERATOR)[0]


def _known(tx: Tx, customer_id: str | None) -> None:
    if customer_id is not None:
        known_customer(tx, customer_id)


# --- what people see -------------------------------------------------------------------------------------------------


async def listed(service: "Service", customer_id: str | None, over: bool = False) -> Row:
    """{told: who hears it, alerts: [...]}, newest first; with `over` also what is over and was told."""
    await _close_gone(service)
    return await service.db.run(_listed, service, customer_id, over)


def _listed(tx: Tx, service: "Service", customer_id: str | None, over: bool) -> Row:
    told = _told(tx, service, customer_id)
    return {"told": told, "alerts": [_row(one) for one in alerts.listed(tx, customer_id, over)]}


def _row(one: Alert) -> Row:
    return {
        "customer": one.customer_id,
        "at": format_instant(one.at),
        "kind": one.kind.value,
        "subject": one.subject,
        "state": one.state if one.state != "new" or not one.tries else "failing",
        "times": one.times,
        "tries": one.tries,
        "closed": None if one.closed is None else format_instant(one.closed),
        "next": next_step(one.kind, one.customer_id, one.subject, one.data),
    }


async def checked(service: "Service", customer_id: str | None) -> list[Row]:
    """Lines for `keepstep doctor`: is there anybody who would be told, and does what was sent arrive?"""
    return await service.db.run(_checked, service, customer_id)


def _checked(tx: Tx, service: "Service", customer_id: str | None) -> list[Row]:
    told = _told(tx, service, customer_id)
    rows = alerts.listed(tx, customer_id)
    failing = sum(one.state == "new" and one.tries > 0 for one in rows)
    line = {"customer": customer_id or "", "platform": OURS, "check": "alerts"}
    if told == "none":
        # Who looks at `status` every day needs no messages; something that nobody heard is another matter.
        state, detail = "person" if rows else "ok", f"nobody is told; {len(rows)} alerts stand"
        return [{**line, "state": state, "detail": detail, "next": "keepstep alerts set"}]
    if failing:
        detail = f"{failing} messages were not taken yet; they are tried again"
        return [{**line, "state": "failed", "detail": detail, "next": "keepstep alerts test"}]
    return [{**line, "state": "ok", "detail": f"goes to the recipient of: {told}", "next": ""}]


# --- apprise ---------------------------------------------------------------------------------------------------------


async def by_apprise(url: Secret, head: str, words: str) -> bool:
    """One message through apprise; False where it was not taken within SEND_SECONDS."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(_notify, url, head, words), SEND_SECONDS + 1)
    except TimeoutError:
        return False


def _notify(url: Secret, head: str, words: str) -> bool:
    """apprise is imported here, for it takes a third of a second, which most commands need not spend."""
    _hush()
    import apprise

    asset = apprise.AppriseAsset(app_id="Keepstep", app_desc="Keepstep", app_url="", async_mode=False)
    told = apprise.Apprise(asset=asset)
    if not told.add(url.reveal()):
        return False
    return bool(told.notify(body=words, title=head, timeout=SEND_SECONDS))


def _hush() -> None:
    """Their lines may quote the address; what came of a message is ours to report."""
    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class _Service:
    """What an address leads to: the service's name, its schemas, the host where it names one."""

    name: str
    schemas: tuple[str, ...]
    host: str | None


def _read(url: Secret) -> _Service | None:
    _hush()
    import apprise

    found = apprise.Apprise.instantiate(url.reveal())
    if found is None:
        return None
    schemas = tuple(schema for each in (found.protocol, found.secure_protocol) for schema in _several(each))
    return _Service(str(found.service_name), schemas, getattr(found, "host", None))


def _several(value: object) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (tuple, list)) else ()


def service_of(url: Secret) -> str | None:
    """The name of the service that an address leads to; None for what apprise cannot read."""
    found = _read(url)
    return None if found is None else found.name


def _is_near(url: Secret) -> bool:
    found = _read(url)
    return found is not None and found.host in _LOOPBACK and any(one in _NEARBY for one in found.schemas)
