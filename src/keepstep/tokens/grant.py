"""Keeps credentials alive: a grant per connection that hands out a token to use now.

A refresh of a rotating grant may happen once: the vendor gives a new refresh token and the old one is void, and using
a void one may cost the customer's consent (CC facts 2.4). Hence: intent durable -> sent -> received -> durable ->
used, one refresher over all processes.
"""

import asyncio
import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from keepstep.database import Database
from keepstep.model.errors import Blocked, Problem, Transient, Unanswered
from keepstep.model.instant import Instant
from keepstep.ports import Chance, Clock, HttpAnswer
from keepstep.state import customers, installation, places
from keepstep.state.vault import Drawer, Elsewhere, Secret, Vault
from keepstep.tokens.answers import lifetime, understood
from keepstep.tokens.endpoint import Client, Endpoint

_EARLY_SECONDS = 300.0
_JITTER_SECONDS = 120.0
# After this an intent without a result belongs to a process that died: longer than the call it announces may take.
_INTENT_SECONDS = 45.0
_SENT_WITHIN = 15.0  # the call may take the other thirty
# Another process may have stored a new grant (customer add, connect): the copy in memory is not believed for longer.
REREAD_SECONDS = 60.0
_AGAIN_SECONDS = 30.0
# Of an answer that was lost: some services take the same value once more for a moment (CC facts 2.4, not stated), and
# where they do not, waiting saves nothing.
_LOST_SECONDS = 1.0
# While another process is at it; out of step with others who wait, since each look takes the database's lock.
_LOOK_SECONDS = 0.5, 1.5
_NEVER = math.inf
# A customer's connections, as a transaction has read them.
Known = Sequence[customers.Connection]
# Secrets as they are stored, None for one that is not: what was stored anew is sealed anew.
Rows = Sequence[tuple[Any, ...] | None]
_KEPT = ("access_token", "refresh_token", "previous_refresh_token", "expires_at", "refresh_at", "refresh_intent")


@dataclass(frozen=True, slots=True)
class Held:
    """What the store holds of one grant.

    `refresh_at` is when to look for a new access token; `intent` is (id, since).
    """

    access: Secret | None
    refresh: Secret | None
    previous: Secret | None
    expires_at: Instant
    refresh_at: Instant
    intent: tuple[str, Instant] | None

    def values(self) -> list[Secret]:
        """Refresh tokens to try, in order: the one before counts until the new one has worked."""
        return [one for one in (self.refresh, self.previous) if one is not None]

    def usable(self, now: Instant, refused: str | None) -> Secret | None:
        """The access token, if it lives and is not the one the vendor refused."""
        alive = self.access is not None and self.expires_at > now and self.access.reveal() != refused
        return self.access if alive else None


