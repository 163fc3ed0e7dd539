"""What every kind of answer means (CC facts 1, 2.3, 3.1, 4)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep.connectors.constant_contact.api import Conflict, error_of, safe_href
from keepstep.model.errors import Blocked, Missing, Permanent, Problem, Transient, Unanswered
from tests.connectors.constant_contact.world import START, call, run, said, scripted

KNOWN = "ann@example.org"
GATEWAY, HTML = {"message": "Forbidden"}, b"<html><body>Bad gateway ann@example.org</body></html>"
LEAVE = call("leave", {"record_id": "c1", "list_ids": ["l1"]})


def key(name: str) -> dict[str, str]:
    return {"error_key": name, "error_message": f"about {KNOWN}"}


def test_401_is_answered_with_one_other_token() -> None:
    """Refresh once, repeat once (CC facts 2.3)."""
    cc, script, connection = scripted(
        said(401, key("unauthorized")), said(200, {"encoded_account_id": "x1"}), tokens=("old", "new")
    )
    assert run(cc.account()) == "x1"
    assert connection.grant.refused == ["old"]
    assert len(script.asked) == 2


def test_second_401_blocks() -> None:
    """Then stop: only a person can help (CC facts 2.3)."""
    cc, script, _ = scripted(*[said(401, key("unauthorized"))] * 2, tokens=("old", "new"))
    with pytest.raises(Blocked) as caught:
        run(cc.account())
    assert caught.value.reason == "unauthorized"
    assert len(script.asked) == 2


@pytest.mark.parametrize("body", [key("forbidden"), GATEWAY, [key("x")]])
def test_403_blocks_whatever_its_body(body: object) -> None:
    """Scope, privilege, deactivated app or gateway: all need a person (CC facts 4)."""
    cc, _, _ = scripted(said(403, body))
    with pytest.raises(Blocked) as caught:
        run(cc.account())
    assert caught.value.reason == "forbidden"


def test_throttled_stops_the_key_for_a_second() -> None:
    """`throttled` clears within a second, and is of the key, whoever else uses it (CC facts 3.1)."""
    cc, _, connection = scripted(said(429, key("throttled")))
    with pytest.raises(Transient) as caught:
        run(cc.account())
    assert caught.value.retry_after == 1
    assert connection.permits.stopped == [("app-1", START + 1)]


def test_a_limit_that_is_not_known_stops_nobody_else() -> None:
    """Queued jobs and endpoints have limits of their own (CC facts 3.1)."""
    cc, _, connection = scripted(said(429, key("too_many_jobs"), retry_after="600"))
    with pytest.raises(Transient) as caught:
        run(cc.account())
    assert caught.value.retry_after == 600
    assert connection.permits.stopped == []


def test_quota_stops_the_key_until_midnight_utc() -> None:
    """`quota_exceeded` does not clear before 00:00 UTC, for any customer of the key (CC facts 3.1)."""
    cc, _, connection = scripted(said(429, key("quota_exceeded")))
    with pytest.raises(Transient) as caught:
        run(cc.account())
    midnight = 1_750_032_000.0
    assert caught.value.retry_after == midnight - START
    assert connection.permits.stopped == [("app-1", midnight)]


@pytest.mark.parametrize("text", ["7", "Sun, 15 Jun 2025 15:06:47 GMT"])
def test_retry_after_is_honoured_if_it_ever_comes(text: str) -> None:
    """Seconds or a date; undocumented (CC facts 3.1)."""
    cc, _, connection = scripted(said(429, key("throttled"), retry_after=text))
    with pytest.raises(Transient) as caught:
        run(cc.account())
    assert caught.value.retry_after == 7
    assert connection.permits.stopped == [("app-1", START + 7)]


@pytest.mark.parametrize("status", [400, 405, 406, 415, 422])
def test_refused_calls_are_permanent(status: int) -> None:
    """They will never succeed (CC facts 4)."""
    cc, _, _ = scripted(said(status, [key("contacts.api.validation.error")]))
    with pytest.raises(Permanent) as caught:
        run(cc.write(LEAVE))
    assert caught.value.status == status
    assert "contacts.api.validation.error" in str(caught.value)


def test_404_and_409_have_classes_of_their_own() -> None:
    """A conflict names a contact in its message, as a hint only (CC facts 4)."""
    other = "0b0b0b0b-1111-2222-3333-444444444444"
    gone, _, _ = scripted(said(404, [key("contacts.api.not_found")]))
    with pytest.raises(Missing):
        run(gone.write(LEAVE))
    clash, _, _ = scripted(
        said(409, [{"error_key": "k", "error_message": f"Email already exists for contact {other}"}])
    )
    with pytest.raises(Conflict) as caught:
        run(clash.write(LEAVE))
    assert caught.value.hint == other
    assert other not in str(caught.value)


@pytest.mark.parametrize("answer", [said(500), said(503, text=HTML), said(200, text=HTML), said(200, text=b'{"contac')])
def test_broken_answers_are_transient_when_read_and_unknown_when_written(answer: object) -> None:
    """No idempotency key: a write without a readable answer must be looked up, not repeated (CC facts 1)."""
    reading, _, _ = scripted(answer)  # type: ignore[arg-type]
    with pytest.raises(Transient) as read:
        run(reading.account())
    assert not isinstance(read.value, Unanswered)
    writing, _, _ = scripted(answer)  # type: ignore[arg-type]
    with pytest.raises(Unanswered):
        run(writing.write(LEAVE))


def test_a_lost_read_is_plain_transient() -> None:
    """A GET changes nothing, so nothing is unknown after it."""
    cc, _, _ = scripted(Unanswered("reset"))
    with pytest.raises(Transient) as caught:
        run(cc.account())
    assert not isinstance(caught.value, Unanswered)


@pytest.mark.parametrize("answer", [said(200, {"encoded_account_id": "x"}), said(500), Transient("no route")])
def test_every_permit_is_given_back(answer: object) -> None:
    """Four a second for the whole application key (CC facts 3.1): a lost permit would starve every customer."""
    cc, _, connection = scripted(answer)  # type: ignore[arg-type]
    try:
        run(cc.account())
    except Transient:
        pass
    assert connection.permits.taken == 1
    assert connection.permits.out == []


@settings(derandomize=True, deadline=None, max_examples=200)
@given(status=st.integers(300, 599), body=st.binary(max_size=60) | st.sampled_from([HTML, b"", b"[]", b"[[]]", b"3"]))
def test_any_error_answer_is_a_problem_without_personal_data(status: int, body: bytes) -> None:
    """Error bodies come as array, object, gateway, HTML or nothing (CC facts 4)."""
    same = said(status, text=body)
    cc, _, _ = scripted(same, same, tokens=("a", "b"))
    with pytest.raises(Problem) as caught:
        run(cc.write(LEAVE))
    assert "@" not in str(caught.value)


def test_an_address_in_the_place_of_a_key_stays_out() -> None:
    """Texts of errors hold ids, keys and statuses only."""
    assert error_of(b'{"error_key":"ann@example.org"}')[0] == ""


@pytest.mark.parametrize(
    "href",
    ["https://evil.test/v3/contacts", "//evil.test/v3/", "/v2/contacts", "/v3/../oauth2", "/v3/%2e%2e/x", "/v3\\x", "",
     "/v3/a b", "/v3/x\r\nHost: evil.test", "@evil.test/v3/", "/v3/x#y"],
)  # fmt: skip
def test_links_that_leave_the_api_are_refused(href: str) -> None:
    """A next link is path-relative and starts with /v3/ (CC facts 1, paging): it must not choose a host."""
    assert not safe_href(href)
    cc, script, _ = scripted(said(200, {"contacts": []}))
    if href:
        with pytest.raises(Permanent):
            run(cc.changes("sweep", None, href))
        assert script.asked == []
