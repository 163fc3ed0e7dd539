"""Writing one contact by PUT, which replaces it and knows no version: read it whole, compare, change what is wanted,
send everything back (CC facts 5.3).

What falls between the read and the answer can only be found afterwards. An opt-out of the person that our own write has
overwritten is looked for in the answer and in the contact's activity, and is written at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepstep.connectors.constant_contact.api import Api, Conflict, segment
from keepstep.connectors.constant_contact.mapping import PHONES, snapshot
from keepstep.connectors.constant_contact.source import INCLUDES, LIMIT, rows_of
from keepstep.model import canonical
from keepstep.model.change import Dead, Done, Nothing, Outcome, Retry, Step, Unknown
from keepstep.model.errors import Problem, Transient
from keepstep.model.instant import Instant, parse_instant
from keepstep.model.party import audience_fields
from keepstep.model.toward import QUIET, plain
from keepstep.ports import Clock

REASON = 255  # characters (CC facts 3.2)
LOOK_AFTER = 30.0
AT_ONCE = 60.0  # after somebody else's write at the same moment
# Between the vendor's report of an opt-out and the contact that shows it.
MARGIN = 60.0
Raw = Mapping[str, Any]

# What a GET carries and a PUT must not: everything else goes back, also a field that the vendor adds tomorrow, since
# what is left out is overwritten with null (CC facts 5.3).
READ_ONLY = (
    "_whole _links contact_id created_at updated_at deleted_at create_source update_source phone_number_id "
    "street_address_id opt_in_source opt_in_date opt_out_source opt_out_date confirm_status"
).split()
AS_READ = ("notes",)  # its id and date are writable
PARTS = {"street": "street", "city": "city", "state": "state", "postal": "postal_code", "country": "country"}
HELD = (
    "another contact of the account has this address, perhaps a deleted one, which only status=all shows: "
    "restore that one at Constant Contact, or give one of them another address"
)


@dataclass(frozen=True, slots=True)
class Read:
    """A contact with all includes, and the vendor's time of the reading."""

    raw: dict[str, Any]
    at: Instant


