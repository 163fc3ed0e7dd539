"""One incarnation of the product: its ports, its worker, its door. When it dies its ports die first."""

import asyncio
import hashlib
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from keepstep import connectors, worker
from keepstep.model.customer import Cadence, Policy, Route
from keepstep.model.errors import Refused
from keepstep.ports import HttpAnswer, Wake
from keepstep.settings import PLATFORMS, Customer, Settings
from keepstep.settings import Service as ServiceSettings
from keepstep.state.vault import Vault
from keepstep.web.door import Door, Sender
from keepstep.wiring.service import Service
from keepstep_simulator.disk import trouble
from keepstep_simulator.story import digested
from keepstep_simulator.town import TAGS_PREFIX

if TYPE_CHECKING:
    from keepstep_simulator.run import Simulation

PUBLIC = "https://127.0.0.1:9"
_CONNECTORS = connectors.discover()


class Dead(BaseException):
    """Every port of a dead process answers with this; nobody in the product catches it."""


class SimWake:
    """An alarm for one waiter; rung early it is kept."""

    def __init__(self) -> None:
        self.rung = False
        self.waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        self.rung = True
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class SimClock:
    """`keepstep.ports.Clock` on the seeded loop."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    def now(self) -> float:
        self._process.check()
        return self._process.loop.time()

    async def sleep(self, seconds: float) -> None:
        self._process.check()
        await asyncio.sleep(max(seconds, 0.0))
        self._process.check()

    def wake(self) -> SimWake:
        return SimWake()

    async def until(self, at: float | None, woken: Wake) -> None:
        assert isinstance(woken, SimWake)
        self._process.check()
        if not woken.rung and (at is None or at > self._process.loop.time()):
            woken.waiter = self._process.loop.create_future()
            timer = None if at is None else self._process.loop.call_at(at, _done, woken.waiter)
            await woken.waiter
            if timer is not None:
                timer.cancel()
        woken.rung, woken.waiter = False, None
        self._process.check()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._process.spawn(work, name)


def _done(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


class SimChance:
    """`keepstep.ports.Chance`: every draw has its own label, so that two tasks do not disturb each other's."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._count = 0

    def _bytes(self, size: int) -> bytes:
        self._process.check()
        self._count += 1
        label = f"{self._process.seed}:{self._process.number}:{self._count}"
        return hashlib.shake_256(label.encode()).digest(size)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * int.from_bytes(self._bytes(7), "big") / 2**56

    def id(self) -> str:
        return self._bytes(16).hex()

    def token(self, size: int) -> bytes:
        return self._bytes(size)


class Process:
    """The product from boot to death. `number` is its incarnation."""

    def __init__(self, sim: "Simulation", number: int) -> None:
        self.sim, self.number, self.seed, self.loop = sim, number, sim.seed, sim.loop
        self.alive = True
        clock, chance = SimClock(self), SimChance(self)
        self.service = Service(
            settings=_settings(sim.customers, sim.cadence),
            db=sim.disk.open(self._at_commit),
            clock=clock,
            chance=chance,
            http=self._http,
            vault=Vault({"k": b"k" * 32}, "k", chance.token),
            connectors=_CONNECTORS,
        )
        self._door = Door(
            lookup=self._lookup,
            signatures=self.service.signatures,
            db=self.service.db,
            clock=clock,
            chance=chance,
            wake=self.service.wake,
        )

    def start(self) -> None:
        """Begin turns."""
        self.spawn(worker.run(self.service), "run")

    def check(self) -> None:
        """Fence: a dead process does nothing."""
        if not self.alive:
            raise Dead

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """A task that ends with its work; one that fails is a fact."""
        if not self.alive:
            work.close()
            raise Dead
        self.loop.create_task(work, name=name).add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        failure = task.exception()
        if failure is not None and not isinstance(failure, Dead) and self.alive:
            self.sim.tell("TASK", task.get_name(), error=type(failure).__name__)

    def point(self, where: str) -> None:
        """A place where the process may die."""
        self.check()
        if self.sim.chaos.dies(self.loop.time()):
            self.alive = False
            self.sim.died(where)
            raise Dead

    def _at_commit(self, point: Literal["before", "after"], name: str) -> None:
        if point == "before":
            self.point(f"before commit {name}")
        else:
            self.sim.tell("TX", name, rows=self.sim.disk.rows())
            self.point(f"after commit {name}")
        if self.sim.chaos.commit():
            self.sim.tell("FAULT", f"{point} commit", what=name)
            raise trouble(point)

    async def _http(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: float = 30.0,  # noqa: ARG002  the port has it
    ) -> HttpAnswer:
        self.check()
        return await self.sim.network.call(self, method, url, headers, body)

    # the door

    async def _lookup(self, platform: str, token: str) -> Sender | None:
        found = await self.service.sender(platform, token)
        return Sender(*found) if found else None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """One webhook; its status. Raises Dead where the process dies on it."""
        platform, token = urlsplit(url).path.split("/")[2:4]
        given = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "headers": given}
        told: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.check()
                told.append(int(message["status"]))
                self.sim.tell("ACK", digested(body.decode("utf-8", "replace")), status=told[0])

        try:
            await self._door.take(platform, token, scope, receive, send)
        except Refused as refusal:
            told.append(refusal.status)
        except Exception as failure:  # what the web server turns into a 500
            self.sim.tell("FAULT", "door", what=type(failure).__name__)
            told.append(500)
        return told[0]


def _settings(names: tuple[str, ...], cadence: Cadence) -> Settings:
    policy = Policy(contact_tags_prefix=TAGS_PREFIX)
    routes = {name: Route(customer_id=name, policy=policy, cadence=cadence) for name in names}
    known = {name: Customer(id=name, name=name, route=route) for name, route in routes.items()}
    return Settings(service=ServiceSettings(public_url=PUBLIC), platforms=PLATFORMS, customers=known)
