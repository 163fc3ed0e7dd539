"""Tokens and limits: CC facts 2.3, 2.4, 3.1."""

import base64
import json

import pytest

from keepstep_sandbox.http import Request
from tests.sandbox.constant_contact.door import START, TOKEN, Door


def test_a_rotating_refresh_token_works_once() -> None:
    """CC facts 2.4: reuse of a superseded token answers 400 invalid_grant; the newest one lives on."""
    door = Door()
    newer = door.token(door.refresh).json()["refresh_token"]
    assert newer != door.refresh
    reused = door.token(door.refresh)
    assert (reused.status, reused.json()["error"]) == (400, "invalid_grant")
    assert door.token(newer).status == 200


def test_reuse_may_revoke_the_family() -> None:
    """CC facts 2.4: whether reuse kills the newest token is a switch."""
    door = Door(refresh_reuse="revokes_family")
    newer = door.token(door.refresh).json()["refresh_token"]
    assert door.token(door.refresh).status == 400
    assert door.token(newer).status == 400


def test_a_long_lived_refresh_token_stays() -> None:
    """CC facts 2.4."""
    door = Door(refresh_mode="long_lived")
    assert door.token(door.refresh).json()["refresh_token"] == door.refresh
    assert door.token(door.refresh).status == 200


def test_a_superseded_token_works_within_the_grace() -> None:
    """CC facts 2.4, reliability: 0, 5 or 60 s."""
    door = Door(refresh_grace="5")
    newer = door.token(door.refresh).json()["refresh_token"]
    assert door.token(door.refresh).json()["refresh_token"] == newer
    assert door.token(door.refresh, wait=5.0).status == 400


def test_a_refresh_token_dies_after_180_idle_days_and_by_revocation() -> None:
    """CC facts 2.4."""
    door = Door()
    assert door.token(door.refresh, wait=180 * 86_400).status == 400
    door = Door()
    door.cc.revoke_grant("a1")
    assert door.token(door.refresh).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(("kind", "life", "value"), [("number", "86400", 86_400), ("string", "28800", "28800")])
def test_expires_in_and_lifetime_are_switches(kind: str, life: str, value: object) -> None:
    """CC facts 2.1, 2.3; the JWT's exp - iat agrees."""
    door = Door(expires_in_type=kind, access_token_lifetime=life)
    granted = door.token(door.refresh).json()
    assert granted["expires_in"] == value
    part = granted["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=="))
    assert (claims["exp"] - claims["iat"], claims["cid"]) == (int(value), "key")  # type: ignore[call-overload]
    assert 900 < len(granted["access_token"]) < 4096


def test_an_expired_or_unknown_access_token_is_refused_with_an_object() -> None:
    """CC facts 2.3."""
    door = Door(access_token_lifetime="short")
    assert door.call("GET", "/v3/account/summary").json()["encoded_account_id"] == "a1"
    late = door.call("GET", "/v3/account/summary", wait=300)
    assert (late.status, late.json()) == (401, {"error_key": "unauthorized", "error_message": "Unauthorized"})
    door.bearer = "x"
    assert door.call("GET", "/v3/account/summary").status == 401


def test_credentials_and_values_come_in_body_or_query() -> None:
    """CC facts 2.1."""
    door = Door()
    values = f"grant_type=refresh_token&refresh_token={door.refresh}&client_id=key&client_secret=secret"
    answer = door.cc.handle(Request("POST", TOKEN, values), door.now + 1)
    assert answer.status == 200
    wrong = door.cc.handle(Request("POST", TOKEN, "", {}, b"client_id=key&client_secret=other"), door.now + 3)
    assert (wrong.status, wrong.json()["error"]) == (401, "invalid_client")
    for header in ("Basic ???", "Basic /w==", "Basic"):
        assert door.cc.handle(Request("POST", TOKEN, "", {"authorization": header}), door.now + 5).status == 401


def test_the_token_endpoint_takes_one_call_a_second() -> None:
    """CC facts 2.4; a throttled call does not use the token up."""
    door = Door()
    assert door.token(door.refresh, wait=0.5).status == 429
    assert door.token(door.refresh, wait=0.5).status == 200


def test_a_new_consent_replaces_the_grant() -> None:
    """CC facts 2.3: one grant per user and application."""
    door = Door()
    fresh = door.cc.add_account("a1", "key", "secret", door.now)["refresh_token"]
    assert door.token(door.refresh).status == 400
    assert door.token(fresh).status == 200


def test_four_calls_a_second_over_all_accounts_of_a_key() -> None:
    """CC facts 3.1: per application key; body throttled, no header tells the remainder."""
    door = Door()
    other = door.cc.add_account("a2", "key", "secret", door.now)["refresh_token"]
    bearers = [door.bearer, door.token(other).json()["access_token"]]
    door.now += 10
    answers = []
    for at in range(5):
        door.bearer = bearers[at % 2]
        answers.append(door.call("GET", "/v3/contacts", wait=0.2))
    assert [one.status for one in answers] == [200] * 4 + [429]
    assert answers[4].json() == {"error_key": "throttled", "error_message": "Too Many Requests"}
    assert set(answers[4].headers) == {"Content-Type", "Date"}
    assert door.call("GET", "/v3/contacts", wait=0.2).status == 200


@pytest.mark.parametrize(("count", "left"), [("yes", 9), ("no", 10)])
def test_ten_thousand_calls_a_utc_day(count: str, left: int) -> None:
    """CC facts 3.1: quota_exceeded until 00:00 UTC; whether a throttled call costs quota is a switch."""
    door = Door(refused_calls_count=count)
    door.now = START - START % 86_400 + 100.0
    for _ in range(10_000 - 10):
        door.call("GET", "/v3/account/user/privileges", wait=0.25)
    assert door.call("GET", "/v3/contacts", wait=0.0).status == 429
    passed = 0
    while (answer := door.call("GET", "/v3/contacts")).status == 200:
        passed += 1
    assert passed == left
    assert answer.json() == {"error_key": "quota_exceeded", "error_message": "Limit Exceeded"}
    door.now += 86_400 - door.now % 86_400 - 2
    assert door.call("GET", "/v3/contacts").status in (429, 401)
    assert door.call("GET", "/v3/contacts").status == 200
