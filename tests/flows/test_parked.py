"""People who wait for a person's word: the evidence, and answers that stick."""

from typing import Any

import pytest

from keepstep.model.errors import Refused
from keepstep.wiring import parked
from tests.flows.crossing import CUSTOMER, Crossing, emails


def listed(c: Crossing) -> list[dict[str, Any]]:
    return list(c.ask(parked.listed(c.service, CUSTOMER)))


def shown(c: Crossing, record: str) -> dict[str, Any]:
    return dict(c.ask(parked.shown(c.service, CUSTOMER, record)))


def answer(c: Crossing, record: str, kind: str, individual: str | None = None) -> dict[str, Any]:
    return dict(c.ask(parked.answered(c.service, CUSTOMER, record, kind, "olga", individual)))


def under_another_name(c: Crossing) -> tuple[str, int]:
    """Ann at Constant Contact; her address is Bea's in Virtuous."""
    contact = c.household("ann@example.org", first="Bea")
    ann = c.person()
    c.connect()
    c.night()
    assert c.standing(ann) == ("parked", "name_differs")
    return ann, contact


def test_a_parked_person_is_listed_with_what_may_be_said_and_shown_with_the_evidence() -> None:
    with Crossing() as c:
        ann, contact = under_another_name(c)
        [row] = listed(c)
        assert (row["record"], row["reason"], row["answers"]) == (ann, "name_differs", ["same", "nobody", "leave"])
        assert "ann@" not in str(row) and "answer" in row["next"]
        found = shown(c, ann)
        [other] = found["alternatives"]
        assert found["here"]["email"] == "ann@example.org"
        assert (other["contact"], other["name"], other["address"]) == (str(contact), "Bea Lee", True)
        assert (other["name_agrees"], other["why_not"]) == (False, ["it has another name"])
        with pytest.raises(Refused):
            shown(c, "nothing")


def test_the_same_person_is_linked_by_the_answer_and_stays_linked() -> None:
    with Crossing() as c:
        ann, contact = under_another_name(c)
        assert answer(c, ann, "same") == {"record": ann, "answer": "same", "changed": True}
        assert answer(c, ann, "same")["changed"] is False
        c.wait(hours=2)
        assert c.there(ann)["id"] == contact
        assert c.standing(ann) == ("in_step", "")
        c.open()
        c.wait(days=8)
        assert c.standing(ann) == ("in_step", "")
        assert [line["by"] for line in c.lines("answered")] == ["olga"]
        assert len(c.everybody()) == 1


def test_somebody_who_is_nobody_of_these_is_created_and_nobody_is_overwritten() -> None:
    """The import matches by address: it would write Ann's name over Bea's."""
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann, contact = under_another_name(c)
        before = next(one for one in c.everybody() if one["id"] == contact)
        c.cc.person_joins(CUSTOMER, ann, news, c.now())
        answer(c, ann, "nobody")
        c.wait(days=1, hours=2)
        assert next(one for one in c.everybody() if one["id"] == contact) == before
        assert c.there(ann)["id"] != contact
        assert c.consents(ann) == [True]
        assert c.there(ann)["tags"] and c.standing(ann) == ("in_step", "")
        assert c.v.waiting(CUSTOMER) == []


def test_somebody_left_alone_is_left_out_until_the_answer_is_taken_back() -> None:
    with Crossing() as c:
        ann, _ = under_another_name(c)
        answer(c, ann, "leave")
        c.wait(hours=1)
        assert c.standing(ann) == ("left_out", "left_alone")
        c.edits(ann, last_name="Leigh")
        c.wait(days=2)
        assert c.standing(ann) == ("left_out", "left_alone")
        assert listed(c) == []
        answer(c, ann, "ask")
        c.wait(hours=1)
        assert c.standing(ann) == ("parked", "name_differs")
        assert answer(c, ann, "ask")["changed"] is False


def test_an_answer_survives_a_merge_of_the_parties() -> None:
    with Crossing() as c:
        ann, contact = under_another_name(c)
        bob = c.person("bob@example.org", "Bob", "Roe")
        answer(c, ann, "same")
        c.wait(hours=2)
        c.night()
        c.v.staff_merges(CUSTOMER, contact, c.there(bob)["id"], c.now())
        c.wait(hours=2)
        assert shown(c, ann)["answer"]["by"] == "olga"
        assert c.there(ann)["id"] == c.there(bob)["id"]
        assert c.standing(ann) == ("in_step", "")


def test_what_does_not_settle_the_question_is_refused() -> None:
    with Crossing() as c:
        ann, _ = under_another_name(c)
        other = c.household("zoe@example.org", first="Zoe")
        for kind, individual in (("stays", None), ("same", str(other)), ("ask ", None)):
            with pytest.raises(Refused):
                answer(c, ann, kind, individual)
        assert c.lines("answered") == []


def unknown_false(c: Crossing) -> str:
    """Linked at first pairing to somebody whom the CRM has opted out; nobody was seen to do it."""
    c.household("ann@example.org", opted_in=False)
    ann = c.person()
    c.connect()
    c.wait(hours=1)
    assert c.standing(ann) == ("parked", "consent_unknown")
    assert [row["answers"] for row in listed(c)] == [["stays", "lifted"]]
    return ann


def test_an_opt_out_that_stays_reaches_the_audience_side() -> None:
    with Crossing() as c:
        ann = unknown_false(c)
        answer(c, ann, "stays")
        c.wait(hours=1)
        assert c.permission(ann) == "unsubscribed"
        assert c.consents(ann) == [False]


def test_an_opt_out_that_may_be_lifted_is_lifted_and_nothing_asks_again() -> None:
    with Crossing() as c:
        ann = unknown_false(c)
        answer(c, ann, "lifted")
        c.wait(hours=1)
        assert c.permission(ann) == "implicit"
        assert c.consents(ann) == [True]
        assert c.standing(ann) == ("in_step", "")
        method = emails(c.there(ann))[0]["id"]
        c.v.staff_opts(CUSTOMER, method, False, c.now())
        c.wait(hours=1)
        assert c.permission(ann) == "unsubscribed"
