"""Speaking HTTP with Virtuous: credential, pace, and what each answer means for recovery. Retrying is the queue's."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

import msgspec

from keepstep.model.errors import Blocked, Conflicting, Missing, Permanent, Transient, Unanswered
from keepstep.model.instant import Instant
from keepstep.ports import Connection, HttpAnswer

# The guides' pace: 1,200 an hour from a bucket of 20, a fifth of the hour left to strangers (Virtuous facts 4).
CALLS_PER_HOUR = 1200
BUCKET = 20
HEADROOM = 0.2
# A caller holds a lease while it waits, so long waits are handed back to the queue instead of slept through.
LONGEST_NAP = 30.0
# FullContact pages are slow; a live client waits 120 s (Virtuous facts 9). Ours stays below a lease.
QUERY_TIMEOUT = 60.0
TAKE = 500

# Half of a pair, as an escape; an escape of another kind or a whole pair is passed over.
_HALF = re.compile(rb"(\\[^u]|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F]..")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]-]{0,59}\Z")


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer: its JSON (None for an empty body) and the vendor's clock, if it told."""

    value: Any
    date: Instant | None


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `read` ones can be repeated freely, also some POSTs; `urgent` ones may use the headroom."""

    method: str
    path: str
    body: Any = None
    read: bool = False
    urgent: bool = False
    timeout: float = 30.0

    @property
    def name(self) -> str:
        """Method and resource without ids or query, for texts that people read."""
        return f"{self.method} {'/'.join(self.path.partition('?')[0].split('/')[:3])}"


class Pace:
    """When the next call may go: a bucket of our own, and the hour as the headers tell it (Virtuous facts 4)."""

    def __init__(self, now: Instant, per_hour: float = CALLS_PER_HOUR) -> None:
        self._rate = per_hour / 3600
        self._tokens, self._counted = float(BUCKET), now
        self._limit: float | None = None
        self._remaining: float | None = None
        self._reset = self._stopped = now

    def take(self, now: Instant, urgent: bool) -> float:
        """Seconds to wait before the call. Raises Transient where that is longer than a nap; then no token is taken."""
        self._tokens = min(BUCKET, self._tokens + max(0.0, now - self._counted) * self._rate)
        self._counted = max(now, self._counted)
        wait = max(self._stopped - now, self._spared(now, urgent), (1 - self._tokens) / self._rate, 0.0)
        if wait > LONGEST_NAP:
            raise Transient("the hour's budget of calls is used up or left to others", retry_after=wait)
        self._tokens -= 1
        return wait

    def learn(self, now: Instant, headers: Mapping[str, str]) -> None:
        """Takes the budget from an answer's headers; nonsense is ignored."""
        limit, remaining = _number(headers.get("x-ratelimit-limit")), _number(headers.get("x-ratelimit-remaining"))
        if limit is not None and remaining is not None and limit > 0:
            self._limit, self._remaining = limit, remaining
            reset = _number(headers.get("x-ratelimit-reset"))
            self._reset = min(reset, now + 3600) if reset is not None else now + 60

    def stop(self, until: Instant) -> None:
        """The vendor refused for now: nobody calls before this moment."""
        self._stopped = max(self._stopped, until)

    def _spared(self, now: Instant, urgent: bool) -> float:
        if self._limit is None or self._remaining is None or now >= self._reset:
            return 0.0
        used_up = self._remaining < 1 if urgent else self._remaining < HEADROOM * self._limit
        return self._reset - now if used_up else 0.0


