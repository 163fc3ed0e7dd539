"""Alerts as rows: once a cause, counted while it lasts, claimed by one sender, never lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text

from keepstep.model.alerts import DAY, HOUR, Kind
from keepstep.state import alerts
from keepstep.state.alerts import Alert

NOW = 20_000 * DAY + 12 * HOUR
DIGEST = NOW + 3 * HOUR


@pytest.fixture
def where(engine: Engine) -> "Where":
    return Where(engine)


class Where:
    """Each step in a transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def up(self, kind: Kind = Kind.brake_holds, at: float = NOW, customer: str = "acme", **data: object) -> None:
        with self.engine.begin() as tx:
            alerts.raise_alert(tx, customer, kind, "it", data, at)

    def over(self, kind: Kind = Kind.brake_holds, at: float = NOW) -> None:
        with self.engine.begin() as tx:
            alerts.close(tx, "acme", kind, "it", at)

    def claim(self, at: float = NOW) -> list[Alert]:
        with self.engine.begin() as tx:
            return alerts.claim(tx, at)

    def told(self, some: list[Alert], at: float = NOW) -> None:
        with self.engine.begin() as tx:
            for one in some:
                alerts.told(tx, one, at)

    def failed(self, some: list[Alert], at: float = NOW) -> None:
        with self.engine.begin() as tx:
            for one in some:
                alerts.failed(tx, one, at)

    def unheard(self, some: list[Alert], at: float = NOW) -> None:
        with self.engine.begin() as tx:
            for one in some:
                alerts.unheard(tx, one, at)

    def rows(self, customer: str | None = "acme") -> list[Alert]:
        with self.engine.begin() as tx:
            return alerts.listed(tx, customer, over=True)

    @property
    def next_due(self) -> float | None:
        with self.engine.begin() as tx:
            return alerts.next_due(tx)


def test_a_new_cause_is_due_at_once_and_counted_while_it_lasts(where: Where) -> None:
    where.up(count=1)
    where.up(at=NOW + 1, count=2)
    (one,) = where.rows()
    assert (one.state, one.times, one.due, one.closed, one.at) == ("new", 2, NOW, None, NOW)
    assert one.data["count"] == 2 and not one.again


def test_two_customers_two_kinds_and_two_subjects_are_four_causes(where: Where) -> None:
    where.up()
    where.up(customer="other")
    where.up(Kind.drift_refused)
    with where.engine.begin() as tx:
        alerts.raise_alert(tx, "acme", Kind.brake_holds, "else", {}, NOW)
    assert len(where.rows(None)) == 4 and [one.times for one in where.rows(None)] == [1] * 4


def test_what_was_told_is_told_again_only_as_the_sum_of_the_day(where: Where) -> None:
    where.up()
    where.told(where.claim())
    assert where.next_due is None
    for minute in range(5):
        where.up(at=NOW + 60 * minute)
    assert where.claim(NOW + HOUR) == [] and where.next_due == DIGEST
    (one,) = where.claim(DIGEST)
    assert one.again and one.times == 6
    where.told([one], DIGEST)
    where.up(at=DIGEST + 1)
    assert where.next_due == DIGEST + DAY


def test_what_ends_and_comes_back_within_a_day_is_the_same_cause(where: Where) -> None:
    where.up()
    where.told(where.claim())
    where.over(at=NOW + 60)
    where.up(at=NOW + 120)
    (one,) = where.rows()
    assert one.closed is None and one.times == 2 and one.due == DIGEST
    where.over(at=NOW + 180)
    where.told(where.claim(DIGEST), DIGEST)
    where.up(at=NOW + 180 + DAY + 1)
    assert [one.times for one in where.rows()] == [1, 2]


def test_what_a_person_had_ended_is_news_at_once(where: Where) -> None:
    where.up(Kind.connection_blocked)
    where.told(where.claim())
    where.over(Kind.connection_blocked, NOW + 60)
    where.up(Kind.connection_blocked, NOW + 120)
    new = {one.kind: one for one in where.claim(NOW + 120)}
    assert not new[Kind.connection_blocked].again


def test_who_heard_that_a_connection_is_blocked_hears_that_it_works(where: Where) -> None:
    where.up(Kind.connection_blocked)
    where.told(where.claim())
    where.over(Kind.connection_blocked, NOW + 60)
    where.over(Kind.connection_blocked, NOW + 61)
    assert [(one.kind, one.due) for one in where.claim(NOW + 61)] == [(Kind.connection_works, NOW + 60)]


def test_who_did_not_hear_of_it_need_not_hear_that_it_is_over(where: Where) -> None:
    where.up(Kind.connection_blocked)
    where.unheard(where.claim())
    where.over(Kind.connection_blocked, NOW + 60)
    assert [one.kind for one in where.rows()] == [Kind.connection_blocked]


