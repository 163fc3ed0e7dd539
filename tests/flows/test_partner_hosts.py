"""No host that a delivery names is ever called, and what it names is read strictly."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from keepstep.connectors.constant_contact.partner import account_at, notice_of
from keepstep.ports import HttpAnswer, PartnerNotice
from keepstep.wiring import partner
from keepstep_sandbox.http import Response
from tests.flows.crossing import CUSTOMER
from tests.flows.test_partner import CC, KNOWN, Partners

PLAN = f"/v3/partner/accounts/{CUSTOMER}/plan"
OURS = {
    "api.cc.email",
    "api.constantcontact.com",
    "authz.constantcontact.com",
    "developer.constantcontact.com",
    "api.virtuoussoftware.com",
}
HOSTILE = {
    "private": ["https://10.0.0.5", "https://192.168.1.1", "https://172.16.0.1", "https://[fd00::1]"],
    "loopback": ["https://127.0.0.1", "https://localhost", "https://[::1]", "https://0.0.0.0", "https://2130706433"],
    "metadata": ["http://169.254.169.254", "https://169.254.169.254", "https://metadata.google.internal"],
    "look_alike": [
        "https://api.cc.email.evil.example",
        "https://api.cc.email@evil.example",
        "https://evil.example#api.cc.email",
        "https://api.cc.email:8443",
        "https://api.cc.email.",
        "https://API.CC.EMAIL",
        "https://аpi.cc.email",
        "https://api-cc.email",
        "https://evil.example\\@api.cc.email",
        "https://user:pass@api.cc.email",
        "//api.cc.email",
        "http://api.cc.email",
        "ftp://api.cc.email",
        "file://api.cc.email",
        "gopher://api.cc.email",
    ],
}
TABLE = [(kind, base) for kind, bases in HOSTILE.items() for base in bases]


@pytest.mark.parametrize("edition", ["v2", "v3"])
def test_no_host_of_a_payload_is_called(edition: str) -> None:
    """Signed by the vendor itself: whatever it names, only the hosts of the settings are."""
    with Partners() as c:
        dialled: list[str] = []
        true_http = c.service.http

        async def http(method: str, url: str, headers: Mapping[str, str], *more: Any) -> HttpAnswer:
            dialled.append(urlsplit(url).netloc)
            return await true_http(method, url, headers, *more)

        c.service.http = http  # type: ignore[assignment]
        c.service._desks.clear()
        for _, base in TABLE:
            said = {"url": base + PLAN, "api_key": KNOWN["api_key"], "event_type": "tier.increase"}
            assert c.deliver_body(json.dumps(said).encode(), edition) == 200
        c.wait(days=1, hours=1)
        assert set(dialled) <= OURS and "api.cc.email" in dialled
        assert {state for _, state in c.rows(CUSTOMER)} == set()


@pytest.mark.parametrize("where", ["https://169.254.169.254/latest", "http://127.0.0.1:1/", "https://evil.example/"])
def test_no_redirect_is_followed_with_our_credentials_or_for_keys(where: str) -> None:
    with Partners() as c:
        before = len(c.calls)
        c.wire = lambda _vendor, request, handle: (
            Response(302, {"Location": where}) if "partner" in request.path or "jwks" in request.path else handle()
        )
        body = json.dumps({"url": f"https://api.cc.email{PLAN}", "event_type": "tier.increase"}).encode()
        assert c.deliver_body(body) == 503  # no key can be read: the vendor comes again
        c.wait(days=1)
        assert [one for one in c.calls[before:] if one.request.path in ("/latest", "/")] == []


@pytest.mark.parametrize(("kind", "base"), TABLE)
def test_an_account_is_read_from_the_vendors_own_address_only(kind: str, base: str) -> None:
    assert account_at(base + PLAN) is None


@pytest.mark.parametrize(
    "path",
    [
        "/v3/partner/accounts//plan",
        "/v3/partner/accounts/a/../b/plan",
        "/v3/partner/accounts/a%2Fb/plan",
        "/v3/partner/accounts/a/plan/",
        "/v3/partner/accounts/a/plan?x=1",
        "/v3/partner/accounts/a/plan#x",
        "/v3/partner/accounts/a/plan;x",
        "/v1/partner/accounts/a/plan",
        "/v3/partner/accounts/" + "a" * 65 + "/plan",
        "/x/v3/partner/accounts/a/plan",
        "/v3/partner/accounts/a/plan\n",
        "/v3/partner/accounts/a b/plan",
        "",
    ],
)
def test_another_path_names_no_account(path: str) -> None:
    assert account_at("https://api.cc.email" + path) is None


@pytest.mark.parametrize("host", ["api.cc.email/v3", "api.constantcontact.com/v2", "api.constantcontact.com/v3"])
def test_every_documented_address_names_its_account(host: str) -> None:
    body = json.dumps({"url": f"https://{host}/partner/accounts/a07e1my9tbw0/plan", "event_type": "tier.increase"})
    assert notice_of(body.encode()) == PartnerNotice("a07e1my9tbw0", "tier.increase", None)


def test_the_vendors_keys_are_read_from_the_settings_and_at_most_every_five_minutes() -> None:
    with Partners() as c:
        c.subscribe()
        c.cc.partner.change_tier(CUSTOMER, 2, c.now())
        c.wait(minutes=1)
        assert len(c.made("GET", "/.well-known/jwks.json")) == 1
        body = c.cc.partner.body("v3", CUSTOMER, 1)
        forged = {"x-ctct-webhook-sig": "e30..AAAA"}
        answers = [c.ask(c.post(c.path(), forged, body)) for _ in range(50)]
        assert answers == [401] * 50
        assert len(c.made("GET", "/.well-known/jwks.json")) == 1
        c.cc.partner.rotate_partner_keys()
        c.wait(minutes=6)
        assert c.deliver_body(body) == 200
        assert len(c.made("GET", "/.well-known/jwks.json")) == 2


def test_the_door_says_nothing_to_strangers() -> None:
    with Partners() as c:
        body = c.cc.partner.body("v3", CUSTOMER, 1)
        good = c.signed(body)
        both = {**good, **c.signed(body, "v2")}
        assert c.ask(c.post(f"/partner/{CC}/nonsense", good, body)) == 404
        assert c.ask(c.post("/partner/virtuous/nonsense", good, body)) == 404
        assert [c.ask(c.post(c.path(), headers, body)) for headers in ({}, both)] == [401, 401]
        assert c.ask(c.post(c.path(), good, body + b" " * 70_000)) == 413
        assert c.rows(CUSTOMER) == []


def test_an_edition_that_the_operator_has_not_signs_nothing() -> None:
    """The vendor's key signs for every partner; without a contract of that edition nobody is meant by it."""
    with Partners(names=("user", "password", "api_key", "api_secret")) as c:
        body = c.cc.partner.body("v3", CUSTOMER, 1)
        assert c.deliver_body(body) == 401
        assert c.deliver_body(c.cc.partner.body("v2", CUSTOMER, 1), "v2") == 200
        assert c.ask(partner.topics(c.service, CC))[0]["edition"] == "v2"
