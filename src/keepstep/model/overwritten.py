"""What the CRM's own import overwrote when it took a creation of ours for somebody who was there (Virtuous facts 10.4):
values that had another one before and have what we sent since.

A field is named by its place, so that its value can be looked up in any reading: first_name, last_name, address:PART,
email:METHOD, phone:METHOD, custom:NAME.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keepstep.model.canonical import ADDRESS_PARTS, email, phone, text
from keepstep.model.contact import CrmContact, Individual
from keepstep.model.instant import Instant

NAMES = ("first_name", "last_name")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a value is: a field, and of a person whose; empty for a field of the household."""

    individual: str
    field: str


def overwritten(before: CrmContact, after: CrmContact, sent: Mapping[str, Any], region: str = "US") -> list[Place]:
    """The places whose value was there, is another one now, and is the one that we sent."""
    was, now = values(before), values(after)
    return sorted(
        place
        for place, value in was.items()
        if place in now and text(value) != text(now[place]) and _is_sent(place.field, now[place], sent, region)
    )


def perhaps(after: CrmContact, sent: Mapping[str, Any], region: str = "US") -> list[Place]:
    """The places that have what we sent, where nobody knows what was there before."""
    return sorted(place for place, value in values(after).items() if _is_sent(place.field, value, sent, region))


def was_there(crm: CrmContact, since: Instant) -> bool:
    """Was this contact made before the creation was sent? Without a stamp nobody can say so."""
    return crm.created_at is not None and crm.created_at < since


def values(crm: CrmContact) -> dict[Place, str]:
    """Every value of a contact that an import can write, by its place; what is empty is not there."""
    found: dict[Place, str | None] = {}
    for one in crm.individuals:
        found |= {Place(one.record_id, name): getattr(one, name) for name in NAMES}
        found |= _methods(one)
    found |= {Place("", f"address:{part}"): getattr(crm.address, part, None) for part in ADDRESS_PARTS}
    found |= {Place("", f"custom:{name}"): value for name, value in crm.custom_fields}
    return {place: value for place, value in found.items() if value}


def _methods(one: Individual) -> dict[Place, str | None]:
    known = ("email", "phone")
    return {
        Place(one.record_id, f"{mean.kind}:{mean.record_id}"): mean.value for mean in one.methods if mean.kind in known
    }


def _is_sent(field: str, value: str, sent: Mapping[str, Any], region: str) -> bool:
    kind, _, name = field.partition(":")
    if kind in NAMES:
        return bool(sent.get(kind)) and text(sent[kind]) == text(value)
    if kind == "email":
        return bool(sent.get("email")) and email(sent["email"]) == email(value)
    if kind == "phone":
        number = (sent.get("phone") or {}).get("raw")
        return bool(number) and phone(number, region) == phone(value, region)
    said = (sent.get("address" if kind == "address" else "custom") or {}).get(name)
    return bool(said) and text(said).casefold() == text(value).casefold()
