"""Bugs planted on purpose, each behind a monkeypatch: the invariant that must notice is named beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import Connection

from keepstep import queue, rounds, worker
from keepstep.model.change import Lane, Outcome, Retry, a_step
from keepstep.model.contact import Consent
from keepstep.model.customer import Cadence
from keepstep.model.errors import Unanswered
from keepstep.schema.tables import delivery
from keepstep.submit import calls, decided
from keepstep.web import door
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.run import Plan

Patch = Callable[[pytest.MonkeyPatch], None]


def ack_first(patch: pytest.MonkeyPatch) -> None:
    """The door answers, then stores."""

    async def take(self: door.Door, platform: str, token: str, scope: Any, receive: Any, send: Any) -> None:
        sender = await self._sender(platform, token)
        body = await door.body_of(scope, receive)
        await door.say(send, 200, {"ok": True})
        await self.db.append(delivery, self._row(sender.customer_id, platform, door._headers(scope), body))

    patch.setattr(door.Door, "take", take)


def last_writer_wins_consent(patch: pytest.MonkeyPatch) -> None:
    """Staff's opt-out is overwritten with the other side's older yes."""
    right = decided.decide

    def decide(party: Any, readings: Any, setting: Any) -> Any:
        decision = right(party, readings, setting)
        steps = [_back_in(party, person, readings) for person in party.people]
        return replace(decision, steps=(*decision.steps, *(step for step in steps if step)))

    patch.setattr(decided, "decide", decide)


def _back_in(party: Any, person: Any, readings: Any) -> Any:
    contact, here = readings.crm, readings.audience.get(person.record_id)
    if contact is None or here is None or here.consent is not Consent.opted_in:
        return None
    for individual in contact.individuals:
        for method in individual.methods:
            if individual.record_id == person.individual and method.kind == "email" and method.opted_in is False:
                ids = {"contact": contact.record_id, "individual": individual.record_id, "method": method.record_id}
                payload = {**ids, "opted_in": True}
                return a_step(party.party_id, person.record_id, "set_consent", payload, lane=Lane.consent)
    return None


def entries_dropped(patch: pytest.MonkeyPatch) -> None:
    """Every third mark is forgotten."""
    right, count = queue.put, [0]

    def put(tx: Connection, customer_id: str, items: Sequence[Any], now: float) -> None:
        kept = []
        for item in items:
            count[0] += 1
            if count[0] % 3:
                kept.append(item)
        right(tx, customer_id, kept, now)

    patch.setattr(queue, "put", put)


def repeated_without_a_look(patch: pytest.MonkeyPatch) -> None:
    """A write without an answer is sent again at once."""
    right = calls._call

    async def call(desk: Any, job: Any, looking: bool = False) -> Any:
        side = desk.crm if job.side == "crm" else desk.audience
        if not looking:
            try:
                return calls.Result(job, tuple(await side.write(calls._as_call(job))))
            except Unanswered:
                pass
            except Exception:
                return calls._all(job, Retry(60.0, "failed"))
        return await right(desk, job, looking)

    patch.setattr(calls, "_call", call)


def no_intent(patch: pytest.MonkeyPatch) -> None:
    """The call is made before anything says so."""
    patch.setattr(calls, "_send", lambda _tx, slot, _job_id, _now: slot)


def unknown_is_a_retry(patch: pytest.MonkeyPatch) -> None:
    """A write without an answer counts as not done: it is formed again in the next turn."""
    right = calls._call

    async def call(desk: Any, job: Any, looking: bool = False) -> Any:
        result = await right(desk, job, looking)
        outcomes: tuple[Outcome, ...] = tuple(
            Retry(1.0, "?") if type(one).__name__ == "Unknown" else one for one in result.outcomes
        )
        return replace(result, outcomes=outcomes)

    patch.setattr(calls, "_call", call)


def mark_is_now(patch: pytest.MonkeyPatch) -> None:
    """The mark moves to our own clock."""
    right = rounds.moved

    def moved(mark: Any, page: Any, now: float, every: Any) -> Any:
        found = right(mark, page, now, every)
        return replace(found, mark=now) if found.cursor is None and found.mark is not None else found

    patch.setattr(rounds, "moved", moved)


def worker_that_dies(patch: pytest.MonkeyPatch) -> None:
    """One failed commit ends the worker, while the door goes on answering."""

    async def run(service: Any) -> None:
        holder = service.chance.id()
        while True:
            if await worker.work(service, holder) is None:
                await service.clock.until(await service.db.run(queue.next_claim), service.woken)

    patch.setattr(worker, "run", run)


# Few polls: what these weeks are about is the edits.
RARE = Cadence(opted_out=7200.0, changed=7200.0, lists=14400.0, crm_changed=7200.0)


def busy(seed: int) -> Plan:
    """One customer, many edits, many unanswered calls."""
    chaos = Chaos(seed, call_rate=0.15, kinds=("reset_after",))
    return Plan(customers=1, people=(9, 11), deeds=(14, 20), cadence=RARE, chaos=chaos)


def failing_commits(seed: int) -> Plan:
    """One customer whose disk fails now and then."""
    return Plan(customers=1, people=(8, 8), deeds=(4, 6), cadence=RARE, chaos=Chaos(seed, commit_rate=0.02))


def calm(seed: int) -> Plan:
    """One customer and nothing wrong."""
    return Plan(customers=1, people=(9, 11), deeds=(14, 20), cadence=RARE, chaos=Chaos(seed))


@dataclass(frozen=True)
class Planted:
    """A bug, the invariants of which at least one must fire, and what the seeds are made of."""

    plant: Patch
    invariants: tuple[str, ...]
    plan: Callable[[int], Plan]


PLANTED = [
    Planted(ack_first, ("I1",), failing_commits),
    Planted(last_writer_wins_consent, ("I5",), calm),
    Planted(entries_dropped, ("I10",), calm),
    Planted(repeated_without_a_look, ("I15",), busy),
    Planted(repeated_without_a_look, ("I16",), busy),
    Planted(unknown_is_a_retry, ("I16",), busy),
    Planted(no_intent, ("I16",), calm),
    Planted(mark_is_now, ("I23",), calm),
    Planted(worker_that_dies, ("alive",), failing_commits),
]
