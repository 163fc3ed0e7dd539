"""The origin segment of new contacts: asked for once a day, left out and told of where it is not known."""

import json
from typing import Any

import pytest

from keepstep import telemetry
from keepstep.model.errors import Blocked, Transient
from keepstep_sandbox.http import Response
from tests.connectors.virtuous.world import ORGANIZATION, World, call, run, said, scripted

CODE = "CONSTANT-CONTACT-SYNC"
PERSON: dict[str, Any] = {"record_id": "cc-1", "first_name": "Ada", "last_name": "Lee", "email": "ada@example.org"}
DAY = 86_400.0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    lines: list[tuple[Any, ...]] = []
    monkeypatch.setattr(telemetry, "_write", lambda event, **shown: lines.append((event.value, shown)))
    return lines


def asked(world: World) -> int:
    return len(world.sent("GET", "/api/Segment/Code/"))


def bodies(world: World) -> list[Any]:
    return [json.loads(request.body) for request in world.sent("POST")]


def test_a_known_code_goes_along_and_is_asked_for_once_a_day(told: list[Any]) -> None:
    world = World({"origin_segment_code": CODE})
    number = world.vendor.add_segment(ORGANIZATION, CODE)
    for _ in range(3):
        world.write("submit", PERSON)
    world.write("create", PERSON)
    assert asked(world) == 1
    assert [body.get("originSegmentCode") for body in bodies(world)] == [CODE, CODE, CODE, None]
    assert bodies(world)[3]["originSegmentId"] == number
    world.clock.at += DAY
    world.write("submit", PERSON, {**PERSON, "record_id": "cc-2"})
    assert asked(world) == 2
    assert [row["originSegmentCode"] for row in bodies(world)[4]["contacts"]] == [CODE, CODE]
    assert told == []


def test_an_unknown_code_is_left_out_and_told_of(told: list[Any]) -> None:
    """It may make rows wait for staff (Virtuous facts 10.1)."""
    world = World({"origin_segment_code": CODE})
    world.write("submit", PERSON)
    world.write("create", PERSON)
    assert all("originSegmentCode" not in body and "originSegmentId" not in body for body in bodies(world))
    assert asked(world) == 1
    warning = {"customer": "c-1", "platform": "virtuous", "reason": "unknown_origin_segment"}
    assert told == [("warned", warning)]
    world.vendor.add_segment(ORGANIZATION, CODE)
    world.clock.at += DAY
    world.write("submit", PERSON)
    assert bodies(world)[-1]["originSegmentCode"] == CODE


@pytest.mark.parametrize("code", ["", "  ", None])
def test_without_a_code_nothing_is_asked_and_nothing_told(code: str | None, told: list[Any]) -> None:
    world = World({"origin_segment_code": code})
    world.write("submit", PERSON)
    assert asked(world) == 0 and told == [] and "originSegmentCode" not in bodies(world)[0]
    assert run(world.crm.segment(code or "")) is False


def test_a_key_that_may_not_ask_leaves_it_out(told: list[Any]) -> None:
    crm, script = scripted(said(403), said(200, text=b""))
    crm.origin._code = CODE
    run(crm.write(call("submit", PERSON)))
    assert "originSegmentCode" not in json.loads(script.asked[1][2]) and len(told) == 1


def test_while_nobody_answered_nobody_is_sent() -> None:
    """Leaving it out would lose it for good: an origin is only given once."""
    crm, script = scripted(said(503), said(200, {"id": 7, "code": CODE}), said(200, text=b""))
    crm.origin._code = CODE
    with pytest.raises(Transient):
        run(crm.write(call("submit", PERSON)))
    run(crm.write(call("submit", PERSON)))
    assert json.loads(script.asked[2][2])["originSegmentCode"] == CODE


def test_an_old_answer_serves_while_there_is_no_new_one() -> None:
    world = World({"origin_segment_code": CODE})
    world.vendor.add_segment(ORGANIZATION, CODE)
    world.write("submit", PERSON)
    world.clock.at += DAY

    answered = world.vendor.handle

    def handle(request: Any, now: float) -> Response:
        return Response(503) if "Segment" in request.path else answered(request, now)

    world.vendor.handle = handle  # type: ignore[method-assign]
    world.write("submit", PERSON)
    assert bodies(world)[1]["originSegmentCode"] == CODE


def test_the_doctor_is_told_whether_a_code_is_known() -> None:
    world = World()
    world.vendor.add_segment(ORGANIZATION, "A/B & C")
    assert run(world.crm.segment("A/B & C")) is True
    assert run(world.crm.segment(CODE)) is False
    world.vendor.revoke_key("made-up-key")
    with pytest.raises(Blocked):
        run(world.crm.segment(CODE))
