"""Mistakes at the door and with what comes through it: one for each of I1, I2 and I4."""

from typing import Any

from pytest import MonkeyPatch

from keepstep.inbound import deliveries
from keepstep.schema.tables import delivery
from keepstep.web import door as web
from keepstep.web.answers import body_of, say
from keepstep.wire.signature import verify
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.run import Plan
from tests.planted import door
from tests.zoo import plans


def acknowledged_before_stored(patch: MonkeyPatch) -> None:
    """I1: the door answers first, and stores when there is time."""

    async def take(self: web.Door, platform: str, token: str, scope: Any, receive: Any, send: Any) -> None:
        sender = await self._sender(platform, token)
        headers, body = web._headers(scope), await body_of(scope, receive)
        if not verify(body, self.signatures[platform](headers), sender.secrets):
            raise self._refused(sender.customer_id, platform)
        await say(send, 200, {"ok": True})
        await self.db.append(delivery, self._row(sender.customer_id, platform, headers, body))
        self._wake_later(sender.customer_id)

    patch.setattr(web.Door, "take", take)


def first_of_many(patch: MonkeyPatch) -> None:
    """I2: a delivery tells of one record, the first one it names."""
    true_named = deliveries.named_in
    patch.setattr(deliveries, "named_in", lambda body, parse: true_named(body, parse)[:1])


def signature_not_verified(patch: MonkeyPatch) -> None:
    """I4: the recipe leaves verification to a function that nobody wrote."""
    door.signature_not_verified(patch)


def _failing(seed: int) -> Plan:
    return Plan(chaos=Chaos(seed, commit_rate=0.02))


PLANS = {acknowledged_before_stored: _failing, first_of_many: plans.tagged_together}
