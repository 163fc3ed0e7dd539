"""How the calls of a day, which belong to an application key, are shared out to its customers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection as Tx

from keepstep.model.instant import Instant
from keepstep.model.plan import Plan
from keepstep.settings import Settings
from keepstep.state import customers

KNOWN_SECONDS = 60.0


@dataclass(slots=True)
class Shares:
    """Each customer gets an equal part; one whose plan is known, as many as its tier says. How many there are, and how
    many parts each has, is read once a minute."""

    settings: Settings
    _known: dict[str, tuple[Instant, Mapping[tuple[str, str], int]]] = field(default_factory=dict)

    def part_of_day(self, tx: Tx, customer_id: str, platform: str, now: Instant) -> float | None:
        """Calls a day of one customer; None where nobody counts them."""
        known = self.settings.platforms
        key, per_day = known[platform].application_key, known[platform].per_day
        if per_day is None:
            return None
        sharing = [name for name, one in known.items() if one.application_key == key and one.per_day is not None]
        parts = self._parts(tx, key, sharing, now)
        return per_day * parts.get((customer_id, platform), 1) / max(sum(parts.values()), 1)

    def forget(self) -> None:
        """A plan has changed."""
        self._known.clear()

    def _parts(self, tx: Tx, key: str, sharing: list[str], now: Instant) -> Mapping[tuple[str, str], int]:
        """The parts of everybody who shares the key, by customer and platform."""
        read_at, parts = self._known.get(key, (None, {}))
        if read_at is None or now - read_at > KNOWN_SECONDS:
            parts = {place: _weight(plan) for place, plan in customers.plans(tx, sharing).items()}
            self._known[key] = now, parts
        return parts


def _weight(remembered: object) -> int:
    return Plan(**remembered).weight if isinstance(remembered, dict) else 1
