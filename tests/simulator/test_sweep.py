"""A crash at every call and commit of the busiest minute: whatever was under way, everything is well in the end."""

import pytest

from keepstep_sandbox.world import START
from keepstep_simulator.sweep import points, scenario

BUSY_SECONDS = 60.0
SAMPLES = 4
EVERY = 13


def swept(chosen: range) -> list[str]:
    """What broke, with the point of the crash."""
    return [
        f"crash at point {point}: {violation.invariant} {violation.why}"
        for point in chosen
        for violation in scenario(point).violations
    ]


def test_the_scenario_is_clean_without_a_crash_and_busy() -> None:
    """It writes, confirms and stores: else its crashes would prove nothing."""
    outcome = scenario()
    assert outcome.violations == ()
    assert all(outcome.premises.values()), outcome.premises
    assert points(START, BUSY_SECONDS) > 300


@pytest.mark.parametrize("sample", range(SAMPLES))
def test_a_crash_at_a_sample_of_points_leaves_nothing_broken(sample: int) -> None:
    """Every 52nd point, from four beginnings; `./run faults` has them all."""
    assert swept(range(1 + sample * EVERY, 500, EVERY * SAMPLES)) == []


@pytest.mark.faults
@pytest.mark.parametrize("part", range(8))
def test_a_crash_at_every_point_leaves_nothing_broken(part: int) -> None:
    """Before the effect of a call, after it, after its answer; before a commit and after it."""
    assert swept(range(1 + part, points(START, BUSY_SECONDS) + 1, 8)) == []
