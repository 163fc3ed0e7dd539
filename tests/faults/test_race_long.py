"""The queue's race for longer, and with errors planted that need longer to show. KEEPSTEP_RACE_SECONDS sets how long
(60)."""

import os
from pathlib import Path

import pytest

from tests.queue.race import Course, Race

pytestmark = pytest.mark.faults

SECONDS = float(os.environ.get("KEEPSTEP_RACE_SECONDS", "60"))


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_doubled_or_done_by_two_at_once(database_url: str, tmp_path: Path, seed: int) -> None:
    verdict = Race(Course(database_url, tmp_path), seed, workers=4).run(SECONDS)
    print(verdict)
    assert not verdict.wrong, verdict
    assert verdict.fenced > 0, f"no stopped worker ever lost its slot: {verdict}"


def test_a_worker_that_ignores_the_fence_is_noticed(database_url: str, tmp_path: Path) -> None:
    verdict = Race(Course(database_url, tmp_path, "no_fence")).run(120.0, until=lambda seen: seen.stale > 0)
    assert verdict.stale > 0, verdict


def test_entries_locked_before_the_slot_are_noticed(postgres_url: str, tmp_path: Path) -> None:
    verdict = Race(Course(postgres_url, tmp_path, "entry_first")).run(120.0, until=lambda seen: bool(seen.errors))
    assert any("DeadlockDetected" in error for error in verdict.errors), verdict
