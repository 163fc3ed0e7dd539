"""The week passes with every value of every switch; in the seeds, every two values of two switches meet."""

from itertools import combinations

import pytest

from keepstep_simulator import disputes
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.pairs import pairwise
from keepstep_simulator.run import Plan, simulate

# What only list jobs ask for. Where a standstill held creations back for a night, staff may find nobody to tag in time.
OF_JOBS = {
    (disputes.CONSTANT_CONTACT, name)
    for name in (
        "activity_duration",
        "activity_end",
        "activity_error_count",
        "activity_order",
        "activity_percent",
        "activity_stops",
        "timed_out_spelling",
        "list_job_adds_unsubscribed",
    )
}
# Checkers that are proven on weeks; the others are proven on drawn seeds only, where people do less to one another.
PROVEN = {"I1", "I5", "I10", "I15", "I16", "I23", "alive"}
TAGS = ("staff_adds_tag", "staff_removes_tag")
EVERY = {(vendor, switch.name) for vendor, registry in disputes.REGISTRIES.items() for switch in registry}


@pytest.mark.parametrize("seed", range(disputes.WEEKS))
def test_a_week_passes(seed: int) -> None:
    """The stand-ins' own week, judged at its end. A switch that the stand-in was not even asked for was not played."""
    outcome = simulate(seed, Plan(customers=1, people=(40, 40), chaos=Chaos(seed), week=True))
    assert [one for one in outcome.violations if one.invariant in PROVEN] == []
    tagged = any(fact.kind == "ACT" and fact.data["what"] in TAGS for fact in outcome.story.facts)
    assert outcome.asked >= EVERY - disputes.UNREACHED - (set() if tagged else OF_JOBS)


def test_the_weeks_hold_every_value_of_every_switch() -> None:
    weeks = [disputes.of_seed(seed) for seed in range(disputes.WEEKS)]
    for vendor, registry in disputes.REGISTRIES.items():
        for switch in registry:
            assert {week[vendor][switch.name] for week in weeks} == set(switch.values), switch.name


def test_every_two_values_occur_together() -> None:
    """In as many seeds as there are rows; the first one has the defaults."""
    switches = {
        f"{vendor} {one.name}": one.values for vendor, registry in disputes.REGISTRIES.items() for one in registry
    }
    rows = disputes.rows()
    assert rows[0] == {name: values[0] for name, values in switches.items()}
    met = {frozenset(pair) for row in rows for pair in combinations(row.items(), 2)}
    wanted = {
        frozenset(((one, mine), (other, theirs)))
        for one, other in combinations(switches, 2)
        for mine in switches[one]
        for theirs in switches[other]
    }
    assert met == wanted
    assert len(rows) <= 60


def test_rows_are_few_and_always_the_same() -> None:
    switches = {"a": ("1", "2"), "b": ("1", "2", "3"), "c": ("1", "2")}
    rows = pairwise(switches)
    assert rows == pairwise(switches)
    assert 6 <= len(rows) <= 7
