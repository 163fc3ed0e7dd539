"""What a platform told the operator as its partner, and what comes of it.

A delivery is a hint, never a value: tiers are read again, and what was shut works again only after the account was
asked for and every opt-out read. The reserved customer PARTNER has a slot and a turn of its own for that.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import capture, queue, telemetry
from keepstep.desk import ACCOUNT, LEASE, Desk, pause_after
from keepstep.model.alerts import Kind, facts
from keepstep.model.errors import Problem, Transient
from keepstep.model.instant import Instant
from keepstep.model.plan import Plan
from keepstep.ports import Partner as PartnerCalls
from keepstep.queue import Fenced, Slot
from keepstep.state import alerts, customers, deliveries, journal, marks, retention
from keepstep.state.customers import PARTNER, PAUSED_BY
from keepstep.state.marks import Mark
from keepstep.telemetry import Event
from keepstep.wiring import partner

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

# The operator's calls, with a token of their own, and the editions that work.
Opened = tuple[PartnerCalls, Sequence[str]]
DAY = 86_400.0
# A turn is short: the rest of the plans, or of the opt-outs, is the next one's.
PIECE_SECONDS = 20.0
LONGEST_PAUSE = 3600.0
# So often the reading of opt-outs may fail in a row before the plan is asked for again.
MOST_FAILURES = 24
TOPICS = "topics"
# In the mark of a plan: since when its customer's opt-outs are being read.
RETURNING = "returning"


# --- deliveries ------------------------------------------------------------------------------------------------------


async def came(service: "Service", platform: str, ids: Sequence[str]) -> None:
    """Deliveries are stored for these: act on them now, turn or no turn. A pause must not wait for a turn's end."""
    for customer_id in ids:
        await read(service, platform, customer_id)


async def read(service: "Service", platform: str, customer_id: str) -> None:
    """What is stored and not read yet. A plan is put on the list before its delivery is done with."""
    waiting = await service.db.run(deliveries.unread, customer_id, partner.word(platform))
    if not waiting:
        return
    now = service.clock.now()
    if customer_id != PARTNER:
        await service.db.run(_plan_due, service, platform, customer_id, now)
    await service.db.run(_read, service, platform, customer_id, now)
    service.woken.set()


def _plan_due(tx: Tx, service: "Service", platform: str, customer_id: str, now: Instant) -> None:
    """At once for another tier. What a plan says of an account that was shut just now is documented nowhere: it is
    asked for a day later."""
    queue.wake(tx, PARTNER, now)
    one = partner.partnership(service, platform)
    notices = [one.notice_of(row["body"]) for row in deliveries.unread(tx, customer_id, partner.word(platform))]
    grows = any(notice is not None and notice.event not in one.shuts for notice in notices)
    mark = marks.get(tx, PARTNER, platform, customer_id)
    marks.put(tx, PARTNER, replace(mark, due=now if grows else now + DAY))


def _read(tx: Tx, service: "Service", platform: str, customer_id: str, now: Instant) -> None:
    # Locks the slot first, as whoever holds it does; two readers of one delivery come one after the other.
    queue.wake(tx, customer_id, now)
    done: dict[str, list[str]] = {"parsed": [], "refused": []}
    for row in deliveries.unread(tx, customer_id, partner.word(platform)):
        edition = str(row["headers"].get("edition"))
        notice, reason = partner.judged(tx, service, platform, edition, row["body"])
        if notice is None or reason is not None or customer_id == PARTNER:
            _unknown(tx, customer_id, platform, reason or "account", notice.event if notice else None, now)
        else:
            _happened(tx, service, platform, customer_id, notice.event, now)
        done["refused" if reason else "parsed"].append(row["id"])
    deliveries.settle(tx, customer_id, done["parsed"], "parsed")
    deliveries.settle(tx, customer_id, done["refused"], "refused")


