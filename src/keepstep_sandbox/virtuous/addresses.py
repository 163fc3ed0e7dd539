"""ContactAddress (Virtuous facts 7.4, 11)."""

from __future__ import annotations

from keepstep_sandbox.http import Response, answer
from keepstep_sandbox.virtuous import people, shapes
from keepstep_sandbox.virtuous.calls import Call, Refused, Route, boolean, empty, replaced, typed, whole
from keepstep_sandbox.virtuous.records import ADDRESS_WRITABLE, BLANK_ADDRESS, Address


def get(call: Call) -> Response:
    return answer(200, shapes.address(_known(call)))


def by_contact(call: Call) -> Response:
    """A bare array; an unknown contact has none."""
    contact = call.organization.contacts.get(call.number())
    live = [] if contact is None else [a for a in contact.addresses if not a.fields["isArchived"]]
    return answer(200, [shapes.address(address) for address in live])


def create(call: Call) -> Response:
    number = whole(call.body, "contactId")
    contact = call.organization.contacts.get(number or 0)
    if contact is None:
        raise Refused(400, "The contact does not exist.", "contactId")
    values = typed(call.body, ADDRESS_WRITABLE)
    values["isPrimary"] = bool(boolean(call.body, "setAsPrimary"))
    change = call.change()
    address = people.add_address(change, contact, values)
    effects = change.finish()
    return answer(200, shapes.address(address), effects)


def update(call: Call) -> Response:
    """An omitted part is lost (switch put-address)."""
    address = _known(call)
    patch = call.organization.switches["put-address"] == "patch"
    values = replaced(BLANK_ADDRESS, typed(call.body, ADDRESS_WRITABLE), ADDRESS_WRITABLE, (), patch)
    if "country" in values:
        values["country"] = people.country(call.organization, values["country"])
    primary = boolean(call.body, "setAsPrimary")
    change = call.change()
    change.set(address, values)
    if primary:
        people.make_primary_address(change, address)
    effects = call.written(change, address.owner)
    return answer(200, shapes.address(address), effects)


def delete(call: Call) -> Response:
    address = _known(call)
    change = call.change()
    change.drop_address(address)
    return empty(change.finish())


def archive(call: Call) -> Response:
    return _set_archived(call, archived=True)


def unarchive(call: Call) -> Response:
    return _set_archived(call, archived=False)


def _set_archived(call: Call, *, archived: bool) -> Response:
    address = _known(call)
    change = call.change()
    change.set(address, {"isArchived": archived})
    return empty(call.written(change, address.owner))


def _known(call: Call) -> Address:
    address = call.organization.addresses.get(call.number())
    if address is None:
        raise Refused(404)
    return address


ROUTES = (
    Route("GET", "ContactAddress/ByContact/{}", by_contact),
    Route("GET", "ContactAddress/{}", get),
    Route("POST", "ContactAddress", create),
    Route("PUT", "ContactAddress/{}", update),
    Route("PUT", "ContactAddress/Archive/{}", archive),
    Route("PUT", "ContactAddress/Unarchive/{}", unarchive),
    Route("DELETE", "ContactAddress/{}", delete),
)
