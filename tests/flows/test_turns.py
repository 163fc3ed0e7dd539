"""What a turn costs the database, and how the worker goes from one turn to the next."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError

from keepstep import queue, worker
from keepstep.model.errors import Misconfigured
from keepstep.ports import Wake
from keepstep.queue import Fenced
from keepstep.state import marks
from keepstep.wiring.between import between_turns
from keepstep.wiring.service import Service
from keepstep.worker import Begun, Idle
from tests.flows.crossing import CUSTOMER, DAY, Crossing

CC, V, OTHER = "constant_contact", "virtuous", "other"
TROUBLE = OperationalError("simulated: after the commit", None, Exception("disk"))


class Log:
    """The commits from now on by what they were for, and how many statements there were."""

    def __init__(self, c: Crossing) -> None:
        self.commits: list[str] = []
        self.statements: list[str] = []
        self.after = ""
        c.db._at = self._commit
        disk: Any = c.db._disk.raw_connection().driver_connection
        disk.set_trace_callback(lambda text: self.statements.append(text.split(None, 1)[0]))

    def _commit(self, point: str, name: str) -> None:
        if point == "after":
            self.commits.append(name)
        if point == "after" and name == self.after:
            self.after = ""
            raise TROUBLE

    def asked(self) -> int:
        return sum(word not in ("BEGIN", "COMMIT") for word in self.statements)


def only(c: Crossing, *due: tuple[str, str, str]) -> None:
    """Nothing is due but these chores (customer, platform, name), now."""

    def change(tx: Any) -> None:
        for customer in c.customers:
            for one in marks.every(tx, customer):
                mine = (customer, one.platform, one.name) in due
                marks.put(tx, customer, replace(one, due=c.now() if mine else c.now() + DAY))
            queue.release(tx, queue.occupy(tx, customer, "test", c.now(), 1.0), c.now())

    c.ask(c.db.run(change))


def in_step(c: Crossing) -> None:
    c.person()
    c.connect()
    c.wait(days=1, hours=3)


def begun(c: Crossing) -> Begun:
    found = c.ask(worker._claimed(c.service, "me"))
    assert isinstance(found, Begun)
    return found


def goes_on(c: Crossing, found: Begun | Idle | None) -> Begun | Idle | None:
    """What the worker does next, and what it finds then."""
    return c.ask(worker._on(c.service, "me", found))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["opted_out", "changed"])
def test_a_poll_that_finds_nothing_costs_few_transactions_and_about_a_dozen_statements(name: str) -> None:
    """One that claims and begins, two for the call's permit, one that stores and ends."""
    with Crossing() as c:
        in_step(c)
        only(c, (CUSTOMER, CC, name))
        calls, log = len(c.calls), Log(c)
        assert isinstance(goes_on(c, begun(c)), Idle)
        assert len(c.calls) == calls + 1
        assert log.commits == ["_begun", "claim", "give_back", "store_page"]
        assert log.asked() <= 12


def test_a_poll_that_finds_what_is_known_costs_a_few_statements_more() -> None:
    with Crossing() as c:
        in_step(c)
        only(c, (CUSTOMER, V, "crm_changed"))
        log = Log(c)
        assert isinstance(goes_on(c, begun(c)), Idle)
        assert log.commits == ["_begun", "store_page"]
        assert log.asked() <= 16


def test_with_the_end_of_a_turn_the_next_customers_begins() -> None:
    with Crossing(customers=(CUSTOMER, OTHER)) as c:
        in_step(c)
        only(c, (CUSTOMER, CC, "opted_out"), (OTHER, V, "crm_changed"))
        first, log = begun(c), Log(c)
        second = goes_on(c, first)
        assert isinstance(second, Begun)
        assert {first.slot.customer_id, second.slot.customer_id} == {CUSTOMER, OTHER}
        third = goes_on(c, second)
        assert isinstance(third, Idle)
        assert third.until is not None and third.until > c.now()
        assert log.commits.count("store_page") == 2 and "_begun" not in log.commits


