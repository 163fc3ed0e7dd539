"""`keepstep explain`: what Keepstep sees in a JSON record of Virtuous. Any JSON value yields something."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from keepstep.connectors.virtuous.delivery import is_delivery, records
from keepstep.connectors.virtuous.mapping import (
    PLATFORM,
    Reader,
    addresses,
    method_of,
    phone_kind,
    primary,
    record_id,
    snapshot,
)
from keepstep.model.canonical import e164
from keepstep.model.contact import Address, Consent, CrmContact, Individual, Method
from keepstep.model.instant import format_instant

# Keys that tell a record's kind, the most telling first (Virtuous facts 7, 11, 13).
OTHERS = (
    ("contactTagId", "contact_tag"),
    ("tagName", "tag"),
    ("contactViewUrl", "contact_summary"),
    ("payloadUrl", "webhook"),
    ("organizationUserId", "organization"),
    ("noteDate", "contact_note"),
    ("giftDate", "gift"),
    ("contactMethods", "individual"),
    ("address1", "address"),
    ("isOptedIn", "contact_method"),
)


def explain(value: Any) -> list[dict[str, Any]]:
    """One dict for a record, one for each record of a page, a list or a delivery."""
    if isinstance(value, Mapping) and isinstance(value.get("list"), list):
        value = value["list"]
    if not isinstance(value, list):
        value = [value]
    return [seen for item in value for seen in _explained(item)]


def _explained(item: Any) -> list[dict[str, Any]]:
    if not isinstance(item, Mapping):
        return [_other("unknown", None, f"a JSON {type(item).__name__} is no record")]
    if is_delivery(item):
        found = [_record(record, in_delivery=True) for record in records(item)]
        return found or [_other("delivery", None, "names no contact")]
    return [_record(item)]


def _record(raw: Any, in_delivery: bool = False) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        return _other("unknown", None, f"a JSON {type(raw).__name__} is no record")
    if _is_contact(raw, in_delivery):
        return _contact(raw)
    kind = next((kind for key, kind in OTHERS if key in raw), "unknown")
    warning = "holds no consent, tags or references" if kind == "contact_summary" else "not a contact"
    return _other(kind, record_id(raw.get("id")), warning)


def _is_contact(raw: Mapping[str, Any], in_delivery: bool) -> bool:
    if "contactIndividuals" in raw:
        return True
    return not any(key in raw for key, _ in OTHERS) and ("contactType" in raw or (in_delivery and "name" in raw))


def _other(kind: str, name: str | None, warning: str) -> dict[str, Any]:
    return {"platform": PLATFORM, "record_type": kind, "record_id": name, "warnings": [warning]}


def _contact(raw: Mapping[str, Any]) -> dict[str, Any]:
    contact = snapshot(raw, 0.0)
    person = primary(contact)
    email = method_of(person, "email")
    consent, warnings = _consent(email)
    return {
        "platform": PLATFORM,
        "record_id": contact.record_id,
        "contact_type": contact.contact_type,
        "name": contact.name,
        "email": email.value if email else None,
        "consent": consent.value,
        "deleted": False,
        "first_name": person.first_name if person else None,
        "last_name": person.last_name if person else None,
        "phones": [_phone(method) for method in person.methods if method.kind == "phone"] if person else [],
        "addresses": [_address(address) for address in addresses(Reader(raw, []))],
        "tags": list(contact.tags),
        "custom_fields": dict(contact.custom_fields),
        "updated_at": _stamp(contact),
        "individuals": [_individual(one) for one in contact.individuals],
        "references": [{"source": source, "id": name} for source, name in contact.references],
        "merged_into": contact.merged_into,
        "archived": contact.archived,
        "warnings": [*contact.warnings, *warnings],
    }


def _consent(email: Method | None) -> tuple[Consent, list[str]]:
    """A `false` does not say who set it: staff, an import or the person (design: consent)."""
    if email is None or email.opted_in is None:
        return Consent.unknown, []
    return (Consent.opted_in, []) if email.opted_in else (Consent.opted_out, ["origin_unknown"])


def _phone(method: Method) -> dict[str, Any]:
    return {"kind": phone_kind(method.type), "raw": method.value, "e164": e164(method.value, region="US")}


def _address(address: Address) -> dict[str, Any]:
    return {key: value for key, value in asdict(address).items() if key != "record_id"}


def _individual(one: Individual) -> dict[str, Any]:
    return asdict(one) | {"methods": [asdict(method) for method in one.methods]}


def _stamp(contact: CrmContact) -> str | None:
    try:
        return None if contact.updated_at is None else format_instant(contact.updated_at)
    except (ValueError, OverflowError, OSError):
        return None
