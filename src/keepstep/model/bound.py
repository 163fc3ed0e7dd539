"""Custom fields in play: which of them the route decides by, and what the audience side says of each."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from keepstep.model import canonical, custom
from keepstep.model.contact import AudienceContact
from keepstep.model.custom import LISTS, Binding
from keepstep.model.customer import Policy
from keepstep.model.party import Label

Values = dict[str, str | None]


def in_play(bindings: Iterable[Binding], labels: Iterable[Label], policy: Policy) -> dict[str, Binding]:
    """The bindings that the route decides by, by key. The lists are choices under the names that they have now."""
    names = {label.list_id: label.list_name for label in labels if label.kind == "list"}
    found = {}
    for one in bindings:
        lists = one.audience.field_id == LISTS
        wanted = policy.lists_to == "custom_field" if lists else policy.custom_fields == "by_name"
        if wanted and not one.paused:
            found[one.key] = replace(one, audience=replace(one.audience, choices=names)) if lists else one
    return found


def custom_values(contact: AudienceContact, bound: Mapping[str, Binding], policy: Policy) -> Values:
    """What the audience side says now of each custom field, raw, by key."""
    said = dict(contact.custom_fields)
    return {
        key: next(iter(lists_in_order(contact, one, policy)), None)
        if one.audience.field_id == LISTS
        else said.get(one.audience.field_id)
        for key, one in bound.items()
    }


def told_custom(contact: AudienceContact, bound: Mapping[str, Binding], policy: Policy) -> dict[str, str]:
    """What a creation tells the CRM, by the names that its fields have there."""
    values = custom_values(contact, bound, policy)
    told = {one.crm.field_id: custom.to_crm(one, values[key]) for key, one in bound.items()}
    return {name: value for name, value in told.items() if value}


def lists_in_order(contact: AudienceContact, lists: Binding, policy: Policy) -> list[str]:
    """The lists of a person that have a name, those of the configured precedence first, then by name."""
    names, wanted = lists.audience.choices, [canonical.text(name) for name in policy.lists_precedence]
    ranks = {name: rank for rank, name in reversed(list(enumerate(wanted)))}
    known = [one for one in contact.lists or () if one in names]
    return sorted(known, key=lambda one: (ranks.get(canonical.text(names[one]), len(ranks)), names[one], one))
