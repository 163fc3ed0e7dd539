"""I12 and I13: whose value it is in the end, and where every value that we write comes from."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.invariants.convergence import pending
from keepstep_simulator.invariants.rounds import Side, polled
from keepstep_simulator.story import Fact, Found, Story, Violation

OURS = ("product", "job", "batch")
OUT = "unsubscribed"
# What goes by each name on the other side. Names are the fields that both sides edit one by one, and Virtuous owns.
NAMES = {"first_name": "firstName", "last_name": "lastName"}
BACK = {name: other for other, name in NAMES.items()}
Person = tuple[str, str]  # customer and contact id at Constant Contact


# --- I12 -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two records that are one person in the end. `speaks`: whoever is out or deleted has no opinion on names."""

    person: Person
    contact: str
    individual: str
    names: Mapping[str, str]
    speaks: bool


@dataclass(slots=True)
class _Edits:
    """What became of one name of one pair: at Constant Contact, and in Virtuous by anybody's hand."""

    here: list[Fact] = field(default_factory=list)
    there: list[Fact] = field(default_factory=list)


def edits_win(story: Story) -> Found:
    """I12: an edit made on one side only wins; of two, the policy picks (Virtuous owns names), and the loser's value is
    in the conflict log. So the last name written at Constant Contact has reached Virtuous or stands there as a
    conflict; and staff's later name is not overwritten by an older one once it was read.

    A name that staff write between our last look and our write is a race that no client can exclude.
    """
    found, premise = list[Violation](), 0
    pairs = {(pair.person[0], pair.individual): pair for pair in _pairs(story)}
    edits = _edits(story, pairs)
    for (person, name), both in edits.items():
        pair = next(one for one in pairs.values() if one.person == person)
        premise += 1
        found += [Violation("I12", n, f"{person[1]} {name}: {why}") for n, why in _lost(story, pair, name, both)]
        found += [Violation("I12", n, f"{person[1]} {name}: {why}") for n, why in _overwritten(story, pair, both)]
    return found, premise


def _pairs(story: Story) -> Iterator[_Pair]:
    under_way = {(fact.customer, number) for fact in story.of("JUDGED") for number in pending(fact)}
    for customer, contacts in story.final.crm.items():
        people = {str(raw["contact_id"]): raw for raw in story.final.audience.get(customer, ())}
        for contact in contacts:
            for number in (one["id"] for one in contact["contactReferences"] or () if _ours(one)):
                if number in people and (customer, number) not in under_way:
                    yield from _pair(customer, people[number], contact)


def _ours(reference: Mapping[str, Any]) -> bool:
    return bool(reference["source"] == fields.REFERENCE_SOURCE)


def _pair(customer: str, raw: Mapping[str, Any], contact: Mapping[str, Any]) -> Iterator[_Pair]:
    """With the one individual who has the address; nobody can tell two apart."""
    said = raw.get("email_address") or {}
    address = fields.email(said.get("address"))
    mine = [
        one
        for one in contact["contactIndividuals"]
        if any(fields.is_email(it) and fields.email(it["value"]) == address for it in one["contactMethods"] or ())
    ]
    if address and len(mine) == 1:
        names = {name: str(mine[0][other] or "") for name, other in NAMES.items()}
        speaks = not raw.get("deleted_at") and said.get("permission_to_send") != OUT
        person = (customer, str(raw["contact_id"]))
        yield _Pair(person, str(contact["id"]), str(mine[0]["id"]), names, speaks)


def _edits(story: Story, pairs: Mapping[tuple[str, str], _Pair]) -> dict[tuple[Person, str], _Edits]:
    """Names that somebody edited, of pairs, in their order."""
    linked = {pair.person for pair in pairs.values()}
    found: dict[tuple[Person, str], _Edits] = {}
    for fact in story.of("EFF"):
        name, (kind, _, number) = fact.data["field"], fact.key.partition(":")
        if name in NAMES and kind == "contact" and (fact.customer, number) in linked:
            found.setdefault(((fact.customer, number), name), _Edits()).here.append(fact)
        elif name in BACK and kind == "individual" and (pair := pairs.get((fact.customer, number))) is not None:
            found.setdefault((pair.person, BACK[name]), _Edits()).there.append(fact)
    others = ("person", "staff")
    return {key: one for key, one in found.items() if any(f.data["actor"] in others for f in (*one.here, *one.there))}


