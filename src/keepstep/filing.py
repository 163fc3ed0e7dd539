"""What was read of either side is filed, and the parties that it says something new of are marked. Our own echoes end
here: a reading that says nothing new marks nobody."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import ACCOUNT, Desk
from keepstep.model.change import Lane
from keepstep.model.contact import AudienceContact, Consent
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.state import customers, marks, readings

Rows = Sequence[tuple[str, Any]]


def people(
    tx: Connection, desk: Desk, rows: Rows, read_at: Instant, now: Instant, lane: Lane, urgent: bool = True
) -> None:
    """File audience records. Of who is out the party goes first where `urgent`; the others go in their lane."""
    raws = dict(rows)
    changed = readings.file_audience(tx, desk.shelf, rows, read_at, now, desk.chance.id)
    said = {record_id: desk.audience.snapshot(raws[record_id], read_at) for record_id in changed}
    lanes = {key: Lane.consent if urgent and _out(one) else lane for key, one in said.items()}
    queue.put(tx, desk.customer_id, [(home, lanes[record_id], now) for record_id, home in changed.items()], now)


def _out(contact: AudienceContact) -> bool:
    return contact.deleted or contact.consent is Consent.opted_out


def contacts(tx: Connection, desk: Desk, rows: Rows, read_at: Instant, now: Instant, lane: Lane) -> list[str]:
    """File CRM records that are ours. The parties that have news come back."""
    read = [(record_id, raw, desk.crm.snapshot(raw, read_at)) for record_id, raw in rows]
    news = readings.file_crm(tx, desk.shelf, read, read_at, now, desk.chance.id)
    queue.put(tx, desk.customer_id, [(party_id, lane, now) for party_id in news], now)
    return news


def account(tx: Connection, desk: Desk, slot: Slot, platform: str, names: Sequence[str], now: Instant) -> bool:
    """Bind a connection to the account that it leads to, once. False where it leads to another one later.

    `names`: whatever the account is known by; it is the same one where any of them is.
    """
    queue.guard(tx, slot)
    mark = marks.get(tx, desk.customer_id, platform, ACCOUNT)
    marks.put(tx, desk.customer_id, replace(mark, due=now + desk.route.cadence.subscription, data={"finished": now}))
    known = customers.get_connection(tx, desk.customer_id, platform)
    bound = known.account_id if known is not None else None
    if bound is not None and not customers.leads_to(bound, names):
        return False
    if bound != customers.account_of(names):
        customers.bind_account(tx, desk.customer_id, platform, customers.account_of(names))
    return True
