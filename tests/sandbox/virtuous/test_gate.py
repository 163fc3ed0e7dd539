"""Authorization, the hourly budget, errors, unknown paths."""

import pytest

from keepstep_sandbox.http import Request
from keepstep_sandbox.virtuous import SWITCHES, Virtuous
from tests.sandbox.virtuous.door import KEY, ORG, START, Door


@pytest.mark.parametrize(
    "header", ["", KEY, f"bearer {KEY}", f"Bearer  {KEY}", f'Bearer "{KEY}"', "Bearer other", f"Bearer {KEY} "]
)
def test_anything_but_the_exact_bearer_is_denied(header: str) -> None:
    """Virtuous facts 3, 18.2"""
    answer = Door().machine.handle(
        Request("GET", "/api/Organization/Current", headers={"authorization": header}), START
    )
    assert answer.status == 401
    assert answer.json() == {"message": "Authorization has been denied for this request."}
    assert answer.headers["Www-Authenticate"] == "Bearer"
    assert "X-RateLimit-Limit" in answer.headers


def test_denial_as_plain_text() -> None:
    """Virtuous facts 3 (switch unauthorized-body)"""
    answer = Door({"unauthorized-body": "text"}).send("GET", "/api/Tag", key="nobody")
    assert (answer.status, answer.headers["Content-Type"]) == (401, "text/plain")


def test_a_revoked_key_is_denied_and_another_key_of_the_organization_still_works() -> None:
    """Virtuous facts 18.8"""
    door = Door()
    door.machine.add_organization(ORG, "second", START)
    door.machine.revoke_key(KEY)
    assert door.send("GET", "/api/Tag").status == 401
    assert door.send("GET", "/api/Tag", key="second").status == 200


def test_the_window_is_the_clock_hour_and_shared_by_all_keys() -> None:
    """Virtuous facts 4"""
    door = Door()
    door.machine.add_organization(ORG, "second", START)
    first = door.send("GET", "/api/Tag")
    second = door.send("GET", "/api/Tag", key="second")
    assert first.headers["X-RateLimit-Limit"] == "1500"
    assert [a.headers["X-RateLimit-Remaining"] for a in (first, second)] == ["1499", "1498"]
    assert first.headers["X-RateLimit-Reset"] == "1700002800"


def test_over_the_limit_is_429_until_the_hour_turns() -> None:
    """Virtuous facts 4: Retry-After and the envelope, headers too"""
    door = Door()
    door.machine.spend(ORG, 1499, door.now)
    assert door.send("GET", "/api/Nowhere").status == 404
    limited = door.send("GET", "/api/Tag")
    assert limited.status == 429
    assert limited.headers["Retry-After"] == "2800"
    assert limited.headers["X-RateLimit-Remaining"] == "0"
    assert limited.json()["error"]["code"] == "RATE_LIMITED"
    door.now += 2800
    assert door.send("GET", "/api/Tag").status == 200


def test_a_limited_write_changes_nothing() -> None:
    """Virtuous facts 4"""
    door = Door({"hourly-limit": "5000"})
    door.machine.spend(ORG, 5000, door.now)
    limited = door.submit(referenceId="1", firstName="Ann", lastName="Bell")
    assert (limited.status, limited.effects) == (429, ())
    assert door.machine.waiting(ORG) == []


def test_organizations_do_not_see_each_other_though_ids_agree() -> None:
    """Virtuous facts 6: ids are unique only inside one organization"""
    door = Door()
    door.machine.add_organization("org-b", "key-b", START)
    here = door.person()
    there = door.machine.add_contact("org-b", START, individuals=[{"firstName": "Ben"}])
    assert here == there
    assert door.send("GET", f"/api/Contact/{there}", key="key-b").json()["name"] == "Ben"
    assert door.contact(here)["name"] == "Ann Bell"


