"""A running Keepstep: what every customer shares, and one desk for each."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection as Tx

from keepstep import queue
from keepstep.database import Database
from keepstep.desk import CALL_TIMEOUT, Desk
from keepstep.model.errors import Misconfigured, Refused
from keepstep.model.instant import Instant
from keepstep.ports import Chance, Clock, Connection, Connector, Grant, Http, Notice, Permits, Wake
from keepstep.settings import Settings
from keepstep.state import customers, installation, journal, marks
from keepstep.state.vault import Secret, Vault
from keepstep.tokens import EitherGrant, Endpoint, KeyGrant, OAuthGrant, start_over
from keepstep.wire.http import Breaker
from keepstep.wire.permits import SharedPermits
from keepstep.wiring import checks, report
from keepstep.wiring.lock import only_worker
from keepstep.wiring.shares import Shares
from keepstep.wiring.standin import announce

OURS = "keepstep"
GOODBYE = 20.0
# For so long the door of a customer that another process added may be unknown.
DOORS_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class Service:
    """Everything that is built once a process. `advance` is set in virtual time only."""

    settings: Settings
    db: Database
    clock: Clock
    chance: Chance
    http: Http
    vault: Vault
    connectors: Mapping[str, Connector]
    advance: Callable[[Instant], Awaitable[Instant | None]] | None = None
    joined: bool = False
    stopping: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    woken: Wake = field(init=False)
    shares: Shares = field(init=False)
    _desks: dict[str, Desk] = field(default_factory=dict)
    _permits: dict[str, Permits] = field(default_factory=dict)
    _doors: dict[str, tuple[Instant, Mapping[bytes, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.woken = self.clock.wake()
        self.shares = Shares(self.settings)

    @property
    def signatures(self) -> Mapping[str, Callable[[Mapping[str, str]], Sequence[str]]]:
        """How each platform that sends webhooks signs them: in the headers that the settings name, else in the known
        ones."""
        known = {name: one.signatures for name, one in self.connectors.items() if one.signatures}
        named = {name: one.signature_headers for name, one in self.settings.platforms.items() if one.signature_headers}
        return known | {name: _in_headers(names) for name, names in named.items() if name in known}

    async def desk(self, customer_id: str) -> Desk:
        """The customer's desk, opened once. Its secrets are read every time: another process may have stored them."""
        if customer_id not in self._desks:
            self._desks[customer_id] = self._opened(customer_id)
        return await self.db.run(self._with_secrets, self._desks[customer_id])

    def _with_secrets(self, tx: Tx, desk: Desk) -> Desk:
        crm, audience = desk.route.crm, desk.route.audience
        token = self.vault.get(tx, desk.customer_id, crm, "door_token")
        return replace(
            desk,
            hook_url=self.hook_url(crm, token),
            hook_secret=self.vault.get(tx, desk.customer_id, crm, "webhook_secret"),
            ledger_key=self.vault.get(tx, desk.customer_id, OURS, "ledger_key"),
            calls_a_day=self.shares.part_of_day(tx, desk.customer_id, audience, self.clock.now()),
        )

    def _opened(self, customer_id: str) -> Desk:
        route = self.settings.route(customer_id)
        audience, crm = self._connector(route.audience), self._connector(route.crm)
        if audience.open_audience is None or crm.open_crm is None:
            raise Misconfigured(
                (f"customers.{customer_id}.route: {route.audience} to {route.crm} is no possible route",)
            )
        return Desk(
            route=route,
            audience=audience.open_audience(self._connection(customer_id, route.audience)),
            crm=crm.open_crm(self._connection(customer_id, route.crm)),
            db=self.db,
            clock=self.clock,
            chance=self.chance,
        )

    async def names_behind(self, customer_id: str, platform: str, grant: Grant) -> Sequence[str]:
        """Whatever the account is known by that a grant leads to."""
        connector, link = self._connector(platform), self._connection(customer_id, platform, grant)
        if connector.open_audience is not None:
            return [await connector.open_audience(link).account()]
        if connector.open_crm is not None:
            return await connector.open_crm(link).names()
        raise Misconfigured((f"{platform}: has no account",))

    def hook_url(self, platform: str, token: Secret | None) -> str | None:
        """Where a customer's webhooks arrive; None where the service has no public address."""
        public = self.settings.service.public_url
        return f"{public.rstrip('/')}/hooks/{platform}/{token.reveal()}" if public and token else None

    def parse(self, platform: str) -> Callable[[bytes], list[Notice]]:
        """What a platform's deliveries say."""
        return self._connector(platform).parse_delivery or (lambda _body: [])

    def _connector(self, platform: str) -> Connector:
        if platform not in self.connectors:
            known = ", ".join(sorted(self.connectors))
            raise Misconfigured((f"{platform}: no connector of that name; there are {known}",))
        return self.connectors[platform]

    def _connection(self, customer_id: str, platform: str, grant: Grant | None = None) -> Connection:
        known, policy = self.settings.platforms[platform], self.settings.route(customer_id).policy
        http = Breaker(self.http, self.clock)
        shared = {"reference_source": policy.reference_source, "origin_segment_code": policy.origin_segment_code}
        key = known.application_key
        extra = {"application_key": key, "calls_per_hour": known.per_hour, "signature_headers": known.signature_headers}
        return Connection(
            customer_id=customer_id,
            base_url=known.base_url,
            http=http,
            grant=grant or self._grant(customer_id, platform, http),
            permits=self.permits_of(platform),
            clock=self.clock,
            chance=self.chance,
            settings={**shared, **{name: value for name, value in extra.items() if value is not None}},
        )

    def _grant(self, customer_id: str, platform: str, http: Http) -> Grant:
        shared: dict[str, Any] = {"customer_id": customer_id, "platform": platform, "db": self.db, "vault": self.vault}
        key = KeyGrant(**shared, clock=self.clock)
        oauth = self.connectors[platform].oauth
        if oauth is None:
            return key
        grant = OAuthGrant(**shared, endpoint=self.endpoint(platform, http), clock=self.clock, chance=self.chance)
        return EitherGrant(key, grant) if oauth.password else grant

    def endpoint(self, platform: str, http: Http | None = None) -> Endpoint:
        """The token service of a platform; its own limit is one call a second for an application key (CC facts 3.1)."""
        known, oauth = self.settings.platforms[platform], self._connector(platform).oauth
        if oauth is None:
            raise Misconfigured((f"{platform}: gives no grants; it is connected with a key",))
        permits = SharedPermits(self.db, self.clock, 1, 86_400) if oauth.client else None
        key = f"{known.application_key} tokens"
        return Endpoint(
            oauth=oauth, url=known.auth_url or known.base_url, http=http or self.http, key=key, permits=permits
        )

    def permits_of(self, platform: str) -> Permits | None:
        """A budget that all customers of an application key share; None where the budget is the customer's own."""
        known = self.settings.platforms[platform]
        if known.per_second is None:
            return None
        if platform not in self._permits:
            per_day = known.per_day or 10_000
            self._permits[platform] = SharedPermits(self.db, self.clock, known.per_second, per_day)
        return self._permits[platform]

    # --- doors ---------------------------------------------------------------------------------------------------

    @property
    def accounts(self) -> Mapping[str, Callable[[bytes], str | None]]:
        """How the deliveries of a platform name their account, where they do."""
        return {name: one.account_of for name, one in self.connectors.items() if one.account_of}

    async def sender(self, platform: str, token: str) -> tuple[str, tuple[bytes, ...], str | None] | None:
        """Customer id, webhook secrets and the account that is bound, behind a door token."""
        return await self.db.run(self._sender, platform, token, self.clock.now())

    def _sender(
        self, tx: Tx, platform: str, token: str, now: Instant
    ) -> tuple[str, tuple[bytes, ...], str | None] | None:
        customer_id = self._behind(tx, platform, token, now)
        if customer_id is None or not self._has_door(customer_id, platform):
            return None
        held = self._opened_secret(tx, customer_id, platform, "door_token")
        if held is None or not hmac.compare_digest(held.reveal().encode(), token.encode()):
            return None  # it was replaced since
        fields = ("webhook_secret", "webhook_secret_previous")
        found = (self._opened_secret(tx, customer_id, platform, name) for name in fields)
        bound = customers.get_connection(tx, customer_id, platform)
        secrets = tuple(secret.reveal().encode() for secret in found if secret)
        return customer_id, secrets, bound.account_id if bound else None

    def _behind(self, tx: Tx, platform: str, token: str, now: Instant) -> str | None:
        """Whose door a token opens. Strangers choose tokens: ours are all opened once in a while, not at every guess.

        A customer whose secrets no key opens any more must not shut the others' doors.
        """
        read_at, doors = self._doors.get(platform, (None, {}))
        asked = _digest(token)
        if asked not in doors and (read_at is None or now - read_at > DOORS_SECONDS):
            ids = [one.customer_id for one in customers.every(tx)]
            held = {one: self._opened_secret(tx, one, platform, "door_token") for one in ids}
            doors = {_digest(known.reveal()): one for one, known in held.items() if known}
            self._doors[platform] = now, doors
        return doors.get(asked)

    def _has_door(self, customer_id: str, platform: str) -> bool:
        """Webhooks about contacts of the audience side are in no vendor's document: a route must ask for them."""
        route = self.settings.route(customer_id)
        return platform != route.audience or route.policy.contact_webhooks

    async def wake(self, customer_id: str) -> None:
        """The customer has work: its slot is due, and the worker is woken."""
        await self.db.run(queue.wake, customer_id, self.clock.now())
        self.woken.set()

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Be the one worker of an SQLite file. The dead one's leases end once its last call must have ended.

        Raises Served while another process works.
        """
        with only_worker(self.settings.service.database):
            if self.db.dialect == "sqlite":
                await self.db.run(queue.expire_leases, self.clock.now() + CALL_TIMEOUT)
            yield

    async def listening(self, port: int) -> None:
        """The doors are open. In virtual time the control door is told where this process' clock is."""
        if self.settings.service.clock:
            await announce(self.http, self.settings, port)
        self.joined = True

    async def stop(self) -> None:
        """Let the worker finish its turn; a call that takes longer than GOODBYE is left to be looked at afterwards."""
        self.stopping = True
        self.woken.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), GOODBYE)

    async def ready(self) -> bool:
        """Can work be taken?"""
        await self.db.run(customers.every)
        return self.joined

    # --- customers -----------------------------------------------------------------------------------------------

    async def add_customer(self, customer_id: str, platform: str, secrets: Mapping[str, Secret]) -> dict[str, Any]:
        """Store credentials; make the door token and webhook secret where missing; unblock the connection."""
        await self.db.run(self._add, customer_id, platform, secrets, self.clock.now())
        self._desks.pop(customer_id, None)
        self._doors.clear()
        token = await self.db.run(self.vault.get, customer_id, platform, "door_token")
        has_door = self.hook_url(platform, token) is not None
        return {
            "platform": platform,
            "stored": sorted(secrets),
            "webhooks": "arrive here" if has_door else "none: polled",
        }

    def _add(self, tx: Tx, customer_id: str, platform: str, secrets: Mapping[str, Secret], now: Instant) -> None:
        if customers.get(tx, customer_id) is None:
            customers.add(tx, customer_id, {}, now)
        queue.wake(tx, customer_id, now)
        if "refresh_token" in secrets:
            start_over(tx, self.vault, customer_id, platform)
        for name, secret in secrets.items():
            self.vault.put(tx, customer_id, platform, name, secret, now)
        known = customers.get_connection(tx, customer_id, platform)
        customers.set_connection(
            tx, customer_id, platform, known.account_id if known else None, known.data if known else {}
        )
        installation.claim(tx, customer_id, platform)
        made = [(OURS, "ledger_key")]
        if self.connectors[platform].signatures and self._has_door(customer_id, platform):
            made += [(platform, "door_token"), (platform, "webhook_secret")]
        for owner, name in made:
            if self._opened_secret(tx, customer_id, owner, name) is None:
                secret = Secret(base64.urlsafe_b64encode(self.chance.token(32)).decode().rstrip("="))
                self.vault.put(tx, customer_id, owner, name, secret, now)
        queue.let_go(tx, customer_id, "blocked", now)
        for mark in marks.every(tx, customer_id):
            if mark.platform == platform and mark.due is not None and mark.due > now:
                marks.put(tx, customer_id, replace(mark, due=now))

    def _opened_secret(self, tx: Tx, customer_id: str, platform: str, name: str) -> Secret | None:
        """The secret, if it is there and a key of ours opens it. Under a lost key it is as good as gone."""
        try:
            return self.vault.get(tx, customer_id, platform, name)
        except Misconfigured:
            return None

    async def customers(self) -> Sequence[dict[str, Any]]:
        """Everybody who is served."""
        found = await self.db.run(customers.every)
        return [{"customer": one.customer_id, "state": one.state} for one in found]

    async def customer(self, customer_id: str) -> dict[str, Any]:
        """One customer: state, connections, which credentials are stored."""
        return await self.db.run(self._customer, customer_id)

    def _customer(self, tx: Tx, customer_id: str) -> dict[str, Any]:
        known = customers.get(tx, customer_id)
        if known is None:
            raise Refused(404, f"no customer {customer_id}; `keepstep customer list` shows who there is")
        stored = [f"{platform}.{field}" for platform, field in self.vault.fields(tx, customer_id)]
        health = {one.platform: one.reason or one.health for one in customers.connections(tx, customer_id)}
        doors = {name: url for name in self.signatures if (url := self._door(tx, customer_id, name))}
        return {"customer": customer_id, "state": known.state, "connections": health, "stored": stored, "doors": doors}

    def _door(self, tx: Tx, customer_id: str, platform: str) -> str | None:
        if not self._has_door(customer_id, platform):
            return None
        return self.hook_url(platform, self._opened_secret(tx, customer_id, platform, "door_token"))

    async def door_secret(self, customer_id: str, platform: str) -> dict[str, str]:
        """Where a platform's webhooks arrive and the secret that signs them, to be set up there by hand; the journal
        tells that it was shown. Raises Refused where there is no such door."""
        await self.customer(customer_id)
        return await self.db.run(self._door_secret, customer_id, platform, self.clock.now())

    def _door_secret(self, tx: Tx, customer_id: str, platform: str, now: Instant) -> dict[str, str]:
        url = self._door(tx, customer_id, platform)
        secret = self._opened_secret(tx, customer_id, platform, "webhook_secret")
        if url is None or secret is None:
            raise Refused(404, f"{platform}: no webhooks arrive here; the route and service.public_url say whether")
        journal.append(tx, customer_id, [(now, None, "door_secret_shown", {"platform": platform})])
        return {"url": url, "secret": secret.reveal()}

    async def pause(self, customer_id: str) -> None:
        """No turn begins and no call is sent from now on; work is kept."""
        await self.customer(customer_id)
        await self.db.run(customers.pause, customer_id)

    async def resume(self, customer_id: str) -> None:
        """Turns begin again, also with connections that were blocked."""
        for platform in (await self.customer(customer_id))["connections"]:
            await self.db.run(customers.unblock, customer_id, platform)
        await self.db.run(queue.let_go, customer_id, "blocked", self.clock.now())
        await self.db.run(customers.resume, customer_id)

    async def remove(self, customer_id: str) -> dict[str, Any]:
        """Erase everything; keyed hashes of opted-out addresses stay."""
        await self.customer(customer_id)
        await self.db.run(customers.remove, customer_id)
        self._desks.pop(customer_id, None)
        return {"customer": customer_id, "state": "removed"}

    async def status(self, customer_id: str | None) -> dict[str, Any]:
        """See report.status."""
        return await report.status(self, customer_id)

    async def claims(self, customer_id: str | None) -> Sequence[dict[str, Any]]:
        """See report.claims."""
        return await report.claims(self, customer_id)

    async def timeline(self, customer_id: str, record: str) -> Sequence[dict[str, Any]]:
        """See report.timeline."""
        return await report.timeline(self, customer_id, record)

    async def at_moment(self, customer_id: str, record: str, at: Instant) -> dict[str, Any] | None:
        """See report.at_moment."""
        return await report.at_moment(self, customer_id, record, at)

    async def check(self, customer_id: str | None = None) -> Sequence[dict[str, Any]]:
        """See checks.check."""
        return await checks.check(self, customer_id)

    async def ready_for_production(self, customer_id: str) -> Sequence[dict[str, Any]]:
        """See checks.ready."""
        return await checks.ready(self, customer_id)


def _in_headers(names: Sequence[str]) -> Callable[[Mapping[str, str]], Sequence[str]]:
    return lambda headers: [headers[name.lower()] for name in names if name.lower() in headers]


def _digest(token: str) -> bytes:
    """What a token is looked up by: how long that takes must say nothing of the tokens there are."""
    return hashlib.sha256(token.encode()).digest()