class Api:
    """One organization's API. All calls raise Transient, Unanswered (writes only), Blocked or Permanent."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._root = conn.base_url.rstrip("/")
        per_hour = _number(str(conn.settings.get("calls_per_hour"))) or CALLS_PER_HOUR
        # The hour is the organization's, however often we open our side of it anew (Virtuous facts 4).
        self._pace: Pace = conn.memory.setdefault("pace", Pace(conn.clock.now(), per_hour))

    async def get(self, path: str, urgent: bool = False, **params: Any) -> Any:
        """The JSON of a GET."""
        return (await self.send(Call("GET", path + _query(params), read=True, urgent=urgent))).value

    async def query(self, path: str, body: Mapping[str, Any], **params: Any) -> Reply:
        """A POST that only reads. skip and take go into the URL: in the body they are ignored (Virtuous facts 6)."""
        return await self.send(Call("POST", path + _query(params), body, read=True, timeout=QUERY_TIMEOUT))

    async def write(self, method: str, path: str, body: Any = None, urgent: bool = False) -> Any:
        """A call with an effect. None where the answer is empty."""
        return (await self.send(Call(method, path, body, urgent=urgent))).value

    async def pages(self, path: str, take: int = TAKE, urgent: bool = False, **params: Any) -> AsyncIterator[Any]:
        """Every row of a paged GET, also where the server gives smaller pages than asked for."""
        skip, before = 0, list[Any]()
        while True:
            value = await self.get(path, urgent, **params, skip=skip, take=take)
            found = rows(value)
            if found and found == before:  # an ignored `skip` would give the first page for ever (Virtuous facts 6)
                raise Transient("a page comes twice")
            before = found
            for row in found:
                yield row
            skip += len(found)
            if not more(value, skip, take):
                return

    async def send(self, call: Call) -> Reply:
        """One call with the present credential; once more with a fresh one where that is refused (Virtuous facts 3)."""
        token = await self._conn.grant.bearer()
        answer = await self._exchange(call, token)
        if answer.status == 401:
            answer = await self._exchange(call, await self._conn.grant.bearer(refused=token))
        if answer.status == 401:
            raise Blocked("unauthorized", f"Virtuous does not accept the credential ({call.name}: 401)")
        return _reply(call, answer) if 200 <= answer.status < 300 else self._refused(call, answer)

    async def _exchange(self, call: Call, token: str) -> HttpAnswer:
        clock = self._conn.clock
        if wait := self._pace.take(clock.now(), call.urgent):
            await clock.sleep(wait)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "User-Agent": "keepstep"}
        body = b""
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            body = msgspec.json.encode(call.body)
        try:
            answer = await self._conn.http(call.method, self._root + call.path, headers, body, call.timeout)
        except Unanswered as problem:
            raise problem if not call.read else Transient(f"{call.name}: no answer") from problem
        self._pace.learn(clock.now(), answer.headers)
        return answer

    def _refused(self, call: Call, answer: HttpAnswer) -> NoReturn:
        """The error class of an answer (Virtuous facts 5, 16.8); its text has the vendor's codes, never its prose."""
        status, codes = answer.status, error_codes(answer.body)
        text = f"{call.name}: {status}{f' {codes}' if codes else ''}"
        now = self._conn.clock.now()
        pause = _retry_after(answer.headers.get("retry-after"), now)
        if status == 429:
            self._pace.stop(now + (pause or 60.0))
            raise Transient(text, pause or 60.0, status)
        if status >= 500 or status < 400 or status == 408:
            raise (Transient if call.read else Unanswered)(text, pause, status)
        raise {404: Missing, 409: Conflicting}.get(status, Permanent)(status, codes or call.name)


def segment(text: str) -> str:
    """A value as one part of a path; our reference source holds a space (Virtuous facts 8)."""
    return quote(text, safe="")


def number(record_id: str) -> int | str:
    """An id as the vendor writes it: a natural integer (Virtuous facts 6)."""
    return int(record_id) if record_id.isascii() and record_id.isdigit() and len(record_id) < 20 else record_id


def rows(value: Any) -> list[Any]:
    """The rows of an envelope or of a bare array."""
    found = value.get("list") if isinstance(value, dict) else value
    return found if isinstance(found, list) else []


def more(value: Any, seen: int, take: int) -> bool:
    """Whether a page has successors: it was full, or the total says so. An empty page has none (Virtuous facts 6)."""
    count = len(rows(value))
    total = value.get("total") if isinstance(value, dict) else None
    return count > 0 and (count >= take or (isinstance(total, int) and total > seen))


def decode(body: bytes) -> Any:
    """JSON as plain values; raises ValueError for everything else, however deep or broken."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        pass
    # A name that was cut within a character (half a surrogate pair) must not make its page unreadable for ever.
    try:
        return msgspec.json.decode(_HALF.sub(lambda found: found[1] or rb"\ufffd", body))
    except (msgspec.DecodeError, RecursionError, ValueError) as problem:
        raise ValueError("no JSON") from problem


def error_codes(body: bytes) -> str:
    """Codes and field names of any error body (Virtuous facts 5); not the prose, for that may name people."""
    try:
        return codes_of(decode(body))
    except ValueError:
        return ""


def codes_of(value: Any) -> str:
    """The same of a body that is read already."""
    return " ".join(dict.fromkeys(code for code in _codes(value) if _CODE.match(code)))[:200]


def _codes(value: Any) -> list[str]:
    if not isinstance(value, dict):
        return []
    error, state = value.get("error"), value.get("modelState")
    found: list[Any] = [error]
    if isinstance(error, dict):
        details = error.get("details")
        named = [item for item in details if isinstance(item, dict)] if isinstance(details, list) else []
        found = [error.get("code"), *(item.get(key) for item in named for key in ("field", "code"))]
    if isinstance(state, dict):
        found += state
    return [code for code in found if isinstance(code, str)]


def _reply(call: Call, answer: HttpAnswer) -> Reply:
    date = _http_date(answer.headers.get("date"))
    if not answer.body.strip():
        if call.read:
            raise Transient(f"{call.name}: {answer.status} with an empty body", status=answer.status)
        return Reply(None, date)
    try:
        return Reply(decode(answer.body), date)
    except ValueError as problem:
        kind = Transient if call.read else Unanswered
        raise kind(f"{call.name}: {answer.status} without JSON", status=answer.status) from problem


def _query(params: Mapping[str, Any]) -> str:
    return f"?{urlencode(params, quote_via=quote)}" if params else ""


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e12 else None


def _http_date(text: str | None) -> Instant | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _retry_after(text: str | None, now: Instant) -> float | None:
    """Seconds, from either of the forms that HTTP allows."""
    seconds = _number(text)
    if seconds is None and (date := _http_date(text)) is not None:
        seconds = max(0.0, date - now)
    return None if seconds is None else min(seconds, 3600.0)
