"""Custom fields: which one of the audience side is which of the CRM, and what a value of the one is on the other.

They go together by name, where their kinds can carry each other (CC facts 6.4; Virtuous facts 7.5):

| audience side | CRM | what is written |
|---|---|---|
| text | text | the text; the audience side cuts at 255 signs (CC facts 3.2) |
| date | date, datetime, text | `2026-03-01`, midnight in a datetime; read as ISO or M/D/YYYY, with or without a time |
| datetime | datetime, text, date | `2026-03-01T10:00:00Z`; no Z where there is no zone; a date only from midnight |
| number | number, text | digits: `1200`, `1200.5`; read with separators and a dollar sign (Virtuous facts 6, money) |
| boolean | boolean, text, single | `true` or `false`; the option that reads so, if there is one for each |
| single | single, text | the label; as an option only where it is one, exactly: options are case-sensitive |
| multi | text, single | the labels joined with `; `; as an option only if it is one choice |

Anything else is not bound. A value that cannot be read, or is no option there, is withheld, never invented.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Literal

from keepstep.model.canonical import text

Kind = Literal["text", "date", "datetime", "number", "boolean", "single", "multi", "other"]

# The lists of the audience side as one field of its own, where the route maps them so: choices are list ids and names.
LISTS = "lists"
LIMIT = 255
CARRIES: Mapping[Kind, tuple[Kind, ...]] = {
    "text": ("text",),
    "date": ("date", "datetime", "text"),
    "datetime": ("datetime", "text", "date"),
    "number": ("number", "text"),
    "boolean": ("boolean", "text", "single"),
    "single": ("single", "text"),
    "multi": ("text", "single"),
    "other": (),
}
TRUTH = {"true": "true", "yes": "true", "1": "true", "false": "false", "no": "false", "0": "false"}
_DAY = r"([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})|([0-9]{1,2})[-/]([0-9]{1,2})[-/]([0-9]{4})"
_MOMENT = re.compile(rf"(?:{_DAY})(?:(?:T| +)(.+))?")
_HALF_DAY = re.compile(r"(0?[1-9]|1[0-2])(:[0-9]{2}(?::[0-9]{2})?) ?([AaPp])[Mm]")
_NUMBER = re.compile(r"([-+]?) ?\$?([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.([0-9]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomField:
    """A custom field as one side defines it. `names` are all that it goes by, the one to address it with first;
    `choices` maps the id of a choice to its label, both the same where choices have no ids."""

    field_id: str
    names: tuple[str, ...]
    kind: Kind
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A custom field of the audience side and the one of the same name in the CRM. `paused`: why nothing is decided by
    it: kinds_differ, name_shared (two on one side go by it), field_gone (it was bound before)."""

    audience: CustomField
    crm: CustomField
    paused: str | None = None

    @property
    def key(self) -> str:
        """What a person's fields hold it under."""
        return f"custom:{self.crm.field_id}"


# --- which goes with which -------------------------------------------------------------------------------------------


def bind(
    audience_fields: Iterable[CustomField],
    crm_fields: Iterable[CustomField],
    known: Iterable[Binding] = (),
    lists_field: str = "",
) -> tuple[Binding, ...]:
    """One binding for each audience field that has a partner or had one among those `known`; by field id.

    Case, white space and underscores of names tell nothing apart; any name of a field may be the one. `lists_field`
    names the CRM field that the lists are mapped to: no other field goes with that one, and the binding's audience
    field is `LISTS`.
    """
    lists = [CustomField(field_id=LISTS, names=(lists_field,), kind="single")] if lists_field else []
    there = sorted(crm_fields, key=lambda one: one.field_id)
    taken = [other for other in there for one in lists if _named_alike(one, other)]
    rest = [other for other in there if other not in taken]
    here = sorted(audience_fields, key=lambda one: one.field_id)
    before = {one.audience.field_id: one for one in known if lists or one.audience.field_id != LISTS}
    bound = {one.audience.field_id: one for one in (*_by_name(lists, taken), *_by_name(here, rest))}
    for kept in _by_id(here, rest, before.values(), bound.values()):
        bound.setdefault(kept.audience.field_id, kept)
    partners = {one.crm.field_id for one in bound.values()}
    gone = [one for key, one in before.items() if key not in bound and one.crm.field_id not in partners]
    lost = [Binding(audience=one.audience, crm=one.crm, paused="field_gone") for one in gone]
    return tuple(sorted((*bound.values(), *lost), key=lambda one: one.audience.field_id))


