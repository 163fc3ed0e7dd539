"""Whether tags and lists say the same, and whether anybody's change to them was lost."""

from collections.abc import Iterator

from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.evidence import Evidence, Finding, Member
from keepstep_sandbox.judge.values import LOST, WRONG
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Act


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Every household whose tags are not its members' lists, and every lost act on a list or a tag."""
    for household in evidence.households.values():
        yield from _tags(evidence, household)
    for act in evidence.acts_of(CONSTANT_CONTACT, "person_joins", "person_leaves"):
        yield from _membership(evidence, act)
    for act in evidence.acts_of(VIRTUOUS, "staff_adds_tag", "staff_removes_tag"):
        yield from _tag_act(evidence, act)


def _tags(evidence: Evidence, household: list[Member]) -> Iterator[Finding]:
    """At least the lists of the mailable members, at most those of all; nothing is asked where nobody is mailable."""
    mailable = [one for one in household if one.mailable and one.linked]
    contact = household[0].contact
    if not mailable or contact is None:
        return
    have = {name for name in contact["tags"] if name.startswith(fields.TAG_PREFIX)}
    least = set().union(*(evidence.lists_of(one) for one in mailable))
    most = set().union(*(evidence.lists_of(one) for one in household))
    if least - have:
        yield Finding(WRONG, mailable[0].id, f"tags: {len(least - have)} missing")
    if have - most and not any(one.deleted for one in household):
        yield Finding(WRONG, mailable[0].id, f"tags: {len(have - most)} too many")


def _membership(evidence: Evidence, act: Act) -> Iterator[Finding]:
    """A person who joined is on the list, one who left is not, unless somebody undid it later."""
    member = evidence.members.get(act.record)
    if member is None or not member.mailable:
        return
    joined, list_id = act.kind == "person_joins", str(act.data["list_id"])
    if (list_id in member.raw.get("list_memberships", ())) == joined:
        return
    undone = "person_leaves" if joined else "person_joins"
    later = [one for one in evidence.acts_of(CONSTANT_CONTACT, undone) if one.record == act.record]
    tag = fields.TAG_PREFIX + evidence.list_names.get(list_id, "")
    staff = evidence.acts_of(VIRTUOUS, "staff_removes_tag" if joined else "staff_adds_tag")
    by_staff = [one for one in staff if member.contact and one.record == str(member.contact["id"])]
    if not any(one.t >= act.t and str(one.data["list_id"]) == list_id for one in later) and not any(
        one.t >= act.t and one.data["tag_name"] == tag for one in by_staff
    ):
        yield Finding(LOST, act.record, f"{act.kind}: undone by nobody, yet absent")


def _tag_act(evidence: Evidence, act: Act) -> Iterator[Finding]:
    """Staff's tag puts the household's person on the list, its removal takes every member off, unless undone later."""
    tag = str(act.data["tag_name"])
    members = [one for one in evidence.households.get(int(act.record), ()) if one.mailable and one.linked]
    if not tag.startswith(fields.TAG_PREFIX) or not members or _undone(evidence, act, members):
        return
    on = any(tag in evidence.lists_of(one) for one in members)
    if on != (act.kind == "staff_adds_tag"):
        yield Finding(LOST, members[0].id, f"{act.kind}: did not reach Constant Contact")


def _undone(evidence: Evidence, act: Act, members: list[Member]) -> bool:
    added, tag = act.kind == "staff_adds_tag", str(act.data["tag_name"])
    ids = {one.id for one in members}
    staff = evidence.acts_of(VIRTUOUS, "staff_removes_tag" if added else "staff_adds_tag")
    if any(one.record == act.record and one.data["tag_name"] == tag and one.t >= act.t for one in staff):
        return True
    persons = evidence.acts_of(CONSTANT_CONTACT, "person_leaves" if added else "person_joins")
    return any(
        one.record in ids and fields.TAG_PREFIX + evidence.list_names.get(str(one.data["list_id"]), "") == tag
        for one in persons
        if one.t >= act.t
    )
