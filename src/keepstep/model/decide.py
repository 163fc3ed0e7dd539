"""The decision: both sides now, both sides as last seen, acts and policy go in; steps and what is now seen come out.

The only home of sync policy. Pure: nothing here waits, reads a clock, or knows a vendor.

    observe   turn readings into consent acts             consent.py
    identify  who is this person in the CRM               here, match.py
    consent   out dominates; one widening way back        here
    fields    three-way per field, owner wins a conflict  fields.py
    lists     three-way per list and tag                  membership.py
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from keepstep.model.canonical import email, fingerprint
from keepstep.model.change import Lane, Step, a_step
from keepstep.model.consent import false_kind, observe_audience, observe_crm, standing_out
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Individual, Method, Side
from keepstep.model.customer import Policy
from keepstep.model.fields import Pair, compare, mail_of
from keepstep.model.instant import Instant
from keepstep.model.match import Match, confirm, match
from keepstep.model.membership import memberships, submitted_tags, withheld
from keepstep.model.party import (
    Act,
    Label,
    Party,
    Person,
    Readings,
    audience_fields,
    individual_of,
    primary_first,
    sent_fields,
    with_tag,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a decision needs besides the party: the route's policy and labels, the moment, and one learned fact.

    `imports_opt_in`: a method made by this organization's import was once seen opted in.
    """

    policy: Policy
    labels: tuple[Label, ...]
    now: Instant
    imports_opt_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something worth a line in the journal; no personal data."""

    kind: str
    record_id: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The party as now seen, the writes it wants, the acts that were new, and what the journal should say."""

    party: Party
    steps: tuple[Step, ...]
    acts: tuple[tuple[str, Act], ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one rule wants: the person as now seen, steps, notes, and why the person is parked if so."""

    person: Person
    steps: tuple[Step, ...] = ()
    notes: tuple[Note, ...] = ()
    parked: str | None = None


def decide(party: Party, readings: Readings, setting: Setting) -> Decision:
    """Decide everything about one party. Deciding again on the same readings, with the steps done, decides nothing."""
    before = {person.record_id: len(person.acts) for person in party.people}
    party, strangers = _identified(party, readings, setting)
    results = strangers + [_linked(party, *pair, setting) for pair in _pairs(party, readings)]
    for result in results:
        party = party.with_person(result.person)
    parked = {result.person.record_id: result.parked for result in results if result.parked}
    rules = (readings, setting.labels, setting.policy, parked)
    unheeded = [_note("tag_withheld", member, list_id=list_id) for member, list_id in withheld(party, *rules)]
    party, sets = memberships(party, *rules)
    wanted = [*_opt_outs(party, readings), *(step for result in results for step in result.steps), *sets]
    steps = _allowed(party, wanted)
    people = tuple(_standing(one, readings, wanted, steps, parked, setting.policy) for one in party.people)
    acts = tuple((person.record_id, act) for person in people for act in person.acts[before[person.record_id] :])
    notes = (*(note for result in results for note in result.notes), *unheeded)
    return Decision(party=replace(party, people=people), steps=steps, acts=acts, notes=notes)


def needs_look_up(person: Person, contact: AudienceContact | None, policy: Policy) -> bool:
    """Must the CRM be asked for this person before anything can be decided?"""
    if person.individual or person.submission or contact is None:
        return False
    return _left_out(contact, policy) is None


# --- who is who ------------------------------------------------------------------------------------------------------


def _identified(party: Party, readings: Readings, setting: Setting) -> tuple[Party, list[Wanted]]:
    """The party with every audience reading observed and everybody linked who can be, and what the others want."""
    strangers = []
    for person in sorted(party.people, key=lambda one: one.record_id):
        contact = readings.audience.get(person.record_id)
        if contact is None:
            continue
        person = observe_audience(person, contact)
        found = None if person.individual else _search(person, contact, readings, setting.policy)
        if found and found.verdict == "confirmed":
            party, person, found = _attached(party, person, contact, found)
        party = party.with_person(person)
        if not person.individual:
            strangers.append(_stranger(party, person, contact, found, setting))
    return party, strangers


def _search(person: Person, contact: AudienceContact, readings: Readings, policy: Policy) -> Match | None:
    """The match of a person who is not linked; None where it is not the time to look."""
    source = policy.reference_source
    if readings.crm and (source, person.record_id) in readings.crm.references:
        if readings.crm.merged_into or readings.crm.archived:
            return Match("parked", "merged" if readings.crm.merged_into else "archived", readings.crm)
        sent = person.submission.sent.get("email") if person.submission else None
        return confirm(readings.crm, source, person.record_id, (contact.email, sent))
    if person.submission or _left_out(contact, policy) or person.record_id not in readings.candidates:
        return None
    return match(contact, readings.candidates[person.record_id], source, readings.held)


def _left_out(contact: AudienceContact, policy: Policy) -> str | None:
    if contact.deleted:
        return "deleted"
    if not contact.email:
        return "no_email"
    if contact.consent is Consent.opted_out:
        return "opted_out" if policy.opted_out_people == "leave_out" else None
    return None if contact.consent is Consent.opted_in else "not_mailable"


def _attached(
    party: Party, person: Person, contact: AudienceContact, found: Match
) -> tuple[Party, Person, Match | None]:
    """Link a person to an individual; what a submission sent is the base of every later comparison on both sides."""
    individual, crm = found.individual, found.crm
    if individual is None or crm is None or any(one.individual == individual.record_id for one in party.people):
        return party, person, Match("parked", "individual_held")
    if party.linked() and party.crm_id != crm.record_id:
        return party, person, Match("parked", "other_household")
    sent = person.submission.sent if person.submission else None
    addresses = [contact.email, sent.get("email") if sent else None]
    mails = [mail for address in addresses if (mail := mail_of(individual, Person(record_id=""), address))]
    person = replace(person, individual=individual.record_id, email_method=mails[0].record_id, imported=bool(sent))
    if sent is not None:
        lists = tuple(sorted(sent.get("lists") or ()))
        person = replace(person, audience=sent_fields(sent), crm=sent_fields(sent), lists=lists)
        for list_id in lists:
            party = with_tag(party, list_id, tagged=True)
    return replace(party, crm_id=crm.record_id), person, None


def _sent_again(party: Party, person: Person, contact: AudienceContact) -> Wanted:
    """A submission that certainly never arrived goes again word for word, while its person may still be mailed."""
    again = person.submission
    if again is None or again.state != "again":
        return Wanted(person)
    if contact.consent is not Consent.opted_in or contact.deleted or standing_out(person.acts):
        return Wanted(replace(person, submission=None))
    target = f"create:{person.record_id}"
    return Wanted(
        person, (a_step(party.party_id, person.record_id, "submit", again.sent, target=target, group="submit"),)
    )


def _stranger(party: Party, person: Person, contact: AudienceContact, found: Match | None, setting: Setting) -> Wanted:
    if found is None:
        return _sent_again(party, person, contact)
    if found.verdict == "same_person" and found.crm and found.individual:
        return _link(party, person, found.crm, found.individual)
    if found.verdict == "nobody":
        return _create(party, person, contact, setting)
    return Wanted(person, parked=found.reason)


def _link(party: Party, person: Person, crm: CrmContact, individual: Individual) -> Wanted:
    if party.linked() and party.crm_id != crm.record_id:
        return Wanted(person, parked="other_household")
    payload = {"contact": crm.record_id, "record_id": person.record_id, "individual": individual.record_id}
    return Wanted(person, (a_step(party.party_id, person.record_id, "link", payload),))


def _create(party: Party, person: Person, contact: AudienceContact, setting: Setting) -> Wanted:
    """Transactions carry no consent and may default to opted in: only for mailable people (Virtuous facts 1.2)."""
    if party.linked():
        return Wanted(person, parked="not_in_household")
    fields = audience_fields(contact)
    phone = {"kind": fields["phone_kind"], "raw": fields["phone"]} if fields["phone"] else None
    place = {"kind": fields["address_kind"], **fields["address"]} if fields["address"] else None
    names = {name: fields[name] for name in ("first_name", "last_name", "email")}
    payload = {"record_id": person.record_id, **names, "phone": phone, "address": place, "lists": [], "tags": []}
    target = f"create:{person.record_id}"
    if contact.consent is Consent.opted_out:
        return Wanted(person, (a_step(party.party_id, person.record_id, "create", payload, target=target),))
    if standing_out(person.acts):
        return Wanted(person, parked="back_without_own_act")
    lists, tags = submitted_tags(contact.lists or (), setting.labels, setting.policy)
    payload |= {"lists": lists, "tags": tags}
    return Wanted(person, (a_step(party.party_id, person.record_id, "submit", payload, target=target, group="submit"),))


# --- people who are linked -------------------------------------------------------------------------------------------


def _pairs(party: Party, readings: Readings) -> list[tuple[Person, AudienceContact, CrmContact]]:
    """Linked people whom both sides speak of, the primary one first."""
    crm = readings.crm
    people = primary_first(party, crm) if crm else []
    return [
        (one, readings.audience[one.record_id], crm) for one in people if crm and one.record_id in readings.audience
    ]


def _linked(party: Party, person: Person, contact: AudienceContact, crm: CrmContact, setting: Setting) -> Wanted:
    if crm.merged_into:
        return Wanted(person, parked="merged")
    person, individual = _settled_in(party, person, contact, crm, setting.policy)
    mail = mail_of(individual, person, contact.email) if individual else None
    if individual is None or mail is None:
        return Wanted(person, parked="address_gone" if individual else "individual_gone")
    person = observe_crm(person, mail, crm, setting.imports_opt_in)
    pair = Pair(party, replace(person, submission=None), contact, crm, individual, mail)
    consent = _consent(pair)
    if crm.archived:
        return replace(consent, steps=(), parked="archived")
    if individual.deceased:
        return replace(consent, steps=tuple(s for s in consent.steps if s.lane is Lane.consent), parked="deceased")
    fields = compare(replace(pair, person=consent.person), setting.policy)
    notes = tuple(_note("conflict", person.record_id, field=field) for field in fields.conflicts)
    steps = (*consent.steps, *_deletion_notes(pair), *fields.steps)
    return Wanted(fields.person, steps, notes, consent.parked or fields.parked)


def _settled_in(
    party: Party, person: Person, contact: AudienceContact, crm: CrmContact, policy: Policy
) -> tuple[Person, Individual | None]:
    """The individual of a linked person. A merge may have given it another id: the proof is the same as at first."""
    individual = individual_of(crm, person)
    if individual is None:
        base = (person.crm or {}).get("email")
        found = confirm(crm, policy.reference_source, person.record_id, (contact.email, base)).individual
        if found and all(one.individual != found.record_id for one in party.people):
            return replace(person, individual=found.record_id, audience=None, crm=None, phone_method=None), found
    return person, individual


def _opt_outs(party: Party, readings: Readings) -> list[Step]:
    """An opt-out seen in the CRM reaches the audience side whatever has become of the CRM's record since."""
    steps = []
    for person in party.people:
        out, contact = standing_out(person.acts), readings.audience.get(person.record_id)
        if out and out.side is Side.crm and contact and _may_opt_out(contact):
            payload = {"record_id": person.record_id, "reason": "Opted out in the CRM", "source": "Account"}
            step = a_step(party.party_id, person.record_id, "opt_out", payload, side=Side.audience)
            steps.append(replace(step, lane=Lane.consent))
    return steps


def _may_opt_out(contact: AudienceContact) -> bool:
    return bool(contact.email) and not contact.deleted and contact.consent is not Consent.opted_out


def _consent(pair: Pair) -> Wanted:
    person, contact = pair.person, pair.contact
    out = standing_out(person.acts)
    if out is None:
        return _consent_in(pair)
    back = out.side is Side.audience and contact.consent is Consent.opted_in and not contact.deleted
    return Wanted(person, tuple(_closings(pair)), parked="back_without_own_act" if back else None)


def _closings(pair: Pair) -> list[Step]:
    """An opt-out follows the address: every method of the household that carries it is closed."""
    steps = []
    for individual in pair.crm.individuals:
        for method in individual.methods:
            mine = method.record_id == pair.mail.record_id
            same = method.kind == "email" and email(method.value) == email(pair.mail.value)
            unread = mine and method.opted_in is None and pair.person.opted_in is not False
            if (mine or same) and (method.opted_in or unread):
                steps.append(_permission(pair, individual, method, opted_in=False))
    return steps


def _permission(pair: Pair, individual: Individual, method: Method, *, opted_in: bool) -> Step:
    ids = {"contact": pair.crm.record_id, "individual": individual.record_id, "method": method.record_id}
    payload, target = {**ids, "opted_in": opted_in}, f"consent:{method.record_id}"
    step = a_step(pair.party.party_id, pair.person.record_id, "set_consent", payload, target=target)
    return replace(step, hold="gate") if opted_in else replace(step, lane=Lane.consent)


def _consent_in(pair: Pair) -> Wanted:
    """Nobody stands opted out. A CRM `false` is lifted only after the person's own act, and only if it was ours."""
    person, contact = pair.person, pair.contact
    if pair.mail.opted_in is not False or contact.consent is not Consent.opted_in or contact.deleted:
        return Wanted(person)
    kind = false_kind(person)
    if kind == "unknown":
        return Wanted(person, parked="consent_unknown")
    if kind == "choice":
        return Wanted(person, parked="crm_opt_out_stands")
    if kind == "default" or all(act.direction == "out" for act in person.acts):
        return Wanted(person)
    return Wanted(person, (_permission(pair, pair.individual, pair.mail, opted_in=True),))


def _deletion_notes(pair: Pair) -> tuple[Step, ...]:
    """A deletion leaves exactly one note; the act's id in its text is how a repetition finds it."""
    person = pair.person
    acts = [act for act in person.acts if act.kind == "record" and act.id not in person.noted]
    text = "Deleted in the mailing list service; opted out here. [keepstep {}]"
    return tuple(
        a_step(
            pair.party.party_id,
            person.record_id,
            "note",
            {"contact": pair.crm.record_id, "act": act.id, "text": text.format(act.id)},
            target=f"note:{act.id}",
        )
        for act in acts
    )


# --- assembling ------------------------------------------------------------------------------------------------------


def _note(kind: str, record_id: str, **data: str) -> Note:
    return Note(kind=kind, record_id=record_id, data=data)


def _refused(party: Party, step: Step) -> bool:
    person = party.person(step.member or "")
    return person is not None and (step.target, fingerprint(step.payload)) in person.refused


def _allowed(party: Party, steps: Iterable[Step]) -> tuple[Step, ...]:
    """One step a target, narrowing before widening. A write that the vendor refused for good is not asked for again
    until it would say something else."""
    unique: dict[tuple[Side, str], Step] = {}
    for step in sorted(steps, key=lambda one: one.lane):
        if not _refused(party, step):
            unique.setdefault((step.side, step.target), step)
    return tuple(unique.values())


def _standing(
    person: Person,
    readings: Readings,
    wanted: Iterable[Step],
    steps: tuple[Step, ...],
    parked: Mapping[str, str],
    policy: Policy,
) -> Person:
    contact = readings.audience.get(person.record_id)
    left_out = _left_out(contact, policy) if contact and not person.individual else None
    if person.record_id in parked:
        return replace(person, standing="parked", reason=parked[person.record_id])
    if person.submission:
        return replace(person, standing="pending", reason=f"submission_{person.submission.state}")
    if any(step.member == person.record_id for step in steps):
        return replace(person, standing="pending", reason="step_waiting")
    if any(step.member == person.record_id for step in wanted):
        return replace(person, standing="parked", reason="refused_by_vendor")
    if left_out:
        return replace(person, standing="left_out", reason=left_out)
    return replace(
        person, standing="in_step" if person.individual else "pending", reason="" if person.individual else "look_up"
    )
