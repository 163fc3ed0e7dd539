"""People whom only the CRM has, created at the audience side where the route says so.

Only for a living individual who is opted in there without doubt, at an address that nobody has or ever left: never from
`false`, never from what does not say, and never over an opt-out that the ledger holds. A household that has somebody at
the audience side already is that person's, so nobody else of it is created.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from keepstep.model.canonical import email, text
from keepstep.model.change import Lane, Step, a_step
from keepstep.model.contact import CrmContact, Individual, Method, Side
from keepstep.model.customer import Policy
from keepstep.model.match import Match
from keepstep.model.party import Fields, Label, Party, Person, Readings, Setting, address_parts

KIND = "enrol"
# An address at the audience side, in whatever state: whose contact that is, is for matching to say.
THERE = ("at_cc", "deleted_at_cc", "opted_out_at_cc")
LISTS = 50  # of one contact (design section 4, lists and tags)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a contact whom only the CRM has. standing: wanted, enrolled or left_out, with the reason."""

    standing: str
    reason: str | None = None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seat:
    """One individual: the method to be mailed at and its lists, or why not."""

    individual: Individual
    mail: Method | None = None
    list_ids: tuple[str, ...] = ()
    reason: str | None = None


def enrolments(party: Party, readings: Readings, setting: Setting) -> Verdict | None:
    """Who of this party is to be created; None where it is no contact of the CRM alone."""
    crm = readings.crm
    if crm is None or setting.policy.crm_only != "create" or not is_crm_only(party):
        return None
    if crm.merged_into or crm.archived:
        return Verdict("left_out", "merged" if crm.merged_into else "archived")
    if known := [readings.barred[one] for one in addresses(crm) if readings.barred.get(one) in THERE]:
        return Verdict("enrolled" if party.enrolled else "left_out", None if party.enrolled else known[0])
    seats = list(_seats(party, crm, readings, setting))
    steps = tuple(_step(party, crm, seat, seat.mail, setting.policy) for seat in seats if seat.mail)
    if steps or party.enrolled:
        return Verdict("wanted" if steps else "enrolled", None, steps)
    return Verdict("left_out", next((seat.reason for seat in seats if seat.reason), "nobody"))


def is_crm_only(party: Party) -> bool:
    """Has the party nobody at the audience side but those whom we created there ourselves?"""
    ours = [record_id for _, record_id in party.enrolled]
    return party.crm_id is not None and all(one.record_id in ours for one in party.people)


def unfit(crm: CrmContact) -> str | None:
    """Why nobody of this contact can be created, by its own reading alone; None where somebody may be."""
    if crm.merged_into or crm.archived:
        return "merged" if crm.merged_into else "archived"
    reasons = [_mail(one, crm) for one in _in_order(crm)]
    return next((None for one in reasons if isinstance(one, Method)), next(map(str, reasons), "nobody"))


def addresses(crm: CrmContact) -> tuple[str, ...]:
    """Every address of the contact, canonical."""
    methods = [method for one in crm.individuals for method in one.methods if method.kind == "email"]
    return tuple(dict.fromkeys(email(method.value) for method in methods if method.value))


def _in_order(crm: CrmContact) -> list[Individual]:
    return sorted(crm.individuals, key=lambda one: (not one.primary, one.record_id))


def _mail(individual: Individual, crm: CrmContact) -> Method | str:
    """The method that an individual may be mailed at, the primary one first; or why there is none. An opt-out of any
    own address counts, and one by anybody else of the household at this address."""
    if individual.deceased:
        return "deceased"
    mine = [method for method in individual.methods if method.kind == "email" and method.value]
    if not mine:
        return "no_email"
    if any(method.opted_in is False for method in mine):
        return "opted_out_in_crm"
    methods = [method for one in crm.individuals for method in one.methods if method.kind == "email"]
    shut = {email(method.value) for method in methods if method.opted_in is not True}
    open_ones = [method for method in mine if email(method.value) not in shut]
    return next(iter(sorted(open_ones, key=lambda one: not one.primary)), "consent_unknown")


