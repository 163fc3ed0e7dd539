"""One seed: chaos, healing, quiescence, and what the checkers say."""

import asyncio
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from keepstep.model.customer import Cadence, Policy
from keepstep.wiring.service import Service
from keepstep_sandbox.judge import judge
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION, Person
from keepstep_sandbox.people import ZONE as WEEK_ZONE
from keepstep_sandbox.world import START, next_midnight
from keepstep_simulator import disputes, holding, marks, swarm
from keepstep_simulator.acts import Act
from keepstep_simulator.arrival import Arrival
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.disk import Disk
from keepstep_simulator.hearing import listening
from keepstep_simulator.holding import Holding
from keepstep_simulator.invariants import checked
from keepstep_simulator.loop import SeededLoop, Stalled
from keepstep_simulator.mishaps import Mishaps
from keepstep_simulator.network import Network
from keepstep_simulator.operators import Operator
from keepstep_simulator.process import Process
from keepstep_simulator.script import Script, Turns, settings_of
from keepstep_simulator.server import Server
from keepstep_simulator.story import Endless, Fact, Final, Story, Violation, stream
from keepstep_simulator.swarm import Nets
from keepstep_simulator.town import Town
from keepstep_simulator.visitors import Visitors

HOUR, DAY = 3600.0, 86_400.0
ZONES = ("America/New_York", "America/Los_Angeles", "America/Chicago", "UTC")
DOOR_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a seed is made of; what is None is drawn, switches from those rows in which every two values meet.

    `people` (least, most) are for each customer. `deeds`: whether anybody does anything. `mishaps`: whether anything
    befalls the process beside what `chaos` says. `week`: the stand-ins' own week instead of drawn deeds.
    `only`: the labels of the script that are played, if not all (script.py).
    `crowd`: these people and nobody else, and nothing happens but what a caller does (hands.py). `acts`: what is done
    beside everything drawn. `given`: draws by label that are what they are said to be.
    `server`: URL of a PostgreSQL that is the disk (server.py); empty: SQLite in memory.
    """

    customers: int = 2
    cadence: Cadence | None = None
    nets: Nets | None = None
    policy: Policy | None = None
    people: tuple[int, int] = (10, 10)
    deeds: bool = True
    mishaps: bool = True
    nights: int = 3
    agitation: float | None = None
    chaos: Chaos | None = None
    switches: Mapping[str, Mapping[str, str]] | None = None
    week: bool = False
    only: frozenset[str] | None = None
    crowd: tuple[Person, ...] = ()
    acts: tuple[Act, ...] = ()
    given: Mapping[str, float] = field(default_factory=dict)
    server: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed came to. `premises`: how often each checker had something to check. `asked`: (vendor, switch) of
    every disputed fact that mattered."""

    seed: int
    violations: tuple[Violation, ...]
    premises: dict[str, int]
    virtual_days: float
    calls: int
    crashes: int
    faults: int
    points: int
    asked: frozenset[tuple[str, str]]
    story: Story
    script: Script

    @property
    def digest(self) -> str:
        """Equal for equal stories."""
        return self.story.digest

    @property
    def marks(self) -> frozenset[str]:
        """What must happen sometimes, and did (marks.py)."""
        return marks.of(self.story)


