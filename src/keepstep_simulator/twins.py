"""Pairs of runs: the same seed twice, with one difference that must make none. I3, I31 and I37.

Both runs are without crashes and without edits between our own calls, so that whatever differs at the end comes from
the one difference. Ids and moments are not compared: an effect that comes later may get another number.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keepstep_simulator.arrival import Arrival
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.run import Plan, Simulation, finished
from keepstep_simulator.story import Found, Story, Violation
from keepstep_simulator.town import Town
from keepstep_simulator.visitors import Visitors

HOUR = 3600.0
# What may be late: copies of deliveries, by as much as the vendors' own (Virtuous facts 13).
_LATER = (0.0, 5.0, 600.0, 7 * HOUR, 26 * HOUR)
_AHEAD = (-24 * HOUR, -HOUR, -120.0, 120.0, HOUR, 24 * HOUR)
_OFTEN = 0.35
OURS = ("product", "job", "batch")


class Without(frozenset[str]):
    """For a plan's `only`: every label but those that begin with one of these words."""

    def __contains__(self, label: object) -> bool:
        return str(label).partition(" ")[0] not in tuple(self)


@dataclass(frozen=True, slots=True)
class Twin:
    """One statement. `differ` makes the second run different; `whose`: the customers who must not notice; `effects`:
    whether what was done for them must be the same as well, not only how they stand at the end; `both`: what it takes
    in both runs; `but`: fields that are not compared."""

    id: str
    says: str
    differ: Callable[[Simulation], None]
    whose: Callable[[Simulation], Sequence[str]]
    happened: Callable[[Simulation], int]
    effects: bool = False
    both: Callable[[Simulation], None] | None = None
    but: frozenset[str] = frozenset()


def plan(seed: int) -> Plan:
    """A calm seed: its people, its deeds, its nets and its vendors, and nothing that goes wrong."""
    return Plan(agitation=0.0, chaos=Chaos(seed), mishaps=False, only=Without({"visitor", "operator"}))


def played(seed: int, *changes: Callable[[Simulation], None] | None, made: Callable[[int], Plan] = plan) -> Simulation:
    """One run, to its end. Nobody replays what was given up: it must show."""
    sim = Simulation(seed, made(seed))
    sim.nets = replace(sim.nets, operator="connects")
    for change in changes:
        if change is not None:
            change(sim)
    finished(sim)
    return sim


def compared(twin: Twin, seed: int, first: Simulation | None = None, made: Callable[[int], Plan] = plan) -> Found:
    """What differs between the two runs of a seed that must not, and how often the difference struck. `first`: the run
    without anything, where it is there already. `made`: what the seed is made of."""
    one = first if first and not twin.both else played(seed, twin.both, made=made)
    other = played(seed, twin.both, twin.differ, made=made)
    found = []
    for customer in twin.whose(other):
        parts = [(standing(one.story, customer, twin.but), standing(other.story, customer, twin.but), "at the end")]
        if twin.effects:
            parts.append((effects(one.story, customer), effects(other.story, customer), "done"))
        for before, after, what in parts:
            gone, new = sorted((before - after).elements()), sorted((after - before).elements())
            if gone or new:
                why = f"{customer}, {what}: {_shown(gone)} became {_shown(new)}"
                found.append(Violation(twin.id, other.story.facts[-1].n, why))
    return found, twin.happened(other)


def _shown(lines: Sequence[str]) -> str:
    """The first of what differs."""
    return f"{len(lines)} ({lines[0][:600]})" if lines else "nothing"


# --- what is compared ------------------------------------------------------------------------------------------------


def standing(story: Story, customer: str, but: frozenset[str] = frozenset()) -> Counter[str]:
    """Everything of both sides at the end but ids, moments, who did it and those fields."""
    sides = (story.final.audience[customer], story.final.crm[customer])
    return Counter(_text(record, but) for side in sides for record in side)


def effects(story: Story, customer: str) -> Counter[str]:
    """What our calls, jobs and rows changed for a customer, but ids and moments."""
    return Counter(
        f"{fact.data['side']} {fact.key.partition(':')[0]} {fact.data['field']}: {_text(fact.data['after'])}"
        for fact in story.of("EFF")
        if fact.customer == customer and fact.data["actor"] in OURS and not _dropped(fact.data["field"])
    )


