"""Contact: reading, finding, creating, changing, archiving (Virtuous facts 7, 8, 11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keepstep_sandbox.http import Response, answer
from keepstep_sandbox.virtuous import people, shapes
from keepstep_sandbox.virtuous.calls import (
    Call,
    Refused,
    Route,
    boolean,
    custom_values,
    empty,
    objects,
    ready_body,
    replaced,
    required,
    text,
    typed,
    whole,
)
from keepstep_sandbox.virtuous.change import Change
from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.records import (
    BLANK_CONTACT,
    CONTACT_TYPES,
    CONTACT_WRITABLE,
    INDIVIDUAL_WRITABLE,
    METHOD_TYPES,
    Contact,
    Fields,
)


def readable(organization: Organization, contact: Contact | None) -> Contact:
    """The contact unless it is unknown, or archived or merged and the switches hide those."""
    if contact is None:
        raise Refused(404)
    merged = contact.fields["mergedIntoContactId"] is not None
    switch = "merged-read" if merged else "archived-read"
    if contact.hidden and organization.switches[switch] == "404":
        raise Refused(404)
    return contact


def get(call: Call) -> Response:
    contact = readable(call.organization, call.organization.contacts.get(call.number()))
    return ready_body(shapes.contact_body(contact, call.organization))


def get_by_reference(call: Call) -> Response:
    return _by_reference(call, call.place[0], call.place[1])


def find(call: Call) -> Response:
    """The reference wins where both are given (Virtuous facts 8)."""
    source, reference = call.query.get("referencesource"), call.query.get("referenceid")
    if source and reference:
        return _by_reference(call, source, reference)
    email = call.query.get("email")
    if not email:
        raise Refused(400, "An email or a reference is required.")
    owners = [method.owner for method in call.organization.with_email(email)]
    if not owners:
        raise Refused(404)
    oldest = call.organization.switches["find-shared-email"] == "oldest"
    owners.sort(key=lambda contact: contact.id if oldest else -contact.id)
    contact = readable(call.organization, owners[0])
    return ready_body(shapes.contact_body(contact, call.organization))


def _by_reference(call: Call, source: str, reference: str) -> Response:
    found = call.organization.with_reference(source, reference)
    contact = readable(call.organization, found[0] if found else None)
    return ready_body(shapes.contact_body(contact, call.organization))


def create(call: Call) -> Response:
    """No duplicate check; consent is taken as given (Virtuous facts 11)."""
    draft = _Draft(call.organization, call.body)
    change = call.change()
    contact = draft.build(change)
    effects = change.finish()
    return ready_body(shapes.contact_body(contact, call.organization), effects)


class _Draft:
    """The body of `POST /api/Contact`, read in full before anything is made."""

    def __init__(self, organization: Organization, body: Mapping[str, Any]) -> None:
        self.fields = typed(body, (*CONTACT_WRITABLE, "isArchived"))
        self.fields["contactType"] = contact_type(body)
        self.custom = allowed_custom(organization, custom_values(body))
        self.source, self.reference = text(body, "referenceSource"), text(body, "referenceId")
        self.addresses = [_address_draft(item) for item in objects(body, "contactAddresses")]
        self.people = [_person_draft(organization, item) for item in objects(body, "contactIndividuals")]
        self.organization = organization
        for _, _, methods in self.people:
            for method in methods:
                check_unshared(organization, method["type"], method["value"], None)

    def build(self, change: Change) -> Contact:
        given = {name: value for name, value in self.fields.items() if value is not None}
        contact = people.add_contact(change, given)
        # Each contact must have at least one person; the placeholder is the one seen live (Virtuous facts 7.1).
        for person, custom, methods in self.people or [({"firstName": "Default", "lastName": "Contact"}, {}, [])]:
            individual = people.add_individual(change, contact, person)
            change.set_custom(individual, custom)
            for method in methods:
                people.add_method(change, individual, method)
        for address in self.addresses:
            people.add_address(change, contact, address)
        if not given.get("name"):
            change.set(contact, {"name": contact.individuals[0].full_name()})
        if self.source and self.reference:
            change.refer(contact, self.source, self.reference)
        change.set_custom(contact, self.custom)
        return contact


def _person_draft(organization: Organization, item: Mapping[str, Any]) -> tuple[Fields, dict[str, str], list[Fields]]:
    fields = typed(item, (*INDIVIDUAL_WRITABLE, "isPrimary", "isSecondary"))
    given = {name: value for name, value in fields.items() if value is not None}
    custom = allowed_custom(organization, custom_values(item))
    return given, custom, [method_draft(method) for method in objects(item, "contactMethods")]


def allowed_custom(organization: Organization, values: dict[str, str]) -> dict[str, str]:
    """Values of a direct write: an unknown option is 400, left out or stored (switch unknown-option)."""
    wrong = organization.unknown_options(values)
    if not wrong or organization.switches["unknown-option"] == "stored":
        return values
    if organization.switches["unknown-option"] == "refused":
        raise Refused(400, "The value is not one of the options.", f"customFields.{wrong[0]}")
    return {name: value for name, value in values.items() if name not in wrong}


def method_draft(item: Mapping[str, Any]) -> Fields:
    """A method as POST Contact and POST ContactIndividual take it."""
    fields: Fields = {"type": method_type(item), "value": required(item, "value").strip()}
    for name in ("isOptedIn", "isPrimary"):
        value = boolean(item, name)
        if value is not None:
            fields[name] = value
    return fields


def method_type(values: Mapping[str, Any]) -> str:
    name = required(values, "type")
    if name not in METHOD_TYPES:
        raise Refused(400, "The contact method type is not valid.", "type")
    return name


def _address_draft(item: Mapping[str, Any]) -> Fields:
    fields = typed(item, ("label", "address1", "address2", "city", "postal", "isPrimary"))
    # Only this one model says stateCode and countryCode (Virtuous facts 11, 17).
    return fields | {"state": text(item, "stateCode"), "country": text(item, "countryCode")}


def contact_type(values: Mapping[str, Any]) -> str:
    name = required(values, "contactType")
    if name not in CONTACT_TYPES:
        raise Refused(400, "The contact type is not valid.", "contactType")
    return name


def check_unshared(organization: Organization, kind: str, value: str, own: int | None) -> None:
    """409 where the switch says that an e-mail address may belong to one contact only (Virtuous facts 5)."""
    if organization.switches["shared-email"] == "allowed" or not kind.endswith("Email"):
        return
    if any(method.owner.id != own for method in organization.with_email(value)):
        raise Refused(409, "The email address already exists on another contact.")


def update(call: Call) -> Response:
    """Only the contact's own fields; people, methods, addresses, tags and references are not in the model."""
    contact = call.organization.contacts.get(call.number())
    if contact is None:
        raise Refused(404)
    given = typed(call.body, CONTACT_WRITABLE)
    if given.get("contactType") is not None:
        contact_type(given)
    mode = call.organization.switches["put-contact"]
    kept = ("name", "contactType") if mode == "keep-name-and-type" else ()
    values = replaced(BLANK_CONTACT, given, CONTACT_WRITABLE, kept, mode == "patch")
    for name in ("contactType", "isPrivate"):
        if name in values and values[name] is None:
            values[name] = BLANK_CONTACT[name]
    custom = _put_custom(call, contact, mode)
    change = call.change()
    change.set(contact, values)
    change.set_custom(contact, custom)
    effects = call.written(change, contact)
    return ready_body(shapes.contact_body(contact, call.organization), effects)


