"""/v3/contact_custom_fields: definitions of every type, and choices (CC facts 6.4)."""

from collections.abc import Mapping, Sequence
from typing import Any

from keepstep_sandbox.constant_contact import fields, paging
from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.changes import Change
from keepstep_sandbox.constant_contact.contact import Contact
from keepstep_sandbox.constant_contact.dates import day, seconds, stamp
from keepstep_sandbox.constant_contact.definitions import SELECTS, TYPES, Choice, CustomField
from keepstep_sandbox.constant_contact.refusals import conflict, invalid, missing
from keepstep_sandbox.http import Request, Response, answer

PATH = "/v3/contact_custom_fields"
MOST = 100  # fields of an account and choices of a field (CC facts 3.2)
_METADATA: Mapping[str, dict[str, Any]] = {
    "date": {"display_format": "MM/DD/YYYY"},
    "number": {"allow_negative": False, "decimal_places": 0, "integer": True},
    "currency": {"currency_code": "USD", "decimal_places": 2},
    "single_select": {"display_type": "radio"},
    "multi_select": {"display_type": "checkbox"},
}


def find(account: Account, request: Request, _now: float) -> Response:
    """A page of definitions."""
    query = paging.read(request, account.switches, 50, 100)
    rows = list(account.custom_fields.values())
    begin, end = paging.window(len(rows), query, account.switches)
    page = {"custom_fields": [view(account, one) for one in rows[begin:end]]}
    return answer(200, page | paging.links(PATH, query, end < len(rows), account.switches))


def get(account: Account, _request: Request, _now: float, field_id: str) -> Response:
    """GET one."""
    return answer(200, view(account, _known(account, field_id)))


def post(account: Account, request: Request, now: float) -> Response:
    """Create; 409 on a label that is taken."""
    body = fields.body_of(request)
    label, kind = _label(account, body, None), body.get("type", "string")
    if kind not in TYPES or len(account.custom_fields) >= MOST:
        raise invalid("type is not valid, or the account has too many custom fields.")
    return answer(201, view(account, create(account, label, now, kind, _labels(body))))


def put(account: Account, request: Request, now: float, field_id: str) -> Response:
    """Another label; name and type stay."""
    found = _known(account, field_id)
    relabel(account, found, _label(account, fields.body_of(request), found), now)
    return answer(200, view(account, found))


def delete(account: Account, _request: Request, now: float, field_id: str) -> Response:
    """The definition and everybody's value."""
    remove(account, _known(account, field_id), now)
    return answer(204)


def create(account: Account, label: str, now: float, kind: str = "string", choices: Sequence[str] = ()) -> CustomField:
    """A new field; its name is the label with underscores (CC facts 6.4). Raises ValueError for an unknown type."""
    if kind not in TYPES:
        raise ValueError(f"no type {kind!r}; there are {', '.join(TYPES)}")
    at = seconds(now)
    made = CustomField(account.ids.next(), label, label.replace(" ", "_"), kind, at, at)
    account.custom_fields[made.field_id] = made
    account.note(f"custom_field:{made.field_id}", "label", None, label)
    for one in choices if kind in SELECTS else ():
        add_choice(account, made, one, now)
    return made


def add_choice(account: Account, found: CustomField, label: str, now: float) -> Choice:
    """One more choice. Its id is a text of digits on contacts (CC facts 6.4)."""
    first = 0 if account.switches["choice_id_type"] == "string" else 100_000
    made = Choice(f"{first + len(found.choices) + 1:06}", label, seconds(now))
    found.choices.append(made)
    account.note(f"custom_field:{found.field_id}", "choice", None, label)
    return made


def remove_choice(account: Account, found: CustomField, choice_id: str, now: float) -> None:
    """The choice stays in the definition with a date; contacts keep its id."""
    for one in found.choices:
        if one.choice_id == choice_id and one.deleted is None:
            one.deleted = seconds(now)
            account.note(f"custom_field:{found.field_id}", "choice", one.label, None)


