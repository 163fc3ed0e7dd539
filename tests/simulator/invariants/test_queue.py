"""I18 to I21, alive: hand-made stories in which they are broken, and their neighbours in which they are not."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from keepstep_simulator.invariants.queue import conserved, disciplined, ends_in_time, never_silent, worker_lives
from tests.simulator.invariants.telling import CC, CUSTOMER, Told, V, ended, out, rsp, story, tx

Row = Mapping[str, Any]


def commit(name: str, *rows: tuple[str, str, Row], at: float | None = None) -> Told:
    """A commit of a function of this name."""
    made = tx(*rows, at=at)
    return Told("TX", name, made.data, 1, at)


def entry(due: float = 0.0) -> Row:
    """A mark."""
    return {"party_id": "p", "due": due}


def step(job: str | None = None, **more: Any) -> Row:
    """A step."""
    known = {"id": 1, "party_id": "p", "side": "crm", "target": "t", "kind": "set_consent", "lane": 0}
    return known | {"job_id": job, "due": 0.0, "hold": None, **more}


def job(state: str = "intent", **more: Any) -> Row:
    """A call."""
    return {"id": "j", "state": state, "look_at": None, **more}


def outcome(word: str) -> tuple[str, str, Row]:
    """A line of the journal."""
    return ("journal", "INSERT", {"kind": "outcome", "party_id": "p", "data": json.dumps({"outcome": word})})


# --- I18 -------------------------------------------------------------------------------------------------------------

MARKED = commit("put", ("entry", "INSERT", entry()))
DECIDED = commit("store", ("entry", "DELETE", entry()), ("step", "INSERT", step()))
FORMED = commit("form", ("job", "INSERT", job()), ("step", "UPDATE", step("j")))
GONE = (("step", "DELETE", step("j")), ("job", "DELETE", job("done")))
DELIVERED = commit("append", ("delivery", "INSERT", {"id": "d", "state": "new"}))
KEPT: dict[str, tuple[tuple[Told, ...], Row, int]] = {
    "done": ((MARKED, DECIDED, FORMED, commit("record", *GONE, outcome("done"))), {}, 0),
    "no outcome": ((MARKED, DECIDED, FORMED, commit("record", *GONE)), {}, 1),
    "to be tried again, and gone": ((MARKED, DECIDED, FORMED, commit("record", *GONE, outcome("retry"))), {}, 1),
    "superseded": (
        (MARKED, DECIDED, FORMED, commit("store", ("step", "INSERT", step(id=2))), commit("record", *GONE)),
        {"step": [step(id=2)]},
        0,
    ),
    "the mark was taken, and no decision stored": ((MARKED, commit("take", ("entry", "DELETE", entry()))), {}, 1),
    "two parties became one": (
        (MARKED, commit("file", ("entry", "DELETE", entry()), ("journal", "INSERT", {"kind": "merged"}))),
        {},
        0,
    ),
    "the call is gone, its step is not": (
        (MARKED, DECIDED, FORMED, commit("record", ("job", "DELETE", job("done")))),
        {"step": [step("j")]},
        1,
    ),
    "the call went while its fate was open": (
        (MARKED, DECIDED, FORMED, commit("record", GONE[0], ("job", "DELETE", job("unknown")), outcome("done"))),
        {},
        1,
    ),
    "a call without a step": ((commit("form", ("job", "INSERT", job())),), {"job": [job()]}, 1),
    "read": (
        (DELIVERED, commit("read", ("delivery", "UPDATE", {"id": "d", "state": "parsed"}))),
        {"delivery": [{"id": "d"}]},
        0,
    ),
    "thrown away": ((DELIVERED, commit("read", ("delivery", "DELETE", {"id": "d", "state": "new"}))), {}, 1),
    "read twice": (
        (
            DELIVERED,
            commit("read", ("delivery", "UPDATE", {"id": "d", "state": "parsed"})),
            commit("back", ("delivery", "UPDATE", {"id": "d", "state": "new"})),
        ),
        {"delivery": [{"id": "d"}]},
        1,
    ),
    "not stored in the end": ((MARKED,), {}, 1),
    "after an older disk": ((MARKED, Told("RESTORE", "", {"age": 1.0, "stored": {}})), {}, 0),
}


@pytest.mark.parametrize(("facts", "left", "broken"), KEPT.values(), ids=KEPT)
def test_conserved(facts: tuple[Told, ...], left: Row, broken: int) -> None:
    tables = {table: tuple({"customer_id": CUSTOMER, **row} for row in rows) for table, rows in left.items()}
    found, premise = conserved(story(*facts, final=ended(snapshot=({},), **tables)))
    assert [one.invariant for one in found] == ["I18"] * broken
    assert premise == sum(one.kind == "TX" for one in facts)


# --- I19 -------------------------------------------------------------------------------------------------------------

END = Told("END", "", {"stored": {}}, at=200_000.0)
TAKEN: dict[str, tuple[tuple[Told, ...], int]] = {
    "in time": ((commit("put", ("entry", "INSERT", entry(10.0)), at=5.0),), 0),
    "late": ((commit("put", ("entry", "INSERT", entry(10.0)), at=5.0), commit("x", at=80.0)), 1),
    "due later": ((commit("put", ("entry", "INSERT", entry(50.0)), at=5.0), commit("x", at=80.0)), 0),
    "after a fault": (
        (
            commit("put", ("entry", "INSERT", entry(10.0)), at=5.0),
            Told("RSP", "1", {"status": 503, "fault": ""}, at=20.0),
            commit("x", at=3000.0),
        ),
        0,
    ),
    "long after a fault": (
        (
            commit("put", ("entry", "INSERT", entry(10.0)), at=5.0),
            Told("RSP", "1", {"status": 503, "fault": ""}, at=20.0),
            commit("x", at=4000.0),
        ),
        1,
    ),
    "while nobody lives": (
        (
            Told("BOOT", at=0.0),
            commit("put", ("entry", "INSERT", entry(10.0)), at=5.0),
            Told("CRASH", at=6.0),
            Told("BOOT", process=2, at=9000.0),
            commit("x", at=9050.0),
        ),
        0,
    ),
    "while the customer is paused": (
        (
            commit("pause", ("customer", "UPDATE", {"state": "paused"}), at=1.0),
            commit("put", ("entry", "INSERT", entry(10.0)), at=5.0),
            commit("resume", ("customer", "UPDATE", {"state": "active"}), at=9000.0),
            commit("x", at=9050.0),
        ),
        0,
    ),
    "by a clock that is ahead": (
        (
            Told("SKEW", "", {"ahead": 1000.0}, at=1.0),
            commit("put", ("entry", "INSERT", entry(20_000.0)), at=5.0),
            commit("x", at=19_050.0),
        ),
        0,
    ),
    "by the world's clock": (
        (commit("put", ("entry", "INSERT", entry(20_000.0)), at=5.0), commit("x", at=20_061.0)),
        1,
    ),
}


@pytest.mark.parametrize(("facts", "broken"), TAKEN.values(), ids=TAKEN)
def test_ends_in_time(facts: tuple[Told, ...], broken: int) -> None:
    *before, last = facts
    late = last.at if last.key == "x" and last.at is not None else 30.0
    taken = commit("store", ("entry", "DELETE", entry()), at=late)
    found, premise = ends_in_time(story(*(before if last.key == "x" else facts), taken, END))
    assert [one.invariant for one in found] == ["I19"] * broken
    assert premise == 1


def test_what_lies_there_in_the_end_is_late() -> None:
    lying = commit("append", ("delivery", "INSERT", {"id": "d", "state": "new", "received": 5.0}), at=5.0)
    read = commit("read", ("delivery", "UPDATE", {"id": "d", "state": "parsed", "received": 5.0}), at=6.0)
    held = commit("store", ("step", "INSERT", step(hold="brake")), at=5.0)
    assert len(ends_in_time(story(lying, END))[0]) == 1
    assert ends_in_time(story(lying, read, held, END))[0] == []


# --- I20 -------------------------------------------------------------------------------------------------------------


def call(at: float, status: int | None, path: str = "/api/ContactNote", vendor: str = V, **more: Any) -> list[Told]:
    """A call and its answer, half a second later."""
    key = str(at)
    method = more.pop("method", "POST")
    return [
        out(key, path, method, vendor, at=at, **{"body": "b", "credential": key, **more}),
        rsp(key, status, more.pop("said", ""), at=at + 0.5, after=more.pop("after", "")),
    ]


def blocked(reason: str | None, at: float) -> Told:
    """The connection waits for its owner, or works."""
    health = "ok" if reason is None else "blocked"
    return commit("block", ("connection", "UPDATE", {"platform": V, "health": health, "reason": reason}), at=at)


def sending(party: str) -> Told:
    """A call of this party's step is about to be made."""
    steps = ("step", "UPDATE", step("j", party_id=party))
    return commit("sent", ("job", "UPDATE", job("sent")), steps, at=0.5)


