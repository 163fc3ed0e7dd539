"""Writing Virtuous: one table of step kinds. Every change is read first and looked for before it is repeated."""

import html
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepstep.connectors.virtuous import edit, removal, submission
from keepstep.connectors.virtuous.api import Api, number, rows, segment
from keepstep.connectors.virtuous.edit import Edit, Plan
from keepstep.connectors.virtuous.mapping import ADDRESS_PARTS, LABELS, PHONE_TYPES, Reader, kind_of, record_id
from keepstep.connectors.virtuous.origin import ONCE, Origin
from keepstep.connectors.virtuous.source import Source
from keepstep.connectors.virtuous.swap import Swap
from keepstep.model import canonical
from keepstep.model.change import Call, Dead, Done, Nothing, Outcome, Retry, Step, Unknown
from keepstep.model.custom import CustomField
from keepstep.model.errors import Blocked, Missing, Permanent, Transient
from keepstep.model.instant import Instant
from keepstep.ports import Connection

# A staff edit between our reading and our writing: the party is read and decided again before this comes round.
AFTER_AN_EDIT = 300.0
_NOT_THERE = Retry(0.0, "not there")
_TAG = re.compile(r"<[^<>]*>")
_MARKER = re.compile(r"[\[(]([^\[\]()]{6,})[\])]\Z")

