"""Fields, three-way per field against what was seen: what changed on one side crosses, the owner wins a conflict.

Only towards the CRM: writes of fields to the audience side are a route's choice and off (design section 4).
An empty value never travels; an unmapped field is in no payload.
"""

from dataclasses import dataclass, replace

from keepstep.model.canonical import FIELDS, canonical, fits, same
from keepstep.model.change import Step, a_step
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Individual, Method, Side
from keepstep.model.customer import Policy
from keepstep.model.instant import Instant
from keepstep.model.party import Fields, Party, Person, address_parts, audience_fields, primary_first

NAMES = ("first_name", "last_name")


@dataclass(frozen=True, slots=True)
class Pair:
    """A linked person with what both sides say now. `mail`: the email method that stands for the person."""

    party: Party
    person: Person
    contact: AudienceContact
    crm: CrmContact
    individual: Individual
    mail: Method


@dataclass(frozen=True, slots=True)
class Compared:
    """The person as now seen, the writes that are wanted, the fields in conflict, and why a person must look at it."""

    person: Person
    steps: tuple[Step, ...] = ()
    conflicts: tuple[str, ...] = ()
    parked: str | None = None


def compare(pair: Pair, policy: Policy) -> Compared:
    """Decide every field of one linked person."""
    person, contact = pair.person, pair.contact
    if not contact.whole or contact.deleted or contact.consent is Consent.opted_out:
        return Compared(person)  # such a snapshot has an opinion on consent and deletion only
    here = audience_fields(contact)
    phone = phone_of(pair.individual, person, here["phone"], policy.phone_region)
    there = _crm_fields(pair, phone)
    verdicts = {field: _verdict(field, here, there, pair, policy) for field in FIELDS}
    settled = {field for field, verdict in verdicts.items() if verdict != "write"}
    person = replace(
        person,
        phone_method=phone.record_id if phone else None,
        audience=_seen(person.audience, here, settled),
        crm=_seen(person.crm, there, settled),
        moved=_moved(pair, there, verdicts, policy.phone_region),
    )
    pair = replace(pair, person=person)
    edited = verdicts["email"] == "keep" and bool(here["email"]) and not fits("email", here["email"], there["email"])
    return Compared(
        person,
        tuple(_writes(pair, here, there, verdicts)),
        tuple(field for field in FIELDS if verdicts[field] == "conflict"),
        "email_edited_in_crm" if edited else None,
    )


def mail_of(individual: Individual, person: Person, value: str | None) -> Method | None:
    """The email method that stands for a person: the one we know, else the one with the address."""
    ours = [method for method in individual.methods if method.kind == "email"]
    known = [method for method in ours if method.record_id == person.email_method]
    return next(iter((*known, *_carrying(ours, "email", value))), None)


def phone_of(individual: Individual, person: Person, value: str | None, region: str) -> Method | None:
    """The phone that stands for a person: the one we know, else the one with the number now or as seen before.

    The primary one stands in at first pairing only: when staff delete a phone, its next neighbour is another phone.
    """
    ours = [method for method in individual.methods if method.kind == "phone"]
    known = [method for method in ours if method.record_id == person.phone_method]
    first = sorted(ours, key=lambda method: not method.primary) if person.crm is None else []
    seen = (person.crm or {}).get("phone")
    same_number = (*_carrying(ours, "phone", value, region), *_carrying(ours, "phone", seen, region))
    return next(iter((*known, *same_number, *first)), None)


def _carrying(methods: list[Method], kind: str, value: str | None, region: str = "US") -> list[Method]:
    return [method for method in methods if value and same(kind, method.value, value, region)]


def _crm_fields(pair: Pair, phone: Method | None) -> Fields:
    return {
        "first_name": pair.individual.first_name,
        "last_name": pair.individual.last_name,
        "email": pair.mail.value,
        "phone": phone.value if phone else None,
        "address": address_parts(pair.crm.address) if pair.crm.address else None,
    }