def replayed(party: str, at: float, fence: int | None = None, side: str = "crm") -> Told:
    """A dead letter is put back; by a person, unless it says whose turn it was."""
    letter = {"id": "l", "party_id": party, "side": side, "kind": "submit", "state": "replayed"}
    return tx(("dead_letter", "UPDATE", letter), fence=fence, at=at)


AGAIN: dict[str, tuple[list[Told], int]] = {
    "refused, and again at once": ([*call(1, 400), *call(5, 200)], 1),
    "refused, and again after an hour": ([*call(1, 422), *call(3700, 200)], 0),
    "refused, and something else": ([*call(1, 400), *call(5, 200, body="c")], 0),
    "refused, and again after another write": ([*call(1, 400), *call(3, 200, body="c"), *call(5, 200)], 0),
    "refused, and a person has it tried again": ([sending("p"), *call(1, 400), replayed("p", 3), *call(5, 200)], 0),
    "tried again, and twice": ([sending("p"), *call(1, 400), replayed("p", 3), *call(5, 400), *call(7, 400)], 1),
    "somebody else's is tried again": ([sending("p"), *call(1, 400), replayed("q", 3), *call(5, 200)], 1),
    "the other side's is tried again": (
        [sending("p"), *call(1, 400), replayed("p", 3, side="audience"), *call(5, 200)],
        1,
    ),
    "it puts itself back": ([sending("p"), *call(1, 400), replayed("p", 3, fence=1), *call(5, 200)], 1),
    "not there": ([*call(1, 404), *call(5, 200)], 0),
    "the hour is refused": ([*call(1, 429, after="20"), *call(15, 200, "/api/Tag", method="GET")], 1),
    "the hour is over": ([*call(1, 429, after="20"), *call(22, 200)], 0),
    "throttled": ([*call(1, 429, vendor=CC), *call(2, 200, vendor=CC)], 1),
    "another call while one is throttled": ([*call(1, 429, vendor=CC), *call(2, 200, "/v3/x", CC)], 0),
    "the day is used up": ([*call(1, 429, vendor=CC, said="quota_exceeded"), *call(9000, 200, "/v3/x", CC)], 1),
    "the next day": ([*call(1, 429, vendor=CC, said="quota_exceeded"), *call(86_400, 200, "/v3/x", CC)], 0),
    "unauthorized once": ([*call(1, 401), *call(2, 200)], 0),
    "unauthorized twice": ([*call(1, 401), *call(2, 401), *call(3, 200)], 1),
    "unauthorized, and again in the next turn": ([*call(1, 401), *call(9, 401, fence=2), *call(10, 200, fence=2)], 0),
    "unauthorized in every turn": ([one for turn in range(5) for one in call(9.0 * turn, 401, fence=turn)], 2),
    "shows again what was refused": (
        [*call(1, 401, credential="old"), *call(9, 401, credential="old", fence=2)],
        1,
    ),
    "shows something else": ([*call(1, 401, credential="old"), *call(9, 200, credential="new", fence=2)], 0),
    "its owner stored it again": (
        [
            *call(1, 401, credential="old"),
            blocked("unauthorized", 2),
            blocked(None, 3),
            *call(9, 200, credential="old"),
        ],
        0,
    ),
    "waits for its owner": ([blocked("unauthorized", 1), *call(2, 200)], 1),
    "its owner was here": ([blocked("unauthorized", 1), blocked(None, 2), *call(3, 200)], 0),
    "tried for ever": ([one for number in range(15) for one in call(10.0 * number, 503)], 2),
    "tried with patience": ([one for number in range(15) for one in call(600.0 * number, 503)], 0),
}


