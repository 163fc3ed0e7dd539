"""What the vendor says of an import, and does to it: everybody is on the list in the end, once."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from keepstep.model.feed import party_id, row_id
from keepstep.state import feeds, marks
from keepstep.wiring import letters
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER
from tests.flows.importing import IMPORT, Fed, a_row, all_are, people

# --- what the vendor says and does -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [
        {"activity_error_count": "1"},
        {"activity_end": "failed"},
        {"activity_end": "timed_out", "timed_out_spelling": "time_out", "activity_stops": "half_way"},
        {"activity_end": "cancelled", "activity_stops": "half_way"},
        {"activity_order": "out_of_order", "activity_duration": "varied"},
        {"import_counts": "file"},
        {"import_status": "202", "activity_percent": "below"},
        {"activity_error_count": "1", "import_error_text": "none"},
    ],
)
@pytest.mark.parametrize("count", [3, 30])
def test_whatever_the_vendor_does_to_a_job_everybody_is_on_the_list_in_the_end(
    switches: Mapping[str, str], count: int
) -> None:
    with Fed(cc=switches) as c:
        news = c.a_list("News")
        c.begun()
        rows = people(c, count)
        c.rows(*rows)
        c.wait(hours=3)
        assert {c.ended(str(n)) for n in range(count)} == {("done", None)}
        assert all_are(c, rows, news)
        assert len(c.cc.contacts(CUSTOMER)) == count


@pytest.mark.parametrize("count", [3, 30])
def test_rows_that_are_cut_off_in_silence_are_found_and_brought_after(count: int) -> None:
    """As if our own measure were wrong: the vendor drops the tail and tells nobody but by its count."""
    with Fed() as c:
        news = c.a_list("News")
        c.begun()

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.path == IMPORT:
                body = json.loads(request.body)
                body["import_data"] = body["import_data"][: count // 2]
                object.__setattr__(request, "body", json.dumps(body).encode())
            return handle()

        c.wire = wire
        rows = people(c, count)
        c.rows(*rows)
        c.wait(hours=1)
        assert {c.ended(str(n)) for n in range(count)} == {("done", None)}
        assert all_are(c, rows, news) and len(c.cc.contacts(CUSTOMER)) == count
        settled = [one["outcomes"] for one in c.lines("rows_settled") if one["way"] == "import"]
        assert settled == [{"done": count // 2, "dropped": count - count // 2}]


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("count", [3, 30])
def test_an_import_that_nobody_answered_is_looked_for_before_anything_is_sent_again(taken: bool, count: int) -> None:
    with Fed() as c:
        news = c.a_list("News")
        c.begun()
        lost = [True]

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.path == IMPORT and lost:
                lost.clear()
                if taken:
                    handle()
                return Response(503, {}, b"")
            return handle()

        c.wire = wire
        rows = people(c, count)
        c.rows(*rows)
        c.wait(hours=1)
        assert {c.ended(str(n)) for n in range(count)} == {("done", None)}
        assert all_are(c, rows, news)
        assert len(c.imports()) == (1 if taken else 2)
        posted = [at for at, one in enumerate(c.calls) if one.request.path == IMPORT]
        asked = [at for at, one in enumerate(c.calls) if one.request.path == "/v3/activities" and at > posted[0]]
        assert asked and all(at > asked[0] for at in posted[1:])


class Killed(BaseException):
    """The process ends here."""


def test_a_process_that_ends_right_after_the_post_imports_nobody_twice() -> None:
    with Fed() as c:
        news = c.a_list("News")
        c.begun()

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            answer = handle()
            if request.path == IMPORT:
                raise Killed
            return answer

        c.wire = wire
        rows = people(c, 3)
        c.rows(*rows)
        with pytest.raises(Killed):
            c.wait(hours=1)
        c.wire = None
        c.open()
        c.wait(hours=1)
        assert {c.ended(str(n)) for n in range(3)} == {("done", None)} and all_are(c, rows, news)
        assert len(c.imports()) <= 1, "the killed call was not noted, and nothing was posted again"


def test_an_activity_that_is_forgotten_is_made_up_for_by_reading_people() -> None:
    with Fed() as c:
        news = c.a_list("News")
        c.begun()

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.method == "GET" and request.path.startswith("/v3/activities"):
                known = b'{"activities": []}'
                return Response(200, {}, known) if request.path == "/v3/activities" else Response(404, {}, b"[]")
            return handle()

        c.wire = wire
        c.rows(*people(c, 3))
        c.wait(hours=2)
        assert {c.ended(str(n)) for n in range(3)} == {("done", None)} and all_are(c, people(c, 3), news)


def test_who_leaves_right_after_an_import_that_dropped_others_is_not_put_back() -> None:
    with Fed(cc={"activity_error_count": "1"}) as c:
        news = c.a_list("News")
        c.begun()
        left = [True]

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            there = c.by_address("p0@example.org")
            if there and left:
                left.clear()
                c.cc.person_leaves(CUSTOMER, there[0]["contact_id"], news, c.now())
            return handle()

        c.wire = wire
        c.rows(*people(c, 3))
        c.wait(hours=1)
        assert not left and c.lists_of("p0@example.org") == []
        assert [c.ended(str(n)) for n in range(3)] == [("left_out", "left"), ("done", None), ("done", None)]


def test_one_row_that_is_refused_does_not_keep_the_others() -> None:
    with Fed() as c:
        news = c.a_list("News")
        c.begun()

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.path == IMPORT and b"p5@example.org" in request.body:
                return Response(400, {}, b'[{"error_key": "contacts.api.validation.error"}]')
            return handle()

        c.wire = wire
        rows = people(c, 9)
        c.rows(*rows)
        c.wait(hours=1)
        assert c.ended("5")[0] == "dead" and {c.ended(str(n)) for n in range(9) if n != 5} == {("done", None)}
        assert all_are(c, [one for n, one in enumerate(rows) if n != 5], news)
        [letter] = c.letters()
        assert letter["kind"] == "import" and letter["party_id"] == party_id("donors", row_id("5"))
        c.wait(days=2)
        assert len(c.letters()) == 1, "nothing else became of it"
        c.wire = None
        c.ask(letters.replayed(c.service, CUSTOMER, letter["id"], "test"))
        c.wait(hours=1)
        assert c.ended("5") == ("done", None) and all_are(c, rows, news)


def test_rows_of_a_round_that_is_still_read_wait_for_the_others() -> None:
    with Fed() as c:
        c.a_list("News")
        c.begun()
        mark = c.ask(c.db.run(feeds.mark, CUSTOMER, "donors"))
        c.ask(c.db.run(marks.put, CUSTOMER, replace(mark, cursor="more", due=None)))
        c.rows(*people(c, 2))
        c.wait(minutes=5)
        c.rows(a_row("x"))
        c.wait(minutes=3)
        assert c.imports() == []
        c.wait(minutes=20)
        assert [len(one["import_data"]) for one in c.bodies()] == [3], "ten minutes are enough"
