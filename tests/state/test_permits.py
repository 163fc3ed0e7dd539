"""Permits: never more calls a second and a day than the application key may make, over all customers."""

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from keepstep.database.engines import memory_engine
from keepstep.schema.tables import metadata
from keepstep.state import permits

DAY = 86_400.0
NOW = 20_000 * DAY + 1000


def claim(engine: Engine, now: float = NOW, hold: float = 31.0, **other: int) -> tuple[int | None, float]:
    with engine.begin() as tx:
        return permits.claim(tx, "key", now, hold, **other)


def give_back(engine: Engine, n: int, at: float, held: float | None = None) -> None:
    with engine.begin() as tx:
        permits.give_back(tx, "key", n, at, held)


def used(engine: Engine, now: float = NOW) -> int:
    with engine.begin() as tx:
        return permits.used_today(tx, "key", now)


def test_four_calls_may_be_under_way_and_a_fifth_learns_when_to_ask(engine: Engine) -> None:
    assert sorted(claim(engine)[0] or 0 for _ in range(4)) == [0, 1, 2, 3]
    assert claim(engine, NOW + 1) == (None, NOW + 31)


def test_a_permit_given_back_is_free_from_the_moment_named(engine: Engine) -> None:
    for _ in range(4):
        claim(engine)
    give_back(engine, 2, NOW + 5)
    assert claim(engine, NOW + 4.9) == (None, NOW + 5)
    assert claim(engine, NOW + 5)[0] == 2


def test_a_permit_of_a_crashed_caller_is_free_when_its_hold_ends(engine: Engine) -> None:
    for _ in range(4):
        claim(engine)
    assert claim(engine, NOW + 31)[0] == 0


def test_who_comes_back_after_its_hold_does_not_free_the_next_ones_permit(engine: Engine) -> None:
    for _ in range(3):
        claim(engine, hold=1000)
    n, held = claim(engine)
    assert n is not None
    assert claim(engine, NOW + 31) == (n, NOW + 62)
    give_back(engine, n, NOW + 33, held)
    assert claim(engine, NOW + 40) == (None, NOW + 62)


def test_the_day_ends_at_its_limit_and_a_new_one_begins_at_midnight_utc(engine: Engine) -> None:
    now = NOW
    for _ in range(8):
        n, _ = claim(engine, now, 0.0, limit=8)
        assert n is not None
    assert used(engine) == 8
    midnight = 20_001 * DAY
    assert claim(engine, now, 0.0, limit=8) == (None, midnight)
    assert claim(engine, midnight, 0.0, limit=8)[0] is not None
    assert used(engine, midnight) == 1


def test_a_stop_holds_whatever_is_given_back(engine: Engine) -> None:
    n, _ = claim(engine)
    assert n is not None
    with engine.begin() as tx:
        permits.stop_until(tx, "key", NOW + 500)
        permits.stop_until(tx, "key", NOW + 100)
    give_back(engine, n, NOW + 1)
    assert claim(engine, NOW + 2) == (None, NOW + 500)
    assert claim(engine, NOW + 500)[0] is not None


def test_a_stop_counts_for_a_key_that_was_never_used(engine: Engine) -> None:
    with engine.begin() as tx:
        permits.stop_until(tx, "key", NOW + 500)
    assert claim(engine) == (None, NOW + 500)


def test_keys_are_apart(engine: Engine) -> None:
    for _ in range(4):
        claim(engine)
    with engine.begin() as tx:
        assert permits.claim(tx, "other", NOW, 31.0)[0] is not None


def test_claims_at_the_same_moment_get_different_permits(postgres_engine: Engine) -> None:
    """PostgreSQL only: SQLite has one writer."""
    give_back(postgres_engine, claim(postgres_engine)[0] or 0, NOW)
    with postgres_engine.begin() as one, postgres_engine.begin() as two:
        assert permits.claim(one, "key", NOW, 31)[0] != permits.claim(two, "key", NOW, 31)[0]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 3), st.booleans()), max_size=60))
def test_no_second_sees_a_fifth_call(story: list[tuple[float, float, bool]]) -> None:
    """Calls that arrive within a second of each other, wherever the second begins; some callers crash and give nothing
    back."""
    engine = memory_engine()
    metadata.create_all(engine)
    now, arrivals = NOW, []
    for pause, takes, crashes in story:
        now += pause
        n, held = claim(engine, now, hold=4.0)
        if n is not None:
            arrivals.append(now + takes)
            if not crashes:
                give_back(engine, n, now + takes + 1, held)
    engine.dispose()
    arrivals.sort()
    assert all(later - first >= 1 - 1e-6 for first, later in zip(arrivals, arrivals[4:], strict=False))
