"""Connecting an account: a grant is stored only once the account behind it is known to be the right one.

Consent belongs to the person who gave it (CC facts 2.3): given anew by somebody who was signed in elsewhere, it must
not swap the people of two customers. So the vendor is asked with the new token before the old one is forgotten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy import Connection as Tx

from keepstep.model.errors import Misconfigured, Problem, Refused
from keepstep.state import customers, journal
from keepstep.state.vault import Secret
from keepstep.tokens import Client, access_of, consent, tickets
from keepstep.wiring.between import known_customer

if TYPE_CHECKING:
    from keepstep.model.instant import Instant
    from keepstep.wiring.service import Service

Row = dict[str, Any]
CALLBACK = "/connect/callback"


@dataclass(frozen=True, slots=True)
class Fixed:
    """ports.Grant for a token that is not stored yet."""

    token: str

    async def bearer(self, refused: str | None = None) -> str:
        """The token. Raises Refused where the vendor does not take what it has just given."""
        if refused == self.token:
            raise Refused(400, "the vendor does not accept it; nothing was stored")
        return self.token


# --- in a browser ----------------------------------------------------------------------------------------------------


async def begin(service: "Service", customer_id: str, platform: str, given: Mapping[str, Secret]) -> str:
    """The address of our page. `given`: client_id, and client_secret where the application has one; stored. Raises
    Refused for an unknown customer and a platform without consent, Misconfigured without an address of our own."""
    if not service.connectors[platform].oauth or not service.endpoint(platform).oauth.authorize:
        raise Refused(400, f"{platform}: there is no consent in a browser; it is connected with a key or a password")
    base = address(service)
    token = await service.db.run(_begun, service, customer_id, platform, given, service.clock.now())
    return f"{base}/connect/{customer_id}/{platform}/{token}"


def address(service: "Service") -> str:
    """Where browsers reach us: the public address, else this machine. Raises Misconfigured where neither is known."""
    host, port = service.settings.service.listen
    if service.settings.service.public_url:
        return service.settings.service.public_url.rstrip("/")
    if not port:
        raise Misconfigured(("service.public_url: is not set; browsers must find the way back to us",))
    return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"  # noqa: S104 where we listen


def _begun(
    tx: Tx, service: "Service", customer_id: str, platform: str, given: Mapping[str, Secret], now: "Instant"
) -> str:
    remember(tx, service, customer_id, platform, given, now)
    return tickets.begin(tx, service.vault, service.chance, customer_id, platform, now)


def remember(
    tx: Tx, service: "Service", customer_id: str, platform: str, given: Mapping[str, Secret], now: "Instant"
) -> None:
    """Store what an application is known by. A customer whom the settings name is served from now on. Raises Refused
    for one whom nobody knows."""
    if customer_id in service.settings.customers and customers.get(tx, customer_id) is None:
        customers.add(tx, customer_id, {}, now)
    known_customer(tx, customer_id)
    for name, secret in given.items():
        service.vault.put(tx, customer_id, platform, name, secret, now)


async def page(service: "Service", customer_id: str, platform: str, token: str) -> Row:
    """What our page tells: {customer, platform, account, host}. Raises Refused for a link that is over."""
    return await service.db.run(_page, service, customer_id, platform, token, service.clock.now())


def _page(tx: Tx, service: "Service", customer_id: str, platform: str, token: str, now: "Instant") -> Row:
    _existing(service, platform)
    tickets.known(tx, service.vault, customer_id, platform, token, now)
    bound = customers.get_connection(tx, customer_id, platform)
    host = urlsplit(service.endpoint(platform).url)
    origin = f"{host.scheme}://{host.netloc}"
    return {
        "customer": customer_id,
        "platform": platform,
        "account": bound.account_id if bound else None,
        "origin": origin,
    }


async def leave(service: "Service", customer_id: str, platform: str, token: str) -> tuple[str, str]:
    """The person goes on: where to, and the session for the cookie. Raises Refused for a link that is over."""
    _existing(service, platform)
    now = service.clock.now()
    opened = (service.vault, service.chance, customer_id, platform, token, now)
    session, state, verifier = await service.db.run(tickets.opened, *opened)
    client = await service.db.run(_client, service, customer_id, platform)
    endpoint, back = service.endpoint(platform), address(service) + CALLBACK
    return consent.authorize_url(endpoint, client, back, state, verifier), session


def _existing(service: "Service", platform: str) -> None:
    known = service.connectors.get(platform)
    if known is None or known.oauth is None or known.oauth.authorize is None:
        raise Refused(404, "nothing here")


async def arrive(service: "Service", said: Mapping[str, str], session: str) -> Row:
    """The vendor sent the browser back: {customer, platform, account}. Raises Refused with words for the person."""
    customer_id, platform = tickets.whose(said.get("state", ""))
    _existing(service, platform)
    whole = (service.vault, customer_id, platform, said["state"], session, service.clock.now())
    verifier = await service.db.run(tickets.returned, *whole)
    try:
        if said.get("error") or not said.get("code"):
            raise Refused(400, "the vendor says that access was not given; begin again")
        client = await service.db.run(_client, service, customer_id, platform)
        back = address(service) + CALLBACK
        tokens = await consent.redeemed(service.endpoint(platform), client, said["code"], back, verifier)
        account = await store(service, customer_id, platform, tokens)
    except Problem as problem:
        await service.db.run(tickets.end, service.vault, customer_id, platform, str(problem), service.clock.now())
        raise Refused(400, str(problem)) from None
    await service.db.run(tickets.end, service.vault, customer_id, platform, "connected", service.clock.now())
    return {"customer": customer_id, "platform": platform, "account": account}


def _client(tx: Tx, service: "Service", customer_id: str, platform: str) -> Client:
    client_id = service.vault.get(tx, customer_id, platform, "client_id")
    if client_id is None:
        raise Refused(400, f"{platform}: no client_id is stored; `keepstep connect {platform}` asks for it")
    return Client(client_id, service.vault.get(tx, customer_id, platform, "client_secret"))


async def client(service: "Service", customer_id: str, platform: str) -> Client | None:
    """The application that is stored for a customer's platform; None where there is none."""
    try:
        return await service.db.run(_client, service, customer_id, platform)
    except Refused:
        return None


