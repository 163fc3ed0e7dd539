"""One seed: chaos, healing, quiescence, and what the checkers say."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import OperationalError

from keepstep.model.customer import Cadence
from keepstep.wiring.service import Service
from keepstep_sandbox.judge import judge
from keepstep_sandbox.people import ZONE as WEEK_ZONE
from keepstep_sandbox.people import Person
from keepstep_sandbox.world import START, next_midnight
from keepstep_simulator import disputes
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.checkers import CHECKERS
from keepstep_simulator.disk import Disk
from keepstep_simulator.loop import SeededLoop, Stalled
from keepstep_simulator.network import Network
from keepstep_simulator.process import Dead, Process
from keepstep_simulator.story import Endless, Fact, Story, Violation, stream
from keepstep_simulator.town import Town

HOUR, DAY = 3600.0, 86_400.0
ZONES = ("America/New_York", "America/Los_Angeles", "America/Chicago", "UTC")
DOOR_SECONDS = 10.0
OPERATOR_HOURS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a seed is made of; what is None is drawn, switches from those rows in which every two values meet.

    `people` and `deeds` (least, most) are for each customer. `week`: the stand-ins' own week instead of drawn deeds.
    `crowd`: these people and nobody else, and nothing happens but what a caller does (hands.py).
    """

    customers: int | None = None
    cadence: Cadence | None = None
    people: tuple[int, int] = (9, 16)
    deeds: tuple[int, int] = (4, 14)
    nights: int = 3
    agitation: float | None = None
    chaos: Chaos | None = None
    switches: Mapping[str, Mapping[str, str]] | None = None
    week: bool = False
    crowd: tuple[Person, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed came to. `premises`: how often each checker had something to check. `asked`: (vendor, switch) of
    every disputed fact that mattered."""

    seed: int
    digest: str
    violations: tuple[Violation, ...]
    premises: dict[str, int]
    virtual_days: float
    calls: int
    crashes: int
    faults: int
    points: int
    asked: frozenset[tuple[str, str]]
    story: Story


class Simulation:
    """Everything of one seed."""

    def __init__(self, seed: int, plan: Plan) -> None:
        dice = stream(seed, "simulation")
        self.seed, self.plan = seed, plan
        self.loop = SeededLoop(stream(seed, "schedule"), START)  # type: ignore[abstract]
        self.story, self.disk = Story(), Disk()
        self.zone = WEEK_ZONE if plan.week else dice.choice(ZONES)
        self.switches = disputes.of_seed(seed) if plan.switches is None else plan.switches
        self.agitation = dice.choice((0.0, 0.3, 0.7)) if plan.agitation is None else plan.agitation
        self.midnights = _midnights(self.zone, plan.nights)
        self.quiet = self.midnights[-2] - HOUR
        self.end = self.midnights[-1] + 2 * HOUR
        self.chaos_span = START + 600, self.quiet - HOUR
        self.chaos = plan.chaos or Chaos.drawn(seed, *self.chaos_span)
        self.process: Process | None = None
        self.boots = 0
        self.network = Network(self)
        count = plan.customers or dice.choice((1, 1, 1, 1, 2))
        self.customers = tuple(f"customer-{number}" for number in range(count))
        self.cadence = plan.cadence or _cadence(dice)
        sizes = [(dice.randint(*plan.people), dice.randint(*plan.deeds)) for _ in self.customers]
        self.towns = [Town(self, name, number, *sizes[number]) for number, name in enumerate(self.customers)]
        self._pauses = stream(seed, "pauses")

    def tell(self, kind: str, key: str = "", customer: str = "", **data: Any) -> Fact:
        """Write one fact down."""
        number = self.process.number if self.process is not None else 0
        return self.story.tell(self.loop.time(), number, customer, kind, key, **data)

    async def play(self) -> None:
        """The whole seed."""
        await self.begin()
        await asyncio.sleep(max(self.quiet - self.loop.time(), 0.0))
        self.chaos.heal()
        for town in self.towns:
            if not self.plan.week:  # a week says so itself
                town.world.note("week", "", "quiet")
        await asyncio.sleep(self.end - self.loop.time())
        await self.close()

    async def begin(self) -> None:
        """The first incarnation, the customers' consents, and from now on chaos."""
        self.boot()
        assert self.process is not None
        for town in self.towns:
            await town.connect(self.process)
            town.plan()
        self.chaos.begin()
        self.process.start()
        self.loop.create_task(self._operate())

    async def close(self) -> None:
        """The judge's opinion of every customer, and what is stored."""
        for town in self.towns:
            await self._judge(town)
        self.tell("END", stored=self.disk.deliveries())

    async def _operate(self) -> None:
        """An operator looks now and then whether an account must be connected again: who dies between the vendor's
        new refresh token and the disk has lost the grant, and nothing but a new consent helps (CC facts 2.4)."""
        while True:
            await asyncio.sleep(OPERATOR_HOURS * HOUR)
            for town in self.towns:
                process = self.process
                try:
                    if process is not None and process.alive:
                        await town.reconnect(process)
                except (Dead, OperationalError):
                    pass

    async def _judge(self, town: Town) -> None:
        assert self.process is not None
        town.catch_up()
        service: Service = self.process.service
        claims = await service.claims(town.customer)
        status = (await service.status(town.customer))["customers"][0]
        report = judge(town.world, claims, status["dead_letters"])
        self.tell("JUDGED", "", town.customer, report=report, waiting=town.waiting())

    # life and death

    def boot(self) -> None:
        """A new incarnation on the same disk."""
        self.boots += 1
        self.process = Process(self, self.boots)
        self.tell("BOOT", stored=self.disk.deliveries())

    def died(self, where: str) -> None:
        """The process is dead; another is started after a while."""
        self.tell("CRASH", where)
        self.loop.call_later(self._pauses.choice((1.0, 20.0, 400.0)), self._again)

    def _again(self) -> None:
        self.boot()
        assert self.process is not None
        self.process.start()

    async def posted(self, process: Process, delivery: Any) -> int | None:
        """The status of one webhook, None where nobody answers in time."""
        answered: asyncio.Future[int | None] = self.loop.create_future()

        async def post() -> None:
            try:
                status = await process.post(delivery.url, delivery.headers, delivery.body)
            except BaseException:
                if not answered.done():
                    answered.set_result(None)
                raise
            if not answered.done():
                answered.set_result(status)

        process.spawn(post(), "post")
        self.loop.call_later(DOOR_SECONDS, lambda: None if answered.done() else answered.set_result(None))
        return await answered


def simulate(seed: int, plan: Plan | None = None) -> Outcome:
    """Run one seed and check it."""
    sim = Simulation(seed, plan or Plan())
    try:
        sim.loop.run(sim.play())
    except (Stalled, Endless) as stalled:
        sim.story.facts.pop()
        sim.tell("TASK", "loop", error=str(stalled))
    finally:
        if sim.process is not None:
            sim.process.alive = False
        sim.loop.bury()
    return _outcome(sim)


def _outcome(sim: Simulation) -> Outcome:
    found: list[Violation] = []
    premises: dict[str, int] = {}
    for name, check in CHECKERS.items():
        violations, premises[name] = check(sim.story.facts)
        found += violations
    kinds = [fact.kind for fact in sim.story.facts]
    return Outcome(
        sim.seed,
        sim.story.digest,
        tuple(found),
        premises,
        round((sim.end - START) / DAY, 2),
        kinds.count("OUT"),
        kinds.count("CRASH"),
        kinds.count("FAULT"),
        sim.chaos.points,
        frozenset(pair for town in sim.towns for pair in town.asked()),
        sim.story,
    )


def _cadence(dice: random.Random) -> Cadence:
    """How often each seed polls: a net that is always on hides what another one misses."""
    usual = Cadence()
    return Cadence(
        opted_out=usual.opted_out * dice.choice((1.0, 8.0, 8.0, 8.0)),
        changed=usual.changed * dice.choice((1.0, 4.0, 4.0)),
        lists=usual.lists * dice.choice((1.0, 4.0, 4.0, 4.0)),
        crm_changed=usual.crm_changed * dice.choice((1.0, 4.0, 4.0)),
    )


def _midnights(zone: str, count: int) -> Sequence[float]:
    found = [next_midnight(START, zone)]
    while len(found) < count:
        found.append(next_midnight(found[-1], zone))
    return found
