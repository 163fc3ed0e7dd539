"""Who is this person in the CRM, and what becomes of somebody who is nobody there yet: linked, created, left out, or
parked with a reason."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from keepstep.model import enrol
from keepstep.model.answers import heeded, is_left_alone, is_nobody_of_these, said_of
from keepstep.model.bound import in_play, told_custom
from keepstep.model.change import Step, a_step
from keepstep.model.consent import observe_audience, standing, standing_out
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Individual
from keepstep.model.customer import Policy
from keepstep.model.fields import mail_of
from keepstep.model.match import Match, confirm, match
from keepstep.model.membership import held_by, submitted_tags
from keepstep.model.party import (
    Fields,
    Note,
    Party,
    Person,
    Readings,
    Setting,
    as_merged,
    audience_fields,
    is_of_household,
    sent_fields,
    with_tag,
)

# So many candidates are kept of a search, the likeliest first; of more the number.
MOST = 12


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one rule wants: the person as now seen, steps, notes, and why the person is parked or left out if so.
    `home`: the CRM contact that somebody whom staff moved is on by now."""

    person: Person
    steps: tuple[Step, ...] = ()
    notes: tuple[Note, ...] = ()
    parked: str | None = None
    left_out: str | None = None
    home: str | None = None


def needs_look_up(person: Person, contact: AudienceContact | None, policy: Policy) -> bool:
    """Must the CRM be asked for this person before anything can be decided?"""
    if person.individual or person.submission or contact is None or is_left_alone(person):
        return False
    return _left_out(contact, policy) is None


def identified(party: Party, readings: Readings, setting: Setting) -> tuple[Party, list[Wanted]]:
    """The party with every audience reading observed and everybody linked who can be, and what the others want."""
    strangers = []
    for person in sorted(party.people, key=lambda one: one.record_id):
        contact = readings.audience.get(person.record_id)
        if contact is None:
            continue
        person = observe_audience(person, contact, readings.reports.get(person.record_id, ()), setting.policy)
        found = None if person.individual else _search(person, contact, readings, setting.policy)
        if found is None and needs_look_up(person, contact, setting.policy):
            found = enrol.matched(party, person, readings.crm)
        notes = _explained(person, found) if found else ()
        person = replace(person, compared=found.compared[:MOST]) if found else person
        if found and found.verdict == "confirmed":
            party, person, found = _attached(party, person, contact, found)
        party = party.with_person(person)
        if not person.individual:
            strangers.append(replace(_stranger(party, person, contact, found, setting), notes=notes))
        elif notes:
            strangers.append(Wanted(person, notes=notes))
    return party, strangers


def _explained(person: Person, found: Match) -> tuple[Note, ...]:
    """Who was compared and what spoke for them, once for each finding: ids and words, no values."""
    if not found.compared or found.compared[:MOST] == person.compared:
        return ()
    rows = [
        {"contact": one.contact, "individual": one.individual, "evidence": list(one.evidence), "score": one.score}
        | {"why_not": list(one.why_not)}
        for one in found.compared[:MOST]
    ]
    more = {"more": len(found.compared) - MOST} if len(found.compared) > MOST else {}
    if found.individual is None:
        data = {"reason": found.reason, "candidates": rows, **more}
        return (Note(kind="compared", record_id=person.record_id, data=data),)
    meant = {name: rows[0][name] for name in ("contact", "individual", "evidence", "score")}
    kind = "confirmed" if found.verdict == "confirmed" else "matched"
    return (Note(kind=kind, record_id=person.record_id, data={**meant, "alternatives": rows[1:], **more}),)


def _search(person: Person, contact: AudienceContact, readings: Readings, policy: Policy) -> Match | None:
    """The match of a person who is not linked; None where it is not the time to look."""
    source = policy.reference_source
    there = readings.crm
    if there and person.submission:
        there = as_merged(person, there, source)
    if there and (source, person.record_id) in there.references:
        if there.merged_into or there.archived:
            return Match("parked", "merged" if there.merged_into else "archived", there)
        sent = person.submission.sent.get("email") if person.submission else None
        [crm] = heeded(person.answer, [there])
        return confirm(crm, source, contact, (contact.email, sent), policy.phone_region)
    if person.submission or _left_out(contact, policy) or person.record_id not in readings.candidates:
        return None
    candidates = heeded(person.answer, readings.candidates[person.record_id])
    return said_of(person.answer, match(contact, candidates, source, readings.held, policy.phone_region))


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
        base = _shown(sent_fields(sent), individual, crm)
        person = replace(person, audience=base, crm=base, lists=lists)
        for list_id in lists:
            party = with_tag(party, list_id, tagged=True)
    return replace(party, crm_id=crm.record_id), person, None


