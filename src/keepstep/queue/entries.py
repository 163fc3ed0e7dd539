"""Entries: one a party, however often it changed. Lanes: 0 consent, 1 changes, 2 sweep, 3 bulk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, Select, bindparam, case, delete, select, union_all, update

from keepstep.database import upsert
from keepstep.database.statements import Excluded
from keepstep.model.change import Lane
from keepstep.model.instant import Instant
from keepstep.queue.slots import Slot, guard, wake
from keepstep.schema.tables import entry


@dataclass(frozen=True, slots=True)
class Entry:
    """A mark to look at a party; `rev` counts how often it was put."""

    party_id: str
    lane: int
    due: Instant
    arrived: Instant
    rev: int
    tries: int


_COLUMNS = (entry.c.party_id, entry.c.lane, entry.c.due, entry.c.arrived, entry.c.rev, entry.c.tries)


def _taking() -> Select[Any]:
    """Each lane by its own range of the index: what waits for later days is passed over unread."""
    most = bindparam("most", type_=Integer)
    lanes = [
        select(*_COLUMNS)
        .where(entry.c.customer_id == bindparam("customer"), entry.c.lane == int(lane), entry.c.due <= bindparam("now"))
        .order_by(entry.c.due, entry.c.party_id)
        .limit(most)
        .subquery()
        for lane in Lane
    ]
    due = union_all(*(select(lane) for lane in lanes)).subquery()
    return select(due).order_by(due.c.lane, due.c.due, due.c.party_id).limit(most)


_TAKEN = _taking()  # built once: every turn asks it

_AS_SEEN = (
    entry.c.customer_id == bindparam("customer"),
    entry.c.party_id == bindparam("party"),
    entry.c.rev == bindparam("seen"),
)
_FORGOTTEN = delete(entry).where(*_AS_SEEN)
_DEFERRED = update(entry).where(*_AS_SEEN).values(due=bindparam("at"), tries=entry.c.tries + 1)
_TRIED = bindparam("tried", type_=entry.c.fingerprint.type)
_DEFERRED_SO = (
    update(entry)
    .where(*_AS_SEEN)
    .values(
        due=bindparam("at"),
        tries=case((entry.c.fingerprint.is_distinct_from(_TRIED), 1), else_=entry.c.tries + 1),
        fingerprint=_TRIED,
    )
)


def put(tx: Connection, customer_id: str, items: Sequence[tuple[str, int, Instant]], now: Instant) -> None:
    """Mark parties: (party id, lane, due). A mark that is there gets rev + 1, the earlier due, the more urgent lane."""
    if not items:
        return
    wake(tx, customer_id, min(due for _, _, due in items))
    rows = [
        {"customer_id": customer_id, "party_id": party_id, "lane": int(lane), "due": due, "arrived": now}
        for party_id, lane, due in sorted(items)
    ]
    upsert(tx, entry, rows, _again)


def _again(new: Excluded) -> dict[str, object]:
    return {
        "rev": entry.c.rev + 1,
        "lane": case((entry.c.lane < new.lane, entry.c.lane), else_=new.lane),
        "due": case((entry.c.due < new.due, entry.c.due), else_=new.due),
    }


def take(tx: Connection, slot: Slot, now: Instant, limit: int = 200) -> list[Entry]:
    """Due entries, urgent lanes first, oldest due first in each. They stay until forgotten or deferred."""
    guard(tx, slot)
    return [Entry(*row) for row in tx.execute(_TAKEN, {"customer": slot.customer_id, "now": now, "most": limit})]


def forget(tx: Connection, slot: Slot, entries: Sequence[Entry]) -> None:
    """Done with these, unless they were put again since they were taken."""
    guard(tx, slot)
    if entries:
        seen = [{"customer": slot.customer_id, "party": item.party_id, "seen": item.rev} for item in entries]
        tx.execute(_FORGOTTEN, seen)


def defer(tx: Connection, slot: Slot, item: Entry, due: Instant, now: Instant, fingerprint: str | None = None) -> None:
    """Look again at `due`, tries + 1; tries starts again at 1 if the fingerprint of what was tried changed.

    An entry that was put again since it was taken is left as it is: a newer event is due by itself.
    """
    guard(tx, slot)
    asked = {"customer": slot.customer_id, "party": item.party_id, "seen": item.rev, "at": max(due, now)}
    if fingerprint is None:
        tx.execute(_DEFERRED, asked)
    else:
        tx.execute(_DEFERRED_SO, asked | {"tried": fingerprint})
