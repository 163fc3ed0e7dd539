"""Contacts whom only the CRM has, by what becomes of them.

external: remembered, and not asked about again. wanted: somebody of it is to be created at the audience side, and then
enrolled; left_out: nobody is, and why. Whoever appears at the audience side by themselves is a stranger no longer.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, select, update

from keepstep.database import portions, replacing, upsert
from keepstep.model.instant import Instant
from keepstep.schema.oversight import stranger
from keepstep.schema.tables import act
from keepstep.state import marks
from keepstep.state.marks import Mark

EXTERNAL, WANTED, ENROLLED, LEFT_OUT = "external", "wanted", "enrolled", "left_out"
POLICY, SWEEP = "crm_only", "crm_sweep"
Standing = tuple[str, str | None]
# Built once: every page asks these.
_SOME: BindParameter[Any] = bindparam("some", expanding=True)
_MINE = (stranger.c.customer_id == bindparam("customer"), stranger.c.record_id.in_(_SOME))
_STANDINGS = select(stranger.c.record_id, stranger.c.standing, stranger.c.reason).where(*_MINE)
_DROPPED = delete(stranger).where(*_MINE, stranger.c.standing != ENROLLED)


def note(tx: Connection, customer_id: str, found: Mapping[str, Standing], now: Instant) -> None:
    """These contacts have this standing and reason; `since` moves only where either is another one."""
    before = of_records(tx, customer_id, list(found))
    news = {key: one for key, one in found.items() if before.get(key) != one}
    rows = [
        {"customer_id": customer_id, "record_id": key, "standing": standing, "reason": reason, "since": now}
        for key, (standing, reason) in sorted(news.items())
    ]
    upsert(tx, stranger, rows, replacing("standing", "reason", "since"))


def keep_evidence(tx: Connection, customer_id: str, record_id: str, evidence: str) -> None:
    """By what permission somebody of this contact was created."""
    mine = (stranger.c.customer_id == customer_id, stranger.c.record_id == record_id)
    tx.execute(update(stranger).where(*mine).values(evidence=evidence))


def of_records(tx: Connection, customer_id: str, record_ids: Sequence[str]) -> dict[str, Standing]:
    """Record id to standing and reason, for those that are known."""
    found: dict[str, Standing] = {}
    for some in portions(record_ids):
        rows = tx.execute(_STANDINGS, {"customer": customer_id, "some": some})
        found.update((row.record_id, (row.standing, row.reason)) for row in rows)
    return found


def drop(tx: Connection, customer_id: str, record_ids: Iterable[str]) -> None:
    """These are no strangers any more. Whom we created stays counted."""
    for some in portions(list(record_ids)):
        tx.execute(_DROPPED, {"customer": customer_id, "some": some})


def counted(tx: Connection, customer_id: str, but: Collection[str] = ()) -> dict[str, Any]:
    """{standing: count, "left_out_reasons": {reason: count}}, without the records of `but`."""
    mine = select(stranger.c.record_id, stranger.c.standing, stranger.c.reason)
    rows = [row for row in tx.execute(mine.where(stranger.c.customer_id == customer_id)) if row.record_id not in but]
    counts = Counter(row.standing for row in rows)
    reasons = Counter(row.reason or "" for row in rows if row.standing == LEFT_OUT)
    said = {name: counts[name] for name in (EXTERNAL, WANTED, ENROLLED, LEFT_OUT)}
    return {**said, "left_out_reasons": dict(sorted(reasons.items()))}


def acts_on(tx: Connection, customer_id: str, hashes: Sequence[str]) -> dict[str, list[Any]]:
    """Address hash to the ledger's acts on it, in the order they were added; hashes without any are not in the
    answer."""
    found: dict[str, list[Any]] = {}
    for some in portions(hashes):
        mine = select(act).where(act.c.customer_id == customer_id, act.c.address_hash.in_(some)).order_by(act.c.id)
        for row in tx.execute(mine):
            found.setdefault(row.address_hash, []).append(row)
    return found


# --- whether all of them were read -----------------------------------------------------------------------------------


def under(tx: Connection, customer_id: str, crm: str, policy: str, now: Instant) -> None:
    """From now on contacts are filed under this policy. Where that is news, those read before are read again soon."""
    if policy_of(marks.get(tx, customer_id, crm, POLICY)) == policy:
        return
    marks.put(tx, customer_id, Mark(crm, POLICY, data={"policy": policy, "since": now}))
    sweep = marks.get(tx, customer_id, crm, SWEEP)
    if policy != "leave" and sweep.mark is not None and sweep.cursor is None:
        marks.put(tx, customer_id, replace(sweep, due=now))


def policy_of(known: Mark | None) -> str:
    """Under which policy contacts are filed, by this mark. Only who holds the slot changes it."""
    data = known.data if known is not None else None
    return str((data or {}).get("policy", "leave"))


def all_read(tx: Connection, customer_id: str, crm: str, policy: str) -> bool:
    """Was every contact of the CRM filed under this policy?"""
    known = marks.get(tx, customer_id, crm, POLICY).data or {}
    if policy == "leave":
        return True
    finished = (marks.get(tx, customer_id, crm, SWEEP).data or {}).get("finished") or 0.0
    return known.get("policy") == policy and finished >= float(known["since"])
