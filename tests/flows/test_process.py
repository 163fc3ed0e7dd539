"""Polls that are slow, processes that die, decisions and writes that fail: nothing is lost and nothing else delayed."""

from collections.abc import Callable

import pytest

from keepstep import queue
from keepstep.connectors.constant_contact import source
from keepstep.database import Inline
from keepstep.submit import decided
from keepstep_sandbox.http import Request, Response
from tests.flows.crashing import Crash, Once
from tests.flows.crossing import CUSTOMER, START, Crossing, methods
from tests.flows.test_consent import linked


def test_an_edit_made_while_a_slow_poll_runs_is_found_by_the_next_one() -> None:
    with Crossing() as c:
        ann = linked(c)
        left = [1]

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            response = handle()
            if request.path == "/v3/contacts" and "updated_after" in request.query and left:
                left.clear()
                c.clock.at += 2
                c.edits(ann, first_name="Anna")
                c.clock.at += 20
            return response

        c.wire = wire
        c.wait(hours=2, minutes=10)
        assert not left
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Anna"


def test_an_import_resumes_where_it_was_after_a_crash_between_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST", 2)
    with Crossing() as c:
        people = [c.person(f"p{n}@example.org", f"F{n}", f"L{n}") for n in range(7)]
        pages = {"left": 2}

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.path == "/v3/contacts" and pages["left"] == 0:
                pages["left"] = -1
                raise Crash
            if request.path == "/v3/contacts":
                pages["left"] -= 1
            return handle()

        c.wire = wire
        with pytest.raises(Crash):
            c.connect()
        c.open()
        c.wait(minutes=15)
        first = [
            one
            for one in c.made("GET", "/v3/contacts")
            if "sweep" in one.request.query or "cursor" not in one.request.query
        ]
        assert (
            len(
                [one for one in first if "updated_after" not in one.request.query and "optout" not in one.request.query]
            )
            == 1
        )
        c.night()
        assert c.standings() == {"in_step": len(people)}
        assert len(c.everybody()) == 7


def test_a_new_process_goes_on_where_the_old_one_ended() -> None:
    with Crossing() as c:
        ann = c.person()
        c.connect()
        c.open()
        c.night()
        c.open()
        assert c.standing(ann) == ("in_step", "")
        c.opts_out(ann)
        c.wait(minutes=16)
        assert c.consents(ann) == [False]
        assert len(c.everybody()) == 1


@pytest.mark.parametrize("commit", ["record", "form", "store", "store_page", "take"])
@pytest.mark.parametrize("point", ["before", "after"])
def test_a_crash_at_any_commit_of_a_turn_has_one_effect(commit: str, point: str) -> None:
    at, disk = Once(point, commit), Inline()
    with Crossing(db=disk) as c:
        c.db = disk.beside(at)
        c.open()
        ann = c.person(phones=[("mobile", "202-555-0111")])
        try:
            c.connect()
        except Crash:
            c.db = disk
            c.open()
            c.wait(minutes=15)
        assert at.struck, f"{commit} never happened"
        c.night()
        c.wait(hours=2)
        assert len(c.everybody()) == 1
        assert c.standing(ann) == ("in_step", "")
        assert len(methods(c.there(ann), "phone")) == 1


def test_a_submission_that_never_left_is_sent_again_once_a_batch_ran_without_it() -> None:
    armed = ["after"]

    def at(where: str, name: str) -> None:
        if armed and (where, name) == ("after", "_send"):
            armed.clear()
            raise Crash

    disk = Inline()
    with Crossing(db=disk) as c:
        c.db = disk.beside(at)
        c.open()
        ann = c.person()
        with pytest.raises(Crash):
            c.connect()
        c.db = disk
        c.open()
        bob = c.person("bob@example.org", "Bob", "Roe")
        c.wait(hours=1, minutes=15)
        assert [row["row"]["referenceId"] for row in c.v.waiting(CUSTOMER)] == [bob]
        c.night()
        c.wait(hours=1)
        assert [row["row"]["referenceId"] for row in c.v.waiting(CUSTOMER)] == [ann]
        c.night()
        assert c.standings() == {"in_step": 2}


