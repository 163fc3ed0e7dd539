"""What people do in the vendor's own pages: the control door's edits (Virtuous facts 18.8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keepstep_sandbox.http import Effect
from keepstep_sandbox.virtuous import people
from keepstep_sandbox.virtuous.change import STAFF, Change
from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.records import (
    ADDRESS_WRITABLE,
    BLANK_CONTACT,
    BLANK_INDIVIDUAL,
    BLANK_METHOD,
    BLANK_NOTE,
    Contact,
    Individual,
    email_key,
    name_key,
    phone_key,
)

Effects = tuple[Effect, ...]
RAW = frozenset(BLANK_CONTACT) | frozenset((
    "contactIndividuals", "individuals", "contactAddresses", "addresses", "address", "tags", "contactReferences",
    "references", "notes", "customFields",
))  # fmt: skip


def add_contact(organization: Organization, now: float, raw: Mapping[str, Any]) -> int:
    """Make a contact from the names of `POST /api/Contact`; lists may be under their short names as well.

    Raises ValueError for a name that means nothing.
    """
    unknown = [name for name in raw if name not in RAW]
    if unknown:
        raise ValueError(f"a contact has no {', '.join(unknown)}")
    change = Change(organization, now, STAFF)
    values = {name: raw[name] for name in BLANK_CONTACT if name in raw}
    contact = people.add_contact(change, values)
    for item in _list(raw, "contactIndividuals", "individuals"):
        _add_person(change, contact, item)
    for item in _list(raw, "contactAddresses", "addresses"):
        people.add_address(change, contact, _address_values(item))
    if raw.get("address"):
        people.add_address(change, contact, _address_values(raw["address"]))
    for name in raw.get("tags", ()):
        change.tag(contact, organization.tag_named(name) or change.define_tag(name))
    for reference in _list(raw, "contactReferences", "references"):
        pair = (reference["source"], reference["id"]) if isinstance(reference, Mapping) else tuple(reference)
        change.refer(contact, str(pair[0]), str(pair[1]))
    for item in raw.get("notes", ()):
        values = {"note": item} if isinstance(item, str) else {name: item[name] for name in BLANK_NOTE if name in item}
        change.new_note(contact, {**BLANK_NOTE, **values})
    change.set_custom(contact, dict(raw.get("customFields", {})))
    _finish_contact(change, contact)
    change.finish()
    return contact.id


def _finish_contact(change: Change, contact: Contact) -> None:
    if not contact.individuals:
        people.add_individual(change, contact, {"firstName": "Default", "lastName": "Contact"})
    if not contact.fields["name"]:
        change.set(contact, {"name": contact.individuals[0].full_name()})


def _add_person(change: Change, contact: Contact, item: Mapping[str, Any]) -> None:
    values = {name: item[name] for name in BLANK_INDIVIDUAL if name in item}
    individual = people.add_individual(change, contact, values)
    for method in _list(item, "contactMethods", "methods"):
        people.add_method(change, individual, {name: method[name] for name in BLANK_METHOD if name in method})


def _address_values(item: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: item[name] for name in (*ADDRESS_WRITABLE, "isPrimary") if name in item}
    for short, long in (("stateCode", "state"), ("countryCode", "country")):
        if short in item:
            values[long] = item[short]
    return values


def _list(raw: Mapping[str, Any], long: str, short: str) -> Iterable[Any]:
    return raw.get(long) or raw.get(short) or ()


def renames(change: Change, individual: Individual, first_name: str | None, last_name: str | None) -> Effects:
    """A name that is not given stays."""
    given = {"firstName": first_name, "lastName": last_name}
    change.set(individual, {name: value for name, value in given.items() if value is not None})
    return change.finish()


def sets_phone(change: Change, individual: Individual, number: str, kind: str | None) -> Effects:
    """Change the phone of that type, or the first of any, or add one."""
    phones = [m for m in individual.methods if m.family() == "phone" and not m.fields["isArchived"]]
    same = [m for m in phones if kind is None or m.fields["type"] == kind]
    if same:
        change.set(same[0], {"value": number})
    else:
        people.add_method(change, individual, {"type": kind or "Mobile Phone", "value": number})
    return change.finish()


def sets_address(change: Change, contact: Contact, values: Mapping[str, Any]) -> Effects:
    """Change parts of the primary address, or add one."""
    unknown = [name for name in values if name not in ADDRESS_WRITABLE]
    if unknown:
        raise ValueError(f"an address has no {', '.join(unknown)}")
    primary = contact.address()
    if primary is None:
        people.add_address(change, contact, values)
    else:
        change.set(primary, values)
    return change.finish()


def merges(change: Change, loser: Contact, survivor: Contact) -> Effects:
    """The loser points at the survivor, which takes its people, addresses and notes (Virtuous facts 7.6).

    Whether references and tags move along is unconfirmed (switch merge-carries).
    """
    for individual in list(loser.individuals):
        _carry_person(change, individual, survivor)
    for address in list(loser.addresses):
        change.set(address, {"isPrimary": False})
        change.move_address(address, survivor)
    if survivor.address() is None and survivor.addresses:
        people.make_primary_address(change, survivor.addresses[0])
    for note in list(loser.notes):
        change.move_note(note, survivor)
    if change.organization.switches["merge-carries"] == "everything":
        _carry_labels(change, loser, survivor)
    change.set(loser, {"mergedIntoContactId": survivor.id})
    change.touch(survivor)
    return change.finish()


def _carry_person(change: Change, individual: Individual, survivor: Contact) -> None:
    """Somebody of the same name takes the methods over; anybody else moves as a whole."""
    same = [other for other in survivor.individuals if name_key(other.full_name()) == name_key(individual.full_name())]
    if not same:
        change.set(individual, {"isPrimary": not survivor.individuals, "isSecondary": False})
        change.move_individual(individual, survivor)
        return
    for method in list(individual.methods):
        _carry_method(change, method.fields, same[0])
    change.drop_individual(individual)


def _carry_method(change: Change, fields: Mapping[str, Any], target: Individual) -> None:
    """Where both have the address, a refusal on either side survives."""
    for other in target.methods:
        if method_key(other.fields) == method_key(fields):
            change.set(other, {"isOptedIn": other.fields["isOptedIn"] and fields["isOptedIn"]})
            return
    people.add_method(change, target, {**fields, "isPrimary": False})


def method_key(fields: Mapping[str, Any]) -> str:
    """A method's value for comparison."""
    value = str(fields["value"])
    return email_key(value) if "@" in value else phone_key(value) or email_key(value)


