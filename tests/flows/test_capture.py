"""Everything that Constant Contact can tell, each by the poll that alone finds it, and what breaks a page of it."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import Connection, select

from keepstep import capture, rounds
from keepstep.capture import pace
from keepstep.connectors.constant_contact import ConstantContact, source
from keepstep.model.errors import Transient
from keepstep.schema.tables import history
from keepstep.state import fields, labels
from keepstep_sandbox.http import Request, Response, answer
from tests.flows.crossing import CUSTOMER, DAY, HOUR, Crossing

CC = "constant_contact"
MONTH = 30 * DAY
POLLS = ("changed", "opted_out", "deleted", "lists", "fields", "reports", "sweep", "crm_changed", "crm_sweep")


def only(*polls: str, **more: Any) -> Crossing:
    """A route on which nothing but these polls finds anything; every other one comes once a month."""
    return Crossing(cadence=dict.fromkeys(POLLS, MONTH) | dict.fromkeys(polls, HOUR), **more)


def in_step(c: Crossing, **more: Any) -> str:
    """Ann, on both sides, with the marks of the first import written."""
    ann = c.person(**more)
    c.connect()
    c.night()
    assert c.standing(ann) == ("in_step", "")
    return ann


def contact_pages(c: Crossing, **wanted: str) -> list[Mapping[str, list[str]]]:
    """The first pages of contacts that were asked for, by what their query says."""
    asked = [parse_qs(one.request.query) for one in c.made("GET", "/v3/contacts") if one.request.path == "/v3/contacts"]
    return [one for one in asked if all(one.get(name) == [value] for name, value in wanted.items())]


# --- each poll finds what no other finds ---


def test_an_edit_is_found_by_the_poll_of_changes() -> None:
    with only("changed") as c:
        ann = in_step(c)
        c.edits(ann, first_name="Anna")
        c.wait(hours=2)
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Anna"


@pytest.mark.parametrize("poll", ["changed", "deleted", "opted_out"])
def test_an_opt_out_is_found_by_its_own_poll_only(poll: str) -> None:
    with only(poll) as c:
        ann = in_step(c)
        c.opts_out(ann)
        c.wait(hours=2)
        assert c.consents(ann) == [poll != "opted_out"]


@pytest.mark.parametrize("poll", ["changed", "opted_out", "deleted"])
def test_a_deletion_that_moves_no_change_stamp_is_found_by_its_own_poll_only(poll: str) -> None:
    with only(poll) as c:
        ann = in_step(c)
        c.cc.delete(CUSTOMER, ann, c.now())
        c.wait(hours=2)
        assert c.consents(ann) == [poll != "deleted"]


@pytest.mark.parametrize("poll", ["changed", "sweep"])
def test_a_membership_that_moves_no_change_stamp_is_found_by_the_sweep(poll: str) -> None:
    with only(poll) as c:
        news = c.a_list("Newsletter")
        ann = in_step(c)
        c.cc.person_joins(CUSTOMER, ann, news, c.now())
        c.wait(hours=2)
        assert ("CC: Newsletter" in c.there(ann)["tags"]) == (poll == "sweep")


@pytest.mark.parametrize("poll", ["changed", "lists"])
def test_a_new_list_is_found_by_the_poll_of_lists(poll: str) -> None:
    with only(poll, "sweep") as c:
        ann = in_step(c)
        news = c.a_list("Newsletter")
        c.cc.person_joins(CUSTOMER, ann, news, c.now())
        c.wait(hours=3)
        assert ("CC: Newsletter" in c.there(ann)["tags"]) == (poll == "lists")


@pytest.mark.parametrize("prefix", ["", "CC tag: "])
def test_a_contact_tag_travels_under_its_own_prefix_where_the_route_says_so(prefix: str) -> None:
    with only("sweep", policy={"contact_tags_prefix": prefix}) as c:
        c.v.add_tag(CUSTOMER, "CC tag: Board", c.now())
        board = c.cc.add_tag(CUSTOMER, "Board", c.now())
        ann = in_step(c)
        c.cc.person_tagged(CUSTOMER, ann, board, c.now())
        c.wait(hours=2)
        assert ("CC tag: Board" in c.there(ann)["tags"]) == bool(prefix)
        assert len(c.made("GET", "/v3/contact_tags")) == bool(prefix)


@pytest.mark.parametrize("poll", ["lists", "fields"])
def test_a_custom_field_made_on_both_sides_is_bound_by_the_poll_of_fields(poll: str) -> None:
    with only(poll, "sweep") as c:
        ann = in_step(c)
        size = c.cc.add_custom_field(CUSTOMER, "Shirt size", c.now())
        c.v.add_custom_field(CUSTOMER, "Shirt Size", c.now())
        c.cc.set_custom_field(CUSTOMER, ann, size, c.now(), "XL")
        c.wait(hours=3)
        values = {one["name"]: one["value"] for one in c.there(ann)["customFields"]}
        assert values.get("Shirt Size") == ("XL" if poll == "fields" else None)


@pytest.mark.parametrize("poll", ["changed", "reports"])
def test_a_bounce_is_found_by_the_poll_of_reports(poll: str) -> None:
    with only(poll) as c:
        ann = in_step(c)
        c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=[ann])
        c.cc.bounce(CUSTOMER, ann, "B", c.now())
        c.wait(hours=2)
        assert c.consents(ann) == [poll != "reports"]


def test_an_opt_out_by_a_mailing_is_found_by_the_reports_and_the_person_is_read_again() -> None:
    with only("reports") as c:
        ann = in_step(c)
        c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=[ann])
        c.cc.campaign_opt_out(CUSTOMER, ann, c.now(), "too many")
        read = len(c.made("GET", f"/v3/contacts/{ann}"))
        c.wait(hours=2)
        assert c.consents(ann) == [False]
        assert len(c.made("GET", f"/v3/contacts/{ann}")) == read + 1
        c.wait(hours=30)
        assert len(c.made("GET", f"/v3/contacts/{ann}")) == read + 1, "a line that is known says nothing new"


@pytest.mark.parametrize("scope", ["missing", "no_privilege"])
def test_reports_that_may_not_be_read_stop_nothing_and_are_tried_daily(scope: str) -> None:
    with only("reports", "opted_out", cc={"reports_scope": scope}) as c:
        ann = in_step(c)
        assert c.status()["polls"][f"{CC}.reports"]["trouble"] == "not_granted"
        c.opts_out(ann)
        c.wait(days=3)
        assert c.consents(ann) == [False]
        assert set(c.status()["connections"].values()) == {"ok"}
        assert 3 <= len(c.made("GET", "/v3/emails")) <= 5
        assert c.lines("reports_not_granted") == [{"platform": CC}]


def test_a_second_consent_for_another_account_is_no_way_to_swap_people() -> None:
    with Crossing(customers=(CUSTOMER, "other")) as c:
        c.consent(c.refresh_tokens[CUSTOMER])
        c.wait(minutes=5)
        c.consent(c.refresh_tokens["other"])
        c.wait(minutes=5)
        assert c.status()["connections"][CC] == "wrong_account"


def test_an_account_that_could_not_be_blocked_is_looked_at_again_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing lies between the look and the block but a commit, and that may fail."""
    turn = import_module("keepstep.submit.turn")  # its function has the same name
    right, failed = turn._block, list[str]()

    def block(*asked: Any) -> None:
        if not failed:
            failed.append("the disk is full")
            raise OSError(failed[0])
        right(*asked)

    with Crossing(customers=(CUSTOMER, "other")) as c:
        c.consent(c.refresh_tokens[CUSTOMER])
        c.wait(minutes=5)
        monkeypatch.setattr(turn, "_block", block)
        c.consent(c.refresh_tokens["other"])
        c.wait(minutes=5)
        assert failed
        assert c.status()["connections"][CC] == "wrong_account"


