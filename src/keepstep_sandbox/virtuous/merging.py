"""Writing an import row into a contact, or making a contact of it (Virtuous facts 10.4, 18.4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from keepstep_sandbox.virtuous import people
from keepstep_sandbox.virtuous.calls import custom_values
from keepstep_sandbox.virtuous.change import Change
from keepstep_sandbox.virtuous.contacts import origin_segment
from keepstep_sandbox.virtuous.matching import person
from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.records import (
    CONTACT_TYPES,
    METHOD_TYPES,
    Address,
    Contact,
    Fields,
    Individual,
    Method,
    email_key,
    method_family,
    name_key,
    phone_key,
)
from keepstep_sandbox.virtuous.submission import Row

PERSON = ("firstName", "middleName", "lastName", "suffix", "gender")
BIRTH = ("birthMonth", "birthDay", "birthYear")
ADDRESS = ("address1", "address2", "city", "state", "postal", "country")
IMPORTED = "Imported Address"


@dataclass(slots=True)
class Difference:
    """What a row would change on a contact; empty means that there is nothing new in it."""

    contact: Contact
    individual: Individual | None
    contact_values: Fields = field(default_factory=dict)
    person_values: Fields = field(default_factory=dict)
    email: str = ""
    phone: str = ""
    address: Address | None = None
    address_values: Fields = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    reference: tuple[str, str] | None = None
    custom: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        values = (self.contact_values, self.person_values, self.email, self.phone, self.address_values)
        return any(values) or bool(self.tags or self.reference or self.custom)


def difference(organization: Organization, contact: Contact, row: Row) -> Difference:
    """Values of the row fill empty fields and overwrite differing ones; what it does not say stays."""
    individual = person(contact, row)
    found = Difference(contact, individual)
    found.contact_values = _changed(contact.fields, _contact_values(organization, row))
    if individual is not None:
        found.person_values = _changed(individual.fields, _person_values(row))
    _add_methods(found, contact, row)
    _add_address(found, organization, row)
    present = {join.tag.name.casefold() for join in contact.tags.values()}
    found.tags = [name for name in row.tags() if name.casefold() not in present]
    reference = row.reference()
    found.reference = reference if reference and reference not in contact.references else None
    given = _custom_of(organization, row)
    found.custom = {name: value for name, value in given.items() if value and contact.custom.get(name) != value}
    return found


def _custom_of(organization: Organization, row: Row) -> dict[str, str]:
    """Known fields only; an option that a field does not have is left out unless the switch says it is stored."""
    given = {name: value for name, value in custom_values(row.fields).items() if name in organization.custom_fields}
    wrong = [] if organization.switches["unknown-option"] == "stored" else organization.unknown_options(given)
    return {name: value for name, value in given.items() if name not in wrong}


def apply(change: Change, found: Difference, row: Row) -> None:
    """Make the changes. Existing methods keep their consent; only a new one gets the default."""
    contact = found.contact
    change.set(contact, found.contact_values)
    if (found.email or found.phone or found.person_values) and found.individual is None:
        found.individual = people.add_individual(change, contact, _person_values(row))
    if found.individual is not None:
        change.set(found.individual, found.person_values)
        _write_methods(change, found, found.individual, row)
    if found.address is not None:
        change.set(found.address, found.address_values)
    elif found.address_values:
        people.add_address(change, contact, {"label": IMPORTED, **found.address_values})
    _write_labels(change, contact, found)


def create(change: Change, row: Row) -> Contact:
    """A new contact with one person."""
    organization = change.organization
    values = _person_values(row)
    contact_values = _contact_values(organization, row)
    contact_values.setdefault("name", " ".join(filter(None, (row.text("firstName"), row.text("lastName")))) or None)
    if contact_values["name"] is None:
        contact_values["name"] = row.text("email") or row.text("phone")
    contact = people.add_contact(change, contact_values)
    people.add_individual(change, contact, values)
    apply(change, difference(organization, contact, row), row)
    return contact


def _contact_values(organization: Organization, row: Row) -> Fields:
    values: Fields = {name: row.text(name) for name in ("name",) if row.text(name)}
    if row.text("contactType") in CONTACT_TYPES:
        values["contactType"] = row.text("contactType")
    segment = origin_segment(organization, row.fields)
    if segment is not None:
        values |= {"originSegmentId": segment, "originSegment": row.text("originSegmentCode")}
    return values


def _person_values(row: Row) -> Fields:
    values: Fields = {name: row.text(name) for name in PERSON if row.text(name)}
    if row.text("title"):
        values["prefix"] = row.text("title")
    values |= {name: int(row.text(name)) for name in BIRTH if row.text(name)}
    return values


def _changed(fields: Fields, values: Fields) -> Fields:
    return {name: value for name, value in values.items() if fields[name] != value}


def _add_methods(found: Difference, contact: Contact, row: Row) -> None:
    """An address or number that anybody of the contact has already is not new."""
    methods = contact.methods()
    emails = {email_key(m.fields["value"]) for m in methods if m.family() == "email"}
    phones = {phone_key(m.fields["value"]) or m.fields["value"] for m in methods if m.family() == "phone"}
    email, phone = row.text("email"), row.text("phone")
    found.email = email if email and email_key(email) not in emails else ""
    found.phone = phone if phone and (phone_key(phone) or phone) not in phones else ""


def _add_address(found: Difference, organization: Organization, row: Row) -> None:
    """The primary address takes the row's parts, unless another address of the contact has them all."""
    values: Fields = {name: row.text(name) for name in ADDRESS if row.text(name)}
    if "country" in values:
        values["country"] = people.country(organization, values["country"])
    if not values:
        return
    live = [a for a in found.contact.addresses if not a.fields["isArchived"]]
    if any(all(name_key(a.fields[name]) == name_key(value) for name, value in values.items()) for a in live):
        return
    found.address = found.contact.address()
    found.address_values = values if found.address is None else _changed(found.address.fields, values)


def _write_methods(change: Change, found: Difference, individual: Individual, row: Row) -> None:
    if found.email:
        primary = _primary_email(individual)
        if primary is not None and change.organization.switches["import-email"] == "replace":
            change.set(primary, {"value": found.email})
        else:
            kind = _method_type(row.text("emailType"), "email", "Home Email")
            people.add_method(change, individual, {"type": kind, "value": found.email})
    if found.phone:
        kind = _method_type(row.text("phoneType"), "phone", "Mobile Phone")
        people.add_method(change, individual, {"type": kind, "value": found.phone})


def _primary_email(individual: Individual) -> Method | None:
    emails = [m for m in individual.methods if m.family() == "email" and not m.fields["isArchived"]]
    return next((m for m in emails if m.fields["isPrimary"]), emails[0] if emails else None)


def _method_type(name: str, family: str, default: str) -> str:
    return name if name in METHOD_TYPES and method_family(name) == family else default


def _write_labels(change: Change, contact: Contact, found: Difference) -> None:
    for name in found.tags:
        change.tag(contact, change.organization.tag_named(name) or change.define_tag(name))
    if found.reference:
        change.refer(contact, *found.reference)
    change.set_custom(contact, found.custom)
