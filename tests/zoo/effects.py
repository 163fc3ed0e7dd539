"""Mistakes in what is written how often, and by whom: one for each of I15 to I17."""

from typing import Any

from pytest import MonkeyPatch
from sqlalchemy import Connection

from keepstep import queue
from keepstep.connectors.virtuous import api
from keepstep.submit import calls
from keepstep_simulator.run import Plan
from keepstep_simulator.swarm import Nets


def posts_in_case_it_was_lost(patch: MonkeyPatch) -> None:
    """I15: the client of Virtuous makes every POST once more, in case the first one was lost."""
    right = api.Api.send

    async def send(self: Any, call: Any) -> Any:
        if call.method == "POST" and not call.read:
            await right(self, call)
        return await right(self, call)

    patch.setattr(api.Api, "send", send)


def sent_before_it_is_meant(patch: MonkeyPatch) -> None:
    """I16: the call is made before anything says so."""
    patch.setattr(calls, "_send", lambda _tx, slot, _job_id, _now: slot)


def leases_are_for_the_slow(patch: MonkeyPatch) -> None:
    """I17: a slot that is due is claimed, whoever holds it."""
    right = queue.claim

    def claim(tx: Connection, holder: str, now: float, lease: float, customer_id: str | None = None) -> Any:
        queue.expire_leases(tx, now)
        return right(tx, holder, now, lease, customer_id)

    patch.setattr(queue, "claim", claim)


def crowded(_seed: int) -> Plan:
    """Two processes from the beginning."""
    return Plan(nets=Nets(workers="two"))


PLANS = {leases_are_for_the_slow: crowded}
