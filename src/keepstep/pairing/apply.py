"""Do exactly what was planned, or nothing. Who changed since is left for the next plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.decide import Setting
from keepstep.model.errors import Refused
from keepstep.model.instant import Instant
from keepstep.pairing import plan as drawn
from keepstep.schema.tables import entry
from keepstep.state import journal, plans, readings, runs
from keepstep.state.plans import Plan

# What makes somebody look at the plan again: as the brake of inferred changes (design section 4).
FLOOR, SHARE = 20, 0.05


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of it. `refused`: why nothing was let go. `dropped`: records of the parties that changed since.
    `run`: what `keepstep undo` calls it."""

    steps: int
    dropped: tuple[str, ...]
    refused: str | None = None
    run: str | None = None


def apply(
    tx: Connection, desk: Desk, checksum: str, setting: Setting, accounts: Mapping[str, Sequence[str]], now: Instant
) -> Applied:
    """Let go the steps of the plan with this checksum. `accounts`: whatever the account of each platform is known by.
    Raises Refused where there is no such plan to be applied."""
    plan = plans.get(tx, desk.customer_id)
    if plan is None or plan.state != "open" or plan.checksum != checksum:
        raise Refused(404, f"no open plan {checksum}; `keepstep plan --customer {desk.customer_id}` makes one")
    rows = drawn.held(tx, desk, plan)
    stale = _stale(tx, desk, drawn.prints(rows), now)
    people = tuple(_records(tx, desk, stale))
    if why := _why_not(tx, desk, plan, setting, accounts, stale):
        return Applied(0, people, why)
    plans.apply(tx, desk.customer_id, sorted(stale))
    let_go = {row.party_id: None for row in rows if row.party_id not in stale}
    run = runs.begin(tx, desk.customer_id, "plan", list(let_go), {"checksum": checksum}, now)
    queue.wake(tx, desk.customer_id, now)
    applied = Applied(sum(row.party_id not in stale for row in rows), people, run=run)
    said = {"checksum": checksum, "run": run, "steps": applied.steps, "dropped": len(people)}
    journal.append(tx, desk.customer_id, [(now, None, "plan_applied", said)])
    return applied


def _why_not(
    tx: Connection, desk: Desk, plan: Plan, setting: Setting, accounts: Mapping[str, Sequence[str]], stale: set[str]
) -> str | None:
    doc = plan.doc or {}
    if desk.route.policy.stage == "observe":
        return "the route only observes; set its stage to one_way or both first, the plan stays"
    known = {name: {one, *(doc.get("names") or {}).get(name, ())} for name, one in (doc.get("accounts") or {}).items()}
    if any(not known.get(name, set()) & set(some) for name, some in accounts.items()):
        return "a connection leads to another account than the one that was planned for"
    if drawn.mapping(desk, setting) != doc.get("mapping"):
        return "the mapping has changed: policy, lists, tags or custom fields"
    planned = len(plans.parties_in(tx, desk.customer_id, "planned"))
    if len(stale) > max(FLOOR, SHARE * planned):
        return f"{len(stale)} of {planned} parties have changed since"
    return None


def _stale(tx: Connection, desk: Desk, there: Mapping[str, str], now: Instant) -> set[str]:
    """Who wants something else than was planned, more, or nothing any more; and whoever is marked and not decided."""
    planned = plans.parties_in(tx, desk.customer_id, "planned")
    other = {key for key in {**planned, **there} if planned.get(key) != there.get(key)}
    marked = select(entry.c.party_id).where(entry.c.customer_id == desk.customer_id, entry.c.due <= now)
    return other | {key for key in tx.execute(marked).scalars() if key in planned}


def _records(tx: Connection, desk: Desk, party_ids: set[str]) -> list[str]:
    found = readings.load(tx, desk.customer_id, sorted(party_ids)).values()
    alone = [party.crm_id for party in found if party.crm_id and not party.people]
    return sorted([*alone, *(person.record_id for party in found for person in party.people)])
