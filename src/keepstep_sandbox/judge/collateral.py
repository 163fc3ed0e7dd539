"""What the service changed although nobody wanted it changed, and what it made twice."""

from collections import Counter
from collections.abc import Iterator

from keepstep_sandbox.http import Effect
from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.evidence import Evidence, Finding, emails_of, staff_made
from keepstep_sandbox.judge.values import WRONG
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS

DUPLICATE = "duplicates"
# The only fields of a Constant Contact contact that a write from the CRM may change: consent, lists, and tags where the
# route carries them.
_CONSENT = "email_address."
_CLEARABLE = ("tags", "isPrimary", "isSecondary", "name")


def collateral(evidence: Evidence) -> Iterator[Finding]:
    """Changes to fields that are not mapped, contacts brought back from deletion, foreign tags."""
    labels = ("list_memberships", "taggings") if evidence.tags_prefix else ("list_memberships",)
    for _at, effect in evidence.service_effects(CONSTANT_CONTACT):
        kind, _, number = effect.record.partition(":")
        consent = effect.field.startswith(_CONSENT) and effect.field != "email_address.address"
        if kind == "contact" and not consent and effect.field not in labels:
            yield Finding(WRONG, number, f"{effect.field}: changed at Constant Contact by the service")
    for at, effect in evidence.service_effects(VIRTUOUS):
        if effect.field == "originSegmentCode" and not _known_segment(evidence, at, effect.after):
            yield Finding(WRONG, effect.record, "originSegmentCode: sent although the organization does not know it")
        if _cleared(effect) or _foreign_tags(evidence, effect):
            yield Finding(WRONG, effect.record, f"{effect.field}: lost at Virtuous by the service")


def _known_segment(evidence: Evidence, at: float, code: object) -> bool:
    """An unknown code stops an import (Virtuous facts 10.1)."""
    return any(act.data["code"] == code and act.t <= at for act in evidence.acts_of(VIRTUOUS, "add_segment"))


def _cleared(effect: Effect) -> bool:
    """Whether a person's or contact's field was emptied; fields are fill-only."""
    kind = effect.record.partition(":")[0]
    had, has = effect.before not in (None, "", False, (), []), effect.after not in (None, "", False, (), [])
    return kind in ("individual", "contact") and had and not has and effect.field not in _CLEARABLE


def _foreign_tags(evidence: Evidence, effect: Effect) -> bool:
    """Whether tags without our prefix came or went; a merge by the vendor's import adds none."""
    if effect.field != "tags" or not effect.record.startswith("contact:"):
        return False
    before, after = (
        {str(tag) for tag in side or () if not evidence.ours(str(tag))} for side in (effect.before, effect.after)
    )
    return before != after


def duplicates(evidence: Evidence) -> Iterator[Finding]:
    """One reference on two contacts, one address made twice."""
    for member in evidence.members.values():
        for _ in member.contacts[1:]:
            yield Finding(DUPLICATE, member.id, "reference: on several contacts")
    yield from _addresses(evidence)


def _addresses(evidence: Evidence) -> Iterator[Finding]:
    have = Counter(fields.email(one["value"]) for _c, _i, one in evidence.methods() if fields.is_email(one))
    by_staff = Counter(address for _contact, individual in staff_made(evidence) for address in emails_of(individual))
    holders = {member.address: member.id for member in evidence.members.values()}
    for address, times in have.items():
        for _ in range(times - max(1, by_staff[address])):
            yield Finding(DUPLICATE, holders.get(address, ""), "address: on several methods")
