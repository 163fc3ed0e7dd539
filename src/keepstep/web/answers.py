"""ASGI in small: reading a request whole within limits, and constant answers."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from keepstep.model.errors import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Virtuous sends many records in one delivery; a consumer in production allows 5 MB (Virtuous facts 13.3).
MOST_BODY = 5 * 1024 * 1024
REQUEST_SECONDS = 10.0

_WORDS = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    503: "busy",
}


class Gone(Exception):
    """The sender hung up: nobody is left to answer."""


async def body_of(scope: Scope, receive: Receive, most: int = MOST_BODY) -> bytes:
    """The whole body. Raises Refused 413 as soon as it is too long, Refused 408 when it is not whole in time, Gone."""
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if length.isdigit() and (len(length) > 12 or int(length) > most):
        raise Refused(413, "body too large")
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            return await _received(receive, most)
    except TimeoutError:
        raise Refused(408, "body not whole in time") from None


async def _received(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > most:
            raise Refused(413, "body too large")
        if not message.get("more_body", False):
            return bytes(body)


async def say(send: Send, status: int, value: Any = None, retry_after: int | None = None) -> None:
    """One JSON answer; of an error the words depend on nothing but the status, so that they tell a stranger nothing."""
    text = msgspec.json.encode({"error": _WORDS.get(status, "error")} if status >= 400 else value)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    if status in (404, 405, 408, 413):
        # The rest of the body was not read and is not going to be.
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
