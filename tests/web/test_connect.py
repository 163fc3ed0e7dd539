"""The pages of a connection: what their headers forbid, and what a stranger learns."""

import asyncio
from typing import Any

import pytest

from keepstep.model.errors import Refused
from keepstep.web import Connecting
from keepstep.web.connect import routed

VENDOR = "https://authz.example.org"


class Pages:
    """One request after another; `given` is what the wiring was asked with."""

    def __init__(self, secure: bool = True, refused: Refused | None = None) -> None:
        self.refused, self.given = refused, list[Any]()
        self.connecting = Connecting(page=self.page, leave=self.leave, arrive=self.arrive, secure=secure)

    async def page(self, *asked: str) -> Any:
        self._meet(asked)
        return {"customer": "acme", "platform": "constant_contact", "account": "<b>", "origin": VENDOR}

    async def leave(self, *asked: str) -> Any:
        self._meet(asked)
        return f"{VENDOR}/authorize?state=s", "session-1"

    async def arrive(self, *asked: Any) -> Any:
        self._meet(asked)
        return {"customer": "acme", "platform": "constant_contact", "account": "their-own"}

    def _meet(self, asked: Any) -> None:
        self.given.append(asked)
        if self.refused is not None:
            raise self.refused

    def ask(self, method: str, *parts: str, query: bytes = b"", cookie: str = "") -> tuple[int, dict[str, str], str]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"cookie", cookie.encode())] if cookie else []
        scope: Any = {"method": method, "headers": headers, "query_string": query}
        asyncio.run(routed(self.connecting, scope, list(parts), send))
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], found, sent[1]["body"].decode()


TICKET = ("acme", "constant_contact", "ticket-1")


@pytest.mark.parametrize(
    ("method", "parts"), [("GET", TICKET), ("POST", TICKET), ("GET", ("callback",)), ("GET", ("nothing",))]
)
def test_nothing_is_kept_framed_scripted_or_told_to_others(method: str, parts: tuple[str, ...]) -> None:
    status, headers, body = Pages().ask(method, *parts)
    assert headers["cache-control"] == "no-store" and "<script" not in body
    if status != 303:
        policy = headers["content-security-policy"].split("; ")
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
        assert not [each for each in policy if each.startswith("script-src")]
        assert headers["referrer-policy"] == "no-referrer" and headers["x-content-type-options"] == "nosniff"
        assert headers["content-length"] == str(len(body.encode()))


def test_the_form_may_lead_to_us_and_to_the_vendor_and_what_is_shown_is_no_markup() -> None:
    status, headers, body = Pages().ask("GET", *TICKET)
    assert status == 200 and f"form-action 'self' {VENDOR};" in headers["content-security-policy"]
    assert "<b>" not in body and "&lt;b&gt;" in body


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookie_is_for_these_pages_for_ten_minutes_and_for_no_script(secure: bool) -> None:
    status, headers, _ = Pages(secure).ask("POST", *TICKET)
    assert status == 303 and headers["location"].startswith(VENDOR)
    wanted = {"keepstep_connect=session-1", "Max-Age=600", "Path=/connect", "HttpOnly", "SameSite=Lax"}
    assert set(headers["set-cookie"].split("; ")) == wanted | ({"Secure"} if secure else set())


def test_what_comes_back_is_matched_with_the_cookie_which_ends() -> None:
    pages = Pages()
    status, headers, body = pages.ask("GET", "callback", query=b"state=s&code=c", cookie="a=b; keepstep_connect=x")
    assert pages.given == [({"state": "s", "code": "c"}, "x")]
    assert status == 200 and "their-own" in body and "Max-Age=0" in headers["set-cookie"]


@pytest.mark.parametrize("cookie", ["", "other=1", "keepstep_connect", "\x00=;;", "keepstep_connect"])
def test_a_cookie_that_is_none_is_no_session(cookie: str) -> None:
    pages = Pages()
    pages.ask("GET", "callback", query=b"state=s", cookie=cookie)
    assert pages.given == [({"state": "s"}, "")]


def test_a_refusal_is_a_page_with_its_status_and_words_and_no_cookie() -> None:
    status, headers, body = Pages(refused=Refused(404, "this link is <over>")).ask("GET", *TICKET)
    assert status == 404 and "This link is &lt;over&gt;." in body and "set-cookie" not in headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "POST"])
def test_other_methods_find_nothing(method: str) -> None:
    assert Pages().ask(method, "callback")[0] == 404
