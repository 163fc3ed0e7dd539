"""What each road told: changes, silence against the own rhythm, parity and its verdict."""

from typing import Any

import pytest

from keepstep.model import roads
from keepstep.model.roads import DAY, HOUR, Change, Sighting, Silence, changes, grace, silence, tally, verdict

T0 = 1_750_000_000.0


def shown(record: str, stamp: float | str, source: Any, at: float, **more: Any) -> Sighting:
    text = stamp if isinstance(stamp, str) else f"{T0 + stamp:.3f}"
    return Sighting(record_id=record, stamp=text, source=source, at=T0 + at, **more)


def told(number: int, by: str = "both", every: float = HOUR, **more: Any) -> list[Sighting]:
    """One change of a record of its own: the webhook ten seconds after it, the poll within the hour."""
    made, name = number * every, f"r{number}"
    hook = [shown(name, made, "hook", made + 10, event="contactupdate", **more)] if by in ("both", "hook") else []
    poll = [shown(name, made, "poll", made + 1800, event="contactupdate", **more)] if by in ("both", "poll") else []
    return [*hook, *poll]


def history(*by: str, **more: Any) -> list[Change]:
    return changes(one for number, road in enumerate(by) for one in told(number, road, **more))


# --- changes ---------------------------------------------------------------------------------------------------------


def test_a_stamp_is_one_change_however_often_it_is_shown() -> None:
    [one] = changes([shown("1", 5, "sweep", 500), shown("1", 5, "poll", 300), shown("1", 5, "hook", 20, event="e")])
    assert (one.event, one.when, one.hook, one.poll) == ("e", T0 + 5, T0 + 20, T0 + 300)
    assert one.by_hook and one.by_poll and one.dated and not one.ours


def test_whoever_told_of_a_later_change_has_told_of_the_earlier_one() -> None:
    """A reading is of the whole record."""
    first, second, third = changes(
        [shown("1", 1, "poll", 9), shown("1", 2, "hook", 10), shown("1", 3, "poll", 20), shown("1", 1, "sweep", 30)]
    )
    assert [(one.by_hook, one.by_poll) for one in (first, second, third)] == [(True, True), (True, True), (False, True)]


def test_without_a_stamp_a_body_is_as_old_as_its_first_showing() -> None:
    one, other = changes([shown("1", "#ab", "poll", 50), shown("1", "#ab", "hook", 40), shown("1", "#cd", "poll", 60)])
    assert (one.when, one.dated, other.when, other.event) == (T0 + 40, False, T0 + 60, roads.UPDATED)
    assert roads.latency([one, other], "hook") == []


def test_latencies_and_the_grace_that_they_make() -> None:
    usual = history(*["both"] * 20)
    assert roads.latency(usual, "hook") == [10.0] * 20 and roads.latency(usual, "poll") == [1800.0] * 20
    assert grace(usual) == grace([]) == roads.LEAST_GRACE
    slow = changes(shown(f"r{n}", n, "hook", n + HOUR) for n in range(20))
    assert grace(slow) == 4 * HOUR
    assert grace(changes(shown(f"r{n}", n, "hook", n + DAY) for n in range(20))) == DAY
    assert roads.latency(changes([shown("1", 50, "hook", 20)]), "hook") == [0.0], "the vendor's clock is ahead"


# --- silence ---------------------------------------------------------------------------------------------------------


def quiet(found: list[Change], heard: float | None, now: float, began: float = 0.0) -> Silence | None:
    return silence(found, None if heard is None else T0 + heard, T0 + began, T0 + now)


def test_three_in_a_row_break_the_rhythm_of_a_subscription_that_loses_nothing() -> None:
    found = history(*["both"] * 10, *["poll"] * 3)
    assert quiet(found, 9 * HOUR + 10, 20 * HOUR) == Silence(T0 + 10 * HOUR, 3)
    assert quiet(history(*["both"] * 10, *["poll"] * 2), 9 * HOUR + 10, 20 * HOUR) is None


def test_a_record_that_changes_three_times_is_one() -> None:
    many = changes([*(one for n in range(9) for one in told(n)), *(shown("x", 1e5 + n, "poll", 2e5) for n in range(3))])
    assert quiet(many, 9 * HOUR, 3e5) is None


def test_a_subscription_that_always_lost_some_is_given_more() -> None:
    """Half of the webhooks lost: ten in a row may be bad luck."""
    lossy = ["both", "poll"] * 10
    last = 18 * HOUR + 10
    assert quiet(history(*lossy, *["poll"] * 8), last, 40 * HOUR) is None
    assert quiet(history(*lossy, *["poll"] * 10), last, 40 * HOUR) is not None


