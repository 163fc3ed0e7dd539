"""What follows a link: the decisions that come once our reference is on a CRM contact that was there before us.

A plan shows them beside the link itself. The same `decide` says them, of the household as it will be.
"""

from collections.abc import Sequence
from dataclasses import replace

from keepstep.model.change import Step
from keepstep.model.contact import CrmContact
from keepstep.model.decide import Decision, Setting, decide
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
