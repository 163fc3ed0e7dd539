"""What `keepstep explain` prints for any JSON value of Constant Contact (no network)."""

from typing import Any

from keepstep.connectors.constant_contact.mapping import snapshot
from keepstep.connectors.constant_contact.records import kind_of, read
from keepstep.model.canonical import e164
from keepstep.model.contact import Address, AudienceContact, Phone
from keepstep.model.instant import Instant, format_instant

PLATFORM = "constant_contact"
# A page holds one of these; what it counts of itself is no record (CC facts 5-9).
COLLECTIONS = (
    "contacts lists tags custom_fields activities tracking_activities campaigns bulk_email_campaign_summaries "
    "bulk_sms_campaign_summaries segments xrefs results site_owner_list"
).split()


def explain(value: Any) -> list[dict[str, Any]]:
    """One entry a record: of a page or list one for each row, of anything else one."""
    return [_record(row) for row in _records(value)]


def _records(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    name = _collection(value)
    if name is None:
        return [value]
    refused = value.get("errors") if name == "results" else None  # of a page of counts (CC facts 8)
    rows = [*value[name], *(refused if isinstance(refused, list) else [])]
    # Still being looked for: an answer without rows is not an empty page (CC facts 5.1).
    return rows or ([{"status": value["status"]}] if isinstance(value.get("status"), str) else [])


def _collection(value: Any) -> str | None:
    """The name of a page's rows. A contact has custom_fields too, and is no page of them."""
    if not isinstance(value, dict) or kind_of(value)[0] not in ("unknown", "links", "not_ready"):
        return None
    return next((name for name in COLLECTIONS if isinstance(value.get(name), list)), None)


def _record(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        return {"platform": PLATFORM, "record_type": "unknown", "record_id": None, "warnings": ["not_a_record"]}
    if kind_of(row)[0] == "contact":
        return _contact(snapshot(row, 0.0))
    return {"platform": PLATFORM, **read(row)}


def _contact(contact: AudienceContact) -> dict[str, Any]:
    return {
        "platform": PLATFORM,
        "record_type": "contact",
        "record_id": contact.record_id or None,
        "email": contact.email,
        "consent": contact.consent.value,
        "deleted": contact.deleted,
        "deleted_at": _moment(contact.deleted_at),
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "phones": [_phone(phone) for phone in contact.phones],
        "addresses": [_address(address) for address in contact.addresses],
        "lists": None if contact.lists is None else list(contact.lists),
        "tags": None if contact.tags is None else list(contact.tags),
        "custom_fields": [{"field": field, "value": value} for field, value in contact.custom_fields],
        "opt_in_source": contact.opt_in_source,
        "opt_in_at": _moment(contact.opt_in_at),
        "opt_out_source": contact.opt_out_source,
        "opt_out_at": _moment(contact.opt_out_at),
        "opt_out_reason": contact.opt_out_reason,
        "updated_at": _moment(contact.updated_at),
        "warnings": list(contact.warnings),
    }


def _phone(phone: Phone) -> dict[str, str | None]:
    return {"kind": phone.kind, "raw": phone.raw, "e164": e164(phone.raw)}


def _address(address: Address) -> dict[str, str | None]:
    parts = ("kind", "street", "city", "state", "postal", "country", "record_id")
    return {part: getattr(address, part) for part in parts}


def _moment(at: Instant | None) -> str | None:
    try:
        return None if at is None else format_instant(at)
    except (ValueError, OverflowError, OSError):  # a year outside 1 to 9999 once its zone is taken off
        return None
