"""Moments: seconds since 1970 in UTC, as a float. Vendors write dates in many dialects; inside there is one."""

from datetime import UTC, date, datetime, time
from functools import lru_cache

Instant = float


def parse_instant(text: object) -> Instant | None:
    """Any ISO-8601 form of either vendor, with or without zone, fraction or time; None where it is none.

    A stamp without a zone is UTC (Virtuous facts 6), a bare date is its midnight (CC facts 1, dates).
    """
    return _read(text) if isinstance(text, str) else None


@lru_cache(maxsize=65536)
def _read(text: str) -> Instant | None:
    """Records are read again and again, and their stamps with them."""
    try:
        return _moment(text.strip())
    except (ValueError, OverflowError):
        return None


def _moment(text: str) -> Instant:
    if len(text) <= 10:
        return datetime.combine(date.fromisoformat(text), time(), UTC).timestamp()
    read = datetime.fromisoformat(text)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC).timestamp()


def format_instant(at: Instant) -> str:
    """RFC 3339 in UTC with whole seconds, the form that both vendors take."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")[:19] + "Z"
