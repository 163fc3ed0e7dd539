"""Which account the audience connection leads to. Consent belongs to the person who gave it (CC facts 2.3): given anew
by somebody who was signed in elsewhere, it must not swap the people of two customers."""

from dataclasses import replace

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.errors import Blocked
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.state import customers, marks


async def read_account(desk: Desk, slot: Slot) -> None:
    """Bind the connection to its account, once. Raises Blocked where it leads to another one later."""
    account = await desk.audience.account()
    bound = await desk.db.run(_bound, desk, slot, account, desk.clock.now())
    if bound != account:
        raise Blocked("wrong_account", "the connection leads to another account than before")


def _bound(tx: Connection, desk: Desk, slot: Slot, account: str, now: Instant) -> str:
    queue.guard(tx, slot)
    platform = desk.route.audience
    mark = marks.get(tx, desk.customer_id, platform, "account")
    marks.put(tx, desk.customer_id, replace(mark, due=now + desk.route.cadence.subscription, data={"finished": now}))
    known = customers.get_connection(tx, desk.customer_id, platform)
    if known is not None and known.account_id is not None:
        return known.account_id
    customers.bind_account(tx, desk.customer_id, platform, account)
    return account
