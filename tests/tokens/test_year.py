"""A year of grants without a hand: rotated refresh tokens, restarts, a token endpoint with bad days."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from keepstep.database import Inline
from keepstep.model.errors import Transient
from keepstep.ports import HttpAnswer, OAuth
from keepstep.state.vault import Secret, Vault
from keepstep.tokens import Endpoint, OAuthGrant
from keepstep.wire.permits import SharedPermits
from tests.tokens.test_consent import Vendor, at_cc
from tests.wire.hands import HandChance, HandClock

HOUR, YEAR = 3600.0, 365 * 86_400.0
WHO = ("acme", "constant_contact")


class Moody:
    """The vendor: some token calls are not reached, refused or throttled, and for half a day each month all are."""

    def __init__(self, vendor: Vendor, clock: HandClock) -> None:
        self.vendor, self.clock = vendor, clock
        self.calls, self.sent = 0, list[str]()

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        self.calls += 1
        if self.clock.now() % (30 * 86_400) < 12 * HOUR or self.calls % 7 == 0:
            raise Transient("not reached")
        if self.calls % 5 == 0:
            return HttpAnswer(503, {}, b"<html>")
        if self.calls % 11 == 0:
            return HttpAnswer(429, {"retry-after": "30"}, b"")
        self.sent += parse_qs(body.decode())["refresh_token"]
        self.vendor.now = self.clock.now()
        return await self.vendor(method, url, headers, body)


def test_a_year_passes_without_a_hand() -> None:
    """CC facts 2.4: a refresh token works once, and a second use voids the grant."""

    async def year() -> None:
        vendor, clock = at_cc(), HandClock(1_790_000_000.0)
        vendor.stand_in.switches.choose("refresh_reuse", "revokes_family")
        moody, db, chance = Moody(vendor, clock), Inline(), HandChance()
        vault = Vault({"k": b"k" * 32}, "k", chance.token)
        first = vendor.stand_in.add_account("acme", "old", "x", clock.now())
        kept = {"client_id": "old", "client_secret": "x", "refresh_token": first["refresh_token"]}
        for name, text in kept.items():
            await db.run(vault.put, *WHO, name, Secret(text), 0.0)

        def process() -> OAuthGrant:
            permits = SharedPermits(db, clock, 1, 86_400)
            oauth = OAuth(exchange="/oauth2/default/v1/token")
            doors = Endpoint(oauth=oauth, url="https://authz.example.org", http=moody, key="k", permits=permits)
            who: dict[str, Any] = {"customer_id": WHO[0], "platform": WHO[1]}
            return OAuthGrant(**who, endpoint=doors, db=db, vault=vault, clock=clock, chance=chance)

        worked, waited, turn, grant = 0, 0, 0, process()
        began = clock.now()
        while clock.now() < began + YEAR:
            turn += 1
            grant = process() if turn % 29 == 0 else grant
            try:
                token = await grant.bearer()
            except Transient:
                waited += 1
                clock.at += HOUR / 2
            else:
                vendor.now = clock.now()
                url = "https://api.example.org/v3/account/summary"
                assert (await vendor("GET", url, {"authorization": f"Bearer {token}"})).status == 200
                worked += 1
                clock.at += 8 * HOUR
        assert worked > 1000 and waited > 50
        assert len(moody.sent) > 300 and len(set(moody.sent)) == len(moody.sent)

    asyncio.run(year())
