"""A party: one CRM contact, its individuals, and every audience contact linked to them.

The unit of queueing, locking and deciding.

`Party` is what we know and keep; `Readings` is what both sides say now. Between the two lies every decision.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from keepstep.model.canonical import ADDRESS_PARTS, fingerprint
from keepstep.model.contact import Address, AudienceContact, Consent, CrmContact, Individual, Report, Side
from keepstep.model.custom import Binding
from keepstep.model.customer import Policy
from keepstep.model.instant import Instant
from keepstep.model.likeness import Likeness

Fields = dict[str, Any]
Kind = Literal["choice", "address", "record", "unknown", "default"]
Standing = Literal["in_step", "pending", "parked", "left_out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A consent fact. It happened after `after` (last read otherwise; None: unknown), by `before` (first read so).

    kind: choice (the person, or staff for them), address (a bounce: it binds to `address`, canonical, and lapses with
    it), record (deletion), unknown (a false that nobody was seen to set), default (a false whose only history is our
    own import). `code`: the vendor's word for a bounce; `report`: the line of a report that it comes from.
    """

    id: str
    side: Side
    kind: Kind
    direction: Literal["out", "in"]
    after: Instant | None
    before: Instant
    at: Instant | None = None
    source: str | None = None
    reason: str | None = None
    address: str | None = None
    code: str | None = None
    report: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A creation under way. While it is unresolved nothing else creates this person. `sent` is its payload."""

    state: Literal["intended", "waiting", "unknown", "again", "review"]
    since: Instant
    sent: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person said of somebody who was parked: see answers.py. `individuals`: the one that is the same person, or
    all who are not."""

    kind: Literal["same", "nobody", "leave", "stays", "lifted"]
    at: Instant
    by: str
    individuals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One member of a party: an audience contact and, once linked, its individual. What is here was *seen*.

    `audience` and `crm` are the fields as last seen on each side, None before there is a base. `lists` and `consent`
    belong to the audience side, `opted_in` to the CRM side; `in_at` and `true_at` are the last readings that said
    yes. `filled`: fields of the household that were empty and were filled with this person's.
    `left`: lists that this person has left; they are kept out of every union. `added`: lists that we put this person on
    for a tag that is not yet seen together with the membership. `raced`: when the person opted out under a write of
    ours; no act yet. `refused`: (target, fingerprint) of steps; `discarded`: the same of what somebody said no to when
    it was held by the brake. `carrier`: the CRM contact on which our reference to the person was last seen.
    """

    record_id: str
    individual: str | None = None
    email_method: str | None = None
    phone_method: str | None = None
    audience: Fields | None = None
    crm: Fields | None = None
    moved: dict[str, Instant] = field(default_factory=dict)
    lists: tuple[str, ...] | None = None
    left: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    consent: Consent | None = None
    deleted: bool = False
    in_at: Instant | None = None
    opted_in: bool | None = None
    true_at: Instant | None = None
    imported: bool = False
    acts: tuple[Act, ...] = ()
    noted: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    discarded: tuple[tuple[str, str], ...] = ()
    submission: Submission | None = None
    filled: tuple[str, ...] = ()
    raced: Instant | None = None
    carrier: str | None = None
    answer: Answer | None = None
    compared: tuple[Likeness, ...] = ()
    reread: bool = False
    standing: Standing = "pending"
    reason: str = "new"

    def was_refused(self, target: str, payload: Mapping[str, Any]) -> bool:
        """Will the vendor never take a step of this target in these words?"""
        return (target, fingerprint(payload)) in self.refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """One value that a run has written and that is to be as it was before, see restore.py. `what`: a field by its key,
    the id of a list or of the audience side's tag, or the reference. `kind`: the last step that wrote it, `payload` and
    `answer` are that one's. `rows`: every write of it in the run; `at`: when somebody asked for it.
    """

    run: str
    at: Instant
    rows: tuple[int, ...]
    member: str
    kind: str
    what: str
    was: Any
    wrote: Any
    payload: Fields
    answer: Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """What we know of one party. `tags`: ids of the lists whose tag was last seen on the CRM contact; None: no base.

    Ids, because a tag that is renamed must not look like one removed and another added. `known` are the lists whose tag
    was ever compared; of any other one there is no base either.

    `enrolled`: (individual, audience record) of people whom we created at the audience side; `kept_out`: (individual,
    why) of those whom we tried to, or must not.

    `reread`, here for the CRM contact and on a person for the audience contact: the stored reading is older than a
    write of ours or a change we were told of, so it must be read again before the next decision.

    `restore`: what is being undone. `apart`: lists whose tag and memberships, and household fields whose values on both
    sides, differ since then and are to differ: only what somebody changes after that is news.
    """

    party_id: str
    crm_id: str | None = None
    people: tuple[Person, ...] = ()
    tags: tuple[str, ...] | None = None
    known: tuple[str, ...] = ()
    enrolled: tuple[tuple[str, str], ...] = ()
    kept_out: tuple[tuple[str, str], ...] = ()
    reread: bool = False
    restore: tuple[Restore, ...] = ()
    apart: tuple[str, ...] = ()

    def person(self, record_id: str) -> Person | None:
        return next((person for person in self.people if person.record_id == record_id), None)

    def with_person(self, changed: Person) -> "Party":
        people = tuple(changed if person.record_id == changed.record_id else person for person in self.people)
        return replace(self, people=people)

    def linked(self) -> tuple[Person, ...]:
        return tuple(person for person in self.people if person.individual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Both sides now. `candidates` holds, per record id, the CRM contacts that a look-up by address or reference found;
    `reports` every line of a mailing's report that names the person, oldest first.

    `held` says who holds an individual already, by its id, and under "submission" who holds the address looked up.
    `barred`: addresses, canonical, at which nobody may be created at the audience side, and why. `labels_at`: when the
    lists and tags themselves were read.
    """

    crm: CrmContact | None = None
    audience: Mapping[str, AudienceContact] = field(default_factory=dict)
    candidates: Mapping[str, tuple[CrmContact, ...]] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    reports: Mapping[str, tuple[Report, ...]] = field(default_factory=dict)
    barred: Mapping[str, str] = field(default_factory=dict)
    labels_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A list of the audience side, or a tag of it, and its tag in the CRM. Ids are what is meant; names are labels.

    kind: `list`, or `tag` (then `list_id` is the id of the audience side's tag). `paused` says why nothing may be
    decided by it.
    """

    list_id: str
    list_name: str
    tag_name: str
    tag_id: str | None = None
    paused: str | None = None
    kind: Literal["list", "tag"] = "list"

    def usable(self) -> bool:
        return self.paused is None and self.tag_id is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a decision needs besides the party: the route's policy and labels, the moment, and one learned fact.

    `imports_opt_in`: a method made by this organization's import was once seen opted in. `stood`: when a standstill
    ended, after which we may have forgotten what we wrote before. `alone`: the customer has no CRM.
    """

    policy: Policy
    labels: tuple[Label, ...]
    now: Instant
    imports_opt_in: bool = False
    stood: Instant | None = None
    bindings: tuple[Binding, ...] = ()
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something worth a line in the journal; no personal data."""

    kind: str
    record_id: str
    data: Mapping[str, Any]


PHONE_ORDER = ("mobile", "home", "work", "other")


def audience_fields(contact: AudienceContact) -> Fields:
    """The fields that travel, as the audience side says them: one phone and one address, the preferred kind first."""
    phones = sorted(contact.phones, key=lambda phone: PHONE_ORDER.index(phone.kind) if phone.kind in PHONE_ORDER else 9)
    place = contact.addresses[0] if contact.addresses else None
    return {
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "email": contact.email,
        "phone": phones[0].raw if phones else None,
        "phone_kind": phones[0].kind if phones else None,
        "address": address_parts(place) if place else None,
        "address_kind": place.kind if place else None,
    }


def address_parts(place: Address) -> Fields:
    """An address by its parts."""
    return {name: getattr(place, name) for name in ADDRESS_PARTS}


def sent_fields(sent: Mapping[str, Any]) -> Fields:
    """What a creation said, in the form of a base."""
    place, phone = sent.get("address"), sent.get("phone")
    return {
        "first_name": sent.get("first_name"),
        "last_name": sent.get("last_name"),
        "email": sent.get("email"),
        "phone": phone.get("raw") if phone else None,
        "address": {part: place.get(part) for part in ADDRESS_PARTS} if place else None,
        **{f"custom:{name}": value for name, value in (sent.get("custom") or {}).items()},
    }


def with_lists(person: Person, list_ids: Iterable[str], holds: bool) -> Person:
    """The person on these lists, or no longer on them."""
    before, moved = set(person.lists or ()), set(list_ids)
    if holds:
        return replace(person, lists=_sorted(before | moved), left=_sorted(set(person.left) - moved))
    left = _sorted(set(person.left) | (before & moved))
    return replace(person, lists=_sorted(before - moved), left=left, added=_sorted(set(person.added) - moved))


def with_tag(party: Party, list_id: str, tagged: bool) -> Party:
    """The party with this list's tag seen on it, or seen gone."""
    tags = set(party.tags or ()) | {list_id} if tagged else set(party.tags or ()) - {list_id}
    known = {list_id} | set(party.known if party.tags is not None else ())
    apart = without(party.apart, list_id) if tagged else party.apart
    seen = (_sorted(tags), _sorted(known), apart)
    if seen == (party.tags, party.known, party.apart):
        return party
    return replace(party, tags=seen[0], known=seen[1], apart=seen[2])


def is_of_household(field: str) -> bool:
    """Does this field of a base hang on the household, not on the person?"""
    return field == "address" or field.startswith("custom:")


def as_merged(person: Person, crm: CrmContact, source: str) -> CrmContact:
    """The contact with our reference, where the contact that carried it was merged into this one and may have kept it
    (Virtuous facts 7.6)."""
    ours = (source, person.record_id)
    came = person.carrier not in (None, crm.record_id) and ours not in crm.references
    return replace(crm, references=(*crm.references, ours)) if came else crm


def without_household(person: Person) -> Person:
    """The person without a base of what hangs on the household: what was seen on another one says nothing of it."""

    def own(fields: Mapping[str, Any]) -> Fields:
        return {name: value for name, value in fields.items() if not is_of_household(name)}

    here, there = (own(base) if base is not None else None for base in (person.audience, person.crm))
    return replace(person, audience=here, crm=there, moved=own(person.moved), filled=())


def without(ids: tuple[str, ...], gone: str) -> tuple[str, ...]:
    return tuple(one for one in ids if one != gone)


def _sorted(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(ids))


def primary_first(party: Party, crm: CrmContact) -> list[Person]:
    """The linked people, whoever is linked to the primary individual first: household things travel with that one."""
    primary = {one.record_id for one in crm.individuals if one.primary}
    return sorted(party.linked(), key=lambda one: (one.individual not in primary, one.record_id))


def individual_of(crm: CrmContact | None, person: Person) -> Individual | None:
    """The individual that a person is linked to, if the CRM contact still has it."""
    people = crm.individuals if crm else ()
    return next((one for one in people if one.record_id == person.individual), None)
