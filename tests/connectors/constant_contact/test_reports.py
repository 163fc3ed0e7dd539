"""Bounces and opt-outs from the reports of recent mailings (CC facts 8)."""

import json
from typing import Any

import pytest

from keepstep.model.contact import Report
from keepstep.model.errors import Blocked, NotGranted, Permanent, Transient
from keepstep.model.instant import Instant, format_instant
from keepstep.ports import ReportPage
from tests.connectors.constant_contact.world import ACCOUNT, START, World, run, said, scripted

DAY = 86_400.0
KEY = [{"error_key": "k", "error_message": "about ann@example.org"}]


async def pieces(cc: Any, since: Instant | None = None) -> list[ReportPage]:
    found: list[ReportPage] = []
    cursor = None
    while not found or cursor:
        found.append(await cc.reports(since, cursor))
        cursor = found[-1].cursor
        if cursor is not None:
            assert isinstance(json.loads(cursor), dict)
    return found


def lines(cc: Any, since: Instant | None = None) -> list[Report]:
    return [report for piece in run(pieces(cc, since)) for report in piece.reports]


def crowd(world: World, size: int) -> list[str]:
    return [world.person(email=f"p{number:03}@example.org", permission="explicit") for number in range(size)]


def test_a_round_finds_every_bounce_and_every_opt_out_once() -> None:
    """All codes; hard, soft and delivered (CC facts 8); first mailing and the resend of it."""
    world = World()
    people = crowd(world, 9)
    sent = world.vendor.send_campaign(ACCOUNT, world.clock.at)
    for person, code in zip(people, "BDFSVXZ", strict=False):
        world.later(60)
        world.vendor.bounce(ACCOUNT, person, code, world.clock.at)
    world.vendor.send_campaign(ACCOUNT, world.clock.at, campaign_id=sent)
    world.later(60)
    world.vendor.campaign_opt_out(ACCOUNT, people[7], world.clock.at, "too many")
    world.vendor.draft_campaign(ACCOUNT, "Unfinished", world.clock.at)
    found = lines(world.cc)
    assert {(one.code, one.strength) for one in found if one.kind == "bounce"} == {
        *(("B", "hard"), ("S", "hard"), ("V", "delivered")),
        *((code, "soft") for code in "DFXZ"),
    }
    [out] = [one for one in found if one.kind == "opt_out"]
    assert (out.record_id, out.reason, out.address) == (people[7], "too many", "p007@example.org")
    assert (out.strength, out.code, out.at) == (None, None, pytest.approx(world.clock.at, abs=5))
    assert len({one.id for one in found}) == len(found) == 8


@pytest.mark.switch("constant_contact", "report_counts", "strings", "numbers")
@pytest.mark.switch("constant_contact", "report_last_page", "no_links", "empty_links", "href_null")
@pytest.mark.parametrize("last", ["no_links", "empty_links", "href_null"])
@pytest.mark.parametrize("counts", ["strings", "numbers"])
def test_reports_of_many_rows_are_read_to_the_end(last: str, counts: str) -> None:
    """`?next=` paging, `_links` that may be missing, numbers as text (CC facts 1, 8)."""
    world = World(report_last_page=last, report_counts=counts)
    people = crowd(world, 502)
    world.vendor.send_campaign(ACCOUNT, world.clock.at)
    for person in people:
        world.vendor.bounce(ACCOUNT, person, "B", world.clock.at)
    assert {one.record_id for one in lines(world.cc)} == set(people)
    assert [request.query for request in world.requests if "next=" in request.query]


@pytest.mark.parametrize("dialect", ["z", "millis", "offset", "mixed"])
def test_a_line_has_the_same_id_however_its_date_is_written(dialect: str) -> None:
    """Dates come in several forms, even in one account (CC facts 1)."""
    plain, other = World(), World(date_dialect=dialect)
    found = []
    for world in (plain, other):
        [person] = crowd(world, 1)
        world.vendor.send_campaign(ACCOUNT, START + 60)
        world.vendor.bounce(ACCOUNT, person, "B", START + 120.25)
        found.append([one.id for one in lines(world.cc)])
    assert found[0] == found[1]


