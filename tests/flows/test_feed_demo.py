"""The demo's SQL route: its report adds up, the exit code depends on it, and its page says what it comes to."""

from pathlib import Path
from typing import Any

import pytest

from keepstep.cli.demo import ZERO_OF_FEED, passed
from keepstep.cli.demo_feed import SETTINGS
from keepstep.cli.report import OF_FEED, summary
from keepstep.settings import load
from keepstep_sandbox.judge.feeds import MUST_BE_ZERO
from keepstep_sandbox.week import Week
from keepstep_sandbox.week.table import FEED, LIST
from keepstep_sandbox.world import World

WHOLE: dict[str, Any] = {
    **dict.fromkeys(("rows", "versions", "on_list", "imports"), 3),
    "left_out": {"opted_out": 1, "no_address": 1},
    **dict.fromkeys(ZERO_OF_FEED, 0),
    "details": [],
} | {"rows": 5}
REPORT: dict[str, Any] = {
    **dict.fromkeys(("lost", "duplicates", "wrong_fields", "echo_writes", "rate_limit_breaches", "pending"), 0),
    **dict.fromkeys(("parked", "left_out"), 0),
    "people": 2,
    "in_step": 2,
    "opt_outs": 1,
    "opt_outs_applied": 1,
    "details": [],
}


def report(**over: Any) -> dict[str, Any]:
    return REPORT | {"feeds": {FEED: WHOLE | over}}


def test_what_the_judge_wants_to_be_zero_the_demo_wants_to_be_zero() -> None:
    assert set(MUST_BE_ZERO) < set(ZERO_OF_FEED)


def test_a_report_passes_where_every_row_is_accounted_for() -> None:
    assert passed(report())


@pytest.mark.parametrize("name", ZERO_OF_FEED)
def test_a_demo_fails_for_one_row(name: str) -> None:
    assert not passed(report(**{name: 1}))


@pytest.mark.parametrize("over", [{"rows": 6}, {"on_list": 2}, {"left_out": {}}])
def test_a_demo_fails_whose_rows_do_not_add_up(over: dict[str, Any]) -> None:
    assert not passed(report(**over))


def test_a_demo_without_a_row_proves_nothing() -> None:
    assert not passed(report(rows=0, on_list=0, left_out={}))


def test_the_page_names_every_figure_and_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"key": "put_back", "record": "5", "reason": "on the list again"}
    summary(report(put_back=1, details=[wrong]), fine=False, folder=None)
    said = capsys.readouterr().out
    assert all(name.replace("_", " ") in said for name in OF_FEED)
    assert "put back: on the list again (5)" in said
    assert "2 (1" in said and "opted_out)" in said
    summary(report(rows=9), fine=False, folder=None)
    assert "does not add up" in capsys.readouterr().out


def test_the_demos_settings_name_the_table_that_the_week_makes(tmp_path: Path) -> None:
    settings = tmp_path / "keepstep.toml"
    head = '[service]\ndatabase = "sqlite:///x.db"\n[customers.acme]\nname = "A"\n'
    settings.write_text(head + SETTINGS.format(path=tmp_path / "members.db"))
    feed = load(settings, {}).customers["acme"].route.feeds[FEED]
    assert (feed.table, feed.lists, feed.permission_at) == (FEED, (LIST,), "agreed_at")


def test_a_week_without_a_table_is_the_same_as_before(tmp_path: Path) -> None:
    """A table draws from a generator of its own, and takes nobody to whom something happens."""
    from keepstep_sandbox import people as crowd

    weeks = []
    for rows in (None, tmp_path / "members.db"):
        world = World(3)
        crowd.first_customer(world)
        weeks.append(Week(world, crowd.generated(3, 40), 3, 0, rows=rows))
    plain = [(event.at, event.what, event.side) for event in weeks[0].events]
    with_rows = [(event.at, event.what, event.side) for event in weeks[1].events if not _of_table(event.what)]
    assert with_rows == plain
    assert len(weeks[1].events) == len(plain) + 13


def _of_table(what: str) -> bool:
    return what.startswith(("row_", "fed_"))