def _put_custom(call: Call, contact: Contact, mode: str) -> dict[str, str]:
    """Named fields get their values. A field that a sent list omits is left alone, unless the PUT replaces; without any
    list all lose theirs, unless the PUT is a patch (Virtuous facts 6, 7.5)."""
    given = allowed_custom(call.organization, custom_values(call.body))
    keeps = mode == "patch" or (mode != "replace" and call.body.get("customFields") is not None)
    return given if keeps else dict.fromkeys(contact.custom, "") | given


def archive(call: Call) -> Response:
    return _set_archived(call, archived=True)


def unarchive(call: Call) -> Response:
    return _set_archived(call, archived=False)


def _set_archived(call: Call, *, archived: bool) -> Response:
    contact = call.organization.contacts.get(call.number())
    if contact is None:
        raise Refused(404)
    change = call.change()
    change.set(contact, {"isArchived": archived})
    return empty(call.written(change, contact))


def by_tag(call: Call) -> Response:
    """The contacts of one tag; an unknown tag is an empty list (Virtuous facts 5, 8)."""
    tag = call.organization.tags.get(call.number())
    found = [] if tag is None else [call.organization.contacts[number] for number in sorted(tag.contacts)]
    wanted = (call.query.get("filter") or "").casefold()
    rows = [contact for contact in found if not contact.hidden and _mentions(contact, wanted)]
    return call.listing(rows, shapes.abbreviated)


