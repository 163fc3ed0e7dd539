"""One customer's two vendors, the people in them, and what people and staff do there."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepstep.state.vault import Secret
from keepstep_sandbox import people as crowd
from keepstep_sandbox.http import Effect
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.week import Week, ground, labels, mail
from keepstep_sandbox.week import happenings as to
from keepstep_sandbox.week.scene import Scene
from keepstep_sandbox.world import START, World
from keepstep_simulator.story import stream

if TYPE_CHECKING:
    from keepstep_simulator.process import Process
    from keepstep_simulator.run import Simulation

HOUR, DAY = 3600.0, 86_400.0
TAGS_PREFIX = "CC tag: "
AGAIN = HOUR / 2
GRAIN = 0.5

HAPPENINGS: tuple[tuple[str, to.Happening], ...] = (
    ("edits_name", to.edits_name),
    ("edits_phone", to.edits_phone),
    ("edits_address", to.edits_address),
    ("changes_email", to.changes_email),
    ("joins", to.joins),
    ("leaves", to.leaves),
    ("opts_out", to.opts_out),
    ("is_deleted", to.is_deleted),
    ("is_renamed_first", to.is_renamed_first),
    ("is_renamed_last", to.is_renamed_last),
    ("is_rephoned", to.is_rephoned),
    ("is_readdressed", to.is_readdressed),
    ("is_opted_out", to.is_opted_out),
    ("is_tagged", to.is_tagged),
    ("is_untagged", to.is_untagged),
    ("bounces_hard", mail.bounces_hard),
    ("bounces_softly", mail.bounces_softly),
    ("answers", mail.answers),
    ("opts_out_of_campaign", mail.opts_out_of_campaign),
    ("complains", mail.complains),
    ("fills_in_text", labels.fills_in("Favorite Program")),
    ("fills_in_choice", labels.fills_in("Shirt Size")),
    ("is_filled_in", labels.is_filled_in),
    ("gets_tag", labels.gets_tag),
    ("is_marked", labels.is_marked),
    ("joins_odd", labels.joins_odd),
)
# What becomes of the new address of somebody who is out on the old one, or of edits and joins of somebody deleted (they
# revive), is not for the judge to say: these do not happen to one person.
_BOUNCES = {"bounces_hard", "bounces_softly"}
_OUT = {"opts_out", "is_deleted", "is_opted_out", "opts_out_of_campaign", "complains", *_BOUNCES}
_OWN = {name for name, _do in HAPPENINGS if not name.startswith("is_")} | {"is_opted_out", "is_marked"}


def _clash(name: str, others: set[str]) -> bool:
    together = others | {name}
    moved_while_out = "changes_email" in together and bool(together & _OUT)
    return moved_while_out or ("is_deleted" in together and bool(together & _OWN))


def _laid(world: World, people: list[crowd.Person]) -> Scene:
    """People, custom fields and tags, and one mailing to everybody, as a week has them."""
    world.note("week", "", "route", tags_prefix=TAGS_PREFIX)
    scene = Scene(world, people, TAGS_PREFIX)
    ground.lay(scene)
    mail.mails_everybody(scene)
    return scene


@dataclass(slots=True)
class Deed:
    """Something that a person or staff will do: at a moment, or (agitated) at a boundary of the product's calls."""

    at: float
    name: str
    who: int
    agitated: bool


