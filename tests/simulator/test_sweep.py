"""A crash at calls and commits of every episode: whatever was under way, everything is well in the end."""

import json
import subprocess
import sys

import pytest

from keepstep_simulator.episodes import EPISODES

PARTS = 2
EVERY = 401


def swept(part: int, parts: int, step: int) -> list[dict[str, object]]:
    """In a process of its own, since a sweep splits the process that it runs in."""
    said = subprocess.run(
        [sys.executable, "-m", "keepstep_simulator.sweep", str(part), str(parts), str(step)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [json.loads(line) for line in said.stdout.splitlines()]


def test_names_say_which_episode_it_was() -> None:
    assert len({one.name for one in EPISODES}) == len(EPISODES) >= 40


@pytest.mark.parametrize("part", range(PARTS))
def test_a_crash_at_a_sample_of_points_leaves_nothing_broken(part: int) -> None:
    """Every 401st point of each episode, from another beginning for each, and each in three ways."""
    found = swept(part, PARTS, EVERY)
    assert [(one["episode"], one["broken"]) for one in found if one["broken"]] == []
    assert sum(int(str(one["crashed"])) for one in found) > 30, "without crashes it proves nothing"