def search(call: Call) -> Response:
    """Partial match on names, e-mails and phones (Virtuous facts 8)."""
    wanted = required(call.body, "search").casefold()
    rows = [c for c in call.organization.contacts.values() if not c.hidden and _mentions(c, wanted)]
    return call.listing(rows, _search_row)


def _mentions(contact: Contact, wanted: str) -> bool:
    values = [contact.fields["name"] or "", *(person.full_name() for person in contact.individuals)]
    values += [method.fields["value"] for method in contact.methods()]
    return any(wanted in value.casefold() for value in values)


def _search_row(contact: Contact) -> dict[str, Any]:
    person = contact.individuals[0] if contact.individuals else None
    return {
        "individualId": None if person is None else person.id,
        **shapes.abbreviated(contact),
        "name": contact.fields["name"] if person is None else person.full_name(),
    }


def types(_: Call) -> Response:
    return answer(200, [{"parentType": parent, "type": name} for name, parent in CONTACT_TYPES.items()])


def custom_fields(call: Call) -> Response:
    """Definitions, which differ per organization (Virtuous facts 7.5)."""
    fields = call.organization.custom_fields.values()
    return answer(200, [shapes.custom_field(one, call.organization) for one in fields])


def prefixes(_: Call) -> Response:
    return answer(200, ["Dr.", "Mr.", "Mrs.", "Ms."])


def segment_by_code(call: Call) -> Response:
    """404 for an unknown code (Virtuous facts 10.1)."""
    segment = call.organization.segments.get(call.place[0])
    if segment is None:
        raise Refused(404)
    return answer(200, segment)


def current_organization(call: Call) -> Response:
    """The credential check (Virtuous facts 2)."""
    zone = call.organization.time_zone
    return answer(
        200,
        {
            "organizationUserId": 67001,
            "organizationName": call.organization.name,
            "organizationTimeZone": zone,
            "organizationCulture": "en-US",
            "currentUserTimeZone": zone,
            "isAdministrator": False,
            "isEnabled": call.organization.enabled,
        },
    )


def origin_segment(organization: Organization, values: Mapping[str, Any]) -> int | None:
    """The id of a planted segment by its code."""
    segment = organization.segments.get(text(values, "originSegmentCode") or "")
    return None if segment is None else whole(segment, "id")


ROUTES = (
    Route("GET", "Organization/Current", current_organization),
    Route("GET", "Contact/Find", find),
    Route("GET", "Contact/Types", types),
    Route("GET", "Contact/Prefixes", prefixes),
    Route("GET", "Contact/CustomFields", custom_fields),
    Route("GET", "Contact/{}", get),
    Route("PUT", "Contact/{}", update),
    Route("POST", "Contact", create),
    Route("POST", "Contact/Search", search),
    Route("PUT", "Contact/Archive/{}", archive),
    Route("PUT", "Contact/Unarchive/{}", unarchive),
    Route("GET", "Contact/ByTag/{}", by_tag),
    Route("GET", "Contact/{}/{}", get_by_reference),
    Route("GET", "Segment/Code/{}", segment_by_code),
)
