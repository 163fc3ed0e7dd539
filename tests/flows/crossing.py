"""The product and both stand-ins in one process, without sockets: time moves only when the product waits."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any
from urllib.parse import urlsplit

from keepstep import connectors, worker
from keepstep.database import Inline
from keepstep.model.customer import Route
from keepstep.ports import HttpAnswer, Wake
from keepstep.settings import PLATFORMS, Customer, Service as ServiceSettings, Settings
from keepstep.state.vault import Secret, Vault
from keepstep.wiring.service import Service
from keepstep_sandbox.constant_contact import ConstantContact
from keepstep_sandbox.http import Request
from keepstep_sandbox.virtuous import Virtuous

START = 1_750_000_000.0
CUSTOMER = "acme"


class StillClock:
    """Time for one task: waiting moves it at once."""

    def __init__(self) -> None:
        self.at = START
        self.limit = float("inf")

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += max(seconds, 0.0)

    def wake(self) -> Any:
        return None

    async def until(self, at: float | None, woken: Wake) -> None:
        self.at = max(self.at, at or self.at)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        raise AssertionError("nothing is spawned here")


class Counted:
    """Randomness without chance."""

    def __init__(self) -> None:
        self.n = 0

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2

    def id(self) -> str:
        self.n += 1
        return f"id{self.n:06d}"

    def token(self, size: int) -> bytes:
        self.n += 1
        return self.n.to_bytes(size, "big")


class Crossing:
    """One customer, both vendors, the product: `await day()` lets virtual time pass."""

    def __init__(self, cc: Mapping[str, str] | None = None, v: Mapping[str, str] | None = None) -> None:
        self.clock = StillClock()
        self.cc = ConstantContact(cc)
        self.v = Virtuous(v)
        self.calls: list[tuple[float, str, str, str, int, int]] = []
        connected = self.cc.add_account(CUSTOMER, "client", "secret", START)
        self.v.add_organization(CUSTOMER, "v_key", START)
        self.refresh_token = connected["refresh_token"]
        self.service = Service(
            settings=Settings(
                service=ServiceSettings(public_url="http://127.0.0.1:9"),
                platforms=PLATFORMS,
                customers={CUSTOMER: Customer(id=CUSTOMER, name=CUSTOMER, route=Route(customer_id=CUSTOMER))},
            ),
            db=Inline(),
            clock=self.clock,
            chance=Counted(),
            http=self.http,
            vault=Vault({"k": b"k" * 32}, "k", Counted().token),
            connectors=connectors.discover(),
        )

    async def http(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        parts = urlsplit(url)
        vendor = self.v if "virtuous" in parts.netloc else self.cc
        lowered = {name.lower(): value for name, value in headers.items()}
        answer = vendor.handle(Request(method, parts.path, parts.query, lowered, body), self.clock.at)
        self.calls.append((self.clock.at, parts.netloc, method, parts.path, answer.status, len(answer.effects)))
        return HttpAnswer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.body)

    async def connect(self) -> None:
        secrets = {"client_id": "client", "client_secret": "secret", "refresh_token": self.refresh_token}
        await self.service.add_customer(CUSTOMER, "constant_contact", {k: Secret(v) for k, v in secrets.items()})
        await self.service.add_customer(CUSTOMER, "virtuous", {"api_key": Secret("v_key")})

    async def until(self, at: float, most: int = 100_000) -> int:
        """Let the product work until a moment; the number of turns."""
        from keepstep import queue

        turns = 0
        while turns < most:
            if await worker.work(self.service, "me") is not None:
                turns += 1
                continue
            due = await self.service.db.run(queue.next_claim)
            if due is None or due > at:
                break
            self.clock.at = max(self.clock.at, due)
        self.clock.at = max(self.clock.at, at)
        return turns

    def passes(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(work)
