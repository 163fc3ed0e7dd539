"""A new webhook secret, or a new address, while what the vendor still sends with the one before is believed.

In this order, so that a crash between two of them refuses no delivery: both are stored; after TELL_AFTER every door
believes both; the vendor is told (`inbound/subscription.py`, or a person by hand); after the overlap the one before is
forgotten.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import queue, telemetry
from keepstep.desk import Chore, Desk
from keepstep.inbound.subscription import NAME as SUBSCRIPTION
from keepstep.model.alerts import Kind
from keepstep.model.customer import Route
from keepstep.model.errors import Refused
from keepstep.model.instant import Instant, format_instant
from keepstep.queue import Slot
from keepstep.state import journal, marks, rotations
from keepstep.state.alerts import raise_alert
from keepstep.state.rotations import PREVIOUS, Rotation
from keepstep.telemetry import Event
from keepstep.wiring import customers, doors
from keepstep.wiring.between import between_turns

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

Row = dict[str, Any]
# So often somebody is told that the vendor has not taken the new one.
DAY = 86_400.0


# --- a person's word -------------------------------------------------------------------------------------------------


async def rotate(service: "Service", customer_id: str, platform: str, door: bool, overlap: float) -> Row:
    """Replace the secret that signs a platform's webhooks, or the token in their address; the one before is believed
    for `overlap` seconds after the vendor took the new one.

    Raises Refused where no webhooks arrive, and while the last change is not over.
    """
    await service.customer(customer_id)
    field = doors.TOKEN if door else doors.SECRET
    told = (service, customer_id, platform, field, overlap, service.clock.now())
    row = await between_turns(service, customer_id, _rotated, *told)
    service.forget(customer_id)
    return row


def _rotated(
    tx: Tx, service: "Service", customer_id: str, platform: str, field: str, overlap: float, now: Instant
) -> Row:
    customers.door(tx, service, customer_id, platform)
    if (known := rotations.get(tx, customer_id, platform)) is not None:
        command = f"`keepstep customer rotate-secret {customer_id} --platform {platform} --end`"
        then = "wait for that" if known.told is None else f"{command} ends that"
        raise Refused(409, f"{platform}: {_still(known)}; {then}")
    before = service.vault.readable(tx, customer_id, platform, field)
    assert before is not None
    service.vault.put(tx, customer_id, platform, field + PREVIOUS, before, now)
    service.vault.put(tx, customer_id, platform, field, customers.new_secret(service), now)
    rotations.begin(tx, customer_id, platform, [field], now, overlap)
    journal.append(tx, customer_id, [(now, None, "secret_rotated", {"platform": platform, "field": field})])
    who = _tells(tx, service.settings.route(customer_id), customer_id, platform, now)
    return {"customer": customer_id, "platform": platform, "rotated": field, "overlap": overlap, **who}


def _tells(tx: Tx, route: Route, customer_id: str, platform: str, now: Instant) -> Row:
    """Who tells the vendor, and what is to be done."""
    if platform != route.crm:
        rotations.told(tx, customer_id, platform, now)
        then = f"keepstep customer show {customer_id} --door-secret {platform}: set both where its webhooks are set up"
        return {"vendor": "by hand", "next": then}
    mark = marks.get(tx, customer_id, platform, SUBSCRIPTION)
    if not (mark.data or {}).get("id"):
        rotations.told(tx, customer_id, platform, now)
        return {"vendor": "has no subscription yet", "next": ""}
    soon = now + rotations.TELL_AFTER
    marks.put(tx, customer_id, replace(mark, due=soon))
    queue.wake(tx, customer_id, soon)
    return {"vendor": f"is told after {format_instant(soon)}", "next": f"keepstep customer show {customer_id}"}


def _still(known: Rotation) -> str:
    if known.until is None:
        return f"the vendor has not taken the change of {format_instant(known.began)} yet"
    return f"the one before is believed until {format_instant(known.until)}"


async def end(service: "Service", customer_id: str, platform: str) -> Row:
    """Refuse the one before from now on. Raises Refused while the vendor still sends with it, and where there is
    none."""
    await service.customer(customer_id)
    row = await between_turns(service, customer_id, _ended, service, customer_id, platform, service.clock.now())
    service.forget(customer_id)
    return row


def _ended(tx: Tx, service: "Service", customer_id: str, platform: str, now: Instant) -> Row:
    known = rotations.get(tx, customer_id, platform)
    if known is None:
        raise Refused(404, f"{platform}: nothing was replaced of late, there is nothing to end")
    if known.told is None:
        raise Refused(409, f"{platform}: {_still(known)}; its webhooks would be lost")
    _forget(tx, service, customer_id, platform, known, now)
    return {"customer": customer_id, "platform": platform, "ended": list(known.fields)}


def _forget(tx: Tx, service: "Service", customer_id: str, platform: str, known: Rotation, now: Instant) -> None:
    for field in known.fields:
        service.vault.drop(tx, customer_id, platform, field + PREVIOUS)
    rotations.over(tx, customer_id, platform)
    journal.append(tx, customer_id, [(now, None, "rotation_over", {"platform": platform})])


# --- when it is over -------------------------------------------------------------------------------------------------


def chores(service: "Service", desk: Desk) -> Sequence[Chore]:
    """Forget what is over, and tell somebody where the vendor does not take the new one."""
    both = dict.fromkeys((desk.route.crm, desk.route.audience))
    return [Chore(one, rotations.NAME, partial(_look, service, one), first=False) for one in both]


async def _look(service: "Service", platform: str, desk: Desk, slot: Slot) -> None:
    await desk.db.run(_looked, service, platform, slot, desk.clock.now())


def _looked(tx: Tx, service: "Service", platform: str, slot: Slot, now: Instant) -> None:
    queue.guard(tx, slot)
    known = rotations.get(tx, slot.customer_id, platform)
    if known is None:
        rotations.over(tx, slot.customer_id, platform)
    elif known.accepts_previous(now):
        if known.told is None:
            telemetry.report(Event.warned, slot.customer_id, platform=platform, reason="rotation_not_taken")
            journal.append(tx, slot.customer_id, [(now, None, "rotation_not_taken", {"platform": platform})])
            raise_alert(tx, slot.customer_id, Kind.rotation_stuck, platform, {}, now)
        rotations.put(tx, slot.customer_id, platform, known, known.until or now + DAY)
    else:
        _forget(tx, service, slot.customer_id, platform, known, now)