def test_a_paused_customer_makes_no_call_and_loses_nothing() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.ask(c.service.pause(CUSTOMER))
        made = len(c.calls)
        c.opts_out(ann)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "Donor", c.now())
        c.wait(hours=3)
        assert len(c.calls) == made
        assert set(c.answered) == {200}
        c.ask(c.service.resume(CUSTOMER))
        c.wait(minutes=20)
        assert c.consents(ann) == [False]


def test_a_decision_that_fails_is_one_dead_letter_and_harms_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    true_decide = decided.decide

    def decide(party, readings, setting):  # type: ignore[no-untyped-def]
        if any(one.first_name == "Poison" for one in readings.audience.values()):
            raise ArithmeticError
        return true_decide(party, readings, setting)

    monkeypatch.setattr(decided, "decide", decide)
    with Crossing() as c:
        bad, good = c.person("bad@example.org", "Poison"), c.person("good@example.org", "Good", "Soul")
        c.connect()
        c.night()
        assert c.standing(good) == ("in_step", "")
        assert c.standing(bad)[0] == "pending"
        assert [one["reason"] for one in c.letters()] == ["decision failed: ArithmeticError"]


def test_a_write_that_the_vendor_refuses_is_a_dead_letter_and_the_rest_goes_on() -> None:
    with Crossing() as c:
        ann = linked(c)

        def wire(vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.method == "PUT" and request.path.startswith("/api/ContactIndividual"):
                return Response(
                    400, {}, b'{"message":"The request is invalid.","modelState":{"model.firstName":["no"]}}'
                )
            return handle()

        c.wire = wire
        c.edits(ann, first_name="Anna", phones=[("mobile", "202-555-0111")])
        c.wait(hours=2)
        assert len(methods(c.there(ann), "phone")) == 1
        assert [(one["kind"], one["tries"]) for one in c.letters()] == [("set_person", 1)]
        assert len(list(c.made("PUT", "/api/ContactIndividual"))) == 1
        assert c.standing(ann) == ("parked", "refused_by_vendor")


def test_a_consent_step_never_dies() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.faults.arm("503", vendor="virtuous", method="PUT", count=12)
        c.opts_out(ann)
        c.wait(hours=9)
        assert c.letters() == []
        assert c.consents(ann) == [False]


@pytest.mark.parametrize("vendor", ["virtuous", "constant_contact"])
@pytest.mark.parametrize("fault", ["503", "html", "reset_before"])
def test_an_outage_is_met_by_few_calls_and_all_work_is_kept(vendor: str, fault: str) -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        began = c.now()
        c.faults.arm(fault, vendor=vendor, count=1_000_000)
        c.opts_out(ann)
        c.v.staff_adds_tag(CUSTOMER, c.there(bob)["id"], "CC: Newsletter", c.now())
        c.wait(hours=2)
        assert len([one for one in c.made(vendor=vendor) if one.at > began]) < 500
        c.faults.clear()
        c.wait(minutes=30)
        assert c.consents(ann) == [False]
        assert c.here(bob)["list_memberships"] == [news]
        assert c.letters() == []


def test_a_write_that_never_gets_through_is_given_up_after_a_day_and_some_hundred_tries() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.faults.arm("503", vendor="virtuous", method="PUT", path="/api/ContactIndividual", count=1_000_000)
        c.edits(ann, first_name="Anna")
        c.wait(hours=22)
        assert c.letters() == []
        c.wait(hours=5)
        assert [one["kind"] for one in c.letters()] == ["set_person"]
        assert len(c.made("PUT", "/api/ContactIndividual")) < 200
        assert c.standing(ann) == ("parked", "refused_by_vendor")


def test_the_slot_is_never_held_by_two() -> None:
    with Crossing() as c:
        linked(c)
        first = c.ask(c.service.db.run(queue.claim, "one", c.now() + 9e9, 60.0, CUSTOMER))
        second = c.ask(c.service.db.run(queue.claim, "two", c.now() + 9e9, 60.0, CUSTOMER))
        assert first is not None and second is None
        assert c.now() > START
