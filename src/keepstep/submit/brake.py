"""The brake: what is only inferred goes out up to a limit a day; beyond it, everything inferred waits for a person.

A step is counted when nothing else holds it any more, once for what it says, however often it is tried. What was part
of an applied plan was seen by a person and is not counted. See model/brake.py for what is inferred, and from what.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, delete, func, select, update

from keepstep import queue, telemetry
from keepstep.database import portions
from keepstep.desk import Desk
from keepstep.model.alerts import Kind
from keepstep.model.brake import DAY, most, trips
from keepstep.model.canonical import fingerprint
from keepstep.model.customer import Route
from keepstep.model.instant import Instant
from keepstep.queue import Slot, StepRow
from keepstep.schema.tables import step
from keepstep.state import brake, journal, plans
from keepstep.state.alerts import raise_alert
from keepstep.state.brake import Inferred, Key
from keepstep.telemetry import Event

HOLD = "brake"
OPT_OUTS = ("opt_out", "set_consent")
# An opt-out that is refused is tried for ever; what nobody has asked about for so long is another change.
KEPT = 30 * DAY


# Built once: turns with something inferred ask these.
_UNSENT = (step.c.customer_id == bindparam("customer"), step.c.job_id.is_(None))
_PARTIES = select(step.c.party_id).where(*_UNSENT).distinct().order_by(step.c.party_id)
_WITH_HELD = _PARTIES.where(step.c.hold == HOLD)
_WITH_INFERRED = _PARTIES.where(step.c.hold.is_(None), step.c.inferred.is_not(None))
_ASKED_SINCE = (
    update(step).where(*_UNSENT, step.c.hold == HOLD, step.c.inferred.is_(None)).values(hold=None, due=bindparam("at"))
)


def key_of(row: StepRow) -> Key:
    """A step by what it says."""
    return (row.party_id, row.side, row.target, fingerprint(dict(row.payload)))


def release(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> None:
    """Let go what need not wait any longer: what somebody has asked for since, and opt-outs that waited for a day."""
    queue.guard(tx, slot)
    if brake.oldest(tx, desk.customer_id) is None:
        return
    tx.execute(_ASKED_SINCE, {"customer": desk.customer_id, "at": now})
    oldest = brake.oldest(tx, desk.customer_id, OPT_OUTS)
    if oldest is not None and oldest <= now - DAY:
        _let_go_overdue(tx, desk, now)


def _let_go_overdue(tx: Connection, desk: Desk, now: Instant) -> None:
    """Nobody has said for a day that they are no opt-outs."""
    held = brake.held(tx, desk.customer_id)
    old = {key for key, one in held.items() if one.kind in OPT_OUTS and one.since <= now - DAY}
    rows = [row for row in braked(tx, desk.customer_id) if key_of(row) in old]
    brake.set_state(tx, desk.customer_id, sorted(old), "overdue", now)
    let_go(tx, desk.customer_id, rows, now)
    if rows:
        journal.append(tx, desk.customer_id, [(now, None, "brake_overdue", {"steps": len(rows)})])


def take(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> None:
    """Count what is about to go out, or hold it."""
    queue.guard(tx, slot)
    rows = _about_to_go(tx, desk.customer_id)
    if not rows:
        return
    known = brake.of_parties(tx, desk.customer_id, sorted({row.party_id for row in rows}))
    planned = _planned(tx, desk.customer_id)
    fresh = [row for row in rows if not _passes(row, known.get(key_of(row)), now) and not _is_planned(row, planned)]
    if not fresh:
        return
    held, counted = _count(tx, desk.customer_id), brake.counted(tx, desk.customer_id, now - DAY)
    again = any(_was_held(known.get(key_of(row)), now) for row in fresh)
    if again or trips(len(fresh), counted, held, limit(tx, desk.route)):
        _hold(tx, desk, fresh, known, now)
        if not held:
            _tell(tx, desk, fresh, now)
    else:
        brake.put(tx, desk.customer_id, [_row(row, "counted", now) for row in fresh])
    brake.prune(tx, desk.customer_id, now - KEPT)


def limit(tx: Connection, route: Route) -> int:
    """How many inferred changes of this route may go out within a day."""
    return most(route.policy, brake.linked(tx, route.customer_id, route.audience, route.crm))


def braked(tx: Connection, customer_id: str) -> list[StepRow]:
    """The steps that the brake holds, by id."""
    return [row for row in _rows(tx, customer_id, _WITH_HELD) if row.hold == HOLD]


def let_go(tx: Connection, customer_id: str, rows: Sequence[StepRow], now: Instant) -> None:
    """These may go: they are due now, unless something else holds them."""
    for some in portions([row.id for row in rows]):
        these = (step.c.customer_id == customer_id, step.c.id.in_(some), step.c.hold == HOLD)
        tx.execute(update(step).where(*these).values(hold=None, due=now))


def drop(tx: Connection, customer_id: str, rows: Sequence[StepRow]) -> None:
    """Nobody wants these any more: not held either, so that what is wanted again is counted as any other."""
    for some in portions([row.id for row in rows]):
        tx.execute(delete(step).where(step.c.customer_id == customer_id, step.c.id.in_(some), step.c.hold == HOLD))


def _mine(customer_id: str) -> ColumnElement[bool]:
    return and_(step.c.customer_id == customer_id, step.c.job_id.is_(None))


def _about_to_go(tx: Connection, customer_id: str) -> list[StepRow]:
    """Unsent and held by nothing. Asked in every turn that has a step: most have no inferred one."""
    rows = _rows(tx, customer_id, _WITH_INFERRED)
    return [row for row in rows if row.inferred and row.hold is None]


def _rows(tx: Connection, customer_id: str, asked: Select[Any]) -> list[StepRow]:
    """The unsent steps of these parties."""
    rows = queue.steps_of(tx, customer_id, list(tx.execute(asked, {"customer": customer_id}).scalars()))
    return [row for row in rows if row.job_id is None]


def _count(tx: Connection, customer_id: str) -> int:
    mine = (_mine(customer_id), step.c.hold == HOLD)
    return tx.execute(select(func.count()).select_from(step).where(*mine)).scalar_one()


def _passes(row: StepRow, known: Inferred | None, now: Instant) -> bool:
    """Was this counted already, or let go by a person? A step keeps its age while it is tried again."""
    return known is not None and known.state != "held" and (known.since >= row.since or known.since > now - DAY)


def _was_held(known: Inferred | None, now: Instant) -> bool:
    """Nobody has let this go; it was only not wanted for a while."""
    return known is not None and known.state == "held" and known.since > now - DAY


def _planned(tx: Connection, customer_id: str) -> dict[str, Instant]:
    """The parties of an applied plan that are not through with it, with the moment at which it was drawn."""
    plan = plans.get(tx, customer_id)
    if plan is None or plan.state != "applied":
        return {}
    return dict.fromkeys(plans.parties_in(tx, customer_id, "planned"), plan.made)


def _is_planned(row: StepRow, planned: dict[str, Instant]) -> bool:
    """Did the plan show this step? One that came since is as any other."""
    return row.party_id in planned and row.since <= planned[row.party_id]


def _hold(tx: Connection, desk: Desk, fresh: Sequence[StepRow], known: dict[Key, Inferred], now: Instant) -> None:
    """What was held before and was not wanted for a while keeps its age, and that it was shown."""
    new = [row for row in fresh if (one := known.get(key_of(row))) is None or one.state != "held"]
    brake.put(tx, desk.customer_id, [_row(row, "held", now) for row in new])
    for some in portions([row.id for row in fresh]):
        tx.execute(update(step).where(_mine(desk.customer_id), step.c.id.in_(some)).values(hold=HOLD))


def _row(row: StepRow, state: str, now: Instant) -> Inferred:
    return Inferred(*key_of(row), kind=row.kind, why=row.inferred or "", since=now, state=state)


def _tell(tx: Connection, desk: Desk, fresh: Sequence[StepRow], now: Instant) -> None:
    """Once an incident: the first time that something is held."""
    why = Counter(row.inferred or "" for row in fresh)
    for kind, count in sorted(why.items()):
        telemetry.report(Event.braked, desk.customer_id, kind=kind, count=count)
    journal.append(tx, desk.customer_id, [(now, None, "braked", {"steps": len(fresh), "why": dict(why)})])
    raise_alert(tx, desk.customer_id, Kind.brake_holds, "brake", {"count": len(fresh)}, now)
