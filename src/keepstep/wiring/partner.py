"""The operator as a technology partner of a platform: its credentials, its door, and whom it believes.

Everything of it stands under the reserved customer PARTNER: secrets, door token, slot, deliveries about nobody known.
"""

import asyncio
import base64
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from joserfc.jwk import RSAKey
from sqlalchemy import Connection as Tx

from keepstep import queue
from keepstep.model.errors import Misconfigured, Refused, Transient
from keepstep.model.instant import Instant
from keepstep.ports import Connection, Partner, PartnerNotice, Partnership, Topic
from keepstep.state import customers
from keepstep.state.customers import PARTNER
from keepstep.state.vault import Secret
from keepstep.tokens import Client, Endpoint
from keepstep.tokens.machine import ClientGrant
from keepstep.wire import jws, signature

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

Row = dict[str, Any]
# What each edition of the vendor's interface needs (CC facts 10.2, 10.3).
NEEDS: Mapping[str, tuple[str, ...]] = {
    "v3": ("api_key", "client_id", "client_secret"),
    "v2": ("api_key", "api_secret", "user", "password"),
}
KEYS_SECONDS = 300.0
SECRETS_SECONDS = 60.0
LONGEST_URI = 512
# One spelling of a digest: padded base64 of 32 bytes. What else wire/signature believes is another platform's.
_BASE64 = re.compile(r"[A-Za-z0-9+/]{43}=")


def word(platform: str) -> str:
    """How a partner's deliveries of a platform are called, beside those of its contacts."""
    return f"{platform}_partner"


def partnership(service: "Service", platform: str) -> Partnership:
    """Raises Refused where the platform has no technology partners."""
    found = service.connectors.get(platform)
    if found is None or found.partner is None:
        raise Refused(404, f"{platform}: has no technology partners")
    return found.partner


def platforms(service: "Service") -> list[str]:
    """The platforms that have technology partners."""
    return [name for name, one in service.connectors.items() if one.partner is not None]


# --- credentials -----------------------------------------------------------------------------------------------------


async def connect(service: "Service", platform: str, given: Mapping[str, Secret]) -> Row:
    """Store what is given and keep what was stored. Raises Refused where neither edition is whole then."""
    partnership(service, platform)
    editions = await service.db.run(_connected, service, platform, given, service.clock.now())
    return {"platform": platform, "editions": editions, "hook": await hook(service, platform)}


def _connected(tx: Tx, service: "Service", platform: str, given: Mapping[str, Secret], now: Instant) -> list[str]:
    held = _stored(tx, service, platform) | dict(given)
    editions = [edition for edition, names in NEEDS.items() if all(name in held for name in names)]
    if not editions:
        needs = "; ".join(f"{edition}: {', '.join(names)}" for edition, names in NEEDS.items())
        raise Refused(400, f"neither edition is whole ({needs}); nothing was stored")
    if customers.get(tx, PARTNER) is None:
        customers.add(tx, PARTNER, {}, now)
    queue.wake(tx, PARTNER, now)
    for name, secret in given.items():
        service.vault.put(tx, PARTNER, platform, name, secret, now)
    if "door_token" not in held:
        token = base64.urlsafe_b64encode(service.chance.token(32)).decode().rstrip("=")
        service.vault.put(tx, PARTNER, platform, "door_token", Secret(token), now)
    return editions


def _stored(tx: Tx, service: "Service", platform: str) -> dict[str, Secret]:
    names = {*NEEDS["v2"], *NEEDS["v3"], "door_token"}
    found = {name: service.vault.get(tx, PARTNER, platform, name) for name in sorted(names)}
    return {name: secret for name, secret in found.items() if secret is not None}


async def stored(service: "Service", platform: str) -> dict[str, Secret]:
    """The operator's secrets of a platform; none where it is no partner."""
    return await service.db.run(_stored, service, platform)


def editions(held: Mapping[str, Secret]) -> list[str]:
    """The vendor's interfaces that these secrets open, the present one first."""
    return [edition for edition, names in NEEDS.items() if all(name in held for name in names)]


# --- calls -----------------------------------------------------------------------------------------------------------


async def opened(service: "Service", platform: str) -> tuple[Partner, list[str]]:
    """The operator's calls, and the editions that work. Raises Refused where nothing is stored."""
    held = await stored(service, platform)
    if not editions(held):
        raise Refused(400, f"{platform}: no partner's credentials are stored; `keepstep partner connect` asks for them")
    return partnership(service, platform).open(_connection(service, platform, held)), editions(held)


