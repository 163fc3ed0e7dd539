"""An API key that somebody made at the vendor, and whichever there is of a key and a grant."""

import contextlib
from dataclasses import dataclass

from sqlalchemy import Connection

from keepstep.database import Database
from keepstep.model.errors import Blocked, Problem
from keepstep.model.instant import Instant
from keepstep.ports import Clock
from keepstep.state import customers
from keepstep.state.vault import Drawer, Elsewhere, Secret, Vault
from keepstep.tokens.grant import REREAD_SECONDS, Known, OAuthGrant, Rows, refuse_copy, waits


@dataclass(slots=True, kw_only=True)
class KeyGrant:
    """ports.Grant for a static API key (Virtuous facts 3).

    A refused key is refused for good, unless a new one was stored since: while the connection waits for its owner,
    nobody calls with it again.
    """

    customer_id: str
    platform: str
    db: Database
    vault: Vault
    clock: Clock
    _key: Secret | None = None
    _read_at: Instant = 0.0
    _sealed: Rows = ()
    _void: bool = False

    async def bearer(self, refused: str | None = None) -> str:
        """The key. Raises Blocked (not_connected, unauthorized)."""
        now = self.clock.now()
        if self._key is None or refused is not None or self._void or now - self._read_at > REREAD_SECONDS:
            self._key, self._read_at = await self.db.run(self._stored), now
        if self._key is None:
            raise Blocked("not_connected", f"{self.platform}: no API key is stored; add it")
        if self._void or self._key.reveal() == refused:
            self._void = True
            raise Blocked("unauthorized", f"{self.platform} refuses the API key; make a new one and add it")
        return self._key.reveal()

    def forget(self) -> None:
        """The store is read again."""
        self._key, self._void = None, False

    def look(self, tx: Connection, held: Drawer, known: Known) -> None:
        """See OAuthGrant.look."""
        now, sealed = self.clock.now(), held.sealed(self.platform, ("api_key",))
        if self._key is not None and now - self._read_at <= REREAD_SECONDS and sealed == self._sealed:
            return
        with contextlib.suppress(Problem, Elsewhere):
            refuse_copy(tx, self.customer_id, self.platform)
            self._key, self._read_at, self._sealed = held.get(self.platform, "api_key"), now, sealed
            self._void = waits(known, self.platform)

    def _stored(self, tx: Connection) -> Secret | None:
        refuse_copy(tx, self.customer_id, self.platform)
        self._void = waits(customers.connections(tx, self.customer_id), self.platform)
        return self.vault.get(tx, self.customer_id, self.platform, "api_key")


@dataclass(frozen=True, slots=True)
class EitherGrant:
    """ports.Grant for a platform that takes a key as well as a grant: whichever is stored, the key first."""

    key: KeyGrant
    oauth: OAuthGrant

    def forget(self) -> None:
        """See both."""
        self.key.forget()
        self.oauth.forget()

    def look(self, tx: Connection, held: Drawer, known: Known) -> None:
        """See OAuthGrant.look."""
        self.key.look(tx, held, known)
        self.oauth.look(tx, held, known)

    async def bearer(self, refused: str | None = None) -> str:
        """See both. Raises Blocked (not_connected) where neither is stored."""
        try:
            return await self.key.bearer(refused)
        except Blocked as problem:
            if problem.reason != "not_connected":
                raise
        return await self.oauth.bearer(refused)
