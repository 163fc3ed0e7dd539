"""I29 and I30: hand-made stories in which they are broken, and their neighbours in which they are not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from keepstep_simulator.invariants.tenants import own_credential, own_rows
from tests.simulator.invariants.telling import CUSTOMER, Told, eff, out, story, tx

OTHER = "customer-1"
THEIRS = {"customer_id": OTHER}


def of(one: Told, whose: str) -> Told:
    """For somebody's work."""
    return replace(one, data={**one.data, "of": whose})


def by(one: Told, whose: str) -> Told:
    """With somebody's credential, or in somebody's data."""
    return replace(one, customer=whose)


CALLS = {
    "each their own": ((out("1", "/a"), by(of(out("2", "/a"), OTHER), OTHER)), 0),
    "another one's credential": ((out("1", "/a"), by(out("2", "/a"), OTHER)), 1),
    "nobody's work": ((of(out("1", "/a"), ""),), 1),
    "an effect of the call": ((out("1", "/a"), eff("method:1", "value", "a", "b", call="1")), 0),
    "an effect at somebody else's": ((out("1", "/a"), by(eff("method:1", "value", "a", "b", call="1"), OTHER)), 1),
    "an effect of staff": ((by(eff("method:1", "value", "a", "b", actor="staff"), OTHER),), 0),
}


@pytest.mark.parametrize("case", CALLS)
def test_credentials_and_effects_are_of_the_customer_at_work(case: str) -> None:
    """Whose slot it is, and whose credential."""
    told, count = CALLS[case]
    assert len(own_credential(story(*told))[0]) == count


def test_one_customer_alone_proves_nothing_of_credentials() -> None:
    """There must be somebody to be taken for."""
    assert own_credential(story(out("1", "/a")))[1] == 0
    assert own_credential(story(out("1", "/a"), by(of(out("2", "/a"), OTHER), OTHER)))[1] == 2


def slot(fence: int, holder: str | None = "h", **more: Any) -> tuple[str, str, Mapping[str, Any]]:
    return ("slot", "UPDATE", {"fence": fence, "holder": holder, "lease_until": 0.0, **more})


MARK = ("mark", "UPDATE", {"platform": "p", "name": "n"})
THEIR_MARK = ("mark", "UPDATE", {"platform": "p", "name": "n", **THEIRS})
PERMIT = ("permit", "UPDATE", {"key": "default", "n": 0, "customer_id": None})
ROWS = {
    "rows of the customer in hand": ((tx(slot(1), MARK),), 0),
    "a row of another": ((tx(MARK, THEIR_MARK),), 1),
    "only rows of another": ((tx(THEIR_MARK),), 1),
    "nobody in hand, one customer": ((of(tx(MARK, MARK), ""),), 0),
    "nobody in hand, two customers": ((of(tx(MARK, THEIR_MARK), ""),), 1),
    "a permit of everybody": ((tx(MARK, PERMIT),), 0),
    "a row without a customer": ((tx(("mark", "UPDATE", {"customer_id": None})),), 1),
    "the operator's own": ((tx(MARK, ("alert", "INSERT", {"customer_id": "_operator"})),), 0),
    "the next one claimed": ((of(tx(MARK, slot(1, None), slot(1, **THEIRS), THEIR_MARK), OTHER),), 0),
    "back to the last one after the claim": ((of(tx(MARK, slot(1, **THEIRS), THEIR_MARK, MARK), OTHER),), 1),
    "a slot touched without a claim": ((tx(slot(4), MARK), of(tx(slot(1, **THEIRS)), OTHER), tx(slot(1, **THEIRS))), 1),
    "fences of an older disk": ((tx(slot(4), MARK), Told("RESTORE"), tx(slot(2), MARK)), 0),
}


@pytest.mark.parametrize("case", ROWS)
def test_rows_are_of_the_customer_in_hand(case: str) -> None:
    """Or of a declared global table."""
    told, count = ROWS[case]
    found = own_rows(story(*told))[0]
    assert len(found) == count, found


def test_one_customer_alone_proves_nothing_of_rows() -> None:
    """There must be somebody to be taken for."""
    assert own_rows(story(tx(MARK)))[1] == 0
    assert own_rows(story(tx(MARK), of(tx(THEIR_MARK), OTHER)))[1] == 2
    assert CUSTOMER != OTHER
