"""A story is left with what it takes and nothing else; a draw that is struck out leaves all others as they were."""

import random
from collections.abc import Callable, Iterable, Sequence

import pytest

from keepstep_sandbox.log import VIRTUOUS
from keepstep_sandbox.people import ACCOUNT
from keepstep_simulator import shrink
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.run import Plan, Simulation
from keepstep_simulator.script import SETTING, Element, Script, Turns, settings_of
from keepstep_simulator.shrink import Minimal, Played, Player
from keepstep_simulator.story import Violation

PEOPLE = [f"person customer-{town} {who}" for town in (0, 1) for who in range(10)]
DEEDS = [f"deed customer-{town} {number}" for town in (0, 1) for number in range(12)]
FAULTS = [f"fault customer-0 GET /v3/contacts in hour {hour} number 1" for hour in range(30)]
SWITCHES = [f"switch virtuous number-{number}" for number in range(60)]
CADENCE = "cadence lists"
ALL = ["customer 0", "customer 1", "order", "net sweep", CADENCE, *PEOPLE, *DEEDS, *FAULTS, *SWITCHES]
ALL += ["crash 0", "crash 1", "commit before record in hour 3 number 1"]


def element(label: str) -> Element:
    """As the script would tell it."""
    who = {"who": int(label.split()[2]) % 10} if label.startswith("deed") else {}
    return Element(label, float(ALL.index(label)), who)


def fake(breaks: Callable[[frozenset[str]], Iterable[str]], log: list[int] | None = None) -> Player:
    """A player whose story breaks what a function says; a deed needs its person, a person the customer."""

    def play(only: frozenset[str] | None) -> Played:
        there = [label for label in ALL if only is None or label in only]
        there = [label for label in there if _possible(label, there)]
        if log is not None:
            log.append(len(there))
        broken = tuple(Violation(one, 0, "so") for one in breaks(frozenset(there)))
        return Played(tuple(map(element, there)), broken)

    return play


def _possible(label: str, there: Sequence[str]) -> bool:
    kind, town, *rest = (*label.replace("customer-", "").split(), "")
    if kind == "deed":
        return f"person customer-{town} {int(rest[0]) % 10}" in there and f"customer {town}" in there
    return kind != "person" or f"customer {town}" in there


def needs(*labels: str) -> Callable[[frozenset[str]], list[str]]:
    """I5 breaks where all of these are played."""
    return lambda there: ["I5"] if there.issuperset(labels) else []


def labels(minimal: Minimal) -> set[str]:
    """What is left, but how often the product looks, which stays."""
    assert CADENCE in minimal.only
    return {one.label for one in (*minimal.events, *minimal.setting)} - {CADENCE}


@pytest.mark.parametrize(
    "needed",
    [
        ["deed customer-0 3"],
        ["deed customer-1 3", "deed customer-1 11", "crash 1"],
        ["deed customer-0 3", FAULTS[7], FAULTS[8], "switch virtuous number-17", "order"],
        ["customer 0", "commit before record in hour 3 number 1"],
    ],
)
def test_what_is_needed_stays_and_nothing_else(needed: list[str]) -> None:
    """With the people and customers that the deeds are of."""
    runs: list[int] = []
    minimal = shrink.shrink(fake(needs(*needed), runs), 7)
    implied = {f"person {one.split()[1]} {int(one.split()[2]) % 10}" for one in needed if one.startswith("deed")}
    implied |= {f"customer {one.split()[1][-1]}" for one in needed if one.startswith("deed")}
    assert labels(minimal) == set(needed) | implied
    assert minimal.least
    assert minimal.runs == len(runs) <= 100
    assert {one.label for one in minimal.events} == {one for one in needed if one.split()[0] not in SETTING}


def test_either_of_two_is_enough() -> None:
    minimal = shrink.shrink(fake(lambda there: ["I5"] if {DEEDS[2], DEEDS[9]} & there else []), 7)
    assert len(minimal.events) == 1


def test_the_same_invariant_breaks_not_just_any() -> None:
    """A story that turns into another one would explain something else."""

    def breaks(there: frozenset[str]) -> list[str]:
        return (["I1"] if "crash 0" in there else []) + (["I5"] if DEEDS[4] in there else [])

    assert [one.label for one in shrink.shrink(fake(breaks), 7, "I5").events] == [DEEDS[4]]
    assert [one.label for one in shrink.shrink(fake(breaks), 7, "I1").events] == ["crash 0"]
    assert shrink.shrink(fake(breaks), 7).invariant == "I1"


def test_a_seed_that_breaks_nothing_has_no_story() -> None:
    with pytest.raises(ValueError, match="seed 7 does not break anything"):
        shrink.shrink(fake(lambda _there: []), 7)
    with pytest.raises(ValueError, match="seed 7 does not break I1"):
        shrink.shrink(fake(lambda _there: ["I5"]), 7, "I1")


