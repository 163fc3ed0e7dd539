"""Customers and their connections to platforms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, delete, func, or_, select, tuple_, update
from sqlalchemy import Connection as Tx

from keepstep.database import replacing, upsert
from keepstep.model.instant import Instant
from keepstep.schema.tables import act, connection, customer, mark, metadata, secret, slot
from keepstep.state import places


@dataclass(frozen=True, slots=True)
class Customer:
    """state: active, paused."""

    customer_id: str
    state: str
    config: Mapping[str, Any]
    created: Instant


@dataclass(frozen=True, slots=True)
class Connection:
    """A customer's authorised account on a platform. health: ok, blocked (reason says what its owner must do)."""

    customer_id: str
    platform: str
    account_id: str | None
    health: str
    reason: str | None
    data: Mapping[str, Any]


# Whose secrets belong to no platform.
OURS = "keepstep"
# The operator's own account with a vendor, as a technology partner: secrets, a door and a slot like a customer's.
PARTNER = "_partner"
# In a customer's config: what paused it, where that was no person.
PAUSED_BY = "paused_by"
# There too: how far its removal has come.
_REMOVAL = "removal"

_CUSTOMER = (customer.c.customer_id, customer.c.state, customer.c.config, customer.c.created)
_EVERY = select(*_CUSTOMER).order_by(customer.c.customer_id)
_ONE = select(*_CUSTOMER).where(customer.c.customer_id == bindparam("customer"))
_CONNECTION = (
    connection.c.customer_id,
    connection.c.platform,
    connection.c.account_id,
    connection.c.health,
    connection.c.reason,
    connection.c.data,
)


def add(tx: Tx, customer_id: str, config: Mapping[str, Any], now: Instant) -> None:
    """A new active customer with its slot, due at once; one that is there gets this config and stays as it is
    otherwise."""
    upsert(tx, slot, [{"customer_id": customer_id, "wake": now}])
    row = {"customer_id": customer_id, "state": "active", "config": dict(config), "created": now}
    upsert(tx, customer, [row], replacing("config"))


def every(tx: Tx) -> list[Customer]:
    """All, by id; not what the operator keeps under an id that begins with _ (PARTNER, alerts.OPERATOR)."""
    found = (Customer(*row) for row in tx.execute(_EVERY))
    return [one for one in found if not one.customer_id.startswith("_")]


def get(tx: Tx, customer_id: str) -> Customer | None:
    """One, or None."""
    row = tx.execute(_ONE, {"customer": customer_id}).first()
    return None if row is None else Customer(*row)


def pause(tx: Tx, customer_id: str, by: str | None = None) -> None:
    """No turn begins and no call is sent from now on; work is kept. `by`: what paused it, None for a person."""
    _turned(tx, customer_id, "paused", by)


def resume(tx: Tx, customer_id: str) -> None:
    """Turns begin again; the slot kept its wake."""
    _turned(tx, customer_id, "active", None)


def _held(tx: Tx, customer_id: str) -> Customer | None:
    """One, locked: a person and a partner's delivery may change what paused it at the same moment."""
    row = tx.execute(select(*_CUSTOMER).where(customer.c.customer_id == customer_id).with_for_update()).first()
    return None if row is None else Customer(*row)


def _turned(tx: Tx, customer_id: str, state: str, by: str | None) -> None:
    known = _held(tx, customer_id)
    if known is not None:
        config = {name: value for name, value in known.config.items() if name != PAUSED_BY}
        values = {"state": state, "config": config | ({PAUSED_BY: by} if by else {})}
        tx.execute(update(customer).where(customer.c.customer_id == customer_id).values(values))


def removal(known: Customer) -> dict[str, Any] | None:
    """How far the removal of a customer has come, as it was noted; None for one that nobody removes."""
    found = known.config.get(_REMOVAL)
    return None if found is None else dict(found)


def note_removal(tx: Tx, customer_id: str, data: Mapping[str, Any] | None) -> None:
    """Remember how far it has come; None: it is called off."""
    known = _held(tx, customer_id)
    if known is not None:
        config = {name: value for name, value in known.config.items() if name != _REMOVAL}
        values = {"config": config if data is None else config | {_REMOVAL: dict(data)}}
        tx.execute(update(customer).where(customer.c.customer_id == customer_id).values(values))


# --- erasing ---------------------------------------------------------------------------------------------------------

_PIECE = 200
# What stays: that an address, as a keyed hash, opted out, and when.
_KEPT = (act.c.direction == "out", act.c.address_hash.is_not(None))
_ANONYMOUS = {"party_id": "", "record_id": "", "evidence": None}
# Without its key no kept hash could ever be compared again.
LEDGER_KEY = (OURS, "ledger_key")
_IS_LEDGER_KEY = (secret.c.platform == LEDGER_KEY[0], secret.c.field == LEDGER_KEY[1])
_EXCEPT: Mapping[str, tuple[ColumnElement[bool], ...]] = {"act": _KEPT, "secret": _IS_LEDGER_KEY}


def tables() -> list[Table]:
    """Every table with rows of customers, in the order of erasing: who somebody is comes last, so that what was begun
    can be found and ended."""
    mine = [table for table in metadata.sorted_tables if "customer_id" in table.c]
    return sorted(mine, key=lambda table: (table is customer, table is slot))


def counted(tx: Tx, customer_id: str) -> dict[str, int]:
    """How many rows would be erased, by table; tables without any are left out."""
    found: dict[str, int] = {table.name: tx.execute(_count_of(table, customer_id)).scalar_one() for table in tables()}
    return {name: count for name, count in found.items() if count}


def _count_of(table: Table, customer_id: str) -> Select[Any]:
    return select(func.count()).select_from(table).where(*_erasable(table, customer_id))


