"""What was read of either side is filed, and the parties that it says something new of are marked. Our own echoes end
here: a reading that says nothing new marks nobody. What is filed of a party is understood here as well."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import ACCOUNT, Desk
from keepstep.model.canonical import email
from keepstep.model.change import Lane
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Report
from keepstep.model.instant import Instant
from keepstep.model.party import Party, Readings
from keepstep.model.roads import CREATED, UPDATED, Source
from keepstep.queue import Slot
from keepstep.state import customers, feeds, marks, parties, readings, reports, sightings, snapshots

Rows = Sequence[tuple[str, Any]]
# A grant that nobody uses ends after 180 days; at least so often it is used (CC facts 2.4).
WEEK = 604_800.0


def people(
    tx: Connection, desk: Desk, rows: Rows, read_at: Instant, now: Instant, lane: Lane, urgent: bool = True
) -> None:
    """File audience records. Of who is out the party goes first where `urgent`; the others go in their lane."""
    raws = dict(rows)
    changed = readings.file_audience(tx, desk.shelf, rows, read_at, now, desk.chance.id)
    said = {record_id: desk.audience.snapshot(raws[record_id], read_at) for record_id in changed}
    lanes = {key: Lane.consent if urgent and _out(one) else lane for key, one in said.items()}
    queue.put(tx, desk.customer_id, [(home, lanes[record_id], now) for record_id, home in changed.items()], now)
    _rows_of(tx, desk, [contact.email for contact in said.values()], now)


def _rows_of(tx: Connection, desk: Desk, addresses: Collection[str | None], now: Instant) -> None:
    """Rows of feeds that wait to bring somebody of these addresses are decided anew: they may have opted out or
    left."""
    if desk.route.feeds:
        rows = feeds.waiting_of(tx, desk.customer_id, sorted({email(one) for one in addresses if one}))
        queue.put(tx, desk.customer_id, [(row, Lane.bulk, now) for row in rows], now)


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
    methods = [method for _, _, contact in read for one in contact.individuals for method in one.methods]
    _rows_of(tx, desk, [method.value for method in methods if method.kind == "email"], now)
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


@dataclass(frozen=True, slots=True)
class Filed:
    """What is filed of some parties, raw: both sides, when each person was otherwise last, the lines of reports, and
    when lists were read last."""

    here: Mapping[str, snapshots.Reading]
    there: Mapping[str, snapshots.Reading]
    before: Mapping[str, Instant]
    told: Mapping[str, tuple[Report, ...]]
    labels_at: Instant | None


def filed(tx: Connection, desk: Desk, found: Collection[Party]) -> Filed:
    """Everything that is filed of these parties."""
    here = readings.audience_of(tx, desk.shelf, found)
    return Filed(
        here=here,
        there=readings.crm_of(tx, desk.shelf, found),
        before=readings.audience_before(tx, desk.shelf, found),
        told=reports.of_records(tx, desk.customer_id, desk.route.audience, list(here)),
        labels_at=(marks.get(tx, desk.customer_id, desk.route.audience, "lists").data or {}).get("finished"),
    )


def understood(desk: Desk, party: Party, kept: Filed) -> Readings:
    """What both sides say of a party. Raises whatever a connector's mapping raises."""
    read = {one.record_id: kept.here[one.record_id] for one in party.people if one.record_id in kept.here}
    audience = {
        record_id: replace(desk.audience.snapshot(raw, read_at), previous_at=kept.before.get(record_id))
        for record_id, (raw, read_at, _whole) in read.items()
    }
    raw = kept.there.get(party.crm_id or "")
    lines = {record_id: kept.told[record_id] for record_id in read if record_id in kept.told}
    crm = desk.crm.snapshot(raw[0], raw[1]) if raw else None
    return Readings(crm=crm, audience=audience, reports=lines, labels_at=kept.labels_at)


def cases(tx: Connection, desk: Desk, party_ids: Sequence[str]) -> list[tuple[Party, Readings]]:
    """These parties with both sides as filed."""
    found = readings.load(tx, desk.customer_id, party_ids)
    kept = filed(tx, desk, found.values())
    return [(one, understood(desk, one, kept)) for one in found.values()]


def account(tx: Connection, desk: Desk, slot: Slot, platform: str, names: Sequence[str], now: Instant) -> bool:
    """Bind a connection to the account that it leads to, once. False where it leads to another one later.

    `names`: whatever the account is known by; it is the same one where any of them is.
    """
    queue.guard(tx, slot)
    known = customers.get_connection(tx, desk.customer_id, platform)
    bound = known.account_id if known is not None else None
    if bound is not None and not customers.leads_to(bound, names):
        # Due still: whoever dies before the connection is blocked must look again before anything else is read.
        return False
    mark = marks.get(tx, desk.customer_id, platform, ACCOUNT)
    marks.put(
        tx,
        desk.customer_id,
        replace(mark, due=now + min(desk.route.cadence.subscription, WEEK), data={"finished": now}),
    )
    if bound != customers.account_of(names):
        customers.bind_account(tx, desk.customer_id, platform, customers.account_of(names))
    return True
