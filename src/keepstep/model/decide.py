"""The decision: both sides now, both sides as last seen, acts and policy go in; steps and what is now seen come out.

The only home of sync policy. Pure: nothing here waits, reads a clock, or knows a vendor.

    observe   turn readings and reports into consent acts  consent.py
    identify  who is this person in the CRM                identify.py, match.py
    consent   out dominates; one widening way back         here
    notes     one for a bounce, a deletion, a complaint    notes.py
    fields    three-way per field, owner wins a conflict   fields.py
    lists     three-way per list and tag                   membership.py
    enrol     who is there in the CRM only                 enrol.py
    moved     whom staff took to another household         whereabouts.py
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from keepstep.model.answers import may_lift, stays_out
from keepstep.model.brake import inferred_from, without_discarded
from keepstep.model.canonical import email
from keepstep.model.change import Lane, Step, a_step
from keepstep.model.consent import (
    RACED,
    false_kind,
    observe_audience,
    observe_crm,
    returned,
    standing,
    unlifted,
)
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Individual, Method, Side
from keepstep.model.customer import Policy
from keepstep.model.enrol import Verdict, enrolments
from keepstep.model.fields import Pair, compare, mail_of
from keepstep.model.identify import Wanted, identified, needs_look_up
from keepstep.model.match import confirm
from keepstep.model.membership import crowded, labels_are_old, memberships, wants_of, withheld
from keepstep.model.notes import notes
from keepstep.model.party import Act, Note, Party, Person, Readings, Setting, as_merged, individual_of, primary_first
from keepstep.model.restore import Scene, restoring
from keepstep.model.whereabouts import carried, looked_for, reference

__all__ = ["Decision", "Note", "Setting", "decide", "needs_look_up"]

# Why people are left out where the customer has no CRM.
NO_CRM = "no_crm"
_BY_STAFF = {"reason": "Opted out in the CRM", "source": "Account"}
Shut = Mapping[str, list[tuple[Individual, Method]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The party as now seen, the writes it wants, the acts that were new, and what the journal should say. `crm_only`:
    what becomes of a contact whom only the CRM has. `labels_are_old`: somebody left a list, which may be gone itself:
    the lists are to be read before that is decided. `moves`: record id to the CRM contact that a
    person is on by now, of those who are no longer of this party."""

    party: Party
    steps: tuple[Step, ...]
    acts: tuple[tuple[str, Act], ...] = ()
    notes: tuple[Note, ...] = ()
    crm_only: Verdict | None = None
    labels_are_old: bool = False
    moves: Mapping[str, str] = field(default_factory=dict)


def decide(party: Party, readings: Readings, setting: Setting) -> Decision:
    """Decide everything about one party. Deciding again on the same readings, with the steps done, decides nothing."""
    if setting.alone:
        return _without_crm(party, readings, setting)
    before = {person.record_id: len(person.acts) for person in party.people}
    readings = _since_it_spoke(party, readings)
    party, strangers = identified(party, readings, setting)
    pairs, lost = _paired(party, readings, setting)
    shut = _shut(pairs)
    results = [*strangers, *lost, *(_linked(pair, shut, setting) for pair in pairs)]
    for result in results:
        party = party.with_person(result.person)
    parked = {result.person.record_id: result.parked for result in results if result.parked}
    wants = wants_of(party, readings, setting.labels, setting.policy, parked)
    unheeded = [_note("tag_withheld", member, list_id=list_id) for member, list_id in withheld(wants)]
    crowds, old = crowded(wants), labels_are_old(wants)
    party, sets = memberships(party, wants)
    alone = enrolments(party, readings, setting)
    wanted = [*_opt_outs(party, readings), *(step for result in results for step in result.steps), *sets]
    wanted += alone.steps if alone else ()
    scene = Scene(party, readings, setting, {pair.person.record_id: pair for pair in pairs}, parked)
    party, wanted, back = restoring(scene, wanted)
    steps = _allowed(party, wanted)
    left_out = {result.person.record_id: result.left_out for result in results if result.left_out}
    people = _remembered([_stands(one, wanted, steps, crowds | parked, left_out) for one in party.people])
    acts = _new_acts(people, before)
    said = (*(note for result in results for note in result.notes), *unheeded, *back)
    party = replace(party, people=people)
    moves = _moves(results, wanted)
    return Decision(party=party, steps=steps, acts=acts, notes=said, crm_only=alone, labels_are_old=old, moves=moves)


