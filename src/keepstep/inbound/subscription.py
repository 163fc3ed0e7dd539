"""The webhook subscription: made, looked at every day, repaired, and listened to.

One that is gone or inactive drops events silently (Virtuous facts 13.1), and so may one that looks right. Whatever was
wrong, what was missed is read again: from the moment at which the subscription was last known to be good.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from keepstep import queue, telemetry
from keepstep.desk import Desk
from keepstep.model import roads
from keepstep.model.alerts import Kind
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.rounds import OVERLAP
from keepstep.state import journal, marks, rotations, sightings
from keepstep.state.alerts import raise_alert
from keepstep.state.marks import Mark
from keepstep.state.rotations import Rotation
from keepstep.telemetry import Event

NAME, CHANGED = "subscription", "crm_changed"
# How soon it is noticed that the stage is another one. To look costs no call.
STAGE_PAUSE = 300.0
# The rhythm is that of so long, and polls come so much more often while nothing is heard, but not oftener than that.
RHYTHM, QUICKER, QUICKEST = 14 * 86_400.0, 4, 300.0


async def keep_subscription(desk: Desk, slot: Slot) -> None:
    """Make the subscription, and every day make it again what it was. Who only observes writes none: it polls."""
    mark, turning = await desk.db.run(_known, desk)
    known, found = (mark.data or {}).get("id"), "good"
    if desk.route.policy.stage == "observe":
        await desk.db.run(_put_off, desk, slot, mark, desk.clock.now() + STAGE_PAUSE)
        return
    if turning is not None and desk.clock.now() < turning.tell:
        await desk.db.run(_put_off, desk, slot, mark, turning.tell)  # a door may not know the new secret yet
        return
    if desk.hook_url and desk.hook_secret:
        url, secret = desk.hook_url, desk.hook_secret.reveal()
        found = await _looked_after(desk, mark, known, url, secret) if known else "made"
        if found in ("gone", "made"):
            known = await desk.crm.subscribe(url, secret)
    for one in await desk.db.run(_kept, desk, slot, known, found, desk.clock.now()):
        await desk.crm.unsubscribe(one)
        await desk.db.run(_replaced, desk, slot, one)


def _known(tx: Connection, desk: Desk) -> tuple[Mark, Rotation | None]:
    crm = desk.route.crm
    return marks.get(tx, desk.customer_id, crm, NAME), rotations.get(tx, desk.customer_id, crm)


async def _looked_after(desk: Desk, mark: Mark, known: str, url: str, secret: str) -> str:
    """A vendor that hides the secret cannot tell that ours is another one now: then the subscription is made anew."""
    found = await desk.crm.resubscribe(known, url, secret)
    moved = (mark.data or {}).get("leads") not in (None, _leads(desk))
    return "gone" if found == "good" and moved else found


def _leads(desk: Desk) -> str | None:
    """Where our subscription leads and what signs it, as a fingerprint: with another address it delivers to nobody,
    with another secret nobody believes it."""
    if desk.hook_url is None or desk.hook_secret is None:
        return None
    return hashlib.sha256(f"{desk.hook_url} {desk.hook_secret.reveal()}".encode()).hexdigest()[:32]


def _put_off(tx: Connection, desk: Desk, slot: Slot, mark: Mark, until: Instant) -> None:
    queue.guard(tx, slot)
    marks.put(tx, desk.customer_id, replace(mark, due=until, data={**(mark.data or {}), "tries": 0}))


def _kept(tx: Connection, desk: Desk, slot: Slot, vendor_id: str | None, found: str, now: Instant) -> Sequence[str]:
    """What is known of it from now on; the ids of those that it replaced, which the vendor still has to forget."""
    queue.guard(tx, slot)
    mark = marks.get(tx, desk.customer_id, desk.route.crm, NAME)
    before = dict(mark.data or {})
    left = _left(before, vendor_id)
    data = before | {"id": vendor_id, "tries": 0, "leads": _leads(desk), "replaced": left}
    if vendor_id and found != "good":
        data = {**data, "began": now, "quiet": None}
    if vendor_id:
        data |= {"good": now, "began": data.get("began") or now}
    if found in ("gone", "repaired"):
        journal.append(tx, desk.customer_id, [(now, None, "subscription_mended", {"found": found})])
    # What is good after a try that failed may have been mended by it: its answer was lost.
    if found in ("gone", "repaired") or (found == "good" and before.get("tries")):
        reread(tx, desk, before.get("good"), now)
    marks.put(tx, desk.customer_id, replace(mark, due=now + desk.route.cadence.subscription, data=data))
    rotations.told(tx, desk.customer_id, desk.route.crm, now)
    return left


def _left(before: Mapping[str, Any], vendor_id: str | None) -> list[str]:
    """The one before delivers on: signed with what nobody believes any more, or a second time."""
    known = before.get("id")
    return [*before.get("replaced", ()), *([known] if known not in (None, vendor_id) else [])]


def _replaced(tx: Connection, desk: Desk, slot: Slot, vendor_id: str) -> None:
    queue.guard(tx, slot)
    mark = marks.get(tx, desk.customer_id, desk.route.crm, NAME)
    data = dict(mark.data or {})
    data["replaced"] = [one for one in data.get("replaced", ()) if one != vendor_id]
    marks.put(tx, desk.customer_id, replace(mark, data=data))


def reread(tx: Connection, desk: Desk, since: Instant | None, now: Instant) -> None:
    """Have the poll read at once what was modified since. One that has not begun yet will read everything anyway."""
    poll = marks.get(tx, desk.customer_id, desk.route.crm, CHANGED)
    if poll.mark is None:
        return
    begin = poll.mark if since is None else min(poll.mark, since - OVERLAP)
    data = {name: value for name, value in (poll.data or {}).items() if name in ("finished", "every", "trouble")}
    marks.put(tx, desk.customer_id, replace(poll, mark=begin, cursor=None, due=now, data={**data, "tries": 0}))


# --- silence ---------------------------------------------------------------------------------------------------------


def every(data: Mapping[str, Any] | None, cadence: float) -> float:
    """How often the poll comes: more often while nothing is heard."""
    return max(cadence / QUICKER, min(QUICKEST, cadence)) if (data or {}).get("quiet") else cadence


def listen(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> None:
    """After a round of the poll: was there anything that webhooks should have told of?"""
    queue.guard(tx, slot)
    mark = desk.known(tx, desk.route.crm, NAME)
    data = mark.data or {}
    if not data.get("id") or data.get("began") is None:
        return
    heard, unheard = sightings.hearing(tx, desk.customer_id, desk.route.crm, data["began"])
    if data.get("quiet"):
        if heard is not None and heard > data["quiet"]["noticed"]:
            _heard_again(tx, desk, mark, now)
    elif unheard >= roads.LEAST_MISSED and (found := _silence(tx, desk, heard, data["began"], now)) is not None:
        _gone_quiet(tx, desk, mark, found, now)


def _silence(tx: Connection, desk: Desk, heard: Instant | None, began: Instant, now: Instant) -> roads.Silence | None:
    last = max(heard, began) if heard is not None else began
    shown = sightings.since(tx, desk.customer_id, desk.route.crm, min(last, now) - RHYTHM)
    return roads.silence(roads.changes(shown), heard, began, now)


def _gone_quiet(tx: Connection, desk: Desk, mark: Mark, found: roads.Silence, now: Instant) -> None:
    """Tell somebody once, look at the subscription at once, and poll more often until something is heard."""
    quiet = {"since": found.since, "missed": found.missed, "noticed": now}
    marks.put(tx, desk.customer_id, replace(mark, due=now, data={**(mark.data or {}), "quiet": quiet}))
    journal.append(tx, desk.customer_id, [(now, None, "subscription_quiet", {"missed": found.missed})])
    telemetry.report(Event.warned, desk.customer_id, platform=desk.route.crm, reason="subscription_quiet")
    raise_alert(tx, desk.customer_id, Kind.webhooks_quiet, desk.route.crm, {"missed": found.missed}, now)
    poll = marks.get(tx, desk.customer_id, desk.route.crm, CHANGED)
    soon = now + every({"quiet": quiet}, desk.route.cadence.crm_changed)
    if poll.due is not None and poll.due > soon:
        marks.put(tx, desk.customer_id, replace(poll, due=soon))


def _heard_again(tx: Connection, desk: Desk, mark: Mark, now: Instant) -> None:
    quiet = (mark.data or {})["quiet"]
    marks.put(tx, desk.customer_id, replace(mark, data={**(mark.data or {}), "quiet": None}))
    line = {"quiet_seconds": round(now - quiet["noticed"])}
    journal.append(tx, desk.customer_id, [(now, None, "subscription_heard", line)])
