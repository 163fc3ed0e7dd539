"""Contact/Query and Contact/Query/FullContact (Virtuous facts 9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from keepstep_sandbox.http import Response, answer
from keepstep_sandbox.virtuous import shapes
from keepstep_sandbox.virtuous.calls import Call, Refused, Route, boolean, joined_bodies, objects, text
from keepstep_sandbox.virtuous.conditions import DATE, INT, LIST, OPERATORS, TEXT, YES, Condition, Predicate, compiled
from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.records import Contact

GROUPS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing to ask for; `read` gives every value a contact has for it."""

    name: str
    kind: str
    read: Callable[[Contact], Iterable[Any]]
    options: tuple[str, ...] = ()


def _own(name: str) -> Callable[[Contact], Iterable[Any]]:
    return lambda contact: (contact.fields[name],)


def _of_people(name: str) -> Callable[[Contact], Iterable[Any]]:
    return lambda contact: [person.fields[name] for person in contact.individuals]


def _of_methods(family: str) -> Callable[[Contact], Iterable[Any]]:
    return lambda contact: [m.fields["value"] for m in contact.methods() if m.family() == family]


def _of_addresses(name: str) -> Callable[[Contact], Iterable[Any]]:
    return lambda contact: [a.fields[name] for a in contact.addresses if not a.fields["isArchived"]]


PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        Parameter("Contact Id", INT, lambda contact: (contact.id,)),
        Parameter("Contact Name", TEXT, _own("name")),
        Parameter("Contact Type", LIST, _own("contactType")),
        Parameter("First Name", TEXT, _of_people("firstName")),
        Parameter("Last Name", TEXT, _of_people("lastName")),
        Parameter("Email Address", TEXT, _of_methods("email")),
        Parameter("Phone Number", TEXT, _of_methods("phone")),
        Parameter("Address Line 1", TEXT, _of_addresses("address1")),
        Parameter("Address Line 2", TEXT, _of_addresses("address2")),
        Parameter("City", TEXT, _of_addresses("city")),
        Parameter("State", TEXT, _of_addresses("state")),
        Parameter("Postal", TEXT, _of_addresses("postal")),
        Parameter("Country", TEXT, _of_addresses("country")),
        Parameter("Create Date", DATE, lambda contact: (contact.created,)),
        Parameter("Last Modified Date", DATE, lambda contact: (contact.modified,)),
        Parameter("Tags", LIST, lambda contact: [join.tag.name for join in contact.tags.values()]),
        Parameter("Private", YES, _own("isPrivate")),
    )
}


def _last_name(contact: Contact) -> str:
    return str(contact.individuals[0].fields["lastName"] or "").casefold() if contact.individuals else ""


