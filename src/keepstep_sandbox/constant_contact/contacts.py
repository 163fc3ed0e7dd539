"""/v3/contacts/{id}, POST /v3/contacts, sign_up_form and resubscribe (CC facts 5.3)."""

import json
from typing import Any

from keepstep_sandbox.constant_contact import fields
from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.changes import Change, create
from keepstep_sandbox.constant_contact.contact import INCLUDES, SUBRESOURCES, Contact
from keepstep_sandbox.constant_contact.refusals import conflict, invalid
from keepstep_sandbox.http import JSON, Request, Response, answer


def include_of(params: dict[str, str]) -> frozenset[str]:
    """The subresources asked for; without any only core properties come (CC facts 5.1). Raises Refusal (400)."""
    wanted = frozenset(one.strip() for one in params.get("include", "").split(",") if one.strip())
    if not wanted <= INCLUDES:
        raise invalid("include holds an unknown value.")
    return wanted


def get(account: Account, request: Request, _now: float, contact_id: str) -> Response:
    """GET one, deleted ones too (CC facts 5.1)."""
    contact = account.contact(contact_id)
    return _shown(account, contact, 200, include_of(request.params()))


def post(account: Account, request: Request, now: float) -> Response:
    """Create; 409 where the address exists in any state."""
    body = fields.body_of(request)
    source = fields.source(body, "create_source")
    sent = fields.read(account, body)
    if not (sent.address or sent.core["first_name"] or sent.core["last_name"] or body.get("sms_channel")):
        raise invalid("At least one of first_name, last_name, email_address, sms_channel is required.")
    if sent.address:
        _free(account, sent.address, None)
    contact = create(account, now, source)
    if isinstance(body.get("sms_channel"), dict):
        contact.extra["sms_channel"] = body["sms_channel"]
    _apply(account, contact, sent, source, now)
    return _shown(account, contact, 201, INCLUDES)


def put(account: Account, request: Request, now: float, contact_id: str) -> Response:
    """Replace: omitted core properties go, omitted subresources stay, a deleted contact revives (CC facts 5.3)."""
    contact = account.contact(contact_id)
    body = fields.body_of(request)
    source = fields.source(body, "update_source")
    if contact.deleted is not None and source != "Account":
        raise invalid("A deleted contact is restored with update_source Account.")
    sent = fields.read(account, body, contact)
    if sent.address and (contact.address or "").lower() != sent.address.lower():
        _free(account, sent.address, contact)
    if account.switches["put_subresources"] == "clears":
        sent.parts = {name: sent.parts.get(name, []) for name in SUBRESOURCES}
    change = Change(account, contact, now)
    change.revive()
    if sent.address is None and account.switches["put_without_email"] == "clears":
        change.no_address()
    _apply(account, contact, sent, source, now)
    change.signed(source)
    return _shown(account, contact, 200, INCLUDES)


def delete(account: Account, _request: Request, now: float, contact_id: str) -> Response:
    """Soft delete (CC facts 5.5)."""
    Change(account, account.contact(contact_id), now).delete()
    return answer(204)


def sign_up(account: Account, request: Request, now: float) -> Response:
    """Upsert by address; sets explicit consent even for people who opted out (CC facts 5.3)."""
    body = fields.body_of(request)
    address = fields.address(body.get("email_address"), 50)
    core = {name: value for name, value in fields.core(body).items() if value is not None}
    lists = fields.list_ids(account, body.get("list_memberships"), 1)
    parts = {name: fields.part(account, name, value, None) for name, value in _form_parts(body).items()}
    contact = account.holder(address)
    if contact and contact.formed == now and account.switches["signup_conflict"] == "same_instant":
        raise conflict("Another request for this contact is being processed.")
    new = contact is None
    contact = contact or create(account, now, "Contact")
    contact.formed = now
    _form(account, contact, address, new, now)
    change = Change(account, contact, now)
    for name, value in core.items():
        change.core(name, value)
    for name, items in parts.items():
        change.part(name, _merged(name, contact.parts[name], items))
    for one in lists:
        change.join(one)
    if not new:
        change.signed("Contact")
    return answer(201 if new else 200, {"contact_id": contact.contact_id, "action": "created" if new else "updated"})


