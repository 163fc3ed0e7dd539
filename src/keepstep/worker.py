"""The worker: which slot is due, and one turn for it, again and again."""

from functools import partial

from sqlalchemy import Connection

from keepstep import capture, certify, inbound, queue, submit, telemetry
from keepstep.desk import DELIVERIES, LEASE, Chore, Desk
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.state import journal
from keepstep.state.customers import PARTNER
from keepstep.wiring import Service, events, partner, reconcile

PAUSE_AFTER_FAILURE = 60.0
PAUSE_AFTER_TROUBLE = 5.0


def chores(desk: Desk) -> tuple[Chore, ...]:
    """Everything that the blocks want done regularly, most urgent first."""
    crm = inbound.chores(desk)
    nightly = (*certify.chores(desk), *reconcile.chores(desk))
    return (*crm[:2], *capture.chores(desk), *crm[2:], *submit.chores(desk), *nightly)


async def run(service: Service) -> None:
    """Turns until the service is stopping; the turn under way is finished first."""
    holder = service.chance.id()
    while not service.stopping:
        try:
            found = await service.db.run(_claimed, holder, service.clock.now())
            if isinstance(found, Slot):
                await _served(service, found)
            else:
                await service.clock.until(found, service.woken)
        except Exception as failure:  # a database that fails for a moment must not end a worker nobody starts again
            telemetry.note(telemetry.Process.failed, source="worker", **telemetry.trouble_of(failure))
            await service.clock.sleep(PAUSE_AFTER_TROUBLE)
    service.ended.set()


def _claimed(tx: Connection, holder: str, now: Instant) -> Slot | Instant | None:
    """The slot that has been due longest, or when to look again."""
    return queue.claim(tx, holder, now, LEASE) or queue.next_claim(tx)


async def once(service: Service, customer_id: str | None) -> dict[str, int]:
    """What is due now."""
    turns, holder = 0, service.chance.id()
    while await work(service, holder, customer_id) is not None:
        turns += 1
    return {"turns": turns}


async def work(service: Service, holder: str, customer_id: str | None = None) -> str | None:
    """One turn of the slot that has been due longest; whose it was, None if nothing is due."""
    slot = await service.db.run(queue.claim, holder, service.clock.now(), LEASE, customer_id)
    if slot is None:
        return None
    await _served(service, slot)
    return slot.customer_id


async def _served(service: Service, slot: Slot) -> None:
    try:
        await _turn(service, slot)
    except Exception as failure:  # a bug in one customer's turn is that customer's: the next one is served
        telemetry.note(telemetry.Process.failed, source="turn", **telemetry.trouble_of(failure))
        await service.db.run(_failed, slot, type(failure).__name__, service.clock.now())


async def _turn(service: Service, slot: Slot) -> None:
    if slot.customer_id == PARTNER:
        await events.turn(service, slot)
        return
    desk = await service.desk(slot.customer_id)
    wanted = chores(desk)
    crm, audience = desk.route.crm, desk.route.audience
    readers: dict[str, submit.Step] = {
        crm: partial(inbound.read_deliveries, parse=service.parse(crm)),
        audience: partial(inbound.read_hints, parse=service.parse(audience)),
    }
    for platform in partner.platforms(service):
        word = partner.word(platform)
        readers[word] = partial(_partners_news, service, platform)
        wanted = (*wanted, Chore(word, DELIVERIES, partial(inbound.read_again, platform=word), first=False))
    await submit.turn(desk, slot, readers, wanted)


async def _partners_news(service: Service, platform: str, _desk: Desk, slot: Slot) -> None:
    """What the door could not hand on before the process ended."""
    await events.read(service, platform, slot.customer_id)


def _failed(tx: Connection, slot: Slot, what: str, now: Instant) -> None:
    """The slot stays ours until the lease ends, which is the pause before the next try."""
    try:
        queue.renew(tx, slot, now, PAUSE_AFTER_FAILURE)
    except queue.Fenced:
        return
    journal.append(tx, slot.customer_id, [(now, None, "turn_failed", {"error": what})])