def _carry_labels(change: Change, loser: Contact, survivor: Contact) -> None:
    for join in list(loser.tags.values()):
        change.untag(join)
        change.tag(survivor, join.tag)
    for source, reference in list(loser.references):
        change.unrefer(loser, source, reference)
        change.refer(survivor, source, reference)


def moves_individual(change: Change, individual: Individual, target: Contact) -> Effects:
    """A person leaves for another household; an emptied contact keeps a placeholder."""
    source = individual.owner
    if source is target:
        return ()
    change.set(individual, {"isPrimary": not target.individuals, "isSecondary": False})
    change.move_individual(individual, target)
    if not source.individuals:
        people.add_individual(change, source, {"firstName": "Default", "lastName": "Contact"})
    elif not any(other.fields["isPrimary"] for other in source.individuals):
        people.make_primary_individual(change, source.individuals[0])
    return change.finish()


def adds_tag(change: Change, contacts: Iterable[Contact], name: str, bulk: bool) -> Effects:
    """Staff may make the definition on the way."""
    tag = change.organization.tag_named(name) or change.define_tag(name)
    for contact in contacts:
        if name not in (join.tag.name for join in contact.tags.values()):
            change.tag(contact, tag)
    return change.finish(bulk=bulk)


def removes_tag(change: Change, contact: Contact, name: str) -> Effects:
    for join in list(contact.tags.values()):
        if join.tag.name == name:
            change.untag(join)
    return change.finish()
