"""`keepstep explain`: what Keepstep sees in a JSON record of Virtuous. Any JSON value yields something."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from keepstep.connectors.virtuous.api import codes_of
from keepstep.connectors.virtuous.delivery import is_delivery, records
from keepstep.connectors.virtuous.kinds import kind_of, warning_of
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


def explain(value: Any) -> list[dict[str, Any]]:
    """One dict for a record, one for each of a page, a list, a batch or a delivery: record_type, warnings, and of a
    contact all that we read."""
    if isinstance(value, Mapping) and isinstance(value.get("list"), list):
        value = value["list"]
    if not isinstance(value, list):
        value = [value]
    if len(value) > 1 and all(isinstance(item, str) for item in value):
        return [_other("words", None, "a list of words, such as the types of contact methods")]
    return [seen for item in value for seen in _explained(item)]


def _explained(item: Any) -> list[dict[str, Any]]:
    if not isinstance(item, Mapping):
        return [_other("unknown", None, f"a JSON {type(item).__name__} is no record")]
    # One of the types of notes is Event, under the key that elsewhere names a delivery (Virtuous facts 11).
    if is_delivery(item) and kind_of(item) != "note_types":
        found = [_record(record, in_delivery=True) for record in records(item)]
        return found or [_other("delivery", None, "names no contact")]
    rows = item.get("contacts")
    if kind_of(item) == "contact_batch" and isinstance(rows, list) and rows:
        return [_record(row) for row in rows]
    return [_record(item)]


def _record(raw: Any, in_delivery: bool = False) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        return _other("unknown", None, f"a JSON {type(raw).__name__} is no record")
    kind = kind_of(raw)
    if "contactIndividuals" in raw or (not kind and _speaks_of_contact(raw, in_delivery)):
        return _contact(raw)
    seen = _other(kind or "unknown", record_id(raw.get("id")), warning_of(kind))
    if kind == "error":
        seen["warnings"] = [f"an error of the vendor: {codes_of(raw) or 'without a code'}"]
    return seen | (_asked(raw) if kind == "contact_transaction" else {})


def _speaks_of_contact(raw: Mapping[str, Any], in_delivery: bool) -> bool:
    return "contactType" in raw or (in_delivery and "name" in raw)


def _asked(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What an import is asked for: whose reference, and tags by name (Virtuous facts 10.1)."""
    read = Reader(raw, [])
    tags = [name for part in (read.text("tags") or "").split(";") if (name := part.strip())]
    return {"reference": {"source": read.text("referenceSource"), "id": read.text("referenceId")}, "tags": tags}


def _other(kind: str, name: str | None, warning: str) -> dict[str, Any]:
    return {"platform": PLATFORM, "record_type": kind, "record_id": name, "warnings": [warning]}


def _contact(raw: Mapping[str, Any]) -> dict[str, Any]:
    contact = snapshot(raw, 0.0)
    person = primary(contact)
    email = method_of(person, "email")
    consent, warnings = _consent(email)
    return {
        "platform": PLATFORM,
        "record_type": "contact",
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
