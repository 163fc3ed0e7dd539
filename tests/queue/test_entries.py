"""Entries: one a party, however often it changes."""

import pytest
from sqlalchemy import Engine, select

from keepstep import queue
from keepstep.queue import Entry, Slot
from keepstep.schema.tables import entry
from keepstep.state import customers

NOW = 1_000_000.0


@pytest.fixture
def held(engine: Engine) -> Slot:
    with engine.begin() as tx:
        customers.add(tx, "c", {}, NOW)
        found = queue.claim(tx, "w", NOW, 30)
    assert found is not None
    return found


def put(engine: Engine, *items: tuple[str, int, float], now: float = NOW) -> None:
    with engine.begin() as tx:
        queue.put(tx, "c", items, now)


def take(engine: Engine, held: Slot, now: float = NOW, limit: int = 200) -> list[Entry]:
    with engine.begin() as tx:
        return queue.take(tx, held, now, limit)


def test_many_changes_of_a_party_are_one_entry(engine: Engine, held: Slot) -> None:
    put(engine, ("p", 2, NOW), now=NOW)
    put(engine, ("p", 3, NOW - 5), ("p", 1, NOW + 9), now=NOW + 1)
    assert take(engine, held) == [Entry("p", 1, NOW - 5, NOW, 3, 0)]


def test_urgent_lanes_come_first_and_the_oldest_due_in_each(engine: Engine, held: Slot) -> None:
    put(engine, ("bulk", 3, NOW - 100), ("b", 1, NOW - 1), ("a", 1, NOW), ("out", 0, NOW), ("later", 0, NOW + 1))
    assert [item.party_id for item in take(engine, held)] == ["out", "b", "a", "bulk"]
    assert [item.party_id for item in take(engine, held, limit=2)] == ["out", "b"]


def test_a_forgotten_entry_is_gone_unless_it_was_put_again(engine: Engine, held: Slot) -> None:
    put(engine, ("p", 1, NOW), ("q", 1, NOW))
    taken = take(engine, held)
    put(engine, ("p", 1, NOW))
    with engine.begin() as tx:
        queue.forget(tx, held, taken)
    assert [(item.party_id, item.rev) for item in take(engine, held)] == [("p", 2)]


def test_a_deferred_entry_comes_back_when_due_with_one_try_more(engine: Engine, held: Slot) -> None:
    put(engine, ("p", 1, NOW))
    with engine.begin() as tx:
        queue.defer(tx, held, queue.take(tx, held, NOW)[0], NOW + 60, NOW)
    assert take(engine, held, NOW + 59) == []
    assert [item.tries for item in take(engine, held, NOW + 60)] == [1]


def test_a_newer_event_ends_the_waiting_and_keeps_the_tries(engine: Engine, held: Slot) -> None:
    put(engine, ("p", 1, NOW))
    with engine.begin() as tx:
        queue.defer(tx, held, queue.take(tx, held, NOW)[0], NOW + 60, NOW)
    put(engine, ("p", 1, NOW + 1))
    assert [(item.due, item.tries) for item in take(engine, held, NOW + 1)] == [(NOW + 1, 1)]


def test_an_entry_that_was_put_again_is_not_deferred(engine: Engine, held: Slot) -> None:
    put(engine, ("p", 1, NOW))
    taken = take(engine, held)
    put(engine, ("p", 1, NOW))
    with engine.begin() as tx:
        queue.defer(tx, held, taken[0], NOW + 60, NOW)
    assert [(item.rev, item.tries) for item in take(engine, held)] == [(2, 0)]


def test_tries_begin_again_when_what_is_tried_has_changed(engine: Engine, held: Slot) -> None:
    put(engine, ("p", 1, NOW))
    tries = []
    for fingerprint in ("a", "a", "b", "b"):
        with engine.begin() as tx:
            queue.defer(tx, held, queue.take(tx, held, NOW)[0], NOW, NOW, fingerprint)
            tries.append(tx.execute(select(entry.c.tries)).scalar_one())
    assert tries == [1, 2, 1, 2]


def test_entries_of_other_customers_are_not_taken(engine: Engine, held: Slot) -> None:
    with engine.begin() as tx:
        queue.put(tx, "other", [("p", 1, NOW)], NOW)
    assert take(engine, held) == []


def test_putting_nothing_wakes_nobody(engine: Engine, held: Slot) -> None:
    put(engine)
    with engine.begin() as tx:
        assert queue.release(tx, held, NOW) is None
