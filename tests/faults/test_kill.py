"""kill -9 of the real service between intent and settle: both stand-ins end as they do without a kill."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keepstep.cli.demo import passed
from tests.flows.playing import Played, played

pytestmark = pytest.mark.faults

# Of the writes of this demo: creations first, then the wave of the first night, then changes.
MOMENTS = [
    (1, True),
    (2, False),
    (3, True),
    (5, False),
    (8, True),
    (12, False),
    (16, True),
    (20, False),
    (24, True),
    (28, True),
]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """The same demo without a kill."""
    yield played(tmp_path_factory.mktemp("calm"))


@pytest.mark.parametrize(("write", "effect"), MOMENTS)
def test_one_kill_changes_nothing_in_the_end(write: int, effect: bool, calm: Played, tmp_path: Path) -> None:
    killed = played(tmp_path, kills=[{"write": write, "effect": effect}])
    assert passed(killed.report), killed.report.get("details")
    assert len(killed.kills) == 1 and killed.kills[0]["write"] is not None
    assert killed.differs(calm) == []
    assert killed.digests == calm.digests
