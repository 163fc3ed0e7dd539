"""Who is this person in the CRM? Proof is our reference and the address together, or the address and the name.

Whatever proves less is parked with its reason, never guessed (design section 4, people and households).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from keepstep.model.canonical import email, text
from keepstep.model.contact import AudienceContact, CrmContact, Individual


@dataclass(frozen=True, slots=True)
class Match:
    """`confirmed`: reference and address. `same_person`: address and name, to be linked. `nobody`: may be created.

    `parked` and `wait` carry their reason.
    """

    verdict: Literal["confirmed", "same_person", "nobody", "parked", "wait"]
    reason: str = ""
    crm: CrmContact | None = None
    individual: Individual | None = None


def confirm(crm: CrmContact, source: str, contact: AudienceContact, addresses: Iterable[str | None]) -> Match:
    """Is this CRM contact, which should carry our reference, the person?

    A reference alone may be a fuzzy merge into the spouse. Of several who share the address it is the one of the name.
    """
    if (source, contact.record_id) not in crm.references:
        return Match("parked", "reference_gone", crm)
    wanted = {email(address) for address in addresses if address}
    found = [one for one in crm.individuals if _addresses(one) & wanted]
    if not found:
        return Match("parked", "reference_without_address", crm)
    named = [one for one in found if _names_fit(contact, one)]
    return Match("confirmed", crm=crm, individual=(named or found)[0])


def match(contact: AudienceContact, candidates: Iterable[CrmContact], source: str, taken: Mapping[str, str]) -> Match:
    """Settle a person nobody has linked yet.

    `taken` maps individuals (and `submission`) to the record that already holds them.
    """
    alive = {crm.record_id: crm for crm in candidates if not crm.merged_into}
    ours = [crm for crm in alive.values() if (source, contact.record_id) in crm.references]
    if len(ours) > 1:
        return Match("parked", "several_references")
    if ours:
        return confirm(ours[0], source, contact, (contact.email,))
    return _by_address(contact, list(alive.values()), taken)


def _by_address(contact: AudienceContact, alive: list[CrmContact], taken: Mapping[str, str]) -> Match:
    address = email(contact.email)
    holders = [(crm, one) for crm in alive for one in crm.individuals if address in _addresses(one)]
    if taken.get("submission", contact.record_id) != contact.record_id:
        return Match("wait", "address_held")
    if any(taken.get(one.record_id, contact.record_id) != contact.record_id for _, one in holders):
        return Match("wait", "address_held")
    if len({crm.record_id for crm, _ in holders}) > 1:
        return Match("parked", "several_matches")
    if not holders:
        return Match("nobody")
    return _by_name(contact, holders)


def _by_name(contact: AudienceContact, holders: list[tuple[CrmContact, Individual]]) -> Match:
    named = [(crm, one) for crm, one in holders if _names_fit(contact, one)]
    if not named:
        return Match("parked", "name_differs", holders[0][0])
    if len(named) > 1:
        return Match("parked", "several_people")
    crm, individual = named[0]
    return Match("parked", "archived", crm) if crm.archived else Match("same_person", crm=crm, individual=individual)


def _names_fit(contact: AudienceContact, one: Individual) -> bool:
    pairs = ((contact.last_name, one.last_name), (contact.first_name, one.first_name))
    return all(not here or not there or text(here).casefold() == text(there).casefold() for here, there in pairs)


def _addresses(one: Individual) -> set[str]:
    return {email(method.value) for method in one.methods if method.kind == "email"}