def _unknown(tx: Tx, customer_id: str, platform: str, reason: str, event: str | None, now: Instant) -> None:
    """Reported once for each reason and event, however often it comes."""
    line = {"platform": platform, "reason": reason, "event": event}
    if any(one["data"] == line for one in journal.latest(tx, customer_id, ("partner_unknown",), 1000)):
        return
    journal.append(tx, customer_id, [(now, None, "partner_unknown", line)])
    telemetry.report(Event.partner, customer_id, platform=platform, topic=event, did=f"unknown_{reason}")
    alerts.raise_alert(tx, customer_id, Kind.partner_unknown, reason, {"reason": reason, "event": event}, now)


def _happened(tx: Tx, service: "Service", platform: str, customer_id: str, event: str, now: Instant) -> None:
    """A shut account pauses its customer. Told again while that pause lasts, it is no news."""
    shuts = event in partner.partnership(service, platform).shuts
    known = customers.get(tx, customer_id)
    again = shuts and known is not None and known.config.get(PAUSED_BY) == event
    did = "again" if again else "plan_due"
    if shuts and not again:
        did = "paused" if _paused(tx, customer_id, event) else "was_paused"
    line = {"platform": platform, "event": event, "did": did}
    journal.append(tx, customer_id, [(now, None, "partner_event", line)])
    if not again:
        telemetry.report(Event.partner, customer_id, platform=platform, topic=event, did=did)
        kind = Kind.partner_shut if shuts else Kind.partner_plan
        alerts.raise_alert(tx, customer_id, kind, platform, {"event": event}, now)


def _paused(tx: Tx, customer_id: str, by: str) -> bool:
    """Pause an active customer; one whom a person paused stays that person's to resume."""
    known = customers.get(tx, customer_id)
    if known is None or known.state != "active":
        return False
    customers.pause(tx, customer_id, by)
    telemetry.report(Event.paused, customer_id, reason=by)
    return True


# --- the operator's turn ---------------------------------------------------------------------------------------------


async def turn(service: "Service", slot: Slot) -> None:
    """One bounded piece: deliveries about nobody known, then the topics and plans that are due."""
    try:
        await _forgotten(service, slot)
        for platform in partner.platforms(service):
            if partner.editions(await partner.stored(service, platform)):
                await read(service, platform, PARTNER)
                await _polled(service, slot, platform)
        await service.db.run(queue.release, slot, service.clock.now())
    except Fenced:
        return


async def _forgotten(service: "Service", slot: Slot) -> None:
    """Customers' own deliveries are forgotten in their turns (inbound/retention), the operator's here."""
    before = service.clock.now() - service.settings.retention.payloads
    while await service.db.run(_some_gone, slot, before):
        pass


def _some_gone(tx: Tx, slot: Slot, before: Instant) -> bool:
    queue.guard(tx, slot)
    return retention.deliveries(tx, PARTNER, before, retention.Place()) is not None


async def _polled(service: "Service", slot: Slot, platform: str) -> None:
    until = service.clock.now() + PIECE_SECONDS
    due = await service.db.run(_due, slot, platform, service.clock.now())
    opened = await partner.opened(service, platform) if due else None
    for mark in due:
        if opened is None or service.clock.now() >= until:
            return
        await _tried(service, slot, mark, opened)


def _due(tx: Tx, slot: Slot, platform: str, now: Instant) -> list[Mark]:
    """What is to be read now; a customer whose account became known has its plan read from now on."""
    queue.guard(tx, slot)
    known = {mark.name: mark for mark in marks.every(tx, PARTNER) if mark.platform == platform}
    bound = customers.bound(tx, platform)
    for name in [TOPICS, *(one for one in bound if one != PARTNER)]:
        if name not in known or known[name].due is None:
            known[name] = Mark(platform, name, due=now)
            marks.put(tx, PARTNER, known[name])
    for name in [name for name in known if name != TOPICS and name not in bound]:
        del known[name]
        marks.drop(tx, PARTNER, platform, name)
    return [mark for mark in known.values() if mark.due is not None and mark.due <= now]


