"""Writing to Constant Contact: opt-outs and fields by replacing one contact (replace.py), lists and tags by bulk jobs;
and what became of each.

The two calls that set a person back to mailable (the form for a person's own act, and the one that asks to come back)
are not here and never will be: consent crosses towards the vendor only in the direction "off" (CC facts 5.3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepstep.connectors.constant_contact import enrol
from keepstep.connectors.constant_contact.api import Api, segment
from keepstep.connectors.constant_contact.catalogue import Catalogue
from keepstep.connectors.constant_contact.imports import Imports
from keepstep.connectors.constant_contact.mapping import snapshot
from keepstep.connectors.constant_contact.replace import Replace, unsubscribed
from keepstep.connectors.constant_contact.source import LIMIT, read_contact, rows_of_all_pages
from keepstep.model.change import Accepted, Call, Dead, Done, Nothing, Outcome, Retry, Step, Unknown
from keepstep.model.contact import Consent
from keepstep.model.errors import Missing, Permanent, Unanswered
from keepstep.model.feed_decide import KINDS as OF_ROWS
from keepstep.model.instant import Instant
from keepstep.ports import Clock

CONTACTS, LABELS = 500, 50  # in one bulk job, lists or tags (CC facts 6.2, 6.3)
READ_ONE_BY_ONE = 20
LOOK_AFTER = 30.0  # the vendor's own advice for activities (CC facts 7.2)
DEADLINE = 86_400.0  # of a job in an unknown state: jobs take minutes, so after a day only re-reading tells
ENDED = ("completed", "cancelled", "failed", "timed_out", "time_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Lists or tags: their ids in a job's body, where a contact shows them, and the filter that finds contacts by so
    many at once (CC facts 5.1), which is their name in an answer too."""

    ids: str
    shown: str
    name: str
    at_once: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A kind of bulk job (CC facts 6.2, 6.3)."""

    path: str
    adds: bool
    labels: Labels


LISTS = Labels(ids="list_ids", shown="list_memberships", name="lists", at_once=25)
TAGS = Labels(ids="tag_ids", shown="taggings", name="tags", at_once=50)
JOBS = {
    "join": Job(path="add_list_memberships", adds=True, labels=LISTS),
    "leave": Job(path="remove_list_memberships", adds=False, labels=LISTS),
    "tag_on": Job(path="contacts_taggings_add", adds=True, labels=TAGS),
    "tag_off": Job(path="contacts_taggings_remove", adds=False, labels=TAGS),
}


class Destination:
    """What can be written. Raises Unanswered where a write may have taken effect; `look` then tells."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._replace = Replace(api, clock)
        self._imports = Imports(api, clock, Catalogue(api))

    async def write(self, call: Call) -> Sequence[Outcome]:
        """`opt_out`, `set_fields` or `enrol` (one step), a job of JOBS (contacts x labels), or rows of a feed. Raises
        Permanent for a call of another shape."""
        if call.kind in OF_ROWS:
            return await self._imports.write(call)
        if call.kind == "opt_out":
            return [await self._replace.opt_out(_only(call))]
        if call.kind == "set_fields":
            return [await self._replace.set_fields(_only(call))]
        if call.kind == "enrol":
            return [await enrol.enrol(self._api, _only(call))]
        if call.kind not in JOBS:
            raise Permanent(0, f"no write of kind {call.kind!r}")
        return await self._start_job(call)

    async def look(self, call: Call) -> Sequence[Outcome]:
        """Reads what is there now; writes nothing."""
        if call.kind in OF_ROWS:
            return await self._imports.look(call)
        if call.kind == "opt_out":
            return [await self._replace.opted_out(_only(call))]
        if call.kind == "set_fields":
            return [await self._replace.fields_set(_only(call), call.sent_at)]
        if call.kind == "enrol":
            return [await enrol.look(self._api, _only(call), call.sent_at)]
        if call.kind not in JOBS:
            raise Permanent(0, f"no write of kind {call.kind!r}")
        if call.vendor_id and await self._running(call.vendor_id, call.sent_at):
            return [Accepted(call.vendor_id, LOOK_AFTER) for _ in call.steps]
        return await self._verify(call)

    async def _start_job(self, call: Call) -> Sequence[Outcome]:
        job, (contacts, labels) = JOBS[call.kind], _cross_product(call.steps)
        closed = await self._closed(contacts) if job.adds else {}
        contacts = [contact for contact in contacts if contact not in closed]
        outcomes = [closed.get(step.payload["record_id"]) for step in call.steps]
        if not contacts:
            return [outcome for outcome in outcomes if outcome]
        body = {"source": {"contact_ids": contacts}, job.labels.ids: labels}
        answer = (await self._api.post(f"/activities/{job.path}", body)).value
        vendor_id = answer.get("activity_id") if isinstance(answer, dict) else None
        if not isinstance(vendor_id, str) or not vendor_id:
            raise Unanswered("a bulk job was taken without an activity_id")
        return [outcome or Accepted(vendor_id, LOOK_AFTER) for outcome in outcomes]

    async def _closed(self, contacts: Sequence[str]) -> dict[str, Outcome]:
        """Who may not be added any more: adding a deleted contact revives it, and no poll shows a deletion before the
        next sweep (CC facts 5.4, 5.5). Among many, whoever is merely not mailable is not looked for: the vendor mails
        them nothing."""
        if len(contacts) > READ_ONE_BY_ONE:
            query = {"status": "deleted", "limit": LIMIT}
            rows = await rows_of_all_pages(self._api, "/contacts", query, "contacts")
            gone = {row["contact_id"] for row in rows if isinstance(row, dict) and "contact_id" in row}
            return {contact: _DELETED for contact in contacts if contact in gone}
        found = {contact: await self._maybe_contact(contact, LISTS) for contact in contacts}
        return {contact: why for contact, raw in found.items() if (why := _why_closed(raw)) is not None}

    async def _running(self, vendor_id: str, sent_at: Instant | None) -> bool:
        """Unknown states count as running until our own deadline; after 10 days a job is forgotten (CC facts 7.2)."""
        if sent_at is not None and self._clock.now() - sent_at > DEADLINE:
            return False
        try:
            activity = (await self._api.get(f"/activities/{segment(vendor_id)}")).value
        except Missing:
            return False
        return not isinstance(activity, dict) or activity.get("state") not in ENDED

    async def _verify(self, call: Call) -> Sequence[Outcome]:
        """Reads the contacts: a finished job tells counts only, `completed` is not success (CC facts 6.2, 7.2)."""
        job = JOBS[call.kind]
        contacts = list(dict.fromkeys(step.payload["record_id"] for step in call.steps))
        found: dict[str, Mapping[str, Any] | None] = {}
        if len(contacts) > READ_ONE_BY_ONE:
            found.update(await self._members(job.labels, list(call.steps[0].payload["list_ids"])))
        unread = [contact for contact in contacts if contact not in found]
        if len(unread) <= READ_ONE_BY_ONE:
            for contact in unread:
                found[contact] = await self._maybe_contact(contact, job.labels)
        again = 60.0 if call.vendor_id else 0.0
        return [_membership(job, step, found, again) for step in call.steps]

    async def _members(self, labels: Labels, ids: list[str]) -> dict[str, Mapping[str, Any] | None]:
        found: dict[str, Mapping[str, Any] | None] = {}
        for start in range(0, len(ids), labels.at_once):
            some = ",".join(ids[start : start + labels.at_once])
            query = {labels.name: some, "status": "all", "include": labels.shown, "limit": LIMIT}
            rows = await rows_of_all_pages(self._api, "/contacts", query, "contacts")
            found.update({row["contact_id"]: row for row in rows if isinstance(row, dict) and "contact_id" in row})
        return found

    async def _maybe_contact(self, record_id: str, labels: Labels) -> Mapping[str, Any] | None:
        try:
            return await read_contact(self._api, record_id, labels.shown)
        except Missing:
            return None


