"""Conditions of a query: the live operators per type, values and dates (Virtuous facts 9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from keepstep_sandbox.virtuous.calls import Refused, text
from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.records import Contact

INT, TEXT, DATE, LIST, YES = "Int", "String", "Date", "List", "Boolean"

# Operator: (several values allowed, value required).
_ORDERED = {
    "Is": (False, True), "LessThan": (False, True), "LessThanOrEqual": (False, True), "GreaterThan": (False, True),
    "GreaterThanOrEqual": (False, True), "Between": (False, True),
}  # fmt: skip
OPERATORS: dict[str, dict[str, tuple[bool, bool]]] = {
    INT: {**_ORDERED, "In": (True, True), "NotIn": (True, True)},
    DATE: {
        **_ORDERED, "Before": (False, True), "OnOrBefore": (False, True), "After": (False, True),
        "OnOrAfter": (False, True),
    },
    TEXT: {
        "Is": (False, True), "IsKnown": (False, False), "IsNotKnown": (False, False), "Contains": (False, True),
        "StartsWith": (False, True), "EndsWith": (False, True),
    },
    LIST: {"Is": (False, True), "IsNot": (False, True), "IsAnyOf": (True, True), "IsNoneOf": (True, True)},
    YES: {"IsTrue": (False, False), "IsFalse": (False, False)},
}  # fmt: skip

Predicate = Callable[[Contact], bool]
Reader = Callable[[Contact], Iterable[Any]]
INTEGER = re.compile(r"-?[0-9]{1,18}")
PLACE = "groups.conditions.value"
AGO = {f"{days} days ago": days for days in (30, 60, 90, 180, 270)} | {
    "today": 0, "yesterday": 1, "tomorrow": -1, "one week from now": -7, "one year ago": 365, "two years ago": 730,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as it was sent."""

    parameter: str
    operator: str
    raw: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A value that must be there."""
        value = text(self.raw, name)
        if value is None or not value.strip():
            raise Refused(400, "A value is required.", PLACE)
        return value.strip()

    def values(self) -> list[str]:
        values = self.raw.get("values")
        if not isinstance(values, list) or not values:
            raise Refused(400, "Values are required.", "groups.conditions.values")
        return [(text({"value": value}, "value") or "").strip() for value in values]


def compiled(condition: Condition, kind: str, read: Reader, organization: Organization, now: float) -> Predicate:
    """A condition as a function of a contact; 400 for an operator that the type does not have."""
    if condition.operator not in OPERATORS[kind]:
        raise Refused(400, f"{condition.operator} is not a valid operator", "groups.conditions.operator")
    if kind == INT:
        return _number(condition, read)
    if kind == DATE:
        return _moment(condition, read, organization, now)
    if kind == YES:
        wanted = condition.operator == "IsTrue"
        return lambda contact: any(bool(value) is wanted for value in read(contact))
    return _text(condition, read) if kind == TEXT else _choice(condition, read)


def _number(condition: Condition, read: Reader) -> Predicate:
    operator = condition.operator
    if operator in ("In", "NotIn"):
        chosen = {_integer(value) for value in condition.values()}
        return lambda contact: any(value in chosen for value in read(contact)) is (operator == "In")
    low = _integer(condition.text("value"))
    high = _integer(condition.text("secondaryValue")) if operator == "Between" else low
    holds = _ordering(operator, low, high)
    return lambda contact: any(holds(value) for value in read(contact))


def _ordering(operator: str, low: float, high: float) -> Callable[[float], bool]:
    """A comparison of whole numbers."""
    return {
        "Is": lambda value: value == low,
        "LessThan": lambda value: value < low,
        "LessThanOrEqual": lambda value: value <= low,
        "GreaterThan": lambda value: value > low,
        "GreaterThanOrEqual": lambda value: value >= low,
        "Between": lambda value: low <= value <= high,
    }[operator]


def _integer(value: str) -> int:
    if not INTEGER.fullmatch(value):
        raise Refused(400, "An error has occurred.", PLACE)
    return int(value)


def _text(condition: Condition, read: Reader) -> Predicate:
    """Text compares without regard to case; any person, method or address of the contact will do."""
    operator = condition.operator
    if operator in ("IsKnown", "IsNotKnown"):
        return lambda contact: any(value not in (None, "") for value in read(contact)) is (operator == "IsKnown")
    wanted = condition.text("value").casefold()
    holds: Callable[[str], bool] = {
        "Is": lambda value: value == wanted,
        "Contains": lambda value: wanted in value,
        "StartsWith": lambda value: value.startswith(wanted),
        "EndsWith": lambda value: value.endswith(wanted),
    }[operator]
    return lambda contact: any(holds(str(value).casefold()) for value in read(contact) if value)


def _choice(condition: Condition, read: Reader) -> Predicate:
    operator = condition.operator
    many = operator in ("IsAnyOf", "IsNoneOf")
    wanted = {value.casefold() for value in (condition.values() if many else [condition.text("value")])}
    positive = operator in ("Is", "IsAnyOf")
    return lambda contact: any(str(value).casefold() in wanted for value in read(contact)) is positive


def _moment(condition: Condition, read: Reader, organization: Organization, now: float) -> Predicate:
    """Whole days in the organization's time zone (switch query-date: the instant itself)."""
    start, end = _span(condition.text("value"), organization, now)
    last = _span(condition.text("secondaryValue"), organization, now)[1] if condition.operator == "Between" else end
    holds: Callable[[float], bool] = {
        "Is": lambda value: start <= value < end,
        "Before": lambda value: value < start,
        "LessThan": lambda value: value < start,
        "OnOrBefore": lambda value: value < end,
        "LessThanOrEqual": lambda value: value < end,
        "After": lambda value: value >= end,
        "GreaterThan": lambda value: value >= end,
        "OnOrAfter": lambda value: value >= start,
        "GreaterThanOrEqual": lambda value: value >= start,
        "Between": lambda value: start <= value < last,
    }[condition.operator]
    return lambda contact: any(holds(value) for value in read(contact))


def _span(value: str, organization: Organization, now: float) -> tuple[float, float]:
    """The seconds that a date value means: from the first on, before the second."""
    zone = _zone(organization.time_zone)
    moment = _instant(value)
    if moment is not None and organization.switches["query-date"] == "instant":
        return moment.timestamp(), moment.timestamp() + 0.001
    day = moment.astimezone(zone).date() if moment is not None else _day(value, zone, now)
    return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def _day(value: str, zone: ZoneInfo, now: float) -> date:
    today = datetime.fromtimestamp(now, zone).date()
    word = value.strip().lower()
    if word in AGO:
        return today - timedelta(days=AGO[word])
    if word == "start of this month":
        return today.replace(day=1)
    written = _written_day(value)
    if written is None:
        raise Refused(400, "The date is not valid.", PLACE)
    return written


@lru_cache(maxsize=256)
def _written_day(value: str) -> date | None:
    for form in ("%Y-%m-%d", "%m/%d/%Y"):
        try:
            return _ordinary(datetime.strptime(value, form).replace(tzinfo=UTC).date())
        except ValueError:
            continue
    return None


def _instant(value: str) -> datetime | None:
    """A date with a time; without a zone it is UTC."""
    if "T" not in value or value[:1].isalpha():
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        _ordinary(moment.date())
    except (ValueError, OverflowError):
        raise Refused(400, "The date is not valid.", PLACE) from None
    return moment


def _ordinary(day: date) -> date:
    if not 1753 <= day.year <= 9998:
        raise ValueError("out of range")
    return day


@lru_cache(maxsize=256)
def _midnight(day: date, zone: ZoneInfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