def test_what_may_still_come_is_not_missed() -> None:
    found = history(*["both"] * 10, *["poll"] * 3)
    assert quiet(found, 9 * HOUR + 10, 12 * HOUR + 60) is None


def test_nights_weekends_and_tiny_organizations_miss_nothing() -> None:
    """Nothing changes, so nothing is missed, however long."""
    assert quiet(history(*["both"] * 10), 9 * HOUR + 10, 20 * DAY) is None
    assert quiet(history("both", "poll", "poll", "poll"), 10, 20 * DAY) is None


def test_our_own_writes_that_come_back_unheard_are_no_sign() -> None:
    mine = [one for n in range(10, 20) for one in told(n, "poll", ours=True)]
    assert quiet(changes([*(one for n in range(10) for one in told(n)), *mine]), 9 * HOUR + 10, 40 * HOUR) is None


def test_one_that_never_said_anything_is_noticed_too() -> None:
    assert quiet(history(*["poll"] * 10), None, 40 * HOUR, began=-1) == Silence(T0, 10)
    assert quiet(history(*["poll"] * 9), None, 40 * HOUR, began=-1) is None


def test_a_subscription_that_was_mended_begins_anew() -> None:
    found = history(*["both"] * 10, *["poll"] * 5)
    assert quiet(found, 9 * HOUR + 10, 40 * HOUR, began=14 * HOUR) is None


# --- parity ----------------------------------------------------------------------------------------------------------


def test_the_tally_counts_what_each_saw_and_what_came_of_it() -> None:
    now = T0 + 100 * HOUR
    found = history(*["both"] * 3, "hook", "poll")
    said = tally(found, now, HOUR, HOUR)
    assert (said.seen, said.hook, said.poll, said.only_hook, said.only_poll) == (5, 4, 4, 1, 1)
    assert (said.agree, said.missed_by_hook, said.missed_by_poll, said.open) == (3, 1, 1, 0)
    young = tally(found, T0 + 4 * HOUR, DAY, DAY)
    assert (young.agree, young.missed_by_hook, young.missed_by_poll, young.open) == (3, 0, 0, 2)


def test_a_change_of_one_road_that_a_later_one_of_both_superseded_agrees() -> None:
    found = changes([shown("1", 1, "hook", 2), shown("1", 9, "hook", 10), shown("1", 9, "poll", 60)])
    said = tally(found, T0 + DAY, HOUR, HOUR)
    assert (said.only_hook, said.agree, said.missed_by_poll) == (1, 2, 0)


def test_changes_by_the_webhooks_own_words() -> None:
    found = changes([shown("1", 1, "poll", 2, event="b"), shown("2", 1, "poll", 2, event="a")])
    assert {word: len(some) for word, some in roads.by_event(found).items()} == {"a": 1, "b": 1}
    assert list(roads.by_event(found)) == ["a", "b"]


@pytest.mark.parametrize(
    ("by", "how", "why"),
    [
        (["both"] * 99 + ["poll"], {}, []),
        (["both"] * 96 + ["poll"] * 4, {}, ["losses"]),
        (["both"] * 99 + ["hook"], {}, ["polls_missed"]),
        (["both"] * 29, {}, ["too_few_events"]),
        (["both"] * 99, {"days": 3.0}, ["too_few_days"]),
        (["both"] * 99, {"quiet": True}, ["quiet"]),
        (["poll"] * 99, {"subscribed": False}, ["no_subscription", "losses"]),
    ],
)
def test_the_verdict_says_why_not(by: list[str], how: dict[str, Any], why: list[str]) -> None:
    found = history(*by)
    said = tally(found, T0 + 1000 * HOUR, HOUR, HOUR)
    given = {"subscribed": True, "quiet": False, "days": 14.0} | how
    assert verdict(found, said, **given) == ("keep" if why else "daily", why)


def test_webhooks_slower_than_an_hour_ask_for_polls() -> None:
    found = changes(
        one for n in range(50) for one in (shown(f"r{n}", n, "hook", n + 2 * HOUR), shown(f"r{n}", n, "poll", n + 9))
    )
    said = tally(found, T0 + DAY, HOUR, HOUR)
    assert verdict(found, said, subscribed=True, quiet=False, days=14.0) == ("keep", ["slow_webhooks"])