Write = Callable[["Destination", Step], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of step is written, and how one sees that it was."""

    write: Write
    look: Write


class Destination(Source):
    """One organization, read and written."""

    def __init__(self, conn: Connection) -> None:
        super().__init__(conn)
        self.origin = Origin(conn, self.segment_of)
        self._defined: Mapping[str, CustomField] = {}
        self._defined_at: Instant | None = None
        self.imports = submission.Imports(self.api, self.reference_source, self.origin)

    async def definitions(self) -> Mapping[str, CustomField]:
        """The custom fields by name, asked for at most once a day; none where the key may not read them."""
        now = self.conn.clock.now()
        if self._defined_at is None or now - self._defined_at >= ONCE:
            try:
                self._defined = {one.field_id: one for one in await self.fields()}
            except Permanent:
                self._defined = {}
            self._defined_at = now
        return self._defined

    async def write(self, call: Call) -> Sequence[Outcome]:
        """One outcome a step. A call of one step raises what the API raises; in one of several, each has its own."""
        if call.kind == "submit":
            return await self.imports.submit(call.steps)
        return await self._each(call, "write")

    async def look(self, call: Call) -> Sequence[Outcome]:
        """What became of each step: Done if the effect shows, Retry if not, Unknown while an import may wait."""
        return await self._each(call, "look")

    async def _each(self, call: Call, what: str) -> Sequence[Outcome]:
        kind = KINDS.get(call.kind)
        if kind is None:
            return [Dead(f"Virtuous has no step {call.kind}")] * len(call.steps)
        do: Write = getattr(kind, what)
        if len(call.steps) == 1:
            return [await do(self, call.steps[0])]
        found: list[Outcome] = []
        for step in call.steps:
            try:
                found.append(await do(self, step))
            except (Blocked, Permanent, Transient) as problem:
                if what == "look":  # nobody knows more than before, and what is not known must not be sent again
                    if isinstance(problem, Blocked):
                        raise
                    return found + [Unknown(60.0, str(problem))] * (len(call.steps) - len(found))
                found.append(submission.outcome(problem, first=not found))
                if not isinstance(problem, Permanent):
                    break
        # What was in one step's way is in the way of the next: they come again instead of waiting for time-outs.
        return found + [Retry(60.0, "not tried")] * (len(call.steps) - len(found))


def _edited(plan: Plan) -> Kind:
    """A kind that changes one record: GET, change, PUT; what the server says afterwards counts (Virtuous facts 6)."""

    async def write(crm: Destination, step: Step) -> Outcome:
        change = plan(step)
        before = await _record(crm, change)
        if change.fits(before):
            return Nothing()
        if change.stale(before):
            return Retry(AFTER_AN_EDIT, "changed since it was read")
        answer = await crm.api.write("PUT", change.path, change.changed(before), change.urgent)
        after = answer if isinstance(answer, dict) else await _record(crm, change)
        if change.urgent and not change.fits(after):
            return Retry(60.0, "Virtuous kept the old value")
        return Done(change.told(after))

    async def look(crm: Destination, step: Step) -> Outcome:
        change = plan(step)
        raw = await _record(crm, change)
        return Done(change.told(raw)) if change.fits(raw) else _NOT_THERE

    return Kind(write, look)


async def _record(crm: Destination, change: Edit) -> Mapping[str, Any]:
    raw = await crm.api.get(change.path, change.urgent)
    if not isinstance(raw, dict):
        raise Transient("Virtuous answered no record")
    if record_id(raw.get("id")) not in (None, change.path.rpartition("/")[2]):
        raise Transient("the answer is not the record that was asked for")
    return raw


def _or_new(key: str, change: Kind, add: Kind) -> Kind:
    """Change the record that the step names, or add one where it names none."""

    async def write(crm: Destination, step: Step) -> Outcome:
        return await (change if step.payload.get(key) else add).write(crm, step)

    async def look(crm: Destination, step: Step) -> Outcome:
        return await (change if step.payload.get(key) else add).look(crm, step)

    return Kind(write, look)


async def _create(crm: Destination, step: Step) -> Outcome:
    return await submission.create(crm.api, crm.reference_source, crm.origin, step)


async def _look_created(crm: Destination, step: Step) -> Outcome:
    found = await submission.look_submitted(crm.by_reference, step)
    return found if isinstance(found, Done) else _NOT_THERE


async def _look_submitted(crm: Destination, step: Step) -> Outcome:
    return await submission.look_submitted(crm.by_reference, step)


async def _submit(crm: Destination, step: Step) -> Outcome:
    return (await crm.imports.submit([step]))[0]


async def _set_custom(crm: Destination, step: Step) -> Outcome:
    return await _edited(edit.custom(await crm.definitions())).write(crm, step)


async def _look_custom(crm: Destination, step: Step) -> Outcome:
    return await _edited(edit.custom(await crm.definitions())).look(crm, step)


async def _swap(crm: Destination, step: Step) -> Outcome:
    return await Swap(crm.api, step).write()


async def _look_swap(crm: Destination, step: Step) -> Outcome:
    return await Swap(crm.api, step).look()


async def _add_phone(crm: Destination, step: Step) -> Outcome:
    """A further phone, opted out and not primary: what a method defaults to is unknown (Virtuous facts 7.3)."""
    found = await _look_phone(crm, step)
    if isinstance(found, Done):
        return found
    body = {
        "contactIndividualId": number(step.payload["individual"]),
        "type": PHONE_TYPES.get(step.payload["kind"], PHONE_TYPES["other"]),
        "value": step.payload["value"],
        "isOptedIn": False,
        "setAsPrimary": False,
    }
    made = Reader(await crm.api.write("POST", "/api/ContactMethod", body) or {}, [])
    if (name := made.id()) is None:
        return await _look_phone(crm, step)
    return Done({"method": name, "value": made.text("value")})


async def _look_phone(crm: Destination, step: Step) -> Outcome:
    person = await crm.api.get(f"/api/ContactIndividual/{segment(step.payload['individual'])}")
    for method in Reader(person, []).items("contactMethods"):
        there, word = method.text("value"), method.text("type") or ""
        if kind_of(word) == "phone" and canonical.same("phone", there, step.payload["value"]):
            return Done({"method": method.id(), "value": there})
    return _NOT_THERE


async def _add_address(crm: Destination, step: Step) -> Outcome:
    """A further address; the first one of a contact is its primary one, for only that is shown (Virtuous facts 7.4)."""
    there = await _addresses(crm, step)
    if found := _address_among(there, step):
        return found
    parts = {"address1": step.payload.get("street"), **{key: step.payload.get(key) for key in ADDRESS_PARTS}}
    body = {
        "contactId": number(step.payload["contact"]),
        "label": LABELS.get(step.payload.get("kind") or "home", LABELS["other"]),
        **{key: value for key, value in parts.items() if value},
        "setAsPrimary": not there,
    }
    made = await crm.api.write("POST", "/api/ContactAddress", body)
    return Done(edit.told_address(made)) if isinstance(made, dict) else await _look_address(crm, step)


async def _look_address(crm: Destination, step: Step) -> Outcome:
    return _address_among(await _addresses(crm, step), step) or _NOT_THERE


async def _addresses(crm: Destination, step: Step) -> list[Any]:
    return rows(await crm.api.get(f"/api/ContactAddress/ByContact/{segment(step.payload['contact'])}"))


def _address_among(there: list[Any], step: Step) -> Done | None:
    found = (raw for raw in there if isinstance(raw, dict) and edit.same_address(raw, step.payload))
    return next((Done(edit.told_address(raw)) for raw in found), None)


async def _joins(crm: Destination, step: Step) -> list[str]:
    """Ids of the joins of contact and tag: what a removal needs (Virtuous facts 11)."""
    path = f"/api/ContactTag/ByContact/{segment(step.payload['contact'])}"
    read = [Reader(row, []) async for row in crm.api.pages(path)]
    named = [one.id("contactTagId") or one.id() for one in read if one.id("tagId") == step.payload["tag_id"]]
    return [name for name in named if name]


async def _add_tag(crm: Destination, step: Step) -> Outcome:
    if await _joins(crm, step):
        return Nothing()
    body = {"tagId": number(step.payload["tag_id"]), "contactId": number(step.payload["contact"])}
    await crm.api.write("POST", "/api/ContactTag", body)
    return Done({"tag_id": step.payload["tag_id"]})


async def _remove_tag(crm: Destination, step: Step) -> Outcome:
    joins = await _joins(crm, step)
    for join in joins:
        try:
            await crm.api.write("DELETE", f"/api/ContactTag/{segment(join)}")
        except Missing:
            pass  # somebody else took it off in between
    return Done({"tag_id": step.payload["tag_id"]}) if joins else Nothing()


async def _look_tag(crm: Destination, step: Step) -> Outcome:
    there = bool(await _joins(crm, step))
    return Done({"tag_id": step.payload["tag_id"]}) if there is (step.kind == "add_tag") else _NOT_THERE


async def _link(crm: Destination, step: Step) -> Outcome:
    """Our reference onto a contact that was there before us; 400 may mean that it has it, or that a contact that was
    merged away still has it (Virtuous facts 11, 7.6)."""
    ours = {"referenceSource": crm.reference_source, "referenceId": step.payload["record_id"]}
    body = {"contactId": number(step.payload["contact"]), **ours}
    try:
        await crm.api.write("POST", "/api/ContactReference", body)
    except Permanent:
        if isinstance(await _look_link(crm, step), Done):
            return Nothing()
        if not await removal.off_a_loser(crm.api, crm.reference_source, step):
            raise
        await crm.api.write("POST", "/api/ContactReference", body)
    return Done({"contact": step.payload["contact"]})


async def _look_link(crm: Destination, step: Step) -> Outcome:
    raw = await crm.api.get(f"/api/Contact/{segment(step.payload['contact'])}")
    linked = (crm.reference_source, step.payload["record_id"]) in crm.snapshot(raw, 0.0).references
    return Done({"contact": step.payload["contact"]}) if linked else _NOT_THERE


async def _unlink(crm: Destination, step: Step) -> Outcome:
    return await removal.unlink(crm.api, crm.reference_source, step)


async def _look_unlinked(crm: Destination, step: Step) -> Outcome:
    return await removal.look_unlinked(crm.api, crm.reference_source, step)


def _taken_back(
    drop: Callable[[Api, Step], Awaitable[Outcome]], look: Callable[[Api, Step], Awaitable[Outcome]]
) -> Kind:
    return Kind(lambda crm, step: drop(crm.api, step), lambda crm, step: look(crm.api, step))


async def _note(crm: Destination, step: Step) -> Outcome:
    """Exactly one note an act: notes have no key, so the text's marker is looked for (Virtuous facts 11)."""
    if isinstance(await _look_note(crm, step), Done):
        return Nothing()
    body = {"contactId": number(step.payload["contact"]), "type": "General", "note": step.payload["text"]}
    made = await crm.api.write("POST", "/api/ContactNote", body | {"important": False, "private": False})
    return Done({"note": Reader(made or {}, []).id()})


async def _look_note(crm: Destination, step: Step) -> Outcome:
    marker = _marker(step.payload)
    path = f"/api/ContactNote/ByContact/{segment(step.payload['contact'])}"
    async for row in crm.api.pages(path, sortBy="Id", descending="true"):
        note = Reader(row, []).text("note")
        # Notes may come back as HTML.
        if marker in canonical.text(note) or marker in canonical.text(html.unescape(_TAG.sub(" ", note or ""))):
            return Done({"note": record_id(row.get("id"))})
    return _NOT_THERE


def _marker(payload: Mapping[str, Any]) -> str:
    """The bracketed end of the text, else the act's id if the text holds it, else all of it."""
    text, act = canonical.text(payload["text"]), str(payload.get("act") or "")
    if found := _MARKER.search(text):
        return found[1]
    return act if act and act in text else text


KINDS = {
    "submit": Kind(_submit, _look_submitted),
    "create": Kind(_create, _look_created),
    "link": Kind(_link, _look_link),
    "unlink": Kind(_unlink, _look_unlinked),
    "drop_phone": _taken_back(removal.drop_phone, removal.look_phone),
    "drop_address": _taken_back(removal.drop_address, removal.look_address),
    "set_person": _edited(edit.person),
    "set_email": _edited(edit.value("email")),
    "set_custom": Kind(_set_custom, _look_custom),
    "set_consent": _edited(edit.consent),
    "swap_email": Kind(_swap, _look_swap),
    "set_phone": _or_new("method", _edited(edit.value("phone")), Kind(_add_phone, _look_phone)),
    "set_address": _or_new("address", _edited(edit.address), Kind(_add_address, _look_address)),
    "add_tag": Kind(_add_tag, _look_tag),
    "remove_tag": Kind(_remove_tag, _look_tag),
    "note": Kind(_note, _look_note),
}
