"""A token without a person: an application's own, by client credentials (RFC 6749 4.4)."""

import asyncio
from dataclasses import dataclass, field

from keepstep.model.errors import Blocked
from keepstep.model.instant import Instant
from keepstep.ports import Clock
from keepstep.tokens.answers import lifetime, understood
from keepstep.tokens.endpoint import Client, Endpoint

_EARLY_SECONDS = 60.0


@dataclass(slots=True)
class ClientGrant:
    """ports.Grant. There is nothing to lose: the token is kept in memory, and another one may be asked for any time."""

    endpoint: Endpoint
    client: Client
    clock: Clock
    _token: str | None = None
    _until: Instant = 0.0
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def bearer(self, refused: str | None = None) -> str:
        """A token to use now. Raises Blocked where the application is refused, Transient."""
        async with self._alone:
            if self._token is None or self._token == refused or self.clock.now() >= self._until:
                await self._ask()
            assert self._token is not None
            return self._token

    async def _ask(self) -> None:
        form = {"grant_type": "client_credentials", "scope": " ".join(self.endpoint.oauth.scopes)}
        said = understood(await self.endpoint.ask(form, self.client))
        if said is None:
            raise Blocked("client_refused", "the vendor refuses client_id or client_secret; store them again")
        self._token = said["access_token"]
        self._until = self.clock.now() + lifetime(said, self.clock.now()) - _EARLY_SECONDS
