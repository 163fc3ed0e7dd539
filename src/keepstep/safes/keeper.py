"""Sends what was sealed here to the provider, and deletes there what is gone here. One keeper at a time, of all
processes.

For each secret: noted where it may lie from now on -> sent -> read back, this very version -> the place alone is kept.
Until the last step what is sealed here counts, so that a provider that loses, delays or forgets a value costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from keepstep.database import Database
from keepstep.model.errors import Permanent, Problem, Transient
from keepstep.model.instant import Instant
from keepstep.ports import Chance, Clock
from keepstep.safes import HERE, Safes
from keepstep.safes.keeping import Away
from keepstep.state import places
from keepstep.state.places import Place, Row
from keepstep.state.vault import Known, Sealed, Vault

# What is left of the lease is longer than every call for one secret with its tries: nothing of a keeper's arrives after
# the next one began.
LEASE, _ENOUGH = 180.0, 120.0
# What is replaced again at once, as the intent of a refresh, is not worth a call.
SETTLED_SECONDS = 10.0
_READ_BACKS = 3
_FIRST_PAUSE = 0.2
# So often a version is looked for before it is sent anew.
_MOST_LOOKS = 5


@dataclass(slots=True)
class Tally:
    """What one round came to. `later`: rows whose provider has not given them back, or does not take them."""

    placed: int = 0
    deleted: int = 0
    later: list[Row] = field(default_factory=list)
    alone: bool = True
    trouble: Problem | None = None


@dataclass(slots=True, kw_only=True)
class Keeper:
    """`provider`: where secrets go; HERE for nowhere, and only what is left over is deleted."""

    db: Database
    vault: Vault
    safes: Safes
    clock: Clock
    chance: Chance
    away: Away
    provider: str
    env: str
    _holder: str = field(init=False)
    _until: Instant = 0.0
    _looks: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._holder = self.chance.id()
        if self.vault.known is None:
            self.vault.known = Known()

    async def round(self, settled: float = SETTLED_SECONDS, told: Callable[[Tally], None] = lambda _: None) -> Tally:
        """Everything that waits for longer than `settled` seconds, once. The provider's trouble ends the round and is
        in the tally."""
        tally = Tally()
        if not await self.hold():
            tally.alone = False
            return tally
        try:
            if self.provider != HERE:
                await self._place_all(self.clock.now() - settled if settled else None, tally, told)
            await self._clear(tally)
        except (Transient, Permanent) as trouble:
            tally.trouble = trouble
        finally:
            self._until = 0.0
            await self.db.run(places.let_go, self._holder)
        return tally

    async def hold(self) -> bool:
        """Be the one keeper for a while from now on; False while another process is."""
        now = self.clock.now()
        if self._until - now < _ENOUGH:
            held = await self.db.run(places.hold, self._holder, now, now + LEASE)
            self._until = now + LEASE if held else 0.0
        return self._until > now

    async def _place_all(self, before: Instant | None, tally: Tally, told: Callable[[Tally], None]) -> None:
        after: Row | None = None
        while waiting := await self.db.run(self.vault.sealed, before, after):
            for one in waiting.values():
                if one is None:  # sealed by a lost key, which `vault status` names
                    continue
                if not await self.hold():
                    return
                try:
                    done = await self.place(one)
                except Permanent:  # this one it will never take; the others are not to wait for it
                    done = False
                tally.placed += done
                if not done:
                    tally.later.append(one.row)
                told(tally)
            after = next(reversed(waiting))

    async def place(self, one: Sealed) -> bool:
        """Send one secret to the provider; True once the place alone is kept. Call it as the one keeper."""
        place = self._sent_before(one) or await self._sent(one)
        if place is None:
            return False
        if not await self._given_back(one, place):
            await self.db.run(places.begin, one.row, one.nonce, place)
            self._looks[place.mark] = self._looks.get(place.mark, 0) + 1
            return False
        self._looks.pop(place.mark, None)
        assert self.vault.known is not None
        self.vault.known.add(one.row, place.mark, one.value)
        return await self.db.run(places.placed, one.row, one.nonce, place)

    def _target(self, row: Row) -> Place:
        return Place(self.provider, places.name_of(self.env, row))

    def _sent_before(self, one: Sealed) -> Place | None:
        """This very value was sent already and was not given back yet: it is looked for, and not sent again."""
        if one.place is None or one.place.mark != one.mark or not self._target(one.row).same_name(one.place):
            return None
        return one.place if self._looks.get(one.mark, 0) < _MOST_LOOKS else None

    async def _sent(self, one: Sealed) -> Place | None:
        """Noted, then sent; None where the secret was changed meanwhile."""
        target = self._target(one.row)
        if not await self.db.run(places.begin, one.row, one.nonce, target):
            return None
        self._looks.pop(one.mark, None)
        version = await self.away(
            lambda: self.safes.ask(target.provider, lambda safe: safe.put(target.name, one.value, one.mark))
        )
        return Place(target.provider, target.name, version, one.mark)

    async def _given_back(self, one: Sealed, place: Place) -> bool:
        """Does the provider give this very version back? AWS may need a moment."""
        wanted = (place.name, place.version)
        for turn in range(_READ_BACKS):
            if turn:
                await self.clock.sleep(_FIRST_PAUSE * 2**turn)
            found = await self.away(lambda: self.safes.ask(place.provider, lambda safe: safe.get([wanted])))
            if found.get(wanted) == one.value:
                return True
        return False

    async def _clear(self, tally: Tally) -> None:
        """Delete what is left over at providers."""
        while left := await self.db.run(places.leftovers):
            for place in left:
                if not await self.hold():
                    return
                try:
                    if not await self.db.run(places.still_wanted, place):
                        await self._deleted(place)
                        tally.deleted += 1
                except Permanent as refused:  # the others are not to wait for it
                    tally.trouble = refused
                else:
                    await self.db.run(places.cleared, place)
            if tally.trouble is not None:
                return

    async def _deleted(self, place: Place) -> None:
        await self.away(lambda: self.safes.ask(place.provider, lambda safe: safe.delete(place.name)))