def _by_name(here: Sequence[CustomField], there: Sequence[CustomField]) -> list[Binding]:
    pairs = [(one, other) for one in here for other in there if _named_alike(one, other)]
    ours = Counter(one.field_id for one, _ in pairs)
    theirs = Counter(other.field_id for _, other in pairs)
    first = {one.field_id: (one, other) for one, other in reversed(pairs)}
    return [
        _bound(one, other, shared=ours[one.field_id] > 1 or theirs[other.field_id] > 1) for one, other in first.values()
    ]


def _by_id(
    here: Sequence[CustomField], there: Sequence[CustomField], known: Iterable[Binding], bound: Iterable[Binding]
) -> list[Binding]:
    """A field that was given another name keeps its partner, as a renamed list does, until another field goes by it."""
    ours, theirs = {one.field_id: one for one in here}, {other.field_id: other for other in there}
    free = theirs.keys() - {one.crm.field_id for one in bound}
    kept = [(ours.get(one.audience.field_id), one.crm.field_id) for one in known]
    return [_bound(one, theirs[other]) for one, other in kept if one and other in free]


def _bound(one: CustomField, other: CustomField, shared: bool = False) -> Binding:
    paused = "name_shared" if shared else None if _fit(one, other) else "kinds_differ"
    return Binding(audience=one, crm=other, paused=paused)


def _fit(one: CustomField, other: CustomField) -> bool:
    if one.kind == "boolean" and other.kind == "single":
        return sorted(filter(None, map(_truth, other.choices.values()))) == ["false", "true"]
    return other.kind in CARRIES[one.kind]


def _named_alike(one: CustomField, other: CustomField) -> bool:
    return not _names(one).isdisjoint(_names(other))


def _names(one: CustomField) -> frozenset[str]:
    return frozenset(filter(None, (text(name.replace("_", " ")).casefold() for name in one.names)))


# --- what a value says -----------------------------------------------------------------------------------------------


def spoken(one: CustomField, value: str | None) -> str | None:
    """The audience side's value in words: labels instead of the ids of choices, so that a choice that is given another
    label has changed. None where it is empty; as given where a choice is not known."""
    return "; ".join(_words(one, value)) or text(value) or None


def to_crm(binding: Binding, value: str | None) -> str | None:
    """What the CRM is to be told for a value of the audience side; None where it is empty, unreadable or no option."""
    words = _words(binding.audience, value)
    if not words or (len(words) > 1 and (binding.audience.kind, binding.crm.kind) != ("multi", "text")):
        return None
    if binding.crm.kind == "single":
        return _option(binding, words[0])
    return _WRITTEN.get(binding.audience.kind, _as_is)("; ".join(words), binding.crm.kind)


def canonical(binding: Binding, value: str | None) -> str:
    """What two values of a bound field are compared by, in words of either side; empty for an empty value."""
    read = _READ.get(_measure(binding), text)
    return read(value or "") or text(value)


def same(binding: Binding, one: str | None, other: str | None) -> bool:
    """Are two values, each in words of either side, the same?"""
    return canonical(binding, one) == canonical(binding, other)


def fits(binding: Binding, audience: str | None, crm: str | None) -> bool:
    """Agreement across the two sides: the same, or the audience side's is what a limit left of the CRM's."""
    if same(binding, audience, crm):
        return True
    cut = binding.audience.kind == "text" and len(text(crm)) > LIMIT
    return cut and same(binding, audience, text(crm)[:LIMIT])


def _measure(binding: Binding) -> str:
    """The coarser one of the two kinds; text can say whatever the other side means."""
    kinds = (binding.audience.kind, binding.crm.kind)
    if kinds == ("multi", "text"):
        return "multi"
    return "date" if "date" in kinds else binding.audience.kind