def _verdict(field: str, here: Fields, there: Fields, pair: Pair, policy: Policy) -> str:
    """agreed; write (to the CRM); keep (what is there); conflict: both changed, and the CRM side owns the field."""
    region, person = policy.phone_region, pair.person
    owned = policy.owners.get(field, Side.crm) is Side.audience or field == "email"
    ours, theirs = here[field], there[field]
    if not canonical(field, ours, region):
        return "keep"  # fill-only: a clear does not travel
    if fits(field, ours, theirs, region):
        return "agreed"
    empty = not canonical(field, theirs, region)
    if field == "address" and not _speaks_for_household(pair):
        return "write" if empty and not _address_seen(pair.party) else "keep"
    if person.audience is None or person.crm is None:
        return "write" if empty or owned or (field == "address" and _filled_in(pair, theirs)) else "conflict"
    if same(field, ours, person.audience.get(field), region):
        return "keep"
    alone = same(field, theirs, person.crm.get(field), region) and not _overlaps(field, pair)
    return "write" if owned or alone else "conflict"


def _overlaps(field: str, pair: Pair) -> bool:
    """Was the CRM's last change seen before the audience side was last known to be otherwise? Then nobody can say which
    edit was the later one, and both count as changed."""
    moved, otherwise = pair.person.moved.get(field), pair.contact.previous_at
    return moved is not None and otherwise is not None and otherwise < moved


def _moved(pair: Pair, there: Fields, verdicts: dict[str, str], region: str) -> dict[str, Instant]:
    """When each field was last seen changed on the CRM side by somebody else."""
    seen = pair.person.crm or {}
    kept = [field for field in seen if verdicts.get(field) in ("keep", "conflict")]
    changed = [field for field in kept if not same(field, there[field], seen[field], region)]
    return {**pair.person.moved, **dict.fromkeys(changed, pair.crm.read_at)}


def _speaks_for_household(pair: Pair) -> bool:
    alive = [one.record_id for one in primary_first(pair.party, pair.crm) if not one.deleted]
    return alive[:1] == [pair.person.record_id]


def _filled_in(pair: Pair, theirs: Fields) -> bool:
    """Did another member fill the household's empty address before its first person was linked? That one's stands then,
    whoever of them was linked first."""
    others = [one for one in pair.party.people if one.filled and one.record_id != pair.person.record_id]
    return any(same("address", theirs, (one.crm or {}).get("address")) for one in others)


def _address_seen(party: Party) -> bool:
    """An address that was there and is gone was cleared by staff: other members do not fill it again."""
    return any(one.crm and canonical("address", one.crm.get("address")) for one in party.people)


def _seen(base: Fields | None, now: Fields, settled: set[str]) -> Fields:
    """What is settled becomes seen; a field whose write is still wanted keeps its base until the write is done."""
    old = base or {}
    return {field: now[field] if field in settled else old.get(field) for field in FIELDS}


def _writes(pair: Pair, here: Fields, there: Fields, verdicts: dict[str, str]) -> list[Step]:
    wanted = {field for field, verdict in verdicts.items() if verdict == "write"}
    steps = []
    if not wanted.isdisjoint(NAMES):
        names = {field: here[field] if field in wanted else None for field in NAMES}
        steps.append(_write(pair, "set_person", {**names, "was": {field: there[field] for field in NAMES}}))
    if "email" in wanted:
        payload = {"method": pair.mail.record_id, "value": here["email"], "was": there["email"]}
        steps.append(_write(pair, "set_email", payload))
    if "phone" in wanted:
        phone = {"method": pair.person.phone_method, "kind": here["phone_kind"]}
        steps.append(_write(pair, "set_phone", {**phone, "value": here["phone"], "was": there["phone"]}))
    if "address" in wanted:
        place = {"address": pair.crm.address.record_id if pair.crm.address else None, "kind": here["address_kind"]}
        # One household, one address: of two members who would fill it, the first one does.
        payload = {**place, **here["address"], "was": there["address"]}
        steps.append(_write(pair, "set_address", payload, target="set_address"))
    return steps


def _write(pair: Pair, kind: str, payload: Fields, target: str | None = None) -> Step:
    common = {"contact": pair.crm.record_id, "individual": pair.person.individual}
    return a_step(pair.party.party_id, pair.person.record_id, kind, {**common, **payload}, target=target)
