"""How the calls of a day, which belong to an application key, are shared out to its customers."""

from dataclasses import dataclass, field

from sqlalchemy import Connection as Tx

from keepstep.model.instant import Instant
from keepstep.model.plan import Plan
from keepstep.settings import Settings
from keepstep.state import customers

KNOWN_SECONDS = 60.0


@dataclass(slots=True)
class Shares:
    """Each customer gets an equal part; one whose plan is known, as many as its tier says. What all plans come to is
    read once a minute."""

    settings: Settings
    _more: dict[str, tuple[Instant, int]] = field(default_factory=dict)

    def part_of_day(self, tx: Tx, customer_id: str, platform: str, now: Instant) -> float | None:
        """Calls a day of one customer; None where nobody counts them."""
        known = self.settings.platforms
        key, per_day = known[platform].application_key, known[platform].per_day
        if per_day is None:
            return None
        sharing = [name for name, one in known.items() if one.application_key == key and one.per_day is not None]
        more = self._beyond_one(tx, key, sharing, now)
        mine = customers.get_connection(tx, customer_id, platform) if more else None
        parts = _weight(mine.data.get("plan")) if mine is not None else 1
        return per_day * parts / max(customers.count(tx, sharing) + more, 1)

    def forget(self) -> None:
        """A plan has changed."""
        self._more.clear()

    def _beyond_one(self, tx: Tx, key: str, sharing: list[str], now: Instant) -> int:
        """How many parts the known plans get beyond the one that everybody has."""
        read_at, more = self._more.get(key, (None, 0))
        if read_at is None or now - read_at > KNOWN_SECONDS:
            more = sum(_weight(one) - 1 for one in customers.plans(tx, sharing))
            self._more[key] = now, more
        return more


def _weight(remembered: object) -> int:
    return Plan(**remembered).weight if isinstance(remembered, dict) else 1
