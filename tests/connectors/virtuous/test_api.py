"""Credential, pace and error classes over prepared answers (Virtuous facts 3, 4, 5, 16.8)."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep.connectors.virtuous.api import BUCKET, Api, Call, Pace, error_codes
from keepstep.model.errors import Blocked, Conflicting, Missing, Permanent, Problem, Transient, Unanswered
from keepstep.ports import HttpAnswer
from tests.connectors.virtuous.world import START, Clock, Script, Tokens, connect, run, said, scripted

READ, WRITE = Call("GET", "/api/Contact/1", read=True), Call("PUT", "/api/Contact/1", {})


def problem(api: Api, call: Call) -> Problem:
    with pytest.raises(Problem) as caught:
        run(api.send(call))
    return caught.value


@pytest.mark.parametrize(
    ("status", "read", "write"),
    [
        (302, Transient, Unanswered),
        (400, Permanent, Permanent),
        (403, Permanent, Permanent),
        (404, Missing, Missing),
        (405, Permanent, Permanent),
        (408, Transient, Unanswered),
        (409, Conflicting, Conflicting),
        (422, Permanent, Permanent),
        (429, Transient, Transient),
        (500, Transient, Unanswered),
        (503, Transient, Unanswered),
        (520, Transient, Unanswered),
    ],
)
def test_error_classes(status: int, read: type[Problem], write: type[Problem]) -> None:
    """What a status means depends on whether something may have happened (Virtuous facts 16.8)."""
    crm, _ = scripted(said(status), said(status))
    assert type(problem(crm.api, READ)) is read
    crm, _ = scripted(said(status))
    assert type(problem(crm.api, WRITE)) is write


def test_a_refused_credential_is_renewed_once() -> None:
    """401 happens before anything else, so that a write may be repeated (Virtuous facts 3)."""
    crm, script = scripted(said(401), said(200, {"id": 1}), tokens=("old", "new"))
    assert run(crm.api.write("PUT", "/api/Contact/1", {})) == {"id": 1}
    assert len(script.asked) == 2


def test_a_credential_refused_twice_blocks() -> None:
    crm, script = scripted(said(401), said(401), tokens=("old", "new"))
    found = problem(crm.api, WRITE)
    assert isinstance(found, Blocked) and found.reason == "unauthorized"
    assert len(script.asked) == 2


def test_a_revoked_key_blocks() -> None:
    """A key has no successor: do not retry (Virtuous facts 3)."""
    crm, script = scripted(said(401, {"message": "Authorization has been denied for this request."}))
    assert isinstance(problem(crm.api, READ), Blocked)
    assert len(script.asked) == 1


def test_retry_after_is_honoured_by_everybody() -> None:
    """429 names seconds; until then no call goes out, urgent or not (Virtuous facts 4)."""
    crm, script = scripted(said(429, retry_after="847"), said(200, {}))
    found = problem(crm.api, READ)
    assert isinstance(found, Transient) and found.retry_after == 847
    later = problem(crm.api, Call("PUT", "/api/ContactMethod/1", {}, urgent=True))
    assert isinstance(later, Transient) and later.retry_after == pytest.approx(847)
    assert len(script.asked) == 1


def test_retry_after_as_a_date() -> None:
    """HTTP allows a date; START is 15:06:40."""
    crm, _ = scripted(said(503, retry_after="Sun, 15 Jun 2025 15:07:40 GMT"))
    found = problem(crm.api, READ)
    assert isinstance(found, Transient) and found.retry_after == 60


@pytest.mark.parametrize("body", [b"<html>Sorry</html>", b"\xff", b"[" * 100_000])
def test_an_answer_without_json(body: bytes) -> None:
    """A proxy's page proves nothing about a write (Virtuous facts 2)."""
    crm, _ = scripted(said(200, text=body), said(200, text=body))
    assert type(problem(crm.api, READ)) is Transient
    assert type(problem(crm.api, WRITE)) is Unanswered


def test_empty_bodies_are_normal_for_writes_only() -> None:
    """Transaction, Batch and Reference answer nothing (Virtuous facts 10.1)."""
    crm, _ = scripted(said(200), said(200))
    assert run(crm.api.write("POST", "/api/Contact/Transaction", {})) is None
    assert type(problem(crm.api, READ)) is Transient


