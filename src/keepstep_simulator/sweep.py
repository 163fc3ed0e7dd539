"""The exhaustive crash sweep: one short scenario, and a crash at every call and commit of its busiest minutes."""

from dataclasses import replace

from keepstep.model.customer import Cadence
from keepstep_sandbox.world import START
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.run import DAY, Outcome, Plan, simulate

SEED = 7
# Polls are rare: the scenario is short in calls, not in hours.
CADENCE = Cadence(opted_out=DAY / 4, changed=DAY / 4, lists=DAY, crm_changed=DAY / 4)


def scenario(point: int | None = None, begin: float = START) -> Outcome:
    """Eight people are loaded, imported by night, confirmed; two edits. The process dies at this point, if any, counted
    from `begin`."""
    chaos = Chaos(SEED, crash_at_point=point, count_from=begin)
    few = Plan(customers=1, people=(8, 8), deeds=(2, 2), nights=2, agitation=0.0, switches={})
    return simulate(SEED, replace(few, cadence=CADENCE, chaos=chaos))


def points(begin: float, seconds: float) -> int:
    """How many points there are in this many seconds from `begin`, when nobody dies."""
    return scenario(begin=begin).points - scenario(begin=begin + seconds).points
