"""What must hold between two sides that both change: read from the stand-ins' logs, never from our tables."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keepstep_sandbox.faults import is_write
from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import Arrival
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.world import World
from keepstep_simulator.invariants import INVARIANTS
from keepstep_simulator.story import OURS, WAITING, Fact, Story

# What a vendor writes by itself whenever anything moves: no value of anybody's.
_STAMPS = ("Utc", "ByUser", "_at", "_date", "update_source", "opt_out_source", "opt_out_reason", "Url")
_CC_MAPPED = {"first_name", "last_name", "email_address", "phone_numbers", "street_addresses", "list_memberships"}
_CRM_MAPPED = {"tags", "contactReferences", "name", "notes", "informalName", "formalContactName", "mergedIntoContactId"}
_PERSON_MAPPED = {"firstName", "lastName", "contactMethods", "contactId", "isPrimary", "isSecondary"}
_MOVING = {"canBePrimary", "canBeSecondary", "contactAddresses", "address", "archivedMethods", "isArchived"}


def writes_since(arrivals: Sequence[Arrival], since: float) -> list[str]:
    """Calls after a moment that could change a record."""
    late = [one for one in arrivals if one.t > since and is_write(one.method, one.path)]
    return [f"{one.vendor} {one.method} {one.path} at +{one.t - since:.0f} s" for one in late]


def deletions(facts: Sequence[Fact], arrivals: Sequence[Arrival]) -> Iterator[str]:
    """A contact that went, was archived or came back by our hand, on either side."""
    for one in arrivals:
        parts = one.path.strip("/").split("/")
        whole = len(parts) == 3 and parts[1].casefold() in ("contact", "contacts", "contactindividual")
        if (one.method == "DELETE" and whole) or "archive" in one.path.casefold():
            yield f"{one.vendor} {one.method} {one.path}"
    for fact in facts:
        if fact.kind == "EFF" and fact.data["actor"] in OURS and _of_life(fact):
            yield f"{fact.key} {fact.data['field']}: {fact.data['before']!r} -> {fact.data['after']!r}"


def _of_life(fact: Fact) -> bool:
    """Not that of a contact that is made."""
    made = fact.data["before"] is None and not fact.data["after"]
    kind, name = fact.key.partition(":")[0], fact.data["field"]
    ends = kind == "contact" and name in ("isArchived", "mergedIntoContactId")
    return (ends or name in ("deleted", "deleted_at")) and not made


def repeated(facts: Sequence[Fact]) -> Iterator[str]:
    """At most one effective write per change and side: of every value of a record (of every label it wears apart), we
    change no more than people, staff and the vendor's own batch did."""
    ours: Counter[tuple[str, str]] = Counter()
    for fact in facts:
        if fact.kind == "EFF" and fact.data["actor"] in ("product", "job"):
            for what in _changed(fact):
                ours[fact.key, what] += 1
    changes = sum(fact.kind == "ACT" and fact.data["actor"] in ("person", "staff") for fact in facts)
    for (record, what), count in ours.items():
        if count > changes:
            yield f"{record} {what}: {count} writes for {changes} changes of anything"


def _changed(fact: Fact) -> list[str]:
    name, before, after = fact.data["field"], fact.data["before"], fact.data["after"]
    if name in ("list_memberships", "tags"):
        return [f"{name} {one}" for one in sorted(set(map(str, before or ())) ^ set(map(str, after or ())))]
    return [name]


def unmapped(world: World) -> dict[str, dict[str, Any]]:
    """Every value of both sides that is nobody's business, by record: what must be equal before and after."""
    found = {f"audience {one['contact_id']}": rest_of_audience(one) for one in world.constant_contact.contacts(ACCOUNT)}
    for contact in world.virtuous.contacts(ORGANIZATION):
        rest = rest_of_crm(contact)
        # Staff move people from household to household: each person is a record of its own.
        found |= {f"individual {number}": person for number, person in rest.pop("people").items()}
        found[f"crm {contact['id']}"] = rest
    return found


def rest_of_audience(record: Mapping[str, Any]) -> dict[str, Any]:
    """What of a Constant Contact contact does not travel."""
    return _rest(record, _CC_MAPPED)


def rest_of_crm(record: Mapping[str, Any]) -> dict[str, Any]:
    """What of a Virtuous contact and its individuals does not travel; tags of other prefixes are of it."""
    people = {one["id"]: _rest(one, _PERSON_MAPPED | _MOVING) for one in record["contactIndividuals"]}
    found = _rest(record, _CRM_MAPPED | _MOVING | {"contactIndividuals"})
    return found | {"tags": _foreign(record), "people": people}


def _rest(record: Mapping[str, Any], skipped: set[str]) -> dict[str, Any]:
    return {name: one for name, one in record.items() if name not in skipped and not name.endswith(_STAMPS)}


def _foreign(contact: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in contact["tags"] if not name.startswith(fields.TAG_PREFIX))


def findings(world: World, story: Story, quiet: float) -> dict[str, list[str]]:
    """Everything that is wrong after a story whose last change was answered before `quiet`; empty names left out. The
    story ends with the judge's opinion (JUDGED)."""
    arrivals, facts = world.log.arrivals, story.facts
    judged = next(fact for fact in reversed(facts) if fact.kind == "JUDGED").data
    lines = [one for one in judged["report"]["details"] if not _waits(one, judged["waiting"])]
    found = {
        "writes": writes_since(arrivals, quiet),
        "deletions": list(deletions(facts, arrivals)),
        "repeated": list(repeated(facts)),
        "judge": [f"{one['key']} {one['record']}: {one['reason']}" for one in lines],
        **{one.id: [found.why for found in one.check(story)[0]] for one in INVARIANTS if one.check and one.id != "I10"},
    }
    return {name: rows for name, rows in found.items() if rows}


def _waits(line: Mapping[str, str], waiting: Sequence[str]) -> bool:
    """Whether the vendor's import still holds somebody's row, or a person must look at it."""
    return line["reason"] in WAITING or (line["key"] == "pending" and line["record"] in waiting)