def test_what_only_happened_is_over_at_once_and_is_told_all_the_same(where: Where) -> None:
    where.up(Kind.partner_plan)
    (one,) = where.claim()
    assert one.closed == NOW
    where.told([one])
    where.up(Kind.partner_plan, NOW + 60)
    (again,) = where.rows()
    assert again.closed == NOW + 60 and again.times == 2 and where.next_due == DIGEST


def test_a_claim_is_one_senders_until_it_lapses(where: Where) -> None:
    where.up()
    (one,) = where.claim()
    assert where.claim() == []
    assert [again.id for again in where.claim(NOW + alerts.CLAIM_SECONDS)] == [one.id]


def test_a_failing_one_is_tried_later_and_later_and_never_lost(where: Where) -> None:
    where.up()
    at, pauses = NOW, []
    for _ in range(8):
        where.failed(where.claim(at), at)
        (one,) = where.rows()
        pauses.append(one.due - at)
        at = one.due
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600] and one.tries == 8
    where.told(where.claim(at), at)
    assert (where.rows()[0].state, where.rows()[0].tries) == ("sent", 0)


def test_what_comes_while_a_message_is_under_way_is_summed_up_later(where: Where) -> None:
    where.up()
    some = where.claim()
    where.up(at=NOW + 1)
    where.told(some, NOW + 2)
    (one,) = where.rows()
    assert one.state == "new" and one.again and one.due == DIGEST


def test_a_message_under_way_for_a_customer_who_is_removed_harms_nothing(where: Where) -> None:
    where.up(customer="gone")
    some = where.claim()
    with where.engine.begin() as tx:
        tx.exec_driver_sql("DELETE FROM alert")
    where.told(some)
    where.failed(some)
    assert where.rows("gone") == []


def test_a_new_recipient_hears_what_lasts_and_what_another_one_refused(where: Where) -> None:
    where.up()
    where.up(Kind.partner_plan)
    where.unheard(where.claim())
    where.up(Kind.drift_refused)
    where.failed(where.claim())
    with where.engine.begin() as tx:
        assert alerts.counted(tx, "acme") == {"open": 2, "unheard": 2, "failing": 1}
        alerts.revive(tx, NOW + 1)
    assert [one.kind for one in where.claim(NOW + 1)] == [Kind.brake_holds, Kind.drift_refused]


def test_what_is_over_and_told_is_forgotten_in_time(where: Where) -> None:
    where.up()
    where.up(Kind.drift_refused)
    where.told(where.claim())
    where.over()
    with where.engine.begin() as tx:
        assert alerts.any_open(tx) and [one.kind for one in alerts.every_open(tx)] == [Kind.drift_refused]
        alerts.prune(tx, NOW + 1)
    assert [one.kind for one in where.rows()] == [Kind.drift_refused]
    where.over(Kind.drift_refused)
    with where.engine.begin() as tx:
        assert not alerts.any_open(tx) and [one.kind for one in alerts.listed(tx, "acme")] == []


# --- the sender and a turn at the same moment ------------------------------------------------------------------------


def beside(first: Engine, hold: Callable[[Any], Any], then: Callable[[], Any]) -> Any:
    """`then` begins while a transaction that did `hold` is not committed yet."""
    with ThreadPoolExecutor(1) as thread:
        with first.begin() as tx:
            hold(tx)
            later = thread.submit(then)
            with pytest.raises(TimeoutError):
                later.result(0.3)
        return later.result(10)


def test_what_is_counted_while_its_message_is_noted_as_told_is_summed_up_later(postgres_engine: Engine) -> None:
    where = Where(postgres_engine)
    where.up()
    some = where.claim()
    kind = Kind.brake_holds
    beside(postgres_engine, lambda tx: alerts.raise_alert(tx, "acme", kind, "it", {}, NOW), lambda: where.told(some))
    (row,) = where.rows()
    assert (row.times, row.state, row.due, row.again) == (2, "new", DIGEST, True)


def test_whoever_counts_while_a_message_is_noted_as_told_does_not_forget_that(postgres_engine: Engine) -> None:
    where = Where(postgres_engine)
    where.up()
    (one,) = where.claim()
    beside(postgres_engine, lambda tx: alerts.told(tx, one, NOW), where.up)
    (row,) = where.rows()
    assert (row.times, row.state, row.due, row.again) == (2, "new", DIGEST, True)


def test_a_sender_passes_by_what_a_turn_is_counting(postgres_engine: Engine) -> None:
    where = Where(postgres_engine)
    where.up()
    where.up(Kind.drift_refused)
    with postgres_engine.begin() as turn, postgres_engine.begin() as sender:
        alerts.raise_alert(turn, "acme", Kind.brake_holds, "it", {}, NOW)
        sender.execute(text("SET LOCAL lock_timeout = 500"))
        assert [one.kind for one in alerts.claim(sender, NOW)] == [Kind.drift_refused]
    assert [one.kind for one in where.claim()] == [Kind.brake_holds]