# --- whatever way the grant came -------------------------------------------------------------------------------------


async def store(service: "Service", customer_id: str, platform: str, tokens: Mapping[str, Any]) -> str:
    """Keep a grant and bind its account, once the vendor has said which account it is. Raises Refused for another
    account than before, and for a grant that could not be kept alive."""
    if not isinstance(tokens.get("refresh_token"), str) or not tokens["refresh_token"]:
        raise Refused(400, "the grant cannot be refreshed; the application must ask for offline access")
    now = service.clock.now()
    kept = {"refresh_token": Secret(tokens["refresh_token"])}
    kept |= {name: Secret(text) for name, text in access_of(tokens, now, service.chance).items()}
    return await keep(service, customer_id, platform, kept, tokens["access_token"])


async def keep(service: "Service", customer_id: str, platform: str, kept: Mapping[str, Secret], token: str) -> str:
    """Store credentials whose `token` opens the right account; the account's own word for itself."""
    names = await service.names_behind(customer_id, platform, Fixed(token))
    await service.db.run(_bound, customer_id, platform, names)
    await service.add_customer(customer_id, platform, kept)
    await service.db.run(_bind, customer_id, platform, names, service.clock.now())
    return names[0]


def _bound(tx: Tx, customer_id: str, platform: str, names: Sequence[str]) -> None:
    """Raises Refused where the connection belongs to another account."""
    known = customers.get_connection(tx, customer_id, platform)
    if known is not None and known.account_id is not None and not customers.leads_to(known.account_id, names):
        what = "this consent leads to another account than the one that is connected; nothing was changed"
        raise Refused(409, f"{what}. Sign out at the vendor, sign in to the right account, and begin again")


def _bind(tx: Tx, customer_id: str, platform: str, names: Sequence[str], now: "Instant") -> None:
    customers.bind_account(tx, customer_id, platform, customers.account_of(names))
    journal.append(tx, customer_id, [(now, None, "connected", {"platform": platform})])
