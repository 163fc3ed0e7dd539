"""Tag, ContactTag and ContactReference: what hangs on the contact, not on a person (Virtuous facts 7.5, 11)."""

from __future__ import annotations

from keepstep_sandbox.http import Response, answer
from keepstep_sandbox.virtuous import shapes
from keepstep_sandbox.virtuous.calls import Call, Refused, Route, empty, required, text, whole
from keepstep_sandbox.virtuous.records import Contact


def every(call: Call) -> Response:
    return call.listing(list(call.organization.tags.values()), shapes.tag)


def search(call: Call) -> Response:
    """A substring match without regard to case (Virtuous facts 11)."""
    wanted = (text(call.body, "search") or "").casefold()
    found = [tag for tag in call.organization.tags.values() if wanted in tag.name.casefold()]
    return call.listing(found, shapes.tag)


def by_contact(call: Call) -> Response:
    contact = call.organization.contacts.get(call.number())
    joins = [] if contact is None else list(contact.tags.values())
    return call.listing(joins, shapes.join)


def add(call: Call) -> Response:
    """Adding a tag twice returns the join that is there (switch tag-twice)."""
    tag = call.organization.tags.get(whole(call.body, "tagId") or 0)
    if tag is None:
        raise Refused(400, "The tag does not exist.", "tagId")
    contact = _contact(call)
    if tag.id in contact.tags and call.organization.switches["tag-twice"] == "400":
        raise Refused(400, "The contact already has this tag.")
    change = call.change()
    join = change.tag(contact, tag)
    effects = call.written(change, contact)
    return answer(200, shapes.join(join), effects)


def remove(call: Call) -> Response:
    """By the id of the join, not of the tag (Virtuous facts 11)."""
    join = call.organization.joins.get(call.number())
    if join is None:
        raise Refused(404)
    change = call.change()
    change.untag(join)
    return empty(change.finish())


def refer(call: Call) -> Response:
    """Link a contact to an external id; one id on two contacts is refused or moves (switch reference-clash)."""
    contact = _contact(call)
    source, reference = required(call.body, "referenceSource"), required(call.body, "referenceId")
    others = [c for c in call.organization.with_reference(source, reference) if c is not contact]
    if others and call.organization.switches["reference-clash"] == "400":
        raise Refused(400, "The reference already exists on another contact.")
    change = call.change()
    for other in others:
        change.unrefer(other, source, reference)
    change.refer(contact, source, reference)
    return empty(call.written(change, contact))


def unrefer(call: Call) -> Response:
    source, reference = call.place[0], call.query.get("referenceid") or ""
    contacts = call.organization.with_reference(source, reference)
    if not contacts:
        raise Refused(400, "The reference does not exist.")
    change = call.change()
    for contact in contacts:
        change.unrefer(contact, source, reference)
    return empty(change.finish())


def _contact(call: Call) -> Contact:
    contact = call.organization.contacts.get(whole(call.body, "contactId") or 0)
    if contact is None:
        raise Refused(400, "The contact does not exist.", "contactId")
    return contact


ROUTES = (
    Route("GET", "Tag", every),
    Route("POST", "Tag/Search", search),
    Route("GET", "ContactTag/ByContact/{}", by_contact),
    Route("POST", "ContactTag", add),
    Route("DELETE", "ContactTag/{}", remove),
    Route("POST", "ContactReference", refer),
    Route("DELETE", "ContactReference/{}", unrefer),
)
