"""Parsers of single values.

Each gives what the program uses, or raises ValueError saying what is wrong and what would be right.
"""

import difflib
import ipaddress
import re
from collections.abc import Callable
from typing import Any, Never
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keepstep.model.contact import Side
from keepstep.model.customer import Policy
from keepstep.model.stage import DAYS, hours_of
from keepstep.model.toward import FIELDS, unknown

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# As people say it, and as a route's settings do at the vendors' own pages.
_OFTEN = {"15 min": "15m", "hourly": "1h", "daily": "1d", "weekly": "7d"}
_LEAST_CADENCE = 60.0


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("is no table; write it as a [section]")
    return value


def anything(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is no text; put it in quotes")
    return value


def text(value: Any) -> str:
    if not anything(value).strip():
        raise ValueError("is empty; give a text or leave the line out")
    return str(value)


def texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError('is no list of texts; write ["one", "two"]')
    return tuple(value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false; write one of them without quotes")
    return value


def positive(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("is no whole number above 0; write e.g. 4")
    return value


def share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError("is no share; write a number from 0 to 1, e.g. 0.05")
    return float(value)


def duration(value: Any) -> float:
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if seconds < 1:
        raise ValueError('is no duration; write "30s", "15m", "1h" or "1d"')
    return seconds


def cadence(value: Any) -> float:
    """Seconds between two runs of a chore. Quicker than a minute it would leave a vendor's budget to nobody else."""
    word = " ".join(value.lower().split()) if isinstance(value, str) else value
    seconds = duration(_OFTEN.get(word, word) if isinstance(word, str) else word)
    if seconds < _LEAST_CADENCE:
        raise ValueError('is too often: a chore runs at most once a minute; write "1m", "15 min", "hourly" or "daily"')
    return seconds


# What proves that nobody is mailed against their will has no age.
KEPT_FOR_GOOD = ("consent", "consent_ledger", "suppressions", "opt_outs")
_LEAST_KEPT = 86_400.0


def kept(value: Any) -> float:
    """How long something is kept, in seconds: a day at least, since it is looked at once a day."""
    seconds = duration(value)
    if seconds < _LEAST_KEPT:
        raise ValueError('is too short: what is old is forgotten once a day; write "1d" or more')
    return seconds


def for_good(_value: Any) -> Never:
    raise ValueError("is kept for good: it proves that opt-outs were heard, and keeps them; leave the line out")


def choice(*words: str) -> Callable[[Any], str]:
    def chosen(value: Any) -> str:
        if value not in words:
            near = difflib.get_close_matches(str(value), words, n=1)
            right = f"did you mean {near[0]}?" if near else f"choose {' or '.join(words)}"
            raise ValueError(f"{str(value)[:40]!r} is no choice here; {right}")
        return str(value)

    return chosen


def owners(value: Any) -> dict[str, Side]:
    owners = Policy().owners
    for field, side in table(value).items():
        if field not in owners:
            raise ValueError(f"{field} is no field with an owner; known: {', '.join(owners)}")
        if side not in tuple(Side):
            raise ValueError(f"{field} = {str(side)[:40]!r} is no side; write audience or crm")
        if field == "email" and side != Side.audience:
            raise ValueError("email always belongs to the audience side; leave the line out")
        owners[field] = Side(side)
    return owners


def days(value: Any) -> tuple[str, ...]:
    """Days of the week, as `mon` to `sun`."""
    found = tuple(each.strip().lower()[:3] for each in texts(value))
    if any(each not in DAYS for each in found):
        raise ValueError(f'is no list of days; write some of {", ".join(DAYS)}, e.g. ["sat", "sun"]')
    return found


def hours(value: Any) -> str:
    """A span of the day, which may go over midnight; empty for the whole day."""
    if anything(value).strip() and hours_of(value) is None:
        raise ValueError('is no span of the day; write "22:00-06:00"')
    return str(value).strip()


def zone(value: Any) -> str:
    try:
        return ZoneInfo(text(value)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError('is no time zone; write its name, e.g. "America/Phoenix"') from None


def fields_to_audience(value: Any) -> tuple[str, ...]:
    """Fields that are written back. Consent goes by a way of its own, and only towards "off"."""
    names = tuple(each.strip() for each in texts(value))
    if "email" in names:
        raise ValueError("cannot hold email: the audience side owns it; leave it out")
    if wrong := unknown(names):
        raise ValueError(f"{wrong[0][:40]!r} is no field that can be written back; choose of {', '.join(FIELDS)}")
    return tuple(name for name in FIELDS if name in names)


# Fields whose type does not say what they may hold.
NAMED: dict[str, Callable[[Any], Any]] = {
    "owners": owners,
    "fields_to_audience": fields_to_audience,
    "bulk_days": days,
    "bulk_hours": hours,
    "bulk_zone": zone,
}


def contradictions(policy: Policy) -> list[tuple[str, str]]:
    """Keys of a route that cannot work together, each with what is wrong and what would be right."""
    found = []
    prefix, other = policy.contact_tags_prefix.strip(), policy.tag_prefix.strip()
    if prefix and prefix.casefold() == other.casefold():
        found.append(
            ("contact_tags_prefix", "is tag_prefix too: a list and a tag of one name would be one; change one")
        )
    if policy.lists_to == "custom_field" and not policy.lists_field.strip():
        found.append(("lists_to", "needs lists_field; name the custom field that the lists go to"))
    if policy.missing_lists == "create" and (policy.lists_to != "tags" or not other):
        found.append(
            ("missing_lists", "needs lists_to = tags and a tag_prefix that tells lists' tags from others; write wait")
        )
    if policy.crm_only == "create" and not policy.permission_evidence.strip():
        found.append(("crm_only", "needs permission_evidence; say in a sentence why these people may be mailed"))
    return found


def clock(value: Any) -> str:
    if not is_loopback(url(value)):
        raise ValueError("is not on this machine; write the control door of the stand-ins, http://127.0.0.1:PORT")
    return str(value).rstrip("/")


def database(value: Any) -> str:
    if not text(value).startswith(("sqlite:///", "postgresql://")) or value == "sqlite:///":
        raise ValueError("is no database; write sqlite:///keepstep.db or postgresql://user@host/name")
    return str(value)


def listen(value: Any) -> tuple[str, int]:
    host, _, port = text(value).rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("is no address; write host:port, e.g. 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def url(value: Any) -> str:
    right = "write https://host, or http:// for this machine or a name without dots"
    try:
        parts = urlsplit(text(value))
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(f"is no URL; {right}") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or not port_is_number or parts.username:
        raise ValueError(f"is no URL; {right}")
    # Credentials travel over it: without TLS only to this machine or a neighbour container.
    if parts.scheme == "http" and "." in parts.hostname and not is_loopback(value):
        raise ValueError(f"is not encrypted; {right}")
    return str(value).rstrip("/")
