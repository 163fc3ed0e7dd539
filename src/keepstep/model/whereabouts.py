"""Where somebody is whose individual is no longer on the party's contact: staff moved the person to another household,
or merged contacts.

The CRM's own id of the individual proves who it is wherever it turns up. Until the person is at home there, the party
waits: nothing widens, and an opt-out that is found there counts. Where only the address turns up, on somebody whom we
do not know, a `false` of it is of unknown origin.
"""

from dataclasses import replace

from keepstep.model.answers import stays_out
from keepstep.model.canonical import email
from keepstep.model.change import Step, a_step
from keepstep.model.consent import observe_crm, returned
from keepstep.model.contact import AudienceContact, CrmContact, Individual, Method
from keepstep.model.fields import Pair, mail_of
from keepstep.model.identify import Wanted
from keepstep.model.party import Party, Person, Readings, Setting, individual_of

GONE, MOVED = "individual_gone", "individual_moved"


def is_lost(person: Person, crm: CrmContact | None) -> bool:
    """Is the linked individual no longer on the party's contact?"""
    return bool(person.individual) and crm is not None and not crm.merged_into and individual_of(crm, person) is None


def addresses_of(person: Person, contact: AudienceContact) -> list[str]:
    """Where somebody who is lost may be found, canonical: the address now, and as last seen in the CRM."""
    some = (email(contact.email), email((person.crm or {}).get("email")))
    return sorted({one for one in some if one})


def looked_for(party: Party, person: Person, contact: AudienceContact, readings: Readings, setting: Setting) -> Wanted:
    """Somebody whose individual is gone. Found again, our reference goes from the contact that was left; once it is off
    and nothing else is to be done here, the person is of the household where the individual is (`home`)."""
    there = [one for one in readings.candidates.get(person.record_id, ()) if _is_another(one, readings.crm)]
    home = next((one for one in there if individual_of(one, person)), None)
    if home is None:
        return Wanted(_heard(person, contact, there, setting), parked=GONE)
    individual = individual_of(home, person)
    if individual is not None and (mail := mail_of(individual, person, contact.email)):
        person = _observed(person, mail, home, contact, setting)
    steps = _left_behind(party, person, readings.crm, setting.policy.reference_source)
    return Wanted(person, steps, parked=MOVED, home=home.record_id)


def reference(pair: Pair, source: str) -> tuple[Step, ...]:
    """Our reference onto the contact that the person came to: another one carried it, which was merged into this one or
    which the person has left. One that staff took off where it was stays off."""
    member, crm = pair.person.record_id, pair.crm
    if (source, member) in crm.references or pair.person.carrier in (None, crm.record_id):
        return ()
    payload = {"contact": crm.record_id, "record_id": member, "individual": pair.individual.record_id}
    step = a_step(pair.party.party_id, member, "link", payload)
    # Who cannot be given the reference is known by the individual all the same, and in step.
    return () if pair.person.was_refused(step.target, payload) else (step,)


def carried(person: Person, crm: CrmContact, source: str) -> Person:
    """The person, with the contact that is now seen to carry our reference."""
    there = (source, person.record_id) in crm.references
    return replace(person, carrier=crm.record_id) if there and person.carrier != crm.record_id else person


def _is_another(crm: CrmContact, left: CrmContact | None) -> bool:
    return not crm.merged_into and (left is None or crm.record_id != left.record_id)


def _heard(person: Person, contact: AudienceContact, there: list[CrmContact], setting: Setting) -> Person:
    """What is known of the address elsewhere: a `false` counts, a `true` says nothing of this person."""
    wanted = addresses_of(person, contact)
    for crm in there:
        for mail in _mails(crm.individuals):
            if email(mail.value) in wanted and mail.opted_in is False:
                return _observed(person, mail, crm, contact, setting)
    return person


def _mails(people: tuple[Individual, ...]) -> list[Method]:
    return [method for one in people for method in one.methods if method.kind == "email"]


def _observed(person: Person, mail: Method, crm: CrmContact, contact: AudienceContact, setting: Setting) -> Person:
    return returned(stays_out(observe_crm(person, mail, crm, setting.imports_opt_in, setting.stood)), contact)


def _left_behind(party: Party, person: Person, crm: CrmContact | None, source: str) -> tuple[Step, ...]:
    """A contact that still carries our reference would make one party of both households."""
    if crm is None or (source, person.record_id) not in crm.references:
        return ()
    payload = {"contact": crm.record_id, "record_id": person.record_id}
    return (a_step(party.party_id, person.record_id, "unlink", payload, target=f"unlink:{person.record_id}"),)
