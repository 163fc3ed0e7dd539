"""What the service claims is believed only where the stand-ins agree."""

from typing import Any

import pytest

from keepstep_sandbox.judge import failed
from keepstep_sandbox.log import CONSTANT_CONTACT
from keepstep_sandbox.people import ACCOUNT
from keepstep_sandbox.world import World
from tests.sandbox.oracle import Oracle
from tests.sandbox.spoiling import report, untouched


def changed(claims: list[dict[str, Any]], number: str, **values: Any) -> list[dict[str, Any]]:
    return [{**claim, **values} if claim["record_id"] == number else claim for claim in claims]


@pytest.mark.parametrize(
    "values",
    [
        {"state": "left_out", "reason": "no email"},
        {"state": "parked", "reason": "several_matches"},
        {"state": "fine"},
        {"record_id": "somebody-else"},
    ],
)
def test_a_claim_that_is_not_so_makes_the_person_lost(run: tuple[World, Oracle], values: dict[str, str]) -> None:
    world, oracle = run
    found = report(world, oracle, changed(oracle.claims(), untouched(world).id, **values))
    assert found["lost"] == 1
    assert failed(found)


def test_a_planted_ambiguity_must_be_parked_for_its_own_reason(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    planted = next(act for act in world.log.of("planted") if act.data["reason"] == "several_matches")
    for values in ({"state": "in_step"}, {"reason": "name_differs"}):
        found = report(world, oracle, changed(oracle.claims(), planted.record, **values))
        assert (found["lost"], found["parked"]) == (1, 1)


def test_somebody_still_waiting_at_the_vendor_is_not_in_step(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    someone = untouched(world)
    body = {"referenceSource": "Constant Contact", "referenceId": someone.id, "email": someone.address}
    oracle.crm("POST", "/api/Contact/Transaction", body)
    assert report(world, oracle)["lost"] == 1


def test_a_submission_that_was_lost_and_sent_again_may_wait_behind_the_contact_it_made(
    run: tuple[World, Oracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, oracle = run
    row = {"submitted": 0.0, "row": {"referenceId": untouched(world).id}}
    monkeypatch.setattr(world.virtuous, "waiting", lambda _organization: [row])
    assert report(world, oracle)["lost"] == 0


def test_pending_is_told_apart_from_lost(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    found = report(world, oracle, changed(oracle.claims(), untouched(world).id, state="pending", reason="batch"))
    assert (found["pending"], found["lost"]) == (1, 0)


def test_no_detail_holds_a_name_or_an_address(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    world.act(CONSTANT_CONTACT, "edit", ACCOUNT, untouched(world).id, first_name="Renamed")
    text = str(report(world, oracle, [])["details"])
    assert "@" not in text
    assert "Renamed" not in text