def test_no_answer_to_a_read_is_only_transient() -> None:
    """Nothing needs to be looked for after a read; after a write it does."""
    crm, _ = scripted(Unanswered("timeout"), Unanswered("timeout"), Transient("refused"))
    assert type(problem(crm.api, READ)) is Transient
    assert type(problem(crm.api, WRITE)) is Unanswered
    assert type(problem(crm.api, WRITE)) is Transient


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (
            {"error": {"code": "VALIDATION_FAILED", "message": "ada@example.org", "details": [{"field": "email"}]}},
            "VALIDATION_FAILED email",
        ),
        ({"message": "ada@example.org is taken"}, ""),
        ({"message": "The request is invalid.", "modelState": {"contact.email": ["ada@example.org"]}}, "contact.email"),
        ({"error": "invalid_grant", "error_description": "ada@example.org"}, "invalid_grant"),
        ({"error": {"code": ["x"], "details": 3}}, ""),
        ({"error": "ada@example.org", "modelState": {"ada@example.org": []}}, ""),
        ([1], ""),
    ],
)
def test_errors_tell_codes_and_no_people(body: object, codes: str) -> None:
    """All four shapes (Virtuous facts 5); sentences may name people and stay out of our texts."""
    crm, _ = scripted(said(400, body))
    found = problem(crm.api, WRITE)
    assert isinstance(found, Permanent) and found.status == 400
    assert found.detail == (codes or "PUT /api/Contact")
    assert "ada" not in str(found)


@settings(derandomize=True, deadline=None)
@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode))
def test_any_error_body_can_be_read(body: bytes) -> None:
    assert isinstance(error_codes(body), str)


def test_pace_is_a_bucket() -> None:
    """20 at once, then one every three seconds (Virtuous facts 4)."""
    clock = Clock()
    crm = connect(Script(*[said(200, {})] * 25), clock, Tokens("t"))
    for _ in range(25):
        run(crm.api.get("/api/Contact/1"))
    assert clock.slept == pytest.approx([3.0] * 5)
    assert BUCKET == 20


def test_the_pace_outlives_a_connection_that_is_opened_anew() -> None:
    """The hour is the organization's (Virtuous facts 4)."""
    clock, memory = Clock(), dict[str, Any]()
    refused = connect(Script(said(429, retry_after="20")), clock, Tokens("t"), memory)
    assert isinstance(problem(refused.api, READ), Transient)
    run(connect(Script(said(200, {})), clock, Tokens("t"), memory).api.get("/api/Contact/1"))
    assert clock.slept == pytest.approx([20.0])
    run(connect(Script(said(200, {})), clock, Tokens("t")).api.get("/api/Contact/1"))
    assert len(clock.slept) == 1


def limits(remaining: int, reset: float = START + 1800) -> HttpAnswer:
    names = {"x_ratelimit_limit": "1500", "x_ratelimit_remaining": str(remaining), "x_ratelimit_reset": str(int(reset))}
    return said(200, {}, **names)


def test_a_fifth_of_the_hour_is_left_to_strangers() -> None:
    """Below 20 % of the limit only consent goes on until Reset (Virtuous facts 4)."""
    crm, script = scripted(limits(299), limits(298), limits(0))
    run(crm.api.get("/api/Contact/1"))
    found = problem(crm.api, READ)
    assert isinstance(found, Transient) and found.retry_after == pytest.approx(1800)
    run(crm.api.write("PUT", "/api/ContactMethod/1", {}, urgent=True))
    run(crm.api.write("PUT", "/api/ContactMethod/1", {}, urgent=True))
    assert isinstance(problem(crm.api, Call("PUT", "/api/ContactMethod/1", {}, urgent=True)), Transient)
    assert len(script.asked) == 3


def test_a_new_hour_is_a_new_budget() -> None:
    pace = Pace(START)
    pace.learn(START, {"x-ratelimit-limit": "1500", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(START + 9)})
    assert pace.take(START, urgent=False) == pytest.approx(9)
    assert pace.take(START + 9, urgent=False) == 0


@settings(derandomize=True, deadline=None)
@given(st.text(), st.text(), st.text())
def test_nonsense_in_headers_is_ignored(limit: str, remaining: str, reset: str) -> None:
    pace = Pace(START)
    pace.learn(START, {"x-ratelimit-limit": limit, "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset})
    try:
        assert 0 <= pace.take(START, urgent=False) <= 30
    except Transient as found:
        assert found.retry_after is not None and 0 < found.retry_after <= 3600
