"""Small demos on real processes: everything adds up, on both databases, with the service killed on the way."""

from pathlib import Path
from typing import Any

import pytest

from keepstep.cli import main
from keepstep.cli.demo import chosen, passed
from keepstep.model.errors import Refused
from tests.flows.playing import Played, parts, played, size


def whole(one: Played) -> None:
    """Everything that a demo's report must say."""
    report = one.report
    assert passed(report), {key: report[key] for key in report if key != "details"} | {"details": report.get("details")}
    assert parts(report) == size(report["people"])
    assert report["captured"] == report["people"]
    assert size(report["pending"]) == 0 and size(report["dead_letters"]) == 0
    assert report["opt_outs"] > 0
    assert report["bounces"] == report["bounces_applied"] > 0
    assert report["notes"] == report["notes_due"] > report["bounces"]
    assert report["documents"]["violations"] == []
    assert all(count > 0 for count in report["events"].values())
    fed(report["feeds"]["members"])


def fed(feed: dict[str, Any]) -> None:
    """The SQL table: one for each reason why somebody is not on the list, and everybody else is."""
    reasons = ("bad_address", "deleted", "left_list", "no_address", "opted_out")
    assert feed["left_out"] == dict.fromkeys(reasons, 1)
    assert (feed["rows"], feed["on_list"]) == (14, 9)
    assert feed["versions"] > feed["rows"]
    assert feed["imports"] >= 1


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


def test_a_week_whose_imports_staff_run_late_and_some_never_loses_nobody(tmp_path: Path) -> None:
    switches = {"virtuous": {"import-run": "manual"}, "constant_contact": {"resubscribe_moves_opt_in_date": "no"}}
    one = played(tmp_path, seed=2, kills=1, switches=switches)
    assert passed(one.report), one.report["details"]
    assert one.report["events"]["imports_by_staff"] == one.report["events"]["imports_late"] == 1
    assert size(one.report["pending"]) > 0 and size(one.report["lost"]) == 0


def test_webhooks_about_contacts_bring_their_customer_no_harm(tmp_path: Path) -> None:
    one = played(tmp_path, seed=3, switches={"constant_contact": {"contact_webhooks": "object"}})
    whole(one)


def test_switches_come_from_a_file_and_from_options_that_go_over_it(tmp_path: Path) -> None:
    path = tmp_path / "switches.toml"
    path.write_text(
        '[virtuous]\nimport-run = "ready"\nhourly-limit = 5000\n[constant_contact]\ncomplaint = "count_only"\n'
    )
    assert chosen(path, ["virtuous.import-run=manual"]) == {
        "virtuous": {"import-run": "manual", "hourly-limit": "5000"},
        "constant_contact": {"complaint": "count_only"},
    }


@pytest.mark.parametrize("given", ["import-run=manual", "virtuous.import-run", "virtuous.=manual"])
def test_a_switch_without_its_vendor_or_value_is_wrong_usage(given: str) -> None:
    with pytest.raises(Refused, match="write vendor"):
        chosen(None, [given])
    assert main(["demo", "--switch", given]) == 2


def test_a_file_that_is_no_table_of_switches_is_wrong_usage(tmp_path: Path) -> None:
    for text in ("import-run = 1", "[virtuous"):
        (tmp_path / "switches.toml").write_text(text)
        with pytest.raises(Refused, match="no table of switches"):
            chosen(tmp_path / "switches.toml", [])
