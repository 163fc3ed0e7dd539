"""The locked lists hold what pyproject.toml asks for, with hashes, and say nothing about where they came from."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PIN = re.compile(r"^([a-z0-9-]+)==([^\s;]+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    """Package to version in one of the lists."""
    return dict(PIN.findall((ROOT / "requirements" / name).read_text(encoding="utf-8")))


def names(requirements: list[str]) -> set[str]:
    """Package names of requirement lines."""
    return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-") for line in requirements}


def test_every_direct_dependency_is_pinned() -> None:
    runtime = names(PROJECT["project"]["dependencies"])
    assert runtime <= pins("runtime.txt").keys()
    assert names(PROJECT["dependency-groups"]["dev"]) <= pins("dev.txt").keys()
    assert len(runtime) <= 25


def test_the_development_list_contains_the_runtime_list_at_the_same_versions() -> None:
    assert pins("runtime.txt").items() <= pins("dev.txt").items()


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt"])
def test_every_pin_has_a_hash_and_nothing_else_is_in_the_list(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8").replace("\\\n", "")
    for line in text.splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[^\s;]+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+ *", line), line