def test_nothing_is_read_while_nobody_knows_where_a_new_consent_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account's own answer fails for a while: lists and people of another account must not be taken for ours."""
    right, tries = capture.read_account, [0]

    async def flaky(*asked: Any) -> None:
        tries[0] += 1
        if 1 < tries[0] < 6:
            raise Transient("503: not now")
        await right(*asked)

    monkeypatch.setattr(capture, "read_account", flaky)
    with Crossing(customers=(CUSTOMER, "other")) as c:
        c.consent(c.refresh_tokens[CUSTOMER])
        c.wait(minutes=5)
        before = len(c.made("GET", "/v3/contact"))
        assert before and tries == [1]
        c.consent(c.refresh_tokens["other"])
        c.wait(hours=1)
        assert tries[0] >= 6
        assert len(c.made("GET", "/v3/contact")) == before
        assert c.status()["connections"][CC] == "wrong_account"


# --- how often ---


def test_a_whole_read_comes_as_often_as_its_part_of_the_day_carries() -> None:
    """10,000 calls, five customers, a fifth of each part: 400 pages of 500 contacts a day."""
    part, share = 10_000 / 5, 0.2
    asked = {pages: pace.every(DAY, pages, part, share) for pages in (0, 1, 400, 800, 2800, 100_000)}
    assert asked == {0: DAY, 1: DAY, 400: DAY, 800: 2 * DAY, 2800: 7 * DAY, 100_000: 7 * DAY}
    assert pace.every(HOUR, 400, part, share) == DAY
    assert pace.every(MONTH, 100_000, part, share) == MONTH, "never oftener than asked for"
    assert pace.every(HOUR, 100_000, None, share) == HOUR, "nobody counts the calls"
    assert pace.every(HOUR, 10, 0.5, share) == 7 * DAY, "more customers than calls"


