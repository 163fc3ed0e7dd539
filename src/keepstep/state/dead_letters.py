"""What we gave up on, with payload, answer and reason. state: open, then once replayed, discarded or closed (its cause
went away by itself)."""

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Connection, Integer, bindparam, func, insert, select, update

from keepstep.model.instant import Instant
from keepstep.schema.tables import dead_letter

# Built once: every certificate asks them.
_MINE = select(dead_letter).where(dead_letter.c.customer_id == bindparam("customer"))
_OLDEST = _MINE.order_by(dead_letter.c.at, dead_letter.c.id).limit(bindparam("most", type_=Integer))
_OLDEST_SO = _OLDEST.where(dead_letter.c.state == bindparam("being"))


def add(
    tx: Connection,
    customer_id: str,
    letter_id: str,
    now: Instant,
    *,
    side: str,
    kind: str,
    reason: str,
    party_id: str | None = None,
    payload: Mapping[str, Any] | None = None,
    answer: Mapping[str, Any] | None = None,
    tries: int = 0,
) -> None:
    """Store one, open."""
    values = {"customer_id": customer_id, "id": letter_id, "at": now, "side": str(side), "kind": kind, "reason": reason}
    more = {"party_id": party_id, "payload": payload, "answer": answer, "tries": tries}
    tx.execute(insert(dead_letter), values | more)


def of_customer(
    tx: Connection, customer_id: str, state: str | None = "open", limit: int = 1000
) -> list[dict[str, Any]]:
    """Oldest first; `state` None for all."""
    asked = {"customer": customer_id, "most": limit}
    rows = tx.execute(_OLDEST, asked) if state is None else tx.execute(_OLDEST_SO, asked | {"being": state})
    return [dict(row) for row in rows.mappings()]


def of_kind(tx: Connection, customer_id: str, kind: str) -> list[dict[str, Any]]:
    """Every one of a kind, whatever became of it."""
    mine = (dead_letter.c.customer_id == customer_id, dead_letter.c.kind == kind)
    return [dict(row) for row in tx.execute(select(dead_letter).where(*mine)).mappings()]


def get(tx: Connection, customer_id: str, letter_id: str) -> dict[str, Any] | None:
    """One, or None."""
    mine = (dead_letter.c.customer_id == customer_id, dead_letter.c.id == letter_id)
    row = tx.execute(select(dead_letter).where(*mine)).mappings().first()
    return None if row is None else dict(row)


def resolve(
    tx: Connection, customer_id: str, letter_id: str, state: Literal["replayed", "discarded", "closed"], now: Instant
) -> bool:
    """Close an open one; False if it is not there or closed already, so that a second replay does nothing."""
    mine = (dead_letter.c.customer_id == customer_id, dead_letter.c.id == letter_id, dead_letter.c.state == "open")
    return tx.execute(update(dead_letter).where(*mine).values(state=state, resolved=now)).rowcount == 1


def count(tx: Connection, customer_id: str) -> int:
    """How many are open."""
    mine = (dead_letter.c.customer_id == customer_id, dead_letter.c.state == "open")
    return tx.execute(select(func.count()).select_from(dead_letter).where(*mine)).scalar_one()
