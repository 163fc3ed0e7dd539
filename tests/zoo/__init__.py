"""Bugs planted on purpose. `./run simulate zoo` plays seeds of the simulator with each until a checker speaks.

They are patches in a folder that no wheel holds: no release can have one of them on. Each patches another site of the
product; among them are the traps of the vendors' own recipe (recipes.py), the classics of the trade (classics.py) and
at least one for every checker that is at work (the other files, named as the invariants are).
"""

from tests.zoo import (
    budgets,
    change,
    classics,
    consent,
    convergence,
    effects,
    haste,
    intake,
    queue,
    reading,
    recipes,
    secrecy,
    shares,
    tenants,
    tokens,
    twins,
)
from tests.zoo.planting import Planted, named

# Another mistake of the zoo patches the same place.
_TWICE = {
    "reading.updated_after_only",
    "tokens.any_trouble_is_a_void_grant",
    "twins.on_from_our_own_clock",
}
_NAMED = named(intake, consent, convergence, effects, queue, reading, budgets, shares, tenants, tokens, secrecy, change)
_PAIRS = [Planted(plant, (name,), pairs=True) for plant, name in twins.TWINS.items()]
_ALL = (*_NAMED, *_PAIRS, *recipes.RECIPES, *classics.CLASSIC, *haste.HASTE)
ZOO: tuple[Planted, ...] = tuple(one for one in _ALL if one.name not in _TWICE)
__all__ = ["ZOO", "Planted"]
