"""What happens to rows on their way: lists and feeds that go away, people who go again, jobs that are alike."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from keepstep import worker
from keepstep.connectors.constant_contact.roll import PIECE, Rolls
from keepstep.schema.tables import step
from keepstep.state import consent, feeds, marks
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, DAY
from tests.flows.importing import IMPORT, Fed, a_feed, a_row, all_are, people

COUNT = 40


def test_a_list_that_goes_away_costs_no_call_for_every_row_of_a_job() -> None:
    """Halves of a job would be refused one after the other: eighty calls here, eighty thousand of a full one."""
    with Fed() as c:
        news = c.a_list("News")
        c.begun()

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.path == IMPORT and len(c.imports()) == 0:
                c.cc.delete_list(CUSTOMER, news, c.now())
            return handle()

        c.wire = wire
        c.rows(*people(c, COUNT))
        c.wait(hours=2)
        assert {c.ended(str(n)) for n in range(COUNT)} == {("parked", "unknown_list")}
        assert len(c.imports()) == 1 and c.letters() == []


def test_rows_of_a_feed_that_was_away_from_the_settings_for_a_while_are_not_forgotten() -> None:
    with Fed(a_feed(schedule="1h")) as c:
        news = c.a_list("News")
        c.begun()
        rows = people(c, 3)
        c.rows(*rows)
        known, c.feeds = c.feeds, {}
        c.open()
        c.wait(hours=2)
        assert {c.ended(str(n)) for n in range(3)} == {("left_out", "no_feed")} and c.imports() == []
        c.feeds = known
        c.open()
        c.wait(hours=3)
        assert {c.ended(str(n)) for n in range(3)} == {("done", None)} and all_are(c, rows, news)


def test_reading_who_is_there_is_no_try_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that waited for days, for a plan say, have a job that is put off while a large account is read."""
    true_read, reads = Rolls.deleted, [0]

    async def deleted(rolls: Rolls, until: float) -> Any:
        reads[0] += 1
        return None if reads[0] < 12 else await true_read(rolls, until)

    monkeypatch.setattr(Rolls, "deleted", deleted)

    def age(tx: Any) -> None:
        tx.execute(update(step).values(since=step.c.since - 3 * DAY))

    with Fed() as c:
        news = c.a_list("News")
        c.begun()
        rows = people(c, 3)
        c.rows(*rows)
        while not reads[0]:
            c.wait(minutes=1)
        c.ask(c.db.run(age))
        began = c.now()
        c.wait(minutes=10)
        assert c.letters() == [] and {c.ended(str(n)) for n in range(3)} == {("done", None)}
        assert all_are(c, rows, news) and c.now() - began < 3600.0


def test_of_two_imports_of_one_size_the_answered_one_is_not_taken_for_the_lost_one() -> None:
    """Else everybody of the lost one were brought by calls of their own: full jobs are all of one size."""
    with Fed(a_feed(), a_feed("members")) as c:
        c.a_list("News")
        c.begun()
        lost = [True]

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.path == IMPORT and lost:
                lost.clear()
                return Response(503, {}, b"")
            return handle()

        c.wire = wire
        c.rows(*people(c, COUNT))
        c.rows(*(a_row(str(n), f"m{n}@example.org") for n in range(COUNT)), feed="members")
        c.wait(hours=2)
        assert {c.ended(str(n), one) for n in range(COUNT) for one in c.feeds} == {("done", None)}
        assert len(c.imports()) == 3 and len(c.cc.contacts(CUSTOMER)) == 2 * COUNT
        assert not [one for one in c.lines("rows_settled") if one["way"] == "import_one"]


def test_an_opt_out_under_the_address_before_stops_a_row_that_is_about_to_go() -> None:
    """Whoever had the row then is who is written to now."""
    with Fed() as c:
        c.a_list("News")
        c.begun()
        c.rows(a_row())
        c.wait(minutes=20)
        mark = c.ask(c.db.run(feeds.mark, CUSTOMER, "donors"))
        c.ask(c.db.run(marks.put, CUSTOMER, replace(mark, cursor="more", due=None)))
        c.rows(a_row(address="robert@example.org"))
        c.wait(minutes=2)
        hashed = c.ask(c.service.desk(CUSTOMER)).hashed("bob@example.org")
        said = {"party_id": "p", "platform": "constant_contact", "record_id": "1", "kind": "choice", "source": "poll"}
        out = {**said, "direction": "out", "address_hash": hashed, "at": c.now(), "seen_at": c.now()}
        c.ask(c.db.run(consent.append, CUSTOMER, [out]))
        c.wait(hours=1)
        assert c.ended() == ("left_out", "opted_out") and len(c.imports()) == 1


def test_imports_that_take_long_to_prove_share_the_turns_and_let_others_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A dozen of them, each read for a piece at a time, would hold the slot longer than its lease."""
    turns: list[float] = []
    true_turn = worker._turn

    async def timed(service: Any, *given: Any) -> Any:
        began = service.clock.now()
        following = await true_turn(service, *given)
        turns.append(service.clock.now() - began)
        return following

    true_members = Rolls.members

    async def members(rolls: Rolls, list_ids: Any, until: float, proof: str = "") -> Any:
        await rolls._clock.sleep(PIECE)
        return await true_members(rolls, list_ids, until + PIECE, proof)

    monkeypatch.setattr(worker, "_turn", timed)
    monkeypatch.setattr(Rolls, "members", members)
    with Fed(cc={"import_counts": "file"}) as c:
        names = [f"News {n}" for n in range(12)]
        for one in names:
            c.a_list(one)
        c.begun()
        rows = [
            a_row(f"{k}-{n}", f"p{k}-{n}@example.org", lists=(one,)) for k, one in enumerate(names) for n in range(21)
        ]
        c.rows(*rows)
        c.wait(hours=2)
        assert {c.ended(f"{k}-{n}") for k in range(12) for n in range(21)} == {("done", None)}
        assert max(turns) < 60.0
