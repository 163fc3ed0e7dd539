"""The brake: what is only inferred goes out up to a limit a day, the rest when somebody has said so. The vendors' own
logs say what went out."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keepstep import cli
from keepstep.cli import brake as commands
from keepstep.model.errors import Refused
from keepstep.telemetry import Event
from keepstep.wiring import brake, plans
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Call, Crossing, served
from tests.flows.test_consent import SEEN_SOON, method_of
from tests.flows.test_lists import lists_of
from tests.flows.test_review_model import checked

FLOOR = 20
NEWSLETTER = "CC: Newsletter"


class Town:
    """So many people in step on both sides, all of them on one list."""

    def __init__(self, c: Crossing, size: int = 45) -> None:
        self.c = c
        self.news = c.a_list("Newsletter")
        self.people = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}", lists=[self.news]) for n in range(size)]
        c.connect()
        c.night()
        c.wait(minutes=20)
        assert c.standings() == {"in_step": size}
        self.began = len(c.calls)

    def flip(self, *records: str) -> None:
        """A tool of staff's says no for them in the CRM."""
        for record in records:
            self.c.v.staff_opts(CUSTOMER, method_of(self.c, record), False, self.c.now())

    def written(self) -> list[Call]:
        return [one for one in self.c.calls[self.began :] if one.answer.effects]

    def outs(self) -> list[str]:
        """Whom we opted out at Constant Contact, by its own log."""
        puts = [one for one in self.written() if one.vendor == "constant_contact" and one.request.method == "PUT"]
        return [one.request.path.rsplit("/", 1)[1] for one in puts]

    def out_there(self) -> list[str]:
        return [one for one in self.people if self.c.consents(one) == [False]]

    def untagged(self) -> list[str]:
        return [one for one in self.people if NEWSLETTER not in self.c.there(one)["tags"]]


@contextmanager
def made() -> Iterator[Town]:
    """Everybody in step, and a Constant Contact whose polls see a deletion and a way back soon."""
    with Crossing(cc=SEEN_SOON) as c:
        yield Town(c)


@pytest.fixture
def town() -> Iterator[Town]:
    with made() as built:
        yield built


def shown(c: Crossing) -> dict[str, Any]:
    return dict(c.ask(brake.shown(c.service, CUSTOMER)))


def approve(c: Crossing, checksum: str) -> dict[str, Any]:
    return dict(c.ask(brake.approve(c.service, CUSTOMER, checksum, "ops")))


def discard(c: Crossing, checksum: str) -> dict[str, Any]:
    return dict(c.ask(brake.discard(c.service, CUSTOMER, checksum, "ops")))


def explicit_opt_outs_flow(town: Town) -> None:
    """Somebody's own opt-out reaches Virtuous while the brake holds."""
    town.c.opts_out(town.people[-1], "too many")
    town.c.wait(minutes=17)
    assert town.c.consents(town.people[-1]) == [False]


# --- what is held ----------------------------------------------------------------------------------------------------


def test_a_tool_that_unticks_many_opts_nobody_out_before_somebody_says_so(town: Town) -> None:
    c = town.c
    town.flip(*town.people[:30])
    c.wait(minutes=5)
    assert len(town.outs()) <= FLOOR
    assert c.status()["brake"]["held"] == 30 - len(town.outs()) > 0
    explicit_opt_outs_flow(town)
    assert len(town.outs()) <= FLOOR
    found = shown(c)
    assert found["steps"] == [{"why": "false", "side": "audience", "kind": "opt_out", "count": found["held"]}]
    assert found["opt_outs"]["count"] == found["held"]
    assert c.status()["brake"] == {name: found[name] for name in ("held", "since", "limit", "checksum")}
    assert checked(c, "brake")[0] == "person"
    assert "example.org" not in json.dumps(found) and "Last1" not in json.dumps(found)


def test_an_empty_page_of_memberships_takes_no_tags_off(town: Town) -> None:
    c = town.c
    c.wire = without_lists
    c.wait(hours=26)
    assert len(town.untagged()) <= FLOOR
    assert c.status()["brake"]["held"] >= 45 - FLOOR
    c.wire = None
    assert [(one["why"], one["kind"]) for one in shown(c)["steps"]] == [("absence", "remove_tag")]
    explicit_opt_outs_flow(town)
    c.wait(hours=26)
    assert c.status()["brake"]["held"] == 0
    assert len(town.untagged()) <= FLOOR


def without_lists(_vendor: str, request: Request, handle: Any) -> Response:
    """A read that is fine but for the memberships, which are not there."""
    given: Response = handle()
    if request.method != "GET" or not request.path.startswith("/v3/contacts") or given.status != 200:
        return given
    body = json.loads(given.body)
    for one in [body, *body.get("contacts", ())]:
        if one.get("list_memberships"):
            one["list_memberships"] = []
    return replace(served(json.dumps(body).encode()), headers=given.headers)