def resubscribe(account: Account, request: Request, _now: float, contact_id: str) -> Response:
    """Mail the person once; nothing changes until the person confirms (CC facts 5.3)."""
    contact = account.contact(contact_id)
    lists = fields.list_ids(account, fields.body_of(request).get("list_ids"), 1)
    if not contact.out:
        raise invalid("The contact is not unsubscribed.")
    if contact.asked_back is not None:
        raise conflict("A resubscribe mail was sent already.")
    contact.asked_back = lists
    account.note(f"contact:{contact_id}", "resubscribe_mail", None, "sent")
    return Response(200)


def counts(account: Account, _request: Request, _now: float) -> Response:
    """GET /v3/contacts/counts."""
    live = [one for one in account.contacts.values() if one.deleted is None]
    names = {
        "explicit": "explicit",
        "implicit": "implicit",
        "pending": "pending_confirmation",
        "unsubscribed": "unsubscribed",
    }
    found = {name: sum(one.permission == permission for one in live) for name, permission in names.items()}
    return answer(200, {"total": len(live), **found})


def _apply(account: Account, contact: Contact, sent: fields.Sent, source: str, now: float) -> None:
    change = Change(account, contact, now)
    for name, value in sent.core.items():
        change.core(name, value)
    if sent.address:
        change.address(sent.address, sent.permission or "implicit", source)
        change.permission(sent.permission or contact.permission or "implicit", source, sent.reason)
        change.reason(sent.reason)
    keeps = not (contact.out and account.switches["unsubscribed_keeps_lists"] == "no")
    for name, items in sent.parts.items():
        change.part(name, items if keeps or name != "list_memberships" else [])


def _form(account: Account, contact: Contact, address: str, new: bool, now: float) -> None:
    """The email side of a form: revives, sets explicit; new people wait for confirmation where the account says so."""
    change = Change(account, contact, now)
    change.revive()
    wanted = "pending_confirmation" if new and account.switches["confirmed_opt_in"] == "on" else "explicit"
    if new:
        change.address(address, wanted, "Contact")
    change.permission(wanted, "Contact")


def _form_parts(body: dict[str, Any]) -> dict[str, list[Any]]:
    """The form's flat phone, address and custom fields as subresources."""
    found: dict[str, list[Any]] = {}
    if body.get("phone_number"):
        found["phone_numbers"] = [{"kind": "home", "phone_number": body["phone_number"]}]
    if body.get("street_address"):
        found["street_addresses"] = [body["street_address"]]
    if body.get("custom_fields"):
        found["custom_fields"] = body["custom_fields"]
    return found


def _merged(name: str, old: list[Any], new: list[Any]) -> list[Any]:
    """Custom fields by id, phones and addresses by kind; the rest stays."""
    key = "custom_field_id" if name == "custom_fields" else "kind"
    sent = {one[key] for one in new}
    return [one for one in old if one.get(key) not in sent] + new


def _free(account: Account, address: str, but: Contact | None) -> None:
    """Raises Refusal (409) where somebody else has the address (CC facts 4)."""
    holder = account.holder(address, but)
    if holder is None:
        return
    if account.switches["conflict_wording"] == "with_id":
        raise conflict(f"Validation failed: Email already exists for contact {holder.contact_id}")
    raise conflict("Validation failed: EmailAddress is not unique")


def _shown(account: Account, contact: Contact, status: int, include: frozenset[str]) -> Response:
    return Response(status, {"Content-Type": JSON}, contact.text(include, account.switches).encode())


def as_json(contact: Contact) -> dict[str, Any]:
    """The whole contact for the judge: every subresource, plain dates."""
    view: dict[str, Any] = json.loads(contact.written(INCLUDES))
    return view
