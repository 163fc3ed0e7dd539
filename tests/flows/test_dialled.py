"""No host is dialled but those of the settings: seen at the sockets of this process, with the real HTTP client.

Python tells of every look-up and every connection before it is made (audit events), whoever asked for it.
"""

import asyncio
import base64
import dataclasses
import hashlib
import hmac
import json
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from keepstep import queue
from keepstep.model.errors import Problem
from keepstep.state import marks
from keepstep.state.customers import PARTNER
from keepstep.state.vault import Secret
from keepstep.tokens import Client, consent
from keepstep.wire.http import AiohttpHttp
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER
from tests.flows.test_partner import CC, KNOWN, Partners
from tests.flows.test_partner_hosts import PLAN, TABLE

REDIRECTS = (300, 301, 302, 303, 307, 308)
_seen: list[tuple[str, str]] | None = None


def _hook(event: str, values: tuple[Any, ...]) -> None:
    if _seen is not None and event in ("socket.connect", "socket.getaddrinfo"):
        where = values[1] if event == "socket.connect" else values[0]
        _seen.append((event, str(where[0] if isinstance(where, tuple) else where)))


@contextmanager
def dialled() -> Iterator[list[tuple[str, str]]]:
    """Every host that this process looks up or connects to meanwhile."""
    global _seen
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(True)
    found: list[tuple[str, str]] = []
    _seen = found
    try:
        yield found
    finally:
        _seen = None


_installed: list[bool] = []


class Loopback(Partners):
    """The crossing over real sockets: both vendors behind servers on this machine, the product's own client."""

    def __init__(self) -> None:
        super().__init__()
        self.twist: Callable[[Request, Response], Response] = lambda _request, answer: answer
        self.servers = {name: self._server(stand_in) for name, stand_in in (("cc", self.cc), ("v", self.v))}
        here = {name: f"http://127.0.0.1:{server.server_address[1]}" for name, server in self.servers.items()}
        known = self.service.settings.platforms
        audience = replace(
            known[CC],
            base_url=f"{here['cc']}/v3",
            auth_url=here["cc"],
            partner_v2_url=f"{here['cc']}/v2",
            partner_auth_url=f"{here['cc']}/partners/oauth2/default/v1/token",
            partner_keys_url=f"{here['cc']}/.well-known/jwks.json",
        )
        crm = replace(known["virtuous"], base_url=here["v"])
        self.service.settings = replace(self.service.settings, platforms={CC: audience, "virtuous": crm})
        self.service.http = AiohttpHttp(self.service.settings.base_urls())

    def __enter__(self) -> "Loopback":
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.ask(self.service.http.close())  # type: ignore[attr-defined]
        for server in self.servers.values():
            server.shutdown()
            server.server_close()
        super().__exit__(*error)

    def _server(self, stand_in: Any) -> ThreadingHTTPServer:
        crossing = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"  # a connection a call: each of them is seen

            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                parts = urlsplit(self.path)
                lowered = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, parts.path, parts.query, lowered, body)
                answer = crossing.twist(request, stand_in.handle(request, crossing.clock.at))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do  # noqa: N815

            def log_message(self, *_said: Any) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


def test_the_recorder_sees_what_is_dialled() -> None:
    async def dial() -> None:
        with suppress(OSError):
            await asyncio.open_connection("127.0.0.1", 1)

    with dialled() as seen:
        asyncio.run(dial())
    assert ("socket.connect", "127.0.0.1") in seen


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in TABLE}))
def test_no_redirect_of_a_vendor_is_followed(kind: str) -> None:
    """Whatever its API, its token service or its keys answer: the next host is not ours to choose."""
    with Loopback() as c:
        desk = c.ask(c.service.desk(CUSTOMER))
        hook = ("https://keepstep.example/hooks/virtuous/x", "secret")
        calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            desk.audience.lists,
            desk.crm.tags,
            lambda: desk.crm.subscribe(*hook),
            lambda: desk.crm.resubscribe("1", *hook),
            lambda: desk.crm.unsubscribe("1"),
        ]
        met = 0
        for wanted, base in TABLE:
            for status in REDIRECTS if wanted == kind else ():
                where = f"{base}/latest/meta-data/".encode("ascii", "ignore").decode()
                c.twist = _away(Response(status, {"Location": where}))
                with dialled() as seen:
                    for call in calls:
                        with suppress(Problem):
                            c.ask(call())
                            raise AssertionError("a redirect is no answer")
                        met += 1
                assert {where for _, where in seen} == {"127.0.0.1"}, (base, seen)
        assert met >= len(REDIRECTS) * len(calls)