def test_the_keys_day_is_parted_among_its_customers() -> None:
    with Crossing(customers=(CUSTOMER, "other")) as c:
        assert c.ask(c.service.desk(CUSTOMER)).calls_a_day == 10_000
        c.connect()
        assert c.ask(c.service.desk(CUSTOMER)).calls_a_day == 5000


def test_a_sweep_that_the_day_does_not_carry_comes_less_often_and_the_status_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "MOST", 1)
    monkeypatch.setitem(capture.SHARES, "sweep", 3 / 10_000)
    with Crossing() as c:
        for n in range(6):
            c.person(f"p{n}@example.org", f"F{n}", f"L{n}")
        c.connect()
        assert c.status()["polls"][f"{CC}.sweep"]["every_seconds"] == pytest.approx(2 * DAY)
        before = len(contact_pages(c, status="all"))
        c.wait(days=1.5)
        swept = [one for one in contact_pages(c, status="all")[before:] if "updated_after" not in one]
        assert swept == []
        c.wait(days=1)
        assert [one for one in contact_pages(c, status="all")[before:] if "updated_after" not in one]


# --- pages that shift, and pages that break ---


@pytest.mark.parametrize("shift", ["insert", "delete"])
def test_a_page_that_shifts_loses_nobody_for_longer_than_a_sweep(shift: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST", 2)
    with only("sweep", cc={"page_shift": shift}) as c:
        people = [c.person(f"p{n}@example.org", f"F{n}", f"L{n}") for n in range(5)]
        c.connect()
        monkeypatch.setattr(source, "MOST", 500)
        c.wait(hours=2)
        assert sum(c.standings().values()) == len(people)


def poisoned(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Nobody can read the records of people with these first names."""
    true = ConstantContact.snapshot

    def snapshot(self: ConstantContact, raw: Any, read_at: float) -> Any:
        if raw.get("first_name") in names:
            raise ValueError(f"{raw['first_name']} {raw['email_address']['address']}")
        return true(self, raw, read_at)

    monkeypatch.setattr(ConstantContact, "snapshot", snapshot)


def test_a_row_that_cannot_be_stored_stands_alone_and_the_round_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, "F3")
    with Crossing() as c:
        people = [c.person(f"p{n}@example.org", f"F{n}", f"L{n}") for n in range(7)]
        c.connect()
        c.night()
        c.wait(days=2)
        assert c.standings() == {"in_step": 6}
        [letter] = c.letters()
        assert (letter["side"], letter["kind"], letter["reason"]) == (
            "audience",
            "poison",
            "cannot be stored: ValueError",
        )
        assert letter["payload"] == {"record_id": people[3], "poll": "sweep"}
        assert c.mark(CC, "sweep").mark is not None
        assert "F3" not in str(letter) and "p3@" not in str(c.lines("poison"))


def test_a_page_of_poison_is_a_fault_of_ours_and_nobody_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    people = [f"F{n}" for n in range(rounds.MOST_POISON + 2)]
    poisoned(monkeypatch, *people)
    with Crossing() as c:
        for name in people:
            c.person(f"{name}@example.org", name, "Roe")
        c.connect()
        assert c.letters() == []
        assert c.mark(CC, "sweep").mark is None
        assert any(line["why"] == "ValueError" for line in c.lines("read_failed"))


Wire = Callable[[str, Request, Callable[[], Response]], Response]


def breaking(record: str, most: int, kind: str = "500") -> Wire:
    """A vendor that cannot deliver a page which holds this person and more than `most` rows."""

    def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
        response = handle()
        if request.path != "/v3/contacts" or record.encode() not in response.body:
            return response
        if response.body.count(b'"contact_id"') <= most:
            return response
        broken = Response(200, response.headers, response.body[:-20])
        return broken if kind == "broken" else answer(500, {"error_key": "server_error"})

    return wire


@pytest.mark.parametrize("kind", ["500", "broken"])
def test_a_page_that_is_never_delivered_is_asked_for_in_smaller_ones(kind: str) -> None:
    with only("sweep") as c:
        people = [c.person(f"p{n}@example.org", f"F{n}", f"L{n}") for n in range(110)]
        c.wire = breaking(people[50], 20, kind)
        c.connect()
        assert c.lines("smaller_pages") == [{"poll": "sweep", "size": 100}, {"poll": "sweep", "size": 20}]
        assert sum(c.standings().values()) == len(people)
        c.wire = None
        c.wait(hours=2)
        assert [one["limit"] for one in contact_pages(c, status="all") if "limit" in one][-1] == ["500"]


def test_a_page_that_no_size_delivers_ends_its_round_and_no_other() -> None:
    with only("sweep", "opted_out") as c:
        ann = in_step(c)
        before = c.mark(CC, "sweep").mark
        c.wire = breaking(ann, 0)
        c.wait(hours=1, minutes=30)
        assert c.lines("round_given_up") != []
        assert c.status()["polls"][f"{CC}.sweep"]["trouble"] == "undeliverable"
        assert c.mark(CC, "sweep").mark == before
        finished = (c.mark(CC, "opted_out").data or {})["finished"]
        assert finished > c.now() - 1.5 * HOUR
        c.wire = None
        c.wait(hours=3)
        assert "trouble" not in c.status()["polls"][f"{CC}.sweep"]
        assert c.mark(CC, "sweep").mark != before


def test_a_vendor_that_delivers_nothing_is_waited_for_at_full_size() -> None:
    with only("sweep") as c:
        in_step(c)
        c.faults.arm("500", vendor=CC, count=1000)
        c.wait(hours=3)
        c.faults.clear()
        c.wait(hours=3)
        assert c.lines("smaller_pages") == []
        assert (c.mark(CC, "sweep").data or {})["finished"] > c.now() - 3 * HOUR


# --- what is kept ---


def test_every_reading_that_says_something_new_is_kept_once() -> None:
    def kept(tx: Connection) -> list[tuple[str, Any]]:
        rows = tx.execute(select(history).where(history.c.kind == "reading").order_by(history.c.id)).mappings()
        return [(row["platform"], row["body"].get("first_name")) for row in rows if row["platform"] == CC]

    with Crossing() as c:
        ann = c.person()
        c.connect()
        c.night()
        c.edits(ann, first_name="Anna")
        c.wait(days=2)
        assert c.ask(c.service.db.run(kept)) == [(CC, "Ann"), (CC, "Anna")]


def test_a_tag_that_a_list_and_a_contact_tag_come_to_belongs_to_the_list() -> None:
    with Crossing(policy={"contact_tags_prefix": "CC: "}) as c:
        board = c.cc.add_tag(CUSTOMER, "Board", c.now())
        listed = c.a_list("Board")
        c.connect()
        known = {one.list_id: one for one in c.ask(c.service.db.run(labels.every, CUSTOMER))}
        assert (known[listed].state, known[listed].kind) == ("live", "list")
        assert (known[board].state, known[board].reason, known[board].kind) == ("paused", "tag_shared", "tag")


def test_labels_of_tags_are_paused_where_the_route_no_longer_maps_them() -> None:
    with Crossing(policy={"contact_tags_prefix": "CC tag: "}) as c:
        c.v.add_tag(CUSTOMER, "CC tag: Board", c.now())
        c.cc.add_tag(CUSTOMER, "Board", c.now())
        c.connect()
        [known] = c.ask(c.service.db.run(labels.every, CUSTOMER))
        assert (known.kind, known.state, known.tag_name) == ("tag", "live", "CC tag: Board")
        c.policy = type(c.policy)()
        c.open()
        c.wait(hours=2)
        [known] = c.ask(c.service.db.run(labels.every, CUSTOMER))
        assert (known.kind, known.state, known.reason) == ("tag", "paused", "not_mapped")


def test_custom_fields_are_bound_by_name_and_those_without_a_partner_are_shown() -> None:
    with only("fields") as c:
        for label, kind in (("Shirt_size", "string"), ("Member", "boolean"), ("Shoe size", "string")):
            c.cc.add_custom_field(CUSTOMER, label, c.now(), kind=kind)
        c.v.add_custom_field(CUSTOMER, "shirt size", c.now())
        c.v.add_custom_field(CUSTOMER, "Member", c.now(), data_type="Date")
        c.connect()

        def known() -> dict[str, tuple[str, str | None]]:
            found = c.ask(c.service.db.run(fields.every, CUSTOMER))
            return {one.audience.names[0]: (one.state, one.reason) for one in found}

        assert known() == {
            "Shirt_size": ("live", None),
            "Member": ("paused", "kinds_differ"),
            "Shoe size": ("paused", "no_such_field"),
        }
        c.v.remove_custom_field(CUSTOMER, "shirt size")
        c.wait(hours=2)
        assert known()["Shirt_size"] == ("gone", "field_gone")
