"""Whether custom fields that go by one name hold one value, whatever each vendor's types write it as.

The judge's own reading of both vendors' words: texts letter by letter, dates by the day, numbers by what they count,
a choice as exactly one of the options (Virtuous facts 7.5), several choices joined with semicolons.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.evidence import Evidence, Finding, Member, Raw
from keepstep_sandbox.judge.values import WRONG, Edits, judged
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Act

_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
# What a type at Constant Contact may be in Virtuous (CC facts 6.4; Virtuous facts 7.5).
_CARRIED = {
    "string": ("Text",),
    "text_area": ("Text",),
    "date": ("Date", "DateTime", "Text"),
    "number": ("Number", "Text"),
    "boolean": ("Boolean", "Text"),
    "single_select": ("Dropdown", "List", "Text"),
    "multi_select": ("Text",),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A field on both sides. `carried` is false where the types cannot hold each other's values."""

    number: str
    kind: str
    choices: tuple[str, ...]
    name: str
    data_type: str
    options: tuple[str, ...]

    @property
    def carried(self) -> bool:
        return self.data_type in _CARRIED.get(self.kind, ())

    def read(self, value: str | None) -> Any:
        """A value of either side as something that can be compared; None for an empty one."""
        text = fields.name(value)
        reader: Callable[[str], Any] = _READERS.get(self.kind, fields.name)
        return reader(text) if text else None


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Every wrong value and every lost edit of a custom field."""
    known = list(pairs(evidence))
    for household in evidence.households.values():
        contact = household[0].contact
        if contact is not None:
            for pair in known:
                yield from _field(evidence, pair, contact, household)
            yield from _strange(evidence, known, contact, household)


def _field(evidence: Evidence, pair: Pair, contact: Raw, household: list[Member]) -> Iterator[Finding]:
    have, staff = _held(contact, pair.name), _by_staff(evidence, pair, contact)
    if have and pair.options and have not in pair.options:
        yield Finding(WRONG, household[0].id, f"custom field {pair.name}: no option")
    if not pair.carried:
        if have and pair.read(have) not in [value for _t, value in staff]:
            yield Finding(WRONG, household[0].id, f"custom field {pair.name}: the types do not carry each other")
        return
    people = [one for one in household if one.linked and one.mailable]
    given = [one for one in (_wanted(pair, one) for one in people) if one is not None]
    edits = _edits(evidence, pair, people[0]) if len(people) == 1 and len(household) == 1 else []
    first = given[0] if given else None
    label = f"custom field {pair.name}"
    if people:
        value = pair.read(have)
        yield from judged(people[0].id, label, first, value in given, value, staff, edits)
        if value is not None and not given and not _explained(evidence, pair, household, value, staff):
            yield Finding(WRONG, people[0].id, f"{label}: a value that nobody gave")


def _explained(evidence: Evidence, pair: Pair, household: list[Member], value: Any, staff: Edits) -> bool:
    """Fill-only: what somebody gave once stays after it was emptied."""
    once = [given for one in household for _t, given in _edits(evidence, pair, one)]
    return value in once or value in [given for _t, given in staff]


def _strange(evidence: Evidence, known: list[Pair], contact: Raw, household: list[Member]) -> Iterator[Finding]:
    """Fields that go by no name of Constant Contact's are staff's own business."""
    names = {pair.name for pair in known}
    mine = [act for act in evidence.acts_of(VIRTUOUS, "staff_sets_custom") if act.record == str(contact["id"])]
    for one in contact["customFields"]:
        if one["name"] not in names and one["name"] not in {act.data["name"] for act in mine}:
            yield Finding(WRONG, household[0].id, f"custom field {one['name']}: nobody's")


def pairs(evidence: Evidence) -> Iterator[Pair]:
    """The fields that go by one name on both sides; case, spaces and underscores tell nothing apart."""
    crm = {_plain(act.data["name"]): act for act in evidence.acts_of(VIRTUOUS, "add_custom_field")}
    for act in evidence.acts_of(CONSTANT_CONTACT, "add_custom_field"):
        other = crm.get(_plain(act.data["label"]))
        if other is not None:
            yield Pair(
                act.record,
                str(act.data.get("kind", "string")),
                _choices(evidence, act),
                str(other.data["name"]),
                str(other.data.get("data_type", "Text")),
                tuple(other.data.get("options", ())),
            )


def _choices(evidence: Evidence, act: Act) -> tuple[str, ...]:
    """The labels in the order in which they were made, which is what their ids count."""
    more = (one for one in evidence.acts_of(CONSTANT_CONTACT, "add_choice") if one.data["field_id"] == act.record)
    return (*act.data.get("choices", ()), *(str(one.data["label"]) for one in more))


def _plain(name: object) -> str:
    return " ".join(str(name).replace("_", " ").casefold().split())


def _wanted(pair: Pair, member: Member) -> Any:
    """What should have crossed; None for nothing, and for a choice that is no option in Virtuous."""
    said = words(pair, member.raw)
    return _offered(pair, said) if said else None


def words(pair: Pair, raw: Raw) -> str:
    """A contact's value in words, choices by their labels; empty for none."""
    found = [one for one in raw.get("custom_fields", ()) if one.get("custom_field_id") == pair.number]
    if not found or found[0].get("choice_ids") is None:
        return str(found[0].get("value") or "") if found else ""
    return "; ".join(pair.choices[int(number) % 100_000 - 1] for number in found[0]["choice_ids"])


def _offered(pair: Pair, words: str) -> Any:
    return None if pair.options and words not in pair.options else pair.read(words)


def _held(contact: Raw, name: str) -> str:
    return next((str(one["value"] or "") for one in contact["customFields"] if one["name"] == name), "")


def _by_staff(evidence: Evidence, pair: Pair, contact: Raw) -> Edits:
    acts = evidence.acts_of(VIRTUOUS, "staff_sets_custom")
    mine = [act for act in acts if act.record == str(contact["id"]) and act.data["name"] == pair.name]
    return [(act.t, pair.read(act.data["value"])) for act in mine]


def _edits(evidence: Evidence, pair: Pair, member: Member) -> Edits:
    """What the person or staff at Constant Contact wrote, oldest first; what is no option there is not to cross."""
    acts = evidence.acts_of(CONSTANT_CONTACT, "set_custom_field")
    mine = [act for act in acts if act.record == member.id and act.data["field_id"] == pair.number]
    given = ((act.t, _offered(pair, _said(act.data.get("value")))) for act in mine)
    return [(at, value) for at, value in given if value is not None]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else "; ".join(str(one) for one in value or ())


def _day(text: str) -> str:
    found = _US_DATE.match(text)
    return f"{found[3]}-{int(found[1]):02}-{int(found[2]):02}" if found else text[:10]


def _count(text: str) -> Any:
    try:
        return Decimal(text.replace(",", "").replace("$", ""))
    except InvalidOperation:
        return text


_READERS: Mapping[str, Callable[[str], Any]] = {
    "date": _day,
    "number": _count,
    "boolean": lambda text: text.casefold(),
    "multi_select": lambda text: frozenset(part.strip() for part in text.split(";")),
}