@pytest.mark.parametrize(("facts", "broken"), AGAIN.values(), ids=AGAIN)
def test_disciplined(facts: list[Told], broken: int) -> None:
    found, _ = disciplined(story(*facts))
    assert [one.invariant for one in found] == ["I20"] * broken


def test_only_what_failed_is_a_premise() -> None:
    assert disciplined(story(*call(1, 200))) == ([], 0)
    assert disciplined(story(*call(1, 503)))[1] == 1


# --- I21 -------------------------------------------------------------------------------------------------------------

LETTER = {"id": "l", "party_id": "p", "kind": "set_person", "side": "crm", "reason": "400", "payload": "{}"}
LETTER |= {"answer": "{}"}
WHOLE: dict[str, tuple[Row, int]] = {
    "whole": ({}, 0),
    "no cause": ({"reason": ""}, 1),
    "no input": ({"payload": None}, 1),
    "no answer": ({"answer": None}, 1),
    "a decision that failed": ({"kind": "decide", "payload": None, "answer": None}, 0),
    "nobody's": ({"kind": "decide", "payload": None, "party_id": None}, 1),
}


@pytest.mark.parametrize(("other", "broken"), WHOLE.values(), ids=WHOLE)
def test_letters_are_whole(other: Row, broken: int) -> None:
    found, premise = never_silent(story(END, final=ended(dead_letter=({**LETTER, **other},))))
    assert [one.invariant for one in found] == ["I21"] * broken
    assert premise == 1


