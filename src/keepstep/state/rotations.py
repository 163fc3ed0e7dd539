"""A webhook secret or door token that was replaced, while the one before is still accepted.

Both are accepted before the vendor is told: what is signed with either is in flight (Virtuous facts 13.4).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection

from keepstep.model.instant import Instant
from keepstep.state import marks
from keepstep.state.marks import Mark

NAME = "rotation"
PREVIOUS = "_previous"
# So long a door goes on with the secrets it read.
BELIEVED = 60.0
# So long no vendor is told: by then every door of every process knows the new one as well.
TELL_AFTER = BELIEVED + 15.0
# A vendor that has not taken the new one by then gets somebody's attention.
PATIENCE = 3600.0


@dataclass(frozen=True, slots=True)
class Rotation:
    """fields: what was replaced, by its name in the vault. told: when the vendor took the new one, None while it has
    not; from then the one before is accepted for `overlap` seconds."""

    fields: tuple[str, ...]
    began: Instant
    overlap: float
    told: Instant | None = None

    @property
    def tell(self) -> Instant:
        """Not before this moment may the vendor be told."""
        return self.began + TELL_AFTER

    @property
    def until(self) -> Instant | None:
        """When the ones before are refused; None while the vendor has not taken the new ones."""
        return None if self.told is None else self.told + self.overlap

    def accepts_previous(self, now: Instant) -> bool:
        """Is what was signed with the one before still believed?"""
        return self.until is None or now < self.until


def get(tx: Connection, customer_id: str, platform: str) -> Rotation | None:
    """The one under way; None where nothing was replaced of late."""
    data = marks.get(tx, customer_id, platform, NAME).data
    if not data or "fields" not in data:
        return None
    return Rotation(tuple(data["fields"]), data["began"], data["overlap"], data["told"])


def begin(tx: Connection, customer_id: str, platform: str, fields: Sequence[str], now: Instant, overlap: float) -> None:
    """These were replaced just now."""
    found = Rotation(tuple(fields), now, overlap)
    put(tx, customer_id, platform, found, found.tell + PATIENCE)


def told(tx: Connection, customer_id: str, platform: str, now: Instant) -> None:
    """The vendor has taken the new ones: from now the overlap runs."""
    known = get(tx, customer_id, platform)
    if known is not None and known.told is None:
        found = replace(known, told=now)
        put(tx, customer_id, platform, found, found.until)


def put(tx: Connection, customer_id: str, platform: str, found: Rotation, due: Instant | None) -> None:
    """Store it, to be looked at again at `due`."""
    marks.put(tx, customer_id, Mark(platform, NAME, due=due, data=asdict(found)))


def over(tx: Connection, customer_id: str, platform: str) -> None:
    """The ones before are gone."""
    marks.drop(tx, customer_id, platform, NAME)
