"""The slot: who may work for a customer, and when it is due again."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine, insert, select, update

from keepstep import queue
from keepstep.queue import Slot
from keepstep.schema.tables import delivery, mark, slot
from keepstep.state import customers, deliveries

NOW = 1_000_000.0


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """With one customer."""
    add(engine, "c")
    return engine


def add(engine: Engine, customer_id: str) -> None:
    with engine.begin() as tx:
        customers.add(tx, customer_id, {}, NOW)


def claim(engine: Engine, holder: str = "w", now: float = NOW, lease: float = 30.0, **only: str) -> Slot | None:
    with engine.begin() as tx:
        return queue.claim(tx, holder, now, lease, **only)


def claimed(engine: Engine, holder: str = "w", now: float = NOW, lease: float = 30.0) -> Slot:
    found = claim(engine, holder, now, lease)
    assert found is not None
    return found


def release(engine: Engine, held: Slot, now: float = NOW) -> float | None:
    with engine.begin() as tx:
        return queue.release(tx, held, now)


def test_a_new_customer_is_due_at_once(engine: Engine) -> None:
    assert claimed(engine) == Slot("c", 1, NOW + 30, "w")


def test_a_claimed_slot_is_nobody_elses_until_its_lease_ends(engine: Engine) -> None:
    first = claimed(engine)
    assert claim(engine, "x", NOW + 29.9) is None
    assert claimed(engine, "x", NOW + 30) == Slot("c", first.fence + 1, NOW + 60, "x")


def test_a_put_during_a_turn_lets_nobody_in(engine: Engine) -> None:
    claimed(engine)
    with engine.begin() as tx:
        queue.put(tx, "c", [("p", 1, NOW)], NOW)
    assert claim(engine, "x", NOW + 1) is None


def test_everything_of_a_turn_that_lost_its_slot_is_fenced(engine: Engine) -> None:
    stale = claimed(engine)
    claimed(engine, "x", NOW + 31)
    calls = (
        lambda tx: queue.guard(tx, stale),
        lambda tx: queue.renew(tx, stale, NOW, 30),
        lambda tx: queue.take(tx, stale, NOW),
        lambda tx: queue.forget(tx, stale, []),
        lambda tx: queue.replace_steps(tx, stale, "p", [], NOW),
        lambda tx: queue.hold_steps(tx, stale, "gate", side="crm"),
        lambda tx: queue.form(tx, stale, NOW, lambda side, kind: 1, lambda: "j"),
        lambda tx: queue.send(tx, stale, "j", NOW),
        lambda tx: queue.settle(tx, stale, "j", "done", NOW),
        lambda tx: queue.give_back(tx, stale, []),
        lambda tx: queue.unresolved(tx, stale, NOW),
        lambda tx: queue.release(tx, stale, NOW),
    )
    for call in calls:
        with pytest.raises(queue.Fenced), engine.begin() as tx:
            call(tx)


def test_a_guard_of_one_transaction_says_nothing_about_the_next(engine: Engine) -> None:
    held = claimed(engine)
    with engine.connect() as connection:
        with connection.begin():
            queue.guard(connection, held)
        with connection.begin():
            connection.execute(update(slot).values(fence=99))
        with pytest.raises(queue.Fenced), connection.begin():
            queue.guard(connection, held)


def test_a_renewed_lease_lasts_from_now(engine: Engine) -> None:
    held = claimed(engine)
    with engine.begin() as tx:
        held = queue.renew(tx, held, NOW + 20, 30)
    assert held.lease_until == NOW + 50
    assert claim(engine, "x", NOW + 49) is None
    assert release(engine, held, NOW + 49) is None


def test_a_released_slot_with_nothing_to_do_sleeps_until_it_is_woken(engine: Engine) -> None:
    assert release(engine, claimed(engine)) is None
    assert claim(engine, now=NOW + 1e9) is None
    with engine.begin() as tx:
        queue.wake(tx, "c", NOW + 5)
        queue.wake(tx, "c", NOW + 9)
        assert queue.next_claim(tx) == NOW + 5
    assert claim(engine, now=NOW + 4) is None
    assert claim(engine, now=NOW + 5) is not None


def test_release_finds_what_was_put_during_the_turn(engine: Engine) -> None:
    held = claimed(engine)
    with engine.begin() as tx:
        queue.put(tx, "c", [("p", 1, NOW + 7), ("q", 3, NOW + 3)], NOW)
    assert release(engine, held) == NOW + 3


def test_release_finds_a_delivery_that_nobody_read(engine: Engine) -> None:
    held = claimed(engine)
    row = {"id": "d", "customer_id": "c", "platform": "p", "received": NOW, "headers": {}, "body": b"{}"}
    with engine.begin() as tx:
        tx.execute(insert(delivery), row)
    assert release(engine, held, NOW + 2) == NOW + 2


def test_a_slot_with_an_unread_delivery_is_due_without_being_woken(engine: Engine) -> None:
    """The door may die between storing a delivery and waking its customer."""
    release(engine, claimed(engine))
    row = {"id": "d", "customer_id": "c", "platform": "p", "received": NOW, "headers": {}, "body": b"{}"}
    with engine.begin() as tx:
        tx.execute(insert(delivery), row)
    held = claimed(engine)
    with engine.begin() as tx:
        assert [item["body"] for item in deliveries.unread(tx, "c", "p")] == [b"{}"]
        deliveries.settle(tx, "c", ["d"], "parsed")
    assert release(engine, held) is None
    assert claim(engine) is None


def test_a_slot_rests_where_nothing_is_to_be_done_until_something_is(engine: Engine) -> None:
    held = claimed(engine)
    with engine.begin() as tx:
        tx.execute(insert(mark), {"customer_id": "c", "platform": "p", "name": "sweep", "due": NOW + 60})
        queue.put(tx, "c", [("p", 1, NOW + 7)], NOW)
        assert queue.rest(tx, held, NOW)
        assert queue.next_claim(tx) == NOW + 7
    with pytest.raises(queue.Fenced), engine.begin() as tx:
        queue.rest(tx, replace(held, fence=held.fence - 1), NOW)


def test_a_slot_with_work_does_not_rest(engine: Engine) -> None:
    held = claimed(engine)
    with engine.begin() as tx:
        queue.put(tx, "c", [("p", 1, NOW)], NOW)
        assert not queue.rest(tx, held, NOW)
        assert queue.next_claim(tx) == held.lease_until
    assert claim(engine, "x", NOW) is None


def test_nothing_is_quiet_while_a_delivery_waits_and_somebody_is_told_when_to_claim(engine: Engine) -> None:
    held = claimed(engine)
    row = {"id": "d", "customer_id": "c", "platform": "p", "received": NOW, "headers": {}, "body": b"{}"}
    with engine.begin() as tx:
        assert queue.quiet(tx, held)
        assert queue.release(tx, held, NOW) is None
        assert queue.next_claim(tx) is None
        tx.execute(insert(delivery), row)
        assert queue.next_claim(tx) == 0.0
    held = claimed(engine)
    with engine.begin() as tx:
        assert not queue.quiet(tx, held)


def test_release_finds_the_next_chore(engine: Engine) -> None:
    held = claimed(engine)
    with engine.begin() as tx:
        tx.execute(insert(mark), {"customer_id": "c", "platform": "p", "name": "sweep", "due": NOW + 60})
        tx.execute(insert(mark), {"customer_id": "c", "platform": "p", "name": "never"})
    assert release(engine, held) == NOW + 60


def test_a_paused_customer_is_not_claimed_and_sends_nothing(engine: Engine) -> None:
    held = claimed(engine)
    with engine.begin() as tx:
        customers.pause(tx, "c")
    with pytest.raises(queue.Paused), engine.begin() as tx:
        queue.send(tx, held, "j", NOW)
    with engine.begin() as tx:
        queue.put(tx, "c", [("p", 1, NOW)], NOW)
        assert queue.next_claim(tx) is None
    assert release(engine, held) == NOW
    assert claim(engine) is None
    with engine.begin() as tx:
        customers.resume(tx, "c")
    assert claim(engine) is not None


def test_the_slot_due_longest_goes_first_and_one_can_be_asked_for(engine: Engine) -> None:
    add(engine, "a")
    with engine.begin() as tx:
        tx.execute(update(slot).where(slot.c.customer_id == "a").values(wake=NOW - 1))
        tx.execute(update(slot).where(slot.c.customer_id == "c").values(wake=NOW - 2))
    asked = claim(engine, customer_id="a")
    assert asked is not None
    assert asked.customer_id == "a"
    assert claimed(engine).customer_id == "c"
    assert claim(engine) is None


def test_leases_of_the_dead_can_be_cut_short(engine: Engine) -> None:
    claimed(engine, lease=300)
    with engine.begin() as tx:
        queue.expire_leases(tx, NOW + 5)
    assert claim(engine, "x", NOW + 4) is None
    assert claimed(engine, "x", NOW + 5).fence == 2


def test_a_wake_of_an_unknown_customer_makes_a_slot_that_nobody_claims(engine: Engine) -> None:
    release(engine, claimed(engine))
    with engine.begin() as tx:
        queue.wake(tx, "stranger", NOW)
    assert claim(engine) is None


def test_workers_that_claim_at_once_pass_over_each_others_slots(postgres_engine: Engine) -> None:
    """PostgreSQL only: SQLite has one writer."""
    add(postgres_engine, "a")
    add(postgres_engine, "b")
    with postgres_engine.begin() as one, postgres_engine.begin() as two:
        found = [queue.claim(one, "1", NOW, 30), queue.claim(two, "2", NOW, 30)]
        assert {held.customer_id for held in found if held} == {"a", "b"}


def test_release_sees_an_entry_that_was_being_put_while_it_waited_for_the_lock(postgres_engine: Engine) -> None:
    """The entry that `min(due)` inside the UPDATE would strand: put commits while release waits."""
    engine = postgres_engine
    add(engine, "c")
    held = claimed(engine)
    found: list[float | None] = []
    with engine.begin() as tx:
        queue.put(tx, "c", [("p", 1, NOW + 1)], NOW)
        releasing = threading.Thread(target=lambda: found.append(release(engine, held)))
        releasing.start()
        with engine.begin() as watch:
            wait_for_lock(watch)
    releasing.join(30)
    assert found == [NOW + 1]
    with engine.begin() as tx:
        assert tx.execute(select(slot.c.wake)).scalar_one() == NOW + 1


def wait_for_lock(watch: Connection) -> None:
    for _ in range(3000):
        if watch.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar():
            return
        watch.exec_driver_sql("SELECT pg_sleep(0.01)")
    raise AssertionError("release never waited")
