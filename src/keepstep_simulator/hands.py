"""One customer whose people, staff, vendors and process do what a caller says, act by act, on a seeded virtual clock.

`run.py` draws what happens; here a test does. Everything else is the same: the real service, the real stand-ins.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from keepstep.model.customer import Cadence
from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION, Person
from keepstep_sandbox.world import next_midnight
from keepstep_simulator.chaos import Chaos, Crash
from keepstep_simulator.run import Plan, Simulation
from keepstep_simulator.story import Fact

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
# Polls are rare: what these stories are about is edits, and each poll costs as much as an edit.
RARE = Cadence(
    opted_out=4 * HOUR,
    changed=4 * HOUR,
    deleted=4 * HOUR,
    lists=6 * HOUR,
    reports=DAY,
    crm_changed=4 * HOUR,
    obligations=HOUR,
)
Raw = dict[str, Any]


class Hands:
    """`people` by number, in their order; each list has its tag. `switches`: vendor to switch to value."""

    def __init__(
        self,
        people: tuple[Person, ...],
        switches: Mapping[str, Mapping[str, str]] | None = None,
        cadence: Cadence = RARE,
        seed: int = 1,
    ) -> None:
        plan = Plan(
            customers=1, crowd=people, cadence=cadence, chaos=Chaos(seed), switches=switches or {}, agitation=0.0
        )
        self.sim = Simulation(seed, plan)
        (self.town,) = self.sim.towns
        self.world, self.ids = self.town.world, self.town.ids
        self.lists = {one["name"]: one["list_id"] for one in self.world.constant_contact.lists(ACCOUNT)}
        for name in self.lists:
            self.world.act(VIRTUOUS, "add_tag", ORGANIZATION, fields.TAG_PREFIX + name)
        self.town.drain()

    def begin(self) -> None:
        """The service is started and connected."""
        self._run(self.sim.begin())

    def end(self) -> None:
        """Every task of this simulation is closed."""
        for process in self.sim.alive:
            process.alive = False
        self.sim.loop.bury()

    # time

    @property
    def now(self) -> float:
        """Virtual epoch seconds."""
        return self.sim.loop.time()

    def wait(self, seconds: float) -> None:
        """Let so much time pass, with everything that falls due on the way."""
        self._run(asyncio.sleep(seconds))

    def night(self) -> None:
        """Until an hour after the next nightly batch; where staff run imports by hand, they have not."""
        self.wait(next_midnight(self.now, self.sim.zone) - self.now + HOUR)

    # acts

    def act(self, side: str, name: str, /, *args: Any, **values: Any) -> Any:
        """An act of people, staff or the network's luck in the customer's account or organization."""
        self.town.catch_up()
        tenant = (ACCOUNT if side == CONSTANT_CONTACT else ORGANIZATION,) if self._of_tenant(side, name) else ()
        made = self.world.act(side, name, *tenant, *args, **values)
        self.town.drain()
        self.town.plan()
        return made

    def crash(self, skip: int = 0) -> None:
        """The process dies at the `skip`-th call or commit from now, and is started again a while later."""
        self.sim.chaos.crashes.append(Crash(self.now, skip))

    def fault(self, kind: str) -> None:
        """What happens to the next call of the product."""
        self.sim.chaos.next_calls.append(kind)

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.sim.chaos.heal()

    # looking

    def audience(self, who: int) -> Raw:
        """A person's contact at Constant Contact, now."""
        found: Raw = self.world.constant_contact.contact(ACCOUNT, self.ids[who])
        return found

    def crm(self, who: int) -> Raw | None:
        """The unmerged Virtuous contact with the person's reference."""
        mine = {"source": fields.REFERENCE_SOURCE, "id": self.ids[who]}
        found = [one for one in self.world.virtuous.contacts(ORGANIZATION) if mine in one["contactReferences"]]
        return next((one for one in found if one["mergedIntoContactId"] is None), None)

    def individual(self, who: int) -> tuple[Raw, Raw, Raw] | None:
        """The Virtuous contact, individual and e-mail method that have the person's address."""
        address = fields.email(self.audience(who).get("email_address", {}).get("address"))
        for contact in self.world.virtuous.contacts(ORGANIZATION):
            for individual in contact["contactIndividuals"] if contact["mergedIntoContactId"] is None else ():
                for method in individual["contactMethods"] or ():
                    if fields.is_email(method) and fields.email(method["value"]) == address:
                        return contact, individual, method
        return None

    def contacts(self) -> list[Raw]:
        """Every Virtuous contact."""
        return list(self.world.virtuous.contacts(ORGANIZATION))

    def judged(self) -> Fact:
        """The judge's opinion now, as a fact of the story."""
        self._run(self.sim.close())
        found: Fact = next(fact for fact in reversed(self.sim.story.facts) if fact.kind == "JUDGED")
        return found

    def _of_tenant(self, side: str, name: str) -> bool:
        names = self.world.parameters(side, name)
        return bool({"account_id", "organization"} & set(names))

    def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        self.sim.loop.run(work)
