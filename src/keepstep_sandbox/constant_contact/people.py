"""What people and staff do to contacts outside the API (CC facts 5.2, 5.4, 5.5)."""

from collections.abc import Mapping, Sequence
from typing import Any

from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.changes import Change, create
from keepstep_sandbox.constant_contact.contact import CORE, OUT, SUBRESOURCES, Contact
from keepstep_sandbox.constant_contact.dates import parse, seconds

Phone = tuple[str, str]


def load(account: Account, now: float, values: Mapping[str, Any], extra: Mapping[str, Any]) -> Contact:
    """A contact as it might have come to be, odd ones included: nothing is validated.

    What `extra` says about known properties becomes the contact's own; the rest is laid over every answer.
    """
    rest = dict(extra)
    contact = create(account, now, rest.pop("create_source", "Account"), rest.pop("contact_id", None))
    _write(account, contact, now, {**values, **{name: rest.pop(name) for name in CORE if name in rest}}, "Account")
    if isinstance(rest.get("email_address"), Mapping):
        _channel(Change(account, contact, now), contact, dict(rest.pop("email_address")))
    for name in SUBRESOURCES:
        if isinstance(rest.get(name), list):
            contact.parts[name] = rest.pop(name)
    for key, name in (("created_at", "created"), ("updated_at", "updated"), ("deleted_at", "deleted")):
        if isinstance(at := _moment(rest.get(key)), int):
            setattr(contact, name, at)
            del rest[key]
    contact.update_source = rest.pop("update_source", None)
    contact.extra = rest
    return contact


def _channel(change: Change, contact: Contact, given: dict[str, Any]) -> None:
    address = given.pop("address", None)
    if address:
        change.address(address, given.get("permission_to_send", "implicit"))
    if contact.email is not None:
        contact.email |= {name: _moment(one) if name.endswith(("_at", "_date")) else one for name, one in given.items()}


def _moment(value: Any) -> Any:
    """Whole epoch seconds of a number or an ISO text; anything else as it is."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return seconds(value)
    try:
        return seconds(parse(value)) if isinstance(value, str) else value
    except ValueError:
        return value


def edit(account: Account, contact: Contact, now: float, values: Mapping[str, Any]) -> None:
    """An edit in the product's own pages; `update_source` is Account unless given."""
    rest = dict(values)
    source = rest.pop("update_source", "Account")
    unknown = set(rest) - {*CORE, "email", "permission", "phones", "addresses", "lists", "taggings", "custom_fields"}
    if unknown:
        raise ValueError(f"cannot edit {', '.join(sorted(unknown))}")
    _write(account, contact, now, rest, source)
    Change(account, contact, now).signed(source)


def opt_out(account: Account, contact: Contact, now: float, reason: str | None) -> None:
    """The person's own unsubscribe: only `email_address` moves (CC facts 5.4)."""
    Change(account, contact, now).permission(OUT, "Contact", reason)


def opt_in(account: Account, contact: Contact, now: float) -> None:
    """The person subscribes again; answers a resubscribe mail if one is open."""
    change = Change(account, contact, now)
    change.revive()
    change.permission("explicit", "Contact")
    for one in contact.asked_back or ():
        if account.live_list(one) is not None:
            change.join(one)
    contact.asked_back = contact.asked_back and []  # the mail was the only one, but it is answered


def join(account: Account, contact: Contact, now: float, list_id: str) -> None:
    """The person joins a list; a deleted contact comes back."""
    change = Change(account, contact, now)
    change.revive()
    change.join(list_id)


def _write(account: Account, contact: Contact, now: float, values: Mapping[str, Any], source: str) -> None:
    change = Change(account, contact, now)
    for name in CORE:
        if name in values:
            change.core(name, values[name])
    _write_email(change, values, source)
    if "phones" in values:
        change.part("phone_numbers", [{"kind": kind, "phone_number": number} for kind, number in values["phones"]])
    for name, part in (("addresses", "street_addresses"), ("lists", "list_memberships")):
        if name in values:
            change.part(part, _items(values[name]))
    for part in ("taggings", "custom_fields"):
        if part in values:
            change.part(part, list(values[part]))


def _write_email(change: Change, values: Mapping[str, Any], source: str) -> None:
    if values.get("email"):
        change.address(values["email"], values.get("permission") or "implicit", source)
    elif "email" in values:
        change.no_address()
    if values.get("permission"):
        change.permission(values["permission"], source)


def _items(values: Sequence[Any]) -> list[Any]:
    return [dict(one) if isinstance(one, Mapping) else one for one in values]
