"""What owners are told: raised in the transaction in which its cause is stored, sent by another one (wiring/alerts).

While a cause lasts it is counted, not told again; what keeps coming is summed up once a day (model/alerts).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from keepstep.model.alerts import TOLD, WORDS, Cause, Kind, facts, is_news, next_digest, pause_after
from keepstep.model.instant import Instant
from keepstep.schema.feeds import alert

# The operator: who runs the service. What concerns no customer is told under this id.
OPERATOR = "_operator"
# So long a message is in one sender's hands; whoever finds it after that sends it again.
CLAIM_SECONDS = 120.0
_PORTION = 50
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Alert:
    """One row. state: new, sent, unheard; closed: None while its cause lasts."""

    id: int
    customer_id: str
    at: Instant
    kind: Kind
    subject: str
    data: Row
    state: str
    times: int
    tries: int
    due: Instant
    closed: Instant | None

    @property
    def again(self) -> bool:
        """Was it told before? Then this is the summary of what came since."""
        return self.data.get(TOLD) is not None

    def cause(self, waits: int | None = None) -> Cause:
        """As it is told."""
        return Cause(
            self.customer_id, self.kind, self.subject, self.data, self.at, self.times, self.closed, waits=waits
        )


_NAMES = ("id", "customer_id", "at", "kind", "subject", "data", "state", "times", "tries", "due", "closed")
_ROWS = select(*(alert.c[name] for name in _NAMES))
_LATEST = (
    _ROWS.where(
        alert.c.customer_id == bindparam("customer"),
        alert.c.kind == bindparam("of_kind"),
        alert.c.subject == bindparam("about"),
    )
    .order_by(alert.c.closed.is_(None).desc(), alert.c.id.desc())
    .limit(1)
    .with_for_update()  # the sender notes what was told in the same column, without the slot
)
_THIS = alert.c.customer_id == bindparam("customer"), alert.c.id == bindparam("number")


def raise_alert(tx: Tx, customer_id: str, kind: Kind, subject: str, data: Row, now: Instant) -> None:
    """Tell the owner of a cause: at once where it is new, else it is counted.

    subject: what of its kind it is, as a word of ours (platform, side, feed). data: words and counts, no personal data;
    any other text is hidden.
    """
    known = _latest(tx, customer_id, kind, subject)
    if known is None or is_news(kind, known.closed, now):
        _insert(tx, customer_id, kind, subject, facts(data), now)
    else:
        _count(tx, known, facts(data), now)


def _latest(tx: Tx, customer_id: str, kind: Kind, subject: str) -> Alert | None:
    """The open one of this cause, else the last one."""
    row = tx.execute(_LATEST, {"customer": customer_id, "of_kind": kind.value, "about": subject}).first()
    return None if row is None else _alert(row)


def _insert(tx: Tx, customer_id: str, kind: Kind, subject: str, data: Row, now: Instant) -> None:
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    closed = None if WORDS[kind].lasts else now
    row = {"customer_id": customer_id, "at": now, "kind": kind.value, "subject": subject, "data": dict(data)}
    # Whoever holds no slot may raise the same cause at the same moment: one of the two stays.
    tx.execute(dialect.insert(alert).on_conflict_do_nothing(), {**row, "due": now, "closed": closed})


def _count(tx: Tx, known: Alert, data: Row, now: Instant) -> None:
    values: dict[str, Any] = {"times": known.times + 1, "data": {**data, TOLD: known.data.get(TOLD)}}
    values["closed"] = None if WORDS[known.kind].lasts else now
    if known.state != "new":
        values |= {"state": "new", "tries": 0, "due": next_digest(now)}
    _change(tx, known, values)


def close(tx: Tx, customer_id: str, kind: Kind, subject: str, now: Instant) -> None:
    """The cause is gone. Whoever heard of it hears that it is, where the kind has words for that."""
    known = _latest(tx, customer_id, kind, subject)
    if known is None or known.closed is not None:
        return
    _change(tx, known, {"closed": now})
    well = WORDS[kind].well
    if well is not None and known.again:
        raise_alert(tx, customer_id, well, subject, {}, now)


def _change(tx: Tx, known: Alert, values: Row) -> None:
    tx.execute(update(alert).where(*_THIS).values(values), {"customer": known.customer_id, "number": known.id})


# --- for the sender --------------------------------------------------------------------------------------------------

_DUE = (
    _ROWS.where(alert.c.state == "new", alert.c.due <= bindparam("now"))
    .order_by(alert.c.due, alert.c.id)
    .limit(_PORTION)
    .with_for_update(skip_locked=True)  # whoever counts several causes in one turn must not wait for us, nor we for it
)
_CLAIMED = (
    update(alert).where(*_THIS, alert.c.state == "new", alert.c.due == bindparam("was")).values(due=bindparam("until"))
)
_NEXT = select(func.min(alert.c.due)).where(alert.c.state == "new")
_OPEN = _ROWS.where(alert.c.closed.is_(None)).order_by(alert.c.id)
_ANY = select(alert.c.id).where(alert.c.closed.is_(None)).limit(1)


def claim(tx: Tx, now: Instant) -> list[Alert]:
    """Some that are due, of all customers. They are this sender's for CLAIM_SECONDS: one that dies while it sends does
    not lose them, and may have sent them."""
    found = sorted((_alert(row) for row in tx.execute(_DUE, {"now": now})), key=lambda one: one.id)
    mine = [{"customer": one.customer_id, "number": one.id, "was": one.due} for one in found]
    claimed = [tx.execute(_CLAIMED, {**row, "until": now + CLAIM_SECONDS}).rowcount == 1 for row in mine]
    return [one for one, is_mine in zip(found, claimed, strict=True) if is_mine]


def next_due(tx: Tx) -> Instant | None:
    """When the next one is to be sent; None where none waits."""
    found: Instant | None = tx.execute(_NEXT).scalar_one()
    return found


def told(tx: Tx, sent: Alert, now: Instant) -> None:
    """It was sent. What was counted while it was under way is summed up later."""
    _end(tx, sent, "sent", {TOLD: now}, now)


def unheard(tx: Tx, one: Alert, now: Instant) -> None:
    """Nobody is there to be told."""
    _end(tx, one, "unheard", {}, now)


def _end(tx: Tx, one: Alert, state: str, more: Row, now: Instant) -> None:
    row = tx.execute(_ROWS.where(*_THIS).with_for_update(), {"customer": one.customer_id, "number": one.id}).first()
    if row is None:
        return  # the customer was removed
    found = _alert(row)
    values: dict[str, Any] = {"data": {**found.data, **more}, "tries": 0, "state": state}
    if found.times > one.times:
        values |= {"state": "new", "due": next_digest(now)}
    _change(tx, found, values)


def failed(tx: Tx, one: Alert, now: Instant) -> None:
    """It was not taken: later again."""
    _change(tx, one, {"tries": one.tries + 1, "due": now + pause_after(one.tries)})


def revive(tx: Tx, now: Instant) -> None:
    """There is a new recipient: what nobody heard is due now, as far as its cause lasts."""
    again = {"state": "new", "due": now}
    tx.execute(update(alert).where(alert.c.state == "unheard", alert.c.closed.is_(None)).values(again))
    # What a wrong recipient refused need not wait for its next try.
    tx.execute(update(alert).where(alert.c.state == "new", alert.c.tries > 0).values(due=now))


def prune(tx: Tx, before: Instant) -> None:
    """Forget what was over before that and has been told."""
    tx.execute(delete(alert).where(alert.c.closed < before, alert.c.state != "new"))


# --- for people ------------------------------------------------------------------------------------------------------


def any_open(tx: Tx) -> bool:
    """Does anything last?"""
    return tx.execute(_ANY).first() is not None


def every_open(tx: Tx) -> list[Alert]:
    """Whatever lasts, of all customers."""
    return [_alert(row) for row in tx.execute(_OPEN)]


def listed(tx: Tx, customer_id: str | None, over: bool = False) -> list[Alert]:
    """Newest first: what lasts or was not told yet; with `over`, everything that is kept."""
    rows = _ROWS.order_by(alert.c.id.desc())
    if customer_id is not None:
        rows = rows.where(alert.c.customer_id == customer_id)
    if not over:
        rows = rows.where(alert.c.closed.is_(None) | (alert.c.state != "sent"))
    return [_alert(row) for row in tx.execute(rows)]


def counted(tx: Tx, customer_id: str) -> dict[str, int]:
    """{open, unheard, failing}: what lasts; what nobody was there to be told; what no recipient has taken yet."""
    rows: Sequence[Alert] = listed(tx, customer_id)
    return {
        "open": sum(one.closed is None for one in rows),
        "unheard": sum(one.state == "unheard" for one in rows),
        "failing": sum(one.state == "new" and one.tries > 0 for one in rows),
    }


def _alert(row: Any) -> Alert:
    found = dict(zip(_NAMES, row, strict=True))
    return Alert(**{**found, "kind": Kind(found["kind"]), "data": found["data"] or {}})
