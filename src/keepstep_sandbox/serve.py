"""The program: both vendors and the control door on loopback ports, in one process and one event loop."""

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from keepstep_sandbox.control import Control
from keepstep_sandbox.faults import HELD
from keepstep_sandbox.http import Request, Response
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS

HOST = "127.0.0.1"
DOORS = ("constant_contact", "constant_contact_auth", "virtuous", "control")
LARGEST_BODY = 64 * 1024 * 1024
Shell = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def serve(port_base: int | None, ports_file: Path | None, seed: int, wall: bool, stop: asyncio.Event) -> None:
    """Run until `stop` is set. Prints, or writes to `ports_file`, the base URLs and a first customer's credentials."""
    async with aiohttp.ClientSession() as session:
        control = Control(session, seed, time.time() if wall else None)
        urls, runners = await _opened(control, port_base)
        _announced({**urls, "credentials": control.credentials}, ports_file)
        ticking = asyncio.get_running_loop().create_task(_ticking(control)) if wall else None
        try:
            await stop.wait()
        finally:
            if ticking is not None:
                ticking.cancel()
            control.clock.leave()
            control.clock.release(answered=False)
            for runner in runners:
                await runner.cleanup()


def run(port_base: int | None, ports_file: Path | None, seed: int, wall: bool) -> None:
    """Serve in the foreground until SIGINT or SIGTERM."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(port_base, ports_file, seed, wall, stop)

    try:
        import uvloop
    except ImportError:  # not on Windows
        asyncio.run(main())
    else:
        uvloop.run(main())


async def _opened(control: Control, port_base: int | None) -> tuple[dict[str, str], list[web.ServerRunner]]:
    shells: dict[str, Shell] = {
        "constant_contact": partial(_vendor, control, CONSTANT_CONTACT),
        "constant_contact_auth": partial(_vendor, control, CONSTANT_CONTACT),
        "virtuous": partial(_vendor, control, VIRTUOUS),
        "control": control.handle,
    }
    urls, runners = {}, []
    for offset, name in enumerate(DOORS):
        runner = web.ServerRunner(
            web.Server(shells[name], request_factory=_large, access_log=None), shutdown_timeout=1.0
        )
        await runner.setup()
        await web.TCPSite(runner, HOST, 0 if port_base is None else port_base + offset).start()
        urls[name] = f"http://{HOST}:{runner.addresses[0][1]}"
        runners.append(runner)
    return urls, runners


async def _vendor(control: Control, vendor: str, request: web.BaseRequest) -> web.StreamResponse:
    """One vendor's HTTP shell: nothing is decided here."""
    path, _, query = request.raw_path.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    heard = Request(request.method, path, query, headers, await request.read())
    n = len(control.world.log.arrivals)
    response = control.world.call(vendor, heard)
    if response.delay == HELD:
        response = await control.clock.hold(n)
    return _sent(request, response)


def _sent(request: web.BaseRequest, response: Response) -> web.StreamResponse:
    if response.drop:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    return web.Response(status=response.status, headers=dict(response.headers), body=response.body)


def _large(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """A request whose body may be as large as the vendors' imports."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY)


def _announced(value: dict[str, Any], ports_file: Path | None) -> None:
    text = json.dumps(value)
    if ports_file is None:
        print(text, flush=True)
        return
    half = ports_file.with_suffix(".half")
    half.write_text(text, encoding="utf-8")
    half.replace(ports_file)  # whoever waits for the file never reads half of it


async def _ticking(control: Control) -> None:
    """Wall-clock mode: the sandbox follows the machine's time, for a service that knows nothing of our clock."""
    while True:
        await control.clock.advance(max(control.world.now, time.time()))
        await asyncio.sleep(0.2)
