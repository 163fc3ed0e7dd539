"""One row of a feed by calls of its own: what an import does not take, and whom an import dropped.

Created by POST where the address is nobody's; where it is somebody's, the contact is read, what the row says is laid
over it, and it is put back whole (CC facts 5.3). Nobody is revived, resubscribed, or put back on a list that they left.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from keepstep.connectors.constant_contact.api import Api, Conflict
from keepstep.connectors.constant_contact.enrol import APART, body_of, deleted_holder, holder
from keepstep.connectors.constant_contact.mapping import PERMISSIONS
from keepstep.connectors.constant_contact.replace import PARTS, Replace, fields_body
from keepstep.connectors.constant_contact.roll import Standing, may_come_back, standing
from keepstep.model.canonical import same
from keepstep.model.change import Dead, Done, Nothing, Outcome, Retry, Step
from keepstep.model.contact import Consent
from keepstep.model.custom import CustomField
from keepstep.model.errors import Missing, Unanswered
from keepstep.model.feed_decide import DELETED, LEFT, LISTS, NOT_MAILABLE, OPTED_OUT
from keepstep.model.instant import Instant
from keepstep.ports import Clock

PARTS_OF_A_KIND = 3  # phones, addresses of one contact (CC facts 3.2)
Raw = Mapping[str, Any]


class One:
    """Raises Unanswered where the write may have taken effect."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._replace = Replace(api, clock)

    async def write(self, step: Step, fields: Sequence[CustomField]) -> Outcome:
        """Done, or Nothing where the person may not be touched any more, and why."""
        address = step.payload["email"]
        found = await holder(self._api, address)
        if found is None:
            try:
                return await self._created(step.payload, fields)
            except Conflict as taken:
                found = await holder(self._api, address, taken.hint) or await deleted_holder(self._api, address)
        if found is None:
            return Retry(60.0, "the address is taken by nobody who can be found")
        return await self._merged(step, str(found["contact_id"]), fields)

    async def look(self, step: Step, sent_at: Instant | None, fields: Sequence[CustomField]) -> Outcome:
        """Whether it took effect: the person is there as wanted. Otherwise again, which meets them as they are."""
        since = _since(step.payload if sent_at is None else {"since": sent_at, **step.payload})
        found = await holder(self._api, step.payload["email"])
        if found is None:
            return Retry(0.0, "nobody has the address yet")
        if why := refusal(standing(found), step.payload, since, self._clock.now()):
            return why
        return _told(step.payload, fields) if _fits(found, step.payload, fields) else Retry(0.0, "not as wanted yet")

    async def _created(self, payload: Raw, fields: Sequence[CustomField]) -> Outcome:
        custom = _custom((), payload, fields)
        body = body_of(payload) | ({"custom_fields": custom} if custom else {})
        answer = (await self._api.post("/contacts", body)).value
        if not isinstance(answer, dict) or not answer.get("contact_id"):
            raise Unanswered("a contact was taken without a contact_id")
        return _told(payload, fields)

    async def _merged(self, step: Step, record_id: str, fields: Sequence[CustomField]) -> Outcome:
        payload = step.payload
        try:
            read = await self._replace.read(record_id)
        except Missing:
            return Retry(60.0, "the contact is not there any more")
        if why := refusal(standing(read.raw), payload, _since(payload), self._clock.now()):
            return why
        body = merged(read.raw, payload, fields)
        if len(body["list_memberships"]) > LISTS:
            return Dead(f"more than {LISTS} lists of one contact")
        if _fits(read.raw, payload, fields):
            return _told(payload, fields)
        done = await self._replace.lay(read, body)
        return Done({**_told(payload, fields).answer, **done.answer}) if isinstance(done, Done) else done


