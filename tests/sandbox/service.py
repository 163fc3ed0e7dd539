"""A tiny service for tests of the sandbox: it keeps the clock's protocol and syncs in the crudest way that is right.

It is in-process and stateful enough to stand where the product will stand; nothing of the product is used.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web


class FakeService:
    """Joins the clock, wakes every `period` virtual seconds, does `work`, and remembers the webhooks it got."""

    def __init__(self, period: float, work: Callable[[float], Awaitable[None]]) -> None:
        self.period, self.work = period, work
        self.now = 0.0
        self.due = 0.0
        self.told: list[float] = []
        self.webhooks: list[tuple[float, dict[str, Any]]] = []
        self.webhook_status = 200
        self._runner: web.ServerRunner | None = None
        self.url = ""

    async def start(self, control: str, session: aiohttp.ClientSession) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        async with session.get(f"{control}/time") as answer:
            self.now = self.due = (await answer.json())["now"]
        async with session.post(f"{control}/clock/join", json={"address": f"{self.url}/clock"}) as answer:
            assert answer.status == 200

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = json.loads(await request.read())
        if request.path == "/clock":
            self.now = body["now"]
            self.told.append(self.now)
            while self.due <= self.now:
                self.due += self.period
                await self.work(self.now)
            return web.json_response({"now": self.now, "next_due": self.due})
        self.webhooks.append((self.now, body))
        return web.Response(status=self.webhook_status)


async def nothing(_now: float) -> None:
    await asyncio.sleep(0)