def _away(answer: Response) -> Callable[[Request, Response], Response]:
    return lambda _request, _answer: answer


def test_no_redirect_of_the_token_service_or_the_keys_is_followed() -> None:
    with Loopback() as c:
        body = json.dumps({"url": f"https://api.cc.email{PLAN}", "event_type": "tier.increase"}).encode()
        away, met = {"Location": "http://169.254.169.254/latest/meta-data/"}, set()
        leads_away = ["jwks.json", "/plan"]

        def twist(request: Request, answer: Response) -> Response:
            if not request.path.endswith(tuple(leads_away)):
                return answer
            met.add(request.path.rsplit("/", 1)[1])
            return Response(302, away)

        c.twist = twist
        grown = (c.service.endpoint(CC), Client(Secret("client"), Secret("secret")), "code", "https://us.example", "v")
        with dialled() as seen:
            assert c.deliver_body(body) == 503  # no key can be read: the vendor comes again
            c.ask(c.service.db.run(_plan_is_due))
            c.wait(minutes=2)
            leads_away.append("/token")
            with suppress(Problem):
                c.ask(consent.redeemed(*grown))
                raise AssertionError("a redirect is no grant")
        assert met == {"token", "jwks.json", "plan"}
        assert {where for _, where in seen} == {"127.0.0.1"}


def _plan_is_due(tx: Any) -> None:
    for mark in marks.every(tx, PARTNER):
        marks.put(tx, PARTNER, dataclasses.replace(mark, due=0.0))
    queue.wake(tx, PARTNER, 0.0)


def test_no_host_that_a_body_names_is_dialled() -> None:
    """Partner deliveries, webhooks of the CRM, and the links within a vendor's own pages."""
    with Loopback() as c:
        path, secret = c.hook()
        with dialled() as seen:
            for edition in ("v2", "v3"):
                for _, base in TABLE:
                    said = {"url": base + PLAN, "api_key": KNOWN["api_key"], "event_type": "tier.increase"}
                    assert c.deliver_body(json.dumps(said).encode(), edition) == 200
            for number, (_, base) in enumerate(TABLE, 1):
                names = dict.fromkeys(("url", "website", "avatarUrl", "contactViewUrl", "payloadUrl", "href"), base)
                body = json.dumps({"event": "ContactUpdate", "contact": {"id": number, **names}, **names}).encode()
                signed = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
                assert c.ask(c.post(path, {"x-virtuous-signature": signed}, body)) == 200
            c.wait(minutes=2)
            hosts = cycle(base for _, base in TABLE)
            c.twist = lambda _request, answer: _linking(answer, next(hosts))
            desk = c.ask(c.service.desk(CUSTOMER))
            for _ in TABLE:
                for poll in ("changed", "opted_out", "deleted", "sweep"):
                    with suppress(Problem):
                        page = c.ask(desk.audience.changes(poll, 0.0, None))
                        c.ask(desk.audience.changes(poll, 0.0, page.cursor))
        assert {where for _, where in seen} == {"127.0.0.1"}


def _linking(answer: Response, base: str) -> Response:
    """Every page says that it goes on elsewhere."""
    if answer.status != 200 or not answer.body.startswith(b"{"):
        return answer
    page = json.loads(answer.body) | {"_links": {"next": {"href": f"{base}/v3/contacts?cursor=x"}}}
    return Response(answer.status, {**answer.headers, "Link": f"<{PLAN}>; rel=next"}, json.dumps(page).encode())
