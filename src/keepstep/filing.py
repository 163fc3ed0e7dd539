"""What was read of either side is filed, and the parties that it says something new of are marked. Our own echoes end
here: a reading that says nothing new marks nobody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import ACCOUNT, Desk
from keepstep.model.change import Lane
from keepstep.model.contact import AudienceContact, Consent, CrmContact
from keepstep.model.instant import Instant
from keepstep.model.roads import CREATED, UPDATED, Source
from keepstep.queue import Slot
from keepstep.state import customers, marks, parties, readings, sightings

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


@dataclass(frozen=True, slots=True)
class Road:
    """How CRM records came to be read. words: record id to the webhook's own word for what happened, of a hook."""

    source: Source
    words: Mapping[str, str] = field(default_factory=dict)


def contacts(
    tx: Connection, desk: Desk, rows: Rows, read_at: Instant, now: Instant, lane: Lane, source: Road | None = None
) -> list[str]:
    """File CRM records that are ours. The parties that have news come back. What `source` shows is remembered, of
    strangers too: whether a road works does not depend on whose record it tells of."""
    read = [(record_id, raw, desk.crm.snapshot(raw, read_at)) for record_id, raw in rows]
    news = readings.file_crm(tx, desk.shelf, read, read_at, now, desk.chance.id)
    queue.put(tx, desk.customer_id, [(party_id, lane, now) for party_id in news], now)
    if source is not None:
        _seen(tx, desk, read, source, news, now)
    return news


def _seen(
    tx: Connection,
    desk: Desk,
    read: Sequence[tuple[str, Any, CrmContact]],
    road: Road,
    news: Sequence[str],
    now: Instant,
) -> None:
    seen = [
        (record_id, sightings.stamp_of(contact.updated_at, raw), road.words.get(record_id) or _word(contact))
        for record_id, raw, contact in read
    ]
    old = [record_id for record_id, stamp, _ in seen if not sightings.recent(stamp, now)]
    homes = parties.party_of(tx, desk.customer_id, desk.route.crm, old)
    new = {record_id for record_id, home in homes.items() if home in news}
    sightings.see(tx, desk.customer_id, desk.route.crm, road.source, seen, now, new)


def _word(contact: CrmContact) -> str:
    """What a poll takes a change for: a record that was not changed since it was made has been made."""
    made = contact.created_at is not None and contact.created_at == contact.updated_at
    return CREATED if made else UPDATED


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
