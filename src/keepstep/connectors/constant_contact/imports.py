"""Rows of a feed: many people by one `contacts_json_import` (CC facts 7.1), and one person by calls of their own.

An import tells counts, never people, and `completed` is no success (CC facts 7.2). It is proven where it counts what
was sent and nothing else; otherwise people are read again and each gets an outcome. A look goes on where the one before
stopped; what it follows is in the job's vendor_id:

    ID          the import's own answer: followed to its end, and its counts count
    found:ID    nobody answered; an import of that size was found: followed, then people are read
    proof:ID    it ended otherwise than was sent: people are read, in pieces
    lost:       nobody answered and no import is there: people are read, the others were never sent

Forty thousand people are eighty pages. A look reads for `roll.PIECE` seconds and comes back (roll.py); how far it came
is in memory, the stage is in the job.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from keepstep.connectors.constant_contact.api import Api, segment
from keepstep.connectors.constant_contact.catalogue import Catalogue
from keepstep.connectors.constant_contact.enrol import APART, holder
from keepstep.connectors.constant_contact.one import One, refusal
from keepstep.connectors.constant_contact.roll import PIECE, Rolls, Standing, may_come_back, standing
from keepstep.connectors.constant_contact.source import LIMIT, rows_of, rows_of_all_pages
from keepstep.model.canonical import email
from keepstep.model.change import Accepted, Call, Done, Nothing, Outcome, Retry, Step
from keepstep.model.custom import CustomField
from keepstep.model.errors import Missing, Permanent, Unanswered
from keepstep.model.feed_decide import (
    DELETED,
    DROPPED,
    IMPORT,
    IMPORT_ONE,
    LIST_GONE,
    NOT_TAKEN,
    OPTED_OUT,
    OTHERS_SHUT,
    READING,
)
from keepstep.model.instant import Instant, parse_instant
from keepstep.ports import Clock

ROWS, BYTES = 40_000, 3_500_000  # of one import; above 4 MB the rest is dropped in silence (CC facts 3.2, 7.1)
READ_ONE_BY_ONE = 20
LOOK_AFTER = 30.0  # CC facts 7.2
DEADLINE = 86_400.0
ENDED = ("completed", "cancelled", "failed", "timed_out", "time_out")
FOUND, PROOF, LOST = "found:", "proof:", "lost:"
GLANCE = 5.0  # the collection of activities is read once for all jobs of a turn
FIELDS_KEPT = 3600.0
# Until the lists were read again, which the gate wants anyhow.
LISTS_AGAIN = 900.0
# Of the body besides its rows: the keys and 50 list ids.
AROUND = 4096
Raw = Mapping[str, Any]


class Imports:
    """Raises Unanswered where an import may have been taken; `look` then tells."""

    def __init__(self, api: Api, clock: Clock, catalogue: Catalogue) -> None:
        self._api = api
        self._clock = clock
        self._catalogue = catalogue
        self._rolls = Rolls(api, clock)
        self._one = One(api, clock)
        self._fields: tuple[Instant, Sequence[CustomField]] | None = None
        self._seen: tuple[Instant, dict[str, Raw]] | None = None
        # Imports that were answered: none of them is the one that nobody answered.
        self._told: set[str] = set()

    async def write(self, call: Call) -> Sequence[Outcome]:
        """An import of steps that share their lists, or one person. Raises Permanent for a call of another shape."""
        if call.kind == IMPORT_ONE:
            return [await self._one.write(_only(call), await self._known_fields(call))]
        list_ids = _list_ids(call)
        shut = await self._shut(call, list_ids)
        if shut is None:
            return [Retry(1.0, READING)] * len(call.steps)
        if any(shut):  # first without them: what is sent must be counted
            return [why or Retry(0.0, OTHERS_SHUT) for why in shut]
        known = _names(await self._known_fields(call))
        body = {"import_data": [row_of(step.payload, known) for step in call.steps], "list_ids": list_ids}
        try:
            answer = (await self._api.post("/activities/contacts_json_import", body)).value
        except Permanent:
            if await self._are_there(list_ids):
                raise
            return [Retry(LISTS_AGAIN, LIST_GONE)] * len(call.steps)
        vendor_id = answer.get("activity_id") if isinstance(answer, dict) else None
        if not isinstance(vendor_id, str) or not vendor_id:  # any 2xx with an id is a success (CC facts 7.1)
            raise Unanswered("an import was taken without an activity_id")
        self._told.add(vendor_id)
        return [Accepted(vendor_id, LOOK_AFTER)] * len(call.steps)

    async def look(self, call: Call) -> Sequence[Outcome]:
        """Reads what is there now; writes nothing."""
        if call.kind == IMPORT_ONE:
            return [await self._one.look(_only(call), call.sent_at, await self._known_fields(call))]
        stage, vendor_id = _stage(call.vendor_id)
        if stage in (PROOF, LOST):
            return await self._people(call, stage, vendor_id)
        if not vendor_id:
            return await self._search(call)
        self._told |= {vendor_id} if not stage else set()
        activity = await self._activity(vendor_id, call.sent_at)
        if activity is not None and activity.get("state") not in ENDED:
            return _on(call, stage + vendor_id, LOOK_AFTER)
        if stage != FOUND and activity is not None and _proves(activity, len(call.steps)):
            return [await self._done(step) for step in call.steps]
        completed = activity is None or activity.get("state") == "completed"
        return await self._people(call, PROOF if completed else LOST, vendor_id)

    # --- before ---

    async def _shut(self, call: Call, list_ids: Sequence[str]) -> list[Outcome | None] | None:
        """Per step why it may not be sent; None while that is still being read. Who was deleted would be revived, and
        who left a list since an import of ours put them there would be put back."""
        until = self._clock.now() + PIECE
        deleted = await self._rolls.deleted(until)
        kept = any(step.payload["kept"] for step in call.steps)
        members = await self._rolls.members(list_ids, until) if kept and deleted is not None else {}
        if deleted is None or members is None:
            return None
        return [_why_shut(step.payload, deleted, members, self._clock.now()) for step in call.steps]

    async def _are_there(self, list_ids: Sequence[str]) -> bool:
        """A list that is gone refuses all of its rows: halves would be refused one after the other."""
        return {*list_ids} <= {one for one, _ in await self._catalogue.lists()}

    async def _known_fields(self, call: Call) -> Sequence[CustomField]:
        """The account's custom fields, where any row has one."""
        if not any(step.payload.get("custom") for step in call.steps):
            return ()
        now = self._clock.now()
        if self._fields is None or now - self._fields[0] > FIELDS_KEPT:
            self._fields = (now, await self._catalogue.fields())
        return self._fields[1]

    # --- after ---

    async def _search(self, call: Call) -> Sequence[Outcome]:
        """An import that nobody answered: is one there of this size, made since (CC facts 7.2)? Other jobs may be of
        the same size, so what is found is followed to its end and proves nothing."""
        rows = await rows_of_all_pages(self._api, "/activities", {"limit": LIMIT}, "activities")
        others = [row for row in rows if isinstance(row, dict) and row.get("activity_id") not in self._told]
        mine = [row for row in others if _may_be(row, call)]
        if not mine:
            return await self._people(call, LOST, "")
        open_still = [row for row in mine if row.get("state") not in ENDED]
        return _on(call, FOUND + str((open_still or mine)[0]["activity_id"]), 1.0)

    async def _activity(self, vendor_id: str, sent_at: Instant | None) -> Raw | None:
        """None where it is forgotten, or in no known state for a day. One page shows all jobs that run."""
        now = self._clock.now()
        if sent_at is not None and now - sent_at > DEADLINE:
            return None
        if self._seen is None or now - self._seen[0] > GLANCE:
            reply = await self._api.get("/activities", {"limit": LIMIT})
            rows = [row for row in rows_of(reply, "activities") if isinstance(row, dict)]
            self._seen = (now, {str(row.get("activity_id")): row for row in rows})
        if vendor_id in self._seen[1]:
            return self._seen[1][vendor_id]
        try:
            value = (await self._api.get(f"/activities/{segment(vendor_id)}")).value
        except Missing:
            return None
        return value if isinstance(value, dict) else {}

    async def _people(self, call: Call, stage: str, vendor_id: str) -> Sequence[Outcome]:
        """One outcome a step, by reading people again; the stage itself while that takes longer."""
        list_ids = _list_ids(call)
        if len(call.steps) <= READ_ONE_BY_ONE:
            found = {address: one for address in map(_address, call.steps) if (one := await self._read(address))}
        else:
            read = await self._rolls.members(list_ids, self._clock.now() + PIECE, call.id)
            if read is None:
                return _on(call, stage + vendor_id, 1.0)
            found = dict(read)
            self._rolls.done(list_ids, call.id)
        since = (call.sent_at or 0.0) - APART
        now = self._clock.now()
        ended = [_became(step, found.get(_address(step)), since, stage == PROOF, now) for step in call.steps]
        return [one or await self._done(step) for one, step in zip(ended, call.steps, strict=True)]

    async def _read(self, address: str) -> Standing | None:
        found = await holder(self._api, address)
        return standing(found) if found else None

    async def _done(self, step: Step) -> Outcome:
        known = _names(self._fields[1]) if self._fields else {}
        unknown = sorted(name for name in step.payload.get("custom") or {} if self._fields and name not in known)
        return Done({"unknown_fields": unknown}) if unknown else _DONE