def _text(value: Any, but: frozenset[str] = frozenset()) -> str:
    return json.dumps(_bare(value, but), sort_keys=True, ensure_ascii=False, default=str)


def _bare(value: Any, but: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: _bare(one, but) for name, one in value.items() if name not in but and not _dropped(name)}
    if isinstance(value, list | tuple | set | frozenset):
        return sorted((_bare(one, but) for one in value), key=lambda one: json.dumps(one, sort_keys=True, default=str))
    return value


_IDS = frozenset({"id", "phone_number_id", "street_address_id", "note_id", "noteDate"})
_ENDS = ("Id", "Utc", "DateTime", "ByUser", "Url", "_at", "_date", "_source")


def _dropped(name: str) -> bool:
    return name in _IDS or name.endswith(_ENDS)


# --- the differences -------------------------------------------------------------------------------------------------


class Repeating(Visitors):
    """Every second true delivery comes once more, some time later."""

    def __init__(self, sim: Simulation) -> None:
        super().__init__(sim)
        self.copies = 0

    def saw(self, town: Town, arrival: Arrival) -> None:  # noqa: ARG002  its place is taken
        """A true delivery came."""
        script, label = self._sim.script, f"copy {arrival.door} {arrival.delivery}"
        if arrival.copy or script.draw(label) < 0.5:
            return
        later = script.pick(f"{label} later", _LATER)
        if self._sim.loop.time() + later < self._sim.quiet:
            self._sim.loop.call_later(later, self._again, replace(arrival, copy=1))

    def _again(self, arrival: Arrival) -> None:
        self.copies += 1
        self._sim.loop.create_task(self._sim.comes(arrival))


def _repeats(sim: Simulation) -> None:
    sim.visitors = Repeating(sim)


def _copies(sim: Simulation) -> int:
    return sim.visitors.copies if isinstance(sim.visitors, Repeating) else 0


class Outage(Chaos):
    """Many calls of one customer fail, and nobody else's."""

    def call(self, what: str, *, write: bool) -> str:
        """What goes wrong with this call."""
        return super().call(what, write=write) if what.startswith(f"{VICTIM} ") else ""


VICTIM = "customer-0"


def _fails(sim: Simulation) -> None:
    script = sim.chaos.script
    sim.chaos = Outage(sim.seed, call_rate=_OFTEN)
    sim.chaos.script = script


def _takes_no_time(sim: Simulation) -> None:
    """Or the moments of everybody's calls would shift, and edits that cross on the way may then end differently, which
    is nobody's fault."""
    sim.network.at_once = VICTIM


def _faults(sim: Simulation) -> int:
    return sim.story.count("FAULT")


def _jumps(sim: Simulation) -> None:
    """Our clock jumps once, and later back."""
    begin, end = sim.chaos_span
    at = sim.script.uniform("twin skew at", begin, end - 2 * HOUR)
    until = sim.script.uniform("twin skew until", at + HOUR, end)
    sim.loop.call_at(at, sim.skew, sim.script.pick("twin skew", _AHEAD))
    sim.loop.call_at(until, sim.skew, 0.0)


def _jumped(sim: Simulation) -> int:
    return sim.story.count("SKEW")


def _everybody(sim: Simulation) -> Sequence[str]:
    return sim.customers


def _the_others(sim: Simulation) -> Sequence[str]:
    return [one for one in sim.customers if one != VICTIM]


# A household has one address, and whoever of it is written last has named it: a matter of seconds.
_HOUSEHOLDS = frozenset({"address", "contactAddresses", "street_addresses"})
TWINS: tuple[Twin, ...] = (
    Twin("I3", "a delivery that comes again changes nothing", _repeats, _everybody, _copies),
    Twin(
        "I31",
        "faults of one customer change nothing for another",
        *(_fails, _the_others, _faults),
        both=_takes_no_time,
        but=_HOUSEHOLDS,
    ),
    Twin("I37", "our clock decides about delays, never about the outcome", _jumps, _everybody, _jumped),
)
