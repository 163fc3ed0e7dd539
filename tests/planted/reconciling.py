"""Mistakes of reconciliation: repairs that write, widen or forget what they did."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch
from sqlalchemy import delete

from keepstep.model.contact import Side
from keepstep.model.drift import Finding
from keepstep.model.party import Act
from keepstep.reconcile import compare, repair
from keepstep.schema.oversight import reconciliation
from keepstep.state import reconciliations


def repairs_by_removing(patch: MonkeyPatch) -> None:
    """What drifted is decided as it stands stored, so that a reading nobody can believe takes tags off."""
    patch.setattr(repair, "repaired", lambda party, _findings: party)


def lifts_an_opt_out(patch: MonkeyPatch) -> None:
    """Who is repaired counts as back in: both sides are to be the same after all."""
    true_repaired = repair.repaired

    def repaired(party: Any, findings: Iterable[Finding]) -> Any:
        party = true_repaired(party, findings)
        back = Act(id="x", side=Side.audience, kind="choice", direction="in", after=None, before=1e12)
        return replace(party, people=tuple(replace(one, acts=(*one.acts, back)) for one in party.people))

    patch.setattr(repair, "repaired", repaired)


def log_rewritten(patch: MonkeyPatch) -> None:
    """The log holds the last night only."""
    true_log = reconciliations.log

    def log(tx: Any, customer_id: str, *given: Any) -> None:
        tx.execute(delete(reconciliation).where(reconciliation.c.customer_id == customer_id))
        true_log(tx, customer_id, *given)

    patch.setattr(reconciliations, "log", log)


def compares_everybody(patch: MonkeyPatch) -> None:
    """What is the same is compared pair by pair every night."""
    patch.setattr(compare, "remember", lambda *_given: None)
