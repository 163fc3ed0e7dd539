"""./run without a chore tells what there is; a wrong one is refused. No network."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHORES = ["demo", "serve", "test", "check", "bench", "simulate", "faults"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / "run", *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",)])
def test_without_a_chore_it_lists_them_one_a_line(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.returncode == 0
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [["./run", chore] for chore in CHORES]


def test_an_unknown_chore_is_wrong_usage_and_shows_the_list() -> None:
    result = run("fly")
    assert result.returncode == 2
    assert "'fly'" in result.stderr
    assert all(f"./run {chore}" in result.stderr for chore in CHORES)
