"""The one place that knows Constant Contact's addresses, its credentials on the wire and what its errors mean."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from keepstep.model.errors import Blocked, Conflicting, Missing, Permanent, Problem, Transient, Unanswered
from keepstep.model.instant import Instant
from keepstep.ports import Connection, HttpAnswer

DAY = 86_400.0
# A key is the vendor's own word; anything of another shape might carry an address into a log (CC facts 4).
KEY = re.compile(r"[A-Za-z0-9_.-]{1,80}")
CONTACT_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# What a next link needs; with a backslash, a space or a line break it could leave its path or its line.
HREF = re.compile(r"/v3/[!-\[\]-~]*")


class Conflict(Conflicting):
    """409. `hint` is the contact id that the message names, if any: a hint, never to branch on (CC facts 4)."""

    def __init__(self, status: int, detail: str, hint: str | None) -> None:
        super().__init__(status, detail)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer: its JSON value, and the vendor's time (HTTP Date) where it was given."""

    value: Any
    at: Instant | None


class Api:
    """Calls of one connection. Each raises the classes of `keepstep.model.errors`; none retries (the queue does)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._origin = connection.base_url.rstrip("/").removesuffix("/v3")
        self._key = str(connection.settings.get("application_key", ""))

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Reply:
        """`path` without /v3."""
        return await self._call("GET", href(path, query))

    async def follow(self, link: str) -> Reply:
        """A next link, sent unchanged (CC facts 1, paging). Raises Permanent for one that is not below /v3/."""
        if not safe_href(link):
            raise Permanent(0, "next link is not a path below /v3/")
        return await self._call("GET", link)

    async def post(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Raises Unanswered where the call may have taken effect: there is no idempotency key (CC facts 1)."""
        return await self._call("POST", f"/v3{path}", json.dumps(body).encode())

    async def put(self, path: str, body: Mapping[str, Any]) -> Reply:
        """A replace of the whole record (CC facts 5.3). Raises Unanswered where it may have taken effect."""
        return await self._call("PUT", f"/v3{path}", json.dumps(body).encode())

    async def _call(self, method: str, target: str, body: bytes = b"") -> Reply:
        token = await self._connection.grant.bearer()
        answer = await self._send(method, target, body, token)
        if answer.status == 401:  # refresh once, repeat once, then stop (CC facts 2.3)
            token = await self._connection.grant.bearer(refused=token)
            answer = await self._send(method, target, body, token)
        now = self._connection.clock.now()
        await self._rest(answer, now)
        return read(method, target, answer, now)

    async def _rest(self, answer: HttpAnswer, now: Instant) -> None:
        """Both known limits are the key's, over all its customers (CC facts 3.1): nobody calls before they end."""
        pause = _pause(error_of(answer.body)[0], now) if answer.status == 429 else None
        if pause is not None and self._connection.permits:
            await self._connection.permits.stop(self._key, now + (retry_after(answer, now) or pause))

    async def _send(self, method: str, target: str, body: bytes, token: str) -> HttpAnswer:
        permits = self._connection.permits
        if permits is None:
            return await self._exchange(method, target, body, token)
        permit = await permits.take(self._key)
        try:
            return await self._exchange(method, target, body, token)
        finally:
            await permits.give_back(self._key, permit)

    async def _exchange(self, method: str, target: str, body: bytes, token: str) -> HttpAnswer:
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        if body:  # without it a library's text type is sent and refused with 415 (CC facts 1)
            headers["content-type"] = "application/json"
        try:
            return await self._connection.http(method, self._origin + target, headers, body)
        except Unanswered as lost:
            if method != "GET":
                raise
            raise Transient(str(lost), lost.retry_after, lost.status) from None  # a lost read changed nothing


def href(path: str, query: Mapping[str, str] | None = None) -> str:
    """`path` without /v3, as a link; the query is percent-encoded (a bare + breaks dates and addresses, CC facts 1)."""
    tail = f"?{urlencode(query, quote_via=quote, safe='')}" if query else ""
    return f"/v3{path}{tail}"


