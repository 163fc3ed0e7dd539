"""How a grant comes, against the stand-ins' token services (CC facts 2.1, 2.5; Virtuous facts 3)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from keepstep.model.errors import Blocked, Refused, Transient
from keepstep.ports import HttpAnswer, OAuth
from keepstep.state.vault import Secret
from keepstep.tokens import Client, Endpoint, consent
from keepstep_sandbox.constant_contact import ConstantContact
from keepstep_sandbox.http import Request
from keepstep_sandbox.virtuous import Virtuous

BACK = "https://keepstep.example.org/connect/callback"
CC = OAuth(
    exchange="/oauth2/default/v1/token",
    authorize="/oauth2/default/v1/authorize",
    device="/oauth2/default/v1/device/authorize",
    scopes=("account_read", "contact_data", "offline_access"),
)
PORTAL = Client(Secret("portal"), Secret("hush"))
PUBLIC = Client(Secret("public"))
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Vendor:
    """A stand-in behind ports.Http; every call comes two seconds after the one before."""

    def __init__(self, stand_in: Any, now: float = 1_790_000_000.0) -> None:
        self.stand_in, self.now, self.seen = stand_in, now, list[Request]()

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", _timeout: float = 30.0
    ) -> HttpAnswer:
        answer = self.handle(method, url, headers, body)
        return HttpAnswer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)

    def handle(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Any:
        self.now += 2
        parts = urlsplit(url)
        self.seen.append(Request(method, parts.path, parts.query, headers, body))
        return self.stand_in.handle(self.seen[-1], self.now)


def at_cc() -> Vendor:
    cc = ConstantContact()
    cc.add_account("acme", "old", "x", 0.0)
    cc.register_app("portal", "hush", [BACK])
    cc.register_app("public", "", [BACK])
    return Vendor(cc)


def endpoint(vendor: Vendor, oauth: OAuth = CC) -> Endpoint:
    return Endpoint(oauth=oauth, url="https://authz.example.org", http=vendor)


def agreed(vendor: Vendor, url: str, decision: str = "allow") -> dict[str, str]:
    """What the browser brings back, once its person has decided."""
    asked = dict(parse_qsl(urlsplit(url).query))
    body = urlencode({**asked, "account": "acme", "decision": decision}).encode()
    return dict(parse_qsl(urlsplit(vendor.handle("POST", url, FORM, body).headers["Location"]).query))


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))


@pytest.mark.parametrize("client", [PORTAL, PUBLIC], ids=["confidential", "public"])
def test_a_consent_is_redeemed_once_by_the_application_that_asked(client: Client) -> None:
    async def work() -> None:
        vendor = at_cc()
        doors = endpoint(vendor)
        url = consent.authorize_url(doors, client, BACK, "state-1", "verifier")
        assert ("code_challenge=" in url) is (client is PUBLIC) and "verifier" not in url
        back = agreed(vendor, url)
        assert back["state"] == "state-1"
        said = await consent.redeemed(doors, client, back["code"], BACK, "verifier")
        assert said["access_token"] and said["refresh_token"]
        with pytest.raises(Refused, match="begin again"):
            await consent.redeemed(doors, client, back["code"], BACK, "verifier")
        assert b"hush" not in vendor.seen[-1].body and "hush" not in vendor.seen[-1].query

    run(work)


@pytest.mark.parametrize(
    ("wrong", "value"), [("redirect", "https://other.example.org/"), ("verifier", "another"), ("age", 301.0)]
)
def test_what_was_intercepted_or_is_old_is_worth_nothing(wrong: str, value: Any) -> None:
    async def work() -> None:
        vendor = at_cc()
        doors = endpoint(vendor)
        back = agreed(vendor, consent.authorize_url(doors, PUBLIC, BACK, "s", "verifier"))
        vendor.now += value if wrong == "age" else 0
        where, verifier = value if wrong == "redirect" else BACK, value if wrong == "verifier" else "verifier"
        with pytest.raises(Refused):
            await consent.redeemed(doors, PUBLIC, back["code"], where, verifier)

    run(work)


def test_a_person_who_says_no_brings_no_code_back() -> None:
    vendor = at_cc()
    back = agreed(vendor, consent.authorize_url(endpoint(vendor), PORTAL, BACK, "s", "v"), "deny")
    assert back["error"] == "access_denied" and "code" not in back


def test_an_unknown_redirect_is_told_to_the_person_and_sent_nowhere() -> None:
    vendor = at_cc()
    answer = vendor.handle(
        "GET", consent.authorize_url(endpoint(vendor), PORTAL, "https://evil.example.net/", "s", "v"), {}
    )
    assert answer.status == 400 and "Location" not in answer.headers


def decided(vendor: Vendor, code: str, decision: str) -> None:
    url = "https://authz.example.org/oauth2/default/v1/activate"
    body = urlencode({"user_code": code.lower(), "account": "acme", "decision": decision}).encode()
    assert vendor.handle("POST", url, FORM, body).status == 200


def test_a_device_waits_for_its_person_and_slows_down_when_told() -> None:
    async def work() -> None:
        vendor = at_cc()
        doors = endpoint(vendor)
        waiting = await consent.device(doors, PUBLIC, vendor.now)
        assert waiting.every == 5.0 and waiting.user_code in (waiting.whole_uri or "")
        assert await consent.allowed(doors, PUBLIC, waiting) == (None, 5.0)
        assert await consent.allowed(doors, PUBLIC, waiting) == (None, 10.0)
        decided(vendor, waiting.user_code, "allow")
        vendor.now += 10
        said, _ = await consent.allowed(doors, PUBLIC, waiting)
        assert said is not None and said["refresh_token"]
        with pytest.raises(Refused, match="does not know"):
            await consent.allowed(doors, PUBLIC, waiting)

    run(work)


@pytest.mark.parametrize(("decision", "words"), [("deny", "said no"), ("nothing", "did not answer in time")])
def test_a_device_whose_person_says_no_or_nothing_gives_up(decision: str, words: str) -> None:
    async def work() -> None:
        vendor = at_cc()
        doors = endpoint(vendor)
        waiting = await consent.device(doors, PUBLIC, vendor.now)
        if decision == "deny":
            decided(vendor, waiting.user_code, "deny")
        vendor.now += 0 if decision == "deny" else 601
        with pytest.raises(Refused, match=words):
            await consent.allowed(doors, PUBLIC, waiting)

    run(work)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (HttpAnswer(200, {}, b"{}"), Blocked),
        (HttpAnswer(404, {}, b"<html>"), Blocked),
        (HttpAnswer(503, {}, b""), Transient),
    ],
)
def test_a_vendor_without_codes_for_devices_is_said_so(answer: HttpAnswer, kind: type[Exception]) -> None:
    async def http(*_: Any) -> HttpAnswer:
        return answer

    async def work() -> None:
        with pytest.raises(kind):
            await consent.device(Endpoint(oauth=CC, url="https://a.example.org", http=http), PUBLIC, 0.0)

    run(work)


def at_virtuous(otp: str | None) -> Vendor:
    virtuous = Virtuous()
    virtuous.add_organization("acme", "key", 0.0)
    virtuous.add_user("acme", "ana@example.org", "p&ss w=rd", otp)
    return Vendor(virtuous)


def test_a_password_gives_a_grant_and_a_second_factor_is_asked_for() -> None:
    async def work() -> None:
        oauth = OAuth(exchange="/Token", client=False, password=True)
        plain, two = endpoint(at_virtuous(None), oauth), endpoint(at_virtuous("123456"), oauth)
        said = await consent.with_password(plain, "ana@example.org", "p&ss w=rd", None)
        assert said is not None and said["refresh_token"]
        assert await consent.with_password(two, "ana@example.org", "p&ss w=rd", None) is None
        assert await consent.with_password(two, "ana@example.org", "p&ss w=rd", "000000") is None
        assert await consent.with_password(two, "ana@example.org", "p&ss w=rd", "123456") is not None
        with pytest.raises(Refused):
            await consent.with_password(plain, "ana@example.org", "wrong", None)

    run(work)
