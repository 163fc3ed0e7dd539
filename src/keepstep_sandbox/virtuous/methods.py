"""ContactMethod: e-mail addresses and phones; the place of consent (Virtuous facts 7.3, 11)."""

from __future__ import annotations

from keepstep_sandbox.http import Response, answer
from keepstep_sandbox.virtuous import people, shapes
from keepstep_sandbox.virtuous.calls import Call, Refused, Route, boolean, empty, required, whole
from keepstep_sandbox.virtuous.contacts import check_unshared, method_type
from keepstep_sandbox.virtuous.records import METHOD_TYPES, Fields, Method


def get(call: Call) -> Response:
    return answer(200, shapes.method(_known(call)))


def types(_: Call) -> Response:
    return answer(200, list(METHOD_TYPES))


def create(call: Call) -> Response:
    """No idempotency: sent twice it is there twice."""
    number = whole(call.body, "contactIndividualId")
    individual = call.organization.individuals.get(number or 0)
    if individual is None:
        raise Refused(400, "The contact individual does not exist.", "contactIndividualId")
    fields: Fields = {"type": method_type(call.body), "value": required(call.body, "value").strip()}
    opted_in = boolean(call.body, "isOptedIn")
    if opted_in is not None:
        fields["isOptedIn"] = opted_in
    fields["isPrimary"] = bool(boolean(call.body, "setAsPrimary"))
    check_unshared(call.organization, fields["type"], fields["value"], individual.owner.id)
    change = call.change()
    method = people.add_method(change, individual, fields)
    effects = change.finish()
    return answer(200, shapes.method(method), effects)


def update(call: Call) -> Response:
    """The opt-out call. An omitted `isOptedIn` becomes false unless the PUT is a patch (switch put-method)."""
    method = _known(call)
    mode = call.organization.switches["put-method"]
    values = _update_values(call, mode == "patch")
    primary = boolean(call.body, "setAsPrimary")
    after = {**method.fields, **values}
    check_unshared(call.organization, after["type"], after["value"], method.owner.id)
    change = call.change()
    change.set(method, values)
    if primary:
        people.make_primary_method(change, method)
    elif mode == "replace" and primary is None:
        change.set(method, {"isPrimary": False})
    effects = call.written(change, method.owner)
    return answer(200, shapes.method(method), effects)


def _update_values(call: Call, patch: bool) -> Fields:
    opted_in = boolean(call.body, "isOptedIn")
    if not patch:
        kind, value = method_type(call.body), required(call.body, "value").strip()
        return {"type": kind, "value": value, "isOptedIn": bool(opted_in)}
    values: Fields = {}
    if call.body.get("type") is not None:
        values["type"] = method_type(call.body)
    if call.body.get("value") is not None:
        values["value"] = required(call.body, "value").strip()
    return values if opted_in is None else {**values, "isOptedIn": opted_in}


def delete(call: Call) -> Response:
    method = _known(call)
    change = call.change()
    change.drop_method(method)
    return empty(change.finish())


def archive(call: Call) -> Response:
    return _set_archived(call, archived=True)


def unarchive(call: Call) -> Response:
    return _set_archived(call, archived=False)


def _set_archived(call: Call, *, archived: bool) -> Response:
    method = _known(call)
    change = call.change()
    change.set(method, {"isArchived": archived})
    return empty(call.written(change, method.owner))


def _known(call: Call) -> Method:
    method = call.organization.methods.get(call.number())
    if method is None:
        raise Refused(404)
    return method


ROUTES = (
    Route("GET", "ContactMethod/Types", types),
    Route("GET", "ContactMethod/{}", get),
    Route("POST", "ContactMethod", create),
    Route("PUT", "ContactMethod/{}", update),
    Route("PUT", "ContactMethod/Archive/{}", archive),
    Route("PUT", "ContactMethod/Unarchive/{}", unarchive),
    Route("DELETE", "ContactMethod/{}", delete),
)