def _since_it_spoke(party: Party, readings: Readings) -> Readings:
    """Of somebody who was out or deleted nothing else was read meanwhile: what differs since may be as old as that."""
    silent = {one.record_id: one.in_at for one in party.people if one.consent is Consent.opted_out or one.deleted}
    spoke = {key: at for key, at in silent.items() if at is not None and key in readings.audience}
    known = {key: replace(readings.audience[key], previous_at=at) for key, at in spoke.items()}
    return replace(readings, audience={**readings.audience, **known}) if known else readings


def _without_crm(party: Party, readings: Readings, setting: Setting) -> Decision:
    """Where there is no CRM nobody is looked for and nothing is written there. What people chose is kept as ever, and
    an opt-out that a write of ours fell upon is written again."""
    before = {person.record_id: len(person.acts) for person in party.people}
    for person in party.people:
        if contact := readings.audience.get(person.record_id):
            lines = readings.reports.get(person.record_id, ())
            party = party.with_person(observe_audience(person, contact, lines, setting.policy))
    wanted = _opt_outs(party, readings)
    steps, left_out = _allowed(party, wanted), dict.fromkeys(before, NO_CRM)
    people = _remembered([_stands(one, wanted, steps, {}, left_out) for one in party.people])
    return Decision(party=replace(party, people=people), steps=steps, acts=_new_acts(people, before))


# --- people who are linked -------------------------------------------------------------------------------------------


def _paired(party: Party, readings: Readings, setting: Setting) -> tuple[list[Pair], list[Wanted]]:
    """Linked people whom both sides speak of, the primary one first; those whom the CRM has no longer are parked."""
    pairs, lost = [], []
    for person in primary_first(party, readings.crm) if readings.crm else ():
        contact = readings.audience.get(person.record_id)
        found = _pair(party, person, contact, readings.crm, readings, setting) if contact and readings.crm else None
        if isinstance(found, Pair):
            pairs.append(found)
        elif found:
            lost.append(found)
    return pairs, lost


def _pair(
    party: Party, person: Person, contact: AudienceContact, crm: CrmContact, readings: Readings, setting: Setting
) -> Pair | Wanted:
    if crm.merged_into:
        return Wanted(person, parked="merged")
    person, individual = _settled_in(party, person, contact, crm, setting.policy)
    mail = mail_of(individual, person, contact.email) if individual else None
    if individual is None:
        return looked_for(party, person, contact, readings, setting)
    if mail is None:
        return Wanted(person, parked="address_gone")
    person = carried(person, crm, setting.policy.reference_source)
    person = returned(stays_out(observe_crm(person, mail, crm, setting.imports_opt_in, setting.stood)), contact)
    return Pair(party, replace(person, submission=None), contact, crm, individual, mail)


def _linked(pair: Pair, shut: Shut, setting: Setting) -> Wanted:
    consent = _consent(pair, shut)
    if pair.crm.archived:
        return replace(consent, steps=(), parked="archived")
    if pair.individual.deceased:
        return replace(consent, steps=tuple(s for s in consent.steps if s.lane is Lane.consent), parked="deceased")
    fields = compare(pair, setting.policy, setting.bindings, setting.labels)
    member = pair.person.record_id
    lost = [_note("conflict", member, field=field) for field in fields.conflicts]
    said = [_note(kind, member, **data) for kind, data in fields.notes]
    ours = reference(pair, setting.policy.reference_source)
    steps = (*consent.steps, *notes(pair), *fields.steps, *ours)
    return Wanted(fields.person, steps, (*lost, *said), consent.parked or fields.parked)


def _settled_in(
    party: Party, person: Person, contact: AudienceContact, crm: CrmContact, policy: Policy
) -> tuple[Person, Individual | None]:
    """The individual of a linked person. A merge may have given it another id: the proof is the same as at first."""
    individual = individual_of(crm, person)
    if individual is None:
        base, source = (person.crm or {}).get("email"), policy.reference_source
        found = confirm(as_merged(person, crm, source), source, contact, (contact.email, base)).individual
        if found and all(one.individual != found.record_id for one in party.people):
            return replace(person, individual=found.record_id, audience=None, crm=None, phone_method=None), found
    return person, individual


