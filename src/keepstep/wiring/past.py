"""One person as they were at a moment: both sides, what was seen of them, what was decided and what was known by then.

Rebuilt from `history`, which keeps every reading that said something new, every decision and every outcome; nothing is
asked of a vendor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep.model.canonical import ADDRESS_PARTS
from keepstep.model.contact import AudienceContact, CrmContact
from keepstep.model.instant import Instant, format_instant
from keepstep.model.party import Party, Person, audience_fields, individual_of
from keepstep.state import consent, history, journal, labels
from keepstep.state.history import READING, Past
from keepstep.state.readings import read_party

if TYPE_CHECKING:
    from keepstep.desk import Desk

Row = dict[str, Any]
Key = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Then:
    """What was stored at a moment. `readings`: (platform, record id) to the raw record and when it was filed."""

    party: Party
    readings: Mapping[Key, tuple[Mapping[str, Any], Instant]] = field(default_factory=dict)
    steps: Sequence[Row] = ()
    notes: Sequence[Row] = ()
    decided_at: Instant | None = None


def rebuilt(tx: Tx, customer_id: str, party_id: str, record: str, at: Instant) -> Then | None:
    """The party that a record belonged to at a moment; None where nothing was known of it yet.

    `party_id` is the party that it belongs to now: others may have become part of it since.
    """
    lines = journal.of_party(tx, customer_id, party_id)
    came = [line for line in lines if line["kind"] in journal.CAME and line["data"]["from"] != party_id]
    merged = {str(line["data"]["from"]): line["at"] for line in came}
    rows = history.of_party(tx, customer_id, [party_id, *merged], at)
    alive = [row for row in rows if row.kind != READING and merged.get(row.party_id, at + 1) > at]
    newest = {row.party_id: row for row in alive}
    parties = [read_party(row.body["party"]) for row in newest.values()]
    mine = [one for one in parties if one.person(record) or one.crm_id == record] or parties
    if not mine:
        return None
    party = mine[-1]
    own = [row for row in alive if row.party_id == party.party_id]
    decided = [row for row in own if row.kind == "decided"]
    last = decided[-1] if decided else None
    read = {(row.platform, row.record_id): (row.body, row.at) for row in rows if row.kind == READING}
    return Then(
        party,
        read,
        _still_wanted(own),
        tuple(last.body["notes"]) if last else (),
        last.at if last else None,
    )


def _still_wanted(rows: Sequence[Past]) -> list[Row]:
    """The steps of the last decision that no call has ended since."""
    wanted: list[Row] = []
    for row in rows:
        if row.kind == "decided":
            wanted = list(row.body["steps"])
        else:
            done = [(one["side"], one["target"]) for one in row.body["done"]]
            wanted = [step for step in wanted if (step["side"], step["target"]) not in done]
    return wanted


def described(tx: Tx, desk: "Desk", party_id: str, record: str, at: Instant) -> Row | None:
    """The same in words and JSON values."""
    then = rebuilt(tx, desk.customer_id, party_id, record, at)
    if then is None:
        return None
    names = {one.list_id: one.list_name for one in labels.every(tx, desk.customer_id)}
    acts = consent.acts_of(tx, desk.customer_id, [party_id])[party_id]
    crm = _crm(desk, then)
    return {
        "at": format_instant(at),
        "record": record,
        "party": then.party.party_id,
        "crm": then.party.crm_id,
        "decided": None if then.decided_at is None else format_instant(then.decided_at),
        "people": [_person(desk, then, one, crm, names) for one in then.party.people],
        "steps": list(then.steps),
        "notes": list(then.notes),
        "acts": [_act(act) for act in acts if act["seen_at"] <= at],
    }


def _crm(desk: "Desk", then: Then) -> CrmContact | None:
    found = then.readings.get((desk.route.crm, then.party.crm_id))
    return desk.crm.snapshot(*found) if found else None


def _person(desk: "Desk", then: Then, person: Person, crm: CrmContact | None, names: Mapping[str, str]) -> Row:
    found = then.readings.get((desk.route.audience, person.record_id))
    contact = desk.audience.snapshot(*found) if found else None
    return {
        "record": person.record_id,
        "standing": person.standing,
        "reason": person.reason,
        "audience": {"now": _here(contact, names) if contact else None, "seen": _seen_here(person, names)},
        "crm": {"now": _there(crm, person) if crm else None, "seen": _seen_there(then.party, person, names)},
    }


def _here(contact: AudienceContact, names: Mapping[str, str]) -> Row:
    return _fields(audience_fields(contact)) | {
        "consent": str(contact.consent),
        "deleted": contact.deleted,
        "lists": None if contact.lists is None else sorted(names.get(one, one) for one in contact.lists),
    }


def _seen_here(person: Person, names: Mapping[str, str]) -> Row:
    lists = None if person.lists is None else sorted(names.get(one, one) for one in person.lists)
    spoken = {"consent": str(person.consent) if person.consent else None, "deleted": person.deleted, "lists": lists}
    return _fields(person.audience or {}) | spoken


def _there(crm: CrmContact, person: Person) -> Row:
    """The linked individual, or nothing of the people where nobody is linked yet."""
    one = individual_of(crm, person)
    mails = [method for method in one.methods if method.record_id == person.email_method] if one else []
    phones = [method for method in one.methods if method.record_id == person.phone_method] if one else []
    place = {part: getattr(crm.address, part) for part in ADDRESS_PARTS} if crm.address else None
    said = {
        "first_name": one.first_name if one else None,
        "last_name": one.last_name if one else None,
        "email": mails[0].value if mails else None,
        "phone": phones[0].value if phones else None,
        "address": place,
    }
    consented = mails[0].opted_in if mails else None
    return _fields(said) | {"consent": _opted(consented), "deleted": crm.archived, "lists": sorted(crm.tags)}


def _seen_there(party: Party, person: Person, names: Mapping[str, str]) -> Row:
    tags = None if party.tags is None else sorted(names.get(one, one) for one in party.tags)
    return _fields(person.crm or {}) | {"consent": _opted(person.opted_in), "deleted": None, "lists": tags}


def _opted(opted_in: bool | None) -> str | None:
    return None if opted_in is None else "opted_in" if opted_in else "opted_out"


def _fields(said: Mapping[str, Any]) -> Row:
    """The fields that travel, and bound custom fields under their keys; an address on one line."""
    place = said.get("address")
    line = ", ".join(str(place[part]) for part in ADDRESS_PARTS if place.get(part)) if place else None
    plain = {name: said.get(name) for name in ("first_name", "last_name", "email", "phone")}
    custom = {name: value for name, value in said.items() if name.startswith("custom:")}
    return plain | {"address": line or None} | custom


def _act(act: Mapping[str, Any]) -> Row:
    moments = {name: None if act[name] is None else format_instant(act[name]) for name in ("after", "before", "at")}
    return {
        "record": act["record_id"],
        "kind": act["kind"],
        "direction": act["direction"],
        "source": act["source"],
        "known": format_instant(act["seen_at"]),
        **moments,
    }
