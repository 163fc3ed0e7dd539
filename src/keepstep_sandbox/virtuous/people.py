"""Building people and their methods the way the vendor does, for requests, imports and staff alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keepstep_sandbox.virtuous.change import Change
from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.records import (
    BLANK_ADDRESS,
    BLANK_CONTACT,
    BLANK_INDIVIDUAL,
    BLANK_METHOD,
    Address,
    Contact,
    Fields,
    Individual,
    Method,
    method_family,
)

# Live data shows countries in full (Virtuous facts 7.4); a handful is enough to show the lossy form.
COUNTRIES = {
    "US": "United States", "USA": "United States", "CA": "Canada", "GB": "United Kingdom", "MX": "Mexico",
    "AU": "Australia", "DE": "Germany", "FR": "France", "NZ": "New Zealand", "IE": "Ireland",
}  # fmt: skip


def country(organization: Organization, value: str | None) -> str | None:
    """The country as the vendor stores it (switch country)."""
    if value is None or organization.switches["country"] == "as-sent":
        return value
    return COUNTRIES.get(value.strip().upper(), value)


def default_opt_in(organization: Organization) -> bool:
    """What `isOptedIn` is where nobody says it (Virtuous facts 7.3, unconfirmed)."""
    return organization.switches["opt-in-default"] == "true"


def add_contact(change: Change, values: Mapping[str, Any]) -> Contact:
    return change.new_contact({**BLANK_CONTACT, **values})


def add_individual(change: Change, contact: Contact, values: Mapping[str, Any]) -> Individual:
    """The first person of a contact is its primary one."""
    fields: Fields = {**BLANK_INDIVIDUAL, **values}
    wanted = bool(fields["isPrimary"]) or not contact.individuals
    fields["isPrimary"] = False
    individual = change.new_individual(contact, fields)
    if wanted:
        make_primary_individual(change, individual)
    return individual


def make_primary_individual(change: Change, individual: Individual) -> None:
    for other in individual.owner.individuals:
        change.set(other, {"isPrimary": other is individual})


def add_method(change: Change, individual: Individual, values: Mapping[str, Any]) -> Method:
    """The first e-mail and the first phone of a person are primary (Virtuous facts 7.3)."""
    fields: Fields = {**BLANK_METHOD, "isOptedIn": default_opt_in(change.organization), **values}
    family = method_family(fields["type"])
    first = not any(m.family() == family and m.fields["isPrimary"] for m in individual.methods)
    wanted = (bool(fields["isPrimary"]) or first) and family != "other"
    fields["isPrimary"] = False
    method = change.new_method(individual, fields)
    if wanted:
        make_primary_method(change, method)
    return method


def make_primary_method(change: Change, method: Method) -> None:
    """One primary e-mail and one primary phone per individual (Virtuous facts 7.3)."""
    for other in method.individual.methods:
        if other.family() == method.family():
            change.set(other, {"isPrimary": other is method})


def add_address(change: Change, contact: Contact, values: Mapping[str, Any]) -> Address:
    """The first address is primary."""
    fields: Fields = {**BLANK_ADDRESS, **values}
    fields["country"] = country(change.organization, fields["country"])
    wanted = bool(fields["isPrimary"]) or contact.address() is None
    fields["isPrimary"] = False
    address = change.new_address(contact, fields)
    if wanted:
        make_primary_address(change, address)
    return address


def make_primary_address(change: Change, address: Address) -> None:
    for other in address.owner.addresses:
        change.set(other, {"isPrimary": other is address})
