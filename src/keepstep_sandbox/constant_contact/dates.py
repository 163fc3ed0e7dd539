"""Moments as Constant Contact writes and reads them: whole seconds inside, several dialects outside (CC facts 1)."""

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from functools import lru_cache
from math import floor

DAY = 86_400
_EASTERN = timezone(timedelta(hours=-5))
_LOOSE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?\s?(Z|z|[+-]\d{2}:?\d{2})?)?$"
)


def seconds(now: float) -> int:
    """The second in which `now` lies; the vendor's stamps have no fraction."""
    return floor(now)


@lru_cache(maxsize=16_384)
def stamp(at: int, dialect: str = "z", field: str = "") -> str:
    """A date-time in one dialect: z, millis, offset, or mixed, which depends on the field."""
    if dialect == "mixed":
        dialect = "offset" if field.startswith("updated") else "millis" if field.startswith("opt") else "z"
    if dialect == "offset":
        return datetime.fromtimestamp(at, _EASTERN).isoformat()
    return datetime.fromtimestamp(at, UTC).strftime(
        "%Y-%m-%dT%H:%M:%S.000Z" if dialect == "millis" else "%Y-%m-%dT%H:%M:%SZ"
    )


def fine_stamp(millis: int, dialect: str = "z", field: str = "") -> str:
    """A date-time of campaigns and reports, with a real fraction unless a dialect says otherwise (CC facts 1)."""
    if dialect == "mixed":
        dialect = "offset" if field.startswith("updated") else "millis" if field.startswith("created") else "plain"
    at = datetime.fromtimestamp(millis // 1000, UTC)
    if dialect == "offset":
        return at.astimezone(_EASTERN).isoformat()
    fraction = "" if dialect == "plain" else f".{millis % 1000:03}"
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def day(at: int) -> str:
    """The date alone, as in a contact's `deleted_at` (CC facts 1)."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def parse(text: str) -> float:
    """Epoch seconds of an ISO date or date-time, loose ones too; no zone means UTC. Raises ValueError."""
    found = _LOOSE.match(text.strip())
    if found is None:
        raise ValueError("not a date")
    year, month, date, hour, minute, second, fraction, zone = found.groups()
    at = datetime(int(year), int(month), int(date), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    return at.timestamp() + float(f"0.{fraction or 0}") - _offset(zone)


def _offset(zone: str | None) -> int:
    if zone is None or zone in "Zz":
        return 0
    span = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return -span if zone[0] == "-" else span


@lru_cache(maxsize=1024)
def http_date(at: int) -> str:
    """The HTTP `Date` header (RFC 7231)."""
    return format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)
