"""I28: hand-made stories in which somebody is passed over, and their neighbours in which nobody is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from keepstep_simulator.invariants.shares import fair
from tests.simulator.invariants.telling import CUSTOMER, Told, story, tx

Touched = tuple[str, str, Mapping[str, Any]]
OTHER = "customer-1"


def slot(whose: str, wake: float | None, fence: int, holder: str | None = None, lease: float = 0.0) -> Touched:
    row = {"customer_id": whose, "wake": wake, "fence": fence, "holder": holder, "lease_until": lease}
    return ("slot", "UPDATE", row)


def state(whose: str, said: str = "active") -> Touched:
    return ("customer", "UPDATE", {"customer_id": whose, "state": said})


def entry(party: str, lane: int, verb: str = "INSERT", due: float = 0.0) -> Touched:
    return ("entry", verb, {"party_id": party, "lane": lane, "due": due})


def later(one: Told) -> Told:
    return replace(one, at=60.0)


BOTH = tx(state(CUSTOMER), state(OTHER), slot(CUSTOMER, 10.0, 0), slot(OTHER, 5.0, 0))
MINE = tx(slot(CUSTOMER, 10.0, 1, "h"))
CLAIMS = {
    "who has waited longest": ((BOTH, tx(slot(OTHER, 5.0, 1, "h"))), 0),
    "somebody else": ((BOTH, MINE), 1),
    "somebody else, while the first is paused": ((BOTH, tx(state(OTHER, "paused")), MINE), 0),
    "somebody else, while the first is served": ((BOTH, tx(slot(OTHER, 5.0, 1, "h")), MINE), 0),
    "somebody else, while the first rests": ((BOTH, tx(slot(OTHER, 5.0, 0, lease=90.0)), MINE), 0),
    "somebody else, after the first has rested": ((BOTH, tx(slot(OTHER, 5.0, 0, lease=30.0)), MINE), 1),
    "somebody else, while nothing is due for the first": ((BOTH, tx(slot(OTHER, None, 0)), MINE), 0),
    "somebody whom a delivery waits for": ((BOTH, tx(slot(CUSTOMER, None, 1, "h"))), 1),
    "in the transaction that frees the first": ((BOTH, tx(slot(OTHER, 70.0, 1), slot(CUSTOMER, 10.0, 1, "h"))), 0),
    "a renewed lease is no claim": ((BOTH, tx(slot(OTHER, 5.0, 1, "h")), tx(slot(OTHER, 5.0, 1, "h"))), 0),
    "by a clock that is behind": ((Told("SKEW", data={"ahead": -57.0}), BOTH, MINE), 0),
    "on a disk that is older": ((BOTH, Told("RESTORE"), MINE), 0),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_who_has_been_due_for_longest_is_served(case: str) -> None:
    facts, count = CLAIMS[case]
    assert len(fair(story(*map(later, facts)))[0]) == count


TURN = tx(slot(CUSTOMER, 0.0, 1, "h"))
LANES = {
    "the urgent one first": ((tx(entry("a", 0), entry("b", 2)), TURN, tx(entry("a", 0, "DELETE"))), 0),
    "the urgent one is left": ((tx(entry("a", 0), entry("b", 2)), TURN, tx(entry("b", 2, "DELETE"))), 1),
    "both": ((tx(entry("a", 0), entry("b", 2)), TURN, tx(entry("b", 2, "DELETE"), entry("a", 0, "DELETE"))), 0),
    "one that came meanwhile": ((tx(entry("b", 2)), TURN, tx(entry("a", 0)), tx(entry("b", 2, "DELETE"))), 0),
    "one that is due later": ((tx(entry("a", 0, due=99.0), entry("b", 2)), TURN, tx(entry("b", 2, "DELETE"))), 0),
    "one that is put off": (
        (tx(entry("a", 0), entry("b", 2)), TURN, tx(entry("a", 0, "UPDATE", 99.0), entry("b", 2, "DELETE"))),
        0,
    ),
}


@pytest.mark.parametrize("case", LANES)
def test_the_urgent_lane_is_decided_first(case: str) -> None:
    facts, count = LANES[case]
    assert len(fair(story(*map(later, facts)))[0]) == count


def test_one_that_waits_alone_proves_nothing() -> None:
    def waited(*facts: Told) -> int:
        return fair(story(*map(later, facts)))[1]

    assert waited(tx(state(CUSTOMER), slot(CUSTOMER, 10.0, 0)), MINE) == 0
    assert waited(BOTH, MINE) == 1