@dataclass(slots=True, kw_only=True)
class OAuthGrant:
    """ports.Grant for a refresh-token grant. Secrets it needs: refresh_token, and client_id and client_secret where the
    endpoint asks for them; it keeps the others itself.

    `bearer` raises Blocked (reauthorize: the grant is void; client_refused: id or secret are wrong; not_connected: no
    grant yet; copied: this is not the database that was connected; refused: any other final no; unauthorized: its
    tokens are refused and its owner was not here since), or Transient and Unanswered where a later call may work.
    """

    customer_id: str
    platform: str
    endpoint: Endpoint
    db: Database
    vault: Vault
    clock: Clock
    chance: Chance
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    _held: Held | None = None
    _read_at: Instant = 0.0
    _not_before: Instant = 0.0
    _received: tuple[Secret, Mapping[str, Any]] | None = None
    _sealed: Rows = ()
    _waits: bool = False
    # Where a refresh cannot be had at once the refused token is still the one that is stored.
    _refused: str | None = field(default=None, repr=False)

    async def bearer(self, refused: str | None = None) -> str:
        """An access token to use now; refreshed early, by one caller at a time. A refused one is never given again."""
        async with self._alone:
            await self._store()
            if self._waits:
                raise Blocked(
                    "unauthorized", f"{self.platform} refuses what its own grant gave; connect the account again"
                )
            held = await self._known(refused)
            self._refused = refused = refused or self._refused
            now = self.clock.now()
            token = held.usable(now, refused)
            if token is not None and (held.refresh_at > now or self._not_before > now):
                return token.reveal()
            return (await self._renewed(token, refused)).reveal()

    async def _known(self, refused: str | None) -> Held:
        now = self.clock.now()
        if self._held is None or refused is not None or now - self._read_at > REREAD_SECONDS:
            self._held, self._read_at = await self.db.run(self._looked), now
        return self._held

    def _looked(self, tx: Connection) -> Held:
        refuse_copy(tx, self.customer_id, self.platform)
        return self._read(tx)

    async def _renewed(self, still_good: Secret | None, refused: str | None) -> Secret:
        """A fresh token, or, where the network or the vendor has trouble, the old one for as long as it lives."""
        try:
            return await self._refresh(refused)
        except Transient as trouble:
            again = _LOST_SECONDS if isinstance(trouble, Unanswered) else _AGAIN_SECONDS
            self._not_before = self.clock.now() + (trouble.retry_after or again)
            if still_good is None or still_good.reveal() == refused:
                raise
            return still_good

    async def _refresh(self, refused: str | None) -> Secret:
        tried: list[str] = []
        while True:
            intent = self.chance.id()
            held, announced = await self.db.run(self._announce, intent, refused, self.clock.now())
            self._held = held
            if not announced:
                token = held.usable(self.clock.now(), refused)
                if token is not None:
                    return token
                await self.clock.sleep(self.chance.uniform(*_LOOK_SECONDS))
                continue
            refresh = next((one for one in held.values() if one.reveal() not in tried), None)
            if refresh is None:
                await self.db.run(self._withdraw, intent)
                raise Blocked(*_VOID)
            token = await self._in_turn(intent, refresh, tried)
            if token is not None:
                return token

    async def _in_turn(self, intent: str, refresh: Secret, tried: list[str]) -> Secret | None:
        """Send it when it is the application's turn.

        None where another process took over while we waited, or where the vendor calls this refresh token void, which
        the store may know better.
        """
        try:
            async with self.endpoint.turn():
                now = self.clock.now()
                if not await self.db.run(self._about_to_send, intent, now):
                    return None
                tried.append(refresh.reveal())
                return await self._attempt(intent, refresh, now + _SENT_WITHIN)
        except Problem:
            await self.db.run(self._withdraw, intent)
            raise

    async def _attempt(self, intent: str, refresh: Secret, latest: Instant) -> Secret | None:
        """The new access token, durable; None for a void refresh token."""
        new = understood(await self._sent(refresh, latest))
        if new is None:
            await self.db.run(self._withdraw, intent)
            return None
        self._received = refresh, new
        await self._store()
        return self._held.usable(self.clock.now(), None) if self._held is not None else None

    async def _store(self) -> None:
        """Make what was received durable.

        A failed commit keeps it here for the next call: the old token is void by now.
        """
        if self._received is not None:
            self._held = await self.db.run(self._keep, *self._received, self.clock.now())
            self._received = None
            self._read_at, self._not_before = self.clock.now(), 0.0

    async def _sent(self, refresh: Secret, latest: Instant) -> HttpAnswer:
        client = await self.db.run(self._client)
        # Whoever stood still has lost its intent by now, and another process may have used the token. No await comes
        # between this look and the port.
        if self.clock.now() > latest:
            raise Transient("the refresh was held up; nothing was sent")
        form = {"grant_type": "refresh_token", "refresh_token": refresh.reveal()}
        return await self.endpoint.send(self.endpoint.oauth.exchange, form, client)

    def _client(self, tx: Connection) -> Client | None:
        if not self.endpoint.oauth.client:
            return None
        client_id, secret = self._get(tx, "client_id"), self._get(tx, "client_secret")
        if client_id is None:
            raise Blocked("not_connected", f"{self.platform}: no client_id is stored; connect the account")
        return Client(client_id, secret)

    def forget(self) -> None:
        """The store is read again; what was refused stays refused, and what was received is still made durable."""
        self._held, self._waits, self._not_before = None, False, 0.0

    def look(self, tx: Connection, held: Drawer, known: Known) -> None:
        """Take what a transaction has read anyway of this customer's secrets, where it is time to look or others are
        stored: they may lead to another account. What is wrong with it shows when a token is asked for."""
        now, sealed = self.clock.now(), held.sealed(self.platform, _KEPT)
        self._waits = waits(known, self.platform)
        early = self._held is not None and now - self._read_at <= REREAD_SECONDS
        if self._alone.locked() or (early and sealed == self._sealed):
            return
        with contextlib.suppress(Problem, Elsewhere):
            refuse_copy(tx, self.customer_id, self.platform)
            self._held, self._read_at, self._sealed = self._found(held), now, sealed

    def _read(self, tx: Connection) -> Held:
        return self._found(self.vault.drawer(tx, self.customer_id))

    def _found(self, held: Drawer) -> Held:
        found = {name: held.get(self.platform, name) for name in _KEPT}
        intent = found["refresh_intent"]
        at, _, intent_id = intent.reveal().partition(" ") if intent is not None else ("", "", "")
        return Held(
            found["access_token"],
            found["refresh_token"],
            found["previous_refresh_token"],
            _number(found["expires_at"]),
            _number(found["refresh_at"]),
            (intent_id, float(at)) if intent is not None else None,
        )

    def _announce(self, tx: Connection, intent: str, refused: str | None, now: Instant) -> tuple[Held, bool]:
        """Claim the refresh, durable before it is sent.

        False where a fresh token is there already, or another process is at it.
        """
        self._lock(tx)
        held = self._looked(tx)
        if held.usable(now, refused) is not None and held.refresh_at > now:
            return held, False
        if held.intent is not None and now - held.intent[1] < _INTENT_SECONDS:
            return held, False
        if held.refresh is None:
            raise Blocked("not_connected", f"{self.platform}: no grant is stored; connect the account")
        self._put(tx, "refresh_intent", f"{now!r} {intent}", now)
        return held, True

    def _about_to_send(self, tx: Connection, intent: str, now: Instant) -> bool:
        """Is the refresh still ours? The wait for a turn may have outlived the intent; from now on it counts anew."""
        self._lock(tx)
        held = self._read(tx)
        if held.intent is None or held.intent[0] != intent:
            return False
        self._put(tx, "refresh_intent", f"{now!r} {intent}", now)
        return True

    def _withdraw(self, tx: Connection, intent: str) -> None:
        self._lock(tx)
        held = self._read(tx)
        if held.intent is not None and held.intent[0] == intent:
            self.vault.drop(tx, self.customer_id, self.platform, "refresh_intent")

    def _keep(self, tx: Connection, used: Secret, new: Mapping[str, Any], now: Instant) -> Held:
        """Store what came back.

        The token just used has worked and stays as the previous one until the new one has worked too.
        """
        self._lock(tx)
        self.vault.drop(tx, self.customer_id, self.platform, "refresh_intent")
        held = self._read(tx)
        if used not in held.values():
            return held  # the account was connected anew meanwhile: that grant is the one that counts
        refresh = new.get("refresh_token")
        if isinstance(refresh, str) and refresh and refresh != used.reveal():
            self._put(tx, "previous_refresh_token", used.reveal(), now)
            self._put(tx, "refresh_token", refresh, now)
        for name, text in access_of(new, now, self.chance).items():
            self._put(tx, name, text, now)
        return self._read(tx)

    def _lock(self, tx: Connection) -> None:
        # Two processes on PostgreSQL must not both find no intent; the slot row is everybody's first lock.
        places.lock(tx, self.customer_id)

    def _get(self, tx: Connection, name: str) -> Secret | None:
        return self.vault.get(tx, self.customer_id, self.platform, name)

    def _put(self, tx: Connection, name: str, text: str, now: Instant) -> None:
        self.vault.put(tx, self.customer_id, self.platform, name, Secret(text), now)


