"""I10, I11 and I14: in the end both sides agree, then nothing is written any more, and nothing was ever deleted.
I12 and I13 are in values.py."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from keepstep_sandbox.judge import fields
from keepstep_simulator.story import Fact, Found, Story, Violation

# An import of unknown fate is not repeated before a later batch was seen to run, or a person looks after 72 hours.
WAITING = ("submission_unknown", "submission_review")
WRONG = ("wrong_fields", "lost", "opt_outs_applied", "pending", "captured")
OURS = ("product", "job", "batch")
# What the judge says of a return that waits for an answer about the consent in Virtuous.
ASKS = "claimed parked: nothing ambiguous (consent_unknown)"
ABSENT = "consent: the person's own return is absent"


# --- I10 -------------------------------------------------------------------------------------------------------------


def converged(story: Story) -> Found:
    """I10: after quiescence every mapped field of every linked pair is in its allowed set: the judge's opinion, field
    by field, and nobody is lost or still under way.

    Whoever is pending because the vendor's import holds the row must wait: no staff may ever run it. So must who is
    held by the brake where no operator ever looks, and whose return an older disk cannot prove.
    """
    found, premise, held, forgotten = list[Violation](), 0, _held(story), _forgotten(story)
    for fact in story.of("JUDGED"):
        premise += fact.data["report"]["in_step"]
        details = fact.data["report"]["details"]
        asked = {(fact.customer, line["record"]) for line in details if line["reason"] == ASKS} & forgotten
        for line in details:
            place = (fact.customer, line["record"])
            if place in held or (place in asked and line["reason"] in (ASKS, ABSENT)):
                continue
            if line["key"] in WRONG and not waits(line, fact.data["waiting"]):
                why = f"{fact.customer} {line['record']}: {line['key']}: {line['reason']}"
                found.append(Violation("I10", fact.n, why))
    return found, premise


def _held(story: Story) -> set[tuple[str, str]]:
    """The people of every party that the brake holds, where nobody approves."""
    plan = next(iter(story.of("PLAN")), None)
    if plan is None or plan.data["nets"].get("operator", "mends") == "mends":
        return set()
    store = story.final.store
    parties = {(row["customer_id"], row["party_id"]) for row in store.get("step", ()) if row["hold"] == "brake"}
    rows = (row for row in store.get("alias", ()) if (row["customer_id"], row["party_id"]) in parties)
    return {(row["customer_id"], row["record_id"]) for row in rows}


def _forgotten(story: Story) -> set[tuple[str, str]]:
    """Who was closed in Virtuous by a write of ours that the disk put back later knows nothing of. It may as well have
    been staff: whoever finds that `false` asks before it is lifted (design section 4, consent)."""
    closed = {
        (fact.customer, fact.key)
        for back in story.of("RESTORE")
        for fact in story.of("EFF")
        if fact.data["actor"] in OURS and (fact.data["field"], fact.data["after"]) == ("isOptedIn", False)
        if back.t - back.data["age"] <= fact.t <= back.t
    }
    return {place for customer, key in sorted(closed) for place in _whose(story, customer, key)}


def _whose(story: Story, customer: str, key: str) -> Iterator[tuple[str, str]]:
    """Whose address a method holds, on a contact with the person's reference."""
    for raw in story.final.audience.get(customer, ()):
        address = fields.email((raw.get("email_address") or {}).get("address"))
        for contact in story.final.crm.get(customer, ()):
            if _carries(contact, raw["contact_id"]) and key in _methods(contact, address):
                yield customer, raw["contact_id"]


def _methods(contact: Mapping[str, Any], address: str) -> set[str]:
    return {
        f"method:{method['id']}"
        for individual in contact["contactIndividuals"]
        for method in individual["contactMethods"] or ()
        if fields.is_email(method) and fields.email(method["value"]) == address
    }


def waits(line: Mapping[str, str], waiting: Iterable[str]) -> bool:
    """Whether the vendor's import still holds somebody's row, or a person must look at it."""
    return line["reason"] in WAITING or (line["key"] == "pending" and line["record"] in waiting)


# --- I11 -------------------------------------------------------------------------------------------------------------

TWICE = 2  # the second one takes in what changed while the first was decided
# What a vendor sets by itself beside what was asked for.
_BESIDE = ("isPrimary", "isSecondary")
_OWN_KINDS = ("submission", "webhook")
_SETS = ("list_memberships", "taggings", "tags")
Target = tuple[str, str, str]


@dataclass(slots=True)
class _Quiet:
    """By customer how often somebody else changed anything; by target how often we have since, and what was the count
    then."""

    others: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    ours: dict[Target, tuple[int, int]] = field(default_factory=dict)


def no_echo(story: Story) -> Found:
    """I11: a write that is answered well has changed something, unless it repeats one of unknown fate; and between two
    changes by others each target (a value, a list, a tag of a record) is written at most twice. So an echo, which takes
    our own write for a change, does not come back a second time, and in the quiet at the end nothing goes on.
    """
    quiet, found, premise = _Quiet(), list(_in_vain(story)), 0
    for fact in story.of("EFF", "ACT"):
        if fact.kind == "ACT" or fact.data["actor"] not in ("product", "job"):
            quiet.others[fact.customer] += 1
            continue
        for target in _targets(fact):
            premise += 1
            if (count := _count(quiet, target)) > TWICE:
                found.append(Violation("I11", fact.n, f"{fact.key} {target[2]}: written {count} times for one change"))
    return found, premise


