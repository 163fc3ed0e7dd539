"""Who is this person in the CRM? Proof is our reference and the address together, or the address and the name.

Whatever proves less is parked with its reason, never guessed (design section 4, people and households). Every verdict
carries its evidence and the other candidates with theirs; a score puts them in order and links nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from keepstep.model.canonical import email
from keepstep.model.contact import AudienceContact, CrmContact, Individual
from keepstep.model.likeness import Likeness, addresses, evidence, named, of_phone, score

# With the address these prove that it is the person: a contact without a name is nobody else than its address.
PROVEN = ("name_equal", "name_fits", "name_missing")
# These may be somebody else of the family: they prove it with a mobile number of that individual's own besides.
ALIKE = ("name_initial", "name_nickname", "name_swapped", "name_part")

Holder = tuple[CrmContact, Individual]


@dataclass(frozen=True, slots=True)
class Match:
    """`confirmed`: reference and address. `same_person`: address and name, to be linked. `nobody`: may be created.

    `parked` and `wait` carry their reason. `compared`: every candidate, the one that is meant first, then by score.
    """

    verdict: Literal["confirmed", "same_person", "nobody", "parked", "wait"]
    reason: str = ""
    crm: CrmContact | None = None
    individual: Individual | None = None
    compared: tuple[Likeness, ...] = ()


def confirm(
    crm: CrmContact, source: str, contact: AudienceContact, sent: Iterable[str | None], region: str = "US"
) -> Match:
    """Is this CRM contact, which should carry our reference, the person? `sent`: addresses that will do.

    A reference alone may be a fuzzy merge into the spouse. Of several who share the address it is the one of the name.
    """
    wanted = [address for address in sent if address]
    found = _confirmed(crm, source, contact, wanted)
    return _explained(found, contact, [crm], source, region, wanted)


def _confirmed(crm: CrmContact, source: str, contact: AudienceContact, wanted: Sequence[str]) -> Match:
    if (source, contact.record_id) not in crm.references:
        return Match("parked", "reference_gone", crm)
    holders = [one for one in crm.individuals if addresses(one) & {email(address) for address in wanted}]
    if not holders:
        return Match("parked", "reference_without_address", crm)
    words = {one.record_id: named(contact, one) for one in holders}
    proven = [one for one in holders if words[one.record_id] in PROVEN]
    alike = [one for one in holders if words[one.record_id] in (*PROVEN, *ALIKE)]
    for some in (holders, proven, alike):
        if len(some) == 1:
            return Match("confirmed", crm=crm, individual=some[0])
    return Match("parked", "several_people", crm)


def match(
    contact: AudienceContact,
    candidates: Iterable[CrmContact],
    source: str,
    taken: Mapping[str, str],
    region: str = "US",
) -> Match:
    """Settle a person nobody has linked yet.

    `taken` maps individuals (and `submission`) to the record that already holds them.
    """
    found = {crm.record_id: crm for crm in candidates}
    alive = {key: crm for key, crm in found.items() if not crm.merged_into}
    ours = [crm for crm in alive.values() if (source, contact.record_id) in crm.references]
    if len(ours) == 1:
        verdict = _confirmed(ours[0], source, contact, [contact.email or ""])
    else:
        verdict = Match("parked", "several_references") if ours else _by_address(contact, found, alive, taken, region)
    return _explained(verdict, contact, list(found.values()), source, region)


# --- the address, then the name --------------------------------------------------------------------------------------


def _by_address(
    contact: AudienceContact,
    found: Mapping[str, CrmContact],
    alive: Mapping[str, CrmContact],
    taken: Mapping[str, str],
    region: str,
) -> Match:
    holders = _holders(contact, alive.values())
    if any(taken.get(key, contact.record_id) != contact.record_id for key in ("submission", *_ids(holders))):
        return Match("wait", "address_held")
    # Staff archive a duplicate and keep the other one: whoever is not archived goes first.
    live = [(crm, one) for crm, one in holders if not crm.archived] or holders
    if len({crm.record_id for crm, _ in live}) > 1:
        return Match("parked", "several_matches")
    if live:
        return _by_name(contact, live, region)
    left = [crm for crm, _ in _holders(contact, found.values()) if crm.merged_into not in alive]
    return Match("parked", "survivor_unknown", left[0]) if left else Match("nobody")


def _holders(contact: AudienceContact, some: Iterable[CrmContact]) -> list[Holder]:
    address = email(contact.email)
    return [(crm, one) for crm in some for one in crm.individuals if address in addresses(one)]


def _ids(holders: Sequence[Holder]) -> list[str]:
    return [one.record_id for _, one in holders]


def _by_name(contact: AudienceContact, holders: Sequence[Holder], region: str) -> Match:
    """Of those who hold the address the one of the name, if nobody else of that contact bears it."""
    fitting = [(crm, one) for crm, one in holders if named(contact, one) in (*PROVEN, *ALIKE)]
    if not fitting:
        return Match("parked", "name_differs", holders[0][0])
    best = [pair for pair in fitting if named(contact, pair[1]) in PROVEN] or fitting
    crm, individual = best[0]
    if len(best) > 1 or _has_namesake(contact, crm, individual):
        return Match("parked", "several_people", crm)
    if named(contact, individual) in ALIKE and of_phone(contact, crm, individual, region) != "mobile":
        return Match("parked", "name_differs", crm)
    if crm.archived:
        return Match("parked", "archived", crm)
    return Match("parked", "deceased", crm) if individual.deceased else Match("same_person", "", crm, individual)


def _has_namesake(contact: AudienceContact, crm: CrmContact, individual: Individual) -> bool:
    """Does somebody else of the household bear the name, such as a father and a son? Who has no name has none."""
    words = ("name_equal", "generation_differs")
    others = [one for one in crm.individuals if one is not individual and not one.deceased]
    return any(named(contact, one) in words for one in others)


# --- the explanation -------------------------------------------------------------------------------------------------


def _explained(
    verdict: Match,
    contact: AudienceContact,
    candidates: Sequence[CrmContact],
    source: str,
    region: str,
    sent: Sequence[str] = (),
) -> Match:
    rows = []
    for crm in candidates:
        for one in crm.individuals:
            words = evidence(contact, crm, one, source, region, sent)
            row = Likeness(contact=crm.record_id, individual=one.record_id, evidence=words, score=score(words))
            rows.append(row if one is verdict.individual else replace(row, why_not=why_not(row, crm, one)))
    meant = verdict.individual.record_id if verdict.individual else None
    rows.sort(key=lambda row: (row.individual != meant, -row.score, row.contact, row.individual))
    return replace(verdict, compared=tuple(rows))


def why_not(row: Likeness, crm: CrmContact, one: Individual) -> tuple[str, ...]:
    """What keeps a candidate from being taken for the person, as words."""
    found = {
        "no_address": not any(word.startswith("address_") for word in row.evidence),
        **{word: word in row.evidence for word in (*ALIKE, "generation_differs", "name_differs", "placeholder")},
        "archived": crm.archived,
        "merged": bool(crm.merged_into),
        "deceased": one.deceased,
    }
    return tuple(word for word, speaks in found.items() if speaks)