class Town:
    """A World with its people, whose clock follows the loop's."""

    def __init__(self, sim: "Simulation", customer: str, number: int, people: int, deeds: int) -> None:
        self.sim, self.customer = sim, customer
        dice = stream(sim.seed, f"town {number}")
        self.world = World(sim.seed * 10 + number, sim.switches, START)
        self._acts = self._cc = self._v = 0
        self.account = self.world.connect_account(ACCOUNT, f"client-{number}", "secret")
        self.key = f"key-{number}"
        self.world.open_organization(ORGANIZATION, self.key, sim.zone)
        sim.network.introduce(self.key, self)
        sim.network.introduce(self.account["refresh_token"], self)
        crowd_of = list(sim.plan.crowd) or crowd.generated(sim.seed * 10 + number, people)
        self.week = Week(self.world, crowd_of, sim.plan.nights, 0, TAGS_PREFIX) if sim.plan.week else None
        self.scene: Scene | None = None
        if sim.plan.crowd:
            self.ids = crowd.load(self.world, crowd_of)
        else:
            self.scene = self.week.scene if self.week else _laid(self.world, crowd_of)
            self.ids = self.scene.ids
        drawn = sorted(self._drawn(dice, deeds), key=lambda deed: deed.at)
        self._deeds = [deed for deed in drawn if not deed.agitated]
        self._lurking = [deed for deed in drawn if deed.agitated]
        self._agitation = stream(sim.seed, f"agitation {number}")
        self._timer: Any = None
        self.drain()

    def _drawn(self, dice: Any, count: int) -> Iterable[Deed]:
        free = [] if self.week or self.scene is None else list(iter(self.scene.pick, None))
        begin, end = self.sim.chaos_span
        busy: dict[int, set[str]] = {}
        for _ in range(count if free else 0):
            (name, _do), who = dice.choice(HAPPENINGS), dice.choice(free)
            at, agitated = dice.uniform(begin, end), dice.random() < self.sim.agitation
            if not _clash(name, busy.setdefault(who, set())):
                busy[who].add(name)
                yield Deed(at, name, who, agitated)

    async def connect(self, process: "Process") -> None:
        """`keepstep customer add`."""
        given = {name: Secret(str(self.account[name])) for name in ("client_id", "client_secret", "refresh_token")}
        await process.service.add_customer(self.customer, "constant_contact", given)
        await process.service.add_customer(self.customer, "virtuous", {"api_key": Secret(self.key)})

    async def reconnect(self, process: "Process") -> None:
        """The owner connects the account again where the service says that it must be."""
        health = (await process.service.customer(self.customer))["connections"]
        if health.get("constant_contact", "ok") != "ok":
            self.account = self.world.connect_account(ACCOUNT, str(self.account["client_id"]), "secret")
            self.sim.network.introduce(self.account["refresh_token"], self)
            await self.connect(process)

    # time

    def plan(self) -> None:
        """Set the alarm for the next thing that happens by itself."""
        due, event = self.world.next_due(), self._next_event()
        dues = [] if due is None else [math.ceil(due / GRAIN) * GRAIN]
        at = min([*dues, *([] if event is None else [event])], default=None)
        if self._timer is not None:
            if at is not None and self._timer.when() == at and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = None if at is None else self.sim.loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.catch_up()
        for delivery in self.world.due_deliveries():
            self.sim.loop.create_task(self._post(delivery))
        self.plan()

    def catch_up(self) -> None:
        """The world is where the loop is: batches and jobs that fell due have run, people have done what they do."""
        now = self.sim.loop.time()
        while (at := self._next_event()) is not None and at <= now:
            self.world.advance(max(at, self.world.now))
            if self._deeds:
                self._do(self._deeds.pop(0))
            if self.week:
                self.week.run_due()
        self.world.advance(now)
        self.drain()

    def _next_event(self) -> float | None:
        """When people or staff do something next; a town has a week's events or deeds of its own."""
        return self.week.next_due() if self.week else self._deeds[0].at if self._deeds else None

    def agitate(self) -> None:
        """Maybe somebody does something right here, between two calls of the product that belong together."""
        now = self.sim.loop.time()
        if self.sim.chaos.healed:
            self._lurking.clear()
        if self._lurking and self._lurking[0].at <= now and self._agitation.random() < 0.2:
            self.catch_up()
            self._do(self._lurking.pop(0))

    def _do(self, deed: Deed) -> None:
        do = dict(HAPPENINGS)[deed.name]
        assert self.scene is not None
        if not do(self.scene, deed.who) and deed.at + AGAIN < self.sim.chaos_span[1]:
            self._deeds.append(Deed(deed.at + AGAIN, deed.name, deed.who, agitated=False))
            self._deeds.sort(key=lambda one: one.at)
        self.drain()

    def waiting(self) -> list[str]:
        """Whose row still waits for the vendor's batch, or for staff."""
        return sorted(str(row["row"].get("referenceId")) for row in self.world.virtuous.waiting(ORGANIZATION))

    def asked(self) -> Iterator[tuple[str, str]]:
        """Every switch of the vendors that was asked for."""
        for vendor, stand_in in ((CONSTANT_CONTACT, self.world.constant_contact), (VIRTUOUS, self.world.virtuous)):
            yield from ((vendor, name) for name in stand_in.switches.asked())

    # webhooks

    async def _post(self, delivery: Any) -> None:
        process = self.sim.process
        status: int | None = None
        if process is not None and process.alive:
            status = await self.sim.posted(process, delivery)
        self.catch_up()
        self.world.delivered(delivery, status)
        self.plan()

    # the log

    def told(self, effects: Iterable[Effect], call: str) -> None:
        """What the product's call changed."""
        for one in effects:
            self._effect(one, "product", call)
        self.drain()
        self.plan()

    def drain(self) -> None:
        """Everything that happened in the world since last asked."""
        for at, one in self.world.constant_contact.background[self._cc :]:
            self._effect(one, "job", "", at)
        self._cc = len(self.world.constant_contact.background)
        for at, one in self.world.virtuous.background[self._v :]:
            self._effect(one, "batch", "", at)
        self._v = len(self.world.virtuous.background)
        for act in self.world.log.acts[self._acts :]:
            self.sim.tell("ACT", act.record, self.customer, actor=act.actor, side=act.side, what=act.kind)
            for one in act.effects if act.kind != "run_batch" else ():
                self._effect(one, act.actor, "")
        self._acts = len(self.world.log.acts)

    def _effect(self, one: Effect, actor: str, call: str, at: float | None = None) -> None:
        self.sim.tell(
            "EFF",
            one.record,
            self.customer,
            field=one.field,
            before=one.before,
            after=one.after,
            actor=actor,
            call=call,
            side=CONSTANT_CONTACT if one.vendor == CONSTANT_CONTACT else VIRTUOUS,
            at=at,
        )