def _opt_outs(party: Party, readings: Readings) -> list[Step]:
    """An opt-out seen in the CRM reaches the audience side whatever has become of the CRM's record, and of the person,
    since, and so does one of the audience side that a write of ours fell upon. Nothing else does: a bounce is the
    audience side's own knowledge."""
    steps = []
    for person in party.people:
        contact = readings.audience.get(person.record_id)
        out = unlifted(person.acts)
        raced, there = any(act.code == RACED for act in out), any(act.side is Side.crm for act in out)
        if (raced or there) and contact and _may_opt_out(contact):
            reason = {"reason": "Opted out", "source": "Contact"} if raced else _BY_STAFF
            payload = {"record_id": person.record_id, **reason}
            step = a_step(party.party_id, person.record_id, "opt_out", payload, side=Side.audience)
            steps.append(replace(step, lane=Lane.consent, inferred=inferred_from(unlifted(person.acts))))
    return steps


def _may_opt_out(contact: AudienceContact) -> bool:
    return bool(contact.email) and not contact.deleted and contact.consent is not Consent.opted_out


def _shut(pairs: list[Pair]) -> Shut:
    """Which methods must not be open, by the person whose opt-out it is. An opt-out follows the address: every method
    of the household that carries it, but for those of people who have the address instead by now, or are just leaving
    it. A bounce is one of its address, and of no other one that the person has here."""
    return {pair.person.record_id: _shut_by(pair, [other for other in pairs if other is not pair]) for pair in pairs}


def _shut_by(pair: Pair, others: list[Pair]) -> list[tuple[Individual, Method]]:
    out, here = standing(pair.person.acts, pair.contact.email), email(pair.contact.email)
    closed = {here} if any(act.kind == "address" for act in out) else set()
    closed |= {email(pair.mail.value)} if any(act.kind != "address" for act in out) else set()
    theirs = {other.mail.record_id for other in others if _moving(other) or _has_its_address(other, not_at=here)}
    methods = [(one, method) for one in pair.crm.individuals for method in one.methods if method.kind == "email"]
    return [
        (one, method) for one, method in methods if email(method.value) in closed and method.record_id not in theirs
    ]


def _has_its_address(pair: Pair, *, not_at: str) -> bool:
    return email(pair.mail.value) == email(pair.contact.email) != not_at


def _moving(pair: Pair) -> bool:
    """Is this person's method about to get another address? One that waits for its address is not."""
    base = (pair.person.audience or {}).get("email")
    moved = bool(base) and email(pair.contact.email) not in ("", email(base))
    return moved and pair.person.reason not in ("address_held", "refused_by_vendor")


def _consent(pair: Pair, shut: Shut) -> Wanted:
    """Whom a bounce alone keeps out is in at the audience side all the while; an opt-out there has to be seen there."""
    person, contact = pair.person, pair.contact
    out = standing(person.acts, contact.email)
    if not out:
        return _consent_in(pair, shut)
    gone = any(act.side is Side.audience and act.kind != "address" for act in out)
    back = gone and contact.consent is Consent.opted_in and not contact.deleted
    return Wanted(person, tuple(_closings(pair, shut)), parked="back_without_own_act" if back else None)


def _closings(pair: Pair, shut: Shut) -> list[Step]:
    """What is open is closed, and what does not say, once."""
    steps, why = [], inferred_from(standing(pair.person.acts, pair.contact.email))
    for individual, method in shut[pair.person.record_id]:
        mine = method.record_id == pair.mail.record_id
        if method.opted_in or (mine and method.opted_in is None and pair.person.opted_in is not False):
            steps.append(replace(_permission(pair, individual, method, opted_in=False), inferred=why))
    return steps


def _permission(pair: Pair, individual: Individual, method: Method, *, opted_in: bool) -> Step:
    ids = {"contact": pair.crm.record_id, "individual": individual.record_id, "method": method.record_id}
    payload, target = {**ids, "opted_in": opted_in}, f"consent:{method.record_id}"
    step = a_step(pair.party.party_id, pair.person.record_id, "set_consent", payload, target=target)
    return replace(step, hold="gate") if opted_in else replace(step, lane=Lane.consent)