def moved(step: Step, raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A stored contact as a verified job left it; None where it does not show what the job changed."""
    job = JOBS.get(step.kind)
    there = raw.get(job.labels.shown) if job else None
    if job is None or not isinstance(there, list):
        return None
    meant = step.payload["list_ids"]
    kept = [each for each in there if each not in meant]
    return {**raw, job.labels.shown: [*kept, *meant] if job.adds else kept}


def _only(call: Call) -> Step:
    if len(call.steps) != 1:
        raise Permanent(0, f"a call for one contact of {len(call.steps)} steps")
    return call.steps[0]


def _cross_product(steps: Sequence[Step]) -> tuple[list[str], list[str]]:
    """Contacts and labels of a job, which does every pair. Raises Permanent where the steps do not share one set of
    labels."""
    labels = sorted(steps[0].payload["list_ids"]) if steps else []
    if not labels or any(sorted(step.payload["list_ids"]) != labels for step in steps):
        raise Permanent(0, "steps of one job have different sets of lists or tags")
    contacts = sorted({step.payload["record_id"] for step in steps})
    if len(contacts) > CONTACTS or len(labels) > LABELS:
        raise Permanent(0, f"{len(contacts)} contacts and {len(labels)} lists or tags are too many for one job")
    return contacts, labels


_NOT_THERE = Dead("the contact is not there", 404)
_DELETED, _OPTED_OUT = Dead("the contact was deleted meanwhile"), Dead("the contact opted out meanwhile")
# No opt-out, and it may end: decided anew from a fresh reading, which wants it no more.
_NOT_MAILABLE = Retry(60.0, "the contact may not be mailed now")


def _why_closed(raw: Mapping[str, Any] | None) -> Outcome | None:
    if raw is None:
        return _NOT_THERE
    if raw.get("deleted_at"):
        return _DELETED
    if unsubscribed(raw):
        return _OPTED_OUT
    return None if snapshot(raw, 0.0).consent is Consent.opted_in else _NOT_MAILABLE


def _membership(job: Job, step: Step, found: Mapping[str, Mapping[str, Any] | None], again: float) -> Outcome:
    contact, wanted = step.payload["record_id"], job.adds
    if contact not in found:  # a scan of the members did not show it
        return Retry(again, "not a member yet") if wanted else Done()
    raw = found[contact]
    if raw is None:
        return _NOT_THERE if wanted else Nothing()
    there = raw.get(job.labels.shown) or []
    if not isinstance(there, list):
        return Unknown(LOOK_AFTER, "memberships are unreadable")
    # Not tried again: adding a deleted contact revives it, and an opted-out one must not be added (CC facts 5.5, 6.2).
    if wanted and raw.get("deleted_at"):
        return _DELETED
    if all((each in there) == wanted for each in step.payload["list_ids"]):
        return Done({job.labels.name: sorted(each for each in there if isinstance(each, str))})
    if raw.get("deleted_at"):
        return Nothing()  # nobody reads what a deleted contact is on
    if wanted and unsubscribed(raw):
        return _OPTED_OUT
    return Retry(again, "not as wanted yet")
