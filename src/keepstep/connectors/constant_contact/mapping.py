"""What a Constant Contact record says, in the words of the field. Total: what is strange becomes a warning."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from keepstep.model.contact import Address, AudienceContact, Consent, Phone
from keepstep.model.instant import Instant, parse_instant

PERMISSIONS: Mapping[str, Consent] = {
    "explicit": Consent.opted_in,
    "implicit": Consent.opted_in,
    "unsubscribed": Consent.opted_out,
    "pending_confirmation": Consent.not_mailable,
    "temp_hold": Consent.not_mailable,
    "not_set": Consent.not_mailable,
}
PHONES = ("mobile", "home", "work", "other")
ADDRESSES = ("home", "work", "other")
Row = Mapping[str, Any]


class Warnings:
    """Stable keys of what was strange, each once, in the order met; never a value of the record."""

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}

    def add(self, kind: str, field: str = "") -> None:
        self._keys.setdefault(f"{kind}:{field}" if field else kind)

    def keys(self) -> tuple[str, ...]:
        return tuple(self._keys)


def snapshot(raw: Row, read_at: Instant) -> AudienceContact:
    """A contact resource (CC facts 5.2). `_whole` in it tells that all includes were asked for."""
    warn = Warnings()
    channel = _object(raw, "email_address", warn)
    email, permission = _text(channel, "address", warn), _text(channel, "permission_to_send", warn)
    deleted = _present(raw, "deleted_at", warn)
    consent, whole = _consent(deleted, email, permission, warn), raw.get("_whole") is True
    silent = deleted or consent is Consent.opted_out
    return AudienceContact(
        record_id=_record_id(raw, warn),
        read_at=read_at,
        email=email,
        consent=consent,
        deleted=deleted,
        deleted_at=_instant(raw, "deleted_at", warn),
        first_name=_text(raw, "first_name", warn),
        last_name=_text(raw, "last_name", warn),
        phones=_phones(raw, warn),
        addresses=_addresses(raw, warn),
        lists=None if silent else _ids(raw, "list_memberships", whole, warn),
        tags=None if silent else _ids(raw, "taggings", whole, warn),
        opt_in_source=_source(channel, "opt_in_source", warn),
        opt_in_at=_instant(channel, "opt_in_date", warn),
        opt_out_source=_source(channel, "opt_out_source", warn),
        opt_out_at=_instant(channel, "opt_out_date", warn),
        opt_out_reason=_text(channel, "opt_out_reason", warn),
        custom_fields=_custom_fields(raw, warn),
        updated_at=_instant(raw, "updated_at", warn),
        whole=whole,
        warnings=warn.keys(),
    )


def _consent(deleted: bool, email: str | None, permission: str | None, warn: Warnings) -> Consent:
    """Deleted, then no address, then permission (CC facts 5.2); an opt-out outlives the deletion (5.5)."""
    if deleted:
        return Consent.opted_out if permission == "unsubscribed" else Consent.not_mailable
    if email is None:
        return Consent.unknown
    if permission not in PERMISSIONS:
        warn.add("unknown_permission")
    return PERMISSIONS.get(permission or "", Consent.not_mailable)


def _ids(raw: Row, key: str, whole: bool, warn: Warnings) -> tuple[str, ...] | None:
    """Ids of lists or tags, sorted. Unreadable in part is unread as a whole: half a set would look like removals."""
    found = raw.get(key)
    if found is None:
        return () if whole else None
    if isinstance(found, list) and all(isinstance(each, str) and each for each in found):
        return tuple(sorted(set(found)))
    warn.add("wrong_type", key)
    return None


def _phones(raw: Row, warn: Warnings) -> tuple[Phone, ...]:
    """All numbers, the preferred one first: mobile, home, work, other (CC facts 11)."""
    rows = _objects(raw, "phone_numbers", warn)
    read = [(_kind(row, PHONES, warn), _text(row, "phone_number", warn)) for row in rows]
    phones = [Phone(kind, number) for kind, number in read if number is not None]
    return tuple(sorted(phones, key=lambda phone: PHONES.index(phone.kind)))


def _addresses(raw: Row, warn: Warnings) -> tuple[Address, ...]:
    """All addresses that say anything, home first, then work, other; no country is invented (CC facts 11)."""
    found = [_address(row, warn) for row in _objects(raw, "street_addresses", warn)]
    spoken = [each for each in found if each.street or each.city or each.state or each.postal or each.country]
    return tuple(sorted(spoken, key=lambda each: ADDRESSES.index(each.kind)))


def _address(row: Row, warn: Warnings) -> Address:
    return Address(
        kind=_kind(row, ADDRESSES, warn),
        street=_text(row, "street", warn),
        city=_text(row, "city", warn),
        state=_text(row, "state", warn),
        postal=_text(row, "postal_code", warn),
        country=_text(row, "country", warn),
        record_id=_text(row, "street_address_id", warn),
    )


def _custom_fields(raw: Row, warn: Warnings) -> tuple[tuple[str, str], ...]:
    """(field id, value), sorted; of a select field the choice ids, as text (CC facts 6.4)."""
    read = [
        (_text(row, "custom_field_id", warn), _custom_value(row, warn)) for row in _objects(raw, "custom_fields", warn)
    ]
    return tuple(sorted((field, value) for field, value in read if field is not None and value is not None))


def _custom_value(row: Row, warn: Warnings) -> str | None:
    """Of a select field what was chosen counts, not the text beside it."""
    value = row.get("value")
    if chosen := _choices(row, warn):
        return chosen
    if isinstance(value, bool):
        return "true" if value else "false"
    is_number = not isinstance(value, str) and isinstance(value, int | float)
    return str(value) if is_number else _text(row, "value", warn)


def _choices(row: Row, warn: Warnings) -> str | None:
    """Choice ids as text, sorted: they are declared as numbers and come as text (CC facts 6.4)."""
    found = row.get("choice_ids")
    if found is None:
        return None
    rows = found if isinstance(found, list) else []
    ids = [str(each) for each in rows if isinstance(each, str | int) and not isinstance(each, bool)]
    if not isinstance(found, list) or len(ids) < len(rows):
        warn.add("wrong_type", "choice_ids")
    return ",".join(sorted({each for each in ids if each})) or None


def _record_id(raw: Row, warn: Warnings) -> str:
    found = _text(raw, "contact_id", warn)
    if found is None:
        warn.add("missing_contact_id")
    return found or ""


def _kind(row: Row, known: tuple[str, ...], warn: Warnings) -> str:
    kind = _text(row, "kind", warn)
    if kind in known:
        return kind or "other"
    warn.add("unknown_kind")
    return "other"


def _source(row: Row, key: str, warn: Warnings) -> str | None:
    """Who did it: the contact, the account, or a word of tomorrow (CC facts 5.2)."""
    source = _text(row, key, warn)
    if source not in (None, "Contact", "Account"):
        warn.add("unknown_source", key)
    return source


def _present(row: Row, key: str, warn: Warnings) -> bool:
    value = row.get(key)
    if value is None or value is False or value == "":
        return False
    if parse_instant(value) is None:
        warn.add("unreadable_date", key)
    return True


def _instant(row: Row, key: str, warn: Warnings) -> Instant | None:
    value = row.get(key)
    if value is None:
        return None
    at = parse_instant(value)
    if at is None and value != "":
        warn.add("unreadable_date", key)
    return at


def _text(row: Row, key: str, warn: Warnings) -> str | None:
    """NFC and trimmed; blank is None."""
    value = row.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        warn.add("wrong_type", key)
        return None
    return (value if value.isascii() else unicodedata.normalize("NFC", value)).strip() or None


def _object(row: Row, key: str, warn: Warnings) -> Row:
    value = row.get(key)
    if value is not None and not isinstance(value, dict):
        warn.add("wrong_type", key)
    return value if isinstance(value, dict) else {}


def _objects(row: Row, key: str, warn: Warnings) -> list[Row]:
    value = row.get(key)
    rows = value if isinstance(value, list) else []
    kept: list[Row] = [each for each in rows if isinstance(each, dict)]
    if len(kept) < len(rows) or not (value is None or isinstance(value, list)):
        warn.add("wrong_type", key)
    return kept
