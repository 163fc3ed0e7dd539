"""The ASGI application: which path leads to which door."""

import math

import msgspec

from keepstep import telemetry
from keepstep.model.errors import Refused
from keepstep.web import connect
from keepstep.web.answers import App, Gone, Receive, Scope, Send, body_of, say
from keepstep.web.door import Door

_MOST_CLOCK_BODY = 1_000
_RETRY_SECONDS = 5


def build(door: Door) -> App:
    """An ASGI app: POST /hooks/{platform}/{token} and /partner/{platform}/{token}, the pages below /connect, GET
    /health and /ready, and POST /clock in virtual time.

    No input is answered with a 5xx; 503 with Retry-After means that the sender should come back.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await _answered(door, scope, receive, send)
            case "lifespan":
                await _lifespan(receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1000})

    return app


async def _answered(door: Door, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await _routed(door, scope, receive, send)
    except Refused as refused:
        await say(send, refused.status)
    except Gone:
        return
    except Exception as error:  # our own trouble, a full disk: the vendor keeps the delivery and repeats it
        telemetry.note(telemetry.Process.failed, source="web", **telemetry.trouble_of(error))
        await say(send, 503, retry_after=_RETRY_SECONDS)


async def _routed(door: Door, scope: Scope, receive: Receive, send: Send) -> None:
    parts = scope["path"].split("/")[1:]
    match [scope["method"], *parts]:
        case ["POST", "hooks", platform, token]:
            await door.take(platform, token, scope, receive, send)
        case ["POST", "partner", platform, token] if door.partner is not None:
            await door.partner.take(platform, token, scope, receive, send)
        case [_, "hooks" | "partner", _, _]:
            raise Refused(405, "deliveries are posted")
        case [_, "connect", *rest] if door.connecting is not None:
            await connect.routed(door.connecting, scope, rest, send)
        case ["GET" | "HEAD", "health"]:
            await say(send, 200, {"status": "ok"})
        case ["GET" | "HEAD", "ready"]:
            await _ready(door, send)
        case ["POST", "clock"] if door.advance is not None:
            await _clock(door, scope, receive, send)
        case _:
            raise Refused(404, "nothing here")


async def _ready(door: Door, send: Send) -> None:
    if door.ready is None or await door.ready():
        await say(send, 200, {"status": "ready"})
    else:
        await say(send, 503, retry_after=_RETRY_SECONDS)


async def _clock(door: Door, scope: Scope, receive: Receive, send: Send) -> None:
    """`{"now": t}` sets the virtual clock and answers once everything that was due has happened."""
    assert door.advance is not None
    try:
        said = msgspec.json.decode(await body_of(scope, receive, _MOST_CLOCK_BODY), type=dict[str, float])
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Refused(400, "no JSON object") from None
    if not math.isfinite(said.get("now", math.nan)):
        raise Refused(400, "no moment")
    next_due = await door.advance(said["now"])
    await say(send, 200, {"now": door.clock.now(), "next_due": next_due})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
