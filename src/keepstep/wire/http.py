"""The HTTP port on aiohttp, and what goes around it: the circuit breaker, and the look at the lease."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
from yarl import URL

from keepstep.model.errors import Misconfigured, Transient, Unanswered
from keepstep.model.instant import Instant
from keepstep.ports import Clock, Http, HttpAnswer

MOST_ANSWER = 32 * 1024 * 1024
_CONNECT_SECONDS = 10.0
_DEFAULT_HEADERS = {"User-Agent": "keepstep/0.1"}


class AiohttpHttp:
    """ports.Http for a process: one session, no redirects, no cookies, only the hosts of the given base URLs.

    Raises Misconfigured for any other host or an impossible header, Transient where nothing was sent, Unanswered
    where something was.
    """

    def __init__(self, base_urls: Iterable[str], most_answer: int = MOST_ANSWER) -> None:
        self._allowed = frozenset(URL(url).origin() for url in base_urls)
        self._most_answer = most_answer
        self._session: aiohttp.ClientSession | None = None

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        target = self._target(url)
        _check_headers(headers)
        sent = SimpleNamespace(yes=False)
        try:
            return await self._exchange(method, target, headers, body, timeout, sent)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _classified(error, target, sent.yes) from None

    async def close(self) -> None:
        """Give the sockets back; the port may be used again after."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _target(self, url: str) -> URL:
        try:
            # Encoded: the connector has quoted once, and quoting again would turn %2B into + (CC facts 1).
            target = URL(url, encoded=True)
            origin = target.origin()
        except ValueError:
            raise Misconfigured(
                ("a call was made to something that is no absolute URL; check the base URLs",)
            ) from None
        if origin not in self._allowed:
            raise Misconfigured((f"{origin}: no base URL in the settings names this host; calls go nowhere else",))
        return target

    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes, timeout: float, sent: SimpleNamespace
    ) -> HttpAnswer:
        async with self._opened().request(
            method,
            url,
            headers={**_DEFAULT_HEADERS, **headers},
            data=body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, _CONNECT_SECONDS)),
            trace_request_ctx=sent,
        ) as response:
            return HttpAnswer(response.status, _lowered(response), await self._body(response))

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        parts = bytearray()
        async for chunk in response.content.iter_any():
            parts += chunk
            if len(parts) > self._most_answer:
                response.close()
                raise Unanswered(
                    f"{response.url.host}: answer is larger than {self._most_answer} bytes", status=response.status
                )
        return bytes(parts)

    def _opened(self) -> aiohttp.ClientSession:
        # Made late, because a session belongs to the loop that runs.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[_sent_tracer()], auto_decompress=True
            )
            # aiohttp repeats a PUT or DELETE by itself when a kept connection breaks; whether it took effect is not
            # its to guess.
            self._session._retry_connection = False
        return self._session


def _sent_tracer() -> aiohttp.TraceConfig:
    """Notes the moment before the first byte of a request goes out: until then a failure is safe to repeat."""
    tracer = aiohttp.TraceConfig()

    async def noted(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.yes = True

    tracer.on_request_headers_sent.append(noted)
    return tracer


def _classified(error: Exception, url: URL, sent: bool) -> Transient:
    """The recovery class.

    The text names host and kind of error only, for an error's own words may quote the request.
    """
    kind = type(error).__name__
    if sent:
        return Unanswered(f"{url.host}: no answer ({kind}); the call may have taken effect")
    return Transient(f"{url.host}: not reached ({kind})")


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if any(ord(sign) < 32 or ord(sign) == 127 for sign in name + value):
            raise Misconfigured(
                (f"header {name!r} holds a line break or control character; store the credential again",)
            )


def _lowered(response: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


@dataclass(slots=True)
class Breaker:
    """ports.Http for one connection that stops calling a host which keeps failing.

    closed -> (5 failures in a row) -> open 30 s -> half-open: one probe -> closed, or open twice as long, at most 5
    min. While open every call raises Transient with the seconds left. A failure is no answer or a 5xx; 4xx and 429
    are answers of a host that works.
    """

    http: Http
    clock: Clock
    threshold: int = 5
    first_pause: float = 30.0
    longest_pause: float = 300.0
    _failures: int = 0
    _pause: float = 0.0
    _open_until: Instant | None = None
    _probing: bool = False

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        probe = self._admit()
        try:
            answer = await self.http(method, url, headers, body, timeout)
        except Transient:
            self._failed(probe)
            raise
        finally:
            # Also when the call was cancelled: a probe nobody waits for must not keep the breaker half-open for ever.
            if probe:
                self._probing = False
        self._failed(probe) if answer.status >= 500 else self._worked()
        return answer

    def _admit(self) -> bool:
        """Whether this call is the probe; raises Transient where no call may go out."""
        if self._open_until is None:
            return False
        left = self._open_until - self.clock.now()
        if left > 0 or self._probing:
            raise Transient("the last calls to this host failed; calling is paused", retry_after=max(left, 1.0))
        self._probing = True
        return True

    def _failed(self, probe: bool) -> None:
        self._failures += 1
        if not probe and (self._failures < self.threshold or self._open_until is not None):
            return
        self._pause = min(self._pause * 2, self.longest_pause) if self._pause else self.first_pause
        self._open_until = self.clock.now() + self._pause

    def _worked(self) -> None:
        self._failures = 0
        self._pause = 0.0
        self._open_until = None


@dataclass(frozen=True, slots=True)
class Leased:
    """ports.Http for one customer that writes nothing once its slot's lease could end first.

    Whoever stood still between the intent and here may have a successor by now: there is no await between this look
    and the port that opens the socket. `until`: when the lease ends, None where nothing is under way.
    """

    http: Http
    clock: Clock
    until: Callable[[], Instant | None]

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        end = self.until()
        if method != "GET" and end is not None and end - self.clock.now() < timeout:
            raise Transient("the lease is nearly over; nothing was sent")
        return await self.http(method, url, headers, body, timeout)