async def _tried(service: "Service", slot: Slot, mark: Mark, opened: Opened) -> None:
    """Read one; what fails is tried again later, and harms nobody else's."""
    try:
        data = await (_topics if mark.name == TOPICS else _plan)(service, mark, opened)
    except Fenced:
        raise
    except Problem as problem:
        tries = int((mark.data or {}).get("tries") or 0)
        after = problem.retry_after if isinstance(problem, Transient) else None
        pause = after or pause_after(tries + 6, LONGEST_PAUSE)
        await service.db.run(_put, slot, mark, pause, {**(mark.data or {}), "tries": tries + 1}, service.clock.now())
        return
    pause = _until_next_piece(data) if data.get(RETURNING) else DAY
    await service.db.run(_put, slot, mark, pause, {**data, "tries": 0}, service.clock.now())


def _until_next_piece(data: dict[str, Any]) -> float:
    failed = int(data.get("failed") or 0)
    return pause_after(failed + 5, LONGEST_PAUSE) if failed else 0.0


def _put(tx: Tx, slot: Slot, mark: Mark, pause: float, data: dict[str, Any], now: Instant) -> None:
    queue.guard(tx, slot)
    # One that a delivery made due while it was read is read again.
    again = marks.get(tx, PARTNER, mark.platform, mark.name).due != mark.due
    marks.put(tx, PARTNER, replace(mark, due=now if again else now + pause, data=data))


async def _topics(service: "Service", mark: Mark, opened: Opened) -> dict[str, Any]:
    """A topic that nobody knew is announced once: the vendor goes on adding them."""
    api, editions = opened
    known = set(partner.partnership(service, mark.platform).events) | set((mark.data or {}).get("announced") or ())
    there = {topic.topic_id: topic.name for edition in editions for topic in await api.topics(edition)}
    news = sorted(set(there) - known)
    await service.db.run(_announce, mark.platform, {one: there[one] for one in news}, service.clock.now())
    return {"announced": sorted({*((mark.data or {}).get("announced") or ()), *news})}


def _announce(tx: Tx, platform: str, news: dict[str, str], now: Instant) -> None:
    for topic_id, name in news.items():
        line = {"platform": platform, "topic": topic_id, "name": name[:100]}
        journal.append(tx, PARTNER, [(now, None, "partner_topic_new", line)])
        telemetry.report(Event.partner, PARTNER, platform=platform, topic=f"topic_{topic_id}", did="topic_new")
        said = str(facts({"topic": topic_id})["topic"])  # the vendor's text goes to nobody's mail
        alerts.raise_alert(tx, PARTNER, Kind.partner_topic, said, {}, now)


# --- plans -----------------------------------------------------------------------------------------------------------


async def _plan(service: "Service", mark: Mark, opened: Opened) -> dict[str, Any]:
    """Read a customer's plan and do what it says."""
    customer_id, data = mark.name, dict(mark.data or {})
    bound = await service.db.run(customers.get_connection, customer_id, mark.platform)
    if bound is None or bound.account_id is None:
        return {}
    if data.get(RETURNING):
        return await _returned(service, customer_id, data)
    plan = await opened[0].plan(bound.account_id)
    shut = await service.db.run(_noted, mark.platform, customer_id, plan, service.clock.now())
    service.shares.forget()
    if not shut:
        return {}
    return await _returned(service, customer_id, data)


def _noted(tx: Tx, platform: str, customer_id: str, plan: Plan, now: Instant) -> bool:
    """Remember the plan. True where it says that a customer works again whom a shut account had paused."""
    queue.wake(tx, customer_id, now)
    bound, known = customers.get_connection(tx, customer_id, platform), customers.get(tx, customer_id)
    if bound is None or known is None:
        return False
    before = bound.data.get("plan")
    if before != asdict(plan):
        customers.remember(tx, customer_id, platform, {**bound.data, "plan": asdict(plan)})
        line = {"platform": platform, **asdict(plan), "before": before}
        journal.append(tx, customer_id, [(now, None, "partner_plan", line)])
    if plan.shut and _paused(tx, customer_id, "account.plan"):
        alerts.raise_alert(tx, customer_id, Kind.partner_shut, platform, {"event": "account.plan"}, now)
        line = {"platform": platform, "event": "account.plan", "did": "paused"}
        journal.append(tx, customer_id, [(now, None, "partner_event", line)])
    return not plan.shut and known.state == "paused" and PAUSED_BY in known.config