def relabel(account: Account, found: CustomField, label: str, now: float) -> None:
    """Another label; whether the name follows is not stated, so it stays."""
    if found.label != label:
        account.note(f"custom_field:{found.field_id}", "label", found.label, label)
        found.label, found.updated = label, seconds(now)


def remove(account: Account, found: CustomField, now: float) -> None:
    """Delete a field."""
    del account.custom_fields[found.field_id]
    for one in account.contacts.values():
        kept = [value for value in one.parts["custom_fields"] if value.get("custom_field_id") != found.field_id]
        Change(account, one, now).part("custom_fields", kept)
    account.note(f"custom_field:{found.field_id}", "label", found.label, None)


def set_value(account: Account, contact: Contact, found: CustomField, value: str | Sequence[str], now: float) -> None:
    """A person's value: a text, or one or several choices by id or label; an empty one takes it away."""
    change = Change(account, contact, now)
    kept = [one for one in contact.parts["custom_fields"] if one.get("custom_field_id") != found.field_id]
    change.part("custom_fields", kept + ([of_value(found, value)] if value else []))
    change.signed("Account")


def of_value(found: CustomField, value: str | Sequence[str]) -> dict[str, Any]:
    """How a value looks on a contact: `choice_ids` for selects, `value` for all others (CC facts 5.2)."""
    said = [value] if isinstance(value, str) else list(value)
    if found.type in SELECTS:
        return {"custom_field_id": found.field_id, "choice_ids": [found.choice_id(one) for one in said]}
    return {"custom_field_id": found.field_id, "value": str(said[0])}


def view(account: Account, one: CustomField) -> dict[str, Any]:
    """A definition as a JSON object."""
    dialect = account.switches["date_dialect"]
    shown: dict[str, Any] = {"custom_field_id": one.field_id, "label": one.label, "name": one.name, "type": one.type}
    shown["metadata"] = dict(_METADATA.get(one.type, {}))
    if one.type == "datetime":
        shown["version"] = 1
    if one.type in SELECTS:
        shown["choices"] = [_choice(account, one, at) for at in range(len(one.choices))]
    shown["created_at"] = stamp(one.created, dialect, "created_at")
    return shown | {"updated_at": stamp(one.updated, dialect, "updated_at")}


def _choice(account: Account, one: CustomField, at: int) -> dict[str, Any]:
    """`choice_id` is declared an integer while contacts carry strings (CC facts 6.4)."""
    choice, dialect = one.choices[at], account.switches["date_dialect"]
    number = account.switches["choice_id_type"] == "number"
    shown: dict[str, Any] = {"choice_id": int(choice.choice_id) if number else choice.choice_id}
    shown |= {"custom_field_id": one.field_id, "choice_label": choice.label, "display_order": at}
    shown["created_at"] = stamp(choice.created, dialect, "created_at")
    shown["updated_at"] = stamp(choice.deleted or choice.created, dialect, "updated_at")
    return shown if choice.deleted is None else {**shown, "deleted_at": day(choice.deleted)}


def _known(account: Account, field_id: str) -> CustomField:
    found = account.custom_fields.get(field_id)
    if found is None:
        raise missing("Custom field not found.")
    return found


def _label(account: Account, body: dict[str, Any], but: CustomField | None) -> str:
    label = fields.text(body, "label", 50)
    if label is None:
        raise invalid("label is required.")
    if any(one.label == label and one is not but for one in account.custom_fields.values()):
        raise conflict("A custom field with this label exists.")
    return label


def _labels(body: dict[str, Any]) -> list[str]:
    choices = body.get("choices") or []
    if not isinstance(choices, list) or not all(isinstance(one, dict) for one in choices) or len(choices) > MOST:
        raise invalid("choices must hold objects.")
    return [label for one in choices if (label := fields.text(one, "choice_label", 255))]
