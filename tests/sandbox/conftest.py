"""A week that went well, lived once, and copies of it to spoil."""

import copy

import pytest

from keepstep_sandbox.world import World
from tests.sandbox.oracle import Oracle, lived


@pytest.fixture(scope="session")
def good() -> tuple[World, Oracle]:
    world, oracle, _week = lived(1)
    return world, oracle


@pytest.fixture
def run(good: tuple[World, Oracle]) -> tuple[World, Oracle]:
    """A copy of a week that went well, to spoil; still at the end of its quiet."""
    return copy.deepcopy(good)