def test_the_address_that_bounced_is_told_and_not_the_present_one() -> None:
    """`current_email_address` may be newer: do not punish it (CC facts 8)."""
    world = World()
    person = world.person(email="old@example.org", permission="explicit")
    world.vendor.send_campaign(ACCOUNT, world.clock.at)
    world.vendor.edit(ACCOUNT, person, world.clock.at, email="new@example.org")
    world.vendor.bounce(ACCOUNT, person, "B", world.clock.at)
    [bounce] = lines(world.cc)
    assert bounce.address == "old@example.org"


def test_old_lines_end_a_report_and_late_ones_are_not_lost() -> None:
    """There is no filter by date (CC facts 8): rows come newest first, so an old one ends the reading. Two days of
    overlap leave a report time to show what happened before the mark."""
    world = World()
    people = crowd(world, 510)
    world.vendor.send_campaign(ACCOUNT, world.clock.at)
    for person in people[:509]:
        world.vendor.bounce(ACCOUNT, person, "B", world.clock.at)
    world.later(3 * DAY)
    world.vendor.bounce(ACCOUNT, people[509], "F", world.clock.at)
    world.requests.clear()
    found = lines(world.cc, world.clock.at)
    assert [one.record_id for one in found] == []  # the mailing is old: a round within six hours reads it
    found = lines(world.cc, world.clock.at - DAY)
    assert [one.record_id for one in found] == [people[509]]
    assert not [request for request in world.requests if "next=" in request.query]


def test_young_mailings_are_read_in_every_round_and_older_ones_four_times_a_day() -> None:
    """A budget of 10,000 calls a day for all customers (CC facts 3.1); bounces arrive for days (CC facts 8)."""
    cc, script, connection = scripted(*[said(200, {"campaigns": []})] * 4)
    noon = START // DAY * DAY + DAY / 2 + 7200
    asked = []
    for since, now in ((None, noon), (noon - 3600, noon), (noon - DAY / 4, noon), (noon - 30 * DAY, noon)):
        connection.clock.at = now
        run(cc.reports(since, None))
        asked.append(script.asked[-1][1].partition("after_date=")[2])
    escaped = [format_instant(at).replace(":", "%3A") for at in (noon - 14 * DAY, noon - 3600 - 3 * DAY)]
    assert asked[:2] == escaped
    assert asked[2:] == [
        format_instant(noon - DAY / 4 - 14 * DAY).replace(":", "%3A"),
        format_instant(noon - 30 * DAY - 14 * DAY).replace(":", "%3A"),
    ]


def test_a_piece_is_a_few_calls_and_its_cursor_holds_the_rest() -> None:
    """The slot is held for a few calls only; a crash in between repeats a piece."""
    world = World()
    [person] = crowd(world, 1)
    for _ in range(4):
        world.vendor.send_campaign(ACCOUNT, world.clock.at)
        world.vendor.bounce(ACCOUNT, person, "F", world.clock.at)
        world.later(60)
    first = run(world.cc.reports(None, None))
    assert len(world.requests) == 5
    again = run(world.cc.reports(None, first.cursor))
    assert again.reports == run(world.cc.reports(None, first.cursor)).reports
    assert first.source_time == pytest.approx(world.clock.at, abs=30)
    assert len(lines(world.cc)) == 4


@pytest.mark.parametrize("scope", ["missing", "no_privilege"])
def test_reports_that_the_owner_did_not_open_to_us_block_nothing_else(scope: str) -> None:
    """A scope and a privilege of their own, and some owners give neither (CC facts 2.2, 8): contacts go on."""
    world = World(reports_scope=scope)
    [person] = crowd(world, 1)
    world.vendor.send_campaign(ACCOUNT, world.clock.at)
    with pytest.raises(NotGranted) as caught:
        run(pieces(world.cc))
    assert caught.value.status == 403
    assert run(world.cc.read(person)) is not None


def test_a_dead_token_is_no_missing_scope() -> None:
    """401 still blocks (CC facts 2.3)."""
    cc, _, _ = scripted(*[said(401, KEY[0])] * 2, tokens=("a", "b"))
    with pytest.raises(Blocked):
        run(cc.reports(None, None))


CAMPAIGNS: dict[str, Any] = {"campaigns": [{"campaign_id": "m1"}, {"campaign_id": "m2", "current_status": "Done"}]}


def mailing(*activities: Any) -> Any:
    return said(200, {"campaign_id": "m1", "campaign_activities": list(activities)})


