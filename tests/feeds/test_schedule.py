"""When a feed is read next, also where the clock is put forward and back."""

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from keepstep.feeds import following
from keepstep.model.feed import Feed

NEW_YORK = ZoneInfo("America/New_York")
HOUR, DAY = 3600.0, 86_400.0


def at(text: str, zone: ZoneInfo = NEW_YORK, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def cron(line: str, zone: str = "America/New_York") -> Feed:
    return Feed(name="members", schedule=line, zone=zone)


@pytest.mark.parametrize(("words", "seconds"), [("1d", DAY), ("15m", 900.0), ("hourly", HOUR), ("daily", DAY)])
def test_a_cadence_begins_at_once_and_keeps_to_its_hour_whatever_was_missed(words: str, seconds: float) -> None:
    feed = Feed(name="members", schedule=words)
    assert following(feed, None, 1000.0) == 1000.0
    assert following(feed, 1000.0, 1000.0) == 1000.0 + seconds
    assert following(feed, 1000.0, 1000.0 + 3.5 * seconds) == 1000.0 + 4 * seconds
    assert following(feed, 5000.0, 1000.0) == 5000.0, "who asked in between moves nothing"


def test_a_cron_line_is_in_the_feeds_own_zone_in_summer_and_in_winter() -> None:
    feed = cron("0 3 * * *")
    assert following(feed, None, at("2026-07-01T12:00")) == at("2026-07-02T03:00")
    assert following(feed, None, at("2026-01-01T12:00")) == at("2026-01-02T03:00")
    assert following(feed, at("2026-07-02T03:00"), at("2026-07-09T12:00")) == at("2026-07-10T03:00"), "missed is missed"
    assert at("2026-07-02T03:00") % DAY != at("2026-01-02T03:00") % DAY


def test_an_hour_that_is_left_out_runs_the_line_right_after_it() -> None:
    """The clock goes from 2:00 to 3:00 on March 8, 2026."""
    feed = cron("30 2 * * *")
    assert following(feed, None, at("2026-03-07T12:00")) == at("2026-03-08T03:00")
    assert following(feed, None, at("2026-03-08T03:00")) == at("2026-03-09T02:30")


def test_an_hour_that_comes_twice_runs_the_line_once() -> None:
    """The clock goes from 2:00 back to 1:00 on November 1, 2026."""
    feed = cron("30 1 * * *")
    first = following(feed, None, at("2026-10-31T12:00"))
    assert first == at("2026-11-01T01:30")
    assert following(feed, None, first) == at("2026-11-02T01:30")
    assert following(feed, None, at("2026-11-01T01:15", fold=1)) == at("2026-11-02T01:30")


def test_every_moment_of_a_year_is_after_the_last_one() -> None:
    feed, now, runs = cron("30 1 * * *"), at("2026-01-01T00:00"), 0
    end = at("2027-01-01T00:00")
    while (now := following(feed, None, now)) < end:
        runs += 1
    assert runs == 365


def test_a_line_of_several_a_day_loses_none_where_the_clock_is_put_back() -> None:
    feed, now = cron("*/15 * * * *"), at("2026-11-01T00:50")
    moments = [now := following(feed, None, now) for _ in range(12)]
    gaps = {later - earlier for earlier, later in pairwise(moments)}
    assert gaps == {timedelta(minutes=15).total_seconds()}
