"""I27: hand-made stories in which it is broken, and their neighbours in which it is not."""

from collections.abc import Sequence

import pytest

from keepstep_simulator.invariants.budgets import within
from tests.simulator.invariants.telling import CC, Told, V, out, rsp, story, tx

MIDNIGHT = 86_400.0 * 20_000
NOON = MIDNIGHT + 43_200.0


def calls(*moments: float, vendor: str = CC, token: bool = False) -> list[Told]:
    """Calls that arrive then."""
    told = []
    for number, at in enumerate(moments):
        call = f"{vendor} {token} {number} {at}"
        told += [
            out(call, "/v3/contacts", vendor=vendor, token=token, at=at),
            rsp(call, at=at + 0.3, arrived=at, granted=()),
        ]
    return told


def permit(used: int, day: float = NOON, number: int = 0, key: str = "default") -> Told:
    """A claim, as the store counts it."""
    row = {"key": key, "n": number, "free_at": 0.0, "day": int(day // 86_400), "used": used, "stop": 0.0}
    return tx(("permit", "UPDATE", row), at=day)


def counted(*told: Sequence[Told], many: int = 9) -> list[Told]:
    """With so many calls in the store's count."""
    return [permit(many), *(one for part in told for one in part)]


FEW = (NOON, NOON + 0.1, NOON + 0.2, NOON + 0.3)

CASES = {
    "four calls in a second": (counted(calls(*FEW)), 0),
    "five calls in a second": (counted(calls(*FEW, NOON + 0.99)), 1),
    "the fifth a second after the first": (counted(calls(*FEW, NOON + 1.0)), 0),
    "five in a second of two customers": (counted(calls(*FEW), calls(NOON + 0.9)), 1),
    "one that never arrived": (counted(calls(*FEW), [out("x", "/v3"), rsp("x", None, arrived=None, granted=())]), 0),
    "two tokens in a second": (counted(calls(NOON, NOON + 0.9, token=True)), 1),
    "two tokens in two seconds": (counted(calls(NOON, NOON + 1.1, token=True)), 0),
    "a token between four calls": (counted(calls(*FEW), calls(NOON + 0.5, token=True)), 0),
    "five at Virtuous": (counted(calls(*FEW, NOON + 0.5, vendor=V)), 0),
    "what an hour of Virtuous holds": (counted(calls(*(NOON + i for i in range(1500)), vendor=V)), 0),
    "more than that": (counted(calls(*(NOON + i for i in range(1501)), vendor=V)), 1),
    "more than that in two hours": (counted(calls(*(NOON + 2700 + i for i in range(1700)), vendor=V)), 0),
    "counted in two permits": ([permit(2), permit(1, number=1), *calls(*FEW[:3])], 0),
    "one not counted": ([permit(2), *calls(*FEW[:3])], 1),
    "counted as tokens": ([permit(3, key="default tokens"), *calls(*FEW[:3])], 1),
    "counted the evening before": ([permit(0), *calls(MIDNIGHT + 0.5)], 0),
    "uncounted, but by a clock that was ahead": ([Told("SKEW", "", {"ahead": 3600.0}), *calls(*FEW)], 0),
    "uncounted, but by a disk that was put back": ([Told("RESTORE", "", {"age": 3600.0}), *calls(*FEW)], 0),
}


def left(remaining: str, at: float = NOON, process: int = 1) -> Told:
    """An answer of Virtuous says how many calls the hour has left."""
    hour = (remaining, "1500", str(NOON + 3600))
    return rsp(f"{at}", at=at, arrived=None, granted=(), hour=hour, process=process)


def poll(at: float, path: str = "/api/Contact/Query/FullContact", process: int = 1) -> Told:
    """A poll of Virtuous."""
    return out(f"{at}", path, "POST", at=at, process=process)


SPARED = {
    "a poll with more than a fifth left": ((left("300"), poll(NOON + 600)), 0),
    "a poll in the last fifth": ((left("299"), poll(NOON + 600)), 1),
    "one that was on its way": ((left("299"), poll(NOON + 30)), 0),
    "in the next hour": ((left("299"), poll(NOON + 3601)), 0),
    "consent": ((left("299"), poll(NOON + 600, "/api/ContactMethod/7")), 0),
    "a process that nobody told": ((left("299"), poll(NOON + 600, process=2)), 0),
    "told again": ((left("299"), left("298", NOON + 50), poll(NOON + 70)), 1),
    "there is more again": ((left("299"), left("1400", NOON + 50), poll(NOON + 600)), 0),
    "connected anew": ((left("299"), Told("OPERATE", "reconnect"), poll(NOON + 600)), 0),
    "our clock is wrong": ((Told("SKEW", "", {"ahead": 3600.0}), left("299"), poll(NOON + 600)), 0),
    "no headers": ((rsp("1", at=NOON, arrived=None, granted=()), poll(NOON + 600)), 0),
}


@pytest.mark.parametrize("case", SPARED)
def test_the_last_fifth_of_an_hour_is_others(case: str) -> None:
    """By what the answers say of it (Virtuous facts 4)."""
    told, count = SPARED[case]
    found, _ = within(story(*told))
    assert [one.invariant for one in found] == ["I27"] * count


@pytest.mark.parametrize("case", CASES)
def test_arrivals_are_counted_as_the_vendors_count_them(case: str) -> None:
    """In any second, in a day, in an hour; and the store's own count misses none."""
    told, count = CASES[case]
    found, _ = within(story(*told))
    assert len(found) == count, found


def test_more_than_the_key_has_in_a_day() -> None:
    """10,000 calls of a UTC day, and one more."""
    told = [permit(10_001), *calls(*(NOON + i for i in range(10_001)))]
    assert [one.why for one in within(story(*told))[0]] == ["more than 10000 calls in a window of 86400 s"]


def test_the_premise_is_a_full_second_or_a_token() -> None:
    """Three calls in a second prove nothing."""
    assert within(story(*counted(calls(*FEW[:3]))))[1] == 0
    assert within(story(*counted(calls(*FEW))))[1] == 1
    assert within(story(*counted(calls(NOON, token=True))))[1] == 1