def _words(one: CustomField, value: str | None) -> tuple[str, ...]:
    """The labels of a choice, none where one is not known; the value itself of any other field."""
    given = (value or "").strip()
    if one.kind not in ("single", "multi") or not given:
        return (given,) if given else ()
    labels = [label for part in given.split(",") for label in _labels(one, part.strip())]
    if len(labels) == len(given.split(",")):
        return tuple(labels)
    return (given,) if text(given) in [text(label) for label in one.choices.values()] else ()


def _labels(one: CustomField, choice: str) -> list[str]:
    """The label of a choice id. A definition may count choices (`1`) that contacts pad (`000001`; CC facts 6.4)."""
    if choice in one.choices:
        return [one.choices[choice]]
    alike = [label for known, label in one.choices.items() if known.lstrip("0") == choice.lstrip("0") != ""]
    return alike if len(alike) == 1 else []


def _option(binding: Binding, word: str) -> str | None:
    """The CRM's own option, as it is written there."""
    reads = _truth if binding.audience.kind == "boolean" else text
    alike = [option for option in binding.crm.choices.values() if reads(word) and reads(option) == reads(word)]
    return alike[0] if len(alike) == 1 else None


# --- how each kind is read and written -------------------------------------------------------------------------------


def _truth(value: str) -> str:
    return TRUTH.get(text(value).casefold(), "")


def _number(value: str) -> str:
    """Digits without a sign, a zero or a separator that says nothing."""
    found = _NUMBER.fullmatch(text(value))
    if not found:
        return ""
    sign, whole, part = found[1], found[2].replace(",", "").lstrip("0") or "0", (found[3] or "").rstrip("0")
    digits = f"{whole}.{part}" if part else whole
    return f"-{digits}" if sign == "-" and digits != "0" else digits


def _moment(value: str) -> datetime | None:
    """Both vendors' forms of a date, with or without a time; a month comes before its day (CC facts 5.2; Virtuous facts
    6)."""
    found = _MOMENT.fullmatch(text(value))
    if not found:
        return None
    year, month, day = (found[1], found[2], found[3]) if found[1] else (found[6], found[4], found[5])
    try:
        clock = _clock(found[7]) if found[7] else time()
        return datetime.combine(date(int(year), int(month), int(day)), clock).replace(microsecond=0)
    except ValueError:
        return None


def _clock(value: str) -> time:
    half = _HALF_DAY.fullmatch(value)
    if half:
        hour = int(half[1]) % 12 + (12 if half[3] in "Pp" else 0)
        return time.fromisoformat(f"{hour:02}{half[2]}")
    return time.fromisoformat(value)


def _date(value: str) -> str:
    """The day as written: what is a date has no zone."""
    found = _moment(value)
    return found.date().isoformat() if found else ""


def _datetime(value: str) -> str:
    """In UTC, which it is where it names no zone (Virtuous facts 6); a zone may lead out of the calendar."""
    found = _moment(value)
    try:
        moment = found.astimezone(UTC) if found and found.tzinfo else found
    except OverflowError:
        return ""
    return moment.replace(tzinfo=None).isoformat() if moment else ""


def _parts(value: str) -> str:
    return "; ".join(sorted(filter(None, map(text, value.split(";")))))


def _as_is(value: str, _kind: Kind) -> str:
    return value


def _told_date(value: str, kind: Kind) -> str | None:
    day = _date(value)
    return f"{day}T00:00:00" if day and kind == "datetime" else day or None


def _told_datetime(value: str, kind: Kind) -> str | None:
    found = _moment(value)
    if found is None:
        return None
    if kind == "date":
        return _date(value) if found.time() == time() else None
    moment = _datetime(value)
    return f"{moment}Z" if moment and found.tzinfo else moment or None


_READ: Mapping[str, Callable[[str], str]] = {
    "date": _date,
    "datetime": _datetime,
    "number": _number,
    "boolean": _truth,
    "multi": _parts,
}
_WRITTEN: Mapping[Kind, Callable[[str, Kind], str | None]] = {
    "date": _told_date,
    "datetime": _told_datetime,
    "number": lambda value, _kind: _number(value) or None,
    "boolean": lambda value, _kind: _truth(value) or None,
}
