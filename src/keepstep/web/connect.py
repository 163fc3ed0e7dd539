"""The pages of a connection: real pages that work without a script. What a stranger gets tells nothing."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from keepstep.model.errors import Refused
from keepstep.web.answers import Scope, Send

COOKIE = "keepstep_connect"
LIFE = 600
_PAGES = Environment(
    loader=PackageLoader("keepstep.web"), autoescape=select_autoescape(), undefined=StrictUndefined, enable_async=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting:
    """What the pages need, handed in by the wiring. Each raises Refused with words for the person.

    page: (customer, platform, ticket) -> what the page tells, with the vendor's `origin`. leave: the same ->
    (where to, session). arrive: (the query of the vendor's redirect, session) -> {customer, platform, account}.
    secure: are we reached by TLS?
    """

    page: Callable[[str, str, str], Awaitable[Mapping[str, Any]]]
    leave: Callable[[str, str, str], Awaitable[tuple[str, str]]]
    arrive: Callable[[Mapping[str, str], str], Awaitable[Mapping[str, Any]]]
    secure: bool


async def routed(connecting: Connecting, scope: Scope, parts: list[str], send: Send) -> None:
    """GET and POST /connect/{customer}/{platform}/{ticket}, GET /connect/callback."""
    try:
        match [scope["method"], *parts]:
            case ["GET", "callback"]:
                await _arrived(connecting, scope, send)
            case ["GET", customer, platform, ticket]:
                told = await connecting.page(customer, platform, ticket)
                await _page(send, 200, "connect.html", told, origin=told["origin"])
            case ["POST", customer, platform, ticket]:
                where, session = await connecting.leave(customer, platform, ticket)
                await _away(send, where, _cookie(session, LIFE, secure=connecting.secure))
            case _:
                raise Refused(404, "nothing here")
    except Refused as refused:
        await _page(send, refused.status, "refused.html", {"words": str(refused)})


async def _arrived(connecting: Connecting, scope: Scope, send: Send) -> None:
    said = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    done = await connecting.arrive(said, _session(scope))
    await _page(send, 200, "connected.html", done, _cookie("", 0, secure=connecting.secure))


def _session(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"cookie"), b"")
    try:
        found = SimpleCookie(given.decode("latin-1")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _cookie(session: str, life: int, *, secure: bool) -> str:
    """Lax, not Strict: the vendor's redirect comes from another site and must bring it along."""
    kept = f"{COOKIE}={session}; Max-Age={life}; Path=/connect; HttpOnly; SameSite=Lax"
    return f"{kept}; Secure" if secure else kept


async def _away(send: Send, where: str, cookie: str) -> None:
    headers = [(b"location", where.encode()), (b"set-cookie", cookie.encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 303, "headers": [*headers, (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _page(
    send: Send, status: int, name: str, told: Mapping[str, Any], cookie: str | None = None, origin: str = ""
) -> None:
    body = _PAGES.get_template(name).render(told).encode()
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    headers += [(key.encode(), value.encode()) for key, value in _guards(origin).items()]
    if cookie is not None:
        headers.append((b"set-cookie", cookie.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _guards(origin: str) -> dict[str, str]:
    """No script, no frame, nothing kept; the ticket in our address goes to nobody. A form's redirect counts as its
    target, so that the vendor must be named."""
    policy = f"default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {origin}".rstrip()
    return {
        "content-security-policy": f"{policy}; frame-ancestors 'none'; base-uri 'none'",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
