"""I1, I2 and I4: hand-made stories in which they are broken, and their neighbours in which they are not."""

from typing import Any

import pytest

from keepstep_simulator.invariants.intake import durable, strangers, whole
from tests.simulator.invariants.telling import Told, V, story, tx


def recv(n: int, key: str = "body", verified: bool = True, names: tuple[tuple[str, str], ...] = ()) -> Told:
    """A request at the door."""
    return Told("RECV", key, {"n": n, "verified": verified, "names": names})


def ack(n: int, status: int = 200, body: str = "{}", key: str = "body") -> Told:
    """Its answer."""
    return Told("ACK", key, {"n": n, "status": status, "body": body})


def stored(verb: str = "INSERT", state: str = "new", key: str = "body") -> Told:
    """A commit with the delivery."""
    return tx(("delivery", verb, {"id": "d", "platform": V, "state": state, "body": key}))


def disk(kind: str, **rows: int) -> Told:
    """What is stored."""
    return Told(kind, "", {"stored": rows, "age": 10.0})


KEPT = {
    "stored, then answered": ((recv(1), stored(), ack(1), disk("END", body=1)), 0),
    "answered first": ((recv(1), ack(1), stored(), disk("END", body=1)), 1),
    "gone after a crash": ((recv(1), stored(), ack(1), disk("BOOT")), 1),
    "two true events of one body, one row": ((recv(1), stored(), ack(1), recv(2), ack(2), disk("END", body=1)), 2),
    "stored without an answer": ((recv(1), stored(), disk("BOOT", body=1)), 0),
    "refused and not stored": ((recv(1), ack(1, 503), disk("END")), 0),
    "stored, and never came": ((disk("END", body=1),), 1),
    "an older disk": ((recv(1), stored(), ack(1), disk("RESTORE"), disk("END")), 0),
    "lost after an older disk": ((recv(1), stored(), ack(1), disk("RESTORE", body=1), disk("END")), 1),
}


@pytest.mark.parametrize(("facts", "broken"), KEPT.values(), ids=KEPT)
def test_durable(facts: tuple[Told, ...], broken: int) -> None:
    found, premise = durable(story(*facts))
    assert [one.invariant for one in found] == ["I1"] * broken
    assert premise == sum(fact.kind == "ACK" and fact.data["status"] == 200 for fact in facts)


def read(record: str, stamp: str | None, verb: str = "UPDATE") -> Told:
    """A reading that was stored."""
    return tx(("snapshot", verb, {"platform": V, "record_id": record, "stamp": stamp}))


TWO = (recv(1, names=(("7", "10:00"), ("8", "10:00"))), stored())
EVENTS = {
    "both were read since": ((read("7", "09:00"), read("8", "09:00"), *TWO, read("7", "10:00"), read("8", "10:01")), 0),
    "one was not": ((read("7", "09:00"), read("8", "09:00"), *TWO, read("7", "10:00")), 1),
    "none was": ((read("7", "09:00"), read("8", "09:00"), *TWO), 1),
    "strangers' records": (TWO, 0),
    "one that is no more of ours": ((read("7", "09:00"), *TWO, read("7", "09:00", "DELETE")), 0),
    "after an older disk": ((read("7", "09:00"), *TWO, Told("RESTORE")), 0),
}


@pytest.mark.parametrize("state", ["parsed", "refused", "aside"])
@pytest.mark.parametrize(("facts", "broken"), EVENTS.values(), ids=EVENTS)
def test_whole(facts: tuple[Told, ...], broken: int, state: str) -> None:
    found, premise = whole(story(*facts, stored("UPDATE", state)))
    ended = state != "aside"
    assert [one.invariant for one in found] == ["I2"] * broken * ended
    assert premise == ended


FORGED = recv(1, verified=False)
STRANGE: dict[str, tuple[tuple[Told, ...], int]] = {
    "refused": ((FORGED, ack(1, 401, "no")), 0),
    "taken": ((FORGED, stored(), ack(1, 200)), 2),
    "stored and refused": ((FORGED, stored(), ack(1, 401, "no")), 1),
    "the true one of that body": ((FORGED, ack(1, 401, "no"), recv(2), stored(), ack(2)), 0),
    "another reason, another answer": ((FORGED, ack(1, 401, "no key"), recv(2, "b", False), ack(2, 401, "cut")), 1),
    "another status": ((FORGED, ack(1, 401, "no"), recv(2, "b", False), ack(2, 404, "nobody")), 0),
    "a long answer": ((FORGED, ack(1, 401, "x" * 200)), 1),
    "an error of ours": ((FORGED, ack(1, 500, "")), 1),
}


@pytest.mark.parametrize(("facts", "broken"), STRANGE.values(), ids=STRANGE)
def test_strangers(facts: tuple[Told, ...], broken: int) -> None:
    found, premise = strangers(story(*facts))
    assert [one.invariant for one in found] == ["I4"] * broken
    assert premise >= 1


def test_nothing_told_is_nothing_proved() -> None:
    empty: Any = story()
    assert [check(empty) for check in (durable, whole, strangers)] == [([], 0)] * 3
