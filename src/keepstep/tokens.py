"""Keeps credentials alive: a grant per connection that hands out a token to use now.

A refresh of a rotating grant may happen once: the vendor gives a new refresh token and the old one is void, and using
a void one may cost the customer's consent (CC facts 2.4). Hence: intent durable -> sent -> received -> durable ->
used, one refresher over all processes.
"""

import asyncio
import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, select

from keepstep.database import Database
from keepstep.model.errors import Blocked, Problem, Transient, Unanswered
from keepstep.model.instant import Instant
from keepstep.ports import Chance, Clock, Http, HttpAnswer
from keepstep.schema.tables import slot
from keepstep.state.vault import Secret, Vault

_EARLY_SECONDS = 300.0
_JITTER_SECONDS = 120.0
_CALL_SECONDS = 30.0
# After this an intent without a result belongs to a process that died: longer than the call it announces may take.
_INTENT_SECONDS = 45.0
# Another process may have stored a new grant (customer add, connect): the copy in memory is not believed for longer.
_REREAD_SECONDS = 60.0
_AGAIN_SECONDS = 30.0
_NEVER = math.inf
_ABSURD_LIFETIME = 10 * 365 * 86400.0


@dataclass(slots=True)
class Pace:
    """One call at a time and a second between an answer and the next call.

    The token endpoint's own limit (CC facts 3.1).
    """

    clock: Clock
    seconds: float = 1.0
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    _next: Instant = 0.0

    async def __aenter__(self) -> None:
        await self._alone.acquire()
        try:
            wait = self._next - self.clock.now()
            if wait > 0:
                await self.clock.sleep(wait)
        except BaseException:
            self._alone.release()
            raise

    async def __aexit__(self, *_error: object) -> None:
        self._next = self.clock.now() + self.seconds
        self._alone.release()


@dataclass(frozen=True, slots=True)
class Held:
    """What the store holds of one grant.

    `refresh_at` is when to look for a new access token; `intent` is (id, since).
    """

    access: Secret | None
    refresh: Secret | None
    expires_at: Instant
    refresh_at: Instant
    intent: tuple[str, Instant] | None

    def usable(self, now: Instant, refused: str | None) -> Secret | None:
        """The access token, if it lives and is not the one the vendor refused."""
        alive = self.access is not None and self.expires_at > now and self.access.reveal() != refused
        return self.access if alive else None