def test_forty_deletions_close_no_more_than_the_limit(town: Town) -> None:
    c = town.c
    for record in town.people[:40]:
        c.cc.delete(CUSTOMER, record, c.now())
    c.wait(hours=3)
    assert len(town.out_there()) <= FLOOR
    assert {one["why"] for one in shown(c)["steps"]} == {"deletion"}
    explicit_opt_outs_flow(town)


def test_thirty_bounces_close_no_more_than_the_limit(town: Town) -> None:
    c = town.c
    c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=town.people)
    for record in town.people[:30]:
        c.cc.bounce(CUSTOMER, record, "B", c.now())
    c.wait(hours=3)
    assert len(town.out_there()) <= FLOOR
    assert {one["why"] for one in shown(c)["steps"]} == {"bounce"}
    explicit_opt_outs_flow(town)


def test_a_tag_taken_off_everybody_empties_no_list(town: Town) -> None:
    c = town.c
    for record in town.people[:42]:
        c.v.staff_removes_tag(CUSTOMER, c.there(record)["id"], NEWSLETTER, c.now())
    c.wait(minutes=20)
    assert [lists_of(c, one) for one in town.people].count([]) <= FLOOR
    found = shown(c)
    assert found["steps"] == [{"why": "absence", "side": "audience", "kind": "leave", "count": found["held"]}]
    assert found["labels"] == [{"list_id": town.news, "name": "Newsletter", "kind": "leave", "count": found["held"]}]


def test_a_braked_opt_out_stops_what_widens_at_once(town: Town) -> None:
    c = town.c
    tips = c.a_list("Tips")
    c.wait(hours=2)
    town.flip(*town.people[:30])
    c.wait(minutes=5)
    held = next(one["record"] for one in shown(c)["records"])
    free = town.people[40]
    for record in (held, free):
        c.v.staff_adds_tag(CUSTOMER, c.there(record)["id"], "CC: Tips", c.now())
    c.wait(minutes=30)
    assert tips in lists_of(c, free)
    assert tips not in lists_of(c, held)


def test_it_is_said_once_an_incident(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr("keepstep.telemetry.report", lambda event, _who, **more: said.append((event, more)))
    town.flip(*town.people[:25])
    town.c.wait(minutes=5)
    town.flip(*town.people[25:35])
    town.c.wait(minutes=5)
    assert [more["kind"] for event, more in said if event == Event.braked] == ["false"]
    assert len(town.c.lines("braked")) == 1


# --- what becomes of it ----------------------------------------------------------------------------------------------


def test_approving_sends_exactly_what_was_shown(town: Town) -> None:
    c = town.c
    town.flip(*town.people[:30])
    c.wait(minutes=5)
    before = set(town.outs())
    first = shown(c)
    assert {one["record"] for one in first["records"]} == set(town.people[:30]) - before
    town.flip(*town.people[30:35])
    c.wait(minutes=5)
    done = approve(c, first["checksum"])
    assert (done["steps"], done["left"]) == (first["held"], 5)
    c.wait(minutes=10)
    assert set(town.outs()) == set(town.people[:30])
    second = shown(c)
    assert {one["record"] for one in second["records"]} == set(town.people[30:35])
    with pytest.raises(Refused):
        approve(c, first["checksum"])


def test_what_was_discarded_is_never_sent_and_waits_for_nothing(town: Town) -> None:
    c = town.c
    town.flip(*town.people[:30])
    c.wait(minutes=5)
    before = set(town.outs())
    found = shown(c)
    done = discard(c, found["checksum"])
    assert (done["steps"], done["left"]) == (found["held"], 0)
    c.wait(minutes=1)
    c.open()
    c.wait(hours=25)
    for record in town.people[:30]:
        c.edits(record, first_name="Another")
    c.wait(hours=2)
    assert set(town.outs()) == before
    assert c.status()["brake"]["held"] == 0
    assert {c.standing(one["record"]) for one in found["records"]} == {("parked", "discarded")}
    explicit_opt_outs_flow(town)


def test_a_discarded_removal_is_forgotten_when_the_sides_agree_again(town: Town) -> None:
    c = town.c
    for record in town.people[:30]:
        c.v.staff_removes_tag(CUSTOMER, c.there(record)["id"], NEWSLETTER, c.now())
    c.wait(minutes=10)
    found = shown(c)
    ann = found["records"][0]["record"]
    discard(c, found["checksum"])
    c.wait(minutes=5)
    assert c.standing(ann) == ("parked", "discarded")
    c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], NEWSLETTER, c.now())
    c.wait(minutes=5)
    assert c.standing(ann) == ("in_step", "")
    c.wait(days=1)
    c.v.staff_removes_tag(CUSTOMER, c.there(ann)["id"], NEWSLETTER, c.now())
    c.wait(minutes=10)
    assert lists_of(c, ann) == []