def refusal(found: Standing, payload: Raw, since: Instant | None, now: Instant) -> Outcome | None:
    """Why somebody who is there may not be put on lists. since: when a call of ours may have made them: who was made
    then and is not on the lists has left them already."""
    if found.out:
        return Nothing({"left_out": OPTED_OUT})
    if found.deleted:
        return None if may_come_back(found, payload, now) else Nothing({"left_out": DELETED})
    if found.permission is not None and PERMISSIONS.get(found.permission) is not Consent.opted_in:
        return Nothing({"left_out": NOT_MAILABLE})
    made = since is not None and found.by_account and found.created_at is not None and found.created_at >= since
    watched = payload["list_ids"] if made else [one for one in payload["kept"] if one in payload["list_ids"]]
    left = [one for one in watched if one not in found.lists]
    return Nothing({LEFT: left}) if left else None


def merged(raw: Raw, payload: Raw, fields: Sequence[CustomField]) -> dict[str, Any]:
    """The whole contact in the write form with the row's fields and lists; its permission as it was read."""
    values = {name: payload[name] for name in ("first_name", "last_name") if payload.get(name)}
    values |= _phone(raw, payload.get("phone")) | _place(raw, payload.get("address"))
    was = {"phone": _of_kind(raw, "phone_numbers", "other").get("phone_number"), "address": _parts(raw)}
    body = fields_body(raw, {"values": values, "was": was})
    body["list_memberships"] = sorted({*(raw.get("list_memberships") or ()), *payload["list_ids"]})
    if custom := _custom(body.get("custom_fields") or (), payload, fields):
        body["custom_fields"] = custom
    return body


def _phone(raw: Raw, phone: Raw | None) -> dict[str, Any]:
    """The row's number in the place of the one of its kind; not where it is there already, or no more have room."""
    rows = _objects(raw, "phone_numbers")
    if phone is None or any(same("phone", row.get("phone_number"), phone["raw"]) for row in rows):
        return {}
    room = len(rows) < PARTS_OF_A_KIND or bool(_of_kind(raw, "phone_numbers", phone["kind"]))
    return {"phone": phone} if room else {}


def _place(raw: Raw, place: Raw | None) -> dict[str, Any]:
    """The home address with the row's parts over it: a part that the row does not say stays."""
    if place is None or not (_parts(raw) or len(_objects(raw, "street_addresses")) < PARTS_OF_A_KIND):
        return {}
    return {
        "address": {"kind": "home", **(_parts(raw) or {}), **{part: place[part] for part in PARTS if part in place}}
    }


def _parts(raw: Raw) -> dict[str, Any] | None:
    home = _of_kind(raw, "street_addresses", "home")
    return {part: home.get(key) for part, key in PARTS.items()} if home else None


def _of_kind(raw: Raw, name: str, kind: str) -> Raw:
    return next((row for row in _objects(raw, name) if row.get("kind") == kind), {})


def _objects(raw: Raw, name: str) -> list[Raw]:
    return [row for row in raw.get(name) or () if isinstance(row, dict)]


def _custom(there: Sequence[Any], payload: Raw, fields: Sequence[CustomField]) -> list[dict[str, Any]]:
    """The contact's custom fields with the row's over them; empty where the row has none."""
    ids = {said: one.field_id for one in fields for said in one.names}
    mine = {ids[name]: value for name, value in (payload.get("custom") or {}).items() if name in ids}
    others = [row for row in there if isinstance(row, dict) and row.get("custom_field_id") not in mine]
    news = [{"custom_field_id": key, "value": value} for key, value in mine.items()]
    return [*others, *news] if news else []


def _fits(raw: Raw, payload: Raw, fields: Sequence[CustomField]) -> bool:
    """Is everything so already?"""
    wanted, now = (merged(raw, one, fields) for one in (payload, _EMPTY))
    return not raw.get("deleted_at") and all(_said(wanted[key]) == _said(now.get(key)) for key in wanted)


def _said(value: Any) -> Any:
    """A value without the order of its parts."""
    return sorted(map(repr, value)) if isinstance(value, list) else value


_EMPTY: Raw = {"list_ids": (), "kept": ()}


def _told(payload: Raw, fields: Sequence[CustomField]) -> Done:
    known = {said for one in fields for said in one.names}
    unknown = sorted(name for name in payload.get("custom") or {} if name not in known)
    return Done({"unknown_fields": unknown} if unknown else {})


def _since(payload: Raw) -> Instant | None:
    return None if payload.get("since") is None else payload["since"] - APART
