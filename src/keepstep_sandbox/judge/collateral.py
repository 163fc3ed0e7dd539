"""What the service changed although nobody wanted it changed, and what it made twice."""

from collections import Counter
from collections.abc import Iterator

from keepstep_sandbox.http import Effect
from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.evidence import Evidence, Finding, emails_of, staff_made
from keepstep_sandbox.judge.values import WRONG
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS

DUPLICATE = "duplicates"
# The only fields of a Constant Contact contact that a write from the CRM may change: consent, and lists.
_CONSENT = "email_address."
_LISTS = "list_memberships"
_CLEARABLE = ("tags", "isPrimary", "isSecondary", "name")


def collateral(evidence: Evidence) -> Iterator[Finding]:
    """Changes to fields that are not mapped, contacts brought back from deletion, foreign tags."""
    for _at, effect in evidence.service_effects(CONSTANT_CONTACT):
        kind, _, number = effect.record.partition(":")
        consent = effect.field.startswith(_CONSENT) and effect.field != "email_address.address"
        if kind == "contact" and not consent and effect.field != _LISTS:
            yield Finding(WRONG, number, f"{effect.field}: changed at Constant Contact by the service")
    for _at, effect in evidence.service_effects(VIRTUOUS):
        if _cleared(effect) or _foreign_tags(effect):
            yield Finding(WRONG, effect.record, f"{effect.field}: lost at Virtuous by the service")


def _cleared(effect: Effect) -> bool:
    """Whether a person's or contact's field was emptied; fields are fill-only."""
    kind = effect.record.partition(":")[0]
    had, has = effect.before not in (None, "", False, (), []), effect.after not in (None, "", False, (), [])
    return kind in ("individual", "contact") and had and not has and effect.field not in _CLEARABLE


def _foreign_tags(effect: Effect) -> bool:
    """Whether tags without our prefix came or went; a merge by the vendor's import adds none."""
    if effect.field != "tags" or not effect.record.startswith("contact:"):
        return False
    before, after = (
        {str(tag) for tag in side or () if not str(tag).startswith(fields.TAG_PREFIX)}
        for side in (effect.before, effect.after)
    )
    return before != after


def duplicates(evidence: Evidence) -> Iterator[Finding]:
    """One reference on two contacts, one address made twice, more notes than acts."""
    for member in evidence.members.values():
        for _ in member.contacts[1:]:
            yield Finding(DUPLICATE, member.id, "reference: on several contacts")
    yield from _addresses(evidence)
    yield from _notes(evidence)


def _addresses(evidence: Evidence) -> Iterator[Finding]:
    have = Counter(fields.email(one["value"]) for _c, _i, one in evidence.methods() if fields.is_email(one))
    by_staff = Counter(address for _contact, individual in staff_made(evidence) for address in emails_of(individual))
    holders = {member.address: member.id for member in evidence.members.values()}
    for address, times in have.items():
        for _ in range(times - max(1, by_staff[address])):
            yield Finding(DUPLICATE, holders.get(address, ""), "address: on several methods")


def _notes(evidence: Evidence) -> Iterator[Finding]:
    """A deletion leaves one note; nothing else in the week does."""
    deleted = Counter(act.record for act in evidence.acts_of(CONSTANT_CONTACT, "delete"))
    for household in evidence.households.values():
        contact = household[0].contact
        due = sum(deleted[member.id] for member in household)
        for _ in range(len(contact["notes"]) - due if contact else 0):
            yield Finding(DUPLICATE, household[0].id, "note: more than acts that leave one")
