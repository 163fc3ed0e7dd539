"""Reading a contact out of a request body: sizes, value sets, required properties (CC facts 3.2, 5.3)."""

import re
from dataclasses import dataclass, field
from typing import Any

from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.contact import CORE, PERMISSIONS, SUBRESOURCES, Contact
from keepstep_sandbox.constant_contact.refusals import invalid
from keepstep_sandbox.http import Request

SOURCES = ("Contact", "Account")
MOST = {
    "custom_fields": 25,
    "phone_numbers": 3,
    "street_addresses": 3,
    "list_memberships": 50,
    "taggings": 50,
    "notes": 150,
}
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+$")
_ANNIVERSARY = (
    re.compile(r"(?P<y>\d{4})[/-](?P<m>\d{1,2})[/-](?P<d>\d{1,2})$"),
    re.compile(r"(?P<m>\d{1,2})[/-](?P<d>\d{1,2})[/-](?P<y>\d{4})$"),
)
_STREET_SIZES = {"street": 255, "city": 50, "state": 50, "postal_code": 50, "country": 50}


@dataclass(slots=True)
class Sent:
    """What a body says: core values (absent ones are None), subresources that were sent, the email object if sent."""

    core: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, list[Any]] = field(default_factory=dict)
    address: str | None = None
    permission: str | None = None
    reason: str | None = None


def body_of(request: Request) -> dict[str, Any]:
    """The body as an object. Raises Refusal (400)."""
    try:
        body = request.json()
    except (ValueError, RecursionError) as error:
        raise invalid("Request body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise invalid("Request body must be a JSON object.")
    return body


def read(account: Account, body: dict[str, Any], contact: Contact | None = None) -> Sent:
    """Check a POST or PUT body; `contact` is the one a PUT replaces. Raises Refusal (400)."""
    sent = Sent(core=core(body))
    if body.get("email_address") is not None:
        _email(sent, body["email_address"], contact)
    for name in SUBRESOURCES:
        if body.get(name) is not None:
            sent.parts[name] = part(account, name, body[name], contact)
    return sent


def core(body: dict[str, Any]) -> dict[str, Any]:
    """Names, company, birthday and anniversary; blank and absent ones are None. Raises Refusal (400)."""
    found: dict[str, Any] = {name: text(body, name, 50) for name in CORE[:4]}
    month, day = whole(body, "birthday_month", 12), whole(body, "birthday_day", 31)
    if (month is None) != (day is None):
        raise invalid("birthday_month and birthday_day must be used together.")
    return found | {"birthday_month": month, "birthday_day": day, "anniversary": anniversary(body.get("anniversary"))}


def text(body: dict[str, Any], name: str, most: int) -> str | None:
    """A string property; None where absent or blank. Raises Refusal (400)."""
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > most:
        raise invalid(f"{name} must be a string of at most {most} characters.")
    return value


def whole(body: dict[str, Any], name: str, most: int) -> int | None:
    """An integer from 1 to `most`, or None. Raises Refusal (400)."""
    value = body.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 3:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise invalid(f"{name} must be between 1 and {most}.")
    return value


def anniversary(value: Any) -> str | None:
    """One of the accepted forms, kept as YYYY-MM-DD (CC facts 5.2). Raises Refusal (400)."""
    if value is None or value == "":
        return None
    for form in _ANNIVERSARY:
        found = form.match(value) if isinstance(value, str) else None
        if found and 1 <= int(found["m"]) <= 12 and 1 <= int(found["d"]) <= 31:
            return f"{found['y']}-{int(found['m']):02}-{int(found['d']):02}"
    raise invalid("anniversary is not a date.")


def address(value: Any, most: int) -> str:
    """An email address. Raises Refusal (400)."""
    if not isinstance(value, str) or len(value) > most or not _ADDRESS.match(value):
        raise invalid("email_address: address is not valid.")
    return value


def source(body: dict[str, Any], name: str) -> str:
    """`update_source` or `create_source`, both required. Raises Refusal (400)."""
    value = body.get(name)
    if value not in SOURCES:
        raise invalid(f"{name} is required and must be Contact or Account.")
    return str(value)


def strings(value: Any, name: str, most: int, least: int = 0) -> list[str]:
    """A list of distinct strings. Raises Refusal (400)."""
    if not isinstance(value, list) or not least <= len(value) <= most or not all(isinstance(one, str) for one in value):
        raise invalid(f"{name} must hold {least} to {most} strings.")
    return list(dict.fromkeys(value))


def list_ids(account: Account, value: Any, least: int, kept: tuple[str, ...] = ()) -> list[str]:
    """Ids of existing lists. Raises Refusal (400)."""
    found = strings(value, "list_ids", 50, least)
    for one in found:
        if account.live_list(one) is None and one not in kept:
            raise invalid(f"List does not exist: {one}")
    return found


def tag_ids(account: Account, value: Any) -> list[str]:
    """Ids of existing tags, 1 to 50 (CC facts 6.3). Raises Refusal (400)."""
    found = strings(value, "tag_ids", 50, 1)
    for one in found:
        if one not in account.tags:
            raise invalid(f"Tag does not exist: {one}")
    return found


def part(account: Account, name: str, value: Any, contact: Contact | None) -> list[Any]:
    """One subresource of a body. Raises Refusal (400)."""
    if name == "list_memberships":
        return list_ids(account, value, 0, tuple(contact.parts[name]) if contact else ())
    if name == "taggings":
        return list(strings(value, name, MOST[name]))
    if not isinstance(value, list) or len(value) > MOST[name] or not all(isinstance(one, dict) for one in value):
        raise invalid(f"{name} must hold at most {MOST[name]} objects.")
    return [
        {"phone_numbers": _phone, "street_addresses": _street, "custom_fields": _custom, "notes": _note}[name](one)
        for one in value
    ]


def _email(sent: Sent, value: Any, contact: Contact | None) -> None:
    if not isinstance(value, dict):
        raise invalid("email_address must be an object.")
    held = contact.address if contact else None
    given = value.get("address")
    sent.address = held if held is not None and given == held else address(given, 80)
    sent.permission = value.get("permission_to_send")
    known = (*PERMISSIONS, None, contact.permission if contact else None)
    if sent.permission not in known:
        raise invalid("email_address: permission_to_send is not valid.")
    sent.reason = text(value, "opt_out_reason", 255)


def _phone(one: dict[str, Any]) -> dict[str, Any]:
    number, kind = text(one, "phone_number", 25), text(one, "kind", 50) or "other"
    if number is None:
        raise invalid("phone_numbers: phone_number is required.")
    return {"phone_number_id": one.get("phone_number_id"), "kind": kind, "phone_number": number}


def _street(one: dict[str, Any]) -> dict[str, Any]:
    kind = text(one, "kind", 50)
    if kind is None:
        raise invalid("street_addresses: kind is required.")
    values = {name: text(one, name, most) for name, most in _STREET_SIZES.items()}
    return {"street_address_id": one.get("street_address_id"), "kind": kind, **values}


def _custom(one: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(one.get("custom_field_id"), str):
        raise invalid("custom_fields: custom_field_id is required.")
    choices = {"choice_ids": one["choice_ids"]} if one.get("choice_ids") is not None else {}
    return {"custom_field_id": one["custom_field_id"], "value": text(one, "value", 255), **choices}


def _note(one: dict[str, Any]) -> dict[str, Any]:
    content = text(one, "content", 2000)
    if content is None:
        raise invalid("notes: content is required.")
    return {"note_id": one.get("note_id"), "content": content}
