"""What a route does not let out: its stage, a plan that nobody has applied, the hours of bulk work, what was decided
before a standstill (design section 4a).

A hold is never stored as a fact: before each turn forms its jobs, steps that may go are let go and those that may not
are held. Where the freshness gate held a step before, it holds it again afterwards: what was read before a plan was
made says nothing on the day it is applied.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Update, and_, bindparam, case, false, or_, select, true, update
from sqlalchemy import exists as sql_exists

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.change import Lane
from keepstep.model.contact import Side
from keepstep.model.enrol import KIND
from keepstep.model.feed_decide import KINDS as OF_ROWS
from keepstep.model.instant import Instant
from keepstep.model.stage import bulk_may_run, has_window
from keepstep.queue import Slot
from keepstep.schema.tables import entry, plan_party, step
from keepstep.state import plans, runs
from keepstep.state.plans import Plan
from keepstep.submit import standstill

GATE, BLOCKED = "gate", "blocked"
Condition = ColumnElement[bool]
# What an undo restores was asked for by a person at this moment: no plan and no window holds it.
_RESTORES = step.c.target.startswith("undo:")


# What widens what a person receives: what waits at the gate (design section 4).
_WIDENS = or_(
    step.c.kind.in_(("join", "tag_on", KIND, *OF_ROWS)),
    and_(step.c.kind == "set_consent", step.c.lane != int(Lane.consent)),
)
_WAITING = (
    select(step.c.hold, step.c.kind, step.c.inferred.is_not(None))
    .where(step.c.customer_id == bindparam("customer"), step.c.job_id.is_(None))
    .distinct()
)
_ANY_AT_GATE = select(
    sql_exists().where(step.c.customer_id == bindparam("customer"), step.c.job_id.is_(None), step.c.hold == GATE)
)


def _shutting() -> Update:
    unsent = (step.c.customer_id == bindparam("customer"), step.c.job_id.is_(None), step.c.hold.is_(None))
    return update(step).where(*unsent, step.c.due <= bindparam("now"), _WIDENS).values(hold=GATE)


_SHUT = _shutting()


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the customer's unsent steps are: by what they are held, of which kinds, and whether any is only inferred."""

    holds: frozenset[str]
    kinds: frozenset[str]
    inferred: bool


def waiting(tx: Connection, customer_id: str) -> Waiting:
    """Asked once before steps are let go and held, so that nobody asks again for what is not there."""
    rows = [tuple(row) for row in tx.execute(_WAITING, {"customer": customer_id})]
    held = frozenset(hold for hold, _, _ in rows if hold)
    return Waiting(held, frozenset(kind for _, kind, _ in rows), any(inferred for _, _, inferred in rows))


def shut(tx: Connection, customer_id: str, now: Instant) -> None:
    """The gate shuts again behind what went through it and is still here, such as what the vendor refused for now."""
    tx.execute(_SHUT, {"customer": customer_id, "now": now})


def at_gate(tx: Connection, customer_id: str) -> bool:
    """Does the gate hold a step?"""
    return bool(tx.execute(_ANY_AT_GATE, {"customer": customer_id}).scalar_one())


def hold(tx: Connection, desk: Desk, slot: Slot, holds: Collection[str], now: Instant) -> None:
    """Hold and let go the customer's unsent steps, as stage, plan and window say now. `holds`: what holds any now."""
    queue.guard(tx, slot)
    plan = plans.get(tx, desk.customer_id)
    wanted = {**_conditions(desk, plan, now), standstill.NAME: standstill.keeps(tx, desk)}
    unsent = and_(step.c.customer_id == desk.customer_id, step.c.job_id.is_(None))
    for word, condition in wanted.items():
        if {word, _over_gate(word)}.intersection(holds):
            _let_go(tx, unsent, word, condition, now)
    for word, condition in wanted.items():
        if condition is not None:
            _take(tx, unsent, word, condition)
    _end(tx, desk.customer_id, plan, now)


def rest(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> None:
    """The same where no unsent step is there to be held or let go."""
    queue.guard(tx, slot)
    _end(tx, desk.customer_id, plans.get(tx, desk.customer_id), now)


def _end(tx: Connection, customer_id: str, plan: Plan | None, now: Instant) -> None:
    """Who has neither a step nor a mark is done with, by the plan and by the runs."""
    if plan is not None and plan.state == "applied":
        _finish(tx, customer_id)
    runs.end(tx, customer_id, now)


def _conditions(desk: Desk, plan: Plan | None, now: Instant) -> dict[str, Condition | None]:
    """Per hold, strongest first, which steps it keeps; None where it keeps nothing."""
    policy = desk.route.policy
    # What a feed brings is no sync's: it goes one way in every stage that writes.
    one_way = and_(step.c.side == str(Side.audience), step.c.kind.not_in(("opt_out", *OF_ROWS)))
    shut = has_window(policy) and not bulk_may_run(policy, now)
    return {
        "shadow": true() if policy.stage == "observe" else None,
        "plan": _planned(desk.customer_id, plan),
        "one_way": one_way if policy.stage == "one_way" else None,
        "window": _bulk(desk.customer_id) if shut else None,
    }


def _planned(customer_id: str, plan: Plan | None) -> Condition | None:
    """A plan holds everything until it is applied; afterwards those who changed before that. Opt-outs cross whatever
    is planned, but for a first connection: there nothing at all is written before somebody has said yes."""
    if plan is None:
        return None
    free = step.c.lane != int(Lane.consent)
    if plan.state != "applied":
        return true() if plan.first else and_(free, ~_RESTORES)
    return and_(free, ~_RESTORES, _of_plan(customer_id, "dropped"))


def _bulk(customer_id: str) -> Condition:
    """What a sweep found, and what a plan brings: consent and single changes go at any hour."""
    lanes = step.c.lane >= int(Lane.sweep)
    return and_(~_RESTORES, or_(lanes, and_(step.c.lane != int(Lane.consent), _of_plan(customer_id, "planned"))))


def _of_plan(customer_id: str, state: str) -> Condition:
    mine = (plan_party.c.customer_id == customer_id, plan_party.c.state == state)
    return sql_exists().where(*mine, plan_party.c.party_id == step.c.party_id)


def _over_gate(word: str) -> str:
    return f"{word} {GATE}"


def _let_go(tx: Connection, unsent: Condition, word: str, condition: Condition | None, now: Instant) -> None:
    held = step.c.hold.in_((word, _over_gate(word)))
    gone = ~condition if condition is not None else ~false()
    under = case((step.c.hold == _over_gate(word), GATE), else_=None)
    tx.execute(update(step).where(unsent, held, gone).values(hold=under, due=now))


def _take(tx: Connection, unsent: Condition, word: str, condition: Condition) -> None:
    free = or_(step.c.hold.is_(None), step.c.hold.in_((GATE, BLOCKED)))
    over = case((step.c.hold == GATE, _over_gate(word)), else_=word)
    tx.execute(update(step).where(unsent, free, condition).values(hold=over))


def _finish(tx: Connection, customer_id: str) -> None:
    """A party of the plan that has neither a step nor a mark is as any other from now on."""
    mine = (plan_party.c.customer_id == customer_id, plan_party.c.state == "planned")
    busy = [
        sql_exists().where(table.c.customer_id == customer_id, table.c.party_id == plan_party.c.party_id)
        for table in (step, entry)
    ]
    tx.execute(update(plan_party).where(*mine, *(~one for one in busy)).values(state="done"))
