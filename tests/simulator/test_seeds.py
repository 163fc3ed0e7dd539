"""The product against both stand-ins, seed by seed: nothing broken, each checker busy, equal seeds equal digests."""

import os
import subprocess
import sys

import pytest

from keepstep_simulator import disputes, story
from keepstep_simulator.run import Plan, simulate
from tests.simulator.planted import PLANTED, Planted

A_GROUP = 5
GROUPS = -(-len(disputes.rows()) // A_GROUP)
SEEDS_FOR_A_BUG = 24
ALWAYS = ("I5", "I10", "I15", "I16", "I18", "I23", "I29", "I30")


@pytest.mark.parametrize("group", range(GROUPS))
def test_seeds_in_which_every_two_values_meet_break_nothing(group: int) -> None:
    """Faults, crashes, pauses, an older disk, edits between our calls: every invariant holds, and those that every seed
    is about had something to hold for."""
    premises: dict[str, int] = {}
    for seed in range(group * A_GROUP, (group + 1) * A_GROUP):
        outcome = simulate(seed)
        assert outcome.violations == (), f"seed {seed}: python -m keepstep_simulator --seed {seed} tells the story"
        for name, count in outcome.premises.items():
            premises[name] = premises.get(name, 0) + count
    assert all(premises[name] for name in ALWAYS), premises


DIGEST = """
import structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
from keepstep_simulator.run import simulate
print(simulate(6).digest)
"""


def test_the_same_seed_is_the_same_story_also_under_another_hash_seed() -> None:
    """Nothing depends on the order of a set, on memory addresses, or on what this process did before."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "4711")
    ]
    told = {run.communicate()[0].strip() for run in runs}
    assert told == {simulate(6).digest}


def test_another_seed_is_another_story() -> None:
    """Or the digest would say nothing."""
    plan = Plan(customers=1, people=(6, 6), deeds=False, mishaps=False, nights=2)
    assert simulate(1, plan).digest != simulate(2, plan).digest


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: f"{one.plant.__name__}-{'-'.join(one.invariants)}")
def test_a_planted_bug_is_found_within_a_few_seeds(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checker that lets its bug through proves nothing when it is silent."""
    planted.plant(monkeypatch)
    monkeypatch.setattr(story, "MOST_FACTS", 40_000)  # a bug that writes for ever is seen soon enough
    for seed in range(SEEDS_FOR_A_BUG):
        found = {violation.invariant for violation in simulate(seed, planted.plan(seed)).violations}
        if found & set(planted.invariants):
            return
    pytest.fail(f"{planted.invariants} silent for {SEEDS_FOR_A_BUG} seeds")
