"""What befalls the product in a seed, and what the story tells of it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.customer import Cadence
from keepstep_sandbox.world import START
from keepstep_simulator import swarm
from keepstep_simulator.arrival import Arrival
from keepstep_simulator.chaos import Chaos, Crash
from keepstep_simulator.holding import Holding
from keepstep_simulator.run import Plan, Simulation, simulate
from keepstep_simulator.script import Script
from keepstep_simulator.story import Story
from keepstep_simulator.swarm import HOUR, NEVER, Nets

RARE = Cadence(**dict.fromkeys(("opted_out", "changed", "deleted", "lists", "crm_changed", "obligations"), 6 * HOUR))
QUIET = Plan(
    customers=1,
    people=(4, 4),
    deeds=False,
    mishaps=False,
    nights=2,
    nets=Nets(),
    cadence=RARE,
    switches={},
    agitation=0,
)


class Stage:
    """One customer in whose seed nothing happens by itself."""

    def __init__(self, **changed: Any) -> None:
        self.sim = Simulation(5, replace(QUIET, chaos=Chaos(5), **changed))
        self.run(self.sim.begin())

    def run(self, work: Any) -> Any:
        """Until this is done."""
        return self.sim.loop.run(work)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.run(asyncio.sleep(seconds))

    def told(self, *kinds: str) -> list[Any]:
        """Facts of the story."""
        return list(self.sim.story.of(*kinds))

    def end(self) -> None:
        """Close every task."""
        for process in self.sim.alive:
            process.alive = False
        self.sim.loop.bury()


@pytest.fixture
def stage() -> Iterator[Stage]:
    found = Stage()
    yield found
    found.end()


# --- pauses and second processes -------------------------------------------------------------------------------------


def test_who_stands_still_does_nothing_and_a_second_one_works(stage: Stage) -> None:
    stage.sim.chaos.pauses = [(Crash(stage.sim.loop.time()), 4000.0, True)]
    stage.wait(3900)
    [pause] = stage.told("PAUSE")
    after = [fact for fact in stage.told("OUT", "TX") if fact.n > pause.n + 1]
    assert after and {fact.process for fact in after} == {2}
    assert stage.told("BOOT")[-1].data["double"]
    stage.wait(200)
    assert stage.told("RESUME")[0].data["others"] == [2]


def test_a_pause_that_nobody_doubles_ends_by_itself(stage: Stage) -> None:
    stage.sim.chaos.pauses = [(Crash(stage.sim.loop.time()), 200.0, False)]
    stage.wait(3600)
    assert [fact.kind for fact in stage.told("PAUSE", "RESUME", "BOOT")] == ["BOOT", "PAUSE", "RESUME"]
    assert [fact for fact in stage.told("OUT") if fact.t > stage.told("RESUME")[0].t]


def test_at_the_end_of_chaos_one_process_is_left(stage: Stage) -> None:
    stage.sim._again()
    stage.sim.heal()
    assert [process.number for process in stage.sim.alive] == [2]


# --- our clock -------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_ahead_brings_forward_what_is_due(stage: Stage) -> None:
    stage.wait(HOUR)
    before = len(stage.told("OUT"))
    stage.sim.skew(7 * HOUR)
    stage.wait(60)
    assert len(stage.told("OUT")) > before
    assert [fact.data["ahead"] for fact in stage.told("SKEW")] == [7 * HOUR]


# --- an older disk ---------------------------------------------------------------------------------------------------


def test_an_older_disk_knows_what_it_knew_and_nothing_else(stage: Stage) -> None:
    stage.sim.save()
    before = stage.sim.disk.tables()
    stage.wait(HOUR)
    assert stage.sim.disk.tables() != before
    stage.sim.restore(START)
    assert stage.sim.disk.tables() == before
    assert [fact.kind for fact in stage.told("CRASH", "RESTORE")] == ["CRASH", "RESTORE"]
    stage.wait(HOUR)
    assert stage.told("BOOT")[-1].process == 2


# --- the door --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "verified"),
    [
        ("again", 200, True),
        ("poison", 200, True),
        ("unsigned", 401, False),
        ("forged", 401, False),
        ("cut", 401, False),
        ("nowhere", 404, False),
    ],
)
def test_a_visitor_is_answered_as_what_it_is(stage: Stage, kind: str, status: int, verified: bool) -> None:
    stage.wait(HOUR)
    true = _delivery(stage)
    visit = stage.sim.visitors._visit(kind, stage.sim.towns[0], true)
    assert visit is not None
    assert stage.run(stage.sim.comes(visit)) == status
    assert stage.told("RECV")[-1].data["verified"] is verified


def _delivery(stage: Stage) -> Any:
    """A delivery as Virtuous makes it."""
    town = stage.sim.towns[0]
    url, body = town.door(), b'{"event": "ContactUpdate", "contact": {"id": 1}}'
    headers = town.signed(body)
    assert url is not None and headers is not None
    return Arrival(url=url, headers=headers, body=body, door=town.customer, tenant=town.customer, delivery="1")


# --- who holds what --------------------------------------------------------------------------------------------------


def slot(customer: str, fence: int, holder: str | None) -> Any:
    return ("slot", "UPDATE", {"customer_id": customer, "fence": fence, "holder": holder})


def test_who_raises_the_fence_holds_the_slot_until_it_is_released() -> None:
    held, fences = Holding(), dict[str, int]()
    held.follow([slot("one", 1, "a")], fences)
    assert (held.customer, held.fence) == ("one", 1)
    held.follow([slot("two", 0, None), slot("one", 1, "a")], fences)
    assert held.customer == "one"
    held.follow([slot("one", 1, None)], fences)
    assert (held.customer, held.fence) == ("", None)


def test_an_operator_acts_for_one_customer_whatever_is_claimed() -> None:
    held = Holding("one", operates=True)
    held.follow([slot("two", 1, "a")], {})
    assert (held.customer, held.fence) == ("one", None)


def test_every_call_of_a_turn_names_its_customer(stage: Stage) -> None:
    stage.wait(60)
    assert {fact.data["of"] for fact in stage.told("OUT")} == {"customer-0"}


# --- nets ------------------------------------------------------------------------------------------------------------


def test_what_is_off_runs_once_and_never_again() -> None:
    found = swarm.cadence(Script(1), Nets(poll="off", sweep="off"))
    assert (found.crm_changed, found.sweep) == (NEVER, NEVER)
    assert 4 * HOUR <= found.changed <= 12 * HOUR


def test_somebody_always_sees_what_staff_do() -> None:
    for seed in range(200):
        found = swarm.nets(Script(seed), {})
        assert not found.only_webhooks or found.hears


def test_what_no_net_sees_does_not_happen() -> None:
    assert not Nets(sweep="off").sees("quiet")
    assert Nets(sweep="off").sees("edit")
    assert not Nets(sweep="off", changed="off").sees("edit")


def test_a_struck_net_is_there() -> None:
    assert swarm.nets(Script(3, frozenset()), {}) == Nets()


# --- the story -------------------------------------------------------------------------------------------------------


def test_facts_of_several_kinds_come_in_order_and_anew_after_more() -> None:
    story = Story()
    for number, kind in enumerate(("OUT", "TX", "OUT")):
        story.tell(START + number, 1, "", kind)
    assert [fact.n for fact in story.of("TX", "OUT")] == [0, 1, 2]
    story.tell(START, 1, "", "TX")
    assert [fact.n for fact in story.of("TX", "OUT")] == [0, 1, 2, 3]
    assert story.of("RSP") == ()


def test_a_seed_ends_with_everything_as_it_stands() -> None:
    final = simulate(5, replace(QUIET, chaos=Chaos(5))).story.final
    assert {row["customer_id"] for row in final.store["party"]} == {"customer-0"}
    known = {row["record_id"] for row in final.store["alias"] if row["platform"] == "constant_contact"}
    assert {one["contact_id"] for one in final.audience["customer-0"]} == known
    assert final.crm["customer-0"]


def test_transactions_tell_the_rows_that_they_changed(stage: Stage) -> None:
    stage.wait(60)
    rows = [row for fact in stage.told("TX") for row in fact.data["rows"]]
    assert all(row["print"] for table, verb, row in rows if table == "secret" and verb != "DELETE")
    claims = [row for table, _verb, row in rows if table == "slot" and row["holder"]]
    assert claims and all(row["lease_until"] > START for row in claims)


def test_what_is_granted_is_what_is_stored_and_shown(stage: Stage) -> None:
    """Fingerprints of one token are equal wherever it goes by."""
    stage.wait(60)
    [granted] = [fact.data["granted"] for fact in stage.told("RSP") if fact.data["granted"]]
    stored = {row["print"] for fact in stage.told("TX") for table, _, row in fact.data["rows"] if table == "secret"}
    shown = {fact.data["credential"] for fact in stage.told("OUT") if fact.data["vendor"] == "constant_contact"}
    assert set(granted) <= stored and granted[0] in shown
