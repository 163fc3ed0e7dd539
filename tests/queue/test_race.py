"""Many processes, killed and stopped in the middle of their work: every change is sent once, by one worker at a
time."""

from pathlib import Path

from tests.queue.race import Course, Race


def test_nothing_is_lost_doubled_or_done_by_two_at_once(database_url: str, tmp_path: Path) -> None:
    verdict = Race(Course(database_url, tmp_path)).run(5.0)
    assert not verdict.wrong, verdict
    assert verdict.changes > 100, verdict
    assert verdict.calls > 50, verdict
    assert verdict.kills + verdict.stops > 3, verdict


def test_the_race_notices_a_worker_that_ignores_the_fence(sqlite_url: str, tmp_path: Path) -> None:
    verdict = Race(Course(sqlite_url, tmp_path, "no_fence")).run(60.0, until=lambda seen: seen.wrong)
    assert verdict.wrong, verdict