def given_up(lane: int, **more: Any) -> Told:
    """A step becomes a letter."""
    letter = {**LETTER, "kind": "set_consent", **more}
    return commit("record", ("step", "DELETE", step("j", lane=lane)), ("dead_letter", "INSERT", letter))


@pytest.mark.parametrize(
    ("facts", "broken"),
    [
        (given_up(0), 1),
        (given_up(1), 0),
        (given_up(0, side="audience", reason="the contact is not there"), 0),
    ],
)
def test_opt_outs_are_not_given_up(facts: Told, broken: int) -> None:
    assert len(never_silent(story(facts, END))[0]) == broken


def told(at: float) -> Told:
    """Somebody is told that an opt-out is refused."""
    return commit("record", ("alert", "INSERT", {"kind": "optout_refused"}), at=at)


SENT = commit("send", ("step", "UPDATE", step("j")), ("job", "UPDATE", job("sent")), at=1.0)
TOLD = told(50.0)
REFUSED = call(2, 400, "/api/ContactMethod/9", method="PUT")
RETRIED = call(3600, 200, "/api/ContactMethod/9", method="PUT")
SILENT: dict[str, tuple[list[Told], int]] = {
    "told, and tried again": ([SENT, *REFUSED, TOLD, *RETRIED], 0),
    "told in the same moment": ([SENT, *REFUSED, told(2.5), *RETRIED], 0),
    "told of an earlier one only": ([SENT, told(1.5), *REFUSED, *RETRIED], 1),
    "nobody is told": ([SENT, *REFUSED, *RETRIED], 1),
    "told too late": ([SENT, *REFUSED, told(400.0), *RETRIED], 1),
    "not tried again": ([SENT, *REFUSED, TOLD], 1),
    "in silence": ([SENT, *REFUSED], 2),
    "another write": ([*REFUSED], 0),
}


@pytest.mark.parametrize(("facts", "broken"), SILENT.values(), ids=SILENT)
def test_never_silent(facts: list[Told], broken: int) -> None:
    found, premise = never_silent(story(*facts, END))
    assert [one.invariant for one in found] == ["I21"] * broken
    assert premise == (facts[0] is SENT)


# --- alive -----------------------------------------------------------------------------------------------------------


def test_a_task_that_ends_by_an_error_is_told() -> None:
    assert worker_lives(story(Told("BOOT"), Told("FAULT"))) == ([], 2)
    assert len(worker_lives(story(Told("TASK", "run", {"error": "KeyError"})))[0]) == 1


def test_whoever_was_not_told_to_wait_does_not_know_of_it() -> None:
    """A process that ended with the answer has told nobody."""
    told = [
        *call(1, 429, vendor=CC, after="20"),
        out("5", "/api/ContactNote", "POST", CC, 2, body="b", credential="c", at=5),
    ]
    assert disciplined(story(*told))[0] == []