_DONE = Done()


# --- the body --------------------------------------------------------------------------------------------------------


def row_of(payload: Raw, known: Mapping[str, str]) -> dict[str, str]:
    """A flat row (CC facts 7.1). What is not said is not there: only what is supplied is changed. An unknown custom
    field stays out, since it would cost its row, or the whole call."""
    phone, place, custom = payload.get("phone"), payload.get("address") or {}, payload.get("custom") or {}
    return {
        "email": payload["email"],
        **{name: payload[name] for name in ("first_name", "last_name") if payload.get(name)},
        **({f"{phone['kind']}_phone": phone["raw"]} if phone else {}),
        **{PLACE[part]: value for part, value in place.items() if part in PLACE},
        **{f"cf:{known[name]}": value for name, value in custom.items() if name in known},
    }


# Without a prefix: of the one for the home address the vendor's document spells a key in two ways (CC facts 7.1).
PLACE = {"street": "street", "city": "city", "state": "state", "postal": "zip", "country": "country"}


def weight(step: Step) -> int:
    """Bytes of a step's row in the body, at most: a custom field may go by a longer name there."""
    custom = step.payload.get("custom") or {}
    longest = {name: name.ljust(50) for name in custom}
    return len(json.dumps(row_of(step.payload, longest))) + 2


