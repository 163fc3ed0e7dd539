"""Fields, three-way per field against what was seen: what changed on one side crosses, the owner wins a conflict.

Towards the CRM; what a route writes back to the audience side is decided by the same comparison, see toward.py.
An empty value never travels; an unmapped field is in no payload. Address and custom fields hang on the household: they
travel with its first person, and the others only fill what is empty.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from keepstep.model import canonical, custom, toward
from keepstep.model.bound import Values, custom_values, in_play, lists_in_order
from keepstep.model.canonical import FIELDS
from keepstep.model.change import Step, a_step
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Individual, Method, Side
from keepstep.model.custom import LISTS, Binding
from keepstep.model.customer import Policy
from keepstep.model.instant import Instant
from keepstep.model.membership import without_list
from keepstep.model.parts import in_parts
from keepstep.model.party import Fields, Label, Party, Person, address_parts, audience_fields, primary_first

NAMES = ("first_name", "last_name")
# Verdicts that leave the base as it is.
UNSETTLED = ("write", "withheld", "back", "lost")


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
    """The person as now seen, the writes that are wanted, the fields in conflict, why a person must look at it, and
    what else the journal should say: kind and data."""

    person: Person
    steps: tuple[Step, ...] = ()
    conflicts: tuple[str, ...] = ()
    parked: str | None = None
    notes: tuple[tuple[str, dict[str, str]], ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What fields are compared by: the policy, and the custom fields in play by their key."""

    policy: Policy
    bound: Mapping[str, Binding]

    @property
    def fields(self) -> tuple[str, ...]:
        return (*FIELDS, *self.bound)

    def empty(self, field: str, value: Any) -> bool:
        if field in self.bound:
            return not custom.canonical(self.bound[field], value)
        return not canonical.canonical(field, value, self.policy.phone_region)

    def same(self, field: str, one: Any, other: Any) -> bool:
        if field in self.bound:
            return custom.same(self.bound[field], one, other)
        return canonical.same(field, one, other, self.policy.phone_region)

    def fits(self, field: str, audience: Any, crm: Any) -> bool:
        if field in self.bound:
            return custom.fits(self.bound[field], audience, crm)
        return canonical.fits(field, audience, crm, self.policy.phone_region)

    def of_household(self, field: str) -> bool:
        return field == "address" or field in self.bound

    def audience_owns(self, field: str) -> bool:
        if field in self.bound:
            lists = self.bound[field].audience.field_id == LISTS
            return lists or self.policy.custom_fields_owner == "audience"
        return field == "email" or self.policy.owners.get(field, Side.crm) is Side.audience


