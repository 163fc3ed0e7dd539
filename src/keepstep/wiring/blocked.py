"""What a blocked connection keeps waiting, and what happens once its owner has acted; grants that nobody uses."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import func, select

from keepstep.model.contact import Side
from keepstep.model.customer import Route
from keepstep.model.instant import Instant
from keepstep.schema.tables import step
from keepstep.state import customers, feeds
from keepstep.state.vault import Vault

Row = dict[str, Any]
_AFTER = "then everything that waits is decided anew from what both sides say by then, and goes out"
_NEXT: Mapping[str, str] = {
    "reauthorize": "the account's owner connects again: `keepstep connect {platform} --customer {customer}`",
    "copied": "stop the other one for good, then `keepstep adopt`",
    "wrong_account": "connect again, signed in to the right account: "
    "`keepstep connect {platform} --customer {customer}`",
}
_OTHERS = "see the runbook for {reason}, store what is missing, or `keepstep customer resume {customer}`"
# A refresh token dies after 180 days without use (CC facts 2.4).
DAY, IDLE_WARNED, IDLE_END = 86_400.0, 150, 180


def blocked(tx: Tx, route: Route, now: Instant) -> Row:
    """Per blocked platform: {reason, steps, oldest_seconds, next}. steps: writes to it that are decided and wait."""
    found = [one for one in customers.connections(tx, route.customer_id) if one.health == "blocked"]
    gone = [
        one for one in found if feeds.is_feed(one.platform) and one.platform not in map(feeds.platform, route.feeds)
    ]
    found = [one for one in found if one not in gone]
    return {one.platform: _blocked(tx, route, one, now) for one in found}


def _blocked(tx: Tx, route: Route, one: customers.Connection, now: Instant) -> Row:
    side = Side.crm if one.platform == route.crm else Side.audience
    count, oldest = tx.execute(
        select(func.count(), func.min(step.c.since)).where(
            step.c.customer_id == route.customer_id, step.c.side == side, step.c.job_id.is_(None)
        )
    ).one()
    if feeds.is_feed(one.platform):
        return _feed(one)
    then = _NEXT.get(one.reason or "", _OTHERS)
    words = then.format(platform=one.platform, customer=route.customer_id, reason=one.reason)
    return {
        "reason": one.reason,
        "steps": count,
        "oldest_seconds": max(now - oldest, 0.0) if oldest is not None else 0.0,
        "next": f"{words}; {_AFTER}",
    }


def _feed(one: customers.Connection) -> Row:
    """Nothing is written to a database that is only read; what was read of it goes on."""
    name = one.platform.partition(":")[2]
    then = f"`keepstep feed connect {name} --customer {one.customer_id}`; then it is read on where that stopped"
    return {"reason": one.reason, "steps": 0, "oldest_seconds": 0.0, "next": then}


def idle(tx: Tx, vault: Vault, customer_id: str, now: Instant) -> Row:
    """Per platform whose grant nobody has used for 150 days: {days, next}. A customer who is served uses its grants
    daily; one who is paused makes no call, not even this one."""
    stored = vault.stored(tx, customer_id)
    rows: Row = {}
    for platform in sorted({platform for platform, field in stored if field == "refresh_token"}):
        used = max(stored[key] for key in stored if key[0] == platform and key[1] in ("refresh_token", "access_token"))
        days = int((now - used) / DAY)
        if days >= IDLE_WARNED:
            rows[platform] = {"days": days, "next": _resume(customer_id, IDLE_END - days)}
    return rows


def _resume(customer_id: str, left: int) -> str:
    if left <= 0:
        return "the vendor calls it void by now; whoever resumes the customer will have to connect again"
    return f"`keepstep customer resume {customer_id}` for a minute within {left} days, or the account is connected anew"