def one(role: str, name: str) -> dict[str, str]:
    return {"campaign_activity_id": name, "role": role}


def test_what_is_gone_or_broken_does_not_keep_the_others_from_us() -> None:
    """A mailing or report may be gone; one that cannot be read is counted (CC facts 8)."""
    cc, script, _ = scripted(
        said(200, {"campaigns": [*CAMPAIGNS["campaigns"], None, {}, {"campaign_id": "m3", "current_status": "Draft"}]}),
        mailing(one("permalink", "a0"), one("primary_email", "a/1"), one("resend", "a2"), 7, {"role": "resend"}),
        said(404, KEY),
        said(400, KEY),
        said(200, {"tracking_activities": []}),
        said(200, {}),
        said(200, {"campaign_id": "m2"}),
        tokens=("t",),
    )
    found = run(pieces(cc))
    assert [url.removeprefix("https://api.test/v3").partition("?")[0] for _, url in script.asked][1:] == [
        "/emails/m1",
        "/reports/email_reports/a%2F1/tracking/optouts",
        "/reports/email_reports/a%2F1/tracking/bounces",
        "/reports/email_reports/a2/tracking/optouts",
        "/reports/email_reports/a2/tracking/bounces",
        "/emails/m2",
    ]
    assert sum(piece.poison for piece in found) == 6
    assert found[-1].cursor is None


def test_lines_are_read_leniently_and_none_is_dropped_for_a_strange_value() -> None:
    """Any key may be missing; unknown codes are soft bounces; another channel's lines are not ours."""
    rows: list[Any] = [
        {
            "contact_id": "c1",
            "bounce_code": "q",
            "created_time": "2025-06-15T10:00:00.123Z",
            "email_address": " a@x.org ",
        },
        {"contact_id": "c2", "created_time": "soon", "tracking_activity_type": "em_bounces", "bounce_code": "b"},
        {"contact_id": "c3", "tracking_activity_type": "sms_bounces"},
        {"bounce_code": "B"},
        None,
    ]
    cc, _, connection = scripted(
        said(200, {"campaigns": [{"campaign_id": "m1"}]}),
        mailing(one("primary_email", "a1")),
        said(200, {"tracking_activities": []}),
        said(200, {"tracking_activities": rows}),
    )
    [piece] = run(pieces(cc, connection.clock.at - 60))
    assert piece.poison == 2
    assert piece.reports == (
        Report(
            id="a1:em_bounces:c1:2025-06-15T10:00:00Z",
            record_id="c1",
            kind="bounce",
            at=1_749_981_600.123,
            address="a@x.org",
            strength="soft",
            code="q",
        ),
        Report(id="a1:em_bounces:c2:", record_id="c2", kind="bounce", at=START, strength="hard", code="b"),
    )


@pytest.mark.parametrize(
    ("answer", "problem"),
    [(said(400, KEY), Permanent), (said(404, KEY), Permanent), (said(500), Transient), (said(200, {}), Transient)],
)
def test_without_the_list_of_mailings_nothing_is_known(answer: Any, problem: type[Exception]) -> None:
    """Unknown is never success."""
    cc, _, _ = scripted(answer)
    with pytest.raises(problem):
        run(cc.reports(None, None))


def test_a_link_that_leads_nowhere_ends_the_round() -> None:
    """Loop guard (CC facts 11); a refused next page is read again from its report's beginning with the round."""
    back = {"campaigns": [], "_links": {"next": {"href": "/v3/emails?next=x"}}}
    cc, _, _ = scripted(*[said(200, back)] * 2)
    with pytest.raises(Transient):
        run(cc.reports(None, None))
    refused, _, _ = scripted(said(200, back), said(400, KEY))
    with pytest.raises(Permanent):
        run(refused.reports(None, None))
    task = {"what": "mailings", "href": "/v3/emails?next=1", "activity_id": "", "page": 1000}
    endless, _, _ = scripted(said(200, back))
    with pytest.raises(Transient):
        run(endless.reports(None, json.dumps({"todo": [task], "floor": None})))


@pytest.mark.parametrize("cursor", ["x", "[]", '{"todo":[{"what":"all","href":"/v3/x"}]}'])
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    """Then the round begins again."""
    cc, script, _ = scripted()
    with pytest.raises(Permanent):
        run(cc.reports(None, cursor))
    assert script.asked == []
