"""Which contact an import row belongs to (Virtuous facts 10.4, 18.4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.records import Contact, Individual, email_key, name_key
from keepstep_sandbox.virtuous.submission import Row


@dataclass(frozen=True, slots=True)
class Match:
    """The contacts that a signal found, best first, and which signal it was; no contacts means none matched."""

    signal: str
    contacts: tuple[Contact, ...]

    @property
    def confident(self) -> bool:
        return len(self.contacts) == 1


def match(organization: Organization, row: Row) -> Match:
    """The strongest signal that finds anything decides: reference, e-mail, phone, name with the full street."""
    for signal, found in _signals(organization, row):
        contacts = {_survivor(organization, contact).id for contact in found}
        if contacts:
            ranked = sorted(contacts, key=lambda n: (not _named(organization.contacts[n], row), n))
            return Match(signal, tuple(organization.contacts[number] for number in ranked))
    return Match("none", ())


def person(contact: Contact, row: Row) -> Individual | None:
    """The person of a contact that a row means: by e-mail, then by name, then the primary one."""
    email = email_key(row.text("email"))
    holders = [m.individual for m in contact.methods() if email and m.family() == "email" and _is(m.fields, email)]
    if holders:
        return holders[0]
    named = [individual for individual in contact.individuals if _same_name(individual, row)]
    primary = [individual for individual in contact.individuals if individual.fields["isPrimary"]]
    return next(iter([*named, *primary, *contact.individuals]), None)


def _is(fields: dict[str, str], email: str) -> bool:
    return email_key(fields["value"]) == email


def _signals(organization: Organization, row: Row) -> Iterable[tuple[str, list[Contact]]]:
    reference = row.reference()
    if reference:
        yield "reference", organization.with_reference(*reference)
    if row.text("email"):
        yield "email", [method.owner for method in organization.with_email(row.text("email"))]
    if row.text("phone"):
        yield "phone", [method.owner for method in organization.with_phone(row.text("phone"))]
    yield "name and street", _at_street(organization, row)


def _at_street(organization: Organization, row: Row) -> list[Contact]:
    """A name counts only together with the whole street, unit included: neighbours share buildings and names."""
    street = _street(row.text("address1"), row.text("address2"))
    if not name_key(row.text("address1")) or not name_key(row.text("firstName")):
        return []
    people = organization.by_last_name.get(name_key(row.text("lastName")), {})
    named = [people[number] for number in sorted(people) if _same_name(people[number], row)]
    return [individual.owner for individual in named if _lives_at(individual.owner, street, row)]


def _lives_at(contact: Contact, street: str, row: Row) -> bool:
    for address in contact.addresses:
        fields = address.fields
        same_town = _agree(fields["postal"], row.text("postal")) and _agree(fields["city"], row.text("city"))
        if not fields["isArchived"] and same_town and _street(fields["address1"], fields["address2"]) == street:
            return True
    return False


def _street(line1: str | None, line2: str | None) -> str:
    return name_key(line1) + name_key(line2)


def _agree(one: str | None, other: str | None) -> bool:
    """Equal where both say anything."""
    left, right = name_key(one), name_key(other)
    return not left or not right or left == right


def _same_name(individual: Individual, row: Row) -> bool:
    first, last = row.text("firstName"), row.text("lastName")
    if not first and not last:
        return False
    fields = individual.fields
    return name_key(fields["firstName"]) == name_key(first) and name_key(fields["lastName"]) == name_key(last)


def _named(contact: Contact, row: Row) -> bool:
    return any(_same_name(individual, row) for individual in contact.individuals)


def _survivor(organization: Organization, contact: Contact) -> Contact:
    """Follow merges, also in a chain (Virtuous facts 7.6)."""
    seen = {contact.id}
    while (into := contact.fields["mergedIntoContactId"]) is not None and into not in seen:
        seen.add(into)
        contact = organization.contacts[into]
    return contact