class Replace:
    """The two writes by PUT, and what became of each. Raises Unanswered where one may have taken effect."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    # --- opting out ---

    async def opt_out(self, step: Step) -> Outcome:
        """Nothing where it is so already, or where a PUT would revive a deleted contact (CC facts 5.5)."""
        record_id = step.payload["record_id"]
        raw = (await self.read(record_id)).raw
        if raw.get("deleted_at") or unsubscribed(raw):
            return Nothing()
        if not email_of(raw).get("address"):
            return Dead("the contact has no email address to opt out")
        try:
            answer = await self._put(record_id, opt_out_body(raw, step.payload))
        except Conflict as clash:
            return await self._clash(raw, clash)
        if answer is not None and unsubscribed(answer):
            return Done({"consent": "opted_out"})
        return Unknown(LOOK_AFTER, "the answer does not say unsubscribed")

    async def opted_out(self, step: Step) -> Outcome:
        """What became of it."""
        raw = (await self.read(step.payload["record_id"])).raw
        if unsubscribed(raw):
            return Done({"consent": "opted_out"})
        return Nothing() if raw.get("deleted_at") else Retry(0, "still not opted out")

    # --- fields ---

    async def set_fields(self, step: Step) -> Outcome:
        """Writes over nothing but what the decision saw, over nobody who is deleted or out, and not while somebody
        seems to be at it."""
        read = await self.read(step.payload["record_id"])
        if why := _closed(read.raw) or _stale(read.raw, step.payload):
            return Retry(0, why)
        if _fits(read.raw, step.payload["values"]):
            return Nothing()
        if (left := _quiet_in(read)) > 0:
            return Retry(left, "changed a moment ago: waits until nothing has changed for ten minutes")
        try:
            answer = await self._put(step.payload["record_id"], fields_body(read.raw, step.payload))
        except Conflict as clash:
            return await self._clash(read.raw, clash)
        if answer is None:
            return Unknown(LOOK_AFTER, "the answer is not the contact that was written")
        return await self._written(step, answer, read.at)

    async def fields_set(self, step: Step, sent_at: Instant | None) -> Outcome:
        """What became of it. `sent_at`: the call cannot have read the contact before."""
        read = await self.read(step.payload["record_id"])
        since = read.at - MARGIN if sent_at is None else sent_at
        found = await self._written(step, read.raw, since)
        if not isinstance(found, Done) or "raced" in found.answer:
            return found
        if why := _closed(read.raw):
            return Retry(0, why)
        return found if _fits(read.raw, step.payload["values"]) else Retry(0, "it is not there")

    async def _written(self, step: Step, now: Raw, since: Instant) -> Outcome:
        """The values as they are now; with `raced` where an own opt-out fell between reading and writing."""
        told = {"values": _told(now, step.payload["values"])}
        return await self._with_race(step.payload["record_id"], now, since, told)

    async def _with_race(self, record_id: str, now: Raw, since: Instant, told: dict[str, Any]) -> Outcome:
        try:
            at = None if unsubscribed(now) else await self._raced(now, since)
        except Transient as problem:
            return Unknown(LOOK_AFTER, f"written; whether an opt-out fell into it is not known yet: {problem}")
        if at is None:
            return Done(told)
        return Done(told | {"raced": {"at": at, "written": await self._repaired(record_id)}})

    async def _raced(self, now: Raw, since: Instant) -> Instant | None:
        """When the person opted out since that moment, if it shows: in the contact itself, or in what it did with
        mailings (CC facts 8). That our write moved the stamps of the opt-in proves nothing: nobody knows when it does.
        Raises Transient where the activity cannot be read now."""
        back, said = _own_opt_in(now), parse_instant(email_of(now).get("opt_out_date"))
        outs = [*await self._opt_outs(now["contact_id"]), *([] if said is None else [said])]
        return max((at for at in outs if at >= since - MARGIN and (back is None or back < at)), default=None)

    async def _opt_outs(self, record_id: str) -> list[Instant]:
        """Moments of the person's opt-outs by mailings, the newest of them."""
        path = f"/reports/contact_reports/{segment(record_id)}/activity_details"
        try:
            reply = await self._api.get(path, {"tracking_activities_list": "em_optouts", "limit": "100"})
        except Transient:
            raise
        except Problem:
            return []  # not granted or not there: the contact itself is all that tells
        rows = rows_of(reply, "tracking_activities")
        found = [parse_instant(row.get("created_time")) for row in rows if isinstance(row, dict)]
        return [at for at in found if at is not None]

    async def _repaired(self, record_id: str) -> bool:
        """Write the person's own opt-out again, over our write. Where that fails the next decision asks for it."""
        try:
            raw = (await self.read(record_id)).raw
            if raw.get("deleted_at") or unsubscribed(raw):
                return True
            answer = await self._put(record_id, opt_out_body(raw, {"reason": None, "source": "Contact"}))
        except Problem:
            return False
        return answer is not None and unsubscribed(answer)

    # --- a row of a feed ---

    async def lay(self, read: Read, body: Raw) -> Outcome:
        """Put a contact back as `body`, which was made of this reading."""
        record_id = read.raw["contact_id"]
        try:
            answer = await self._put(record_id, body)
        except Conflict as clash:
            return await self._clash(read.raw, clash)
        if answer is None:
            return Unknown(LOOK_AFTER, "the answer is not the contact that was written")
        return await self._with_race(record_id, answer, read.at, {})

    # --- all ---

    async def read(self, record_id: str) -> Read:
        """Raises Missing where there is none."""
        reply = await self._api.get(f"/contacts/{segment(record_id)}", {"include": INCLUDES})
        if not isinstance(reply.value, dict) or reply.value.get("contact_id") != record_id:
            raise Transient("the answer is not the contact that was asked for")
        return Read(reply.value, self._clock.now() if reply.at is None else reply.at)

    async def _put(self, record_id: str, body: Raw) -> dict[str, Any] | None:
        """The answer; None where it is another record or none."""
        value = (await self._api.put(f"/contacts/{segment(record_id)}", body)).value
        return value if isinstance(value, dict) and value.get("contact_id", record_id) == record_id else None

    async def _clash(self, raw: Raw, clash: Conflict) -> Outcome:
        """409 on an address that the contact has already: somebody else has it too, perhaps a deleted contact that only
        `status=all` shows, or another write came at the same moment, which is tried again (CC facts 4, 5.5)."""
        mine, address = raw["contact_id"], email_of(raw).get("address")
        if clash.hint is not None and clash.hint != mine:
            return Dead(HELD, clash.status)
        query = {"email": str(address), "status": "all", "limit": LIMIT}
        rows = rows_of(await self._api.get("/contacts", query), "contacts") if address else []
        others = [row for row in rows if isinstance(row, dict) and row.get("contact_id") not in (None, mine)]
        return Dead(HELD, clash.status) if others else Retry(AT_ONCE, "somebody else wrote to it at the same moment")


def opt_out_body(raw: Raw, payload: Raw) -> dict[str, Any]:
    """The whole contact in the write form, opted out: PUT replaces, so everything goes back (CC facts 5.3)."""
    source = payload.get("source")
    return _writable(raw) | {
        "email_address": _writable(raw["email_address"])
        | {"permission_to_send": "unsubscribed", "opt_out_reason": (payload.get("reason") or "")[:REASON] or None},
        "update_source": source if source in ("Contact", "Account") else "Account",
    }


