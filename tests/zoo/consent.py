"""Mistakes with opt-outs: undone, lost, late, written by the way, left at another address: one for each of I5 to I9."""

from collections.abc import Mapping
from typing import Any

from pytest import MonkeyPatch

from keepstep.connectors.constant_contact import source
from keepstep.model import consent as model
from keepstep.submit import confirm
from keepstep_simulator.run import Plan
from keepstep_simulator.swarm import Nets
from tests.planted import consent, writing

HOUR = 3600.0


def last_writer_wins(patch: MonkeyPatch) -> None:
    """I5: whoever is subscribed now is taken for somebody who subscribed again."""
    consent.last_writer_wins_consent(patch)


def opt_outs_by_updates(patch: MonkeyPatch) -> None:
    """I6: the recipe asks for whoever was updated, and an opt-out moves another stamp."""
    polls: Mapping[str, Any] = {**source.POLLS, "opted_out": ("unsubscribed", "updated_after")}
    patch.setattr(source, "POLLS", polls)


def looks_in_the_morning(patch: MonkeyPatch) -> None:
    """I7: the batch runs at midnight, and somebody looks when the office opens."""
    patch.setattr(confirm, "AFTER_BATCH", (8 * HOUR, 9 * HOUR))


def permission_with_the_fields(patch: MonkeyPatch) -> None:
    """I8: a write of fields says of consent what it takes for granted: that the person may be mailed."""
    writing.permission_with_the_fields(patch)


def nobody_bounces(patch: MonkeyPatch) -> None:
    """I9: an address that bounces is the mailing service's own business: it is closed nowhere."""
    patch.setattr(model, "_opts_out", lambda _bounce, _lines, _policy: False)


def _unheard(_seed: int) -> Plan:
    """Nobody hears of the batch but who looks."""
    return Plan(nets=Nets(webhooks="none"))


PLANS = {looks_in_the_morning: _unheard}
