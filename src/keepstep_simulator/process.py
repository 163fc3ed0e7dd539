"""One incarnation of the product: its ports, its worker, its door. When it dies its ports die first."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import replace
from sqlalchemy import Connection, Table

from keepstep import connectors, worker
from keepstep.database.inline import Hook
from keepstep.model.customer import Route
from keepstep.ports import HttpAnswer, Wake
from keepstep.settings import PLATFORMS, Customer, Settings
from keepstep.settings import Service as ServiceSettings
from keepstep.state.vault import Vault
from keepstep.telemetry import trouble_of
from keepstep.web.app import build
from keepstep.web.door import Door, Sender
from keepstep.wiring.service import Service
from keepstep_sandbox.log import VIRTUOUS
from keepstep_simulator.arrival import Arrival
from keepstep_simulator.disk import Watched, trouble
from keepstep_simulator.holding import Holding, begin, holding
from keepstep_simulator.story import digested
from keepstep_simulator.witness import Touched

if TYPE_CHECKING:
    from keepstep_simulator.run import Simulation

P = ParamSpec("P")
T = TypeVar("T")
PUBLIC = "https://127.0.0.1:9"
# Which header holds the signature is disputed: whoever runs the service names it after the first delivery.
SIGNATURES = ("X-Virtuous-Signature", "X-Webhook-Signature")
_CONNECTORS = connectors.discover()
KEYS = {"k": b"k" * 32}


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
        # What runs on after a stop began runs when it is over.
        return max(self._process.loop.time(), self._process.still) + self._process.sim.ahead

    async def sleep(self, seconds: float) -> None:
        self._process.check()
        await asyncio.sleep(max(seconds, 0.0))
        await self._process.stands()

    def wake(self) -> SimWake:
        return SimWake()

    async def until(self, at: float | None, woken: Wake) -> None:
        assert isinstance(woken, SimWake)
        self._process.check()
        if not woken.rung and (at is None or at > self.now()):
            await self._rung(at, woken)
        woken.rung, woken.waiter = False, None
        await self._process.stands()

    async def _rung(self, at: float | None, woken: SimWake) -> None:
        """Until somebody rings, or our clock shows the moment; one that was set meanwhile is looked at again."""
        loop = self._process.loop
        waiter = woken.waiter = loop.create_future()
        timer = None if at is None else loop.call_at(at - self._process.sim.ahead, _done, waiter)
        self._process.waiting.append(waiter)
        await waiter
        self._process.waiting.remove(waiter)
        if timer is not None:
            timer.cancel()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._process.spawn(work, name)


def _is_due(table: str, row: Mapping[str, Any], now: float) -> bool:
    """Whether whoever is free may begin a turn."""
    return table == "slot" and row["holder"] is None and row["wake"] is not None and row["wake"] <= now


def _done(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


class SimChance:
    """`keepstep.ports.Chance`: every draw has its own label, its moment, so that nobody disturbs anybody later."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    def _bytes(self, size: int) -> bytes:
        self._process.check()
        label = f"{self._process.seed}:{self._process.sim.script.here()}"
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
        self.alive, self.still = True, 0.0
        self.waiting: list[asyncio.Future[None]] = []
        clock, chance = SimClock(self), SimChance(self)
        self.service = Service(
            settings=_settings(sim),
            db=SimDatabase(self, self._at_commit),
            clock=clock,
            chance=chance,
            http=self._http,
            vault=Vault(KEYS, "k", chance.token),
            connectors=_CONNECTORS,
        )
        door = Door(
            lookup=self._lookup,
            signatures=self.service.signatures,
            accounts=self.service.accounts,
            db=self.service.db,
            clock=clock,
            chance=chance,
            wake=self.service.wake,
        )
        self._app = build(door)

    def start(self) -> None:
        """Begin turns."""
        self.spawn(self._work(), "run")

    async def _work(self) -> None:
        begin(Holding())
        await worker.run(self.service)

    def check(self) -> None:
        """Fence: a dead process does nothing."""
        if not self.alive:
            raise Dead

    async def stands(self) -> None:
        """Where the process stands still, wait until it goes on; each port begins and ends with this."""
        while self.still > self.loop.time():  # noqa: ASYNC110  it may be stopped again meanwhile
            await asyncio.sleep(self.still - self.loop.time())
        self.check()

    def stand(self, where: str, seconds: float) -> None:
        """Nothing moves in this process for a while; everybody else goes on."""
        self.still = self.loop.time() + seconds
        self.tell("PAUSE", where, seconds=seconds)
        self.loop.call_at(self.still, self._resumes, seconds)

    def _resumes(self, seconds: float) -> None:
        if self.alive and self.still <= self.loop.time():
            self.tell("RESUME", stood=seconds, others=[one.number for one in self.sim.alive if one is not self])

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """A task that ends with its work; one that fails is a fact."""
        if not self.alive:
            work.close()
            raise Dead
        self.loop.create_task(work, name=name).add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        failure = task.exception()
        if failure is not None and not isinstance(failure, Dead) and self.alive:
            place = trouble_of(failure)
            self.tell(
                "TASK", task.get_name(), error=type(failure).__name__, at=f"{place.get('file')}:{place.get('line')}"
            )

    def point(self, where: str, what: str = "") -> None:
        """A place where the process may die, or stand still. `what`: what is half done there."""
        self.check()
        if self.sim.chaos.dies(self.loop.time(), where, what):
            self.die(where)
            raise Dead
        if self.sim.chaos.pauses:
            self.sim.pause(self, where, what)

    def die(self, where: str) -> None:
        """Its ports die first; its coroutines stay where they are."""
        self.alive = False
        self.tell("CRASH", where)
        self.sim.died(self)

    def _at_commit(self, point: Literal["before", "after"], name: str) -> None:
        before = holding().customer, holding().fence
        if point == "before":
            self.point(f"before commit {name}")
        else:
            self.point(f"after commit {name}", self._stored(name))
        if self.sim.chaos.commit(point, name):
            self.tell("FAULT", f"{point} commit", what=name)
            if point == "after" and not holding().operates:
                holding().customer, holding().fence = before  # it never learns what it claimed
            raise trouble(point)

    def _stored(self, name: str) -> str:
        """Tell of a commit; what it was, where it is half of something."""
        rows = self.sim.disk.rows()
        held = holding()
        if rows:
            held.follow(rows, self.sim.fences)
        for table, verb, row in rows:
            if table == "secret":
                row["print"] = self._print(row) if verb != "DELETE" else ""
        if rows:
            self.tell("TX", name, rows=rows, of=held.customer, fence=held.fence)
        if any(_is_due(table, row, self.loop.time() + self.sim.ahead) for table, _verb, row in rows):
            for other in self.sim.alive:  # sees within a second what another process has stored (wiring/between.py)
                if other is not self:
                    other.service.woken.set()
        what = _half(rows)
        if what == "decision":
            self.sim.decided(held.customer)
        return what

    def _print(self, row: dict[str, Any]) -> str:
        """The fingerprint of a secret as it was stored; how it was sealed is nobody's business."""
        place = (row["customer_id"], row["platform"], row["field"])
        sealed = row.pop("ciphertext")
        if sealed is None:
            return ""
        bound = json.dumps(place).encode("ascii")
        return digested(AESGCM(KEYS[row["key_id"]]).decrypt(row.pop("nonce"), sealed, bound).decode())

    def tell(self, kind: str, key: str = "", customer: str = "", **data: Any) -> None:
        """Write down what this process did."""
        self.sim.story.tell(self.loop.time(), self.number, customer, kind, key, **data)

    async def _http(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: float = 30.0,  # noqa: ARG002  the port has it
    ) -> HttpAnswer:
        await self.stands()
        return await self.sim.network.call(self, method, url, headers, body)

    # the door

    async def _lookup(self, platform: str, token: str) -> Sender | None:
        found = await self.service.sender(platform, token)
        return Sender(*found) if found else None

    async def post(self, arrival: Arrival) -> int:
        """One webhook; its status. Raises Dead where the process dies on it."""
        begin(Holding())  # whoever knocks is at work for nobody, whatever set the vendor's alarm off
        given = [(name.lower().encode(), value.encode()) for name, value in arrival.headers.items()]
        scope = {"type": "http", "method": "POST", "path": urlsplit(arrival.url).path, "headers": given}
        key = digested(arrival.body.decode("utf-8", "replace"))
        number = self.sim.arrived()
        self.tell("RECV", key, n=number, **arrival.told())
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": arrival.body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            self.check()
            if message["type"] == "http.response.start":
                status = int(message["status"])
                return
            said = message["body"].decode("utf-8", "replace")
            self.tell("ACK", key, arrival.door, n=number, status=status, body=said)
            if status >= 500:
                self.tell("FAULT", "door", what=str(status))

        await self._app(scope, receive, send)
        return status


