"""A rotating grant whose secrets lie at a provider: whatever the provider does, the grant lives on (CC facts 2.4)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keepstep.model.errors import Transient
from keepstep.ports import OAuth
from keepstep.safes import Safe, Safes
from keepstep.safes.keeper import Keeper
from keepstep.safes.keeping import Keeping
from keepstep.state.vault import Known
from keepstep.tokens import Endpoint, OAuthGrant
from tests.safes.providing import settings_of
from tests.safes.spoiling import Failing, Late, Memory
from tests.tokens.test_grant import World


async def at_once(work: Callable[[], Any]) -> Any:
    return work()


class Kept(World):
    """The same world, with a provider."""

    def __init__(self, safe: Safe) -> None:
        super().__init__()
        self.safe: Any = safe
        safes = Safes(settings_of("parameter_store", None), {"parameter_store": safe})
        self.plain = self.db
        self.db: Any = Keeping(self.plain, self.vault, safes, at_once)
        self.keeper = Keeper(
            db=self.db,
            vault=self.vault,
            safes=safes,
            clock=self.clock,
            chance=self.chance,
            away=at_once,
            provider="parameter_store",
            env="production",
        )

    @property
    def endpoint(self) -> Endpoint:
        # Its permits are another matter.
        return Endpoint(oauth=OAuth(exchange="/t"), url="https://x.org", http=self.vendor, key="k", permits=None)

    def restarted(self) -> OAuthGrant:
        """As a process that begins now."""
        self.vault.known = Known()
        return self.grant()


def run(safe: Safe, work: Callable[[Kept], Awaitable[None]]) -> None:
    async def prepared() -> None:
        world = Kept(safe)
        await world.store(client_id="id", client_secret="secret", refresh_token="refresh-0")
        await work(world)

    asyncio.run(asyncio.wait_for(prepared(), 30))


SPOILED: dict[str, Callable[[], Safe]] = {
    "fine": Memory,
    "late": lambda: Late(tries=2)(Memory()),
    "old": lambda: Late(tries=4, old=True)(Memory()),
    "failing": lambda: Failing(writes=40, reads=9)(Memory()),
}


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("rounds", [0, 1, 2], ids=["sealed", "on the way", "there"])
def test_a_month_of_refreshes_needs_nobody(spoiled: str, rounds: int) -> None:
    """Between two refreshes the process begins anew and the keeper comes by, or not, or twice."""

    async def work(world: Kept) -> None:
        grant = world.grant()
        for number in range(1, 31):
            for _ in range(20):
                try:
                    token = await grant.bearer()
                    break
                except Transient:
                    grant = world.restarted()
            assert token == f"access-{number}"
            for _ in range(rounds):
                await world.keeper.round(0.0)
            world.clock.at += 86_400.0
            grant = world.restarted()
        assert world.vendor.issued == 30

    run(SPOILED[spoiled](), work)


def test_a_token_that_was_received_is_stored_while_the_provider_is_down() -> None:
    """What was read to announce the refresh is known: no call stands between the answer and its commit."""
    failing: Any = Failing()(Memory())

    async def work(world: Kept) -> None:
        await world.grant().bearer()
        await world.keeper.round(0.0)
        world.clock.at += 86_400.0

        async def down() -> None:
            # Another process' keeper even sends what was announced, in this very moment.
            await world.keeper.round(0.0)
            failing.reads = 10**6

        world.vendor.meanwhile = down
        assert await world.restarted().bearer() == "access-2"
        world.vendor.meanwhile = None
        failing.reads = 0
        assert await world.restarted().bearer() == "access-2" and world.vendor.issued == 2

    run(failing, work)


def test_a_provider_that_is_down_is_neither_a_lost_grant_nor_an_empty_one() -> None:
    failing: Any = Failing()(Memory())

    async def work(world: Kept) -> None:
        await world.grant().bearer()
        await world.keeper.round(0.0)
        failing.reads = 1
        with pytest.raises(Transient):
            await world.restarted().bearer()
        assert await world.restarted().bearer() == "access-1" and world.vendor.issued == 1

    run(failing, work)