def _seats(party: Party, crm: CrmContact, readings: Readings, setting: Setting) -> Iterator[_Seat]:
    """Everybody of the contact who is not created yet. Of those who share an address the first one has it, and whom we
    created has it, whatever became of the individual."""
    done, out = dict(party.enrolled), dict(party.kept_out)
    taken = {email(one.email) for one in readings.audience.values()}
    for one in _in_order(crm):
        mail = _mail(one, crm)
        if isinstance(mail, str):
            yield _Seat(one, reason=mail)
        elif email(mail.value) in taken:
            yield _Seat(one, reason="address_shared")
        elif one.record_id not in done:
            lists = _lists(crm, setting, first=not taken)
            why = out.get(one.record_id) or readings.barred.get(email(mail.value)) or _no_lists(lists)
            yield _Seat(one, None if why else mail, lists, why)
        if isinstance(mail, Method):
            taken.add(email(mail.value))


def _lists(crm: CrmContact, setting: Setting, *, first: bool) -> tuple[str, ...]:
    """The lists of the contact's tags, for whom an added tag means, and the route's own one."""
    policy, tags = setting.policy, [text(tag) for tag in crm.tags]
    lists = [label for label in setting.labels if label.kind == "list" and not label.paused]
    meant = policy.lists_to == "tags" and (first or policy.added_tag_goes_to == "all")
    tagged = [label.list_id for label in lists if meant and label.usable() and text(label.tag_name) in tags]
    return tuple(sorted({*tagged, *(label.list_id for label in lists if _is_default(label, policy))}))


def _is_default(label: Label, policy: Policy) -> bool:
    wanted = text(policy.crm_only_list).casefold()
    return bool(wanted) and wanted in (label.list_id.casefold(), text(label.list_name).casefold())


def _no_lists(lists: tuple[str, ...]) -> str | None:
    return "no_list" if not lists else "too_many_lists" if len(lists) > LISTS else None


def _step(party: Party, crm: CrmContact, seat: _Seat, mail: Method, policy: Policy) -> Step:
    payload = {
        "contact": crm.record_id,
        "individual": seat.individual.record_id,
        "email": mail.value,
        "first_name": seat.individual.first_name,
        "last_name": seat.individual.last_name,
        "phone": _phone(seat.individual),
        "address": {"kind": crm.address.kind, **address_parts(crm.address)} if crm.address else None,
        "list_ids": list(seat.list_ids),
        "evidence": policy.permission_evidence,
    }
    step = a_step(party.party_id, seat.individual.record_id, KIND, payload, side=Side.audience)
    return replace(step, lane=Lane.bulk, hold="gate")


def _phone(individual: Individual) -> Fields | None:
    ours = [method for method in individual.methods if method.kind == "phone" and method.value]
    first = next(iter(sorted(ours, key=lambda one: not one.primary)), None)
    return {"kind": _kind(first.type), "raw": first.value} if first else None


def _kind(type_: str) -> str:
    said = type_.casefold()
    return next((kind for kind in ("mobile", "home", "work") if kind in said), "other")


# --- what became of it -----------------------------------------------------------------------------------------------


def settled(party: Party, step: Step, record_id: str | None, reason: str | None) -> Party:
    """The party after a creation that took effect, or after one that nobody was created by, and why."""
    individual = str(step.payload["individual"])
    if not record_id:
        kept_out = (
            *((one, why) for one, why in party.kept_out if one != individual),
            (individual, reason or "refused"),
        )
        return replace(party, kept_out=kept_out)
    enrolled = (*(pair for pair in party.enrolled if pair[0] != individual), (individual, record_id))
    people = party.people if party.person(record_id) else (*party.people, Person(record_id=record_id, reread=True))
    return replace(party, people=people, enrolled=enrolled)


def joined(enrolled: Iterable[Party]) -> Fields:
    """What parties that become one know together of whom we created and whom we did not."""
    some = list(enrolled)
    return {name: tuple(dict.fromkeys(pair for one in some for pair in getattr(one, name))) for name in _KNOWN}


_KNOWN = ("enrolled", "kept_out")


def matched(party: Party, person: Person, crm: CrmContact | None) -> Match | None:
    """Whom we created is known from that: no look-up could say more, and one that fails must create nobody in the CRM.
    None for everybody else, and before the CRM's own reading is there."""
    individual = next((one for one, record_id in party.enrolled if record_id == person.record_id), None)
    if individual is None or crm is None:
        return None
    if crm.merged_into or crm.archived:
        return Match("parked", "merged" if crm.merged_into else "archived", crm)
    found = next((one for one in crm.individuals if one.record_id == individual), None)
    return Match("same_person", crm=crm, individual=found) if found else Match("parked", "individual_gone", crm)
