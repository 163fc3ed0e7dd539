"""Invariants as pure functions of the log: facts -> (violations, how often the premise occurred)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keepstep_simulator.story import Fact

@dataclass(frozen=True, slots=True)
class Violation:
    """Which invariant, at which fact, and why."""

    invariant: str
    n: int
    why: str


Found = tuple[list[Violation], int]
CHECKERS: dict[str, Callable[[Sequence[Fact]], Found]] = {}