# --- back to work ----------------------------------------------------------------------------------------------------


async def _returned(service: "Service", customer_id: str, data: dict[str, Any]) -> dict[str, Any]:
    """The account is asked for, then every opt-out is read while the customer still rests; only then it works again.

    Its own turns cannot do that: they would write what was decided before.
    """
    if not data.get(RETURNING):
        if not await _right_account(service, customer_id):
            return {}
        data = {RETURNING: service.clock.now()}
        slot = await service.db.run(_begun, service, customer_id, service.clock.now())
    else:
        slot = await service.db.run(_occupied, service, customer_id, service.clock.now())
    desk = await service.desk(customer_id)
    try:
        whole, failed = await _all_opt_outs(desk, slot), 0
    except Fenced:
        raise
    except Problem:
        whole, failed = False, int(data.get("failed") or 0) + 1
    ended = await service.db.run(_resumed, desk, slot, data[RETURNING], whole, service.clock.now())
    return {} if ended or failed >= MOST_FAILURES else {**data, "failed": failed}


async def _right_account(service: "Service", customer_id: str) -> bool:
    """Does the connection lead where it is bound? A shut account answers nobody, and then it is not."""
    desk = await service.desk(customer_id)
    bound = await service.db.run(customers.get_connection, customer_id, desk.route.audience)
    try:
        name = await desk.audience.account()
    except Problem as problem:
        await service.db.run(_stays, customer_id, type(problem).__name__.lower(), service.clock.now())
        return False
    if bound is None or bound.account_id is None or not customers.leads_to(bound.account_id, [name]):
        await service.db.run(_stays, customer_id, "wrong_account", service.clock.now())
        return False
    return True


def _stays(tx: Tx, customer_id: str, why: str, now: Instant) -> None:
    queue.wake(tx, customer_id, now)
    journal.append(tx, customer_id, [(now, None, "partner_stays_paused", {"why": why})])
    alerts.raise_alert(tx, customer_id, Kind.partner_stays_shut, "account", {"why": why}, now)


def _occupied(tx: Tx, service: "Service", customer_id: str, now: Instant) -> Slot:
    return queue.occupy(tx, customer_id, service.chance.id(), now, LEASE)


def _begun(tx: Tx, service: "Service", customer_id: str, now: Instant) -> Slot:
    """The poll of opt-outs forgets where it was, so that its next round reads them all."""
    slot = _occupied(tx, service, customer_id, now)
    platform = service.settings.route(customer_id).audience
    marks.put(tx, customer_id, Mark(platform, "opted_out", due=now))
    marks.put(tx, customer_id, replace(marks.get(tx, customer_id, platform, ACCOUNT), due=now))
    return slot


async def _all_opt_outs(desk: Desk, slot: Slot) -> bool:
    """As many pages as a piece holds; whether that was the last one."""
    until = desk.clock.now() + PIECE_SECONDS
    while desk.clock.now() < until:
        await capture.poll_page(desk, slot, "opted_out")
        mark = await desk.db.run(marks.get, desk.customer_id, desk.route.audience, "opted_out")
        if mark.cursor is None:
            return bool((mark.data or {}).get("finished"))
    return False


def _resumed(tx: Tx, desk: Desk, slot: Slot, since: Instant, whole: bool, now: Instant) -> bool:
    """Free the slot; begin again where every opt-out is known, and neither a person nor an event has paused the
    customer since. Whether the reading is over."""
    queue.guard(tx, slot)
    known = customers.get(tx, desk.customer_id)
    told = journal.since(tx, desk.customer_id, "partner_event", since)
    if whole and not told and known is not None and PAUSED_BY in known.config:
        customers.resume(tx, desk.customer_id)
        journal.append(tx, desk.customer_id, [(now, None, "partner_resumed", {"paused_by": known.config[PAUSED_BY]})])
        telemetry.report(Event.resumed, desk.customer_id, platform=desk.route.audience)
    queue.release(tx, slot, now)
    return whole
