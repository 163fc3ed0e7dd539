"""People wait in the nightly batch: staff run the import late, or never, and somebody is told."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.state import marks
from keepstep.submit import confirm
from tests.flows.crossing import CUSTOMER, DAY, HOUR, Crossing, emails

MANUAL = {"import-run": "manual"}


def resolves(c: Crossing, how: Any = "create") -> None:
    """Staff decide about every row that the import holds."""
    for row in c.v.waiting(CUSTOMER):
        c.v.resolve(CUSTOMER, row["id"], how, c.now())


def deaf(c: Crossing) -> None:
    """No webhook arrives any more."""
    c.v.lose_next(10_000)


def test_who_waits_is_counted_by_age_with_what_to_do() -> None:
    with Crossing(v=MANUAL) as c:
        ann = c.person()
        c.connect()
        assert c.status()["waiting"]["count"] == 1
        assert "nightly batch" in c.status()["waiting"]["next"]
        c.wait(days=1, hours=1)
        stuck = c.status()["stuck"]
        assert (stuck["count"], c.status()["waiting"]["count"]) == (1, 0)
        assert DAY < stuck["oldest_seconds"] < DAY + 2 * HOUR
        assert "Imports in Virtuous" in stuck["next"]
        assert "Match Needed" in stuck["next"]
        assert c.standing(ann) == ("pending", "submission_waiting")
        c.wait(days=2, hours=1)
        assert (c.status()["review"]["count"], c.status()["stuck"]["count"]) == (1, 0)
        assert c.standing(ann) == ("pending", "submission_review")
        c.wait(days=3)
        assert c.lines("stuck") == [{"record": ann}]


def test_an_import_that_is_run_after_a_week_ends_the_waiting() -> None:
    with Crossing(v=MANUAL) as c:
        ann = c.person()
        c.connect()
        c.wait(days=7)
        resolves(c)
        c.wait(hours=2)
        assert c.standing(ann) == ("in_step", "")
        assert c.status()["review"]["count"] == 0
        assert len(c.made("POST", "/api/Contact/Transaction")) == 1


@pytest.mark.parametrize("days", [1, 5])
def test_a_late_import_that_overwrote_a_newer_edit_is_repaired(days: float) -> None:
    """The row holds what was true when it was sent (Virtuous facts 10.6)."""
    with Crossing(v=MANUAL) as c:
        ann = c.person()
        c.connect()
        c.edits(ann, first_name="Anna", email="anna@example.org")
        c.wait(days=days)
        resolves(c)
        assert [one["value"] for one in emails(c.there(ann))] == ["ann@example.org"]
        c.wait(hours=3)
        contact = c.there(ann)
        assert contact["contactIndividuals"][0]["firstName"] == "Anna"
        assert [one["value"] for one in emails(contact)] == ["anna@example.org"]
        assert c.standing(ann) == ("in_step", "")


def test_a_row_that_staff_matched_with_somebody_known_is_linked_and_repaired() -> None:
    """Match Needed: staff choose the contact, and the old row overwrites what the person has changed since."""
    with Crossing(v=MANUAL) as c:
        ann = c.person(phones=[("mobile", "202-555-0111")])
        c.connect()
        there = c.household("ann@example.org", "Ann", "Lee")
        c.edits(ann, first_name="Anna")
        c.wait(days=4)
        resolves(c, there)
        c.wait(hours=3)
        assert c.there(ann)["id"] == there
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Anna"
        assert c.standing(ann) == ("in_step", "")
        assert len(c.everybody()) == 1


def test_a_row_that_needs_an_update_waits_while_the_others_are_made() -> None:
    """Update Needed: one confident contact and other data, so that a person must look (Virtuous facts 10.3)."""
    with Crossing(v={"import-run": "ready"}) as c:
        ann = c.person(phones=[("mobile", "202-555-0111")])
        c.connect()
        there = c.household("ann@example.org", "Ann", "Lee")
        c.wait(days=4)
        assert [row["bucket"] for row in c.v.waiting(CUSTOMER)] == ["Update Needed"]
        assert c.standing(ann) == ("pending", "submission_review")
        assert c.carriers(ann) == []
        resolves(c, there)
        c.wait(hours=2)
        assert c.standing(ann) == ("in_step", "")
        assert c.there(ann)["id"] == there


def test_whose_submission_nobody_answered_reaches_review_without_any_batch() -> None:
    with Crossing(v=MANUAL) as c:
        ann = c.person()
        c.faults.arm("reset_after", vendor="virtuous", method="POST", path="/api/Contact/Transaction")
        c.connect()
        assert c.standing(ann) == ("pending", "submission_unknown")
        c.wait(days=3, hours=2)
        assert c.status()["review"]["count"] == 1
        assert c.standing(ann) == ("pending", "submission_review")
        resolves(c)
        c.wait(hours=2)
        assert c.standing(ann) == ("in_step", "")


def test_everybody_who_waits_is_asked_for_and_mostly_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one piece of references waits; what the bulk query finds is not asked for one by one."""
    monkeypatch.setattr(confirm, "REFERENCES", 4)
    with Crossing(v=MANUAL) as c:
        people = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}") for n in range(23)]
        c.connect()
        deaf(c)
        before = len(by_reference(c))
        c.wait(days=1, hours=2)
        asked = by_reference(c)[before:]
        assert sorted({one.request.path.rpartition("/")[2] for one in asked}) == sorted(people)
        assert len(asked) == len(people)
        gaps = [later.at - one.at for one, later in zip(asked[::4], asked[4::4], strict=False)]
        assert min(gaps) >= confirm.PAUSE
        c.wait(days=2, hours=2)
        assert c.status()["review"]["count"] == 23


def by_reference(c: Crossing) -> list[Any]:
    return c.made("GET", "/api/Contact/Constant%20Contact") + c.made("GET", "/api/Contact/Constant Contact")


def test_who_came_out_of_the_batch_unheard_is_found_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    with Crossing() as c:
        people = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}") for n in range(9)]
        c.connect()
        deaf(c)
        blind(c)
        c.wait(days=1, hours=2)
        assert c.standings() == {"in_step": len(people)}
        assert by_reference(c) == []


def blind(c: Crossing) -> None:
    """The poll of changes finds nothing: only whoever asks for those who are stuck does."""
    poll = c.mark("virtuous", "crm_changed")
    c.ask(c.service.db.run(marks.put, CUSTOMER, replace(poll, mark=c.now() + 30 * DAY)))


@pytest.mark.parametrize("how", ["opts_out", "deleted"])
def test_an_opt_out_of_somebody_who_waits_is_owed_with_its_age(how: str) -> None:
    with Crossing(v=MANUAL) as c:
        ann = c.person()
        c.connect()
        c.wait(days=1)
        if how == "opts_out":
            c.opts_out(ann)
        else:
            c.cc.delete(CUSTOMER, ann, c.now())
        c.wait(hours=5)
        owed = c.status()["owed"]
        assert owed["count"] == 1
        assert 3 * HOUR < owed["oldest_seconds"] < 6 * HOUR
        resolves(c)
        c.wait(minutes=30)
        assert c.consents(ann) == [False]
        assert c.status()["owed"]["count"] == 0
        assert c.permission(ann) == "unsubscribed" if how == "opts_out" else True
