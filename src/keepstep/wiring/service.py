"""A running Keepstep: what every customer shares, and one desk for each."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection as Tx

from keepstep import queue
from keepstep.database import Database
from keepstep.desk import CALL_TIMEOUT, Desk, Lease
from keepstep.model.errors import Misconfigured
from keepstep.model.instant import Instant
from keepstep.ports import Chance, Clock, Connection, Connector, Grant, Http, Notice, Permits, Wake
from keepstep.settings import Settings
from keepstep.state import customers
from keepstep.state.vault import Secret, Vault
from keepstep.tokens import EitherGrant, Endpoint, KeyGrant, OAuthGrant
from keepstep.wire.http import Breaker, Leased
from keepstep.wire.permits import SharedPermits
from keepstep.wiring import checks, doors, removal, report
from keepstep.wiring import customers as served
from keepstep.wiring.alone import Nowhere
from keepstep.wiring.lock import only_worker
from keepstep.wiring.shares import Shares
from keepstep.wiring.standin import announce
from keepstep.wiring.tables import Tables

GOODBYE = 20.0


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
    told: Wake = field(init=False)
    alert_url: Secret | None = None
    shares: Shares = field(init=False)
    tables: Tables = field(init=False)
    _desks: dict[str, Desk] = field(default_factory=dict)
    _grants: dict[tuple[str, str], OAuthGrant | KeyGrant | EitherGrant] = field(default_factory=dict)
    _permits: dict[str, Permits] = field(default_factory=dict)
    _memories: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    doors: dict[str, tuple[Instant, Mapping[bytes, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.woken, self.told = self.clock.wake(), self.clock.wake()
        self.shares = Shares(self.settings)
        self.tables = Tables(self.connectors)

    @property
    def signatures(self) -> Mapping[str, Callable[[Mapping[str, str]], Sequence[str]]]:
        """How each platform that sends webhooks signs them: in the headers that the settings name, else in the known
        ones."""
        known = {name: one.signatures for name, one in self.connectors.items() if one.signatures}
        named = {name: one.signature_headers for name, one in self.settings.platforms.items() if one.signature_headers}
        return known | {name: _in_headers(names) for name, names in named.items() if name in known}

    async def desk(self, customer_id: str) -> Desk:
        """The customer's desk, opened once. Its secrets are read every time: another process may have stored them."""
        return await self.db.run(self.desk_in, customer_id)

    def desk_in(self, tx: Tx, customer_id: str, known: Sequence[customers.Connection] | None = None) -> Desk:
        """The same within a transaction. `known`: its connections, where they were read with it."""
        desk = self._desks.get(customer_id)
        if desk is None:  # transactions run side by side: the first desk stays, with its grants' copies of tokens
            desk = self._desks.setdefault(customer_id, self._opened(customer_id))
        crm, held = desk.route.crm, self.vault.drawer(tx, customer_id)
        for platform in (desk.route.audience, crm) if known is not None else ():
            if (grant := self._grants.get((customer_id, platform))) is not None:
                grant.look(tx, held, known or ())
        return replace(
            desk,
            hook_url=self.hook_url(crm, held.get(crm, doors.TOKEN)),
            hook_secret=held.get(crm, doors.SECRET),
            ledger_key=held.get(*customers.LEDGER_KEY),
            calls_a_day=self.shares.part_of_day(tx, customer_id, desk.route.audience, self.clock.now()),
            tables=self.tables.of(desk.route, held),
        )

    def _opened(self, customer_id: str) -> Desk:
        route = self.settings.route(customer_id)
        audience, crm = self._connector(route.audience), None if route.alone else self._connector(route.crm)
        if audience.open_audience is None or (crm and crm.open_crm is None):
            raise Misconfigured(
                (f"customers.{customer_id}.route: {route.audience} to {route.crm} is no possible route",)
            )
        lease = Lease()
        there = None if crm is None else self._under(lease, self._connection(customer_id, route.crm))
        return Desk(
            route=route,
            audience=audience.open_audience(self._under(lease, self._connection(customer_id, route.audience))),
            crm=crm.open_crm(there) if crm and crm.open_crm and there else Nowhere(),
            db=self.db,
            clock=self.clock,
            chance=self.chance,
            retention=self.settings.retention,
            lease=lease,
        )

    def _under(self, lease: Lease, link: Connection) -> Connection:
        """The same connection, which writes only while the lease lasts."""
        return replace(link, http=Leased(link.http, self.clock, lambda: lease.until))

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
            grant=grant or self._kept_grant(customer_id, platform, http),
            permits=self.permits_of(platform),
            clock=self.clock,
            chance=self.chance,
            settings={**shared, **{name: value for name, value in extra.items() if value is not None}},
            # Whose account another grant leads to is what somebody asks: nothing is known of it.
            memory={} if grant else self._memories.setdefault((customer_id, platform), {}),
        )

    def _kept_grant(self, customer_id: str, platform: str, http: Http) -> Grant:
        """One for the life of the process: it alone knows what was refused, and what it has received and not stored."""
        place = (customer_id, platform)
        if place not in self._grants:
            self._grants[place] = self._grant(customer_id, platform, http)
        return self._grants[place]

    def _grant(self, customer_id: str, platform: str, http: Http) -> OAuthGrant | KeyGrant | EitherGrant:
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
        return await self.db.run(doors.sender, self, platform, token, self.clock.now())

    async def wake(self, customer_id: str) -> None:
        """The customer has work: its slot is due, and the worker is woken, also where nobody learns whether it is."""
        try:
            await self.db.run(queue.wake, customer_id, self.clock.now())
        finally:
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
        self.told.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), GOODBYE)

    async def ready(self) -> bool:
        """Can work be taken?"""
        await self.db.run(customers.every)
        return self.joined

    # --- customers -----------------------------------------------------------------------------------------------

    async def add_customer(self, customer_id: str, platform: str, secrets: Mapping[str, Secret]) -> dict[str, Any]:
        """See customers.add."""
        return await served.add(self, customer_id, platform, secrets)

    def forget(self, customer_id: str) -> None:
        """What is kept in memory of a customer is read again."""
        self._desks.pop(customer_id, None)
        for (whose, _), grant in self._grants.items():
            if whose == customer_id:
                grant.forget()
        self.doors.clear()

    async def customers(self) -> Sequence[dict[str, Any]]:
        """See customers.everybody."""
        return await served.everybody(self)

    async def customer(self, customer_id: str) -> dict[str, Any]:
        """See customers.one."""
        return await served.one(self, customer_id)

    async def door_secret(self, customer_id: str, platform: str) -> dict[str, str]:
        """See customers.door_secret."""
        return await served.door_secret(self, customer_id, platform)

    async def pause(self, customer_id: str) -> None:
        """See customers.pause."""
        await served.pause(self, customer_id)

    async def resume(self, customer_id: str) -> None:
        """See customers.resume."""
        await served.resume(self, customer_id)

    async def outlook(self, customer_id: str) -> dict[str, Any]:
        """See removal.outlook."""
        return await removal.outlook(self, customer_id)

    async def remove(self, customer_id: str, wish: removal.Wish, tell: removal.Tell = removal.untold) -> dict[str, Any]:
        """See removal.remove."""
        return await removal.remove(self, customer_id, wish, tell)

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
