"""Moves every secret of every customer to another provider while a service goes on, and proves that none is left."""

from collections.abc import Callable
from dataclasses import dataclass, field

from keepstep.database import Connection
from keepstep.model.errors import Permanent, Problem, Transient
from keepstep.safes import HERE
from keepstep.safes.keeper import LEASE, Keeper, Tally
from keepstep.safes.keeping import Keeping
from keepstep.state import places
from keepstep.state.places import Place, Row

_MOST_ROUNDS = 30
# Without any trouble only what was put in the last moment is left: who puts all the time must not keep us for ever.
_CALM_ROUNDS = 4
_PAUSE = 2.0


@dataclass(slots=True)
class Move:
    """How far a move is. left: customer/platform/field of what is not where it is to be; unread: what is there and was
    not given back."""

    moved: int = 0
    left: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    waiting_there: int = 0
    trouble: Problem | None = None

    @property
    def proven(self) -> bool:
        """Is everything there, and can everything be read?"""
        return not self.left and not self.unread and not self.waiting_there


async def move(keeper: Keeper, keeping: Keeping, told: Callable[[int], None] = lambda _: None) -> Move:
    """Move everything to where the keeper keeps; what is put meanwhile, too. Broken off it is begun again where it was.

    A provider's trouble is waited for and ends in what is left; raises Misconfigured where it refuses us.
    """
    made = Move()
    await _others_end(keeper)
    for turn in range(_MOST_ROUNDS):
        if turn:
            await keeper.clock.sleep(_PAUSE)
        try:
            if not await keeper.hold():
                raise Transient("another process moves secrets; this one waits for it")
            await _bring_all(keeper, keeping, made, told)
            tally = await keeper.round(0.0, _telling(told, made.moved))
        except (Transient, Permanent) as trouble:
            made.trouble = trouble
            continue
        made.moved, made.trouble = made.moved + tally.placed, tally.trouble
        made.left = await keeper.db.run(_left, keeper.provider)
        made.waiting_there = await keeper.db.run(places.left_over)
        calm = tally.trouble is None and not tally.later and turn >= _CALM_ROUNDS
        if calm or (not made.left and not made.waiting_there):
            break
    else:
        made.left = await keeper.db.run(_left, keeper.provider)
    made.unread = await _unread(keeper, keeping)
    return made


async def _others_end(keeper: Keeper) -> None:
    """A keeper that was killed holds on until its lease ends."""
    until = keeper.clock.now() + LEASE
    while not await keeper.hold() and keeper.clock.now() <= until:
        await keeper.clock.sleep(_PAUSE)


def _telling(told: Callable[[int], None], before: int) -> Callable[[Tally], None]:
    return lambda tally: told(before + tally.placed)


async def _bring_all(keeper: Keeper, keeping: Keeping, made: Move, told: Callable[[int], None]) -> None:
    """Seal here what another provider keeps. The service reads it here until it goes on."""
    after: Row | None = None
    while found := await keeper.db.run(places.away_from, keeper.provider, after):
        await keeping.fetch([place for _, place in found])
        for row, place in found:
            await keeper.hold()  # a keeper that still has the former provider would send it back there
            brought = await keeper.db.run(_brought, keeper, row, place)
            made.moved += brought and keeper.provider == HERE
            told(made.moved)
        after = found[-1][0]


def _brought(tx: Connection, keeper: Keeper, row: Row, place: Place) -> bool:
    known = keeper.vault.known
    if known is None or known.get(place.mark) is None:
        return False
    return keeper.vault.bring(tx, row, place)


def _left(tx: Connection, provider: str) -> list[str]:
    """customer/platform/field of all that is not at this provider."""
    here = [] if provider == HERE else places.here(tx)
    found, after = [], None
    while some := places.away_from(tx, provider, after):
        found += ["/".join(row) for row, _ in some]
        after = some[-1][0]
    return sorted([*here, *found])


async def _unread(keeper: Keeper, keeping: Keeping) -> list[str]:
    """What the provider does not give back now, whatever this process knows of it."""
    wrong: list[str] = []
    after: Row | None = None
    while some := await keeper.db.run(places.kept, after):
        try:
            values = await keeping.read_again([place for _, place in some])
        except (Transient, Permanent):
            values = {}
        known = keeper.vault.known
        for row, place in some:
            value = values.get(place)
            if value is None or (known is not None and known.get(place.mark) not in (None, value)):
                wrong.append("/".join(row))
        after = some[-1][0]
    return wrong