def _erasable(table: Table, customer_id: str) -> tuple[ColumnElement[bool], ...]:
    stays = _EXCEPT.get(table.name)
    return (table.c.customer_id == customer_id, *([~and_(*stays)] if stays else []))


def kept_hashes(tx: Tx, customer_id: str) -> int:
    """How many addresses stay on record as opted out, each as a keyed hash."""
    mine = select(func.count(act.c.address_hash.distinct())).where(act.c.customer_id == customer_id, *_KEPT)
    return tx.execute(mine).scalar_one()


def erase(tx: Tx, customer_id: str) -> dict[str, int]:
    """One piece: at most 200 rows of one table, slot first; how many by table, nothing once all is erased. What stays
    of the ledger names no record and no person."""
    places.lock(tx, customer_id)
    places.forget(tx, customer_id, [LEDGER_KEY])
    named = or_(act.c.party_id != "", act.c.record_id != "", act.c.evidence.is_not(None))
    some = select(act.c.id).where(act.c.customer_id == customer_id, *_KEPT, named).limit(_PIECE)
    if tx.execute(update(act).where(act.c.id.in_(some)).values(_ANONYMOUS)).rowcount:
        return {"act": 0}
    for table in tables():
        keys = list(table.primary_key.columns)
        these = select(*keys).where(*_erasable(table, customer_id)).limit(_PIECE)
        gone = tx.execute(delete(table).where(tuple_(*keys).in_(these))).rowcount
        if gone:
            return {table.name: gone}
    tx.execute(delete(mark).where(mark.c.customer_id == PARTNER, mark.c.name == customer_id))
    return {}


def set_connection(tx: Tx, customer_id: str, platform: str, account_id: str | None, data: Mapping[str, Any]) -> None:
    """Bind a platform's account, healthy; one that is there is replaced."""
    row = {"account_id": account_id, "health": "ok", "reason": None, "data": dict(data)}
    key = {"customer_id": customer_id, "platform": platform}
    upsert(tx, connection, [key | row], replacing(*row))


# Built once: every turn asks it.
_CONNECTIONS = (
    select(*_CONNECTION).where(connection.c.customer_id == bindparam("customer")).order_by(connection.c.platform)
)


_THIS = (connection.c.customer_id == bindparam("customer"), connection.c.platform == bindparam("of"))
_BLOCKED = update(connection).where(*_THIS, connection.c.health != "blocked").values(health="blocked")
_BECAUSE = update(connection).where(*_THIS).values(reason=bindparam("why"))


def connections(tx: Tx, customer_id: str) -> list[Connection]:
    """All of a customer, by platform."""
    return [Connection(*row) for row in tx.execute(_CONNECTIONS, {"customer": customer_id})]


def bind_account(tx: Tx, customer_id: str, platform: str, account_id: str) -> None:
    """Remember which account a connection leads to."""
    mine = (connection.c.customer_id == customer_id, connection.c.platform == platform)
    tx.execute(update(connection).where(*mine).values(account_id=account_id))


def account_of(names: Sequence[str]) -> str:
    """How an account is remembered: by whatever it is known by."""
    return _BETWEEN.join(names)


def leads_to(bound: str, names: Sequence[str]) -> bool:
    """Is it the account that is bound? A key of another user, or a new name, leaves one of its names as it was."""
    return bool(set(bound.split(_BETWEEN)) & set(names))


_BETWEEN = "\t"


def get_connection(tx: Tx, customer_id: str, platform: str) -> Connection | None:
    """One, or None."""
    found = [item for item in connections(tx, customer_id) if item.platform == platform]
    return found[0] if found else None


def bound_to(tx: Tx, platform: str, account_id: str) -> list[str]:
    """Whose connections lead to an account."""
    mine = (connection.c.platform == platform, connection.c.account_id == account_id)
    return sorted(tx.execute(select(connection.c.customer_id).where(*mine)).scalars())


def bound(tx: Tx, platform: str) -> list[str]:
    """Whose connections to a platform lead to a known account."""
    mine = (connection.c.platform == platform, connection.c.account_id.is_not(None))
    return sorted(tx.execute(select(connection.c.customer_id).where(*mine)).scalars())


# Built once: turns ask it.
_TO = select(connection.c.customer_id, connection.c.platform, connection.c.data).where(
    connection.c.platform.in_(bindparam("these", expanding=True))
)


def plans(tx: Tx, platforms: Sequence[str]) -> dict[tuple[str, str], Any]:
    """(customer, platform) to the account's plan as it was remembered, None where it is not known, of everybody
    connected to these platforms."""
    rows = tx.execute(_TO, {"these": list(platforms)})
    return {(who, platform): (data or {}).get("plan") for who, platform, data in rows}


def remember(tx: Tx, customer_id: str, platform: str, data: Mapping[str, Any]) -> None:
    """What is known of the account behind a connection, in place of what was known."""
    mine = (connection.c.customer_id == customer_id, connection.c.platform == platform)
    tx.execute(update(connection).where(*mine).values(data=dict(data)))


def block(tx: Tx, customer_id: str, platform: str, reason: str) -> bool:
    """Blocked until somebody acts; True if it was not, so that its owner is told once."""
    mine = {"customer": customer_id, "of": platform}
    newly = tx.execute(_BLOCKED, mine)
    tx.execute(_BECAUSE, mine | {"why": reason})
    return newly.rowcount == 1


def unblock(tx: Tx, customer_id: str, platform: str) -> None:
    """Healthy again."""
    mine = (connection.c.customer_id == customer_id, connection.c.platform == platform)
    tx.execute(update(connection).where(*mine).values(health="ok", reason=None))