def _shown(base: Fields, individual: Individual, crm: CrmContact) -> Fields:
    """What was sent, without what hangs on the household and is not there, where the household is somebody else's:
    staff may have merged the person's own one into it before anybody read that, and what such a merge throws away
    nobody has cleared (Virtuous facts 7.6)."""
    if individual.primary:
        return base
    there = {f"custom:{name}" for name, value in crm.custom_fields if value} | ({"address"} if crm.address else set())
    return {name: value for name, value in base.items() if name in there or not is_of_household(name)}


# --- people who are nobody there yet ---------------------------------------------------------------------------------


def _stranger(party: Party, person: Person, contact: AudienceContact, found: Match | None, setting: Setting) -> Wanted:
    if is_left_alone(person) and person.submission is None:
        return Wanted(person, left_out="left_alone")
    if found is None:
        left_out = _left_out(contact, setting.policy)
        return replace(_sent_again(party, person, contact, left_out), left_out=left_out)
    if found.verdict == "same_person" and found.crm and found.individual:
        return _link(party, person, found.crm, found.individual)
    if found.verdict == "nobody":
        return _create(party, person, contact, setting)
    return Wanted(person, parked=found.reason)


def _sent_again(party: Party, person: Person, contact: AudienceContact, left_out: str | None) -> Wanted:
    """A submission that others of its night have overtaken goes again word for word, while its person may still be
    mailed, also at the address that it says. Who opted out waits on: the row may be left to staff all the same, and run
    beside a contact of ours it would open another one (Virtuous facts 10.3, 10.6)."""
    again = person.submission
    if again is None or again.state != "again":
        return Wanted(person)
    if contact.consent is Consent.opted_out and left_out is None:
        return Wanted(replace(person, submission=replace(again, state="waiting")))
    out = any(standing_out(person.acts, address) for address in (contact.email, again.sent.get("email")))
    if contact.consent is not Consent.opted_in or contact.deleted or out:
        return Wanted(replace(person, submission=None))
    return Wanted(person, (_creation(party, person, "submit", again.sent),))


def _link(party: Party, person: Person, crm: CrmContact, individual: Individual) -> Wanted:
    if party.linked() and party.crm_id != crm.record_id:
        return Wanted(person, parked="other_household")
    payload = {"contact": crm.record_id, "record_id": person.record_id, "individual": individual.record_id}
    return Wanted(person, (a_step(party.party_id, person.record_id, "link", payload),))


def _create(party: Party, person: Person, contact: AudienceContact, setting: Setting) -> Wanted:
    """Transactions carry no consent and may default to opted in: only for mailable people (Virtuous facts 1.2). Nobody
    can be mailed at an address that bounced; there is time until there is another one."""
    if party.linked():
        return Wanted(person, parked="not_in_household")
    payload = _told(person, contact, setting)
    if contact.consent is Consent.opted_out:
        return Wanted(person, (_creation(party, person, "create", payload | {"lists": [], "tags": []}),))
    out = standing(person.acts, contact.email)
    if any(act.kind != "address" for act in out):
        return Wanted(person, parked="back_without_own_act")
    if out:
        return Wanted(person, left_out="bounced")
    if is_nobody_of_these(person):
        told = payload | {"lists": [], "tags": [], "opted_in": True}
        return Wanted(person, (_creation(party, person, "create", told),))
    lists, tags = submitted_tags(held_by(contact), setting.labels, setting.policy)
    return Wanted(person, (_creation(party, person, "submit", payload | {"lists": lists, "tags": tags}),))


def _told(person: Person, contact: AudienceContact, setting: Setting) -> Fields:
    """Everything that a creation says of a person, but for lists."""
    fields = audience_fields(contact)
    names = {name: fields[name] for name in ("first_name", "last_name", "email")}
    phone = {"kind": fields["phone_kind"], "raw": fields["phone"]} if fields["phone"] else None
    place = {"kind": fields["address_kind"], **fields["address"]} if fields["address"] else None
    bound = in_play(setting.bindings, setting.labels, setting.policy)
    custom = told_custom(contact, bound, setting.policy)
    return {"record_id": person.record_id, **names, "phone": phone, "address": place, "custom": custom}


def _creation(party: Party, person: Person, kind: str, payload: Mapping[str, Any]) -> Step:
    """Imports of many people share a call; one person is created once, whichever way."""
    target, group = f"create:{person.record_id}", "submit" if kind == "submit" else None
    if payload.get("custom") and person.was_refused(target, payload):
        # One value that the CRM never takes must not keep it from knowing the person; the others follow by themselves.
        target, payload = f"{target}:bare", {**payload, "custom": {}}
    return a_step(party.party_id, person.record_id, kind, payload, target=target, group=group)
