"""The consent ledger: acts are added, never changed. A row names its record, so it follows the record into another
party."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, exists, insert, select

from keepstep.database import portions
from keepstep.schema.tables import act, alias
from keepstep.state import chain

_COLUMNS = tuple(column.name for column in act.c)
_OPTIONAL: Mapping[str, Any] = {"address_hash": None, "after": None, "before": None, "at": None, "evidence": None}


def append(tx: Connection, customer_id: str, acts: Sequence[Mapping[str, Any]]) -> None:
    """Add acts: party_id, platform, record_id, kind, direction, source, seen_at; optionally address_hash, after,
    before, at, evidence. The caller holds the slot: one writer makes one chain."""
    if acts:
        rows = [{**_OPTIONAL, **row, "customer_id": customer_id} for row in acts]
        tx.execute(insert(act), chain.linked(rows, chain.head(tx, customer_id)))


def acts_of(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Party id to its acts in the order they were added: those of its records, and those of records nobody has now."""
    found: dict[str, list[dict[str, Any]]] = {party_id: [] for party_id in party_ids}
    same = and_(
        alias.c.customer_id == act.c.customer_id,
        alias.c.platform == act.c.platform,
        alias.c.record_id == act.c.record_id,
    )
    for some in portions(party_ids):
        held = select(act, alias.c.party_id.label("owner")).join(alias, same)
        held = held.where(act.c.customer_id == customer_id, alias.c.party_id.in_(some))
        loose = select(act, act.c.party_id.label("owner")).where(act.c.customer_id == customer_id)
        loose = loose.where(act.c.party_id.in_(some), ~exists().where(same))
        for row in (*tx.execute(held).mappings(), *tx.execute(loose).mappings()):
            found[row["owner"]].append({name: row[name] for name in _COLUMNS})
    return {party_id: sorted(acts, key=lambda row: int(row["id"])) for party_id, acts in found.items()}


def touched_defaults(tx: Connection, customer_id: str, audience: str) -> list[str]:
    """The parties of people whose `false` was taken for a default though somebody touched it since it was made. An act
    on the CRM side names its person as well, whose record is the audience's."""
    same = and_(alias.c.customer_id == act.c.customer_id, alias.c.record_id == act.c.record_id)
    mine = (act.c.customer_id == customer_id, act.c.kind == "default", act.c.at.is_not(None))
    found = select(alias.c.party_id).join(act, same).where(*mine, alias.c.platform == audience).distinct()
    return sorted(tx.execute(found).scalars())


def acts_on(tx: Connection, customer_id: str, address_hash: str) -> list[dict[str, Any]]:
    """Every act on an address, whoever held it, in the order they were added."""
    mine = select(act).where(act.c.customer_id == customer_id, act.c.address_hash == address_hash).order_by(act.c.id)
    return [dict(row) for row in tx.execute(mine).mappings()]
