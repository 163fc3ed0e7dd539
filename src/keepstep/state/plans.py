"""The plan of a first connection: what was planned, party by party, and how far it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from keepstep.database import portions, upsert
from keepstep.model.instant import Instant
from keepstep.schema.tables import plan, plan_party


@dataclass(frozen=True, slots=True)
class Plan:
    """state: reading, open, applied. `first`: opt-outs are held as well. `doc`: what the command printed."""

    state: str
    first: bool
    made: Instant
    checksum: str | None
    doc: Mapping[str, Any] | None


_COLUMNS = (plan.c.state, plan.c.first, plan.c.made, plan.c.checksum, plan.c.doc)
# Built once: every decision asks it.
_ONE = select(*_COLUMNS).where(plan.c.customer_id == bindparam("customer"))


def get(tx: Connection, customer_id: str) -> Plan | None:
    """The customer's plan, or None."""
    row = tx.execute(_ONE, {"customer": customer_id}).first()
    return None if row is None else Plan(*row)


def begin(tx: Connection, customer_id: str, first: bool, now: Instant) -> None:
    """A plan is being made: from now on its steps are held. One that is there is made anew."""
    key = {"customer_id": customer_id, "state": "reading", "first": first, "made": now, "checksum": None, "doc": None}
    upsert(tx, plan, [key], lambda new: {name: new[name] for name in key if name != "customer_id"})


def open_one(
    tx: Connection,
    customer_id: str,
    checksum: str,
    doc: Mapping[str, Any],
    fingerprints: Mapping[str, str],
    now: Instant,
) -> None:
    """The plan is made, with these parties in it."""
    values = {"state": "open", "checksum": checksum, "doc": dict(doc), "made": now}
    tx.execute(update(plan).where(plan.c.customer_id == customer_id).values(values))
    tx.execute(delete(plan_party).where(plan_party.c.customer_id == customer_id))
    rows = [{"customer_id": customer_id, "party_id": key, "fingerprint": one} for key, one in fingerprints.items()]
    if rows:
        tx.execute(insert(plan_party), sorted(rows, key=lambda row: row["party_id"]))


def apply(tx: Connection, customer_id: str, dropped: Sequence[str]) -> None:
    """The plan is applied, without these parties."""
    tx.execute(update(plan).where(plan.c.customer_id == customer_id).values(state="applied"))
    rows = [{"customer_id": customer_id, "party_id": one, "state": "dropped", "fingerprint": ""} for one in dropped]
    upsert(tx, plan_party, rows, lambda new: {"state": new.state})


def leave(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> None:
    """What is not sent yet for these parties of the applied plan is left for the next plan."""
    for some in portions(list(party_ids)):
        mine = (plan_party.c.customer_id == customer_id, plan_party.c.party_id.in_(some))
        tx.execute(update(plan_party).where(*mine).values(state="dropped"))


def discard(tx: Connection, customer_id: str) -> None:
    """There is no plan any more."""
    for table in (plan_party, plan):
        tx.execute(delete(table).where(table.c.customer_id == customer_id))


def parties_in(tx: Connection, customer_id: str, state: str) -> dict[str, str]:
    """The parties of the plan in this state, with their fingerprints."""
    mine = (plan_party.c.customer_id == customer_id, plan_party.c.state == state)
    rows = tx.execute(select(plan_party.c.party_id, plan_party.c.fingerprint).where(*mine))
    return {row.party_id: row.fingerprint for row in rows}
