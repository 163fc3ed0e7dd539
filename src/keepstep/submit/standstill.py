"""A service that stood still: stopped, paused, or a backup that was put back. From the database alone nobody can tell
these apart, so what may have been forgotten is allowed for in each of them (design section 4, no base; creating).

Until the audience side's opt-outs and bounces were read again nothing is decided: they explain what the CRM says. What
was decided before is not sent either, before it was decided anew. And whoever the CRM does not know may wait in its
nightly batch, where nobody can look: nobody new is sent before it has run.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, select, true
from sqlalchemy import exists as sql_exists

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.change import Lane
from keepstep.model.instant import Instant
from keepstep.schema.tables import entry, step
from keepstep.state import feeds, journal, marks
from keepstep.state.marks import Mark

NAME = "standstill"
# Opt-outs are read every quarter of an hour, before nearly everything else.
HOUR = 3600.0
# What is read again before anything is decided, and how long a party waits in between: a grant may be missing for days.
ROUNDS, AGAIN = ("opted_out", "reports", "deleted"), (30.0, 900.0)
# So long after midnight the nightly batch has run.
BATCH_TAKES = 1800.0
_DECIDED = (
    select(step.c.party_id, func.min(step.c.lane), func.max(step.c.lane))
    .where(step.c.customer_id == bindparam("customer"), ~feeds.of_rows(step.c.party_id))
    .group_by(step.c.party_id)
)
_SINCE_BEFORE = (entry.c.customer_id == bindparam("customer"), entry.c.arrived <= bindparam("ended"))
_NOT_YET = select(sql_exists().where(*_SINCE_BEFORE))


def noticed(tx: Connection, desk: Desk, known: Sequence[Mark], now: Instant) -> Sequence[Mark]:
    """The marks, those of the rounds due at once where nobody served this customer for a while: the poll of opt-outs
    is overdue."""
    polls = [one for one in known if one.platform == desk.route.audience and one.name in ROUNDS]
    late = [one.due for one in polls if one.name == ROUNDS[0] and one.due is not None and one.due < now - HOUR]
    if not late or late[0] <= (until(tx, desk) or 0.0):
        return known
    marks.put(tx, desk.customer_id, Mark(desk.route.crm, NAME, mark=now))
    _anew(tx, desk, now)
    journal.append(tx, desk.customer_id, [(now, None, "stood_still", {"seconds": round(now - late[0])})])
    for one in polls:
        if one.due is not None and one.due > now:
            marks.put(tx, desk.customer_id, replace(one, due=now))
    return marks.every(tx, desk.customer_id)


def _anew(tx: Connection, desk: Desk, now: Instant) -> None:
    """Everything that was decided and not seen to its end is decided once more, as urgently as it was."""
    rows = tx.execute(_DECIDED, {"customer": desk.customer_id})
    lanes = {party: first if first == Lane.consent else last for party, first, last in rows}
    queue.put(tx, desk.customer_id, [(party, lane, now) for party, lane in lanes.items()], now)


def keeps(tx: Connection, desk: Desk) -> ColumnElement[bool] | None:
    """Which steps may be wrong by what happened meanwhile: all of them while that is being read, then those of parties
    that nobody has decided since."""
    ended = until(tx, desk)
    if ended is None:
        return None
    if reads(tx, desk):
        return true()
    if not tx.execute(_NOT_YET, {"customer": desk.customer_id, "ended": ended}).scalar_one():
        return None
    mine = (entry.c.customer_id == step.c.customer_id, entry.c.party_id == step.c.party_id)
    return sql_exists().where(and_(*mine, entry.c.arrived <= ended))


def until(tx: Connection, desk: Desk) -> Instant | None:
    """When the last standstill ended; None where there was none."""
    return marks.get(tx, desk.customer_id, desk.route.crm, NAME).mark


def reads(tx: Connection, desk: Desk) -> bool:
    """Is what happened meanwhile still being read? A round that nobody may read, or that does not come to its end, is
    not waited for."""
    ended = until(tx, desk)
    if ended is None:
        return False
    found = [one.data or {} for one in marks.named(tx, desk.customer_id, desk.route.audience, ROUNDS)]
    waited = [one for one in found if not (one.get("trouble") or one.get("restarts"))]
    return any((one.get("finished") or 0.0) < ended for one in waited)


def pause(tx: Connection, desk: Desk, now: Instant) -> float:
    """Seconds until a party that waits for it is looked at again: longer, the longer it takes."""
    shortest, longest = AGAIN
    ended = until(tx, desk)
    return shortest if ended is None else max(shortest, min((now - ended) / 4, longest))


def batch_pending(tx: Connection, desk: Desk) -> bool:
    """May somebody wait in the nightly batch of whom we have forgotten it?"""
    return _pending(marks.get(tx, desk.customer_id, desk.route.crm, NAME))


def _pending(mark: Mark) -> bool:
    return mark.mark is not None and not (mark.data or {}).get("batch")


def batch_ran(tx: Connection, desk: Desk, midnight: Instant, now: Instant) -> None:
    """Note that a nightly batch has run since the standstill."""
    mark = desk.known(tx, desk.route.crm, NAME)
    if _pending(mark) and mark.mark is not None and mark.mark <= midnight <= now - BATCH_TAKES:
        marks.put(tx, desk.customer_id, replace(mark, data={"batch": midnight}))
