"""A request that comes to the product's door: from a vendor, or from somebody who says so."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What the world knows of it. `door`: whose address it comes to; `tenant`: whose event it tells; `delivery`: its
    number at the vendor, empty for a forged one; `verified`: whether the vendor signed it for this door."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    door: str
    tenant: str
    delivery: str = ""
    verified: bool = True
    copy: int = 0

    def told(self) -> dict[str, Any]:
        """For the story."""
        named = {name: getattr(self, name) for name in ("door", "tenant", "delivery", "verified", "copy")}
        platform = urlsplit(self.url).path.strip("/").split("/")[1]
        said = _said(self.body)
        return {"platform": platform, "customer": self.door, **named, "events": _events(said), "names": _names(said)}


def _said(body: bytes) -> Any:
    """The value of a body; an empty list for what is no JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return []


def _names(said: Any) -> tuple[tuple[str, str], ...]:
    """The contacts of Virtuous that it tells of, each with its record's change stamp (Virtuous facts 13.3)."""
    if not isinstance(said, dict) or "Note" in str(said.get("event") or said.get("eventType")):
        return ()
    models = said.get("models")
    holders = models if isinstance(models, list) else [said]
    records = [one.get("contact") or one.get("data") for one in holders if isinstance(one, dict)]
    named = [one for one in records if isinstance(one, dict) and "modifiedDateTimeUtc" in one]
    return tuple((str(one["id"]), str(one["modifiedDateTimeUtc"])) for one in named)


def _events(said: Any) -> int:
    """How many records it speaks of, where it is JSON."""
    if isinstance(said, dict):
        said = next((value for value in said.values() if isinstance(value, list)), said)
    return len(said) if isinstance(said, list) else 1
