"""uvicorn inside a loop that is already running, with the deadline for headers that it lacks."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keepstep.web.answers import REQUEST_SECONDS, App

_MOST_HEADER_BYTES = 65_536
_KEEP_ALIVE_SECONDS = 15
_GOODBYE_SECONDS = 5


class Impatient(HttpToolsProtocol):
    """Closes a connection whose request line and headers are not whole in time, or too long.

    uvicorn waits for ever for both, so one slow sender per socket could hold them all.
    """

    _deadline: asyncio.TimerHandle | None = None
    _unread: int = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline is not None:
            self._unread += len(data)
            # A body may share the last packet with its headers, so only what came before this packet is surely headers.
            if self._unread - len(data) > _MOST_HEADER_BYTES:
                self._close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._start()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop()
        super().on_headers_complete()

    def _start(self) -> None:
        if self._deadline is None:
            self._unread = 0
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self._close)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._stop()
        if not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """Signals belong to the process, not to one of its doors."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def listening(app: App, host: str, port: int) -> AsyncIterator[int]:
    """Listen while the block runs.

    Gives the port, which the system chooses if 0 is asked for. Raises OSError if it is taken.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http=Impatient,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GOODBYE_SECONDS,
        )
    )
    door = _bound(host, port)
    task = asyncio.create_task(server.serve(sockets=[door]), name="web")
    try:
        await asyncio.wait({task, asyncio.create_task(server.up.wait())}, return_when=asyncio.FIRST_COMPLETED)
        yield int(door.getsockname()[1])
    finally:
        server.should_exit = True
        await task
        door.close()


async def serve(app: App, host: str, port: int) -> None:
    """Listen until cancelled."""
    async with listening(app, host, port):
        await asyncio.Event().wait()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on and every answer on a kept connection waits 40 ms for an ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
