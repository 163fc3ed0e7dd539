"""Calls, counted at the stand-ins: what changes cost beside the fewest possible and beside the recipe's own way, what a
nightly proof of sameness costs, and how long opt-outs take.

Everything runs on a virtual clock with the real service, so the figures are the same on any machine.

The recipe is "Constant Contact to Virtuous CRM" of the vendor's guides (seed 000). Its way is counted, not run:
"Step 4: propagate Virtuous changes back" calls `addToList` or `removeFromList` once for each contact and list; "Step 3:
submit subscriber events" posts one Contact Transaction for each change that the queue holds.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import ceil
from typing import Any

from keepstep.model.customer import Cadence
from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Arrival
from keepstep_sandbox.people import Person, address, phone_number
from keepstep_simulator.hands import DAY, HOUR, RARE, Hands
from keepstep_simulator.story import Fact, stream

Calls = dict[str, int]
JOB, PAGE = 500, 500  # contacts in a list job and in a page (CC facts 3.2)
CRM_PAGE = 500  # contacts that we ask the query for in a page
BELOW_BRAKE = 15  # opt-outs by staff in a day that no brake takes for a mass change (design section 4)
TAG = fields.TAG_PREFIX + "Gala"


def crowd(count: int) -> tuple[Person, ...]:
    """So many people who are on one list; a second one has a single member."""
    return tuple(
        Person(
            f"First{n}",
            f"Last{n}",
            f"person{n}@example.org",
            phones=[("mobile", phone_number(n))],
            addresses=[address(n)],
            lists=["News", "Gala"] if n == 0 else ["News"],
        )
        for n in range(count)
    )


def linked(count: int, cadence: Cadence = RARE) -> Hands:
    """So many pairs in step."""
    hands = Hands(crowd(count), cadence=cadence)
    hands.begin()
    hands.night()
    return hands


# --- what changes cost ---


def changes_cost(changes: int) -> dict[str, dict[str, int]]:
    """Calls for so many changes of a kind, all made in one stroke, on both sides together; the polls of the hours in
    which they crossed are counted too."""
    hands = linked(changes + 1)
    everybody = range(1, changes + 1)
    try:
        tags = _spent(hands, lambda: _tag(hands, everybody), HOUR)
        names = _spent(hands, lambda: _rename(hands, everybody), 5 * HOUR)
        return {
            "tags by staff to lists": _row(tags, ceil(changes / JOB), changes),
            "names by people to individuals": _row(names, changes, changes),
        }
    finally:
        hands.end()


def list_changes_cost(changes: int) -> dict[str, int]:
    """The first row of the table alone."""
    hands = linked(changes + 1)
    try:
        spent = _spent(hands, lambda: _tag(hands, range(1, changes + 1)), HOUR)
        return _row(spent, ceil(changes / JOB), changes)
    finally:
        hands.end()


def _row(spent: Calls, floor: int, recipe: int) -> dict[str, int]:
    return {**spent, "calls": sum(spent.values()), "floor": floor, "recipe": recipe}


def _tag(hands: Hands, people: Iterable[int]) -> None:
    numbers = [contact["id"] for contact in map(_crm_of(hands), people)]
    hands.act(VIRTUOUS, "bulk_adds_tag", numbers, TAG)


def _rename(hands: Hands, people: Iterable[int]) -> None:
    for who in people:
        hands.act(CONSTANT_CONTACT, "edit", hands.ids[who], last_name=f"Changed{who}")


def _crm_of(hands: Hands) -> Callable[[int], Any]:
    """Looked up once for everybody: the stand-in lists all its contacts for each question."""
    mine = {reference["id"]: contact for contact in hands.contacts() for reference in contact["contactReferences"]}
    return lambda who: mine[hands.ids[who]]


def _spent(hands: Hands, change: Callable[[], None], seconds: float) -> Calls:
    change()
    before = _calls(hands)
    hands.wait(seconds)
    spent = _calls(hands) - before
    return {vendor: spent[vendor] for vendor in (CONSTANT_CONTACT, VIRTUOUS)}


def _calls(hands: Hands) -> Counter[str]:
    return Counter(one.vendor for one in hands.world.log.arrivals)


# --- proof of sameness ---


def sameness(pairs: int) -> dict[str, float]:
    """Pages of one night's sweeps of both sides as they were really asked for, and what their sizes come to for 100,000
    pairs."""
    hands = linked(pairs, replace(RARE, sweep=DAY, crm_sweep=DAY))
    try:
        begin = len(hands.world.log.arrivals)
        hands.wait(DAY)
        late = hands.world.log.arrivals[begin:]
    finally:
        hands.end()
    return {
        "pairs": pairs,
        "audience_pages": sum(_sweeps_audience(one) for one in late),
        "crm_pages": sum(_sweeps_crm(one) for one in late),
        "by_formula": pages(pairs),
        "by_formula_for_100000": pages(100_000),
    }


def pages(pairs: int) -> int:
    """Calls that read everybody once on both sides. Virtuous names no next page: after a full one it is asked again."""
    return ceil(pairs / PAGE) + pairs // CRM_PAGE + 1


def _sweeps_audience(one: Arrival) -> bool:
    """A page of everybody, or of those after a cursor."""
    bounded = any(word in one.query for word in ("_after", "email=", "status=deleted", "lists="))
    return one.vendor == CONSTANT_CONTACT and one.path == "/v3/contacts" and one.method == "GET" and not bounded


def _sweeps_crm(one: Arrival) -> bool:
    """A page of everybody in the order of ids: neither a date nor a list of ids bounds it."""
    body = one.body.decode("utf-8", "replace")
    bounded = any(word in body for word in ("Last Modified", "Email Address", '"IsIn"', '"Is"'))
    return one.path.endswith("/Query/FullContact") and not bounded


# --- latency of opt-outs ---


def latency(count: int, cadence: Cadence | None = None) -> dict[str, dict[str, float]]:
    """Virtual seconds from an opt-out to its effect on the other side, over so many each way at random moments."""
    hands = linked(2 * count, cadence or Cadence())
    chance = stream(1, "opt-outs")
    try:
        find = _crm_of(hands)
        methods = [find(who)["contactIndividuals"][0]["contactMethods"] for who in range(count, 2 * count)]
        mails = [next(one["id"] for one in found if fields.is_email(one)) for found in methods]
        for number in range(count):
            hands.wait(chance.uniform(1.0, 120.0))
            hands.act(CONSTANT_CONTACT, "person_opts_out", hands.ids[number])
            hands.wait(chance.uniform(1.0, 120.0))
            hands.act(VIRTUOUS, "staff_opts", mails[number], opted_in=False)
            if number % BELOW_BRAKE == BELOW_BRAKE - 1:
                hands.wait(DAY)
        hands.wait(2 * HOUR)
        return {
            "audience_to_crm": _spread(_took(hands.sim.story.facts, CONSTANT_CONTACT, hands.ids, mails)),
            "crm_to_audience": _spread(_took(hands.sim.story.facts, VIRTUOUS, hands.ids, mails)),
        }
    finally:
        hands.end()


def _took(facts: Sequence[Fact], side: str, ids: Sequence[str], mails: Sequence[int]) -> list[float]:
    """For each opt-out on this side, when the product closed the other one; infinite where it never did."""
    closed: dict[str, float] = {}
    for fact in facts:
        out = fact.data.get("after") in (False, "unsubscribed")
        if fact.kind == "EFF" and fact.data["actor"] == "product" and out:
            closed.setdefault(fact.key.partition(":")[2], fact.t)
    kind = "person_opts_out" if side == CONSTANT_CONTACT else "staff_opts"
    pairs = _counterparts(facts, ids, mails)
    acts = [fact for fact in facts if fact.kind == "ACT" and fact.data["what"] == kind]
    return [closed.get(pairs.get(act.key, ""), float("inf")) - act.t for act in acts]


def _counterparts(facts: Sequence[Fact], ids: Sequence[str], mails: Sequence[int]) -> dict[str, str]:
    """The record on the other side that an opt-out of this one must close."""
    made = {
        str(fact.data["after"]).casefold(): fact.key.partition(":")[2]
        for fact in facts
        if fact.kind == "EFF" and fact.key.startswith("method:") and "@" in str(fact.data["after"])
    }
    of_audience = {number: made.get(f"person{who}@example.org", "") for who, number in enumerate(ids)}
    return of_audience | {str(mail): ids[len(mails) + place] for place, mail in enumerate(mails)}


def _spread(values: list[float]) -> dict[str, float]:
    values = sorted(values)
    at = {f"p{share}": values[min(len(values) - 1, int(len(values) * share / 100))] for share in (50, 99)}
    return {"opt_outs": len(values), **at, "max": values[-1]}