# --- the comparison --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides now, by field; of custom fields what the CRM is to be told, of fields that the route writes back what
    the audience side is to be told: None where it cannot be."""

    here: Fields
    there: Fields
    told: Values
    back: Fields


def compare(pair: Pair, policy: Policy, bindings: Iterable[Binding] = (), labels: Iterable[Label] = ()) -> Compared:
    """Decide every field of one linked person."""
    person = pair.person
    if not speaks(pair.contact):
        return Compared(person)
    terms = Terms(policy, in_play(bindings, labels, policy))
    phone, sides = now(pair, terms)
    verdicts = {field: _verdict(field, sides, pair, terms) for field in terms.fields}
    remarks = _remarks(verdicts, sides, pair, terms) | (
        without_list(pair.crm, labels) if _speaks_for_household(pair) else {}
    )
    seen = replace(_now_seen(pair, sides, verdicts, terms, remarks), phone_method=phone.record_id if phone else None)
    news = [key for key, value in remarks.items() if (person.audience or {}).get(key) != value]
    return Compared(
        seen,
        tuple(_writes(replace(pair, person=seen), sides, verdicts, terms)),
        tuple(field for field in terms.fields if verdicts[field] in ("conflict", "lost")),
        "email_edited_in_crm" if _edited(sides, verdicts, terms) else None,
        tuple((key.split(":")[1], {"field": key.split(":", 2)[2]}) for key in news),
    )


def speaks(contact: AudienceContact) -> bool:
    """Has this reading an opinion on fields? Of somebody deleted or opted out it has one on consent and deletion."""
    return contact.whole and not contact.deleted and contact.consent is not Consent.opted_out


def now(pair: Pair, terms: Terms) -> tuple[Method | None, Sides]:
    """The phone that stands for the person, and both sides now."""
    person, contact, policy = pair.person, pair.contact, terms.policy
    phone = phone_of(pair.individual, person, audience_fields(contact)["phone"], policy.phone_region)
    phone = phone or toward.new_phone(policy, pair.individual, (contact, (person.crm or {}).get("phone")))
    return phone, _sides(pair, phone, terms)


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
    return [method for method in methods if value and canonical.same(kind, method.value, value, region)]


def _sides(pair: Pair, phone: Method | None, terms: Terms) -> Sides:
    values = custom_values(pair.contact, terms.bound, terms.policy)
    if not _speaks_for_household(pair):  # of several members' lists the household takes one member's
        values |= {key: None for key, one in terms.bound.items() if one.audience.field_id == LISTS}
    spoken = {key: custom.spoken(terms.bound[key].audience, value) for key, value in values.items()}
    held = dict(pair.crm.custom_fields)
    here, there = audience_fields(pair.contact), _crm_fields(pair, phone)
    kinds = {"phone": phone.type if phone else None, "address": pair.crm.address.kind if pair.crm.address else None}
    goes = [field for field in terms.policy.fields_to_audience if not terms.empty(field, there[field])]
    return Sides(
        here={**here, **spoken},
        there={**there, **{key: held.get(one.crm.field_id) for key, one in terms.bound.items()}},
        told={key: custom.to_crm(terms.bound[key], value) for key, value in values.items()},
        back={field: toward.told(field, there[field], kinds.get(field), here) for field in goes},
    )


def _crm_fields(pair: Pair, phone: Method | None) -> Fields:
    return {
        "first_name": pair.individual.first_name,
        "last_name": pair.individual.last_name,
        "email": pair.mail.value,
        "phone": phone.value if phone else None,
        "address": address_parts(pair.crm.address) if pair.crm.address else None,
    }


def _verdict(field: str, sides: Sides, pair: Pair, terms: Terms) -> str:
    """agreed; write (to the CRM); keep (what is there); conflict: both changed, and the CRM side owns the field; back
    (write to the audience side); lost: a conflict whose loser is overwritten; withheld: to be written, but nothing that
    the other side takes says it."""
    ours, theirs = sides.here[field], sides.there[field]
    if terms.empty(field, ours):
        verdict = "keep"  # fill-only: a clear does not travel
    elif terms.fits(field, ours, theirs):
        return "agreed"
    else:
        verdict = _crossing(field, ours, theirs, pair, terms)
    if verdict in ("keep", "conflict") and _goes_back(field, verdict, sides, pair, terms):
        return "withheld" if sides.back[field] is None else "lost" if verdict == "conflict" else "back"
    return "withheld" if verdict == "write" and sides.told.get(field, "") is None else verdict


def _goes_back(field: str, verdict: str, sides: Sides, pair: Pair, terms: Terms) -> bool:
    """Did the CRM's value change alone, or does it win over the other one? Without a base it only fills."""
    if field not in sides.back or (terms.of_household(field) and not _speaks_for_household(pair)):
        return False
    here, there = pair.person.audience or {}, pair.person.crm or {}
    if field not in here or field not in there:
        return terms.empty(field, sides.here[field])
    cleared = terms.audience_owns(field) and not terms.same(field, sides.here[field], here[field])
    return verdict == "conflict" or not (cleared or terms.same(field, sides.there[field], there[field]))


def _crossing(field: str, ours: Any, theirs: Any, pair: Pair, terms: Terms) -> str:
    """Both sides differ. A field without a base, such as one bound only now, is filled and overwrites nothing."""
    empty, owned = terms.empty(field, theirs), terms.audience_owns(field)
    here, there = pair.person.audience or {}, pair.person.crm or {}
    if terms.of_household(field) and not _speaks_for_household(pair):
        filled = empty and field not in pair.party.apart and not _once_there(field, pair.party, terms)
        return "write" if filled else "keep"
    if field not in here or field not in there:
        return "write" if empty or owned or _filled_in(field, theirs, pair, terms) else "conflict"
    if terms.same(field, ours, here[field]):
        return "keep"
    alone = terms.same(field, theirs, there[field]) and not _overlaps(field, pair)
    return "write" if owned or alone else "conflict"


def _overlaps(field: str, pair: Pair) -> bool:
    """Was the CRM's last change seen before the audience side was last known to be otherwise? Then nobody can say which
    edit was the later one, and both count as changed."""
    moved, otherwise = pair.person.moved.get(field), pair.contact.previous_at
    return moved is not None and otherwise is not None and otherwise < moved


def _speaks_for_household(pair: Pair) -> bool:
    alive = [one.record_id for one in primary_first(pair.party, pair.crm) if not one.deleted]
    return alive[:1] == [pair.person.record_id]


def _filled_in(field: str, theirs: Any, pair: Pair, terms: Terms) -> bool:
    """Did another member fill what the household did not have before its first person was linked? That one's stands
    then, whoever of them was linked first."""
    others = [one for one in pair.party.people if field in one.filled and one.record_id != pair.person.record_id]
    return any(terms.same(field, theirs, (one.crm or {}).get(field)) for one in others)


