"""Parties, which records belong to them (alias), and which addresses and phones they hold (custody)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, bindparam, case, delete, select, update

from keepstep.database import portions, replacing, upsert
from keepstep.database.statements import Excluded
from keepstep.model.instant import Instant
from keepstep.schema.tables import alias, custody, entry, party, step, submission


@dataclass(frozen=True, slots=True)
class Alias:
    """A record of a platform and the party it belongs to. standing: linked, parked, left_out, stub, gone."""

    platform: str
    record_id: str
    party_id: str
    standing: str
    reason: str | None
    since: Instant


_ALIAS: Sequence[Any] = (
    alias.c.platform,
    alias.c.record_id,
    alias.c.party_id,
    alias.c.standing,
    alias.c.reason,
    alias.c.since,
)
_HELD = (custody.c.kind, custody.c.value, custody.c.platform, custody.c.record_id)
_HOLDER = (custody.c.value, custody.c.party_id, custody.c.platform, custody.c.record_id)

# Built once: building one costs more than running it, and every page and every decision asks these.
_SOME: BindParameter[Any] = bindparam("some", expanding=True)
_DOCS = select(party.c.party_id, party.c.doc).where(
    party.c.customer_id == bindparam("customer"), party.c.party_id.in_(_SOME)
)
_OF_RECORDS = select(*_ALIAS).where(
    alias.c.customer_id == bindparam("customer"), alias.c.platform == bindparam("of"), alias.c.record_id.in_(_SOME)
)
_HOLDERS = (
    select(*_HOLDER)
    .where(
        custody.c.customer_id == bindparam("customer"),
        custody.c.kind == bindparam("which"),
        custody.c.value.in_(_SOME),
    )
    .order_by(*_HOLDER)
)
_RECORDS = (
    select(alias.c.record_id)
    .where(
        alias.c.customer_id == bindparam("customer"), alias.c.platform == bindparam("of"), alias.c.party_id.in_(_SOME)
    )
    .order_by(alias.c.record_id)
)
_CUSTODY = select(custody.c.party_id, *_HELD).where(
    custody.c.customer_id == bindparam("customer"), custody.c.party_id.in_(_SOME)
)

_STANDING = (
    select(*_ALIAS)
    .where(alias.c.customer_id == bindparam("customer"), alias.c.standing == bindparam("in_standing"))
    .order_by(alias.c.platform, alias.c.record_id)
)
_HOLDS_NOTHING = delete(custody).where(
    custody.c.customer_id == bindparam("customer"), custody.c.party_id == bindparam("party")
)
_STANDS = (
    update(alias)
    .where(
        alias.c.customer_id == bindparam("customer"),
        alias.c.platform == bindparam("of"),
        alias.c.record_id == bindparam("which"),
    )
    .values(
        standing=bindparam("to"),
        reason=bindparam("why"),
        since=case((alias.c.standing == bindparam("to"), alias.c.since), else_=bindparam("at")),
    )
)


def load(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The documents of these parties as saved; a party that is not there is not in the answer."""
    found: dict[str, dict[str, Any]] = {}
    for some in portions(party_ids):
        found.update((row.party_id, row.doc) for row in tx.execute(_DOCS, {"customer": customer_id, "some": some}))
    return found


def save(tx: Connection, customer_id: str, docs: Mapping[str, Mapping[str, Any]]) -> None:
    """Store documents by party id, new parties included; rev + 1."""
    rows = [{"customer_id": customer_id, "party_id": key, "doc": dict(docs[key])} for key in sorted(docs)]
    upsert(tx, party, rows, _again)


def _again(new: Excluded) -> dict[str, Any]:
    return {"doc": new.doc, "rev": party.c.rev + 1}


def ids(tx: Connection, customer_id: str, after: str = "", limit: int = 1000) -> list[str]:
    """Party ids in order, those after `after`."""
    page = select(party.c.party_id).where(party.c.customer_id == customer_id, party.c.party_id > after)
    return list(tx.execute(page.order_by(party.c.party_id).limit(limit)).scalars())


def drop(tx: Connection, customer_id: str, party_id: str) -> None:
    """Forget a party with its aliases and custody: a stub that turned out to be none of ours."""
    for table in (alias, custody, party):
        tx.execute(delete(table).where(table.c.customer_id == customer_id, table.c.party_id == party_id))


def merge(tx: Connection, customer_id: str, gone: str, into: str) -> None:
    """The records, addresses, submissions and sent steps of `gone` belong to `into`; its document, entry and unsent
    steps go.

    The caller saves the survivor's document and puts its entry.
    """
    unsent = (step.c.customer_id == customer_id, step.c.party_id == gone, step.c.job_id.is_(None))
    tx.execute(delete(step).where(*unsent))
    for table in (alias, custody, submission, step):
        mine = (table.c.customer_id == customer_id, table.c.party_id == gone)
        tx.execute(update(table).where(*mine).values(party_id=into))
    for table in (party, entry):
        tx.execute(delete(table).where(table.c.customer_id == customer_id, table.c.party_id == gone))


