"""The exhaustive crash sweep: every episode, with a crash at every call and every commit of it.

The process that plays an episode splits in two at each point (fork): in one half the simulated process dies there, is
started again, and plays on to the end, where every checker looks; the other half goes on to the next point.
"""

import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog

from keepstep_simulator.chaos import Crash
from keepstep_simulator.episodes import EPISODES, Episode
from keepstep_simulator.hands import Hands
from keepstep_simulator.invariants import checked
from keepstep_simulator.run import Simulation
from keepstep_simulator.story import Violation

_SILENT = Violation("alive", 0, "the half that died said nothing")


# What happens at each point. A lease lasts five minutes: who comes back at once finds its own slot taken still, who
# comes later finds it free; who only stood still wakes up beside a second process that took over.
Way = Callable[[Simulation], bool]
STILL = 700.0


def dies_briefly(sim: Simulation) -> bool:
    """It is started again after a second."""
    sim.away = 1.0
    return True


def dies_for_long(sim: Simulation) -> bool:
    """It is started again once its lease is over."""
    sim.away = 400.0
    return True


def stands_still(sim: Simulation) -> bool:
    """It stops until its lease is over; a second one is started meanwhile."""
    sim.chaos.pauses = [(Crash(sim.loop.time()), STILL, True)]
    return False


WAYS: tuple[Way, ...] = (dies_briefly, dies_for_long, stands_still)


@dataclass(slots=True)
class Swept:
    """What became of an episode. `broken`: the point and place of each crash that did harm, with the violations."""

    episode: str
    points: int = 0
    crashed: int = 0
    broken: list[tuple[int, str, tuple[Violation, ...]]] = field(default_factory=list)


class Halves:
    """Splits this process at every `step`-th point from `first` on, once for each way."""

    def __init__(self, swept: Swept, sim: Simulation, first: int, step: int) -> None:
        self._swept, self._sim, self._first, self._step = swept, sim, first, step
        self._told: int | None = None

    def split(self, number: int) -> bool:
        """Whether the simulated process of this half dies at this point."""
        if self._told is not None:
            return False
        self._swept.points = number
        if number < self._first or (number - self._first) % self._step:
            return False
        for way in WAYS:
            here, there = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(here)
                self._told = there
                self._sim.loop.forked()
                return way(self._sim)
            os.close(there)
            self._heard(number, here, child)
        return False

    def _heard(self, number: int, pipe: int, child: int) -> None:
        with os.fdopen(pipe, "rb") as said:
            text = said.read()
        os.waitpid(child, 0)
        self._swept.crashed += 1
        where, found = pickle.loads(text) if text else ("", (_SILENT,))  # noqa: S301  said by our own other half
        if found:
            self._swept.broken.append((number, where, found))

    def tell(self, where: str, found: tuple[Violation, ...]) -> None:
        """The half that died says what it found, and ends; the other one goes on."""
        if self._told is None:
            return
        with os.fdopen(self._told, "wb") as pipe:
            pickle.dump((where, found), pipe)
        os._exit(0)


def sweep(episode: Episode, first: int = 1, step: int = 1) -> Swept:
    """Play an episode with a crash at these of its points, each by itself, and once without."""
    swept = Swept(episode.name)
    hands = episode.begin()
    halves = Halves(swept, hands.sim, first, step)
    try:
        found = _played(episode, hands, halves)
    except Exception as failure:
        found = (Violation("alive", 0, f"{type(failure).__name__}: {failure}"),)
    halves.tell(_place(hands), found)
    hands.end()
    if found:
        swept.broken.insert(0, (0, "no crash", found))
    return swept


def _played(episode: Episode, hands: Hands, halves: Halves) -> tuple[Violation, ...]:
    hands.sim.chaos.branch = halves.split
    hands.sim.chaos.points = 0
    episode.play(hands)
    hands.sim.chaos.branch = None
    episode.settle(hands)
    hands.judged()
    return checked(hands.sim.story)[0]


def _place(hands: Hands) -> str:
    return next((f"{one.kind} {one.key}" for one in hands.sim.story.of("CRASH", "PAUSE")), "")


def every(part: int = 0, parts: int = 1, step: int = 1) -> Iterator[Swept]:
    """All episodes, or every `parts`-th of them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    for number, episode in enumerate(EPISODES):
        if number % parts == part:
            yield sweep(episode, 1 + number % step, step)


def report(swept: Swept) -> dict[str, Any]:
    """An episode's result as plain data."""
    broken = [(number, where, [f"{one.invariant} {one.why}" for one in found]) for number, where, found in swept.broken]
    return {"episode": swept.episode, "points": swept.points, "crashed": swept.crashed, "broken": broken}


def main(part: str = "0", parts: str = "1", step: str = "1") -> int:
    """Sweep every `parts`-th episode with every `step`-th point of it: a line of JSON each; 1 where one is broken."""
    broken = False
    for swept in every(int(part), int(parts), int(step)):
        print(json.dumps(report(swept)), flush=True)
        broken = broken or bool(swept.broken)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
