"""POST /v3/activities/contacts_json_import (CC facts 7.1)."""

import json
import re
from dataclasses import dataclass, field
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
_NAMES = ("first_name", "last_name", "company_name")
_AMERICAN = re.compile(r"(?:[2-9]\d\d)?[2-9]\d{6}$")  # with or without an area code
# What may be put right in the product's own pages; everything else is an error (CC facts 7.2).
_CORRECTABLE = ("email_address", "birthday", "anniversary", "minimal", "international")


def post(account: Account, request: Request, now: float) -> Response:
    """Queue an import. Raises Refusal (400)."""
    body = fields.body_of(request)
    rows = body.get("import_data")
    if not isinstance(rows, list) or not rows or not all(isinstance(one, dict) for one in rows):
        raise invalid("import_data must hold rows.")
    if len(rows) > ROWS:
        raise invalid(f"import_data may hold {ROWS} rows.")
    targets = fields.list_ids(account, body.get("list_ids"), 1)
    if account.switches["import_unknown_field"] == "400":
        _all_known(account, rows)
    kept = rows if len(request.body) <= BYTES else rows[: _rows_within(request.body)]

    def work(at: float, tally: Tally) -> None:
        live = [one for one in targets if account.live_list(one) is not None]
        _Import(account, live, at, tally).run(kept)

    header = account.switches["import_counts"] == "file"
    total = len(kept) + 1 if header else len(kept)
    counts = {"items_total_count": total, "person_count": 0, "correctable_count": 0, "cannot_add_to_list_count": 0}
    posted = account.activities.post(account.ids.next(), "contacts_json_import", work, counts, now)
    return accepted(account, posted, now, int(account.switches["import_status"]))


def _all_known(account: Account, rows: list[dict[str, Any]]) -> None:
    known = {f"cf:{one.name}" for one in account.custom_fields.values()}
    for row in rows:
        for name in row:
            if name.startswith("cf:") and name not in known:
                raise invalid(f"Unknown custom field: {name[3:]}")


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


@dataclass(slots=True)
class _Import:
    """One job at work. `targets`: the lists that are still there; `known`: custom field ids by name."""

    account: Account
    targets: list[str]
    at: float
    tally: Tally
    known: dict[str, str] = field(default_factory=dict)

    def run(self, rows: list[dict[str, Any]]) -> None:
        """Rows in order; which of those of one address count is disputed (CC facts 7.1)."""
        switches = self.account.switches
        self.known = {one.name: one.field_id for one in self.account.custom_fields.values()}
        spoiled = len(rows) - 1 if switches["activity_error_count"] == "1" and self.tally.unlucky else -1
        numbered = self.tally.share(list(enumerate(rows)))
        for number, row in _single(numbered, switches["import_duplicates"]):
            try:
                if number == spoiled:
                    raise invalid("the row could not be processed")
                self._row(row)
            except Refusal as refusal:
                self._failed(number, refusal.message)
        if switches["import_counts"] == "file":
            self.tally.counts["person_count"] = len(numbered)

    def _failed(self, number: int, message: str) -> None:
        self.tally.add("correctable_count" if message.startswith(_CORRECTABLE) else "error_count")
        text = self.account.switches["import_error_text"]
        if text != "none":
            self.tally.errors.append(f"Line {number + 1}: {message}" if text == "lines" else message)

    def _row(self, row: dict[str, Any]) -> None:
        if not row.get("email"):
            raise invalid("the row has no address." if any(map(row.get, _NAMES)) else "minimal information is missing.")
        address = fields.address(row["email"], int(self.account.switches["import_email_size"]))
        core = {name: value for name, value in fields.core(row).items() if value is not None and name in CORE}
        account = self.account
        parts = (
            ("phone_numbers", "kind", _phones(account, row)),
            ("street_addresses", "kind", _streets(account, row)),
            ("custom_fields", "custom_field_id", self._custom(row)),
        )
        contact = account.holder(address)
        if contact is not None and contact.deleted is not None and account.switches["import_revives"] != "yes":
            if account.switches["import_revives"] == "no":
                raise invalid("A deleted contact was left out")
            return
        contact = _person(account, contact, address, self.at)
        change = Change(account, contact, self.at)
        for name, value in core.items():
            change.core(name, value)
        for name, key, items in parts:
            change.part(name, _laid(contact.parts[name], items, key)[: fields.MOST[name]])
        _enlist(contact, change, self.targets, self.tally)
        self.tally.add("person_count")

    def _custom(self, row: dict[str, Any]) -> list[Any]:
        found = []
        for name, value in row.items():
            if name.startswith("cf:") and value not in (None, ""):
                if name[3:] in self.known:
                    found.append({"custom_field_id": self.known[name[3:]], "value": value})
                elif self.account.switches["import_unknown_field"] != "dropped":
                    raise invalid(f"Unknown custom field: {name[3:]}")
        return fields.part(self.account, "custom_fields", found, None)


Numbered = list[tuple[int, dict[str, Any]]]


def _single(rows: Numbered, which: str) -> Numbered:
    """Of several rows of one address the last one or the first one alone, or all of them in turn."""
    if which == "in_turn":
        return rows
    kept: dict[Any, tuple[int, dict[str, Any]]] = {}
    for number, row in rows:
        key = str(row.get("email") or number).lower()
        if which == "last" or key not in kept:
            kept[key] = (number, row)
    return list(kept.values())


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
    """Numbers of the row; what becomes of one from abroad is not stated (CC facts 7.1)."""
    found = {kind: {"kind": kind, "phone_number": row[name]} for name, kind in _PHONES.items() if row.get(name)}
    read = fields.part(account, "phone_numbers", list(found.values()), None)
    foreign = [one for one in read if not _american(one["phone_number"])]
    if foreign and account.switches["import_foreign_phone"] == "correctable":
        raise invalid("international phone numbers are not supported.")
    return [one for one in read if one not in foreign]


def _american(number: str) -> bool:
    digits = re.sub(r"\D", "", number)
    if number.strip().startswith("+") and not digits.startswith("1"):
        return False
    return bool(_AMERICAN.match(digits.removeprefix("1")))


def _streets(account: Account, row: dict[str, Any]) -> list[Any]:
    found: dict[str, dict[str, Any]] = {}
    spaced = account.switches["import_home_country"] == "space"
    for prefix, kind in _STREETS.items():
        parts = {name: row.get(prefix + name) for name in ("street", "city", "state", "country")}
        parts["postal_code"] = row.get(f"{prefix}zip")
        if prefix == "home_" and spaced:
            parts["country"] = row.get("home country")
        if row.get(f"{prefix}street2"):
            parts["street"] = f"{parts['street'] or ''}, {row[f'{prefix}street2']}".removeprefix(", ")
        if any(parts.values()):
            found[kind] = {"kind": kind, **parts}
    return fields.part(account, "street_addresses", list(found.values()), None)
