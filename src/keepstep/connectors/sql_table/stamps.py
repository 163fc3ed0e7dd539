"""What a change column holds: stamps of many types, counters, or words that only have an order.

A round is read from a low bound on; nothing here may ever be later than it should, earlier only costs a second look.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from keepstep.model.instant import Instant

# moment: in UTC, whatever it is shown in. stamp, date: without a zone, in the feed's. plain: an exact number, or none.
Kind = Literal["moment", "stamp", "date", "number", "text", "uuid", "bytes", "float", "other"]

# What counts seconds, milliseconds or microseconds since 1970 lies in one of these spans, in our lifetime.
_EPOCHS = ((1e9, 1e10, 1), (1e12, 1e13, 1_000), (1e15, 1e16, 1_000_000))
# A counter's numbers are given out before they are committed: so many are looked at again.
COUNTED_BACK = 1_000
_DAY = 86_400.0
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def instant_of(value: Any, kind: Kind, zone: str) -> Instant | None:
    """The moment that a value stands for; None where it is no moment. Without a zone of its own it is in `zone`."""
    if isinstance(value, int | float | Decimal):
        return _of_epoch(float(value))
    if not isinstance(value, str):
        return None
    if kind == "number" or _NUMBER.fullmatch(value):
        return _of_epoch(float(value)) if _NUMBER.fullmatch(value) else None
    try:
        read = datetime.fromisoformat(value.strip())
        at = (read if read.tzinfo else read.replace(tzinfo=_zone(kind, zone))).timestamp()
    except (ValueError, OverflowError):
        return None
    # At the calendar's ends there is nothing earlier or later to be said.
    return at if 2 < read.year < 9998 else None


def low(high: Any, kind: Kind, zone: str, overlap: float, now: Instant) -> Any:
    """From where on a round is read, after one that came to `high`, in the same type."""
    at = instant_of(high, kind, zone)
    if at is not None:
        return _written(at - overlap, high, kind, zone, now)
    if isinstance(high, int | float | Decimal):
        return high - COUNTED_BACK
    if kind == "number" and isinstance(high, str) and _NUMBER.fullmatch(high):
        return str(Decimal(high) - COUNTED_BACK)
    return high


def capped(high: Any, kind: Kind, zone: str, clock: Instant) -> Any:
    """How far a round came: not into the future, where one mistyped stamp would hide every later change."""
    at = instant_of(high, kind, zone)
    return high if at is None or at <= clock else _written(clock, high, kind, zone, clock)


def _of_epoch(value: float) -> Instant | None:
    return next((value / scale for least, most, scale in _EPOCHS if least <= value < most), None)


def _written(at: Instant, like: Any, kind: Kind, zone: str, now: Instant) -> Any:
    """A moment as `like` is written; never later than it, but up to a second earlier."""
    scale = next((scale for least, most, scale in _EPOCHS if _is_number(like) and least <= float(like) < most), None)
    if scale is not None:
        return str(int(at * scale)) if isinstance(like, str) else type(like)(int(at * scale))
    own = datetime.fromisoformat(like.strip()).tzinfo
    local = _earliest(at, own or _zone(kind, zone), now)
    if len(like.strip()) <= len("2026-01-01"):
        return local.date().isoformat()
    return local.isoformat("T" if "T" in like else " ", "seconds")


def _is_number(value: Any) -> bool:
    return not isinstance(value, str) or bool(_NUMBER.fullmatch(value))


def _earliest(at: Instant, zone: tzinfo, now: Instant) -> datetime:
    """What clocks there showed at that moment, or will have shown since: once a year they are put back."""
    offset = _offset(at, zone)
    back = offset - min(offset, _offset(at + _DAY, zone), _offset(now, zone))
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None) - back


def _offset(at: Instant, zone: tzinfo) -> timedelta:
    return datetime.fromtimestamp(at, zone).utcoffset() or timedelta()


def _zone(kind: Kind, zone: str) -> tzinfo:
    return UTC if kind == "moment" else ZoneInfo(zone)
