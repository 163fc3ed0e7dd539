"""Who may take an address: one that another party's method carries is waited for, and a ring of people who each want
the next one's is broken by one of them.

Two contacts with one address are refused by some organizations (Virtuous facts 5), and where they are not, an import
that runs in between merges the two people by it (facts 10.4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Turn = Literal["go", "swap", "wait", "stuck"]
Holders = Mapping[str, Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The address, canonical, that a party's method is to get. `sent`: the write is under way and decided upon."""

    party_id: str
    method: str
    address: str
    sent: bool = False


def turns(wishes: Sequence[Wish], holders: Holders) -> dict[str, Turn]:
    """What each wish that is not sent may do, by its method: `go`; `swap`, to break a ring; `wait` for somebody who
    will move; `stuck`: whoever has the address does not want another one.

    `holders`: address to the (party id, method) pairs that carry it.
    """
    blocked = {wish.method: _others(wish, holders) for wish in wishes}
    moving = _moving(wishes, blocked)
    breakers = _breakers([wish for wish in wishes if wish.method in moving and not wish.sent], blocked)
    given: dict[str, Turn] = {}
    promised = {wish.address for wish in wishes if wish.sent}
    for wish in sorted((wish for wish in wishes if not wish.sent), key=lambda one: (one.party_id, one.method)):
        if wish.method in breakers:
            given[wish.method] = "swap"
        elif wish.method not in moving:
            given[wish.method] = "stuck"
        elif blocked[wish.method] or wish.address in promised:
            given[wish.method] = "wait"
        else:
            given[wish.method] = "go"
            promised.add(wish.address)
    return given


def _others(wish: Wish, holders: Holders) -> list[str]:
    """The methods of other parties that carry the address. A household may hold one twice: nobody refuses that."""
    return [method for party_id, method in holders.get(wish.address, ()) if party_id != wish.party_id]


def _moving(wishes: Sequence[Wish], blocked: Mapping[str, Sequence[str]]) -> set[str]:
    """Whoever has what it wishes some day: everybody but those behind a method that stays as it is."""
    moving = {wish.method for wish in wishes}
    while still := [one for one in sorted(moving) if not moving.issuperset(blocked[one])]:
        moving.difference_update(still)
    return moving


def _breakers(wishes: Sequence[Wish], blocked: Mapping[str, Sequence[str]]) -> set[str]:
    """Of each ring the wish of the smallest party."""
    by_method = {wish.method: wish for wish in wishes}
    found = set()
    for wish in wishes:
        ahead = _reached(wish.method, blocked, by_method)
        if wish.method in ahead:
            ring = [by_method[one] for one in ahead if wish.method in _reached(one, blocked, by_method)]
            found.add(min(ring, key=lambda one: (one.party_id, one.method)).method)
    return found


def _reached(start: str, blocked: Mapping[str, Sequence[str]], known: Mapping[str, Wish]) -> list[str]:
    """Every wish that this one waits for, directly or through others."""
    seen: list[str] = []
    ahead = [one for one in blocked[start] if one in known]
    while ahead:
        one = ahead.pop()
        if one not in seen:
            seen.append(one)
            ahead += [further for further in blocked[one] if further in known]
    return seen
