"""The disputed facts of both vendors as settings for seeds: among as many seeds as there are rows, every two values of
two switches meet."""

from functools import lru_cache

from keepstep_sandbox.constant_contact.registry import SWITCHES as CC
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.virtuous import SWITCHES as V
from keepstep_simulator.pairs import Row, pairwise

Chosen = dict[str, dict[str, str]]
REGISTRIES = {CONSTANT_CONTACT: CC, VIRTUOUS: V}
# What no simulated month asks for, since the product never makes such a call or the vendor is not asked that way: tests
# of their own play these.
UNREACHED: frozenset[tuple[str, str]] = frozenset()


def of_seed(seed: int) -> Chosen:
    """What the vendors of one seed are like: vendor to switch to value."""
    found = rows()
    return by_vendor(found[seed % len(found)])


def each_once() -> list[Chosen]:
    """As few settings as hold every value of every switch once."""
    count = max(len(switch.values) for registry in REGISTRIES.values() for switch in registry)
    return [
        {
            vendor: {switch.name: switch.values[number % len(switch.values)] for switch in registry}
            for vendor, registry in REGISTRIES.items()
        }
        for number in range(count)
    ]


@lru_cache(maxsize=1)
def rows() -> tuple[Row, ...]:
    """Every pair of values together in some row; the first one holds the defaults."""
    every = {f"{vendor} {switch.name}": switch.values for vendor, registry in REGISTRIES.items() for switch in registry}
    return tuple(pairwise(every))


def by_vendor(row: Row) -> Chosen:
    """A row as the stand-ins take it."""
    chosen: Chosen = {vendor: {} for vendor in REGISTRIES}
    for name, value in row.items():
        vendor, _, switch = name.partition(" ")
        chosen[vendor][switch] = value
    return chosen