def test_current_organization_says_whether_it_is_enabled() -> None:
    """Virtuous facts 2, 18.8"""
    door = Door()
    assert door.get("/api/Organization/Current")["isEnabled"] is True
    door.machine.set_enabled(ORG, False)
    current = door.get("/api/Organization/Current")
    assert (current["isEnabled"], current["organizationTimeZone"]) == (False, "America/Phoenix")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/Tag/Bulk"),
        ("POST", "/api/ContactNote/Bulk"),
        ("GET", "/api/Health"),
        ("POST", "/api/GiftTransaction"),
        ("GET", "/api/Project/Query"),
        ("GET", "/api/Premium"),
        ("GET", "/api/contact/Types"),
        ("GET", "/elsewhere"),
    ],
)
def test_endpoints_that_only_the_guides_know_are_404_and_empty(method: str, path: str) -> None:
    """Virtuous facts 15, 18.10"""
    answer = Door().send(method, path, {} if method == "POST" else None)
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize("raw", [b"", b"null", b"{", b"[1]", b'"x"', b"\xff", b"[" * 100_000])
def test_any_body_that_is_no_object_is_400(raw: bytes) -> None:
    """Virtuous facts 5"""
    request = Request("POST", "/api/Contact/Transaction", "", {"authorization": f"Bearer {KEY}"}, raw)
    answer = Door().machine.handle(request, START)
    assert answer.status == 400
    assert "message" in answer.json()


@pytest.mark.switch("virtuous", "error-body", "legacy", "envelope")
def test_errors_in_the_guides_envelope() -> None:
    """Virtuous facts 5 (switch error-body)"""
    answer = Door({"error-body": "envelope"}).send("POST", "/api/Contact", {"contactType": "Robot"})
    assert answer.status == 400
    assert answer.json()["error"]["code"] == "VALIDATION_FAILED"


def test_a_known_path_under_another_method_is_405() -> None:
    assert Door().send("DELETE", "/api/Tag").status == 405


def test_every_switch_value_can_be_chosen_and_an_unknown_one_cannot() -> None:
    for switch in SWITCHES:
        for value in switch.values:
            Virtuous({switch.name: value})
    with pytest.raises(ValueError, match="no switch"):
        Virtuous({"nonsense": "1"})


def test_the_same_calls_give_the_same_answers() -> None:
    """A pure state machine: nothing but its arguments counts."""

    def run() -> list[bytes]:
        door = Door(seed=7)
        door.subscribe()
        door.imported(referenceId="1", firstName="Ann", lastName="Bell", email="ann@example.org")
        return [repr(d).encode() for d in door.deliveries()] + [repr(door.machine.contacts(ORG)).encode()]

    assert run() == run()


class TestToken:
    """Virtuous facts 3: the password grant."""

    def form(
        self, door: Door, text: str, kind: str = "application/x-www-form-urlencoded"
    ) -> tuple[int, dict[str, str]]:
        answer = door.machine.handle(Request("POST", "/Token", "", {"content-type": kind}, text.encode()), door.now)
        return answer.status, answer.json() if answer.body else {}

    def test_token_works_until_it_expires_and_the_refresh_token_rotates(self) -> None:
        door = Door()
        door.machine.add_user(ORG, "ann", "pass")
        status, grant = self.form(door, "grant_type=password&username=ann&password=pass")
        assert (status, grant["twoFactorEnabled"]) == (200, "False")
        assert door.send("GET", "/api/Tag", key=grant["access_token"]).status == 200
        door.now += 3600
        assert door.send("GET", "/api/Tag", key=grant["access_token"]).status == 401
        refresh = f"grant_type=refresh_token&refresh_token={grant['refresh_token']}"
        assert self.form(door, refresh)[0] == 200
        assert self.form(door, refresh) == (
            400,
            {"error": "invalid_grant", "error_description": "Invalid token."},
        )

    def test_two_factors_are_asked_for_with_202_and_multipart_fails(self) -> None:
        door = Door()
        door.machine.add_user(ORG, "ann", "pass", otp="123456")
        assert self.form(door, "grant_type=password&username=ann&password=pass")[0] == 202
        assert self.form(door, "grant_type=password&username=ann&password=pass&otp=123456")[0] == 200
        assert self.form(door, "grant_type=password&username=ann&password=pass", "multipart/form-data")[0] == 400
