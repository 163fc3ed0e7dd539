"""A database port that knows where secrets lie: what a transaction needs of a provider is fetched outside of it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, Table

from keepstep.database import Database
from keepstep.model.errors import Permanent, Transient
from keepstep.safes import Safes
from keepstep.state import places
from keepstep.state.places import Place
from keepstep.state.vault import Elsewhere, Known, Secret, Vault

P = ParamSpec("P")
T = TypeVar("T")

# A transaction walks over one customer's secrets, or over one secret of every customer: twice is enough, the rest is
# for what others change meanwhile.
_MOST_RUNS = 12


class Away(Protocol):
    """Runs what blocks where it holds up nobody: a port, because a simulation has no threads."""

    async def __call__(self, work: Callable[[], T]) -> T: ...


class Keeping:
    """ports of a database, around another one. A function that asks the vault for what a provider keeps is rolled
    back, and run again once the value is here."""

    def __init__(self, db: Database, vault: Vault, safes: Safes, away: Away) -> None:
        self._db, self._vault, self.safes, self.away = db, vault, safes, away
        if vault.known is None:
            vault.known = Known()

    @property
    def dialect(self) -> str:
        return self._db.dialect

    async def run(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See Database. Raises Transient while a provider has trouble, Misconfigured where it refuses us."""
        asked: Elsewhere | None = None
        absent: set[str] = set()
        try:
            for _ in range(_MOST_RUNS):
                try:
                    return await self._db.run(fn, *args, **kwargs)
                except Elsewhere as missing:
                    absent |= await self._fetch(missing, asked)
                    asked = missing
        finally:
            self._known.absent -= absent
        raise Transient("secrets move faster than they can be read; try again")

    @property
    def _known(self) -> Known:
        assert self._vault.known is not None
        return self._vault.known

    async def append(self, table: Table, row: Mapping[str, Any]) -> None:
        """See Database."""
        await self._db.append(table, row)

    async def close(self) -> None:
        """See Database."""
        await self._db.close()
        self.safes.close()

    async def _fetch(self, missing: Elsewhere, asked: Elsewhere | None) -> set[str]:
        """All that this customer has elsewhere, or, where the function goes on to another one, all of this kind; the
        marks of what is not there. The function runs on without those: they are not everybody's trouble."""
        customer = missing.row[0]
        many = asked is not None and asked.row[0] != customer
        like = missing.row if many else None
        found = await self._db.run(places.elsewhere, None if many else customer, like)
        wanted = [place for place in found if self._known.get(place.mark) is None]
        await self.fetch(wanted)
        absent = {place.mark for place in wanted if self._known.get(place.mark) is None}
        self._known.absent |= absent
        return absent

    async def fetch(self, wanted: Sequence[Place]) -> None:
        """Read values from their providers; what is not there stays unknown."""
        for place, value in (await self.read_again(wanted)).items():
            self._known.add(places.whose(place.name), place.mark, value)

    async def read_again(self, wanted: Sequence[Place]) -> dict[Place, Secret]:
        """Values as their providers give them now; what is not there is left out."""
        found: dict[Place, Secret] = {}
        for provider in dict.fromkeys(place.provider for place in wanted):
            there = [place for place in wanted if place.provider == provider]
            found |= await self.away(partial(self._read, provider, there))
        return found

    def _read(self, provider: str, there: Sequence[Place]) -> dict[Place, Secret]:
        wanted = [(place.name, place.version) for place in there]
        try:
            values = self.safes.ask(provider, lambda safe: safe.get(wanted))
        except Permanent as refused:
            # Whoever waits for a secret must not give its work up for it.
            raise Transient(refused.detail) from None
        return {place: value for place in there if (value := values.get((place.name, place.version))) is not None}
