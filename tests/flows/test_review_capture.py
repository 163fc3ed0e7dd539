"""What a vendor in trouble may cost: rounds that end, marks that jump over nobody, a day's calls that last."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import exc

from keepstep import capture, filing
from keepstep.connectors.constant_contact import source
from keepstep.desk import Desk
from keepstep.queue import Entry, Slot
from keepstep.state import marks
from keepstep.submit import load
from keepstep.wiring.shares import Shares
from keepstep_sandbox.http import Request, Response, answer
from tests.flows.crossing import CUSTOMER, DAY, HOUR, Crossing
from tests.flows.test_capture import CC, breaking, contact_pages, in_step, only

Handle = Callable[[], Response]


def people(c: Crossing, count: int) -> list[str]:
    return [c.person(f"p{n}@example.org", f"F{n}", f"L{n}") for n in range(count)]


def asked_for(request: Request, **wanted: str) -> bool:
    query = parse_qs(request.query)
    return request.path == "/v3/contacts" and all(query.get(name) == [value] for name, value in wanted.items())


# --- rounds that never come to their end ---


def refusing_cursors(_vendor: str, request: Request, handle: Handle) -> Response:
    return answer(400, [{"error_key": "k"}]) if "cursor=" in request.query else handle()


def test_cursors_that_are_always_refused_do_not_cost_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST", 2)
    with only("sweep") as c:
        people(c, 5)
        c.wire = refusing_cursors
        c.connect()
        before = len(c.made("GET", "/v3/contacts"))
        c.wait(days=1)
        assert len(c.made("GET", "/v3/contacts")) - before < 100
        c.wire = None
        c.wait(hours=2)
        assert sum(c.standings().values()) == 5


def test_a_first_sweep_that_is_never_whole_does_not_put_off_the_other_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST", 2)
    with Crossing() as c:
        people(c, 5)
        c.wire = refusing_cursors
        c.connect()
        c.wait(minutes=40)
        assert c.mark(CC, "sweep").mark is None
        assert (c.mark(CC, "opted_out").data or {})["finished"] > c.now() - HOUR / 2


def test_whoever_waits_for_a_first_sweep_is_loaded_ever_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    loads, cases = list[int](), load.cases

    async def counted(desk: Desk, slot: Slot, entries: Sequence[Entry]) -> list[load.Case]:
        loads.append(len(entries))
        return await cases(desk, slot, entries)

    def not_swept(vendor: str, request: Request, handle: Handle) -> Response:
        asks = vendor == "virtuous" and request.path.startswith("/api/Contact/Query")
        return Response(503, {}, b"") if asks else handle()

    monkeypatch.setattr(load, "cases", counted)
    with Crossing() as c:
        people(c, 5)
        c.wire = not_swept
        c.connect()
        c.wait(hours=3)
        assert c.mark("virtuous", "crm_sweep").mark is None and len(loads) < 300
        c.wire = None
        c.wait(minutes=5)
        assert c.made("POST", "/api/Contact/Batch") or c.made("POST", "/api/Contact/Transaction")


def test_a_poll_that_came_with_a_new_version_begins_with_the_next_sweep() -> None:
    with only("sweep", "deleted") as c:
        ann = in_step(c)
        blank = marks.Mark(CC, "deleted")
        c.ask(c.service.db.run(marks.put, CUSTOMER, blank))
        c.wait(hours=3)
        assert (c.mark(CC, "deleted").data or {}).get("finished", 0) > c.now() - 1.5 * HOUR
        assert c.consents(ann) == [True]


def test_next_links_that_lead_round_in_a_circle_end_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop when a link is seen twice (CC facts 11), also where another one is in between."""
    monkeypatch.setattr(source, "MOST", 2)

    def wire(_vendor: str, request: Request, handle: Handle) -> Response:
        response = handle()
        if request.path != "/v3/contacts" or b"cursor=" not in response.body:
            return response
        following = {"": "a", "a": "b", "b": "c", "c": "a"}[parse_qs(request.query).get("turn", [""])[0]]
        href = b"/v3/contacts?status=all&limit=2&turn=" + following.encode()
        head, _, tail = response.body.partition(b"/v3/contacts?cursor=")
        return replace(response, body=head + href + tail[tail.index(b'"') :])

    with only("sweep") as c:
        people(c, 5)
        c.wire = wire
        c.connect()
        assert len(contact_pages(c, status="all")) < 20
        assert c.mark(CC, "sweep").mark is None
        assert c.status()["polls"][f"{CC}.sweep"]["trouble"] == "leads_back"
        c.wire = None
        c.wait(hours=2)
        assert sum(c.standings().values()) == 5


