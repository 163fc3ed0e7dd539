"""One customer's two vendors, the people in them, and what people and staff do there."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from keepstep.model.customer import Policy
from keepstep.state.vault import Secret
from keepstep_sandbox import people as crowd
from keepstep_sandbox.http import Effect
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.week import Week, ground, mail
from keepstep_sandbox.week.scene import Scene
from keepstep_sandbox.world import START, World
from keepstep_simulator.acts import Acts
from keepstep_simulator.arrival import Arrival
from keepstep_simulator.deeds import Deed, drawn, planted
from keepstep_simulator.script import standing

if TYPE_CHECKING:
    from keepstep_simulator.process import Process
    from keepstep_simulator.run import Simulation

Plant = Callable[[Scene], dict[int, str]]
AGAIN = 1800.0  # what cannot be done yet is tried again
GRAIN = 0.5
OTHER_ACCOUNT = "account-9"  # of the same nonprofit, and not the one that it connected first


def _laid(
    world: World, people: list[crowd.Person], policy: Policy, plant: Plant, leave: Callable[[Scene], None]
) -> Scene:
    """People, custom fields and tags, and one mailing to everybody, as a week has them."""
    prefix = policy.contact_tags_prefix
    world.note("week", "", "route", tags_prefix=prefix, fields_to_audience=list(policy.fields_to_audience))
    scene = Scene(world, people, prefix, plant)
    ground.lay(scene)
    leave(scene)
    mail.mails_everybody(scene)
    return scene


class Town:
    """A World with its people, whose clock follows the loop's."""

    def __init__(self, sim: "Simulation", customer: str, number: int, people: int) -> None:
        self.sim, self.customer = sim, customer
        self.world = World(sim.seed * 10 + number, sim.switches, START)
        self._acts = self._cc = self._v = 0
        self.account = self.world.connect_account(ACCOUNT, f"client-{number}", f"client-secret-{number}")
        self.key = f"virtuous-key-{number}"
        self.world.open_organization(ORGANIZATION, self.key, sim.zone)
        sim.network.introduce(self.key, self)
        sim.network.introduce(self.account["refresh_token"], self)
        crowd_of = list(sim.plan.crowd) or crowd.generated(sim.seed * 10 + number, people)
        prefix, back = sim.policy.contact_tags_prefix, sim.policy.fields_to_audience
        self.week = Week(self.world, crowd_of, sim.plan.nights, 0, prefix, back) if sim.plan.week else None
        self.scene: Scene | None = None
        self._left: frozenset[int] = frozenset()
        if sim.plan.crowd:
            self.ids = crowd.load(self.world, crowd_of)
        else:
            self.scene = (
                self.week.scene
                if self.week
                else _laid(self.world, crowd_of, sim.policy, partial(planted, sim.script, customer), self._leave)
            )
            self.ids = self.scene.ids
        drawn = sorted(filter(self._played, self._drawn()), key=lambda deed: deed.at)
        self._deeds = [deed for deed in drawn if not deed.agitated]
        self._lurking = [deed for deed in drawn if deed.agitated]
        self._timer: Any = None
        self.acts = Acts(self, tuple(one for one in sim.plan.acts if one.town == number))
        self.drain()

    def _drawn(self) -> Iterable[Deed]:
        sim = self.sim
        if self.week or self.scene is None or not sim.plan.deeds:
            return ()
        return drawn(sim.script, self.customer, self.scene, sim.nets, sim.chaos_span, sim.agitation)

    def _leave(self, scene: Scene) -> None:
        """Those whom the script strikes out were never there."""
        self._left = standing(self.sim.script, self.customer, scene)

    def _played(self, deed: Deed) -> bool:
        said = {"name": deed.name, "who": deed.who, "other": deed.other, "agitated": deed.agitated}
        there = all(who in self._left for who in (deed.who, deed.other) if who >= 0)
        return there and self.sim.script.plays(deed.label, deed.at, **said)

    async def connect(self, process: "Process") -> None:
        """`keepstep customer add`."""
        await self.reconnect(process, CONSTANT_CONTACT, self.account)
        await self.reconnect(process, VIRTUOUS)
        if self.sim.policy.contact_webhooks and self.sim.nets.webhooks != "none":
            door = await process.service.door_secret(self.customer, CONSTANT_CONTACT)
            self.world.act(CONSTANT_CONTACT, "set_contact_webhook", ACCOUNT, door["url"], door["secret"])

    async def reconnect(self, process: "Process", platform: str, account: Any = None) -> None:
        """The owner connects one side, with a new consent if none is given."""
        if platform == VIRTUOUS:
            given = {"api_key": Secret(self.key)}
        else:
            self.account = account or self._consent(ACCOUNT)
            given = {name: Secret(str(self.account[name])) for name in ("client_id", "client_secret", "refresh_token")}
        await process.service.add_customer(self.customer, platform, given)

    async def connect_wrong(self, process: "Process") -> None:
        """The owner is logged in to another account while connecting."""
        await self.reconnect(process, CONSTANT_CONTACT, self._consent(OTHER_ACCOUNT))

    def _consent(self, account: str) -> dict[str, Any]:
        self.catch_up()
        made = self.world.connect_account(account, str(self.account["client_id"]), str(self.account["client_secret"]))
        self.sim.network.introduce(made["refresh_token"], self)
        return made

    def revoke_grant(self) -> None:
        """The owner takes the consent back at Constant Contact."""
        self.catch_up()
        self.world.act(CONSTANT_CONTACT, "revoke_grant", ACCOUNT)
        self.drain()

    def renew_key(self) -> None:
        """The owner replaces the key in Virtuous: the old one is void, the service does not know the new one yet."""
        self.catch_up()
        old, self.key = self.key, f"{self.key}-new"
        self.world.act(VIRTUOUS, "add_organization", ORGANIZATION, self.key)
        self.world._credentials.key(self.key, ORGANIZATION)
        self.sim.network.introduce(self.key, self)
        self.world.act(VIRTUOUS, "revoke_key", old)
        self.drain()

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
        if self._lurking and self._lurking[0].at <= now:
            first = self._lurking[0]
            first.offered += 1
            if self.sim.script.draw(f"{first.label} here {first.offered}") < 0.2:
                self._lurking.pop(0)
                self.catch_up()
                self._do(first)

    def _do(self, deed: Deed) -> None:
        assert self.scene is not None
        if deed.do(self.scene):
            self.sim.script.happens(deed.label)
            after = deed.following()
        else:
            after = replace(deed, at=deed.at + AGAIN, agitated=False)
        if after is not None and after.at < self.sim.chaos_span[1]:
            self._deeds.append(after)
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
        arrival = self._arrival(delivery)
        self.sim.visitors.saw(self, arrival)
        status = await self.sim.comes(arrival)
        self.catch_up()
        self.world.delivered(delivery, status)
        self.plan()

    def door(self) -> str | None:
        """Where Virtuous sends this organization's webhooks; None before there is a subscription."""
        return next((str(one.fields["payloadUrl"]) for one in self._subscriptions()), None)

    def signed(self, body: bytes) -> dict[str, str] | None:
        """The headers with which Virtuous would deliver this; None before there is a subscription."""
        organization = self.world.virtuous._organizations[ORGANIZATION]
        for one in self._subscriptions():
            name = self.world.virtuous.switches["signature-header"]
            secret = str(one.fields.get("secret") or "")
            return {"Content-Type": "application/json", name: organization.outbox._sign(secret, body)}
        return None

    def _subscriptions(self) -> list[Any]:
        return list(self.world.virtuous._organizations[ORGANIZATION].subscriptions.values())

    def _arrival(self, delivery: Any) -> Arrival:
        return Arrival(
            url=delivery.url,
            headers=delivery.headers,
            body=delivery.body,
            door=self.customer,
            tenant=self.customer,
            delivery=f"{type(delivery).__name__} {delivery.id}",
            copy=delivery.attempt - 1,
        )

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
            said = {"actor": act.actor, "side": act.side, "what": act.kind, "data": act.data}
            self.sim.tell("ACT", act.record, self.customer, **said)
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
