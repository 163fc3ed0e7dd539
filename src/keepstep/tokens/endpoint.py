"""One vendor's token endpoint, as one application asks it."""

import base64
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from keepstep.ports import Http, HttpAnswer, OAuth, Permits
from keepstep.state.vault import Secret

_CALL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Client:
    """What an application is known by. `secret` is None for a public one, which proves itself otherwise (PKCE)."""

    client_id: Secret
    secret: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Calls of the token service. `permits`: one call at a time and a second between, over every process that uses the
    application's `key` (CC facts 3.1: the endpoint's own limit); None where nobody counts."""

    oauth: OAuth
    url: str
    http: Http
    key: str = ""
    permits: Permits | None = None

    async def ask(self, form: Mapping[str, str], client: Client | None) -> HttpAnswer:
        """POST a grant. Raises Transient and Unanswered as the port does."""
        return await self.post(self.oauth.exchange, form, client)

    async def post(self, path: str, form: Mapping[str, str], client: Client | None) -> HttpAnswer:
        """POST a form when it is our turn."""
        async with self.turn():
            return await self.send(path, form, client)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The application's one call at a time. Raises Transient where waiting for it would take long."""
        if self.permits is None:
            yield
            return
        permit = await self.permits.take(self.key)
        try:
            yield
        finally:
            await self.permits.give_back(self.key, permit)

    async def send(self, path: str, form: Mapping[str, str], client: Client | None) -> HttpAnswer:
        """POST a form, within a turn: values stand in the body, since query strings end up in logs (CC facts 2.1)."""
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if client is not None and client.secret is None:
            form = {**form, "client_id": client.client_id.reveal()}
        elif client is not None and client.secret is not None:
            headers["authorization"] = _basic(client.client_id, client.secret)
        url = f"{self.url.rstrip('/')}{path}"
        return await self.http("POST", url, headers, urlencode(form).encode(), _CALL_SECONDS)


def _basic(client_id: Secret, secret: Secret) -> str:
    """As the vendor's guide has it, without the form-encoding that RFC 6749 2.3.1 asks for (CC facts 2.1)."""
    pair = f"{client_id.reveal()}:{secret.reveal()}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
