"""The HTTP port of a simulated process: the stand-ins are called straight, with latency and with faults."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from keepstep.model.errors import Transient, Unanswered
from keepstep.ports import HttpAnswer
from keepstep_sandbox.credentials import is_token
from keepstep_sandbox.faults import is_write
from keepstep_sandbox.http import Request, Response
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.chaos import BEFORE
from keepstep_simulator.holding import holding
from keepstep_simulator.story import digested

if TYPE_CHECKING:
    from keepstep_simulator.process import Process
    from keepstep_simulator.run import Simulation
    from keepstep_simulator.town import Town

_REFUSED = {"500": ("500", 0.0), "503": ("503", 0.0), "429": ("rate_limited", 20.0)}


_GATE = {
    "401": Response(401, {}, b'{"error_key":"unauthorized","error_message":"Unauthorized"}'),
    "400": Response(400, {}, b'{"error_key":"bad_request","error_message":"This cannot be taken"}'),
}
FEW = 4  # rows of a small page: how many a vendor gives at most is its own affair
_SILENT = {
    "status": None,
    "body": "",
    "date": "",
    "after": "",
    "arrived": None,
    "account": "",
    "granted": (),
    "hour": (),
}


@dataclass(frozen=True, slots=True)
class Met:
    """What a call met at its vendor: the fault, when it arrived, whose account it was, which tokens were given."""

    fault: str
    arrived: float
    account: str
    granted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """A call as it leaves. `token`: to the token service; `write`: may change a record."""

    vendor: str
    request: Request
    host: str
    token: bool
    write: bool


class Network:
    """Finds whose vendor is meant by the credential, as the vendors do."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim = sim
        self._towns: dict[str, Town] = {}
        self._count = 0
        self._waiting: list[asyncio.Future[None]] = []
        self.at_once = ""  # this customer's calls take no time: whatever becomes of them, they hold nobody else up

    def introduce(self, secret: str, town: "Town") -> None:
        """A credential stands for this town."""
        self._towns[secret] = town

    async def call(
        self, process: "Process", method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> HttpAnswer:
        """One exchange, seen from both ends."""
        parts = urlsplit(url)
        vendor = VIRTUOUS if "virtuous" in parts.netloc else CONSTANT_CONTACT
        request = Request(method, parts.path, parts.query, {k.lower(): v for k, v in headers.items()}, body)
        town = self._town(vendor, request)
        self._count += 1
        number = str(self._count)
        token = is_token(vendor, request.path)
        write = is_write(method, request.path) and not token
        what = "token" if token else "write" if write else ""
        process.point(f"before call {method} {request.path}", what)
        _goes_out(process, number, town.customer, Sent(vendor, request, parts.netloc, token, write))
        fault = self._sim.chaos.call(f"{town.customer} {method} {request.path}", write=write)
        if fault:
            process.tell("FAULT", number, town.customer, what=fault)
        there, back = self._latency(town.customer, method, request.path)
        await asyncio.sleep(there)
        if fault == "unreached":
            process.tell("RSP", number, town.customer, **_SILENT, known=True, fault=fault)
            raise Transient("simulated: not reached")
        if not write:
            town.agitate()
        arrived = self._sim.loop.time()
        before = len(town.world.log.arrivals)
        response = self._arrives(town, vendor, request, fault, number)
        seen = town.world.log.arrivals[before:]  # none where the call was turned away at the gate
        met = Met(fault, arrived, seen[0].account if seen else "", _granted(vendor, request, response))
        if write:
            town.agitate()
        process.point(f"after effect of {method} {request.path}", what)
        await asyncio.sleep(back)
        await process.stands()
        answer = self._answered(process, town.customer, number, met, response)
        process.point(f"after answer of {method} {request.path}", what)
        return answer

    def _latency(self, customer: str, method: str, path: str) -> tuple[float, float]:
        """Seconds there and back."""
        if customer == self.at_once:
            return 0.0, 0.0
        script = self._sim.script
        label = script.occurrence(f"latency {customer} {method} {path}")
        return script.uniform(f"{label} there", 0.01, 0.4), script.uniform(f"{label} back", 0.01, 0.4)

    def _arrives(self, town: "Town", vendor: str, request: Request, fault: str, number: str) -> Response:
        kind, seconds = _REFUSED.get(fault, (fault, 0.0))
        if kind == "rate_limited" and vendor == CONSTANT_CONTACT:
            kind = "throttled"
        whole = kind == "truncated" and is_token(vendor, request.path)  # cut later: what was granted must be known here
        if kind in ("reset_before", "rate_limited", "throttled", "500", "503", "truncated") and not whole:
            town.world.faults.arm(kind, seconds=seconds)
        town.catch_up()
        town.acts.call(f"{request.method} {request.path}")
        if fault in _GATE:
            return _GATE[fault]
        response = town.world.call(vendor, _small(vendor, request) if self._sim.nets.pages == "small" else request)
        town.told(response.effects, number)
        if is_token(vendor, request.path) and response.status == 200:
            tokens = json.loads(response.body)
            self.introduce(tokens["access_token"], town)
            self.introduce(tokens["refresh_token"], town)
        return response

    def _answered(self, process: "Process", customer: str, number: str, met: Met, response: Response) -> HttpAnswer:
        fault = met.fault
        seen = {"arrived": met.arrived, "account": met.account, "granted": met.granted, "fault": fault}
        if fault in ("reset_before", "reset_after"):
            process.tell("RSP", number, customer, **{**_SILENT, **seen}, known=False)
            raise Unanswered("simulated: no answer")
        status, body = response.status, response.body
        headers = {name.lower(): text for name, text in response.headers.items()}
        if fault == "html_after":
            status, body, headers = 200, b"<html>busy</html>", {"content-type": "text/html"}
        elif fault == "503_after":
            status, body, headers = 503, b"", {}
        elif fault == "truncated" and met.granted:
            body = body[: len(body) // 2]
        known = (fault == "" or fault in BEFORE) and status < 500
        said = {
            "status": status,
            "body": "" if met.granted else body.decode("utf-8", "replace"),
            "date": headers.get("date", ""),
            "after": headers.get("retry-after", ""),
            "hour": tuple(headers.get(f"x-ratelimit-{name}", "") for name in ("remaining", "limit", "reset")),
        }
        process.tell("RSP", number, customer, **said, **seen, known=known)
        return HttpAnswer(status, headers, body)

    def next_call(self) -> "asyncio.Future[None]":
        """For whoever waits until a call is under way."""
        waits: asyncio.Future[None] = self._sim.loop.create_future()
        self._waiting.append(waits)
        return waits

    def _told_waiting(self) -> None:
        for waits in self._waiting:
            waits.set_result(None)
        self._waiting.clear()

    def _town(self, vendor: str, request: Request) -> "Town":
        return self._towns[_shown(vendor, request)]


def _shown(vendor: str, request: Request) -> str:
    """The credential of a call: what its vendor tells the account by."""
    if vendor == CONSTANT_CONTACT and is_token(vendor, request.path):
        return dict(parse_qsl(request.body.decode())).get("refresh_token", "")
    return request.headers.get("authorization", "").partition(" ")[2]


def _small(vendor: str, request: Request) -> Request:
    """The same poll, answered in pages of a few rows."""
    if vendor == CONSTANT_CONTACT and request.path == "/v3/contacts" and request.method == "GET":
        asked = {**request.params(), "limit": str(FEW)}
        return replace(request, query=urlencode(asked)) if "cursor" not in asked else request
    if vendor == VIRTUOUS and request.path == "/api/Contact/Query/FullContact":
        asked = {**request.params(), "take": str(FEW)}
        return replace(request, query=urlencode(asked))
    return request


def _granted(vendor: str, request: Request, response: Response) -> tuple[str, ...]:
    """The fingerprints of the tokens that the vendor gave, whether or not they arrive."""
    if not is_token(vendor, request.path) or response.status != 200:
        return ()
    tokens = json.loads(response.body)
    return digested(tokens["access_token"]), digested(tokens["refresh_token"])


def _goes_out(process: "Process", number: str, customer: str, sent: Sent) -> None:
    request = sent.request
    process.tell(
        "OUT",
        number,
        customer,
        vendor=sent.vendor,
        method=request.method,
        path=request.path,
        query="" if sent.token else request.query,
        body="" if sent.token else request.body.decode("utf-8", "replace"),
        write=sent.write,
        host=sent.host,
        token=sent.token,
        credential=digested(_shown(sent.vendor, request)),
        of=holding().customer,
        fence=holding().fence,
    )
