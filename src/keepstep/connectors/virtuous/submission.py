"""Making contacts: by import, matched but a night or longer away, or directly, unmatched (Virtuous facts 10, 11)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from keepstep.connectors.virtuous.api import Api, number
from keepstep.connectors.virtuous.mapping import (
    ADDRESS_PARTS,
    EMAIL_TYPE,
    LABELS,
    PHONE_TYPES,
    method_of,
    primary,
    snapshot,
)
from keepstep.connectors.virtuous.origin import Origin, Segment
from keepstep.model.change import Accepted, Dead, Done, Outcome, Retry, Step, Unknown
from keepstep.model.errors import Blocked, Permanent, Transient, Unanswered

# The vendor documents no size; gifts have 100 (Virtuous facts 10.2).
ROWS_A_BATCH = 100
# Imports run at midnight, or when staff run them (Virtuous facts 10.3).
NEXT_LOOK = 3600.0
# One string holds all tags of an import, so no name may hold this (Virtuous facts 10.1).
TAG_SEPARATOR = ";"
HOUSEHOLD = "Household"

Row = dict[str, Any]
Find = Callable[[str], Awaitable[tuple[str, Mapping[str, Any]] | None]]


class Imports:
    """Hands people over to the vendor's nightly import."""

    def __init__(self, api: Api, reference_source: str, origin: Origin) -> None:
        self._api = api
        self._source = reference_source
        self._origin = origin

    async def submit(self, steps: Sequence[Step]) -> list[Outcome]:
        """One person as a Transaction, several as a Batch; nothing exists yet. Raises what the API raises."""
        if len(steps) > ROWS_A_BATCH:
            return await self._halves(steps)
        try:
            origin = await self._origin.segment()
            await self._send([_row(step.payload) | _origin_code(origin) for step in steps])
        except Permanent as problem:
            # One bad row may fail all (Virtuous facts 10.2): halve until it stands alone.
            if len(steps) == 1 or problem.status not in (400, 422):
                raise
            return await self._halves(steps)
        return [Accepted(look_after=NEXT_LOOK)] * len(steps)

    async def _halves(self, steps: Sequence[Step]) -> list[Outcome]:
        halves = steps[: len(steps) // 2], steps[len(steps) // 2 :]
        return [
            *await self._half(halves[0], first=True),
            *await self._half(halves[1], first=False),
        ]

    async def _half(self, steps: Sequence[Step], first: bool) -> list[Outcome]:
        try:
            return await self.submit(steps)
        except (Blocked, Permanent, Transient) as problem:
            return [outcome(problem, first)] * len(steps)

    async def _send(self, rows: list[Row]) -> None:
        source = {"referenceSource": self._source}
        if len(rows) == 1:
            await self._api.write("POST", "/api/Contact/Transaction", source | rows[0])
        else:
            await self._api.write("POST", "/api/Contact/Batch", source | {"contacts": rows})


def _row(payload: Mapping[str, Any]) -> Row:
    """A row says only what is known: no country is invented (Virtuous facts 16.1)."""
    phone, tags = payload.get("phone") or {}, payload.get("tags") or ()
    if any(TAG_SEPARATOR in tag for tag in tags):
        raise Permanent(422, "a tag's name holds the separator of tags")
    row = {
        "referenceId": payload["record_id"],
        "contactType": HOUSEHOLD,
        "firstName": payload.get("first_name"),
        "lastName": payload.get("last_name"),
        "emailType": EMAIL_TYPE if payload.get("email") else None,
        "email": payload.get("email"),
        "phoneType": _phone_type(phone) if phone.get("raw") else None,
        "phone": phone.get("raw"),
        **_address(payload),
        "tags": TAG_SEPARATOR.join(tags),
        "customFields": _custom(payload),
    }
    return {name: value for name, value in row.items() if value}


def _origin_code(origin: Segment | None) -> Row:
    return {"originSegmentCode": origin.code} if origin else {}


def _custom(payload: Mapping[str, Any]) -> Row:
    """An object of names and values here, a list elsewhere (Virtuous facts 7.5)."""
    return {name: value for name, value in (payload.get("custom") or {}).items() if value not in (None, "")}


def outcome(problem: Blocked | Permanent | Transient, first: bool) -> Outcome:
    """An error as an outcome, so that what was done before is kept. Raises Blocked where nothing was (`first`)."""
    if isinstance(problem, Unanswered):
        return Unknown(problem.retry_after or 60.0, str(problem))
    if isinstance(problem, Transient):
        return Retry(problem.retry_after or 60.0, str(problem))
    if isinstance(problem, Permanent):
        return Dead(str(problem), problem.status)
    if first:
        raise problem
    return Retry(60.0, problem.reason)


async def create(api: Api, source: str, origin: Origin, step: Step) -> Outcome:
    """A contact at once, with our reference; opted out, but where the step says otherwise. Nothing is matched, tags
    cannot go (facts 11)."""
    body = _contact(source, step.payload) | _origin_id(await origin.segment())
    made = await api.write("POST", "/api/Contact", body)
    answer = told(made)
    if not answer.get("contact"):
        raise Unanswered("POST /api/Contact: no id in the answer")
    return Done(answer)


def told(raw: Any) -> dict[str, Any]:
    """The ids that a new contact has."""
    contact = snapshot(raw, 0.0)
    person = primary(contact)
    email, phone = method_of(person, "email"), method_of(person, "phone")
    ids = {
        "contact": contact.record_id,
        "individual": person.record_id if person else None,
        "email_method": email.record_id if email else None,
        "phone_method": phone.record_id if phone else None,
        "address_id": contact.address.record_id if contact.address else None,
    }
    return {name: value for name, value in ids.items() if value}


async def look_submitted(find: Find, step: Step) -> Outcome:
    """Where our reference is, the person is; before the import ran there is nothing to see (Virtuous facts 10.5)."""
    found = await find(step.payload["record_id"])
    return Done(told(found[1])) if found else Unknown(NEXT_LOOK, "no contact carries the reference yet")


def _contact(source: str, payload: Mapping[str, Any]) -> Row:
    names = {"firstName": payload.get("first_name"), "lastName": payload.get("last_name")}
    name = " ".join(part for part in names.values() if part) or payload.get("email")
    person = {
        **{key: part for key, part in names.items() if part},
        "isPrimary": True,
        "contactMethods": _methods(payload),
    }
    row = {
        "contactType": HOUSEHOLD,
        "name": name,
        "referenceSource": source,
        "referenceId": payload["record_id"],
        "contactAddresses": _addresses(payload),
        "contactIndividuals": [person],
        "customFields": _custom(payload),
    }
    return {key: value for key, value in row.items() if value}


def _origin_id(origin: Segment | None) -> Row:
    """This call names the segment by its id (Virtuous facts 11)."""
    return {"originSegmentId": number(origin.id)} if origin and origin.id else {}


def _methods(payload: Mapping[str, Any]) -> list[Row]:
    phone = payload.get("phone") or {}
    opted_in = payload.get("opted_in") is True
    ways = [(EMAIL_TYPE, payload.get("email"), opted_in), (_phone_type(phone), phone.get("raw"), False)]
    return [{"type": kind, "value": value, "isOptedIn": yes, "isPrimary": True} for kind, value, yes in ways if value]


def _addresses(payload: Mapping[str, Any]) -> list[Row]:
    """This call alone writes stateCode and countryCode (Virtuous facts 11)."""
    parts = _address(payload)
    if not parts:
        return []
    parts = {{"state": "stateCode", "country": "countryCode"}.get(name, name): value for name, value in parts.items()}
    kind = (payload.get("address") or {}).get("kind") or "home"
    return [{"label": LABELS.get(kind, LABELS["other"]), **parts, "isPrimary": True}]


def _address(payload: Mapping[str, Any]) -> Row:
    address = payload.get("address") or {}
    parts = {"address1": address.get("street"), **{name: address.get(name) for name in ADDRESS_PARTS}}
    return {name: value for name, value in parts.items() if value}


def _phone_type(phone: Mapping[str, Any]) -> str:
    return PHONE_TYPES.get(phone.get("kind") or "other", PHONE_TYPES["other"])
