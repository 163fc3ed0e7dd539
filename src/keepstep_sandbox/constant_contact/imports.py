"""POST /v3/activities/contacts_json_import (CC facts 7.1)."""

import json
from typing import Any

from keepstep_sandbox.constant_contact import fields
from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.activities import Tally
from keepstep_sandbox.constant_contact.changes import Change, create
from keepstep_sandbox.constant_contact.contact import CORE, Contact
from keepstep_sandbox.constant_contact.jobs import LISTS_OF_A_CONTACT, accepted
from keepstep_sandbox.constant_contact.refusals import Refusal, invalid
from keepstep_sandbox.http import Request, Response

BYTES = 4 * 1024 * 1024
ROWS = 40_000
_PHONES = {
    "phone": "other",
    "home_phone": "home",
    "work_phone": "work",
    "mobile_phone": "mobile",
    "other_phone": "other",
}
_STREETS = {"": "home", "home_": "home", "work_": "work", "other_": "other"}


def post(account: Account, request: Request, now: float) -> Response:
    """Queue an import. Raises Refusal (400)."""
    body = fields.body_of(request)
    rows = body.get("import_data")
    if not isinstance(rows, list) or not rows or not all(isinstance(one, dict) for one in rows):
        raise invalid("import_data must hold rows.")
    if len(rows) > ROWS:
        raise invalid(f"import_data may hold {ROWS} rows.")
    targets = fields.list_ids(account, body.get("list_ids"), 1)
    kept = rows if len(request.body) <= BYTES else rows[: _rows_within(request.body)]

    def work(at: float, tally: Tally) -> None:
        _run(account, kept, targets, at, tally)

    counts = {"items_total_count": len(kept), "person_count": 0, "correctable_count": 0, "cannot_add_to_list_count": 0}
    posted = account.activities.post(account.ids.next(), "contacts_json_import", work, counts, now)
    return accepted(account, posted, now, int(account.switches["import_status"]))


def _rows_within(body: bytes) -> int:
    """How many whole rows end within the first 4 MB; nothing tells the sender about the others."""
    text = body[:BYTES].decode("utf-8", "ignore")
    at, count, decoder = text.find("[", text.find('"import_data"')) + 1, 0, json.JSONDecoder()
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            return count
        if not isinstance(value, dict):
            return count
        count += 1


def _run(account: Account, rows: list[dict[str, Any]], targets: list[str], at: float, tally: Tally) -> None:
    """Rows in order, so of two with one address the later wins."""
    live = [one for one in targets if account.live_list(one) is not None]
    spoiled = len(rows) - 1 if account.switches["activity_error_count"] == "1" and tally.unlucky else -1
    for number, row in enumerate(rows):
        if number == spoiled or not (row.get("email") or row.get("sms_number")):
            tally.error(f"Line {number + 1}: the row could not be processed")
            continue
        try:
            _row(account, row, live, at, tally)
        except Refusal as refusal:
            tally.add("correctable_count")
            tally.errors.append(f"Line {number + 1}: {refusal.message}")


def _row(account: Account, row: dict[str, Any], targets: list[str], at: float, tally: Tally) -> None:
    address = fields.address(row.get("email"), 50)
    core = {name: value for name, value in fields.core(row).items() if value is not None and name in CORE}
    phones, streets, custom = _phones(account, row), _streets(account, row), _custom(account, row)
    contact = account.holder(address)
    if contact is not None and contact.deleted is not None and account.switches["import_revives"] == "no":
        tally.error("A deleted contact was left out")
        return
    contact = _person(account, contact, address, at)
    change = Change(account, contact, at)
    for name, value in core.items():
        change.core(name, value)
    for name, key, items in (("phone_numbers", "kind", phones), ("street_addresses", "kind", streets)):
        change.part(name, _laid(contact.parts[name], items, key)[:3])
    change.part("custom_fields", _laid(contact.parts["custom_fields"], custom, "custom_field_id")[:25])
    _enlist(contact, change, targets, tally)
    tally.add("person_count")


def _person(account: Account, contact: Contact | None, address: str, at: float) -> Contact:
    """New people become implicit by Account; the permission of known ones is not touched; deleted ones come back."""
    if contact is not None:
        change = Change(account, contact, at)
        change.revive()
        change.signed("Account")
        return contact
    contact = create(account, at, "Account")
    Change(account, contact, at).address(address)
    return contact


def _enlist(contact: Contact, change: Change, targets: list[str], tally: Tally) -> None:
    """People who opted out are never put on lists."""
    if contact.out:
        tally.add("cannot_add_to_list_count")
        return
    for one in targets:
        if len(contact.parts["list_memberships"]) < LISTS_OF_A_CONTACT:
            change.join(one)


def _laid(old: list[Any], new: list[Any], key: str) -> list[Any]:
    """New values over old ones of the same kind, in place; others stay."""
    values = {one[key]: one for one in new}
    kept = [_over(one, values.pop(one[key])) if one.get(key) in values else one for one in old]
    return kept + list(values.values())


def _over(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return old | {name: value for name, value in new.items() if value is not None}


def _phones(account: Account, row: dict[str, Any]) -> list[Any]:
    found = {kind: {"kind": kind, "phone_number": row[name]} for name, kind in _PHONES.items() if row.get(name)}
    return fields.part(account, "phone_numbers", list(found.values()), None)


def _streets(account: Account, row: dict[str, Any]) -> list[Any]:
    found: dict[str, dict[str, Any]] = {}
    for prefix, kind in _STREETS.items():
        parts = {name: row.get(prefix + name) for name in ("street", "city", "state", "country")}
        parts["postal_code"] = row.get(f"{prefix}zip")
        if row.get(f"{prefix}street2"):
            parts["street"] = f"{parts['street'] or ''}, {row[f'{prefix}street2']}".removeprefix(", ")
        if any(parts.values()):
            found[kind] = {"kind": kind, **parts}
    return fields.part(account, "street_addresses", list(found.values()), None)


def _custom(account: Account, row: dict[str, Any]) -> list[Any]:
    known = {one.name: one.field_id for one in account.custom_fields.values()}
    found = []
    for name, value in row.items():
        if name.startswith("cf:") and value not in (None, ""):
            if name[3:] not in known:
                raise invalid(f"Unknown custom field: {name[3:]}")
            found.append({"custom_field_id": known[name[3:]], "value": value})
    return fields.part(account, "custom_fields", found, None)
