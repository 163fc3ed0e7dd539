"""Small demos on real processes: everything adds up, on both databases, with the service killed on the way."""

from pathlib import Path

import pytest

from keepstep.cli.demo import passed
from tests.flows.playing import Played, parts, played, size


def whole(one: Played) -> None:
    """Everything that a demo's report must say."""
    report = one.report
    assert passed(report), {key: report[key] for key in report if key != "details"} | {"details": report.get("details")}
    assert parts(report) == size(report["people"])
    assert report["captured"] == report["people"]
    assert size(report["pending"]) == 0 and size(report["dead_letters"]) == 0
    assert report["opt_outs"] > 0
    assert report["documents"]["violations"] == []
    assert all(count > 0 for count in report["events"].values())


@pytest.mark.parametrize("seed", [1, 2])
def test_a_small_demo_adds_up_on_sqlite(seed: int, tmp_path: Path) -> None:
    one = played(tmp_path, seed=seed, kills=3)
    whole(one)
    assert len(one.kills) == 3


def test_a_small_demo_adds_up_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    one = played(tmp_path, seed=1, kills=3, database=postgres_url)
    whole(one)
    assert len(one.kills) == 3


def test_a_kill_between_intent_and_settle_changes_nothing_in_the_end(tmp_path: Path) -> None:
    """Killed inside a write that took effect, and inside one that did not: both stand-ins end as without a kill."""
    small = {"seed": 3, "days": 3, "count": 12}
    calm = played(tmp_path / "calm", **small)
    moments = [{"write": 2, "effect": True}, {"write": 9, "effect": False}]
    killed = played(tmp_path / "killed", kills=moments, **small)
    assert passed(calm.report) and passed(killed.report), killed.report.get("details")
    assert [one["when"] for one in killed.kills] == ["write took effect", "no effect"]
    assert killed.differs(calm) == []
    assert killed.digests == calm.digests
