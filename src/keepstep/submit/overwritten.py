"""Overwrites by the CRM's own import: found when a creation turns up on a contact that was there before it, and kept as
places, without values. The values are in the readings, where the contact was ever stored."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from keepstep.desk import Desk
from keepstep.model import overwritten
from keepstep.model.contact import CrmContact
from keepstep.model.instant import Instant
from keepstep.model.overwritten import Place
from keepstep.model.party import Party, Person, Submission
from keepstep.state import history, journal
from keepstep.state.history import READING, Past
from keepstep.submit.load import Case

KIND = "overwritten_by_import"
Line = tuple[Instant, str, str, dict[str, Any]]


def lines(tx: Connection, desk: Desk, case: Case, party: Party, now: Instant) -> list[Line]:
    """What the journal should say of the people of this party whose creation has just turned up, once for each."""
    found = []
    for before in case.party.people:
        person = party.person(before.record_id)
        if person and before.submission and _turned_up(desk, case, before, person):
            found += _line(tx, desk, case, person, before.submission, now)
    return found


def _turned_up(desk: Desk, case: Case, before: Person, person: Person) -> bool:
    """Our reference is there: the person is linked now, or has just been parked with a doubt about it."""
    crm, source = case.readings.crm, desk.route.policy.reference_source
    if crm is None or (source, person.record_id) not in crm.references:
        return False
    parked = person.standing == "parked" and (before.standing, before.reason) != (person.standing, person.reason)
    return bool(person.individual and not before.individual) or parked


def _line(tx: Connection, desk: Desk, case: Case, person: Person, sent: Submission, now: Instant) -> list[Line]:
    crm, region = case.readings.crm, desk.route.policy.phone_region
    if crm is None or (crm.created_at is not None and not overwritten.was_there(crm, sent.since)):
        return []
    before = before_of(desk, readings_of(tx, desk.customer_id, case.party.party_id, now), crm.record_id, person)
    if before is None and not overwritten.was_there(crm, sent.since):
        return []
    places = overwritten.overwritten(before, crm, sent.sent, region) if before else None
    known = places is not None
    found = overwritten.perhaps(crm, sent.sent, region) if places is None else places
    said = {"record": person.record_id, "contact": crm.record_id, "known": known, "fields": _words(found)}
    return [(now, case.party.party_id, KIND, said)] if found else []


def _words(places: Sequence[Place]) -> list[list[str]]:
    return [[one.individual, one.field] for one in places]


def readings_of(tx: Connection, customer_id: str, party_id: str, until: Instant) -> list[Past]:
    """Everything that was read of a party and of those that became part of it, oldest first."""
    merged = [line["data"]["from"] for line in journal.of_party(tx, customer_id, party_id) if line["kind"] == "merged"]
    ids = sorted({party_id, *map(str, merged)})
    return [row for row in history.of_party(tx, customer_id, ids, until) if row.kind == READING]


def before_of(desk: Desk, rows: Sequence[Past], record_id: str, person: Person | str) -> CrmContact | None:
    """A CRM contact as last read before it carried our reference to this person; None where it never was."""
    wanted = (desk.route.policy.reference_source, person if isinstance(person, str) else person.record_id)
    found = None
    for row in rows:
        if (row.platform, row.record_id) == (desk.route.crm, record_id):
            read = desk.crm.snapshot(row.body, row.at)
            if wanted in read.references:
                break
            found = read
    return found
