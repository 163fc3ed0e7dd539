"""Joining the clock of a stand-in. Settings have made sure that every address is this machine's own."""

import json

from keepstep.model.errors import Misconfigured
from keepstep.model.instant import Instant
from keepstep.ports import Http
from keepstep.settings import Settings


async def join_control_door(http: Http, settings: Settings) -> Instant:
    """The moment it is at the control door, which from now on moves this process' clock through its own `/clock`."""
    door = (settings.service.clock or "").rstrip("/")
    answer = await http("GET", f"{door}/time", {})
    if answer.status != 200:
        raise Misconfigured((f"KEEPSTEP_CLOCK: {door} does not tell the time; start keepstep-sandbox first",))
    return float(json.loads(answer.body)["now"])


async def announce(http: Http, settings: Settings, port: int) -> None:
    """Tell the control door where this process' clock is."""
    door = (settings.service.clock or "").rstrip("/")
    address = {"address": f"http://127.0.0.1:{port}/clock"}
    await http("POST", f"{door}/clock/join", {"content-type": "application/json"}, json.dumps(address).encode())
