"""Who may take an address that somebody else of ours still has."""

from itertools import pairwise

import pytest

from keepstep.model.custody import Wish, turns


def wish(party: str, wanted: str, sent: bool = False) -> Wish:
    return Wish(party_id=party, method=f"m{party}", address=wanted, sent=sent)


def carried(**held: str) -> dict[str, list[tuple[str, str]]]:
    """Party to the address that its method carries, as holders."""
    found: dict[str, list[tuple[str, str]]] = {}
    for party, address in held.items():
        found.setdefault(address, []).append((party, f"m{party}"))
    return found


def test_a_free_address_is_taken() -> None:
    assert turns([wish("a", "new")], carried(a="old")) == {"ma": "go"}


def test_an_address_of_the_own_household_is_nobody_elses() -> None:
    assert turns([wish("a", "shared")], {"shared": [("a", "other method")]}) == {"ma": "go"}


def test_a_handover_waits_until_its_holder_has_moved() -> None:
    both = [wish("a", "hers"), wish("b", "new")]
    assert turns(both, carried(a="his", b="hers")) == {"ma": "wait", "mb": "go"}


def test_a_holder_who_stays_is_not_waited_for() -> None:
    assert turns([wish("a", "hers")], carried(a="his", b="hers")) == {"ma": "stuck"}


def test_whoever_is_behind_somebody_who_is_stuck_is_stuck_too() -> None:
    both = [wish("a", "hers"), wish("b", "theirs")]
    assert turns(both, carried(a="his", b="hers", c="theirs")) == {"ma": "stuck", "mb": "stuck"}


@pytest.mark.parametrize("size", range(2, 7))
def test_a_ring_of_any_length_is_broken_by_its_smallest_party(size: int) -> None:
    parties = [chr(ord("a") + n) for n in range(size)]
    ring = [wish(one, f"of {other}") for one, other in pairwise([*parties, parties[0]])]
    found = turns(ring[::-1], carried(**{one: f"of {one}" for one in parties}))
    assert found == {"ma": "swap"} | {f"m{one}": "wait" for one in parties[1:]}


def test_two_rings_are_broken_once_each_and_whoever_waits_for_one_waits() -> None:
    wishes = [wish("a", "of b"), wish("b", "of a"), wish("c", "of d"), wish("d", "of c"), wish("e", "of d")]
    found = turns(wishes, carried(a="of a", b="of b", c="of c", d="of d", e="of e"))
    assert found == {"ma": "swap", "mb": "wait", "mc": "swap", "md": "wait", "me": "wait"}


def test_rings_that_share_somebody_are_broken_at_one_place_at_a_time() -> None:
    """Two methods carry what `a` wants: both lie on a ring with it."""
    holders = carried(a="of a", b="shared", c="shared")
    assert turns([wish("a", "shared"), wish("b", "of a"), wish("c", "of a")], holders) == {
        "ma": "swap",
        "mb": "wait",
        "mc": "wait",
    }


def test_a_write_under_way_is_waited_for_and_asked_nothing() -> None:
    assert turns([wish("a", "hers"), wish("b", "new", sent=True)], carried(a="his", b="hers")) == {"ma": "wait"}


def test_what_a_write_under_way_will_have_is_promised() -> None:
    assert turns([wish("a", "new"), wish("b", "new", sent=True)], carried(a="his", b="hers")) == {"ma": "wait"}


def test_of_two_who_want_the_same_only_one_goes() -> None:
    assert turns([wish("b", "new"), wish("a", "new")], carried(a="his", b="hers")) == {"ma": "go", "mb": "wait"}