class Simulation:
    """Everything of one seed."""

    def __init__(self, seed: int, plan: Plan) -> None:
        dice = stream(seed, "simulation")
        self.seed, self.plan = seed, plan
        self.script = Script(seed, plan.only, given=plan.given)
        self.loop = SeededLoop(Turns(self.script), START)  # type: ignore[abstract]
        self.script.clock = self.loop.time
        self.story = Story()
        self.disk: Disk | Server = Server(plan.server) if plan.server else Disk()
        self.zone = WEEK_ZONE if plan.week else dice.choice(ZONES)
        self.switches = settings_of(self.script, disputes.of_seed(seed) if plan.switches is None else plan.switches)
        self.agitation = dice.choice((0.0, 0.3, 0.7)) if plan.agitation is None else plan.agitation
        self.midnights = _midnights(self.zone, plan.nights)
        self.quiet = self.midnights[-2] - HOUR
        self.end = max(self.midnights[-1] + 2 * HOUR, START + plan.nights * DAY)
        self.chaos_span = START + 600, self.quiet - HOUR
        self.chaos = deepcopy(plan.chaos) or Chaos.drawn(seed, *self.chaos_span)
        self.chaos.script = self.script
        self.nets = plan.nets or (Nets() if plan.week or plan.crowd else swarm.nets(self.script, self.switches))
        self.chaos.mended = self.nets.operator == "mends"
        self.policy = plan.policy or self._policy()
        self.cadence = plan.cadence or (Cadence() if plan.week else swarm.cadence(self.script, self.nets))
        self.process: Process | None = None
        self.away: float | None = None  # how long a dead process stays away; drawn where None
        self.alive: list[Process] = []
        self.fences: dict[str, int] = {}
        self.boots = self._arrivals = 0
        self.ahead = 0.0
        self._saved: Any = b""
        self.network, self.visitors = Network(self), Visitors(self)
        sizes = [dice.randint(*plan.people) for _ in range(plan.customers)]
        numbers = [number for number in range(plan.customers) if self.script.plays(f"customer {number}")]
        self.customers = tuple(f"customer-{number}" for number in numbers)
        self.towns = [Town(self, f"customer-{number}", number, sizes[number]) for number in numbers]

    def _policy(self) -> Policy:
        usual = Policy(contact_tags_prefix=swarm.TAGS_PREFIX)
        return usual if self.plan.week or self.plan.crowd else swarm.policy(self.script, self.nets)

    def tell(self, kind: str, key: str = "", customer: str = "", **data: Any) -> Fact:
        """Write one fact down."""
        number = self.process.number if self.process is not None else 0
        return self.story.tell(self.loop.time(), number, customer, kind, key, **data)

    def hears(self, event: str, line: str) -> None:
        """A line of the service's log."""
        self.tell("LOG", event, line=line)

    async def play(self) -> None:
        """The whole seed."""
        await self.begin()
        await asyncio.sleep(max(self.quiet - self.loop.time(), 0.0))
        self.heal()
        for town in self.towns:
            if not self.plan.week:  # a week says so itself
                town.world.note("week", "", "quiet")
        await asyncio.sleep(self.end - self.loop.time())
        await self.close()

    async def begin(self) -> None:
        """The first incarnation, the customers' consents, and from now on chaos."""
        self.tell(
            "PLAN",
            nets=asdict(self.nets),
            cadence=asdict(self.cadence),
            policy=asdict(self.policy),
            zone=self.zone,
            customers=self.customers,
            quiet=self.quiet,
            end=self.end,
        )
        self.boot()
        assert self.process is not None
        for town in self.towns:
            holding.begin(Holding(town.customer, operates=True))
            town.acts.begin()
            await town.connect(self.process)
            town.plan()
        self.chaos.begin()
        self.process.start()
        Operator(self).begin()
        if self.plan.mishaps and not (self.plan.week or self.plan.crowd):
            self._befall()

    def _befall(self) -> None:
        mishaps = Mishaps.drawn(self.script, *self.chaos_span, self.end)
        self.chaos.pauses = mishaps.pauses
        mishaps.arm(self)
        self.visitors.begin()
        if self.nets.workers == "two":
            self._again()

    def heal(self) -> None:
        """From here nothing goes wrong any more."""
        self.chaos.heal()
        self.skew(0.0)
        for one in self.alive[:-1]:
            one.die("the second process is stopped")
        self.tell("HEAL")

    async def close(self) -> None:
        """The judge's opinion of every customer, and what is stored."""
        for town in self.towns:
            await self._judge(town)
        self.tell("END", stored=self.disk.deliveries())
        self.story.final = Final(
            store=self.disk.tables(),
            audience={town.customer: town.world.constant_contact.contacts(ACCOUNT) for town in self.towns},
            crm={town.customer: town.world.virtuous.contacts(ORGANIZATION) for town in self.towns},
        )

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
        double = bool(self.alive)
        self.process = Process(self, self.boots)
        self.alive.append(self.process)
        self.tell("BOOT", stored=self.disk.deliveries(), double=double)

    def died(self, process: Process) -> None:
        """A process is dead; another is started after a while where no other one is left."""
        self.alive.remove(process)
        if self.alive:
            self.process = self.alive[-1]
            return
        away = self.away or self.script.pick(f"dead {self.script.here()}", (1.0, 20.0, 400.0))
        self.loop.call_later(away, self._again)

    def _again(self) -> None:
        self.boot()
        assert self.process is not None
        self.process.start()

    def pause(self, process: Process, where: str, what: str) -> None:
        """Maybe this process stands still from here; whoever watches it may start a second one."""
        found = self.chaos.stands(self.loop.time(), where, what)
        if found is not None:
            seconds, double = found
            process.stand(where, seconds)
            if double:
                self.loop.call_later(seconds / 2, self._doubled, process)

    def _doubled(self, first: Process) -> None:
        if first.alive and self.process is first and not self.chaos.healed:
            self._again()

    def skew(self, ahead: float) -> None:
        """Our clock is so far ahead from now on; whoever waits for a moment looks at it again."""
        if ahead == self.ahead:
            return
        self.ahead = ahead
        self.tell("SKEW", ahead=ahead)
        for process in self.alive:
            for waiter in process.waiting:
                if not waiter.done():
                    waiter.set_result(None)

    def save(self) -> None:
        """Somebody backs the disk up."""
        self._saved = self.disk.dump()

    def restore(self, saved: float) -> None:
        """The disk is lost, and what was backed up is put back."""
        before = self.disk.deliveries()
        for process in list(self.alive):
            process.die("the disk is lost")
        self.disk.load(self._saved)
        self.fences = {row["customer_id"]: row["fence"] for row in self.disk.tables()["slot"]}
        stored = self.disk.deliveries()
        lost = sum(before.values()) - sum(stored.values())
        self.tell("RESTORE", age=self.loop.time() - saved, stored=stored, lost=lost)

    def decided(self, customer: str) -> None:
        """Something was decided for a customer and stored: a good moment to change one's mind."""
        for town in self.towns:
            if town.customer == customer:
                town.agitate()

    def arrived(self) -> int:
        """The number of the next request at the door."""
        self._arrivals += 1
        return self._arrivals

    async def comes(self, arrival: Arrival) -> int | None:
        """Somebody posts something; None where nobody answers."""
        process = self.process
        return await self.posted(process, arrival) if process is not None and process.alive else None

    async def posted(self, process: Process, arrival: Arrival) -> int | None:
        """The status of one webhook, None where nobody answers in time."""
        answered: asyncio.Future[int | None] = self.loop.create_future()

        async def post() -> None:
            try:
                status = await process.post(arrival)
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
    finished(sim)
    return _outcome(sim)


def finished(sim: Simulation) -> None:
    """Play a seed to its end and give everything back."""
    try:
        with listening(sim.hears if sim.nets.logs == "heard" else None):
            sim.loop.run(sim.play())
    except (Stalled, Endless) as stalled:
        sim.story.end("TASK", "loop", error=str(stalled))
    finally:
        for process in sim.alive:
            process.alive = False
        sim.loop.bury()


def _outcome(sim: Simulation) -> Outcome:
    found, premises = checked(sim.story)
    return Outcome(
        sim.seed,
        found,
        premises,
        round((sim.end - START) / DAY, 2),
        sim.story.count("OUT"),
        sim.story.count("CRASH"),
        sim.story.count("FAULT"),
        sim.chaos.points,
        frozenset(pair for town in sim.towns for pair in town.asked()),
        sim.story,
        sim.script,
    )


def _midnights(zone: str, count: int) -> Sequence[float]:
    found = [next_midnight(START, zone)]
    while len(found) < count:
        found.append(next_midnight(found[-1], zone))
    return found
