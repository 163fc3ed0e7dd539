"""Mistakes with the queue: what is dropped, left lying, tried again at once, given up in silence: one for each of I18
to I21, and a worker that dies."""

from typing import Any

from pytest import MonkeyPatch
from sqlalchemy import Connection, delete

from keepstep import queue, worker
from keepstep.connectors.virtuous import api
from keepstep.queue import entries
from keepstep.schema.tables import entry
from keepstep.submit import calls
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.run import Plan
from keepstep_simulator.swarm import Nets


def taken_is_gone(patch: MonkeyPatch) -> None:
    """I18: a mark is deleted when it is taken, not when its decision is stored."""
    right = queue.take

    def take(tx: Connection, slot: Any, now: float, limit: int = 200) -> Any:
        found = right(tx, slot, now, limit)
        for one in found:
            tx.execute(delete(entry).where(entry.c.customer_id == slot.customer_id, entry.c.party_id == one.party_id))
        return found

    patch.setattr(queue, "take", take)


def nobody_is_woken(patch: MonkeyPatch) -> None:
    """I19: a mark is put, and nobody's slot becomes due by it."""
    patch.setattr(entries, "wake", lambda _tx, _customer_id, _at: None)


def come_later_means_now(patch: MonkeyPatch) -> None:
    """I20: 429 stops the call that it answers, and no other one."""
    patch.setattr(api.Pace, "stop", lambda _self, _until: None)


def opt_outs_die(patch: MonkeyPatch) -> None:
    """I21: an opt-out that is refused is given up like any other step."""
    patch.setattr(calls._Tally, "_never_dies", lambda _self, _row, _outcome: False)


def worker_that_dies(patch: MonkeyPatch) -> None:
    """alive: one failed commit ends the worker, while the door goes on answering."""

    async def run(service: Any) -> None:
        holder = service.chance.id()
        while True:
            if await worker.work(service, holder) is None:
                await service.clock.until(await service.db.run(queue.next_claim), service.woken)

    patch.setattr(worker, "run", run)


def _refusing(seed: int) -> Plan:
    return Plan(chaos=Chaos(seed, call_rate=0.3, kinds=("400",)))


def _replayed(seed: int) -> Plan:
    """Some writes are refused for good, and somebody replays them."""
    chaos = Chaos(seed, call_rate=0.1, kinds=("400",))
    return Plan(chaos=chaos, nets=Nets(operator="mends"), mishaps=False, agitation=0.0)


def _busy(seed: int) -> Plan:
    return Plan(chaos=Chaos(seed, call_rate=0.1, kinds=("429",)))


def _failing(seed: int) -> Plan:
    return Plan(chaos=Chaos(seed, commit_rate=0.02))


PLANS = {nobody_is_woken: _replayed, opt_outs_die: _refusing, come_later_means_now: _busy, worker_that_dies: _failing}
