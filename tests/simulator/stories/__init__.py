"""Minimal stories that told a bug once, each in a file: `python -m tests.simulator.stories` finds and keeps one.

| key | |
|---|---|
| bug | `module:function` that plants it again; empty for a bug of the product that was mended |
| tells | what the bug is, in a sentence |
| invariant, seed, plan | what breaks, in which seed; `plan` is one of PLANS |
| only | the labels of the script that are played (keepstep_simulator/script.py) |
| commit | of the product that told it |
| runs, lines | how many runs it took to find, and the story in plain words; nobody reads these again |
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import pytest

from keepstep_simulator.chaos import Chaos
from keepstep_simulator.run import Plan

FOLDER = Path(__file__).parent
MOST_FACTS = 40_000  # a bug that writes for ever is seen soon enough
Patch = Callable[[pytest.MonkeyPatch], None]


def calm(seed: int) -> Plan:
    """One customer and nothing wrong."""
    return Plan(customers=1, mishaps=False, chaos=Chaos(seed))


def busy(seed: int) -> Plan:
    """One customer and many unanswered calls."""
    return Plan(customers=1, mishaps=False, chaos=Chaos(seed, call_rate=0.15, kinds=("reset_after",)))


def failing_commits(seed: int) -> Plan:
    """One customer whose disk fails now and then."""
    return Plan(customers=1, mishaps=False, chaos=Chaos(seed, commit_rate=0.02))


def unauthorized(seed: int) -> Plan:
    """One customer whose tokens are refused, and whose calls are not answered."""
    return Plan(customers=1, mishaps=False, chaos=Chaos(seed, call_rate=0.05, kinds=("401", "503")))


def default(_seed: int) -> Plan:
    """What the command plays."""
    return Plan()


PLANS = {plan.__name__: plan for plan in (default, calm, busy, failing_commits, unauthorized)}


@dataclass(frozen=True)
class Stored:
    """One file."""

    bug: str
    tells: str
    invariant: str
    seed: int
    plan: str
    only: list[str]
    commit: str
    runs: int
    lines: list[str]

    @property
    def name(self) -> str:
        """The file's, without its ending."""
        return f"{self.bug.rpartition(':')[2] or 'mended'}-{self.invariant}-{self.seed}"

    def plant(self, patch: pytest.MonkeyPatch) -> None:
        """Put the bug back in."""
        found(self.bug)(patch)

    def made(self) -> Plan:
        """What the seed is made of."""
        return PLANS[self.plan](self.seed)


def found(bug: str) -> Patch:
    """The function that plants a bug."""
    module, _, name = bug.partition(":")
    patch: Patch = getattr(import_module(module), name)
    return patch


def read() -> list[Stored]:
    """Every story, by name."""
    return [Stored(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(FOLDER.glob("*.json"))]


def keep(story: Stored) -> Path:
    """Write a story down."""
    path = FOLDER / f"{story.name}.json"
    path.write_text(json.dumps(asdict(story), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