def test_who_stops_finishes_the_turn_that_was_claimed_and_claims_none() -> None:
    with Crossing(customers=(CUSTOMER, OTHER)) as c:
        in_step(c)
        only(c, (CUSTOMER, CC, "opted_out"), (OTHER, CC, "opted_out"))
        true, served = worker._served, list[str]()

        async def stopping(service: Service, found: Begun, *then: Any) -> Any:
            served.append(found.slot.customer_id)
            following = await true(service, found, *then)
            service.stopping = True
            return following

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker, "_served", stopping)
            c.ask(worker.run(c.service))
        assert sorted(served) == [CUSTOMER, OTHER]
        assert c.ask(c.db.run(queue.next_claim)) > c.now()


def test_a_customer_whose_turn_cannot_begin_keeps_no_other_from_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is the turn before its own taken back, nor is it the next one for ever."""
    with Crossing(customers=(CUSTOMER, OTHER)) as c:
        in_step(c)
        only(c, (CUSTOMER, CC, "opted_out"), (OTHER, CC, "opted_out"))
        first = begun(c)
        broken = OTHER if first.slot.customer_id == CUSTOMER else CUSTOMER
        true = Service.desk_in

        def desk_in(self: Service, tx: Any, customer_id: str, *known: Any) -> Any:
            if customer_id == broken:
                raise Misconfigured(("its secrets do not open",))
            return true(self, tx, customer_id, *known)

        monkeypatch.setattr(Service, "desk_in", desk_in)
        log = Log(c)
        goes_on(c, first)
        assert log.commits[-3:] == ["store_page", "renew", "_rest"]
        second = goes_on(c, None)
        assert isinstance(second, Begun) and (second.slot.customer_id, second.turn) == (broken, None)
        assert goes_on(c, second) is None
        assert log.commits[-1] == "_failed"
        assert isinstance(goes_on(c, None), Idle)


def test_a_database_in_trouble_is_nobodys_own_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    with Crossing() as c:
        in_step(c)
        only(c, (CUSTOMER, CC, "opted_out"))
        monkeypatch.setattr(Service, "desk_in", _in_trouble)
        with pytest.raises(OperationalError):
            begun(c)
        monkeypatch.undo()
        assert begun(c).turn is not None


def _in_trouble(*_: object) -> None:
    raise TROUBLE


def test_a_turn_whose_end_nobody_knows_of_has_its_slot_again_before_it_goes_on() -> None:
    """The commit that ended it was made and its answer lost: without a lease nothing may be sent any more."""
    with Crossing() as c:
        in_step(c)
        only(c, (CUSTOMER, CC, "opted_out"))
        found, log = begun(c), Log(c)
        log.after = "store_page"
        goes_on(c, found)
        assert log.commits[log.commits.index("store_page") :] == ["store_page", "_later", "renew", "_rest"]


@pytest.mark.parametrize("who", ["wake", "_between"])
def test_the_worker_is_woken_where_nobody_learns_whether_there_is_work(who: str) -> None:
    """The commit that makes a slot due was made and its answer lost: nobody else would say so."""
    with Crossing() as c:
        in_step(c)
        rung, log = list[str](), Log(c)
        log.after = who
        c.service.woken = cast("Wake", SimpleNamespace(set=lambda: rung.append(who)))
        asked = c.service.wake(CUSTOMER) if who == "wake" else between_turns(c.service, CUSTOMER, lambda _tx: None)
        with pytest.raises(OperationalError):
            c.ask(asked)
        assert rung == [who]


def test_a_turn_that_was_taken_over_meanwhile_ends_there() -> None:
    with Crossing() as c:
        in_step(c)
        only(c, (CUSTOMER, CC, "opted_out"))
        found = begun(c)
        c.clock.at += 400.0
        assert isinstance(begun(c), Begun)
        log = Log(c)
        assert goes_on(c, found) is None
        assert "store_page" not in log.commits
        with pytest.raises(Fenced):
            c.ask(c.db.run(queue.guard, found.slot))


def test_where_nobody_waits_for_the_batch_somebody_stuck_is_looked_for_daily() -> None:
    with Crossing() as c:
        in_step(c)
        before = Log(c)
        c.wait(days=2)
        assert before.commits.count("_stuck") <= 3