@dataclass(slots=True, kw_only=True)
class OAuthGrant:
    """ports.Grant for a refresh-token grant. Secrets it needs: client_id, client_secret, refresh_token; it keeps the
    others itself.

    `bearer` raises Blocked (reauthorize: the grant is void; client_refused: id or secret are wrong; not_connected: no
    grant yet; refused: any other final no), or Transient and Unanswered where a later call may work.
    """

    customer_id: str
    platform: str
    auth_url: str
    http: Http
    db: Database
    vault: Vault
    clock: Clock
    chance: Chance
    pace: Pace
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    _held: Held | None = None
    _read_at: Instant = 0.0
    _not_before: Instant = 0.0
    _received: tuple[Secret, Mapping[str, Any]] | None = None

    async def bearer(self, refused: str | None = None) -> str:
        """An access token to use now; refreshed early, by one caller at a time."""
        async with self._alone:
            await self._store()
            held = await self._known(refused)
            now = self.clock.now()
            token = held.usable(now, refused)
            if token is not None and (held.refresh_at > now or self._not_before > now):
                return token.reveal()
            return (await self._renewed(token, refused)).reveal()

    async def _known(self, refused: str | None) -> Held:
        now = self.clock.now()
        if self._held is None or refused is not None or now - self._read_at > _REREAD_SECONDS:
            self._held, self._read_at = await self.db.run(self._read), now
        return self._held

    async def _renewed(self, still_good: Secret | None, refused: str | None) -> Secret:
        """A fresh token, or, where the network or the vendor has trouble, the old one for as long as it lives."""
        try:
            return await self._refresh(refused)
        except Transient as trouble:
            self._not_before = self.clock.now() + (trouble.retry_after or _AGAIN_SECONDS)
            if still_good is None or still_good.reveal() == refused:
                raise
            return still_good

    async def _refresh(self, refused: str | None) -> Secret:
        tried: str | None = None
        while True:
            intent = self.chance.id()
            held, announced = await self.db.run(self._announce, intent, refused, self.clock.now())
            self._held = held
            if not announced:
                token = held.usable(self.clock.now(), refused)
                if token is not None:
                    return token
                await self.clock.sleep(1.0)
                continue
            refresh = held.refresh
            if refresh is None or refresh.reveal() == tried:
                await self.db.run(self._withdraw, intent)
                raise Blocked(*_VOID)
            tried = refresh.reveal()
            token = await self._attempt(intent, refresh)
            if token is not None:
                return token

    async def _attempt(self, intent: str, refresh: Secret) -> Secret | None:
        """The new access token, durable.

        None where the vendor calls this refresh token void, which the store may know better.
        """
        try:
            new = _understood(await self._sent(refresh))
        except Problem:
            await self.db.run(self._withdraw, intent)
            raise
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

    async def _sent(self, refresh: Secret) -> HttpAnswer:
        client_id, client_secret = await self.db.run(self._client)
        # As the vendor's guide has it, without the form-encoding that RFC 6749 2.3.1 asks for (CC facts 2.1).
        pair = f"{client_id.reveal()}:{client_secret.reveal()}"
        headers = {
            "authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }
        # In the body: query strings end up in logs (CC facts 2.1).
        form = urlencode({"grant_type": "refresh_token", "refresh_token": refresh.reveal()}).encode()
        url = f"{self.auth_url.rstrip('/')}/oauth2/default/v1/token"
        async with self.pace:
            return await self.http("POST", url, headers, form, _CALL_SECONDS)

    def _client(self, tx: Connection) -> tuple[Secret, Secret]:
        client_id, client_secret = self._get(tx, "client_id"), self._get(tx, "client_secret")
        if client_id is None or client_secret is None:
            raise Blocked("not_connected", f"{self.platform}: client_id and client_secret are not stored; add them")
        return client_id, client_secret

    def _read(self, tx: Connection) -> Held:
        intent = self._get(tx, "refresh_intent")
        at, _, intent_id = intent.reveal().partition(" ") if intent is not None else ("", "", "")
        return Held(
            self._get(tx, "access_token"),
            self._get(tx, "refresh_token"),
            _number(self._get(tx, "expires_at")),
            _number(self._get(tx, "refresh_at")),
            (intent_id, float(at)) if intent is not None else None,
        )

    def _announce(self, tx: Connection, intent: str, refused: str | None, now: Instant) -> tuple[Held, bool]:
        """Claim the refresh, durable before it is sent.

        False where a fresh token is there already, or another process is at it.
        """
        self._lock(tx)
        held = self._read(tx)
        if held.usable(now, refused) is not None and held.refresh_at > now:
            return held, False
        if held.intent is not None and now - held.intent[1] < _INTENT_SECONDS:
            return held, False
        if held.refresh is None:
            raise Blocked("not_connected", f"{self.platform}: no grant is stored; connect the account")
        self._put(tx, "refresh_intent", f"{now!r} {intent}", now)
        return held, True

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
        if held.refresh != used:
            return held  # the account was connected anew meanwhile: that grant is the one that counts
        refresh = new.get("refresh_token")
        if isinstance(refresh, str) and refresh and refresh != used.reveal():
            self._put(tx, "previous_refresh_token", used.reveal(), now)
            self._put(tx, "refresh_token", refresh, now)
        life = _lifetime(new, now)
        early = min(_EARLY_SECONDS + self.chance.uniform(0.0, _JITTER_SECONDS), life / 2)
        self._put(tx, "access_token", new["access_token"], now)
        self._put(tx, "expires_at", repr(now + life), now)
        self._put(tx, "refresh_at", repr(now + life - early), now)
        return self._read(tx)

    def _lock(self, tx: Connection) -> None:
        # Two processes on PostgreSQL must not both find no intent; the slot row is everybody's first lock.
        tx.execute(select(slot.c.fence).where(slot.c.customer_id == self.customer_id).with_for_update())

    def _get(self, tx: Connection, name: str) -> Secret | None:
        return self.vault.get(tx, self.customer_id, self.platform, name)

    def _put(self, tx: Connection, name: str, text: str, now: Instant) -> None:
        self.vault.put(tx, self.customer_id, self.platform, name, Secret(text), now)


@dataclass(slots=True, kw_only=True)
class KeyGrant:
    """ports.Grant for a static API key (Virtuous facts 3).

    A refused key is refused for good, unless a new one was stored since.
    """

    customer_id: str
    platform: str
    db: Database
    vault: Vault
    clock: Clock
    _key: Secret | None = None
    _read_at: Instant = 0.0

    async def bearer(self, refused: str | None = None) -> str:
        """The key. Raises Blocked (not_connected, unauthorized)."""
        now = self.clock.now()
        if self._key is None or refused is not None or now - self._read_at > _REREAD_SECONDS:
            self._key = await self.db.run(self.vault.get, self.customer_id, self.platform, "api_key")
            self._read_at = now
        if self._key is None:
            raise Blocked("not_connected", f"{self.platform}: no API key is stored; add it")
        if self._key.reveal() == refused:
            raise Blocked("unauthorized", f"{self.platform} refuses the API key; make a new one and add it")
        return self._key.reveal()


def start_over(tx: Connection, vault: Vault, customer_id: str, platform: str) -> None:
    """Forget what was got with the old grant.

    Call it in the transaction that stores a new one: else the old token lives on.
    """
    for name in ("access_token", "expires_at", "refresh_at", "refresh_intent", "previous_refresh_token"):
        vault.drop(tx, customer_id, platform, name)


_VOID = ("reauthorize", "the vendor calls this grant void; connect the account again")
# Constant Contact's endpoint is an OAuth one: only `error` is to be relied on, never the words (CC facts 2.4).
_CLIENT_ERRORS = {"invalid_client", "unauthorized_client"}


def _understood(answer: HttpAnswer) -> Mapping[str, Any] | None:
    """The granted tokens, None for invalid_grant.

    Raises Transient, Unanswered (a yes that cannot be read) or Blocked.
    """
    said = _object(answer.body)
    if answer.status == 200:
        if not isinstance(said.get("access_token"), str) or not said["access_token"]:
            raise Unanswered("the token endpoint's answer holds no access token", status=200)
        return said
    if answer.status == 429 or answer.status < 400 or answer.status >= 500:
        raise Transient(
            f"token endpoint answered {answer.status}", _seconds(answer.headers.get("retry-after")), answer.status
        )
    if said.get("error") == "invalid_grant":
        return None
    if said.get("error") in _CLIENT_ERRORS:
        raise Blocked("client_refused", "the vendor refuses client_id or client_secret; store them again")
    raise Blocked("refused", f"token endpoint answered {answer.status}; check the application in the vendor's portal")


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _lifetime(said: Mapping[str, Any], now: Instant) -> float:
    """Seconds to live.

    `expires_in` (number or string), else the JWT's `exp`, else until refused; no constant (CC facts 2.3).
    """
    named = _seconds(said.get("expires_in"))
    if named is not None:
        return named
    until = _seconds(_claims(said["access_token"]).get("exp"))
    return max(until - now, 0.0) if until is not None else _ABSURD_LIFETIME


def _claims(token: str) -> Mapping[str, Any]:
    try:
        middle = token.split(".")[1]
        return _object(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (IndexError, ValueError):
        return {}


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _number(kept: Secret | None) -> float:
    # A grant that was stored by hand has an access token without times: it is used until the vendor refuses it.
    return float(kept.reveal()) if kept is not None else _NEVER