def fields_body(raw: Raw, payload: Raw) -> dict[str, Any]:
    """The whole contact in the write form, with these values; its permission goes back exactly as it was read."""
    body, values, was = _writable(raw), payload["values"], payload["was"]
    body |= {name: values[name] for name in ("first_name", "last_name") if name in values}
    if isinstance(raw.get("email_address"), dict):
        body["email_address"] = _writable(raw["email_address"])
    if "phone" in values:
        body["phone_numbers"] = _phones(_objects(body, "phone_numbers"), values["phone"], was["phone"])
    if "address" in values:
        body["street_addresses"] = _addresses(_objects(body, "street_addresses"), values["address"], was["address"])
    return body | {"update_source": "Account"}


def _phones(rows: Sequence[Any], wanted: Raw, was: str | None) -> list[Any]:
    """The number that was compared gets the new one; where there was none it is one more."""
    same = [row for row in rows if was is not None and canonical.text(row.get("phone_number")) == canonical.text(was)]
    old = min(
        same, key=lambda row: PHONES.index(row["kind"]) if row.get("kind") in PHONES else len(PHONES), default=None
    )
    fresh = {"phone_number": wanted["raw"]}
    return _placed(rows, old, {"kind": wanted["kind"]} | fresh if old is None else old | fresh)


def _addresses(rows: Sequence[Any], wanted: Raw, was: Raw | None) -> list[Any]:
    """The address that was compared gets the new parts; a country that the CRM does not say stays."""
    said = {key: wanted[part] for part, key in PARTS.items() if wanted.get(part)}
    old = next((row for row in rows if was is not None and _is(row, wanted["kind"], was)), None)
    kept = {key: value for key, value in (old or {}).items() if key not in PARTS.values() or key == "country"}
    return _placed(rows, old, {"kind": wanted["kind"], **kept, **said})


def _placed(rows: Sequence[Any], old: Any, fresh: Any) -> list[Any]:
    """The rows with a new one in an old one's place, or at the end."""
    return [*rows, fresh] if old is None else [fresh if row is old else row for row in rows]


def _is(row: Raw, kind: str, parts: Raw) -> bool:
    there = {part: row.get(key) for part, key in PARTS.items()}
    return row.get("kind") == kind and canonical.same("address", there, parts)


def _writable(row: Raw) -> dict[str, Any]:
    return {key: _inside(key, value) for key, value in row.items() if key not in READ_ONLY and value is not None}


def _inside(key: str, value: Any) -> Any:
    if not isinstance(value, list) or key in AS_READ:
        return value
    return [_writable(each) if isinstance(each, dict) else each for each in value]


# --- what a contact says ---------------------------------------------------------------------------------------------


def _objects(raw: Raw, name: str) -> list[dict[str, Any]]:
    rows = raw.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def email_of(raw: Raw) -> Raw:
    email = raw.get("email_address")
    return email if isinstance(email, dict) else {}


def unsubscribed(raw: Raw) -> bool:
    return bool(email_of(raw).get("permission_to_send") == "unsubscribed")


def _closed(raw: Raw) -> str | None:
    if raw.get("deleted_at"):
        return "the contact was deleted meanwhile"
    return "the contact opted out meanwhile" if unsubscribed(raw) else None


def _stale(raw: Raw, payload: Raw) -> str | None:
    now = _fields(raw)
    stale = [field for field, was in payload["was"].items() if not canonical.same(field, now[field], was)]
    return "somebody changed it meanwhile" if stale and not _fits(raw, payload["values"]) else None


def _fits(raw: Raw, values: Raw) -> bool:
    """Is it so already? A country that only one side says is no difference."""
    now = _fields(raw)
    wanted = {field: plain(field, value) for field, value in values.items()}
    alike = {field: canonical.fits if field == "address" else canonical.same for field in wanted}
    return all(alike[field](field, now[field], value) for field, value in wanted.items())


def _told(raw: Raw, values: Raw) -> dict[str, Any]:
    """What the vendor says of these fields; an answer may leave out what was not asked for."""
    now = _fields(raw)
    return {field: plain(field, value) if now[field] is None else now[field] for field, value in values.items()}


def _fields(raw: Raw) -> dict[str, Any]:
    return audience_fields(snapshot(raw, 0.0))


def _quiet_in(read: Read) -> float:
    """Seconds until nothing visible has changed for long enough; phones and addresses have stamps of their own."""
    places = [row for name in ("phone_numbers", "street_addresses") for row in _objects(read.raw, name)]
    rows = [read.raw, email_of(read.raw), *places]
    stamps = [at for row in rows if (at := parse_instant(row.get("updated_at"))) is not None]
    return max(stamps, default=float("-inf")) + QUIET - read.at


def _own_opt_in(raw: Raw) -> Instant | None:
    """When the person came in by an own act, if that is what holds now."""
    email = email_of(raw)
    return parse_instant(email.get("opt_in_date")) if email.get("opt_in_source") == "Contact" else None