def party_of(tx: Connection, customer_id: str, platform: str, record_ids: Sequence[str]) -> dict[str, str]:
    """Record id to party id, for those that have one."""
    return {row.record_id: row.party_id for row in aliases(tx, customer_id, platform, record_ids)}


def aliases(tx: Connection, customer_id: str, platform: str, record_ids: Sequence[str]) -> list[Alias]:
    """The aliases of these records that there are."""
    found: list[Alias] = []
    for some in portions(record_ids):
        these = {"customer": customer_id, "of": platform, "some": some}
        found += [Alias(*row) for row in tx.execute(_OF_RECORDS, these)]
    return found


def aliases_of(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[str, list[Alias]]:
    """Party id to its aliases by platform and record id; every party asked for is in the answer."""
    found: dict[str, list[Alias]] = {party_id: [] for party_id in party_ids}
    for some in portions(party_ids):
        mine = select(*_ALIAS).where(alias.c.customer_id == customer_id, alias.c.party_id.in_(some))
        for row in tx.execute(mine.order_by(alias.c.platform, alias.c.record_id)):
            found[row.party_id].append(Alias(*row))
    return found


def standings(tx: Connection, customer_id: str, standing: str) -> list[Alias]:
    """Every alias with this standing: what is parked, what is left out."""
    return [Alias(*row) for row in tx.execute(_STANDING, {"customer": customer_id, "in_standing": standing})]


def set_alias(
    tx: Connection,
    customer_id: str,
    platform: str,
    record_id: str,
    party_id: str,
    now: Instant,
    *,
    standing: str = "linked",
    reason: str | None = None,
) -> None:
    """The record belongs to this party and to no other."""
    row = {"party_id": party_id, "standing": standing, "reason": reason, "since": now}
    key = {"customer_id": customer_id, "platform": platform, "record_id": record_id}
    upsert(tx, alias, [key | row], replacing(*row))


def set_standing(
    tx: Connection,
    customer_id: str,
    platform: str,
    record_id: str,
    standing: str,
    now: Instant,
    reason: str | None = None,
) -> None:
    """Change a record's standing; `since` moves only if it is another one."""
    values = {"customer": customer_id, "of": platform, "which": record_id, "to": standing, "why": reason, "at": now}
    tx.execute(_STANDS, values)


def drop_alias(tx: Connection, customer_id: str, platform: str, record_id: str) -> None:
    """The record belongs to nobody any more."""
    tx.execute(delete(alias).where(*_record(customer_id, platform, record_id)))


def _record(customer_id: str, platform: str, record_id: str) -> tuple[ColumnElement[bool], ...]:
    return (alias.c.customer_id == customer_id, alias.c.platform == platform, alias.c.record_id == record_id)


def holders(
    tx: Connection, customer_id: str, kind: str, values: Sequence[str]
) -> dict[str, list[tuple[str, str, str]]]:
    """Canonical value to its holders (party id, platform, record id); values nobody holds are not in the answer."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for some in portions(values):
        for row in tx.execute(_HOLDERS, {"customer": customer_id, "which": kind, "some": some}):
            found.setdefault(row.value, []).append((row.party_id, row.platform, row.record_id))
    return found


def custody_of(
    tx: Connection, customer_id: str, party_ids: Sequence[str]
) -> dict[str, list[tuple[str, str, str, str]]]:
    """Party id to what it holds, sorted (kind, value, platform, record id); every party asked for is in the answer."""
    found: dict[str, list[tuple[str, str, str, str]]] = {party_id: [] for party_id in party_ids}
    for some in portions(party_ids):
        for row in tx.execute(_CUSTODY, {"customer": customer_id, "some": some}):
            found[row.party_id].append((row.kind, row.value, row.platform, row.record_id))
    return {party_id: sorted(rows) for party_id, rows in found.items()}


def records_of(tx: Connection, customer_id: str, platform: str, party_ids: Sequence[str]) -> list[str]:
    """The records of a platform that belong to these parties."""
    found: list[str] = []
    for some in portions(party_ids):
        found += tx.execute(_RECORDS, {"customer": customer_id, "of": platform, "some": some}).scalars()
    return found


def set_custody(tx: Connection, customer_id: str, party_id: str, rows: Sequence[tuple[str, str, str, str]]) -> None:
    """These (kind, value, platform, record id) are all that the party holds; a record's value held under another party
    moves here."""
    tx.execute(_HOLDS_NOTHING, {"customer": customer_id, "party": party_id})
    names = ("kind", "value", "platform", "record_id")
    held = [dict(zip(names, row, strict=True)) for row in sorted(set(rows))]
    owner = {"customer_id": customer_id, "party_id": party_id}
    upsert(tx, custody, [owner | row for row in held], replacing("party_id"))