def _lost(story: Story, pair: _Pair, name: str, both: _Edits) -> Iterator[tuple[int, str]]:
    """The last edit here that never arrived there, without a word. An empty value does not travel."""
    last = next((fact for fact in reversed(both.here) if fact.data["actor"] not in OURS), None)
    wanted = fields.name(last.data["after"]) if last is not None else ""
    if last is None or not wanted or not pair.speaks:
        return
    before = [fact for fact in both.there if fact.n < last.n]
    after = [fact for fact in both.there if fact.n > last.n]
    now = before[-1].data["after"] if before else after[0].data["before"] if after else pair.names[name]
    arrived = {fields.name(value) for value in (now, *(fact.data["after"] for fact in after))}
    if wanted not in arrived and (pair.person[1], name) not in _conflicts(story, pair.person[0]):
        yield last.n, f"{wanted!r} of Constant Contact is neither in Virtuous nor in the conflict log"


def _conflicts(story: Story, customer: str) -> set[tuple[str, str]]:
    """Person and field of every line of the conflict log."""
    rows = (row for _, _, _, row in story.rows("journal") if row["kind"] == "conflict")
    return {_told(row["data"]) for row in rows if row["customer_id"] == customer}


def _told(data: str) -> tuple[str, str]:
    said = json.loads(data)
    return str(said.get("record")), str(said.get("field"))


def _overwritten(story: Story, pair: _Pair, both: _Edits) -> Iterator[tuple[int, str]]:
    """Staff's name under an older one of ours, though it was read in between."""
    for first, second in zip(both.there, both.there[1:], strict=False):
        if first.data["actor"] != "staff" or second.data["actor"] != "product":
            continue
        newer = any(first.n < fact.n < second.n for fact in both.here)
        if not newer and _was_read(story, pair, first.n, _sent(story, second)):
            yield second.n, f"{first.data['after']!r} of staff was overwritten by an older {second.data['after']!r}"


def _sent(story: Story, effect: Fact) -> int:
    return next((fact.n for fact in story.of("OUT") if fact.key == effect.data["call"]), effect.n)


def _was_read(story: Story, pair: _Pair, since: int, until: int) -> bool:
    """Whether the contact was stored, or the individual looked at, as it was after `since`."""
    side, path = (pair.person[0], VIRTUOUS), f"/api/ContactIndividual/{pair.individual}"
    looks = {
        fact.key
        for fact in story.of("OUT")
        if fact.customer == pair.person[0] and since < fact.n < until and fact.data["path"] == path
    }
    answered = any(fact.key in looks and fact.n < until and fact.data["status"] == 200 for fact in story.of("RSP"))
    return answered or any(
        one.side == side and one.record == pair.contact and since < one.asked and one.n < until
        for one in polled(story).readings
    )


# --- I13 -------------------------------------------------------------------------------------------------------------

_ADDRESS = ("address1", "address2", "city", "state", "postal", "country")
_OF_PEOPLE = ("firstName", "lastName")
# Fields of records that hold values of a person's, and those that a write of ours may change besides.
VALUES: Mapping[str, tuple[str, ...]] = {
    "individual": _OF_PEOPLE,
    "method": ("value",),
    "address": _ADDRESS,
    # Not its `state`, which is also how far the import is with it.
    "submission": (*_OF_PEOPLE, "address1", "address2", "city", "postal", "country", "email", "phone"),
}
BESIDE: Mapping[str, tuple[str, ...]] = {
    "individual": ("isPrimary", "isSecondary"),
    "method": ("isOptedIn", "isPrimary"),
    "address": ("isPrimary", "label"),
    "contact": ("tags",),
}
CUSTOM = "customFields."
AT_AUDIENCE = ("list_memberships", "taggings", "email_address.permission_to_send", "email_address.opt_out")
PARTS = ("phone_number", "street", "city", "state", "postal_code", "country")
WRITTEN_BACK = {"phone": "phone_numbers", "address": "street_addresses"}
EMPTY: tuple[Any, ...] = (None, "", (), [])


