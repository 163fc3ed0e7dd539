"""The worker: which slot is due, and one turn for it, again and again."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from keepstep import capture, certify, feeds, inbound, queue, submit, telemetry
from keepstep.desk import DELIVERIES, DOUBTFUL, LEASE, Chore, Desk
from keepstep.model.alerts import Kind
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.state import customers, journal
from keepstep.state.alerts import raise_alert
from keepstep.state.customers import PARTNER
from keepstep.wiring import Service, alone, events, leftover, partner, reconcile, rotation

PAUSE_AFTER_FAILURE = 60.0
PAUSE_AFTER_TROUBLE = 5.0
LEAST_PAUSE = 1.0


def chores(desk: Desk) -> tuple[Chore, ...]:
    """Everything that the blocks want done regularly, most urgent first."""
    crm = inbound.chores(desk)
    nightly = (*certify.chores(desk), *reconcile.chores(desk))
    read = (*crm[:2], *capture.chores(desk), *crm[2:], *submit.chores(desk), *feeds.chores(desk))
    return alone.wanted(desk, (*read, *nightly))


@dataclass(frozen=True, slots=True)
class Begun:
    """A slot that was claimed, with what its turn needs; None where that did not come with the claim."""

    slot: Slot
    turn: "Turn | None" = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One customer's turn: its desk, how deliveries are read, everything that may be due, and what is."""

    desk: Desk
    readers: Mapping[str, submit.Step]
    chores: Sequence[Chore]
    found: submit.Opened


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is due before this moment; None: not without new work."""

    until: Instant | None


async def run(service: Service) -> None:
    """Turns until the service is stopping; the turn under way, or claimed with the end of the last one, is finished
    first."""
    holder = service.chance.id()
    found: Begun | Idle | None = None
    while isinstance(found, Begun) or not service.stopping:
        last, found = found, None
        try:
            found = await _on(service, holder, last)
        except Exception as failure:  # a database that fails for a moment must not end a worker nobody starts again
            telemetry.note(telemetry.Process.failed, source="worker", **telemetry.trouble_of(failure))
            await service.clock.sleep(PAUSE_AFTER_TROUBLE)
    service.ended.set()


async def _on(service: Service, holder: str, found: Begun | Idle | None) -> Begun | Idle | None:
    """A turn, a pause, or a look at what is due, and what comes then; None where somebody must look."""
    if isinstance(found, Begun):
        then = None if service.stopping else partial(_following, service=service, holder=holder)
        following = await _served(service, found, then)
        service.told.set()
        return following
    if isinstance(found, Idle):
        await service.clock.until(found.until, service.woken)
        return None
    return await _claimed(service, holder)


async def _claimed(service: Service, holder: str, customer_id: str | None = None) -> Begun | Idle:
    """The slot that has been due longest. Where its turn cannot begin in the same transaction, the claim alone is made:
    what is wrong with one customer keeps nobody else waiting. What is wrong with the database is everybody's."""
    try:
        return await service.db.run(_begun, service, holder, customer_id)
    except DOUBTFUL:
        raise
    except Exception:
        return await service.db.run(_begun, service, holder, customer_id, alone=True)


def _begun(
    tx: Connection, service: Service, holder: str, customer_id: str | None = None, alone: bool = False
) -> Begun | Idle:
    """Claim a slot and, but for `alone`, begin its turn."""
    slot = queue.claim(tx, holder, service.clock.now(), LEASE, customer_id)
    if slot is None:
        return Idle(queue.next_claim(tx) if customer_id is None else None)
    if alone or slot.customer_id == PARTNER:
        return Begun(slot)
    known = customers.connections(tx, slot.customer_id)
    desk = service.desk_in(tx, slot.customer_id, known)
    readers, wanted = _work_of(service, desk)
    return Begun(slot, Turn(desk, readers, wanted, submit.opened(tx, desk, slot, wanted, known)))


def _following(tx: Connection, service: Service, holder: str) -> Begun | Idle:
    """With the end of a turn: the next one, or when to look again."""
    at = queue.next_claim(tx)
    if at is None or at > service.clock.now():
        return Idle(at)
    return _begun(tx, service, holder)


async def once(service: Service, customer_id: str | None) -> dict[str, int]:
    """What is due now."""
    turns, holder = 0, service.chance.id()
    while await work(service, holder, customer_id) is not None:
        turns += 1
    return {"turns": turns}


async def settled(
    service: Service, customer_id: str | None, patience: float, told: Callable[[int], None]
) -> dict[str, int]:
    """What is due now, then what the calls come to that are under way, for so many seconds at most: {turns, under_way}.
    told: how many calls are waited for."""
    done, until = await once(service, customer_id), service.clock.now() + patience
    while True:
        calls, at = await service.db.run(leftover.under_way, customer_id)
        now = service.clock.now()
        if at is None or max(at, now) >= until:
            return {**done, "under_way": calls}
        told(calls)
        await service.clock.sleep(min(max(at - now, LEAST_PAUSE), until - now))
        done["turns"] += (await once(service, customer_id))["turns"]


async def until(service: Service, customer_id: str, over: Callable[[], Awaitable[bool]]) -> None:
    """Turns of a customer, and pauses between them, until it is said to be over."""
    holder = service.chance.id()
    while not await over():
        if await work(service, holder, customer_id) is None:
            await service.clock.sleep(LEAST_PAUSE)


async def work(service: Service, holder: str, customer_id: str | None = None) -> str | None:
    """One turn of the slot that has been due longest; whose it was, None if nothing is due."""
    found = await _claimed(service, holder, customer_id)
    if isinstance(found, Idle):
        return None
    await _served(service, found)
    return found.slot.customer_id


Then = Callable[[Connection], Begun | Idle]


async def _served(service: Service, found: Begun, then: Then | None = None) -> Begun | Idle | None:
    try:
        return await _turn(service, found, then)
    except Exception as failure:  # a bug in one customer's turn is that customer's: the next one is served
        telemetry.note(telemetry.Process.failed, source="turn", **telemetry.trouble_of(failure))
        await service.db.run(_failed, found.slot, type(failure).__name__, service.clock.now())
        return None


async def _turn(service: Service, begun: Begun, then: Then | None) -> Begun | Idle | None:
    slot, turn = begun.slot, begun.turn
    if slot.customer_id == PARTNER:
        await events.turn(service, slot)
        return None
    if turn is not None:
        return await submit.turn(turn.desk, slot, turn.readers, turn.chores, turn.found, then)
    desk = await service.desk(slot.customer_id)
    return await submit.turn(desk, slot, *_work_of(service, desk), None, then)


def _work_of(service: Service, desk: Desk) -> tuple[Mapping[str, submit.Step], Sequence[Chore]]:
    """How the customer's deliveries are read, and everything that may be due, most urgent first."""
    wanted = (*chores(desk), *rotation.chores(service, desk))
    crm, audience = desk.route.crm, desk.route.audience
    readers: dict[str, submit.Step] = {audience: partial(inbound.read_hints, parse=service.parse(audience))}
    if not desk.route.alone:
        readers = {crm: partial(inbound.read_deliveries, parse=service.parse(crm)), **readers}
    for platform in partner.platforms(service):
        word = partner.word(platform)
        readers[word] = partial(_partners_news, service, platform)
        wanted = (*wanted, Chore(word, DELIVERIES, partial(inbound.read_again, platform=word), first=False))
    return readers, wanted


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
    raise_alert(tx, slot.customer_id, Kind.turn_failed, "turn", {"error": what}, now)
