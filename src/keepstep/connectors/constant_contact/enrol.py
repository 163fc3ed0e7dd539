"""Creating a contact of whom only the CRM knew: one POST, which never revives, never resubscribes and never touches
whom the account has already (CC facts 5.3, 5.5)."""

from collections.abc import Mapping
from typing import Any

from keepstep.connectors.constant_contact.api import Api, Conflict
from keepstep.connectors.constant_contact.source import INCLUDES, LIMIT, read_contact, rows_of_all_pages
from keepstep.model.canonical import LIMITS, email
from keepstep.model.change import Done, Nothing, Outcome, Retry, Step
from keepstep.model.errors import Missing, Unanswered
from keepstep.model.instant import Instant, parse_instant

# Between their clock and ours, and what an answer takes.
APART = 120.0
Raw = Mapping[str, Any]


async def enrol(api: Api, step: Step) -> Outcome:
    """Create one. Raises Unanswered where it may have taken effect; 409 means the address is there in any state,
    deleted and hidden ones included (CC facts 4): then nobody is created, and why."""
    try:
        answer = (await api.post("/contacts", body_of(step.payload))).value
    except Conflict as taken:
        address = step.payload["email"]
        return _left(await holder(api, address, taken.hint) or await deleted_holder(api, address))
    record_id = answer.get("contact_id") if isinstance(answer, dict) else None
    if not isinstance(record_id, str) or not record_id:
        raise Unanswered("a contact was taken without a contact_id")
    return Done({"record_id": record_id})


async def look(api: Api, step: Step, sent_at: Instant | None) -> Outcome:
    """Whether our call made it: a contact with this address, made by the account since we called. Nobody there: again,
    which cannot make a second one, since an address is in an account once."""
    found = await holder(api, step.payload["email"])
    if found is None:
        return Retry(0, "nobody has the address yet")
    made = parse_instant(found.get("created_at"))
    ours = made is not None and sent_at is not None and made >= sent_at - APART
    return Done({"record_id": found["contact_id"]}) if ours and _by_account(found) else _left(found)


def body_of(payload: Raw) -> dict[str, Any]:
    """`implicit`: the nonprofit says that there is a permission, the person did not say so here (CC facts 5.3). A phone
    that is too long for the vendor stays out, a name is cut as the vendor would (CC facts 3.2)."""
    mail = {"address": payload["email"], "permission_to_send": "implicit"}
    names = {name: (payload.get(name) or "")[: LIMITS[name]] or None for name in ("first_name", "last_name")}
    phone, place = payload.get("phone"), payload.get("address")
    phones = [{"phone_number": phone["raw"], "kind": phone["kind"]}] if phone else []
    phones = [one for one in phones if len(one["phone_number"]) <= LIMITS["phone"]]
    return {
        "email_address": mail,
        **{name: value for name, value in names.items() if value},
        **({"phone_numbers": phones} if phones else {}),
        **({"street_addresses": [_place(place)]} if place else {}),
        "list_memberships": list(payload["list_ids"]),
        "create_source": "Account",
    }


def _place(place: Raw) -> dict[str, Any]:
    names = {"street": "street", "city": "city", "state": "state", "postal": "postal_code", "country": "country"}
    kind = place["kind"] if place["kind"] in ("home", "work", "other") else "other"
    return {"kind": kind, **{theirs: place[ours] for ours, theirs in names.items() if place.get(ours)}}


def _left(found: Raw | None) -> Outcome:
    """A live contact is for matching; a deleted one stays deleted, one that opted out stays out."""
    mail = found.get("email_address") if found else None
    out = isinstance(mail, dict) and mail.get("permission_to_send") == "unsubscribed"
    reason = "deleted_at_cc" if found and found.get("deleted_at") else "opted_out_at_cc" if out else "at_cc"
    return Nothing({"left_out": reason})


async def holder(api: Api, address: str, hint: str | None = None) -> Raw | None:
    """Whoever has this address, deleted ones too: by the id that a conflict names, which is a hint only, else by the
    address (CC facts 5.5)."""
    try:
        known = await read_contact(api, hint, INCLUDES) if hint else None
    except Missing:
        known = None
    if known is not None and _has(known, address):
        return known
    query = {"email": address, "status": "all", "include": INCLUDES, "limit": LIMIT}
    return _of(await rows_of_all_pages(api, "/contacts", query, "contacts"), address)


async def deleted_holder(api: Api, address: str) -> Raw | None:
    """The search by address may hide deleted contacts (CC facts 5.5)."""
    query = {"status": "deleted", "limit": LIMIT}
    return _of(await rows_of_all_pages(api, "/contacts", query, "contacts"), address)


def _of(rows: list[Any], address: str) -> Raw | None:
    return next((row for row in rows if isinstance(row, dict) and row.get("contact_id") and _has(row, address)), None)


def _has(row: Raw, address: str) -> bool:
    mail = row.get("email_address")
    said = mail.get("address") if isinstance(mail, dict) else None
    return isinstance(said, str) and email(said) == email(address)


def _by_account(found: Raw) -> bool:
    return found.get("create_source") in (None, "Account")
