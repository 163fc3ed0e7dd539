"""The door for deliveries: verify raw bytes, store, answer. What is not signed is never parsed, so no stranger's body
can hurt it."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keepstep import telemetry
from keepstep.database import Database
from keepstep.model.errors import Overloaded, Refused
from keepstep.model.instant import Instant
from keepstep.ports import Chance, Clock
from keepstep.schema.tables import delivery
from keepstep.state.rotations import BELIEVED
from keepstep.telemetry import Event
from keepstep.web.answers import Receive, Scope, Send, body_of, say
from keepstep.web.connect import Connecting
from keepstep.web.partner import PartnerDoor
from keepstep.wire.signature import verify

_MOST_KNOWN = 10_000
# What the wiring makes tokens of; anything else need not be looked up, and a NUL would be an error of PostgreSQL's.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}")
_RETRY_SECONDS = 5
_KEPT_HEADERS = ("content-type", "user-agent", "date")
_CREDENTIAL = re.compile(r"auth|key|token|secret|cookie")
_MOST_HEADERS = 40
_MOST_VALUE = 500


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose door a token opens, the secrets that sign its deliveries (the current one and maybe the previous), and the
    account that the connection leads to, as far as it is known."""

    customer_id: str
    secrets: tuple[bytes, ...]
    account_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Door:
    """What the web needs, handed in by the wiring.

    lookup: (platform, path token) -> Sender or None; asked once a minute at most for each token.
    signatures: platform -> function of the headers (lower-case names) that gives the signature texts of a delivery.
    accounts: platform -> function of the body that gives the account it names, for those whose deliveries do.
    wake: marks the customer's slot as due in a transaction of its own and wakes the worker.
    connecting: the pages where accounts are connected. partner: what the platform tells the operator.
    advance: in virtual time only: sets the clock, waits until all is idle, gives the next due moment.
    """

    lookup: Callable[[str, str], Awaitable[Sender | None]]
    signatures: Mapping[str, Callable[[Mapping[str, str]], Sequence[str]]]
    db: Database
    clock: Clock
    chance: Chance
    wake: Callable[[str], Awaitable[None]]
    accounts: Mapping[str, Callable[[bytes], str | None]] = field(default_factory=dict)
    ready: Callable[[], Awaitable[bool]] | None = None
    connecting: Connecting | None = None
    partner: PartnerDoor | None = None
    advance: Callable[[Instant], Awaitable[Instant | None]] | None = None
    refused: Counter[tuple[str, int]] = field(default_factory=Counter)
    _known: dict[tuple[str, str], tuple[Instant, Sender | None]] = field(default_factory=dict)
    _waking: set[str] = field(default_factory=set)

    async def take(self, platform: str, token: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery. Raises Refused for what a stranger gets; 200 only after the row is durable."""
        sender = await self._sender(platform, token)
        headers = _headers(scope)
        body = await body_of(scope, receive)
        if not verify(body, self.signatures[platform](headers), sender.secrets):
            raise self._refused(sender.customer_id, platform)
        if self._foreign(platform, sender, body):
            raise self._refused(sender.customer_id, platform)
        try:
            await self.db.append(delivery, self._row(sender.customer_id, platform, headers, body))
        except Overloaded:
            await say(send, 503, retry_after=_RETRY_SECONDS)
            return
        telemetry.report(Event.delivery, sender.customer_id, platform=platform, bytes=len(body))
        self._wake_later(sender.customer_id)
        await say(send, 200, {"ok": True})

    async def _sender(self, platform: str, token: str) -> Sender:
        if platform not in self.signatures or not _TOKEN.fullmatch(token):
            raise Refused(404, "no such door")
        now = self.clock.now()
        read_at, sender = self._known.get((platform, token), (None, None))
        if read_at is None or now - read_at > BELIEVED:
            sender = await self.lookup(platform, token)
            self._remember(platform, token, sender, now)
        if sender is None:
            raise Refused(404, "no such door")
        return sender

    def _remember(self, platform: str, token: str, sender: Sender | None, now: Instant) -> None:
        # Strangers choose tokens: what is remembered about them is bounded, the oldest goes first.
        self._known.pop((platform, token), None)
        while len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[platform, token] = now, sender

    def _foreign(self, platform: str, sender: Sender, body: bytes) -> bool:
        """Signed, but about an account that is another customer's or nobody's."""
        account_of = self.accounts.get(platform)
        named = account_of(body) if account_of and sender.account_id else None
        return named is not None and named != sender.account_id

    def _refused(self, customer_id: str, platform: str) -> Refused:
        self.refused[customer_id, 401] += 1
        count = self.refused[customer_id, 401]
        # At 1, 10, 100, ...: whoever floods the door must not fill the log.
        if str(count).strip("0") == "1":
            telemetry.report(Event.delivery_refused, customer_id, platform=platform, status=401, count=count)
        return Refused(401, "not this door's")

    def _row(self, customer_id: str, platform: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        return {
            "id": self.chance.id(),
            "customer_id": customer_id,
            "platform": platform,
            "received": self.clock.now(),
            "headers": _kept(headers),
            "body": body,
            "state": "new",
        }

    def _wake_later(self, customer_id: str) -> None:
        """Wake once for all deliveries that arrive before the wake-up runs: a burst costs one transaction."""
        if customer_id not in self._waking:
            self._waking.add(customer_id)
            self.clock.spawn(self._wake(customer_id), f"wake {customer_id}")

    async def _wake(self, customer_id: str) -> None:
        self._waking.discard(customer_id)
        try:
            await self.wake(customer_id)
        except Exception as error:  # the delivery is durable and a slot with an unparsed delivery is due anyway
            telemetry.report(Event.wake_failed, customer_id, error=type(error).__name__)


def _headers(scope: Scope) -> dict[str, str]:
    """Names in lower case; values of a repeated header as one (RFC 9110 5.3): two signatures are none."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """What is worth keeping of the headers: no cookies or credentials, nothing long."""
    kept = {name: value[:_MOST_VALUE] for name, value in headers.items() if _worth_keeping(name)}
    return dict(sorted(kept.items())[:_MOST_HEADERS])


def _worth_keeping(name: str) -> bool:
    return name in _KEPT_HEADERS or (name.startswith("x-") and not _CREDENTIAL.search(name))