def _half(rows: Iterable[Touched]) -> str:
    """What a transaction has begun: something that a call must finish."""
    for table, verb, row in rows:
        if table == "step" and verb == "INSERT":
            return "decision"
        if table == "job" and row["state"] == "sent":
            return "intent"
        if table == "secret" and row["field"] in ("access_token", "refresh_token", "refresh_intent"):
            return "token"
    return ""


class SimDatabase(Watched):
    """The port of one process, which may stand still before it begins a transaction."""

    def __init__(self, process: Process, at: Hook) -> None:
        super().__init__(at, disk=process.sim.disk.engine)
        self._process = process

    async def run(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._process.still:
            await self._process.stands()
        return await super().run(fn, *args, **kwargs)

    async def append(self, table: Table, row: Mapping[str, Any]) -> None:
        if self._process.still:
            await self._process.stands()
        await super().append(table, row)


def _settings(sim: "Simulation") -> Settings:
    routes = {name: Route(customer_id=name, policy=sim.policy, cadence=sim.cadence) for name in sim.customers}
    known = {name: Customer(id=name, name=name, route=route) for name, route in routes.items()}
    virtuous = replace(PLATFORMS[VIRTUOUS], signature_headers=SIGNATURES)
    platforms = {**PLATFORMS, VIRTUOUS: virtuous}
    public = PUBLIC if sim.nets.webhooks != "none" else ""
    return Settings(service=ServiceSettings(public_url=public), platforms=platforms, customers=known)