def nothing_invented(story: Story) -> Found:
    """I13: every value of a person that we write stood on the other side before; no value is emptied; and of what is
    there already only what is mapped changes, on either side."""
    said: dict[Side, set[str]] = {}
    back = _written_back(story)
    found, premise = list[Violation](), 0
    for fact in story.of("ACT", "EFF"):
        side = (fact.customer, fact.data["side"])
        if fact.kind == "EFF" and fact.data["actor"] in ("product", "job"):
            premise += 1
            other = (fact.customer, VIRTUOUS if side[1] == CONSTANT_CONTACT else CONSTANT_CONTACT)
            if why := _wrong(fact, said.get(other, set()), back):
                found.append(Violation("I13", fact.n, f"{fact.key} {fact.data['field']}: {why}"))
        said.setdefault(side, set()).update(_words(fact.data["data" if fact.kind == "ACT" else "after"]))
    return found, premise


def _written_back(story: Story) -> tuple[str, ...]:
    """What the route writes back at Constant Contact besides consent and labels."""
    plan = next(iter(story.of("PLAN")), None)
    names = plan.data["policy"].get("fields_to_audience", ()) if plan is not None else ()
    return tuple(WRITTEN_BACK.get(name, name) for name in names)


def _wrong(fact: Fact, said: set[str], back: tuple[str, ...]) -> str:
    kind, name = fact.key.partition(":")[0], fact.data["field"]
    before, after = fact.data["before"], fact.data["after"]
    here = fact.data["side"] == CONSTANT_CONTACT
    value = name in (back if here else VALUES.get(kind, ())) or name.startswith(CUSTOM)
    if after is None and kind == "method":
        return ""  # it goes as a whole: of two people who swap addresses one gets a new method (design 4, custody)
    if value and after in EMPTY:
        return "" if before in EMPTY else f"{before!r} was emptied"
    if value:
        unheard = [one for one in _new(before, after) if said.isdisjoint(_said(one))]
        return f"{unheard[0]!r} was said by nobody" if unheard else ""
    mapped = AT_AUDIENCE if here else BESIDE.get(kind, ("",))
    is_new = before is None and not here
    return "" if is_new or name.startswith(mapped) else f"{before!r} -> {after!r} is not mapped"


def _new(before: Any, after: Any) -> Iterator[Any]:
    """What was not there before: the value itself, or of telephones and addresses the parts that were written."""
    if not isinstance(after, list):
        yield after
        return
    old = {str(one.get(part)) for one in before or () for part in PARTS}
    for one in after:
        yield from (one[part] for part in PARTS if one.get(part) and str(one[part]) not in old)


def _words(value: Any) -> Iterator[str]:
    """Every value in an act's arguments, in the forms that values are compared in."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _words(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _words(one)
    elif value not in EMPTY:
        yield from _forms(str(value))


# Most words of a seed are said again and again, and so are those of the next one.
@lru_cache(maxsize=4096)
def _forms(text: str) -> frozenset[str]:
    forms = {fields.place(text), fields.country(text), fields.place(text[:10])}
    return frozenset(forms | ({fields.phone(text)} if any(sign.isdigit() for sign in text) else set()))


def _said(value: Any) -> set[str]:
    """What must have been said for this to be written: any of these. Several choices are one text (model/custom.py)."""
    return {form for part in str(value).split(";") for form in _forms(part.strip())} | set(_forms(str(value)))
