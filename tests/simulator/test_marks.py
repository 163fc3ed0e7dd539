"""The marks of what must happen sometimes: there are many, each is told from its opposite, and all of them occur."""

from typing import Any

import pytest

from keepstep_sandbox.world import START
from keepstep_simulator import courses, marks
from keepstep_simulator.run import simulate
from keepstep_simulator.story import Story

SOME = 6
Line = tuple[float, int, str, str, dict[str, Any]]


def story(*facts: Line) -> Story:
    """Facts of one customer: seconds after the start, process, kind, key, data."""
    told = Story()
    for at, process, kind, key, data in facts:
        told.tell(START + at, process, "one", kind, key, **data)
    return told


def call(fault: str = "", **more: Any) -> Story:
    """One call with its answer."""
    out = {"method": "POST", "path": "/api/ContactTag", "vendor": "virtuous", "write": True, "token": False}
    out |= {"credential": "k", **more}
    return story(
        (0, 1, "OUT", "1", out), (1, 1, "RSP", "1", {"fault": fault, "status": 200, "account": "", "granted": ()})
    )


def row(table: str, **values: Any) -> Line:
    """One stored row."""
    return (0, 1, "TX", "store", {"rows": ((table, "UPDATE", {"customer_id": "one", **values}),), "fence": 3})


def test_there_are_at_least_eighty_and_none_twice() -> None:
    assert len(set(marks.MARKS)) == len(marks.MARKS) >= 80


@pytest.mark.parametrize(
    ("told", "mark"),
    [
        (call(), "tag written"),
        (call("503"), "write refused by an error of the server"),
        (call("reset_after", token=True, write=False), "answer of a refresh lost"),
        (story(row("step", hold="brake", tries=0, lane=1, inferred="false")), "brake held something"),
        (story((0, 1, "CRASH", "after commit form", {})), "crash after a commit"),
        (story((0, 1, "PAUSE", "after effect of PUT /x", {"seconds": 900.0})), "lease expired while writing"),
        (story((0, 1, "SKEW", "", {"ahead": -60.0})), "our clock behind"),
    ],
)
def test_a_mark_is_told_from_its_facts(told: Story, mark: str) -> None:
    assert mark in marks.of(_planned(told))


@pytest.mark.parametrize(
    ("told", "mark"),
    [
        (call(method="DELETE"), "tag written"),
        (call("reset_before"), "write took effect and its answer was lost"),
        (call("reset_before", token=True, write=False), "answer of a refresh lost"),
        (story(row("step", hold="gate", tries=0, lane=1, inferred=None)), "brake held something"),
        (story((0, 1, "CRASH", "before commit form", {})), "crash after a commit"),
        (story((0, 1, "PAUSE", "after effect of PUT /x", {"seconds": 20.0})), "lease expired while writing"),
        (story((0, 1, "SKEW", "", {"ahead": 60.0})), "our clock behind"),
    ],
)
def test_a_mark_is_not_told_from_others(told: Story, mark: str) -> None:
    assert mark not in marks.of(_planned(told))


def _planned(told: Story) -> Story:
    told.tell(START, 0, "", "PLAN")
    return told


WAITS = row("submission", record_id="ann", state="waiting")
OVER = row("submission", record_id="ann", state="resolved")
OPTS_OUT = (1.0, 0, "ACT", "ann", {"what": "person_opts_out"})
OPEN, SHUT = row("mark", platform="virtuous", cursor="7"), row("mark", platform="virtuous", cursor=None)
EDIT = (1.0, 0, "EFF", "contact:1", {"actor": "staff", "side": "virtuous"})
STILL = (0.0, 1, "PAUSE", "", {"seconds": 900.0})
BACK: Line = (9.0, 1, "RESUME", "", {})
OTHERS = (5.0, 2, "TX", "store", {"rows": (), "fence": 4})
STEP = (0.0, 1, "TX", "store", {"rows": (("step", "INSERT", {}),), "fence": 1})
DIES: Line = (1.0, 1, "CRASH", "after commit store", {})


@pytest.mark.parametrize(
    ("course", "told", "occurs"),
    [
        (courses.waits_for_the_batch, (WAITS, OPTS_OUT), True),
        (courses.waits_for_the_batch, (WAITS, OVER, OPTS_OUT), False),
        (courses.under_the_cursor, (OPEN, EDIT), True),
        (courses.under_the_cursor, (OPEN, SHUT, EDIT), False),
        (courses.taken_over, (STILL, OTHERS, BACK), True),
        (courses.taken_over, (STILL, BACK, OTHERS), False),
        (courses.crash_after_decision, (STEP, DIES), True),
        (courses.crash_after_decision, (STEP, OTHERS, STILL, DIES), False),
        (courses.crashes_in_a_row, (DIES, (300.0, 2, "CRASH", "", {})), True),
        (courses.crashes_in_a_row, (DIES, (900.0, 2, "CRASH", "", {})), False),
    ],
)
def test_a_course_is_what_happened_while_something_else_did(course: Any, told: Any, occurs: bool) -> None:
    assert course(story(*told)) is occurs


def test_a_few_seeds_have_half_of_the_marks_and_no_others() -> None:
    found = frozenset().union(*(simulate(seed).marks for seed in range(SOME)))
    assert found <= set(marks.MARKS)
    assert len(found) > len(marks.MARKS) / 2, sorted(set(marks.MARKS) - found)