def _names(fields: Sequence[CustomField]) -> dict[str, str]:
    """What a row may call a custom field, any of its names, to its `name`, which an import knows it by."""
    return {said: one.names[-1] for one in reversed(fields) for said in one.names}


# --- what became of it -----------------------------------------------------------------------------------------------


def _proves(activity: Raw, sent: int) -> bool:
    """Did an import do what was sent and nothing else (CC facts 7.2)?"""
    status = activity.get("status")
    counts: Raw = status if isinstance(status, dict) else {}
    clean = not any(counts.get(name) for name in ("error_count", "correctable_count", "cannot_add_to_list_count"))
    whole = counts.get("items_total_count") == sent and counts.get("person_count") in (None, 0, sent)
    return activity.get("state") == "completed" and clean and whole and not activity.get("activity_errors")


def _may_be(activity: Raw, call: Call) -> bool:
    """May this be the import that nobody answered? Some count a header."""
    status, made = activity.get("status"), parse_instant(activity.get("created_at"))
    total = status.get("items_total_count") if isinstance(status, dict) else None
    since = (call.sent_at or 0.0) - APART
    return bool(activity.get("activity_id")) and made is not None and made >= since and _alike(total, len(call.steps))


def _alike(total: object, sent: int) -> bool:
    """More than was sent it never counts but for a header; less where it was cut."""
    return total is None or (isinstance(total, int) and total in (sent, sent + 1))


def _why_shut(
    payload: Raw, deleted: Mapping[str, Standing], members: Mapping[str, Standing], now: Instant
) -> Outcome | None:
    address = email(payload["email"])
    gone = deleted.get(address)
    if gone is not None and (gone.out or not may_come_back(gone, payload, now)):
        return Nothing({"left_out": OPTED_OUT if gone.out else DELETED})
    there = members[address].lists if address in members else frozenset[str]()
    left = [one for one in payload["kept"] if one in payload["list_ids"] and one not in there]
    return Nothing({"left": left}) if left else None


def _became(step: Step, found: Standing | None, since: Instant, taken: bool, now: Instant) -> Outcome | None:
    """What an import came to for one person, whom only reading shows; None: it is done. Who is on all lists and was not
    touched since was there before: what was never taken goes again then, which puts nobody back."""
    again = Retry(0.0, DROPPED if taken else NOT_TAKEN)
    if found is None:
        return again
    if why := refusal(found, step.payload, since, now):
        return why
    if not found.lists.issuperset(step.payload["list_ids"]):
        return again
    stamps = [at for at in (found.created_at, found.updated_at) if at is not None]
    return None if taken or max(stamps, default=since) >= since else again


# --- calls -----------------------------------------------------------------------------------------------------------


def _only(call: Call) -> Step:
    if len(call.steps) != 1:
        raise Permanent(0, f"a call for one contact of {len(call.steps)} steps")
    return call.steps[0]


def _list_ids(call: Call) -> list[str]:
    """The lists that all steps share. Raises Permanent where they do not, or are too many for one import."""
    found = [str(one) for one in call.steps[0].payload["list_ids"]] if call.kind == IMPORT and call.steps else []
    if not found or any(step.payload["list_ids"] != found for step in call.steps):
        raise Permanent(0, "rows of one import have different lists")
    if len(call.steps) > ROWS:
        raise Permanent(0, f"{len(call.steps)} rows are too many for one import")
    return found


def _stage(vendor_id: str | None) -> tuple[str, str]:
    for stage in (FOUND, PROOF, LOST):
        if (vendor_id or "").startswith(stage):
            return stage, (vendor_id or "").removeprefix(stage)
    return "", vendor_id or ""


def _on(call: Call, vendor_id: str, after: float) -> Sequence[Outcome]:
    return [Accepted(vendor_id, after)] * len(call.steps)


def _address(step: Step) -> str:
    return email(step.payload["email"])