def safe_href(link: str) -> bool:
    """Whether a next link stays on the host, below /v3/: a body must not choose whom we give our token to."""
    path = link.partition("?")[0].lower()
    return bool(HREF.fullmatch(link)) and ".." not in path.replace("%2e", ".") and "#" not in link


def read(method: str, target: str, answer: HttpAnswer, now: Instant) -> Reply:
    """The answer's value; raises the error class that its status and `error_key` mean (CC facts 4)."""
    if not 200 <= answer.status < 300:
        raise problem(method, target, answer, now)
    text = f"{method} {_route(target)}: {answer.status}"
    if method == "GET" and answer.status == 202:  # "processing" is not an empty result (CC facts 5.1)
        raise Transient(f"{text}, not ready", retry_after(answer, now), answer.status)
    try:
        return Reply(decode(answer.body), http_date(answer.headers.get("date")))
    except ValueError:
        kind = Transient if method == "GET" else Unanswered
        raise kind(f"{text}, not JSON", None, answer.status) from None


def problem(method: str, target: str, answer: HttpAnswer, now: Instant) -> Problem:
    """The error of an answer that is no success. Its text holds method, route, status, `error_key`, no message."""
    status, (key, message) = answer.status, error_of(answer.body)
    detail = f"{method} {_route(target)} {key}".rstrip()
    if status in (401, 403):
        return Blocked("unauthorized" if status == 401 else "forbidden", f"{status}: {detail}")
    if status == 404:
        return Missing(status, detail)
    if status == 409:
        found = CONTACT_ID.search(message)
        return Conflict(status, detail, found.group() if found else None)
    if status == 429:
        return Transient(f"{status}: {detail}", retry_after(answer, now) or _pause(key, now), status)
    if status >= 500 or status == 408:
        kind = Transient if method == "GET" else Unanswered
        return kind(f"{status}: {detail}", retry_after(answer, now), status)
    return Permanent(status, detail)


def _pause(key: str, now: Instant) -> float | None:
    # The two known kinds; any other limit (queued jobs, endpoints) has no stated pause (CC facts 3.1).
    return {"throttled": 1.0, "quota_exceeded": _until_midnight(now)}.get(key)


def _until_midnight(now: Instant) -> float:
    return DAY - now % DAY


def error_of(body: bytes) -> tuple[str, str]:
    """(error_key, message) of any error body: array, object, gateway, HTML or nothing; "" where it says neither."""
    try:
        value = decode(body)
    except ValueError:
        return "", ""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, dict):
        return "", ""
    key, message = first.get("error_key", first.get("error")), first.get("error_message", first.get("message"))
    named = isinstance(key, str) and KEY.fullmatch(key)
    return str(key) if named else "", message if isinstance(message, str) else ""


def decode(body: bytes) -> Any:
    """JSON as values that any database can keep. Raises ValueError for everything else."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    # One broken name (half a surrogate pair) must not make a page of 500 unreadable for ever.
    try:
        return _scrubbed(json.loads(body.decode(), parse_constant=_refuse))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_scrubbed(each) for each in value]
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(each) for key, each in value.items()}
    infinite = isinstance(value, float) and value in (float("inf"), float("-inf"))
    return None if infinite else value


def retry_after(answer: HttpAnswer, now: Instant) -> float | None:
    """Seconds to wait, at most a day; not documented, honoured if it ever comes (CC facts 3.1)."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:6]), DAY) or None
    at = http_date(text)
    return min(max(at - now, 0.0), DAY) or None if at is not None else None


def http_date(text: str | None) -> Instant | None:
    """An HTTP date as an instant, None for anything else."""
    try:
        read = parsedate_to_datetime(text or "")
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _route(target: str) -> str:
    return target.partition("?")[0]


def segment(text: str) -> str:
    """An id as one path segment: ids are not always UUIDs, so they are escaped and never validated (CC facts 1)."""
    return quote(text, safe="")
