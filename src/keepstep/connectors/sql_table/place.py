"""Where a round stands and how far one came, as texts that any process can go on from.

They hold keys and stamps as the database gave them, and the shape of the feed that they are about: under other settings
every row may say something else.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from keepstep.model.canonical import fingerprint
from keepstep.model.feed import Feed
from keepstep.model.instant import Instant

# What does not change what rows say.
_OUTSIDE = ("schedule", "overlap", "permission_evidence", "existing", "ca_file", "phone_region")


@dataclass(frozen=True, slots=True)
class Place:
    """part: the piece of the round. low: from where on it reads. after: (stamp, key) of the row given last in this
    part. high: the highest stamp so far. clock: the database's, when the round began."""

    part: int
    low: Any
    after: tuple[Any, Any] | None
    high: Any
    clock: Instant


def shape(feed: Feed) -> str:
    """What a round's place is about."""
    return fingerprint({name: value for name, value in asdict(feed).items() if name not in _OUTSIDE})


def packed(place: Place, shaped: str) -> str:
    """A cursor."""
    after = list(place.after) if place.after is not None else None
    return _text([shaped, place.part, place.low, after, place.high, place.clock])


def unpacked(cursor: str | None, shaped: str) -> Place | None:
    """A cursor's place; None where it is none of this feed as it is set up now."""
    match _value(cursor):
        case [str(of), int(part), low, after, high, int() | float() as clock] if of == shaped:
            return Place(part, low, tuple(after) if after is not None else None, high, clock)
    return None


def marked(high: Any, shaped: str) -> str:
    """How far a round came."""
    return _text([shaped, high])


def mark_of(since: str | None, shaped: str) -> Any:
    """How far the last round came; None where that says nothing of this feed as it is set up now."""
    match _value(since):
        case [str(of), high] if of == shaped:
            return high
    return None


def _text(value: Any) -> str:
    return json.dumps(value, default=_tagged, separators=(",", ":"))


def _tagged(value: Any) -> Mapping[str, str]:
    return {"decimal": str(value)} if isinstance(value, Decimal) else {"bytes": bytes(value).hex()}


def _value(said: str | None) -> Any:
    try:
        return json.loads(said or "null", object_hook=_untagged)
    except ValueError:
        return None


def _untagged(tagged: Mapping[str, str]) -> Any:
    return Decimal(tagged["decimal"]) if "decimal" in tagged else bytes.fromhex(tagged.get("bytes", ""))
