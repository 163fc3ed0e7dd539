"""I15 to I17: hand-made stories in which they are broken, and their neighbours in which they are not."""

import pytest

from keepstep_simulator.invariants.effects import intent_before_write, made_once, never_overlapping
from tests.simulator.invariants.telling import Told, act, eff, judged, out, rsp, story, tx

REFERENCE = "reference:Constant Contact/ana"
NOTE = "/api/ContactNote"
SENT = tx(("job", "UPDATE", {"id": "j", "state": "sent"}))
DONE = tx(("job", "DELETE", {"id": "j", "state": "done"}))
UNKNOWN = tx(("job", "UPDATE", {"id": "j", "state": "unknown"}))
BODY = '{"contactId": 7, "note": "hello"}'


def post(call: str, process: int = 1) -> Told:
    return out(call, NOTE, "POST", body=BODY, process=process)


def claimed(fence: int, process: int, until: float = 300.0) -> Told:
    return tx(("slot", "UPDATE", {"fence": fence, "lease_until": until, "holder": "h"}), process=process, fence=fence)


MADE = {
    "a value, once": ((eff("method:1", "value", "a", "b"),), 0),
    "the same value again, by nobody's doing": (
        (eff("method:1", "value", "a", "b"), eff("method:1", "value", "a", "b")),
        1,
    ),
    "again after staff": (
        (eff("method:1", "value", "a", "b"), act("1", "staff_opts"), eff("method:1", "value", "a", "b")),
        0,
    ),
    "a reference on one contact": ((eff(REFERENCE, "contactId", None, 1),), 0),
    "a reference on two contacts": ((eff(REFERENCE, "contactId", None, 1), eff(REFERENCE, "contactId", None, 2)), 1),
    "a reference that moves": ((eff(REFERENCE, "contactId", None, 1), eff(REFERENCE, "contactId", 1, 2)), 0),
    "two notes of one text on one contact": (
        (
            eff("note:1", "contactId", None, 7),
            eff("note:1", "note", None, "x"),
            eff("note:2", "contactId", None, 7),
            eff("note:2", "note", None, "x"),
        ),
        1,
    ),
    "two notes of one text on two contacts": (
        (
            eff("note:1", "contactId", None, 7),
            eff("note:1", "note", None, "x"),
            eff("note:2", "contactId", None, 8),
            eff("note:2", "note", None, "x"),
        ),
        0,
    ),
    "a double that the judge has found": ((judged(("duplicates", "ana", "two contacts")),), 1),
}


@pytest.mark.parametrize(("facts", "broken"), MADE.values(), ids=MADE)
def test_made_once(facts: tuple[Told, ...], broken: int) -> None:
    found, premise = made_once(story(*facts))
    assert [one.invariant for one in found] == ["I15"] * broken
    assert premise == sum(one.kind == "EFF" for one in facts)


MEANT = {
    "sent, made, done": ((SENT, post("1"), rsp("1"), DONE), 0),
    "no intent": ((post("1"), rsp("1")), 1),
    "the intent is of another process": ((SENT, post("1", process=2)), 1),
    "another process goes on with one of unknown fate": ((SENT, UNKNOWN, post("1", process=2)), 0),
    "done with, and written once more": ((SENT, post("1"), rsp("1"), DONE, post("2")), 1),
    "no answer, and sent again": ((SENT, post("1"), rsp("1", None), post("2")), 1),
    "an answer that says nothing, and sent again": ((SENT, post("1"), rsp("1", 503), post("2")), 1),
    "refused, and sent again": ((SENT, post("1"), rsp("1", 429), post("2")), 0),
    "a look in between": (
        (SENT, post("1"), rsp("1", None), out("2", "/api/ContactNote/ByContact/7"), rsp("2"), post("3")),
        0,
    ),
    "a look at somebody else": (
        (SENT, post("1"), rsp("1", None), out("2", "/api/ContactNote/ByContact/77"), rsp("2"), post("3")),
        1,
    ),
    "a look that was not answered": (
        (SENT, post("1"), rsp("1", None), out("2", "/api/ContactNote/ByContact/7"), rsp("2", 503), post("3")),
        1,
    ),
    "a look that names it in its answer": (
        (SENT, post("1"), rsp("1", None), out("2", "/api/Contact/Query"), rsp("2", body='{"id":7}'), post("3")),
        0,
    ),
    "an older disk knows no intent": ((SENT, Told("RESTORE"), post("1")), 1),
    "an older disk does not know that it was sent": (
        (SENT, post("1"), rsp("1", None), Told("RESTORE", data={"age": 3.0}), SENT, post("2")),
        0,
    ),
    "an older disk knows that it was sent": (
        (SENT, post("1"), rsp("1", None), Told("RESTORE", data={"age": 1.0}), SENT, post("2")),
        1,
    ),
}


@pytest.mark.parametrize(("facts", "broken"), MEANT.values(), ids=MEANT)
def test_intent_before_write(facts: tuple[Told, ...], broken: int) -> None:
    found, premise = intent_before_write(story(*facts))
    assert [one.invariant for one in found] == ["I16"] * broken
    assert premise == sum(one.kind == "OUT" and one.data["write"] for one in facts)


STEP = ("step", "UPDATE", {"id": 1})
ALONE = {
    "claimed, written, answered": ((claimed(1, 1), post("1"), rsp("1"), tx(STEP)), 0),
    "a fence that was there before": ((claimed(2, 1), claimed(1, 2)), 1),
    "the same fence again is a renewal": ((claimed(2, 1), claimed(2, 1, until=600.0)), 0),
    "sent under an old fence": ((claimed(1, 1), claimed(2, 2), post("1")), 1),
    "stored under an old fence": ((claimed(1, 1), claimed(2, 2), tx(STEP)), 1),
    "stored by an operator": ((claimed(1, 1), claimed(2, 2), tx(STEP, fence=None)), 0),
    "sent after the lease": ((claimed(1, 1, until=0.5), post("1")), 1),
    "sent after the lease, by a clock that jumped": (
        (claimed(1, 1, until=0.5), Told("SKEW", data={"ahead": 3600.0}), post("1")),
        0,
    ),
    "sent after the lease of a clock that is behind": (
        (Told("SKEW", data={"ahead": -100.0}), claimed(1, 1, until=0.5), post("1")),
        0,
    ),
    "while another process still writes": (
        (claimed(1, 1), post("1"), claimed(2, 2), out("2", NOTE, "POST", process=2, fence=2)),
        1,
    ),
    "after another process has written": (
        (claimed(1, 1), post("1"), rsp("1"), claimed(2, 2), out("2", NOTE, "POST", process=2, fence=2)),
        0,
    ),
    "long after another process died writing": (
        (claimed(1, 1), post("1"), claimed(2, 2, until=900.0), out("2", NOTE, "POST", process=2, fence=2, at=60.0)),
        0,
    ),
    "an older disk has older fences": ((claimed(9, 1), Told("RESTORE"), claimed(3, 2)), 0),
}


@pytest.mark.parametrize(("facts", "broken"), ALONE.values(), ids=ALONE)
def test_never_overlapping(facts: tuple[Told, ...], broken: int) -> None:
    found, premise = never_overlapping(story(*facts))
    assert [one.invariant for one in found] == ["I17"] * broken
    assert premise == sum(one.kind == "OUT" for one in facts)
