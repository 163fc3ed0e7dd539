"""What a plan has people, staff and vendors do, beside what is drawn: at a moment, or right inside a call of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keepstep_simulator.town import Town

AGAIN = 600.0  # what cannot be done yet is tried again


@dataclass(frozen=True, slots=True)
class Act:
    """`at`: seconds after the first night; None is before the service is there. `on`: how a call begins (method and
    path) at which it is done, from that moment on, right before the call arrives. `do` gives False where it cannot be
    done yet. `town`: whose people they are."""

    at: float | None
    do: "Callable[[Town], Any]"
    on: str = ""
    town: int = 0


class Acts:
    """Those of one town, done in time."""

    def __init__(self, town: "Town", acts: tuple[Act, ...]) -> None:
        self._town = town
        self._lurking: list[Act] = []
        self._before = [one for one in acts if one.at is None]
        self._timed = [one for one in acts if one.at is not None]

    def begin(self) -> None:
        """Do what comes before everything, and set the alarms of the rest."""
        for one in self._before:
            one.do(self._town)
        sim = self._town.sim
        for one in self._timed:
            sim.loop.call_at(sim.midnights[0] + (one.at or 0.0), self._now, one)

    def call(self, what: str) -> None:
        """A call of ours is about to arrive."""
        for one in [one for one in self._lurking if what.startswith(one.on)]:
            self._lurking.remove(one)
            one.do(self._town)
            self._town.drain()

    def _now(self, one: Act) -> None:
        if one.on:
            self._lurking.append(one)
            return
        self._town.catch_up()
        if one.do(self._town) is False:
            self._town.sim.loop.call_later(AGAIN, self._now, one)
        self._town.drain()
        self._town.plan()
