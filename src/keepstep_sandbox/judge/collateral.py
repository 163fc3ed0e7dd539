"""What the service changed although nobody wanted it changed, and what it made twice."""

from collections import Counter
from collections.abc import Iterator

from keepstep_sandbox.http import Effect
from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.evidence import Evidence, Finding, emails_of, staff_made
from keepstep_sandbox.judge.values import WRONG
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS

DUPLICATE = "duplicates"
# The only fields of a Constant Contact contact that a write from the CRM may change: consent, lists, tags where the
# route carries them, and those that it writes back.
_CONSENT = "email_address."
_BACK = {
    "first_name": "first_name",
    "last_name": "last_name",
    "phone": "phone_numbers",
    "address": "street_addresses",
}
_OUT = "unsubscribed"
_CLEARABLE = ("tags", "isPrimary", "isSecondary", "name")


def collateral(evidence: Evidence) -> Iterator[Finding]:
    """Changes to fields that are not mapped, contacts brought back from deletion, foreign tags."""
    labels = ("list_memberships", "taggings") if evidence.tags_prefix else ("list_memberships",)
    for _at, effect in evidence.service_effects(CONSTANT_CONTACT):
        kind, _, number = effect.record.partition(":")
        consent = effect.field.startswith(_CONSENT) and effect.field != "email_address.address"
        asked = number in evidence.fed or effect.field in labels or _written_back(evidence, effect)
        if kind == "contact" and not consent and not asked:
            yield Finding(WRONG, number, f"{effect.field}: changed at Constant Contact by the service")
        if effect.field == "email_address.permission_to_send" and _widened(evidence, number, effect):
            yield Finding(WRONG, number, "permission: changed at Constant Contact by the service")
    for at, effect in evidence.service_effects(VIRTUOUS):
        if effect.field == "originSegmentCode" and not _known_segment(evidence, at, effect.after):
            yield Finding(WRONG, effect.record, "originSegmentCode: sent although the organization does not know it")
        if _cleared(effect) or _foreign_tags(evidence, effect):
            yield Finding(WRONG, effect.record, f"{effect.field}: lost at Virtuous by the service")


def _written_back(evidence: Evidence, effect: Effect) -> bool:
    """Whether a change is one that the route asks for: a value for a value, and of several phones or addresses one."""
    if effect.field not in [_BACK.get(one) for one in evidence.written_back] or not effect.after:
        return False
    if not isinstance(effect.after, list):
        return True
    before = effect.before if isinstance(effect.before, list) else []
    kept = sum(one in effect.after for one in before)
    return len(effect.after) - kept == 1 and len(before) - kept <= 1


def _widened(evidence: Evidence, number: str, effect: Effect) -> bool:
    """Whether a write touched consent otherwise than by opting out. An opt-out that a replacing write fell upon must be
    there again at the end."""
    member = evidence.members.get(number)
    out = member is not None and (member.raw.get("email_address") or {}).get("permission_to_send") == _OUT
    return bool(effect.before) and effect.after != _OUT and not out


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