def _count(quiet: _Quiet, target: Target) -> int:
    others = quiet.others[target[0]]
    since, count = quiet.ours.get(target, (others, 0))
    quiet.ours[target] = (others, count + 1 if since == others else 1)
    return quiet.ours[target][1]


def _targets(fact: Fact) -> Iterator[Target]:
    name, before, after = fact.data["field"], fact.data["before"], fact.data["after"]
    if name in _SETS:
        for one in sorted(set(map(str, before or ())) ^ set(map(str, after or ()))):
            yield fact.customer, fact.key, f"{name} {one}"
    elif name not in _BESIDE and fact.key.partition(":")[0] not in _OWN_KINDS:
        yield fact.customer, fact.key, name


def _in_vain(story: Story) -> Iterator[Violation]:
    """Jobs on lists are for the vendor to run or not (CC facts 7.2): what they change is counted above."""
    answers = {fact.key: fact for fact in story.of("RSP")}
    changed = {fact.data["call"] for fact in story.of("EFF")}
    unsure: dict[tuple[str, str, str], set[str]] = {}
    for fact in story.of("OUT"):
        if not fact.data["write"] or fact.data["path"].startswith("/v3/activities/"):
            continue
        bodies = unsure.setdefault((fact.customer, fact.data["method"], fact.data["path"]), set())
        answer = answers.get(fact.key)
        if answer is None or not answer.data["known"] or answer.data["status"] is None:
            bodies.add(fact.data["body"])
        elif 200 <= answer.data["status"] < 300 and fact.key not in changed and not _repeats(fact, bodies):
            yield Violation("I11", fact.n, f"{fact.data['method']} {fact.data['path']}: changed nothing")


def _repeats(fact: Fact, bodies: set[str]) -> bool:
    """Whether the same was written before, with nobody knowing what became of it."""
    return fact.data["body"] in bodies or (bool(bodies) and fact.data["method"] in ("PUT", "DELETE"))


# --- I14 -------------------------------------------------------------------------------------------------------------

_LIFE = ("deleted", "deleted_at")
_LIFE_OF_CONTACT = ("isArchived", "mergedIntoContactId")
_WHOLE = ("contact", "contacts", "contactindividual")


def deletes_stay(story: Story) -> Found:
    """I14: deletes never cross. No write of ours deletes, archives, merges or revives a contact on either side; a
    deletion at Constant Contact closes the linked address in Virtuous and leaves a note.

    The premise: contacts that somebody deleted, archived or merged on one side.
    """
    found = [Violation("I14", fact.n, f"{fact.data['method']} {fact.data['path']}") for fact in _deletions(story)]
    premise = 0
    for fact in story.of("EFF"):
        if not _of_life(fact):
            continue
        if fact.data["actor"] in OURS:
            change = f"{fact.data['before']!r} -> {fact.data['after']!r}"
            found.append(Violation("I14", fact.n, f"{fact.key} {fact.data['field']}: {change}"))
        else:
            premise += 1
    return [*found, *_unheard(story)], premise


def _deletions(story: Story) -> Iterator[Fact]:
    for fact in story.of("OUT"):
        path = fact.data["path"]
        parts = path.strip("/").split("/")
        whole = len(parts) == 3 and parts[1].casefold() in _WHOLE
        if fact.data["write"] and ((fact.data["method"] == "DELETE" and whole) or "archive" in path.casefold()):
            yield fact


def _of_life(fact: Fact) -> bool:
    """Not that of a contact that is made."""
    name, before, after = fact.data["field"], fact.data["before"], fact.data["after"]
    if name not in _LIFE and not (name in _LIFE_OF_CONTACT and fact.key.startswith("contact:")):
        return False
    return before is not None or bool(after)


def _unheard(story: Story) -> Iterator[Violation]:
    """Of whom is deleted at the end, the linked contact in Virtuous must say so, once all is in step."""
    deleted = {(fact.customer, fact.key): fact.n for fact in story.of("ACT") if fact.data["what"] == "delete"}
    under_way = {fact.customer: pending(fact) for fact in story.of("JUDGED")}
    for (customer, number), n in deleted.items():
        raw = next((one for one in story.final.audience.get(customer, ()) if one["contact_id"] == number), None)
        if raw is None or not raw.get("deleted_at") or number in under_way.get(customer, ()):
            continue
        address = fields.email((raw.get("email_address") or {}).get("address"))
        for contact in story.final.crm.get(customer, ()):
            if _carries(contact, number) and (methods := list(_open_methods(contact, address))):
                yield Violation("I14", n, f"{number} is deleted, {methods[0]} of {contact['id']} is still opted in")


def pending(judged: Fact) -> set[str]:
    """Who of a customer is still under way at the end."""
    return {line["record"] for line in judged.data["report"]["details"] if line["key"] == "pending"}


def _carries(contact: Mapping[str, Any], number: str) -> bool:
    return any(
        (one["source"], one["id"]) == (fields.REFERENCE_SOURCE, number) for one in contact["contactReferences"] or ()
    )


def _open_methods(contact: Mapping[str, Any], address: str) -> Iterator[str]:
    for individual in contact["contactIndividuals"]:
        for method in individual["contactMethods"] or ():
            if fields.is_email(method) and fields.email(method["value"]) == address and method["isOptedIn"]:
                yield f"method {method['id']}"