def waits(known: Known, platform: str) -> bool:
    """Was what this connection shows refused, by whichever process, and its owner not here since?"""
    return any(one.platform == platform and (one.health, one.reason) == ("blocked", "unauthorized") for one in known)


def refuse_copy(tx: Connection, customer_id: str, platform: str) -> None:
    """Raises Blocked where the connection belongs to another database, of which this one is a copy."""
    if not installation.belongs(tx, customer_id, platform):
        raise Blocked(
            installation.COPIED,
            "this database is a copy: stop the other one for good, then `keepstep adopt` lets this one go on",
        )


def access_of(new: Mapping[str, Any], now: Instant, chance: Chance) -> dict[str, str]:
    """What is kept of an access token: itself, its end, and when to look for the next one."""
    life = lifetime(new, now)
    early = min(_EARLY_SECONDS + chance.uniform(0.0, _JITTER_SECONDS), life / 2)
    return {
        "access_token": str(new["access_token"]),
        "expires_at": repr(now + life),
        "refresh_at": repr(now + life - early),
    }


def start_over(tx: Connection, vault: Vault, customer_id: str, platform: str) -> None:
    """Forget what was got with the old grant.

    Call it in the transaction that stores a new one: else the old token lives on.
    """
    for name in ("access_token", "expires_at", "refresh_at", "refresh_intent", "previous_refresh_token"):
        vault.drop(tx, customer_id, platform, name)


_VOID = ("reauthorize", "the vendor calls this grant void; connect the account again")


def _number(kept: Secret | None) -> float:
    # A grant that was stored by hand has an access token without times: it is used until the vendor refuses it.
    return float(kept.reveal()) if kept is not None else _NEVER