def _connection(service: "Service", platform: str, held: Mapping[str, Secret]) -> Connection:
    known = service.settings.platforms[platform]
    client = Client(held.get("client_id", Secret("")), held.get("client_secret"))
    endpoint = Endpoint(oauth=partnership(service, platform).oauth, url=known.partner_auth_url or "", http=service.http)
    settings = {name: held[name] for name in ("api_key", "user", "password") if name in held}
    extra = {"v2_url": known.partner_v2_url, "application_key": known.application_key}
    return Connection(
        customer_id=PARTNER,
        base_url=known.base_url,
        http=service.http,
        grant=ClientGrant(endpoint, client, service.clock),
        permits=service.permits_of(platform),
        clock=service.clock,
        chance=service.chance,
        settings={**settings, **extra, "has_v3": "v3" in editions(held)},
    )


async def topics(service: "Service", platform: str, edition: str | None = None) -> list[Row]:
    """What may be subscribed: {edition, topic, name, event, hook}. `hook` is ours, another one's, or None."""
    api, whole = await opened(service, platform)
    known, ours = partnership(service, platform).events, await hook(service, platform)
    return [
        {"edition": one, **_told(topic, known, ours)}
        for one in _chosen(whole, edition)
        for topic in await api.topics(one)
    ]


def _told(topic: Topic, known: Mapping[str, str], ours: str | None) -> Row:
    # The token in our own address opens the door: it is not shown.
    leads = None if topic.uri is None else "here" if topic.uri == ours else urlsplit(topic.uri).hostname
    return {"topic": topic.topic_id, "name": topic.name, "event": known.get(topic.topic_id), "leads": leads}


def _chosen(whole: Sequence[str], edition: str | None) -> list[str]:
    if edition is not None and edition not in whole:
        raise Refused(400, f"{edition}: its credentials are not stored; there are {', '.join(whole)}")
    return [edition] if edition else list(whole)


async def subscribe(service: "Service", platform: str, topic: str, edition: str | None = None) -> Row:
    """Have a topic posted to our door. Raises Misconfigured where no vendor could reach it."""
    api, whole = await opened(service, platform)
    uri = await hook(service, platform)
    if problem := unreachable(uri):
        raise Misconfigured((f"service.public_url: {problem}",))
    one = _chosen(whole, edition)[0]
    await api.subscribe(one, topic, uri or "")
    return {"topic": topic, "edition": one, "state": "subscribed"}


async def unsubscribe(service: "Service", platform: str, topic: str, edition: str | None = None) -> Row:
    """Have a topic posted no more."""
    api, whole = await opened(service, platform)
    one = _chosen(whole, edition)[0]
    await api.unsubscribe(one, topic)
    return {"topic": topic, "edition": one, "state": "unsubscribed"}


async def test(service: "Service", platform: str, topic: str, edition: str | None = None) -> Row:
    """Ask the vendor for an example; `events` shows whether it came."""
    api, whole = await opened(service, platform)
    one = _chosen(whole, edition)[0]
    await api.test(one, topic)
    return {"topic": topic, "edition": one, "state": "asked"}


# --- the door --------------------------------------------------------------------------------------------------------


async def hook(service: "Service", platform: str) -> str | None:
    """Where the platform's deliveries arrive; None without a public address."""
    token = (await stored(service, platform)).get("door_token")
    public = service.settings.service.public_url
    return f"{public.rstrip('/')}/partner/{platform}/{token.reveal()}" if public and token else None


def unreachable(uri: str | None) -> str | None:
    """Why no vendor would take this address (CC facts 10.2), with what would be right; None where it would."""
    if uri is None:
        return 'is not set; a vendor must find the way to us: public_url = "https://..."'
    parts = urlsplit(uri)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return "is not https; the vendor posts to nothing else"
    if len(uri) > LONGEST_URI:
        return f"makes an address of {len(uri)} characters; the vendor takes at most {LONGEST_URI}"
    return None


