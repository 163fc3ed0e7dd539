"""Scripted faults: what happens to the next n requests that match."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from keepstep_sandbox.http import Request, Response, answer
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS

HELD = math.inf  # the delay of an answer that waits for the driver's release
_CHOOSY = ("big_page", "poison")  # these look at the answer of a read before they strike
WRITE = "WRITE"  # as a fault's method: any request that may change a record

_PAGE = b"<!DOCTYPE html><html><head><title>Please wait</title></head><body>We will be right back.</body></html>"


def is_write(method: str, path: str) -> bool:
    """Whether a request may change a record: no read, no query, no token. A webhook subscription is not a record."""
    if method in ("GET", "HEAD", "OPTIONS") or path.rstrip("/").endswith(("/token", "/Token")):
        return False
    return not any(word in path for word in ("/Query", "/Search", "/Proximity", "/api/Webhook"))


@dataclass(slots=True, eq=False)
class Fault:
    """One scripted fault: `count` matching requests meet it after `skip` others passed.

    Empty `vendor`, `method` and `path` match all; `path` is a prefix. `seconds` is the Retry-After of a 429 or 503,
    and the delay of `slow`. `big_page` meets answers of more than `rows` rows, `poison` those that hold `text`; what
    they let pass does not count.
    """

    kind: str
    vendor: str = ""
    method: str = ""
    path: str = ""
    count: int = 1
    skip: int = 0
    seconds: float = 0.0
    rows: int = 0
    text: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are {', '.join(sorted(KINDS))}")
        if self.vendor not in ("", CONSTANT_CONTACT, VIRTUOUS):
            raise ValueError(f"no vendor {self.vendor!r}")

    def matches(self, vendor: str, request: Request) -> bool:
        """Whether the fault speaks of this request; counting is the caller's."""
        if self.vendor not in ("", vendor) or not request.path.startswith(self.path):
            return False
        if self.kind in _CHOOSY and is_write(request.method, request.path):
            return False
        return is_write(request.method, request.path) if self.method == WRITE else self.method in ("", request.method)


Handle = Callable[[], Response]
Kind = Callable[[Fault, str, Handle], Response]


def _refused(status: int, body: Any = None) -> Kind:
    def meet(fault: Fault, _vendor: str, _handle: Handle) -> Response:
        return answer(status, body, Retry_After=str(round(fault.seconds))) if fault.seconds else answer(status, body)

    return meet


def _rate_limited(fault: Fault, _vendor: str, _handle: Handle) -> Response:
    seconds = round(fault.seconds) or 30
    error = {"code": "RATE_LIMITED", "message": f"Retry after {seconds} seconds.", "details": []}
    return answer(429, {"error": error}, Retry_After=str(seconds))


def _before(response: Response) -> Kind:
    return lambda _fault, _vendor, _handle: response


def _reset_after(_fault: Fault, _vendor: str, handle: Handle) -> Response:
    return replace(handle(), drop=True)


def _truncated(_fault: Fault, _vendor: str, handle: Handle) -> Response:
    response = handle()
    return replace(response, body=response.body[: max(1, len(response.body) // 2)])


def _slow(fault: Fault, _vendor: str, handle: Handle) -> Response:
    return replace(handle(), delay=fault.seconds)


def _big_page(fault: Fault, _vendor: str, handle: Handle) -> Response:
    response = handle()
    return _BROKEN if _rows(response) > fault.rows else response


def _poison(fault: Fault, _vendor: str, handle: Handle) -> Response:
    response = handle()
    return _BROKEN if fault.text and fault.text.encode() in response.body else response


def _rows(response: Response) -> int:
    """How many rows the longest list of an answer holds."""
    try:
        page = response.json()
    except ValueError:
        return 0
    lists = page.values() if isinstance(page, dict) else [page]
    return max((len(value) for value in lists if isinstance(value, list)), default=0)


def _held(_fault: Fault, _vendor: str, handle: Handle) -> Response:
    return replace(handle(), delay=HELD)


_BROKEN = answer(500, {"message": "An error has occurred."})

# CC facts 3.1 for the two bodies of a 429, Virtuous facts 4 for Retry-After; the rest is what any network does.
KINDS: Mapping[str, Kind] = {
    "throttled": _refused(429, {"error_key": "throttled", "error_message": "Too Many Requests"}),
    "quota_exceeded": _refused(429, {"error_key": "quota_exceeded", "error_message": "Limit Exceeded"}),
    "rate_limited": _rate_limited,
    "202": _refused(202, {}),  # what is asked for is still worked out (CC facts 5.1)
    "404": _refused(404),
    "500": _refused(500, {"message": "An error has occurred."}),
    "502": _refused(502),
    "503": _refused(503),
    "504": _refused(504),
    "520": _refused(520),  # of the front before Virtuous (Virtuous facts 2, 18.1)
    "big_page": _big_page,
    "poison": _poison,
    "reset_before": _before(Response(0, drop=True)),
    "reset_after": _reset_after,
    "html": _before(Response(200, {"Content-Type": "text/html; charset=utf-8"}, _PAGE)),
    "truncated": _truncated,
    "slow": _slow,
    "hold_before": _before(Response(0, drop=True, delay=HELD)),
    "hold_after": _held,
}
# After these the client cannot know whether its write took effect.
UNCERTAIN = frozenset(
    {"reset_before", "reset_after", "html", "truncated", "hold_before", "hold_after", "500", "502", "503", "504", "520"}
)


@dataclass(slots=True)
class Faults:
    """The armed faults of both vendors, first armed first met."""

    armed: list[Fault] = field(default_factory=list)

    def arm(self, kind: str, **how: Any) -> None:
        """Script one fault; see Fault for the names. Raises ValueError or TypeError for what is none."""
        self.armed.append(Fault(kind, **how))

    def clear(self) -> None:
        """Nothing more goes wrong."""
        self.armed.clear()

    def meet(self, vendor: str, request: Request, handle: Handle) -> tuple[Response, str]:
        """The answer to a request and the name of the fault that made it, empty for none."""
        fault = self._due(vendor, request)
        if fault is None:
            return handle(), ""
        response = KINDS[fault.kind](fault, vendor, handle)
        if fault.kind in _CHOOSY and response is not _BROKEN:
            return response, ""
        self._used(fault)
        return response, fault.kind

    def exported(self) -> list[dict[str, Any]]:
        """The armed faults as JSON values."""
        names = ("kind", "vendor", "method", "path", "count", "skip", "seconds", "rows", "text")
        listed: list[dict[str, Any]] = json.loads(json.dumps([{n: getattr(f, n) for n in names} for f in self.armed]))
        return listed

    def _due(self, vendor: str, request: Request) -> Fault | None:
        for fault in self.armed:
            if not fault.matches(vendor, request):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            return fault
        return None

    def _used(self, fault: Fault) -> None:
        fault.count -= 1
        if fault.count <= 0:
            self.armed.remove(fault)
