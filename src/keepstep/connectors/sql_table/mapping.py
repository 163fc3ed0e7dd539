"""What a row of a customer's table says. Total: a strange value is a problem of its row, and of no other."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from keepstep.connectors.sql_table.stamps import instant_of
from keepstep.model.canonical import LIMITS, email, fingerprint, text
from keepstep.model.feed import Feed, Row, When, row_id
from keepstep.model.instant import Instant

Values = Mapping[str, Any]
_LOCAL = re.compile(r"[^\s@<>()\[\]\\,;:\"]{1,64}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# A permission is given before it is written down; clocks of two machines differ a little.
_AHEAD = 86_400.0


class Unreadable(ValueError):
    """A value that no text can stand for."""


def mapped(feed: Feed, values: Values, clock: Instant) -> Row:
    """A row by its columns' names. clock: the database's own, when it was read."""
    fields, broken = _fields(feed, values)
    lists = _lists(feed, values)
    canonical = email(fields.get("email"))
    address = canonical if is_address(canonical) else None
    permission_at = _permission_at(feed, values, clock)
    key = key_of(values[feed.key])
    problem = next(_problems(key, broken, canonical, address, lists), None)
    return Row(
        row_id=row_id(f"none:{fingerprint([fields, lists])}" if key is None else f"key:{key}"),
        version=fingerprint([fields, sorted(lists), permission_at]),
        key=key,
        address=address,
        fields=fields,
        lists=lists,
        permission_at=permission_at,
        problem=problem,
    )


def plain(value: Any) -> str | None:
    """A value as text: NFC, trimmed, without signs that control; None where nothing is left. Raises Unreadable."""
    if value is None:
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode("utf-8", "surrogateescape")
    said = _said(value)
    if said.isascii() and said.isprintable():
        return " ".join(said.split()) or None
    if any("\ud800" <= sign <= "\udfff" for sign in said):
        raise Unreadable
    shown = (" " if unicodedata.category(sign) == "Cc" else sign for sign in said.replace("\0", ""))
    return text("".join(shown)) or None


def key_of(value: Any) -> str | None:
    """What a row is known by; bytes by their digits, since an id in bytes may be no text."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return None if value is None else _said(value)


def is_address(address: str) -> bool:
    """Can mail go there? `address` is canonical."""
    local, _, domain = address.rpartition("@")
    labels = domain.split(".")
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    named = len(labels) > 1 and all(_LABEL.fullmatch(each) for each in labels) and not labels[-1].isdigit()
    return bool(_LOCAL.fullmatch(local)) and not dots and named and len(address) <= LIMITS["email"]


def _said(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case Decimal():
            return format(value, "f")
        case str() | int() | float() | UUID():
            return str(value)
        case date():
            return value.isoformat()
    raise Unreadable


def _fields(feed: Feed, values: Values) -> tuple[dict[str, str], bool]:
    """What the mapped columns say, and whether one of them cannot be read."""
    fields, broken = {}, False
    for field, column in feed.columns.items():
        try:
            said = plain(values[column])
        except Unreadable:
            broken = True
            continue
        if said is not None:
            fields[field] = said
    return fields, broken


def _problems(
    key: str | None, broken: bool, canonical: str, address: str | None, lists: tuple[str, ...]
) -> Iterator[str]:
    if key is None:
        yield "no_key"
    if broken:
        yield "unreadable"
    if not canonical:
        yield "no_email"
    if len(canonical) > LIMITS["email"]:
        yield "long_email"
    if address is None:
        yield "bad_email"
    if not lists:
        yield "no_list"


# --- where a row goes ------------------------------------------------------------------------------------------------


def _lists(feed: Feed, values: Values) -> tuple[str, ...]:
    """Every row's lists, then those of the conditions that it meets; each once."""
    chosen = (name for when in feed.when if _meets(when, values[when.column], feed.zone) for name in when.lists)
    return tuple(dict.fromkeys((*feed.lists, *chosen)))


def _meets(when: When, value: Any, zone: str) -> bool:
    try:
        said = plain(value)
    except Unreadable:
        return False
    if said is None:
        return False
    if when.equals:
        return said.casefold() in {text(each).casefold() for each in when.equals}
    day = _day(said, zone)
    return day is not None and (not when.since or when.since <= day) and (not when.before or day < when.before)


def _day(said: str, zone: str) -> str | None:
    """The day that a date or a moment falls on, in the feed's zone."""
    try:
        return date.fromisoformat(said).isoformat()
    except ValueError:
        at = instant_of(said, "stamp", zone)
    return None if at is None else datetime.fromtimestamp(at, ZoneInfo(zone)).date().isoformat()


def _permission_at(feed: Feed, values: Values, clock: Instant) -> Instant | None:
    """When the person said so; a moment to come is none, since it would outweigh everything that they do till then."""
    try:
        said = plain(values[feed.permission_at]) if feed.permission_at else None
    except Unreadable:
        return None
    at = instant_of(said, "stamp", feed.zone)
    return at if at is not None and at <= clock + _AHEAD else None