def test_never_more_runs_than_allowed() -> None:
    """Also where everything is needed, and what is left is said not to be the least."""
    runs: list[int] = []
    minimal = shrink.shrink(fake(needs(*ALL), runs), 7, most=50)
    assert len(runs) == minimal.runs == 50
    assert not minimal.least
    assert labels(minimal) == set(ALL) - {CADENCE}


def test_a_whim_of_the_story_is_survived() -> None:
    """Stories are not monotone: leaving something out may mend it by chance. Any ten elements, seven of them needed."""
    for seed in range(20):
        dice = random.Random(seed)
        needed = set(dice.sample(FAULTS, 7))
        whims = [frozenset(dice.sample(ALL, 3)) for _ in range(5)]

        def breaks(there: frozenset[str], needed: set[str] = needed, whims: list[frozenset[str]] = whims) -> list[str]:
            return ["I5"] if needed <= there and not any(len(whim & there) == 1 for whim in whims) else []

        if breaks(frozenset(ALL)):
            minimal = shrink.shrink(fake(breaks), seed)
            assert needed <= labels(minimal)
            assert len(minimal.events) <= 15


# --- the script ---


def test_a_draw_depends_on_its_label_alone() -> None:
    script = Script(3)
    first = script.draw("a")
    script.draw("b")
    assert Script(3).draw("a") == first == script.draw("a")
    assert Script(4).draw("a") != first
    many = [script.draw(f"n {number}") for number in range(4000)]
    assert all(0 <= one < 1 for one in many)
    assert 0.48 < sum(many) / len(many) < 0.52


def test_occurrences_are_counted_within_their_hour() -> None:
    """What happens once less in one hour leaves the next hour alone."""
    now = [1000.0]
    one, other = Script(1, clock=lambda: 1_772_460_000.0 + now[0]), Script(1, clock=lambda: 1_772_460_000.0 + now[0])
    assert one.occurrence("GET") != one.occurrence("GET")
    assert one.occurrence("GET") != other.occurrence("GET")
    now[0] += 3600
    assert one.occurrence("GET") == other.occurrence("GET")
    assert one.occurrence("GET") != other.occurrence("PUT")


def test_nobody_has_the_same_label_twice_at_one_moment() -> None:
    now = [5.0]
    script = Script(1, clock=lambda: now[0])
    found = [script.here(), script.here()]
    now[0] = 6.0
    assert len({*found, script.here()}) == 3


def faults(script: Script) -> list[str]:
    """What goes wrong with four hundred calls."""
    chaos = Chaos(9, call_rate=0.2)
    chaos.script = script
    chaos.begin()
    return [chaos.call(f"GET /{number % 3}", write=False) for number in range(400)]


def test_a_fault_that_is_struck_out_leaves_all_others_as_they_were() -> None:
    script = Script(9)
    whole = faults(script)
    drawn = list(script.played)
    assert len(drawn) > 40
    for label in drawn[::9]:
        less = faults(Script(9, frozenset(drawn) - {label}))
        changed = [number for number in range(400) if whole[number] != less[number]]
        assert len(changed) == 1
        assert (whole[changed[0]], less[changed[0]]) == (script.played[label].what["fault"], "")


def test_whatever_is_not_kept_is_struck_out() -> None:
    assert set(faults(Script(9, frozenset()))) == {""}


def test_a_struck_switch_has_its_first_value() -> None:
    chosen = {VIRTUOUS: {"import-run": "manual", "merge-carries": "people"}}
    whole = Script(1)
    kept = settings_of(whole, chosen)
    for label in list(whole.played):
        name = label.split()[2]
        less = settings_of(Script(1, frozenset(whole.played) - {label}), chosen)
        assert less[VIRTUOUS] == {other: value for other, value in kept[VIRTUOUS].items() if other != name}
    assert whole.played


def test_turns_are_taken_by_chance_or_in_order() -> None:
    now = [5.0]
    dice, fifo = Turns(Script(1, clock=lambda: now[0])), Turns(Script(1, frozenset(), clock=lambda: now[0]))
    first = [dice.random() for _ in range(3)]
    assert len(set(first)) == 3
    assert [fifo.random() for _ in range(3)] == [0.0] * 3
    now[0] = 6.0
    assert dice.random() not in first
    again = Turns(Script(1, clock=lambda: now[0]))
    again.random()
    now[0] = 5.0
    assert [again.random() for _ in range(3)] == first


def test_whoever_is_struck_out_was_never_there() -> None:
    """Nothing of them is left, and everybody else is who they were."""
    whole = Simulation(3, Plan(customers=1))
    people = {one.label: one.what["record"] for one in whole.script.played.values() if one.kind == "person"}
    for label, record in list(people.items())[:3]:
        less = Simulation(3, Plan(customers=1, only=frozenset(whole.script.played) - {label}))
        left = {one["contact_id"] for one in less.towns[0].world.constant_contact.contacts(ACCOUNT)}
        assert record not in left
        assert left >= set(people.values()) - {record}
        assert not [fact for fact in less.story.facts if record in repr(fact)]
        less.loop.bury()
    whole.loop.bury()
