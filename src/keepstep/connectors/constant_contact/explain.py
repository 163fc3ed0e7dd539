"""What `keepstep explain` prints for any JSON value of Constant Contact (no network)."""

from typing import Any

from keepstep.connectors.constant_contact.mapping import snapshot
from keepstep.model.canonical import e164
from keepstep.model.contact import Address, AudienceContact, Phone
from keepstep.model.instant import Instant, format_instant

PLATFORM = "constant_contact"
COLLECTIONS = ("contacts", "lists", "tags", "custom_fields", "activities", "tracking_activities", "campaigns")
# The key that tells a record's type; the narrower ones first, for a report row also carries a contact_id (CC facts 8).
TYPES = (
    ("error_key", "error"),
    ("tracking_activity_type", "tracking_activity"),
    ("event_type", "partner_event"),
    ("encoded_account_id", "account"),
    ("activity_id", "activity"),
    ("campaign_id", "campaign"),
    ("contact_id", "contact"),
    ("email_address", "contact"),
    ("list_id", "list"),
    ("tag_id", "tag"),
    ("custom_field_id", "custom_field"),
)


def explain(value: Any) -> list[dict[str, Any]]:
    """One entry a record: of a page or list one for each row, of anything else one."""
    return [_record(row) for row in _records(value)]


def _records(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if (
        isinstance(value, dict) and not {"contact_id", "email_address"} & value.keys()
    ):  # a contact has custom_fields too
        return next((value[name] for name in COLLECTIONS if isinstance(value.get(name), list)), [value])
    return [value]


def _record(row: Any) -> dict[str, Any]:
    kind = _type(row)
    if kind == "contact":
        return _contact(snapshot(row, 0.0))
    warnings = ["not_a_record"] if not isinstance(row, dict) else ["unknown_record"] if kind == "unknown" else []
    named = isinstance(row, dict) and isinstance(row.get(f"{kind}_id"), str)
    return {
        "platform": PLATFORM,
        "record_type": kind,
        "record_id": row[f"{kind}_id"] if named else None,
        "warnings": warnings,
    }


def _type(row: Any) -> str:
    if not isinstance(row, dict):
        return "unknown"
    if "contact_id" in row and "action" in row:  # the answer to a form, not a contact (CC facts 5.3)
        return "sign_up_answer"
    return next((kind for key, kind in TYPES if key in row), "unknown")


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