def _once_there(field: str, party: Party, terms: Terms) -> bool:
    """What was there and is gone was cleared by staff: other members do not fill it again. By the next decision only
    that it was changed there is known."""
    return any(field in one.moved or not terms.empty(field, (one.crm or {}).get(field)) for one in party.people)


def _edited(sides: Sides, verdicts: Mapping[str, str], terms: Terms) -> bool:
    here, there = sides.here["email"], sides.there["email"]
    return verdicts["email"] == "keep" and bool(here) and not terms.fits("email", here, there)


def _remarks(verdicts: Mapping[str, str], sides: Sides, pair: Pair, terms: Terms) -> dict[str, str]:
    """What the journal should say once for each value: noted:KIND:FIELD, and the value."""
    held = [field for field in terms.fields if verdicts[field] == "withheld"]
    said = {
        f"noted:value_withheld:{field}": (sides.here if field in terms.bound else sides.there)[field] for field in held
    }
    for key, one in terms.bound.items():
        lists = lists_in_order(pair.contact, one, terms.policy) if one.audience.field_id == LISTS else []
        if len(lists) > 1 and sides.here[key]:
            said[f"noted:several_lists:{key}"] = ",".join(lists)
    there, written = pair.person.crm or {}, [field for field, verdict in verdicts.items() if verdict == "write"]
    lost = [one for one in written if one in there and not terms.same(one, sides.there[one], there[one])]
    return said | {f"noted:conflict:{one}": canonical.fingerprint((sides.here[one], sides.there[one])) for one in lost}


# --- what becomes seen, and what is written --------------------------------------------------------------------------


def _now_seen(
    pair: Pair, sides: Sides, verdicts: Mapping[str, str], terms: Terms, remarks: Mapping[str, str]
) -> Person:
    """What is settled becomes seen; a field whose write is still wanted keeps its base until the write is done, as does
    a custom field that is not in play."""
    settled = [field for field, verdict in verdicts.items() if verdict not in UNSETTLED]
    # The loser is seen, the winner is still to be written: from the next decision on it is the one that changed.
    lost = [field for field, verdict in verdicts.items() if verdict == "lost"]
    before = {key: value for key, value in (pair.person.audience or {}).items() if not key.startswith("noted:")}
    bare: Fields = dict.fromkeys(FIELDS)
    return replace(
        pair.person,
        audience={**bare, **before, **{field: sides.here[field] for field in (*settled, *lost)}, **remarks},
        crm={
            **bare,
            **(pair.person.crm or {}),
            **{field: sides.there[field] for field in settled},
            **dict.fromkeys(lost),
        },
        moved=_moved(pair, sides.there, verdicts, terms),
    )


def _moved(pair: Pair, there: Fields, verdicts: Mapping[str, str], terms: Terms) -> dict[str, Instant]:
    """When each field was last seen changed on the CRM side by somebody else."""
    seen = pair.person.crm or {}
    kept = [field for field in seen if verdicts.get(field) in ("keep", "conflict")]
    changed = [field for field in kept if not terms.same(field, there[field], seen[field])]
    return {**pair.person.moved, **dict.fromkeys(changed, pair.crm.read_at)}


def _writes(pair: Pair, sides: Sides, verdicts: Mapping[str, str], terms: Terms) -> list[Step]:
    wanted = [field for field, verdict in verdicts.items() if verdict == "write"]
    here, there, steps = sides.here, sides.there, []
    if any(name in wanted for name in NAMES):
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
    named = {terms.bound[field].crm.field_id: field for field in wanted if field in terms.bound}
    goes = [field for field, verdict in verdicts.items() if verdict in ("back", "lost")]
    back = toward.set_fields(pair.party.party_id, pair.person, goes, sides.back, here)
    return [*steps, *_custom_writes(pair, sides, named), *back]


def _custom_writes(pair: Pair, sides: Sides, named: Mapping[str, str]) -> list[Step]:
    """All of one contact in one write: the CRM takes them with the whole contact only (Virtuous facts 11)."""
    return in_parts(
        pair.person,
        tuple(named),
        lambda some, target: _set_custom(pair, sides, {name: named[name] for name in some}, target),
        "set_custom",
    )


def _set_custom(pair: Pair, sides: Sides, named: Mapping[str, str], target: str) -> Step:
    """Of two members who would fill something the first one does, then the other."""
    values = {name: sides.told[field] for name, field in named.items()}
    payload = {"contact": pair.crm.record_id, "values": values}
    payload["was"] = {name: sides.there[field] for name, field in named.items()}
    return a_step(pair.party.party_id, pair.person.record_id, "set_custom", payload, target=target)


def _write(pair: Pair, kind: str, payload: Fields, target: str | None = None) -> Step:
    common = {"contact": pair.crm.record_id, "individual": pair.person.individual}
    return a_step(pair.party.party_id, pair.person.record_id, kind, {**common, **payload}, target=target)