@dataclass(slots=True)
class Trust:
    """What the door asks: whose token, whose signature, whose account. One for a process.

    The vendor's keys come from the settings' address only and are read again for a signature that none of them made,
    at most every KEYS_SECONDS, so that a flood of forgeries costs one call.
    """

    service: "Service"
    _held: dict[str, tuple[Instant, dict[str, Secret]]] = field(default_factory=dict)
    _keys: dict[str, list[RSAKey]] = field(default_factory=dict)
    _read_at: dict[str, Instant] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def opens(self, platform: str, token: str) -> bool:
        """Is it our token? Strangers' guesses cost no look-up."""
        if platform not in platforms(self.service) or not token.isascii():
            return False
        ours = (await self._secrets(platform)).get("door_token")
        return ours is not None and hmac.compare_digest(ours.reveal(), token)

    async def believed(self, platform: str, headers: Sequence[tuple[str, str]], body: bytes) -> str | None:
        """The edition of its one signature, where the operator has that edition; None for what nobody signed, or who
        signed more than once. Raises Transient where the keys cannot be read."""
        one = partnership(self.service, platform)
        given = [(name, value.strip(" \t")) for name, value in headers if name in (one.hmac, one.jws)]
        if len(given) != 1:
            return None
        held = await self._secrets(platform)
        name, text = given[0]
        if name == one.hmac:
            secret = held.get("api_secret")
            known = [secret.reveal().encode()] if secret else []
            return "v2" if _BASE64.fullmatch(text) and signature.verify(body, [text], known) else None
        return "v3" if "v3" in editions(held) and await self._signed(platform, text, body) else None

    async def _signed(self, platform: str, text: str, body: bytes) -> bool:
        now = self.service.clock.now()
        if jws.verify(body, [text], self._keys.get(platform, ()), now):
            return True
        if not await self._renewed(platform):
            return False
        return jws.verify(body, [text], self._keys.get(platform, ()), now)

    async def _renewed(self, platform: str) -> bool:
        """Were the keys read anew? Raises Transient while they could not be: the vendor may have changed them."""
        async with self._alone:
            now = self.service.clock.now()
            if now - self._read_at.get(platform, -KEYS_SECONDS) < KEYS_SECONDS:
                if platform in self._failed:
                    raise Transient("the vendor's keys could not be read a moment ago")
                return False
            self._read_at[platform] = now
            self._failed.add(platform)
            self._keys[platform] = await self._published(platform)
            self._failed.discard(platform)
            return True

    async def _published(self, platform: str) -> list[RSAKey]:
        url = self.service.settings.platforms[platform].partner_keys_url
        if url is None:
            return []
        answer = await self.service.http("GET", url, {"accept": "application/json"})
        try:
            keys = jws.keys_of(json.loads(answer.body)) if answer.status == 200 else []
        except (ValueError, RecursionError):
            keys = []
        if not keys:
            raise Transient("the vendor's key set cannot be read", status=answer.status)
        return keys

    async def addressees(self, platform: str, edition: str, body: bytes) -> tuple[str, Sequence[str]]:
        """Under whom a delivery is stored: the customers bound to the account it names, else the operator."""
        notice, reason = await self.service.db.run(self._judged, platform, edition, body)
        ids = await self.service.db.run(customers.bound_to, platform, notice.account_id) if notice else []
        return word(platform), [PARTNER] if reason or not ids else ids

    def _judged(self, tx: Tx, platform: str, edition: str, body: bytes) -> tuple[PartnerNotice | None, str | None]:
        return judged(tx, self.service, platform, edition, body)

    async def _secrets(self, platform: str) -> dict[str, Secret]:
        now = self.service.clock.now()
        read_at, held = self._held.get(platform, (None, {}))
        if read_at is None or now - read_at > SECRETS_SECONDS:
            held = await stored(self.service, platform)
            self._held[platform] = now, held
        return held


def judged(
    tx: Tx, service: "Service", platform: str, edition: str, body: bytes
) -> tuple[PartnerNotice | None, str | None]:
    """What a delivery says, and why nothing is done about it: shape, application, event, account; None where something
    is."""
    one = partnership(service, platform)
    notice = one.notice_of(body)
    if notice is None or (edition == "v3" and notice.application is None):
        return None, "shape"
    ours = service.vault.get(tx, PARTNER, platform, "api_key")
    # The vendor's key signs for all its partners: what is another application's is not ours to act on.
    if notice.application is not None and (ours is None or notice.application != ours.reveal()):
        return notice, "application"
    if notice.event not in one.events.values():
        return notice, "event"
    return notice, None if customers.bound_to(tx, platform, notice.account_id) else "account"