# The spellings seen live differ from the parameters' names (Virtuous facts 9).
SORTS: dict[str, Callable[[Contact], Any]] = {
    "Id": lambda contact: contact.id,
    "Contact Id": lambda contact: contact.id,
    "Name": lambda contact: (str(contact.fields["name"] or "").casefold(), contact.id),
    "Contact Name": lambda contact: (str(contact.fields["name"] or "").casefold(), contact.id),
    "lastName": lambda contact: (_last_name(contact), contact.id),
    "Last Name": lambda contact: (_last_name(contact), contact.id),
    "Create Date": lambda contact: (contact.created, contact.id),
    "CreatedDateTime": lambda contact: (contact.created, contact.id),
    "Create DateTime UTC": lambda contact: (contact.created, contact.id),
    "Last Modified Date": lambda contact: (contact.modified, contact.id),
}


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions that must all hold. `ids` are the only contacts that can, where an index knows them."""

    ids: frozenset[int] | None
    predicates: tuple[Predicate, ...]

    def holds(self, contact: Contact) -> bool:
        if self.ids is not None and contact.id not in self.ids:
            return False
        return all(predicate(contact) for predicate in self.predicates)


def full(call: Call) -> Response:
    """Whole contacts, from ready-made JSON."""
    rows, total = _page(call)
    return joined_bodies([shapes.contact_body(contact, call.organization) for contact in rows], total)


def short(call: Call) -> Response:
    """Abbreviated rows (Virtuous facts 7.7)."""
    rows, total = _page(call)
    return answer(200, {"list": [shapes.abbreviated(contact) for contact in rows], "total": total})


def options(call: Call) -> Response:
    """What may be asked; it differs per organization (Virtuous facts 9)."""
    return _offered(tuple(name for name in PARAMETERS if _known(call, name)))


@lru_cache(maxsize=8)
def _offered(names: tuple[str, ...]) -> Response:
    listed = [_option(PARAMETERS[name]) for name in names]
    every = {option["operator"]: option for item in listed for option in item["operatorOptions"]}
    return answer(200, {"options": listed, "operatorOptions": list(every.values())})


def _option(parameter: Parameter) -> dict[str, Any]:
    operators = [
        {"operator": name, "multipleValuesAllowed": many, "valueRequired": needed}
        for name, (many, needed) in OPERATORS[parameter.kind].items()
    ]
    return {
        "parameter": parameter.name,
        "type": parameter.kind,
        "operatorOptions": operators,
        "valueOptions": list(parameter.options),
    }


def _page(call: Call) -> tuple[list[Contact], int]:
    """No snapshot: every page is taken from the records as they are now."""
    skip, take = call.page()
    found = _sorted(call, _matching(call))
    return found[skip : skip + take], len(found)


def _sorted(call: Call, found: list[Contact]) -> list[Contact]:
    name = text(call.body, "sortBy") or "Id"
    sort = SORTS.get(name)
    if sort is None:
        raise Refused(400, f"{name} is not a valid sort", "sortBy")
    descending = bool(boolean(call.body, "descending"))
    if name != "Id" or descending:
        found.sort(key=sort, reverse=descending)
    return found


def _matching(call: Call) -> list[Contact]:
    """In the order of ids. Groups are OR-ed; none at all means everything (Virtuous facts 9)."""
    contacts = call.organization.contacts
    archived = bool(boolean(call.body, "includeArchived"))
    groups = [_group(call, group) for group in _group_list(call)]
    candidates: Iterable[Contact] = contacts.values()
    if groups and all(group.ids is not None for group in groups):
        simple = {number for group in groups if not group.predicates for number in group.ids or ()}
        groups = [group for group in groups if group.predicates]
        numbers = simple.union(*(group.ids or frozenset() for group in groups))
        chosen = [contacts[number] for number in sorted(numbers) if number in contacts]
        keep = [c for c in chosen if c.id in simple or any(group.holds(c) for group in groups)]
        return [contact for contact in keep if archived or not contact.hidden]
    return [
        contact
        for contact in candidates
        if (archived or not contact.hidden) and (not groups or any(group.holds(contact) for group in groups))
    ]


def _group_list(call: Call) -> list[dict[str, Any]]:
    groups = objects(call.body, "groups")
    if len(groups) > GROUPS_MAX:
        raise Refused(400, f"There must not be more than {GROUPS_MAX} groups.", "groups")
    return groups


def _group(call: Call, group: dict[str, Any]) -> Group:
    ids: frozenset[int] | None = None
    predicates: list[Predicate] = []
    for raw in objects(group, "conditions"):
        condition = Condition(text(raw, "parameter") or "", text(raw, "operator") or "", raw)
        parameter = PARAMETERS.get(condition.parameter)
        if parameter is None or not _known(call, parameter.name):
            raise Refused(400, f"{condition.parameter} is not a valid parameter", "groups.conditions.parameter")
        predicate = compiled(condition, parameter.kind, parameter.read, call.organization, call.now)
        known = _from_index(call.organization, condition)
        if known is None:
            predicates.append(predicate)
        else:
            ids = known if ids is None else ids & known
    return Group(ids, tuple(predicates))


def _known(call: Call, name: str) -> bool:
    """Not every organization had Last Modified Date (Virtuous facts 9)."""
    return name != "Last Modified Date" or call.organization.switches["modified-parameter"] == "present"


def _from_index(organization: Organization, condition: Condition) -> frozenset[int] | None:
    """The contacts for which an equality on id or e-mail address holds, without a scan."""
    if condition.operator != "Is":
        return None
    if condition.parameter == "Contact Id":
        return frozenset((int(condition.text("value")),))
    if condition.parameter == "Email Address":
        return frozenset(method.owner.id for method in organization.with_email(condition.text("value")))
    return None


ROUTES = (
    Route("POST", "Contact/Query", short),
    Route("POST", "Contact/Query/FullContact", full),
    Route("GET", "Contact/QueryOptions", options),
)
