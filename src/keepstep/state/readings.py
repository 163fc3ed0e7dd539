"""What was read on either side, filed under its party. The caller holds the slot."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import Connection

from keepstep.model import enrol
from keepstep.model.canonical import email
from keepstep.model.contact import CrmContact
from keepstep.model.instant import Instant
from keepstep.model.party import Party, Person, without_household
from keepstep.state import brake, history, journal, parties, runs, snapshots, strangers
from keepstep.state.history import Past

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where one customer's readings are filed: the names of its two platforms, how references of ours look, and what
    becomes of contacts whom only the CRM has: leave, external or create; `under`: what did so far, None where that was
    not read."""

    customer_id: str
    audience: str
    crm: str
    source: str
    crm_only: str = "leave"
    under: str | None = None


def read_party(doc: Mapping[str, Any]) -> Party:
    """A stored document as a party."""
    return msgspec.convert(doc, Party)


def load(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[str, Party]:
    """These parties, by id; one that is not there is not in the answer."""
    return {key: read_party(doc) for key, doc in parties.load(tx, customer_id, party_ids).items()}


def save(tx: Connection, customer_id: str, changed: Iterable[Party]) -> None:
    """Store these parties."""
    parties.save(tx, customer_id, {party.party_id: msgspec.to_builtins(party) for party in changed})


def file_audience(
    tx: Connection,
    shelf: Shelf,
    records: Sequence[tuple[str, Raw]],
    read_at: Instant,
    now: Instant,
    new_id: Callable[[], str],
) -> dict[str, str]:
    """Store audience records as read; those that are new or changed come back as record id to party id."""
    rows = [(record_id, raw, read_at, bool(raw.get("_whole", True))) for record_id, raw in records]
    changed = snapshots.store(tx, shelf.customer_id, shelf.audience, rows)
    raws = dict(records)
    homes = parties.party_of(tx, shelf.customer_id, shelf.audience, [record_id for record_id, _ in records])
    fresh = {record_id: new_id() for record_id in changed if record_id not in homes}
    save(tx, shelf.customer_id, (_newcomer(party_id, record_id) for record_id, party_id in fresh.items()))
    for record_id, party_id in fresh.items():
        parties.set_alias(
            tx, shelf.customer_id, shelf.audience, record_id, party_id, now, standing="pending", reason="new"
        )
    news = {record_id: (homes | fresh)[record_id] for record_id in changed}
    _remember(tx, shelf, shelf.audience, {key: (party_id, raws[key]) for key, party_id in news.items()}, now)
    return news


def changed_by(
    tx: Connection,
    shelf: Shelf,
    party_id: str,
    record_id: str,
    change: Callable[[Raw], Raw | None],
    now: Instant,
) -> bool:
    """Change the stored audience record as a write of ours did; False where nobody can tell how."""
    found = snapshots.get(tx, shelf.customer_id, shelf.audience, [record_id]).get(record_id)
    raw = change(found[0]) if found else None
    if found is None or raw is None:
        return False
    snapshots.store(tx, shelf.customer_id, shelf.audience, [(record_id, raw, found[1], found[2])])
    _remember(tx, shelf, shelf.audience, {record_id: (party_id, raw)}, now)
    return True


def _remember(tx: Connection, shelf: Shelf, platform: str, read: Mapping[str, tuple[str, Raw]], now: Instant) -> None:
    """Keep readings that say something new, as they were: `timeline --at` reads them."""
    rows = [
        Past(at=now, party_id=party_id, kind="reading", body=dict(raw), platform=platform, record_id=record_id)
        for record_id, (party_id, raw) in read.items()
    ]
    history.append(tx, shelf.customer_id, rows)


def _newcomer(party_id: str, record_id: str) -> Party:
    return Party(party_id=party_id, people=(Person(record_id=record_id),))


def file_crm(
    tx: Connection,
    shelf: Shelf,
    records: Sequence[tuple[str, Raw, CrmContact]],
    read_at: Instant,
    now: Instant,
    new_id: Callable[[], str],
) -> list[str]:
    """Store CRM records that are ours: known, or carrying a reference of ours. The party ids that have news come back.

    A contact of strangers is not stored, unless the route may create somebody of it: then it is a party without
    people. A reference to a person nobody has captured yet makes the party already, so that the person is never created
    a second time.
    """
    homes = parties.party_of(tx, shelf.customer_id, shelf.crm, [record_id for record_id, _, _ in records])
    ours = [row for row in records if row[0] in homes or _references(shelf, row[2])]
    others = [row for row in records if row[0] not in homes and not _references(shelf, row[2])]
    if others and shelf.under != shelf.crm_only:
        strangers.under(tx, shelf.customer_id, shelf.crm, shelf.crm_only, now)
    fresh = _remembered(tx, shelf, [contact for _, _, contact in others], now)
    ours += [row for row in others if row[0] in fresh]
    changed = set(_store(tx, shelf, ours, read_at))
    strangers.drop(tx, shelf.customer_id, [row[0] for row in ours if row[0] in changed and _references(shelf, row[2])])
    _read_as_before(tx, shelf, {key: homes[key] for key, _, _ in ours if key in homes and key not in changed})
    news = []
    for record_id, _, contact in ours:
        if record_id in changed or record_id not in homes:
            _file_one(tx, shelf, contact, now, new_id)
            news.append(record_id)
    _hold_addresses(tx, shelf, [contact for record_id, _, contact in ours if record_id in fresh])
    # Asked at the end: a party that one contact went to may have become part of another one since.
    found = parties.party_of(tx, shelf.customer_id, shelf.crm, news)
    raws = {record_id: raw for record_id, raw, _ in ours if record_id in changed and record_id in found}
    _remember(tx, shelf, shelf.crm, {key: (found[key], raw) for key, raw in raws.items()}, now)
    return sorted(set(found.values()))


def _remembered(tx: Connection, shelf: Shelf, contacts: Sequence[CrmContact], now: Instant) -> set[str]:
    """Note strangers as the route says; those of whom somebody may be created come back."""
    if shelf.crm_only == "leave":
        return set()
    why = {one.record_id: enrol.unfit(one) for one in contacts}
    strangers.drop(tx, shelf.customer_id, [key for key, reason in why.items() if reason in ("merged", "archived")])
    alive = {key: reason for key, reason in why.items() if reason not in ("merged", "archived")}
    if shelf.crm_only == "external":
        strangers.note(tx, shelf.customer_id, dict.fromkeys(alive, (strangers.EXTERNAL, None)), now)
        return set()
    standings = {key: (strangers.LEFT_OUT if reason else strangers.WANTED, reason) for key, reason in alive.items()}
    strangers.note(tx, shelf.customer_id, standings, now)
    return {key for key, reason in alive.items() if reason is None}


def _hold_addresses(tx: Connection, shelf: Shelf, contacts: Sequence[CrmContact]) -> None:
    """At once, before anybody decides: of two contacts with one address each must know of the other."""
    homes = parties.party_of(tx, shelf.customer_id, shelf.crm, [one.record_id for one in contacts])
    for one in contacts:
        mails = [method for person in one.individuals for method in person.methods if method.kind == "email"]
        rows = [("email", email(mail.value), shelf.crm, mail.record_id) for mail in mails]
        parties.set_custody(tx, shelf.customer_id, homes[one.record_id], rows)


def _read_as_before(tx: Connection, shelf: Shelf, homes: Mapping[str, str]) -> None:
    """Polls mostly find what is known: such a reading moves nothing, it is only as fresh as a party asked for."""
    waiting = [party for party in load(tx, shelf.customer_id, sorted(set(homes.values()))).values() if party.reread]
    fresh = [party for party in waiting if party.crm_id in homes]
    save(tx, shelf.customer_id, [replace(party, reread=False) for party in fresh])


def _store(tx: Connection, shelf: Shelf, ours: Sequence[tuple[str, Raw, CrmContact]], read_at: Instant) -> list[str]:
    return snapshots.store(tx, shelf.customer_id, shelf.crm, [(key, raw, read_at, True) for key, raw, _ in ours])


def _references(shelf: Shelf, contact: CrmContact) -> list[str]:
    return sorted(record_id for source, record_id in contact.references if source == shelf.source)


def _file_one(tx: Connection, shelf: Shelf, contact: CrmContact, now: Instant, new_id: Callable[[], str]) -> None:
    """Bring a CRM contact to its party; all parties that it turns out to unite become one.

    A second contact that carries the same reference does not take a party away from the first one.
    """
    references = _references(shelf, contact)
    by_record = parties.party_of(tx, shelf.customer_id, shelf.audience, references)
    known = parties.party_of(tx, shelf.customer_id, shelf.crm, [contact.record_id])
    homes = sorted({*known.values(), *by_record.values()}) or [new_id()]
    before = load(tx, shelf.customer_id, homes) if len(homes) > 1 else {}
    party = unite(tx, shelf.customer_id, homes, now)
    strangers = [record_id for record_id in references if record_id not in by_record]
    survivor = contact.merged_into or contact.record_id
    if len(homes) == 1 and party.crm_id not in (None, survivor) and party.crm_id != contact.record_id:
        survivor = party.crm_id or survivor
        journal.append(tx, shelf.customer_id, [(now, party.party_id, "second_reference", {"crm": contact.record_id})])
    moved = len(homes) > 1 or bool(strangers) or party.crm_id != survivor
    if moved or party.reread:
        known_people = _with_bases_of(list(before.values()) or [party], party, survivor)
        away = contact.merged_into is not None
        people = (*known_people, *(Person(record_id=record_id) for record_id in strangers))
        if away:  # who waits has no other proof than the reference, which may stay behind (Virtuous facts 7.6)
            people = tuple(
                replace(one, carrier=contact.record_id) if one.record_id in references else one for one in people
            )
        # What another contact is tagged with says nothing of what was seen on this one: no base, no removal.
        tags = party.tags if party.crm_id in (None, survivor) else None
        save(tx, shelf.customer_id, [replace(party, people=people, crm_id=survivor, reread=away, tags=tags)])
    if moved or not known:  # one that we made or linked ourselves has its party before it was ever read
        _name(tx, shelf, party.party_id, contact, strangers, now)


def _with_bases_of(before: Sequence[Party], party: Party, survivor: str) -> list[Person]:
    """The people of a party, of whom those who come from another contact bring no base of its household along."""
    came = [one.record_id for home in before if home.crm_id not in (None, survivor) for one in home.people]
    return [without_household(one) if one.record_id in came else one for one in party.people]


def _name(
    tx: Connection, shelf: Shelf, party_id: str, contact: CrmContact, strangers: Sequence[str], now: Instant
) -> None:
    for record_id in strangers:
        parties.set_alias(
            tx, shelf.customer_id, shelf.audience, record_id, party_id, now, standing="pending", reason="new"
        )
    for record_id in {contact.record_id: None, contact.merged_into or contact.record_id: None}:
        parties.set_alias(tx, shelf.customer_id, shelf.crm, record_id, party_id, now)


def unite(tx: Connection, customer_id: str, party_ids: Sequence[str], now: Instant) -> Party:
    """Make one party of these; the first survives. Its base of tags goes: after a merge there is no removal."""
    found = load(tx, customer_id, party_ids)
    party = found.get(party_ids[0], Party(party_id=party_ids[0]))
    for gone in party_ids[1:]:
        other = found[gone]
        crm_id = party.crm_id or other.crm_id
        apart, reread = tuple(sorted({*party.apart, *other.apart})), party.reread or other.reread
        party = replace(party, restore=(*party.restore, *other.restore), apart=apart, reread=reread)
        party = replace(party, people=(*party.people, *other.people), crm_id=crm_id, tags=None)
        party = replace(party, **enrol.joined((party, other)))
        parties.merge(tx, customer_id, gone, party.party_id)
        runs.follow(tx, customer_id, gone, party.party_id)
        brake.follow(tx, customer_id, gone, party.party_id)
        journal.append(tx, customer_id, [(now, party.party_id, "merged", {"from": gone})])
    if len(party_ids) > 1:
        save(tx, customer_id, [party])
    return party


def rehome(
    tx: Connection, shelf: Shelf, party_id: str, record_id: str, contact: str, now: Instant, new_id: Callable[[], str]
) -> str:
    """Take a person who is on another CRM contact by now to that contact's party, which comes back. Its base of tags
    goes: nothing is removed there for what the person brings along."""
    home = parties.party_of(tx, shelf.customer_id, shelf.crm, [contact]).get(contact, "")
    found = load(tx, shelf.customer_id, sorted({party_id, home}))
    left, host = found[party_id], found.get(home)
    person = left.person(record_id)
    if person is None:
        return party_id
    if host is None or home == party_id or host.crm_id != contact:
        host = Party(party_id=new_id(), crm_id=contact)
    others = tuple(one for one in left.people if one.record_id != record_id)
    host = replace(host, people=(*host.people, person), tags=None, reread=True)
    save(tx, shelf.customer_id, [replace(left, people=others), host])
    place = (tx, shelf.customer_id)
    parties.set_alias(*place, shelf.crm, contact, host.party_id, now)
    parties.set_alias(*place, shelf.audience, record_id, host.party_id, now, standing="pending", reason="look_up")
    said = {"record": record_id, "from": party_id, "to": host.party_id, "contact": contact}
    journal.append(tx, shelf.customer_id, [(now, one, "moved", said) for one in (party_id, host.party_id)])
    return host.party_id


def audience_of(tx: Connection, shelf: Shelf, found: Iterable[Party]) -> dict[str, snapshots.Reading]:
    """The stored readings of everybody in these parties."""
    wanted = [person.record_id for party in found for person in party.people]
    return snapshots.get(tx, shelf.customer_id, shelf.audience, wanted)


def audience_before(tx: Connection, shelf: Shelf, found: Iterable[Party]) -> dict[str, Instant]:
    """When each of these people was last read with another body than now."""
    wanted = [person.record_id for party in found for person in party.people]
    return snapshots.previous(tx, shelf.customer_id, shelf.audience, wanted)


def crm_of(tx: Connection, shelf: Shelf, found: Iterable[Party]) -> dict[str, snapshots.Reading]:
    """The stored readings of these parties' CRM contacts."""
    wanted = [party.crm_id for party in found if party.crm_id]
    return snapshots.get(tx, shelf.customer_id, shelf.crm, wanted)
