"""ContactNote (Virtuous facts 11)."""

from __future__ import annotations

from typing import Any

from keepstep_sandbox.http import Response, answer
from keepstep_sandbox.virtuous import shapes
from keepstep_sandbox.virtuous.calls import Call, Refused, Route, boolean, empty, required, text, whole
from keepstep_sandbox.virtuous.records import BLANK_NOTE, Fields, Note

# Live this is an object, not a list (Virtuous facts 11).
TYPES = {
    "general": "General", "call": "Call", "textMessage": "Text Message", "letter": "Letter",
    "directMail": "Direct Mail", "socialMedia": "Social Media", "email": "Email", "inPerson": "In Person",
    "event": "Event", "alert": "Alert", "thankYou": "Thank You",
}  # fmt: skip
SORTS = {
    "id": lambda note: note.id,
    "notedate": lambda note: (note.fields["noteDateTime"] or "", note.id),
    "createddatetime": lambda note: (note.created, note.id),
}


def create(call: Call) -> Response:
    """No idempotency: sent twice it is there twice (Virtuous facts 11)."""
    contact = call.organization.contacts.get(whole(call.body, "contactId") or 0)
    if contact is None:
        raise Refused(400, "The contact does not exist.", "contactId")
    values = _values(call.body)
    change = call.change()
    default = {"noteDateTime": shapes.stamp(call.now)}
    given = {name: value for name, value in values.items() if value is not None}
    note = change.new_note(contact, {**BLANK_NOTE, **default, **given})
    effects = change.finish()
    return answer(200, shapes.note(note), effects)


def _values(body: dict[str, Any]) -> Fields:
    kind = required(body, "type")
    if kind not in TYPES.values():
        raise Refused(400, "The note type is not valid.", "type")
    return {
        "type": kind,
        "note": required(body, "note"),
        "noteDateTime": text(body, "noteDateTime"),
        "important": bool(boolean(body, "important")),
        "private": bool(boolean(body, "private")),
        "timeSpent": whole(body, "timeSpent"),
    }


def get(call: Call) -> Response:
    return answer(200, shapes.note(_known(call)))


def by_contact(call: Call) -> Response:
    return _listing(call, important=False)


def important_by_contact(call: Call) -> Response:
    return _listing(call, important=True)


def _listing(call: Call, important: bool) -> Response:
    contact = call.organization.contacts.get(call.number())
    notes = [] if contact is None else [n for n in contact.notes if n.fields["important"] or not important]
    sort = SORTS.get((call.query.get("sortby") or "Id").lower())
    if sort is None:
        raise Refused(400, "An error has occurred.", "sortBy")
    notes.sort(key=sort, reverse=(call.query.get("descending") or "").lower() == "true")
    return call.listing(notes, shapes.note)


def update(call: Call) -> Response:
    note = _known(call)
    values = _values(call.body)
    change = call.change()
    before = note.modified
    change.set(note, values)
    if note.modified != before:
        change.note_changed(note)
    effects = change.finish()
    return answer(200, shapes.note(note), effects)


def delete(call: Call) -> Response:
    note = _known(call)
    change = call.change()
    change.drop_note(note)
    return empty(change.finish())


def types(_: Call) -> Response:
    return answer(200, TYPES)


def _known(call: Call) -> Note:
    note = call.organization.notes.get(call.number())
    if note is None:
        raise Refused(404)
    return note


ROUTES = (
    Route("GET", "ContactNote/Types", types),
    Route("GET", "ContactNote/ByContact/{}", by_contact),
    Route("GET", "ContactNote/Important/ByContact/{}", important_by_contact),
    Route("GET", "ContactNote/{}", get),
    Route("POST", "ContactNote", create),
    Route("PUT", "ContactNote/{}", update),
    Route("DELETE", "ContactNote/{}", delete),
)