def test_opt_outs_go_out_by_themselves_after_a_day_and_removals_do_not(town: Town) -> None:
    c = town.c
    town.flip(*town.people[:30])
    for record in town.people[30:40]:
        c.v.staff_removes_tag(CUSTOMER, c.there(record)["id"], NEWSLETTER, c.now())
    c.wait(minutes=10)
    early = len(town.outs())
    c.wait(hours=23)
    assert len(town.outs()) == early <= FLOOR
    c.wait(hours=2)
    assert set(town.outs()) == set(town.people[:30])
    left = shown(c)
    assert {one["kind"] for one in left["steps"]} <= {"leave"}
    assert [lists_of(c, one) for one in town.people[30:40]].count([]) == 10 - left["held"]


def test_what_somebody_asks_for_meanwhile_waits_no_longer(town: Town) -> None:
    c = town.c
    c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=town.people)
    for record in town.people[:30]:
        c.cc.bounce(CUSTOMER, record, "B", c.now())
    c.wait(hours=3)
    held = next(one["record"] for one in shown(c)["records"])
    assert c.consents(held) == [True]
    c.opts_out(held)
    c.wait(minutes=17)
    assert c.consents(held) == [False]


def test_what_an_applied_plan_showed_is_not_braked() -> None:
    with Crossing(cc=SEEN_SOON) as c:
        town = Town(c, 30)
        c.ask(plans.begin(c.service, CUSTOMER))
        for record in town.people[:25]:
            c.v.staff_removes_tag(CUSTOMER, c.there(record)["id"], NEWSLETTER, c.now())
        c.wait(hours=1)
        drawn = c.ask(plans.draw(c.service, CUSTOMER))
        assert c.ask(plans.apply(c.service, CUSTOMER, drawn["checksum"]))["steps"] == 25
        c.wait(hours=1)
        assert [lists_of(c, one) for one in town.people].count([]) == 25
        assert (shown(c)["held"], shown(c)["counted"]) == (0, 0)


def test_a_retry_is_not_counted_twice(town: Town) -> None:
    c = town.c
    c.faults.arm("503", vendor="constant_contact", method="PUT", count=20)
    town.flip(*town.people[:15])
    c.wait(hours=2)
    assert sorted(town.outs()) == sorted(town.people[:15])
    assert shown(c)["counted"] == 15
    town.flip(*town.people[15:20])
    c.wait(minutes=10)
    assert len(town.outs()) == 20


def test_a_small_customer_is_not_disturbed() -> None:
    with Crossing(cc=SEEN_SOON) as c:
        town = Town(c, 8)
        town.flip(*town.people[:3])
        c.cc.delete(CUSTOMER, town.people[4], c.now())
        c.cc.person_leaves(CUSTOMER, town.people[5], town.news, c.now())
        c.v.staff_removes_tag(CUSTOMER, c.there(town.people[6])["id"], NEWSLETTER, c.now())
        c.wait(days=2)
        assert shown(c)["held"] == 0
        assert len(town.outs()) == 3


# --- as it is typed --------------------------------------------------------------------------------------------------


def typed(town: Town, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    @asynccontextmanager
    async def opened(_settings: object) -> AsyncIterator[Any]:
        yield town.c.service

    monkeypatch.setattr(commands, "open_service", opened)
    return cli.main(["brake", *words, "--customer", CUSTOMER])


def test_the_commands_say_what_to_type_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with Crossing(cc=SEEN_SOON, policy={"brake_floor": 2, "brake_share": 0.0}) as c:
        town = Town(c, 6)
        capsys.readouterr()
        assert typed(town, monkeypatch, "show", "--json") == 0
        assert json.loads(capsys.readouterr().out)["checksum"] is None
        assert typed(town, monkeypatch, "show") == 0
        assert "nothing is held; 0 of 2" in capsys.readouterr().out
        for record in town.people[:4]:
            c.v.staff_removes_tag(CUSTOMER, c.there(record)["id"], NEWSLETTER, c.now())
        c.wait(minutes=5)
        town.flip(town.people[4])
        c.wait(minutes=5)
        assert typed(town, monkeypatch, "show") == 3
        said = " ".join(capsys.readouterr().out.split())
        checksum = shown(c)["checksum"]
        assert f"keepstep brake approve --customer {CUSTOMER} {checksum}" in said
        assert "1 opt-outs among them go out by themselves" in said
        assert typed(town, monkeypatch, "approve", "nothing") == 2
        town.flip(town.people[5])
        c.wait(minutes=5)
        assert typed(town, monkeypatch, "approve", checksum) == 0
        assert "1 are held still" in " ".join(capsys.readouterr().out.split())
        c.wait(minutes=5)
        assert [lists_of(c, one) for one in town.people[:4]] == [[]] * 4
        assert town.outs() == [town.people[4]]
        assert typed(town, monkeypatch, "discard", shown(c)["checksum"], "--json") == 0
        assert typed(town, monkeypatch, "show") == 0
