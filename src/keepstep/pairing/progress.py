"""How far a plan is: both sides read to their end, nobody marked, no call under way."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.instant import Instant
from keepstep.schema.tables import entry
from keepstep.state import customers, marks, parties, plans, strangers

# Whoever waits for the first sweep of the CRM side is marked again some seconds later.
SOON = 60.0
FIRST_SWEEPS = (("audience", "sweep"), ("crm", "crm_sweep"))


@dataclass(frozen=True, slots=True)
class Progress:
    """`read`: pages of the two first sweeps so far; `marked`: parties that are to be decided; `flying`: calls under
    way; `blocked`: the platform whose owner must act, and why."""

    read: int
    swept: bool
    marked: int
    flying: int
    blocked: tuple[str, str] | None = None

    @property
    def whole(self) -> bool:
        """May the plan be drawn?"""
        return self.swept and not self.marked and not self.flying


def begin(tx: Connection, desk: Desk, now: Instant) -> None:
    """From now on what is decided is held. Where nobody was in step yet, opt-outs are held as well."""
    plans.begin(tx, desk.customer_id, not parties.standings(tx, desk.customer_id, "in_step"), now)
    strangers.under(tx, desk.customer_id, desk.route.crm, desk.route.policy.crm_only, now)
    queue.wake(tx, desk.customer_id, now)


def progress(tx: Connection, desk: Desk, now: Instant) -> Progress:
    """As it stands now."""
    sweeps = [marks.get(tx, desk.customer_id, getattr(desk.route, end), name) for end, name in FIRST_SWEEPS]
    ends = customers.connections(tx, desk.customer_id)
    ends = [one for one in ends if one.platform in (desk.route.crm, desk.route.audience)]
    blocked = [(one.platform, one.reason or one.health) for one in ends if one.health == "blocked"]
    mine = select(func.count()).select_from(entry).where(entry.c.customer_id == desk.customer_id)
    return Progress(
        read=sum(int((mark.data or {}).get("pages") or 0) for mark in sweeps),
        swept=all(mark.mark is not None for mark in sweeps)
        and strangers.all_read(tx, desk.customer_id, desk.route.crm, desk.route.policy.crm_only),
        marked=tx.execute(mine.where(entry.c.due <= now + SOON)).scalar_one(),
        flying=len(queue.job_states(tx, desk.customer_id)),
        blocked=next(iter(blocked), None),
    )
