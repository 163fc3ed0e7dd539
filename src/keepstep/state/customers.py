"""Customers and their connections to platforms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import and_, bindparam, delete, func, select, update

from keepstep.database import replacing, upsert
from keepstep.model.instant import Instant
from keepstep.schema.tables import act, connection, customer, metadata, secret, slot


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


# The operator's own account with a vendor, as a technology partner: secrets, a door and a slot like a customer's.
PARTNER = "_partner"
# In a customer's config: what paused it, where that was no person.
PAUSED_BY = "paused_by"

_CUSTOMER = (customer.c.customer_id, customer.c.state, customer.c.config, customer.c.created)
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
    """All, by id; not the operator's own account with a vendor (PARTNER)."""
    found = (Customer(*row) for row in tx.execute(select(*_CUSTOMER).order_by(customer.c.customer_id)))
    return [one for one in found if one.customer_id != PARTNER]


def get(tx: Tx, customer_id: str) -> Customer | None:
    """One, or None."""
    row = tx.execute(select(*_CUSTOMER).where(customer.c.customer_id == customer_id)).first()
    return None if row is None else Customer(*row)


def pause(tx: Tx, customer_id: str, by: str | None = None) -> None:
    """No turn begins and no call is sent from now on; work is kept. `by`: what paused it, None for a person."""
    _turned(tx, customer_id, "paused", by)


def resume(tx: Tx, customer_id: str) -> None:
    """Turns begin again; the slot kept its wake."""
    _turned(tx, customer_id, "active", None)


def _turned(tx: Tx, customer_id: str, state: str, by: str | None) -> None:
    known = get(tx, customer_id)
    if known is not None:
        config = {name: value for name, value in known.config.items() if name != PAUSED_BY}
        values = {"state": state, "config": config | ({PAUSED_BY: by} if by else {})}
        tx.execute(update(customer).where(customer.c.customer_id == customer_id).values(values))


# Without its key no kept hash could ever be compared again.
_LEDGER_KEY = (secret.c.platform == "keepstep", secret.c.field == "ledger_key")


def remove(tx: Tx, customer_id: str) -> None:
    """Erase everything, slot first. What stays: that an address (as a keyed hash) opted out, and when, without any
    record or person."""
    tx.execute(select(slot.c.fence).where(slot.c.customer_id == customer_id).with_for_update())
    kept = (act.c.direction == "out", act.c.address_hash.is_not(None))
    anonymous = {"party_id": "", "record_id": "", "evidence": None}
    tx.execute(update(act).where(act.c.customer_id == customer_id, *kept).values(anonymous))
    for table in metadata.sorted_tables:
        if "customer_id" in table.c:
            which = [~and_(*kept)] if table is act else [~and_(*_LEDGER_KEY)] if table is secret else []
            tx.execute(delete(table).where(table.c.customer_id == customer_id, *which))


def set_connection(tx: Tx, customer_id: str, platform: str, account_id: str | None, data: Mapping[str, Any]) -> None:
    """Bind a platform's account, healthy; one that is there is replaced."""
    row = {"account_id": account_id, "health": "ok", "reason": None, "data": dict(data)}
    key = {"customer_id": customer_id, "platform": platform}
    upsert(tx, connection, [key | row], replacing(*row))


# Built once: every turn asks it.
_CONNECTIONS = (
    select(*_CONNECTION).where(connection.c.customer_id == bindparam("customer")).order_by(connection.c.platform)
)


def connections(tx: Tx, customer_id: str) -> list[Connection]:
    """All of a customer, by platform."""
    return [Connection(*row) for row in tx.execute(_CONNECTIONS, {"customer": customer_id})]


# Built once: every turn asks it.
_COUNT = (
    select(func.count()).select_from(connection).where(connection.c.platform.in_(bindparam("these", expanding=True)))
)


def count(tx: Tx, platforms: Sequence[str]) -> int:
    """How many connections to these platforms all customers have together."""
    return tx.execute(_COUNT, {"these": list(platforms)}).scalar_one()


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


def plans(tx: Tx, platforms: Sequence[str]) -> list[Mapping[str, Any]]:
    """What is known of all accounts' plans, as it was remembered."""
    rows = tx.execute(select(connection.c.data).where(connection.c.platform.in_(platforms))).scalars()
    return [row["plan"] for row in rows if row and row.get("plan")]


def remember(tx: Tx, customer_id: str, platform: str, data: Mapping[str, Any]) -> None:
    """What is known of the account behind a connection, in place of what was known."""
    mine = (connection.c.customer_id == customer_id, connection.c.platform == platform)
    tx.execute(update(connection).where(*mine).values(data=dict(data)))


def block(tx: Tx, customer_id: str, platform: str, reason: str) -> bool:
    """Blocked until somebody acts; True if it was not, so that its owner is told once."""
    mine = (connection.c.customer_id == customer_id, connection.c.platform == platform)
    newly = tx.execute(update(connection).where(*mine, connection.c.health != "blocked").values(health="blocked"))
    tx.execute(update(connection).where(*mine).values(reason=reason))
    return newly.rowcount == 1


def unblock(tx: Tx, customer_id: str, platform: str) -> None:
    """Healthy again."""
    mine = (connection.c.customer_id == customer_id, connection.c.platform == platform)
    tx.execute(update(connection).where(*mine).values(health="ok", reason=None))
