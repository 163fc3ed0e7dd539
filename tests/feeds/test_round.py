"""A round of a feed: nothing is lost or marked twice, however it is interrupted, and one feed's trouble is its own."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, select

from keepstep import queue
from keepstep.database import Inline
from keepstep.model.change import Lane
from keepstep.model.errors import Blocked, Misconfigured, Permanent, Transient
from keepstep.model.feed import Feed, row_id
from keepstep.queue import entries
from keepstep.schema.tables import dead_letter
from keepstep.state import customers, labels
from keepstep.state import feeds as kept
from keepstep.state.labels import Label
from tests.feeds.reading import DAY, HOUR, ME, Reading, row

KEYS = ("ann", "bob", "cid", "dee", "eva")


class Killed(BaseException):
    """The process ends here."""


def five(*given: Feed, **more: Any) -> Reading:
    r = Reading(*given, **more)
    r.sheet.put(*(row(key) for key in KEYS))
    return r


def test_every_row_is_marked_once_and_the_next_round_begins_where_this_one_did() -> None:
    r = five()
    began = r.clock.at
    r.read()
    assert r.marked(*KEYS) == [1, 1, 1, 1, 1]
    assert r.mark().cursor is None and r.mark().mark == began
    r.sheet.asked.clear()
    r.wait(DAY + 1)
    assert r.sheet.asked[0] == (str(began - 600), None)
    assert r.marked(*KEYS) == [1, 1, 1, 1, 1]
    assert r.lines("feed_read") == [{"feed": "members", "rows": 5, "changed": 5}]


def test_what_the_overlap_meets_again_marks_nobody() -> None:
    r = five(Feed(name="members", schedule="5m"))
    r.read()
    r.wait(301)
    assert [since for since, _ in r.sheet.asked].count(None) == 3 and r.sheet.asked[-1][0] is not None
    assert (r.mark().data or {})["last"] == {"rows": 5, "changed": 0}
    assert r.marked(*KEYS) == [1, 1, 1, 1, 1]


def test_a_row_that_changed_since_is_marked_again_as_it_is_now() -> None:
    r = five()
    r.read()
    r.clock.at += HOUR
    r.sheet.put(row("cid", "v2"))
    r.wait(DAY)
    assert r.marked(*KEYS) == [1, 1, 2, 1, 1]
    assert version(r, "cid") == "v2"


def test_a_row_that_changes_while_the_round_reads_on_is_marked_as_it_is_at_the_end() -> None:
    r = five()

    def changes(page: int) -> None:
        if page == 2:
            r.clock.at += 1
            r.sheet.put(*(row(key, "v2") for key in KEYS))

    r.sheet.meanwhile = changes
    r.read()
    assert {version(r, key) for key in KEYS} == {"v2"}
    assert sorted(r.marked(*KEYS)) == [1, 1, 1, 1, 1], "in one turn, so once"
    r.sheet.meanwhile = lambda _page: None
    r.wait(DAY + 1)
    assert sorted(r.marked(*KEYS)) == [1, 1, 1, 1, 1]


def test_a_row_that_changes_behind_the_cursor_is_met_by_the_next_round() -> None:
    r = five()
    first = sorted(KEYS, key=row_id)[0]

    def changes(page: int) -> None:
        if page == 3:  # written as of before, by a transaction that took its time
            r.sheet.rows = [(at, row(first, "v2") if one.row_id == row_id(first) else one) for at, one in r.sheet.rows]

    r.sheet.meanwhile = changes
    r.read()
    assert version(r, first) == "v1"
    r.sheet.meanwhile = lambda _page: None
    r.wait(DAY + 1)
    assert version(r, first) == "v2" and r.marked(first) == [2]


def version(r: Reading, key: str, feed: str = "members") -> str:
    place = f"row:{feed}:{row_id(key)}"
    return str(r.do(kept.load, ME, [place])[place].version)


@pytest.mark.parametrize("point", ["before", "after"])
@pytest.mark.parametrize("page", [1, 2, 3])
def test_killed_at_any_page_nothing_is_lost_and_nothing_marked_twice(point: str, page: int) -> None:
    seen = 0

    def at(where: str, name: str) -> None:
        nonlocal seen
        seen += name == "_stored" and where == point
        if seen == page and name == "_stored" and where == point:
            raise Killed

    r = five(db=Inline(at))
    with pytest.raises(Killed):
        r.read()
    seen = 100
    r.clock.at += 400  # the lease of the dead one ends
    r.read()
    assert r.marked(*KEYS) == [1, 1, 1, 1, 1]
    assert r.mark().cursor is None and (r.mark().data or {})["last"] == {"rows": 5, "changed": 5}


def test_a_long_round_is_read_in_pieces_and_one_turn_does_not_read_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    r = Reading()
    r.sheet.put(*(row(f"p{n:02d}") for n in range(50)))
    assert r.turn()
    assert len(r.sheet.asked) == 10 and r.mark().cursor is not None and r.do(kept.reading, ME, "members")
    r.read()
    assert len(r.sheet.asked) == 25 and not r.do(kept.reading, ME, "members")
    assert r.sheet.checks == 1, "the settings are looked at where a round begins"


def test_a_round_stops_after_its_time_and_goes_on_in_the_next_turn() -> None:
    r = five()
    r.sheet.meanwhile = lambda _page: setattr(r.clock, "at", r.clock.at + 3)
    assert r.turn()
    assert len(r.sheet.asked) == 1


def test_rows_go_in_the_bulk_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes: list[Any] = []
    put = entries.put
    monkeypatch.setattr(
        "keepstep.queue.put", lambda tx, who, items, now: lanes.extend(items) or put(tx, who, items, now)
    )
    five().read()
    assert len(lanes) == 5 and {lane for _, lane, _ in lanes} == {Lane.bulk}


def test_a_row_without_an_address_is_filed_with_its_problem_and_the_others_go_on() -> None:
    r = five()
    r.sheet.put(row("nul", address=None, problem="no_email"))
    r.read()
    assert r.marked("nul", *KEYS) == [1] * 6
    found = r.do(kept.load, ME, [f"row:members:{row_id('nul')}"]).popitem()[1]
    assert (found.address, found.body["problem"]) == (None, "no_email")


def test_a_row_that_cannot_be_stored_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    r, file = five(), kept.file

    def filed(tx: Connection, customer: str, feed: Feed, rows: Any, now: float) -> list[str]:
        if any(each.row_id == row_id("cid") for each in rows):
            raise ValueError("no such letter")
        return file(tx, customer, feed, rows, now)

    monkeypatch.setattr(kept, "file", filed)
    r.read()
    assert r.marked(*KEYS) == [1, 1, 0, 1, 1] and r.mark().cursor is None
    letters = r.do(lambda tx: [dict(each.payload) for each in tx.execute(select(dead_letter))])
    assert letters == [{"record_id": row_id("cid"), "poll": "feed"}]


# --- what keeps a round from going on ---


def test_with_a_problem_in_its_settings_no_round_begins_and_each_hour_it_is_tried_again() -> None:
    r = five()
    r.sheet.problems = ("columns.email: there is no column mail; name one of: email",)
    r.wait(3 * HOUR + 60)
    assert r.sheet.asked == [] and r.sheet.checks == 4
    assert r.lines("feed_problem") == [{"feed": "members", "problem": list(r.sheet.problems)}], "said once"
    assert r.told() == {("feed_check_failed", "members"): ({"problems": 1}, True)}
    r.sheet.problems = ()
    r.wait(HOUR)
    assert r.told() == {("feed_check_failed", "members"): ({"problems": 1}, False)}
    assert r.marked(*KEYS) == [1] * 5 and "problem" not in (r.mark().data or {})


def test_settings_that_stop_fitting_in_the_middle_hold_the_round_back_and_it_goes_on_from_there() -> None:
    r = five()
    r.sheet.meanwhile = lambda page: setattr(r.sheet, "trouble", Misconfigured(("column gone",)) if page == 2 else None)
    r.read()
    assert (r.mark().data or {})["problem"] == ["column gone"]
    assert r.mark().cursor is not None and not r.do(kept.reading, ME, "members")
    r.wait(HOUR + 60)
    assert r.marked(*KEYS) == [1] * 5 and (r.mark().data or {})["last"]["rows"] == 5


def test_a_database_that_does_not_answer_is_asked_again_and_the_round_goes_on() -> None:
    r = five()
    r.sheet.meanwhile = lambda page: setattr(r.sheet, "trouble", Transient("no answer") if 2 <= page <= 4 else None)
    r.read()
    assert r.marked(*KEYS) == [1, 1, 0, 0, 0] or sum(r.marked(*KEYS)) == 2
    assert r.mark().cursor is not None and not r.do(kept.reading, ME, "members")
    r.wait(600)
    assert r.marked(*KEYS) == [1] * 5


def test_a_feed_that_is_blocked_or_troubled_keeps_no_other_feed_from_being_read() -> None:
    r = Reading(Feed(name="blocked"), Feed(name="down"), Feed(name="fine"))
    for name, sheet in r.sheets.items():
        sheet.put(row(name))
    r.sheets["blocked"].trouble = Blocked("credential", "access denied", "sql_table")
    r.sheets["down"].trouble = Transient("no answer")
    r.wait(2 * HOUR)
    assert r.marked("fine", feed="fine") == [1]
    health = {each.platform: each.reason or each.health for each in r.do(customers.connections, ME)}
    assert health == {"sql_table:blocked": "credential", "sql_table:down": "ok", "sql_table:fine": "ok"}
    assert r.sheets["blocked"].checks == 1, "a refused password is not tried again by itself"
    r.sheets["blocked"].trouble = None
    r.do(customers.unblock, ME, "sql_table:blocked")
    r.wait(HOUR + 60)
    assert r.marked("blocked", feed="blocked") == [1]


def test_a_feed_without_a_password_is_blocked_and_says_so() -> None:
    r = five()
    r.sheets.clear()
    r.read()
    assert [each.reason for each in r.do(customers.connections, ME)] == ["not_connected"]


def test_a_cursor_that_is_refused_begins_the_round_again_later() -> None:
    r = five()
    r.sheet.meanwhile = lambda page: setattr(r.sheet, "trouble", Permanent(400, "no such place") if page == 2 else None)
    r.read()
    assert r.mark().cursor is None and (r.mark().data or {})["asked"]
    r.sheet.meanwhile, r.sheet.trouble = lambda _page: None, None
    r.wait(HOUR + 60)
    assert r.marked(*KEYS) == [1] * 5


def test_where_the_next_round_begins_moves_with_the_last_page_alone() -> None:
    r = five()
    trouble = Transient("no answer")
    r.sheet.meanwhile = lambda page: setattr(r.sheet, "trouble", trouble if page == 3 else None)
    r.read()
    assert r.mark().cursor is not None and (r.mark().data or {}).get("high") is None
    r.sheet.meanwhile, r.sheet.trouble = lambda _page: None, None
    r.wait(HOUR)
    assert (r.mark().data or {})["high"] is not None and r.marked(*KEYS) == [1] * 5


def test_a_first_page_that_is_refused_is_tried_again_later() -> None:
    r = five()
    r.sheet.meanwhile = lambda page: setattr(r.sheet, "trouble", Permanent(400, "no") if page == 1 else None)
    r.read()
    assert (r.mark().data or {})["tries"] == 1
    r.sheet.trouble = None
    r.wait(2 * HOUR)
    assert r.marked(*KEYS) == [1] * 5


def test_a_cursor_that_leads_back_ends_the_round_and_the_next_one_reads_the_same_again() -> None:
    r = five()
    read = r.sheet.read

    async def back(since: str | None, cursor: str | None, most: int) -> Any:
        page = await read(since, cursor, most)
        return replace(page, cursor=cursor) if cursor else page

    r.sheet.read = back  # type: ignore[method-assign]
    r.read()
    assert (r.mark().data or {})["trouble"] == "leads_back" and r.mark().mark is None
    assert (r.mark().data or {})["high"] is None


# --- when a round begins ---


def test_a_schedule_that_was_missed_many_times_runs_once() -> None:
    r = five(Feed(name="members", schedule="1h"))
    r.read()
    r.clock.at += 30 * HOUR + 600
    before = r.sheet.checks
    r.read()
    assert r.sheet.checks == before + 1
    at = r.mark().due
    assert at is not None and at - r.clock.at == pytest.approx(3000), "and keeps to its minute"


def test_a_cron_line_waits_for_its_first_moment_and_an_interval_begins_at_once() -> None:
    r = five(Feed(name="members", schedule="0 3 * * *", zone="America/Phoenix"))
    r.read()
    assert r.sheet.checks == 0
    r.wait(5 * HOUR)  # from 22:06 in Phoenix
    assert r.sheet.checks == 1


def test_somebody_who_asks_need_not_wait_for_the_schedule_which_stays_as_it_is() -> None:
    r = five(Feed(name="members", schedule="0 3 * * *", zone="America/Phoenix"))
    r.read()
    meant = (r.mark().data or {})["meant"]
    r.do(kept.ask, ME, "members", r.clock.at)
    r.do(queue.wake, ME, r.clock.at)
    r.read()
    assert r.marked(*KEYS) == [1] * 5 and "asked" not in (r.mark().data or {})
    assert (r.mark().data or {})["meant"] == meant


def test_another_schedule_in_the_settings_is_noticed_within_the_hour() -> None:
    r = five(Feed(name="members", schedule="0 3 1 * *"))
    r.wait(HOUR)
    r.now_set(schedule="15m")
    r.wait(HOUR)
    assert r.marked(*KEYS) == [1] * 5


def test_a_feed_that_left_the_settings_keeps_no_slot_awake_and_begins_anew_when_it_comes_back() -> None:
    r = five()
    r.read()
    gone, r.feeds = r.feeds, (Feed(name="other"),)
    r.sheets["other"] = type(r.sheet)(r.clock)
    r.wait(2 * DAY)
    assert r.mark().due is None
    r.feeds = gone
    r.wait(HOUR)
    assert r.mark().due is not None and r.marked(*KEYS) == [1] * 5, "its rows are known still"


def test_rows_that_wait_for_a_list_are_looked_at_again_once_the_lists_are_others() -> None:
    r = five()
    r.read()
    place = f"row:members:{row_id('ann')}"
    r.do(
        kept.set_states,
        ME,
        [kept.Settled(party_id=place, version="v1", state="parked", reason="unknown_list")],
        r.clock.at,
    )
    r.wait(DAY + 1)
    assert r.marked("ann", "bob") == [1, 1]
    r.do(labels.put, ME, [Label("L1", "News")])
    r.wait(DAY + 1)
    assert r.marked("ann", "bob") == [2, 1]


def test_somebody_is_told_of_rows_that_wait_for_a_person_and_when_none_does_any_more() -> None:
    r = five()
    r.read()
    place = f"row:members:{row_id('ann')}"
    r.do(
        kept.set_states, ME, [kept.Settled(party_id=place, version="v1", state="parked", reason="no_list")], r.clock.at
    )
    r.wait(HOUR + 60)
    assert r.told() == {("feed_rows_parked", "members"): ({"count": 1}, True)}
    r.do(kept.set_states, ME, [kept.Settled(party_id=place, version="v1", state="done")], r.clock.at)
    r.wait(HOUR + 60)
    assert r.told() == {("feed_rows_parked", "members"): ({"count": 1}, False)}
