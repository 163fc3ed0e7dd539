"""One seed in a process of the crew: played, measured, and small enough to be sent back."""

import hashlib
import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog

from keepstep_simulator import figures, narrative, shrink, twins
from keepstep_simulator.figures import Part
from keepstep_simulator.run import Plan, simulate

PAIRED = 50  # of one seed of so many also pairs of runs are played: five more runs, without what else goes wrong
DOUBLE = 100  # one seed of so many is played twice, by two processes with two hash seeds
_PACKAGES = ("keepstep", "keepstep_sandbox", "keepstep_simulator")


@dataclass(frozen=True, slots=True)
class Order:
    """A seed to be played. `twice`: whether it is the second time."""

    seed: int
    part: Part = field(default_factory=Part)
    twice: bool = False

    @property
    def paired(self) -> bool:
        """Whether pairs of runs are played of this seed: they have a plan of their own."""
        return self.seed % PAIRED == 1 and self.part == Part()

    @property
    def compared(self) -> bool:
        """Whether two runs of this seed are compared."""
        return self.seed % DOUBLE == 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a seed came to."""

    order: Order
    found: figures.Seed


def play(order: Order) -> Answer:
    """Play one seed in this process."""
    silence()
    began = time.process_time()
    outcome = simulate(order.seed, order.part.plan)
    seconds = time.process_time() - began
    found = figures.of_outcome(outcome, seconds, order.part, order.compared)
    return Answer(order, _with_pairs(found) if order.paired else found)


def _with_pairs(found: figures.Seed) -> figures.Seed:
    """The same seed, with what pairs of runs show."""
    premises, violations, first = dict(found.premises), list(found.violations), twins.played(found.seed)
    for twin in twins.TWINS:
        broken, premises[twin.id] = twins.compared(twin, found.seed, first)
        violations += [(one.invariant, one.n, one.why) for one in broken]
    return replace(found, premises=premises, violations=tuple(violations), paired=True)


def again(order: Order, answer: Answer) -> Order | None:
    """The order for another process, if this seed is played twice."""
    return replace(order, twice=True) if order.compared and not answer.order.twice else None


@dataclass(frozen=True, slots=True)
class Riddle:
    """A seed that breaks an invariant: what does it take?"""

    seed: int
    invariant: str
    plan: Plan = field(default_factory=Plan)


def explain(riddle: Riddle) -> dict[str, Any]:
    """The smallest story of a seed that breaks something, in plain words."""
    silence()
    minimal = shrink.shrink(shrink.player(riddle.seed, riddle.plan), riddle.seed, riddle.invariant)
    outcome = shrink.retold(riddle.seed, riddle.plan, minimal.only)
    return {
        "seed": riddle.seed,
        "invariant": riddle.invariant,
        "events": len(minimal.events),
        "runs": minimal.runs,
        "lines": narrative.narrate(minimal, outcome.story, outcome.script),
        "only": sorted(minimal.only),
    }


def silence() -> None:
    """What a service writes to its log would fill the screen."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


@lru_cache(maxsize=1)
def code() -> str:
    """A short name for the program that plays: an interrupted night goes on with the same one only."""
    told = hashlib.blake2b(digest_size=8)
    source = Path(__file__).resolve().parents[1]
    for path in sorted(path for package in _PACKAGES for path in (source / package).rglob("*.py")):
        told.update(path.relative_to(source).as_posix().encode() + b"\0" + path.read_bytes())
    return told.hexdigest()
