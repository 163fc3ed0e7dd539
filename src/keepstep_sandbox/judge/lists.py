"""Whether tags and lists say the same, and whether anybody's change to them was lost."""

from collections.abc import Iterator

from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.evidence import Evidence, Finding, Member
from keepstep_sandbox.judge.values import LOST, WRONG
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Act

# What puts a person on a list or tags one at Constant Contact, and what ends it; where the id stands in the act.
_ADDS, _TAKES = ("person_joins", "person_tagged"), ("person_leaves", "person_untagged")


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Every household whose tags are not its members' lists, and every lost act on a list or a tag."""
    for household in evidence.households.values():
        yield from _tags(evidence, household)
    for act in evidence.acts_of(CONSTANT_CONTACT, *_ADDS, *_TAKES):
        yield from _membership(evidence, act)
    for act in evidence.acts_of(VIRTUOUS, "staff_adds_tag", "staff_removes_tag"):
        yield from _tag_act(evidence, act)


def _tags(evidence: Evidence, household: list[Member]) -> Iterator[Finding]:
    """At least the lists of the mailable members, at most those of all; nothing is asked where nobody is mailable."""
    mailable = [one for one in household if one.mailable and one.linked]
    contact = household[0].contact
    if not mailable or contact is None:
        return
    have = {name for name in contact["tags"] if evidence.ours(name)}
    least = set().union(*(evidence.labels_of(one) for one in mailable))
    most = set().union(*(evidence.labels_of(one) for one in household))
    if least - have:
        yield Finding(WRONG, mailable[0].id, f"tags: {len(least - have)} missing")
    # A deletion takes the lists at Constant Contact, which says nothing about the tags (CC facts 5.5).
    if have - most and not any(act.record in {one.id for one in household} for act in _deletions(evidence)):
        yield Finding(WRONG, mailable[0].id, f"tags: {len(have - most)} too many")


def _deletions(evidence: Evidence) -> Iterator[Act]:
    return evidence.acts_of(CONSTANT_CONTACT, "delete")


def _membership(evidence: Evidence, act: Act) -> Iterator[Finding]:
    """A person who joined or was tagged is on the list or has the tag, unless somebody undid it later; and so back."""
    member = evidence.members.get(act.record)
    if member is None or not member.mailable or any(one.record == act.record for one in _deletions(evidence)):
        return
    added, number = act.kind in _ADDS, _number(act)
    on = number in member.raw.get("list_memberships", ()) or number in member.raw.get("taggings", ())
    if on == added or (added and _taken_by_vendor(evidence, act, number)):
        return
    if not added and _agreed_since(evidence, member, act, number):
        return
    later = list(evidence.acts_of(CONSTANT_CONTACT, *(_TAKES if added else _ADDS)))
    staff = evidence.acts_of(VIRTUOUS, "staff_removes_tag" if added else "staff_adds_tag")
    tag = evidence.tag_of(number)
    by_staff = [one for one in staff if member.contact and one.record == str(member.contact["id"])]
    if not any(one.t >= act.t and one.record == act.record and _number(one) == number for one in later) and not any(
        one.t >= act.t and one.data["tag_name"] == tag for one in by_staff
    ):
        yield Finding(LOST, act.record, f"{act.kind}: undone by nobody, yet absent")


def _taken_by_vendor(evidence: Evidence, act: Act, number: str) -> bool:
    """Whether something else that happened to the person took the list, as an opt-out may (CC facts 5.5)."""
    return any(
        effect.field == "list_memberships" and number not in (effect.after or ())
        for one in evidence.acts_of(CONSTANT_CONTACT, "person_opts_out", "campaign_opt_out", "complain", "edit")
        if one.record == act.record and one.t >= act.t
        for effect in one.effects
    )


def _agreed_since(evidence: Evidence, member: Member, act: Act, number: str) -> bool:
    """Whether a row of an SQL table says that the person agreed to the list after leaving it."""
    return any(
        one.t >= act.t
        and fields.email(one.data.get("email")) == member.address
        and number in one.data["lists"]
        and float(one.data.get("permitted") or 0.0) > act.t
        for one in evidence.acts
        if one.kind == "row"
    )


def _number(act: Act) -> str:
    return str(act.data.get("list_id") or act.data.get("tag_id"))


def _tag_act(evidence: Evidence, act: Act) -> Iterator[Finding]:
    """Staff's tag puts the household's person on the list, its removal takes every member off, unless undone later. Of
    a tag that was there already, or was not, nobody can see that staff meant it."""
    tag = str(act.data["tag_name"])
    members = [one for one in evidence.households.get(int(act.record), ()) if one.mailable and one.linked]
    seen = any(effect.field == "tags" for effect in act.effects)
    if not seen or not evidence.ours(tag) or not members or _undone(evidence, act, members):
        return
    on = any(tag in evidence.labels_of(one) for one in members)
    if on != (act.kind == "staff_adds_tag"):
        yield Finding(LOST, members[0].id, f"{act.kind}: did not reach Constant Contact")


def _undone(evidence: Evidence, act: Act, members: list[Member]) -> bool:
    added, tag = act.kind == "staff_adds_tag", str(act.data["tag_name"])
    ids = {one.id for one in members}
    staff = evidence.acts_of(VIRTUOUS, "staff_removes_tag" if added else "staff_adds_tag")
    if any(one.record == act.record and one.data["tag_name"] == tag and one.t >= act.t for one in staff):
        return True
    persons = evidence.acts_of(CONSTANT_CONTACT, *(_TAKES if added else _ADDS))
    return any(one.record in ids and evidence.tag_of(_number(one)) == tag for one in persons if one.t >= act.t)
