"""ContactIndividual: the people of a contact (Virtuous facts 7.2, 11)."""

from __future__ import annotations

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
    replaced,
    typed,
    whole,
)
from keepstep_sandbox.virtuous.change import Change
from keepstep_sandbox.virtuous.contacts import allowed_custom, check_unshared, method_draft, readable
from keepstep_sandbox.virtuous.records import BLANK_INDIVIDUAL, INDIVIDUAL_WRITABLE, Individual


def get(call: Call) -> Response:
    return answer(200, _shape(call, _known(call)))


def by_contact(call: Call) -> Response:
    """A bare array; an unknown contact has nobody (Virtuous facts 5, 8)."""
    contact = call.organization.contacts.get(call.number())
    return answer(200, [] if contact is None else [_shape(call, person) for person in contact.individuals])


def find(call: Call) -> Response:
    """The person with this e-mail address (Virtuous facts 8)."""
    email = call.query.get("email")
    if not email:
        raise Refused(400, "An email is required.")
    found = [method.individual for method in call.organization.with_email(email)]
    if not found:
        raise Refused(404)
    oldest = call.organization.switches["find-shared-email"] == "oldest"
    found.sort(key=lambda person: person.owner.id if oldest else -person.owner.id)
    readable(call.organization, found[0].owner)
    return answer(200, _shape(call, found[0]))


def create(call: Call) -> Response:
    number = whole(call.body, "contactId")
    contact = call.organization.contacts.get(number or 0)
    if contact is None:
        raise Refused(400, "The contact does not exist.", "contactId")
    fields = typed(call.body, INDIVIDUAL_WRITABLE)
    given = {name: value for name, value in fields.items() if value is not None}
    methods = [method_draft(item) for item in objects(call.body, "contactMethods")]
    for method in methods:
        check_unshared(call.organization, method["type"], method["value"], contact.id)
    custom = allowed_custom(call.organization, custom_values(call.body))
    ranks = _ranks(call.body)
    change = call.change()
    individual = people.add_individual(change, contact, given)
    _rank(change, individual, *ranks)
    change.set_custom(individual, custom)
    for method in methods:
        people.add_method(change, individual, method)
    effects = change.finish()
    return answer(200, _shape(call, individual), effects)


def update(call: Call) -> Response:
    """An omitted property loses its value, or keeps it (switch put-individual); methods are not in the model."""
    individual = _known(call)
    given = typed(call.body, INDIVIDUAL_WRITABLE)
    if given.get("isDeceased", False) is None:
        given["isDeceased"] = False
    patch = call.organization.switches["put-individual"] == "patch"
    values = replaced(BLANK_INDIVIDUAL, given, INDIVIDUAL_WRITABLE, (), patch)
    custom, ranks = allowed_custom(call.organization, custom_values(call.body)), _ranks(call.body)
    change = call.change()
    change.set(individual, values)
    _rank(change, individual, *ranks)
    change.set_custom(individual, custom)
    effects = call.written(change, individual.owner)
    return answer(200, _shape(call, individual), effects)


def delete(call: Call) -> Response:
    """The last person of a contact stays (Virtuous facts 7.1)."""
    individual = _known(call)
    if len(individual.owner.individuals) == 1:
        raise Refused(400, "A contact must have at least one individual.")
    change = call.change()
    contact = individual.owner
    change.drop_individual(individual)
    if individual.fields["isPrimary"]:
        people.make_primary_individual(change, contact.individuals[0])
    return empty(change.finish())


def _ranks(body: dict[str, Any]) -> tuple[bool, bool]:
    return bool(boolean(body, "setAsPrimary")), bool(boolean(body, "setAsSecondary"))


def _rank(change: Change, individual: Individual, primary: bool, secondary: bool) -> None:
    if primary:
        people.make_primary_individual(change, individual)
    if secondary:
        for other in individual.owner.individuals:
            change.set(other, {"isSecondary": other is individual})


def _known(call: Call) -> Individual:
    individual = call.organization.individuals.get(call.number())
    if individual is None:
        raise Refused(404)
    return individual


def _shape(call: Call, individual: Individual) -> dict[str, Any]:
    return shapes.individual(individual, call.organization)


def custom_fields(call: Call) -> Response:
    fields = call.organization.custom_fields.values()
    return answer(200, [shapes.custom_field(one, call.organization) for one in fields])


ROUTES = (
    Route("GET", "ContactIndividual/Find", find),
    Route("GET", "ContactIndividual/CustomFields", custom_fields),
    Route("GET", "ContactIndividual/ByContact/{}", by_contact),
    Route("GET", "ContactIndividual/{}", get),
    Route("POST", "ContactIndividual", create),
    Route("PUT", "ContactIndividual/{}", update),
    Route("DELETE", "ContactIndividual/{}", delete),
)
