"""The HTTP port of a simulated process: the stand-ins are called straight, with latency and with faults."""

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from keepstep.model.errors import Transient, Unanswered
from keepstep.ports import HttpAnswer
from keepstep_sandbox.credentials import is_token
from keepstep_sandbox.faults import is_write
from keepstep_sandbox.http import Request, Response
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.chaos import BEFORE
from keepstep_simulator.story import stream

if TYPE_CHECKING:
    from keepstep_simulator.process import Process
    from keepstep_simulator.run import Simulation
    from keepstep_simulator.town import Town

_REFUSED = {"500": ("500", 0.0), "503": ("503", 0.0), "429": ("rate_limited", 20.0)}


class Network:
    """Finds whose vendor is meant by the credential, as the vendors do."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim = sim
        self._towns: dict[str, Town] = {}
        self._latency = stream(sim.seed, "latency")
        self._count = 0

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
        process.point(f"before call {method} {request.path}")
        shown = {} if token else {"query": request.query, "body": body.decode("utf-8", "replace")}
        self._sim.tell(
            "OUT", number, town.customer, vendor=vendor, method=method, path=request.path, write=write, **shown
        )
        fault = self._sim.chaos.call(f"{town.customer} {method} {request.path}")
        if fault:
            self._sim.tell("FAULT", number, town.customer, what=fault)
        await asyncio.sleep(self._latency.uniform(0.01, 0.4))
        if fault == "unreached":
            self._sim.tell("RSP", number, town.customer, status=None, body="", date="", known=True)
            raise Transient("simulated: not reached")
        if not write:
            town.agitate()
        response = self._arrives(town, vendor, request, fault, number)
        if write:
            town.agitate()
        process.point(f"after effect of {method} {request.path}")
        await asyncio.sleep(self._latency.uniform(0.01, 0.4))
        process.check()
        answer = self._answered(town, number, fault, response)
        process.point(f"after answer of {method} {request.path}")
        return answer

    def _arrives(self, town: "Town", vendor: str, request: Request, fault: str, number: str) -> Response:
        kind, seconds = _REFUSED.get(fault, (fault, 0.0))
        if kind == "rate_limited" and vendor == CONSTANT_CONTACT:
            kind = "throttled"
        if kind in ("reset_before", "rate_limited", "throttled", "500", "503", "truncated"):
            town.world.faults.arm(kind, seconds=seconds)
        town.catch_up()
        response = town.world.call(vendor, request)
        town.told(response.effects, number)
        if is_token(vendor, request.path) and response.status == 200:
            tokens = json.loads(response.body)
            self.introduce(tokens["access_token"], town)
            self.introduce(tokens["refresh_token"], town)
        return response

    def _answered(self, town: "Town", number: str, fault: str, response: Response) -> HttpAnswer:
        if fault in ("reset_before", "reset_after"):
            self._sim.tell("RSP", number, town.customer, status=None, body="", date="", known=False)
            raise Unanswered("simulated: no answer")
        status, body = response.status, response.body
        headers = {name.lower(): text for name, text in response.headers.items()}
        if fault == "html_after":
            status, body, headers = 200, b"<html>busy</html>", {"content-type": "text/html"}
        elif fault == "503_after":
            status, body, headers = 503, b"", {}
        known = (fault == "" or fault in BEFORE) and status < 500
        text = body.decode("utf-8", "replace")
        date = headers.get("date", "")
        self._sim.tell("RSP", number, town.customer, status=status, body=text, date=date, known=known)
        return HttpAnswer(status, headers, body)

    def _town(self, vendor: str, request: Request) -> "Town":
        secret = request.headers.get("authorization", "").partition(" ")[2]
        if vendor == CONSTANT_CONTACT and is_token(vendor, request.path):
            secret = dict(parse_qsl(request.body.decode())).get("refresh_token", "")
        return self._towns[secret]
