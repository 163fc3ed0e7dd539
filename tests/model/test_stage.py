"""The hours of bulk work, and what follows a link."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from keepstep.model.change import Step, a_step
from keepstep.model.customer import Policy
from keepstep.model.foresee import after_links
from keepstep.model.party import Party, Person, Readings
from keepstep.model.stage import bulk_may_run, bulk_opens, has_window, hours_of
from tests.model.people import SETTING, household, individual, kinds, readings, subscriber

PHOENIX = "America/Phoenix"


def at(text: str, zone: str = PHOENIX) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def policy(days: tuple[str, ...] = (), hours: str = "", zone: str = PHOENIX) -> Policy:
    return Policy(bulk_days=days, bulk_hours=hours, bulk_zone=zone)


@pytest.mark.parametrize(
    ("text", "span"),
    [("22:00-06:00", (1320, 360)), (" 8:30 - 9:00 ", (510, 540)), ("24:00-06:00", None), ("8-9", None), ("", None)],
)
def test_a_span_of_the_day_is_read(text: str, span: tuple[int, int] | None) -> None:
    assert hours_of(text) == span


def test_a_span_without_length_is_none() -> None:
    assert hours_of("08:00-08:00") is None


def test_without_days_and_hours_bulk_work_runs_always() -> None:
    assert not has_window(policy())
    assert bulk_may_run(policy(), 0.0)
    assert bulk_opens(policy(), 5.0) == 5.0


@pytest.mark.parametrize(
    ("moment", "open_"),
    [("2026-03-02T08:59", False), ("2026-03-02T09:00", True), ("2026-03-02T16:59", True), ("2026-03-02T17:00", False)],
)
def test_hours_within_a_day(moment: str, open_: bool) -> None:
    assert bulk_may_run(policy(hours="09:00-17:00"), at(moment)) is open_


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-03-06T23:00", False),  # a Friday
        ("2026-03-07T05:59", False),  # Saturday morning is Friday's night
        ("2026-03-07T22:00", True),
        ("2026-03-08T05:59", True),
        ("2026-03-08T06:00", False),
        ("2026-03-09T05:00", True),  # Monday morning is Sunday's night
    ],
)
def test_hours_over_midnight_belong_to_the_day_on_which_they_begin(moment: str, open_: bool) -> None:
    assert bulk_may_run(policy(("sat", "sun"), "22:00-06:00"), at(moment)) is open_


def test_days_alone_are_whole_days_of_the_zone() -> None:
    assert bulk_may_run(policy(("sun",)), at("2026-03-08T00:00"))
    assert not bulk_may_run(policy(("sun",)), at("2026-03-08T00:00", "UTC"))


def test_the_next_opening_is_found() -> None:
    assert bulk_opens(policy(("sat",), "22:00-06:00"), at("2026-03-02T10:07")) == at("2026-03-07T22:00")


def test_an_hour_that_a_clock_change_skips_opens_the_next_day() -> None:
    skipped = policy(hours="02:15-02:45", zone="America/New_York")
    opens = bulk_opens(skipped, at("2026-03-08T01:00", "America/New_York"))
    assert opens == at("2026-03-09T02:15", "America/New_York")


def test_days_that_no_week_has_never_open() -> None:
    assert bulk_opens(policy(("never",)), at("2026-03-02T10:00")) is None


# --- what follows a link ---------------------------------------------------------------------------------------------


def linking(record_id: str) -> Step:
    payload = {"contact": "900", "record_id": record_id, "individual": f"i{record_id}"}
    return a_step(f"P{record_id}", record_id, "link", payload)


def alone(record_id: str, **changed: Any) -> tuple[Party, Readings]:
    known = Party(party_id=f"P{record_id}", people=(Person(record_id=record_id),))
    return known, readings(None, subscriber(record_id, **changed))


def test_after_a_link_the_household_wants_what_its_lists_say() -> None:
    crm = household(references=())
    decision = after_links([linking("a")], [alone("a", lists=("L1",))], crm, SETTING)
    assert kinds(decision) == ["add_tag"]
    assert decision.party.person("a").individual == "ia"


def test_two_who_are_linked_to_one_household_are_decided_together() -> None:
    crm = household(individual("a"), individual("b"), references=(), tags=("CC: News",))
    both = [alone("a", lists=("L1",)), alone("b")]
    decision = after_links([linking("a"), linking("b")], both, crm, SETTING)
    assert kinds(decision) == []
    assert [one.standing for one in decision.party.people] == ["in_step", "in_step"]
    apart = after_links([linking("b")], [alone("b")], crm, SETTING)
    assert kinds(apart) == ["join"]


def test_a_false_that_nobody_was_seen_to_set_is_foreseen_as_parked() -> None:
    crm = household(individual("a", opted_in=False), references=())
    decision = after_links([linking("a")], [alone("a")], crm, SETTING)
    assert [(one.standing, one.reason) for one in decision.party.people] == [("parked", "consent_unknown")]
