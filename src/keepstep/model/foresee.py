"""What follows a link, or a creation at the audience side: the decisions that come once our reference is on a CRM
contact that was there before us.

A plan shows them beside the step itself. The same `decide` says them, of the household as it will be.
"""

from collections.abc import Sequence
from dataclasses import replace

from keepstep.model.change import Step, a_step
from keepstep.model.contact import Address, AudienceContact, Consent, CrmContact, Phone
from keepstep.model.decide import Decision, Setting, decide
from keepstep.model.enrol import settled
from keepstep.model.party import Party, Readings


def after_links(
    links: Sequence[Step], parties: Sequence[tuple[Party, Readings]], crm: CrmContact, setting: Setting
) -> Decision:
    """What one CRM contact and all parties which these links bring to it will want together."""
    ours = [(setting.policy.reference_source, str(link.member)) for link in links]
    crm = replace(crm, references=(*crm.references, *ours))
    first, _ = parties[0]
    people = tuple(person for party, _ in parties for person in party.people)
    party = replace(first, people=people, crm_id=crm.record_id, tags=first.tags if len(parties) == 1 else None)
    audience = {key: contact for _, readings in parties for key, contact in readings.audience.items()}
    reports = {key: lines for _, readings in parties for key, lines in readings.reports.items()}
    return decide(party, Readings(crm=crm, audience=audience, reports=reports), setting)


def after_enrolments(steps: Sequence[Step], party: Party, crm: CrmContact, setting: Setting) -> tuple[Step, ...]:
    """What follows the creation of these people of one CRM contact: their links, and what the linked ones want. Nobody
    has an id yet, so each step is its individual's."""
    for step in steps:
        party = settled(party, step, str(step.member), None)
    links = [
        a_step(party.party_id, str(step.member), "link", {"contact": crm.record_id, "record_id": step.member})
        for step in steps
    ]
    audience = {str(step.member): _made(step, setting) for step in steps}
    after = after_links(links, [(party, Readings(audience=audience))], crm, setting)
    return (*links, *after.steps)


def _made(step: Step, setting: Setting) -> AudienceContact:
    told = step.payload
    phone, place = told["phone"], told["address"]
    return AudienceContact(
        record_id=str(step.member),
        read_at=setting.now,
        email=told["email"],
        consent=Consent.opted_in,
        first_name=told["first_name"],
        last_name=told["last_name"],
        phones=(Phone(phone["kind"], phone["raw"]),) if phone else (),
        addresses=(Address(**place),) if place else (),
        lists=tuple(told["list_ids"]),
        tags=(),
    )