def _consent_in(pair: Pair, shut: Shut) -> Wanted:
    """Nobody stands opted out. A CRM `false` is lifted only after the person's own act, and only if it was ours.

    A bounce that lapsed with its address blocks nothing; the `false` that it has left is lifted by the person alone.
    Where somebody else of the household is out at that address, it stays closed.
    """
    person, contact = pair.person, pair.contact
    if pair.mail.opted_in is not False or contact.consent is not Consent.opted_in or contact.deleted:
        return Wanted(person)
    kind = false_kind(person)
    if kind == "unknown" and not may_lift(person):
        return Wanted(person, parked="consent_unknown")
    if kind == "choice":
        return Wanted(person, parked="crm_opt_out_stands")
    if kind == "default":
        return Wanted(person)
    if unlifted(person.acts):
        return Wanted(person, parked="bounce_lapsed")
    if kind != "unknown" and all(act.direction == "out" for act in person.acts):
        return Wanted(person)
    if any(pair.mail == method for methods in shut.values() for _, method in methods):
        return Wanted(person, parked="address_opted_out")
    return Wanted(person, (_permission(pair, pair.individual, pair.mail, opted_in=True),))


# --- assembling ------------------------------------------------------------------------------------------------------


def _new_acts(people: Iterable[Person], before: Mapping[str, int]) -> tuple[tuple[str, Act], ...]:
    return tuple((person.record_id, act) for person in people for act in person.acts[before[person.record_id] :])


def _note(kind: str, record_id: str, **data: str) -> Note:
    return Note(kind=kind, record_id=record_id, data=data)


def _moves(results: Iterable[Wanted], wanted: Sequence[Step]) -> dict[str, str]:
    """Who goes to which contact now; nobody for whom something is still to be written here."""
    busy = {step.member for step in wanted}
    homes = {result.person.record_id: result.home for result in results if result.home}
    return {member: home for member, home in homes.items() if member not in busy}


def _refused(party: Party, step: Step) -> bool:
    person = party.person(step.member or "")
    return person is not None and person.was_refused(step.target, step.payload)


def _allowed(party: Party, steps: Iterable[Step]) -> tuple[Step, ...]:
    """One step a target, narrowing before widening, what somebody asked for before what is only inferred. A write that
    the vendor refused for good, or that somebody discarded, is not asked for again until it would say something else.
    """
    unique: dict[tuple[Side, str], Step] = {}
    for step in sorted(steps, key=lambda one: (one.lane, one.inferred is not None)):
        left = None if _refused(party, step) else without_discarded(party, step)
        if left is not None:
            unique.setdefault((left.side, left.target), left)
    return tuple(unique.values())


def _remembered(people: Sequence[Person]) -> tuple[Person, ...]:
    """A no is remembered while the sides differ; once all of a party are in step, the same would be another change.
    Of whoever is left out nothing is wanted, for ever perhaps."""
    if any(one.standing not in ("in_step", "left_out") for one in people):
        return tuple(people)
    return tuple(replace(one, discarded=()) for one in people)


def _stands(
    person: Person,
    wanted: Iterable[Step],
    steps: tuple[Step, ...],
    parked: Mapping[str, str],
    left_out: Mapping[str, str],
) -> Person:
    if person.record_id in parked:
        return replace(person, standing="parked", reason=parked[person.record_id])
    if person.submission:
        return replace(person, standing="pending", reason=f"submission_{person.submission.state}")
    taken = [(step.side, step.target) for step in steps]  # by this person's step or by another member's, who goes first
    mine = [step for step in wanted if step.member == person.record_id]
    if any((step.side, step.target) in taken for step in mine):
        return replace(person, standing="pending", reason="step_waiting")
    if mine:
        refused = any(person.was_refused(step.target, step.payload) for step in mine)
        return replace(person, standing="parked", reason="refused_by_vendor" if refused else "discarded")
    if person.record_id in left_out:
        return replace(person, standing="left_out", reason=left_out[person.record_id])
    if person.individual:
        return replace(person, standing="in_step", reason="")
    return replace(person, standing="pending", reason="look_up")