def test_a_round_that_no_size_helps_keeps_within_its_part_of_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was read before the broken record is read again, in ever smaller pages."""
    monkeypatch.setattr(source, "MOST", 4)
    monkeypatch.setattr(capture, "SMALLER", (2, 1))
    monkeypatch.setitem(capture.SHARES, "sweep", 0.01)
    with only("sweep") as c:
        found = people(c, 24)
        c.wire = breaking(found[22], 0)
        c.connect()
        c.wait(days=1)
        before = len(c.made("GET", "/v3/contacts"))
        c.wait(days=2)
        assert len(c.made("GET", "/v3/contacts")) - before < 2 * 2 * 100


def test_a_limit_without_a_name_is_waited_for_and_not_asked_in_smaller_pages() -> None:
    """There are limits of endpoints whose answer nobody has published (CC facts 3.1)."""

    def wire(_vendor: str, request: Request, handle: Handle) -> Response:
        return answer(429, {"message": "Slow down"}) if request.path == "/v3/contacts" else handle()

    with only("sweep") as c:
        people(c, 3)
        c.wire = wire
        c.connect()
        c.wait(hours=1)
        assert c.lines("smaller_pages") == []


# --- marks that jump ---


@pytest.mark.parametrize("ahead", [HOUR, 30 * DAY])
def test_a_date_from_the_future_jumps_over_no_opt_out(ahead: float) -> None:
    def wire(_vendor: str, request: Request, handle: Handle) -> Response:
        response = handle()
        if not asked_for(request, status="unsubscribed"):
            return response
        headers = {name: value for name, value in response.headers.items() if name.lower() != "date"}
        return replace(response, headers=headers | {"Date": formatdate(c.now() + ahead, usegmt=True)})

    with only("opted_out") as c:
        ann = in_step(c)
        c.wire = wire
        c.wait(hours=2)
        c.wire = None
        c.opts_out(ann)
        c.wait(hours=2)
        assert c.consents(ann) == [False]


# --- poison ---


@pytest.mark.parametrize("outage", [exc.TimeoutError("pool"), exc.InternalError("s", {}, Exception()), MemoryError()])
def test_a_database_in_trouble_is_nobodys_poison(outage: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    true, left = filing.people, [3]

    def failing(*args: Any, **more: Any) -> None:
        if args[2] and left[0]:
            left[0] -= 1
            raise outage
        true(*args, **more)

    monkeypatch.setattr(filing, "people", failing)
    with only("sweep") as c:
        c.person()
        c.connect()
        assert c.letters() == []
        assert sum(c.standings().values()) == 1


# --- the day's calls ---


def polled(c: Crossing, days: float = 1.0) -> int:
    before = len(c.made("", "", CC))
    c.wait(days=days)
    return len(c.made("", "", CC)) - before


def test_a_hundred_idle_customers_leave_a_tenth_of_the_keys_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 calls a day belong to the key (CC facts 3.1): once they are used up, nobody's opt-outs are read."""
    with Crossing() as c:
        ann = in_step(c)
        c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=[ann])
        true = Shares.part_of_day
        monkeypatch.setattr(Shares, "part_of_day", lambda self, *given: (true(self, *given) or 0.0) / 100)
        c.wait(days=1)
        assert polled(c, 2) / 2 <= 100


def test_reports_of_many_mailings_come_as_often_as_their_part_of_the_day_carries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(capture.SHARES, "reports", 20 / 10_000)
    with only("reports") as c:
        ann = in_step(c)
        for _ in range(6):
            c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=[ann])
        c.wait(hours=2)
        before = len(c.made("GET", "/v3/reports")) + len(c.made("GET", "/v3/emails"))
        c.wait(days=3)
        assert len(c.made("GET", "/v3/reports")) + len(c.made("GET", "/v3/emails")) - before <= 3 * 20 + 20
        assert c.status()["polls"][f"{CC}.reports"]["every_seconds"] > 10 * HOUR


# --- reports ---


def test_a_report_that_always_fails_keeps_no_other_bounce_from_us() -> None:
    with only("reports") as c:
        ann = in_step(c)
        campaigns = [c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=[ann]) for _ in range(2)]
        c.cc.bounce(CUSTOMER, ann, "B", c.now())
        tracked = sorted({one.request.path for one in c.made("GET", "/v3/reports")})
        assert campaigns and tracked == []
        seen: list[str] = []

        def wire(_vendor: str, request: Request, handle: Handle) -> Response:
            if "/tracking/" in request.path and "/optouts" in request.path:
                seen.append(request.path)
                if request.path == seen[0]:
                    return answer(500, {"error_key": "reportingsvc.trouble"})
            return handle()

        c.wire = wire
        before = len(c.calls)
        c.wait(hours=3)
        assert c.consents(ann) == [False]
        assert len(c.calls) - before < 200


def test_reports_of_a_vendor_that_is_out_are_waited_for() -> None:
    with only("reports") as c:
        ann = in_step(c)
        c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=[ann])
        before = c.mark(CC, "reports").mark
        c.faults.arm("500", vendor=CC, count=100_000)
        c.wait(hours=3)
        assert c.mark(CC, "reports").mark == before
        c.faults.clear()
        c.cc.bounce(CUSTOMER, ann, "B", c.now())
        c.wait(hours=2)
        assert c.consents(ann) == [False]


def test_a_permission_that_is_lost_within_a_round_is_noticed() -> None:
    asked: list[str] = []

    def wire(_vendor: str, request: Request, handle: Handle) -> Response:
        asked.extend([request.path] if "/tracking/" in request.path else [])
        last = "/tracking/" in request.path and request.path == asked[2 * (len(asked) > 2)]
        return answer(403, {"error_key": "forbidden"}) if last and len(asked) > 2 else handle()

    with only("reports") as c:
        ann = in_step(c)
        for _ in range(3):
            c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=[ann])
        c.wire = wire
        c.wait(hours=2)
        assert c.status()["polls"][f"{CC}.reports"]["trouble"] == "not_granted"
        assert len(asked) < 10
