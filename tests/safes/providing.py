"""A database and a vault over each provider, for any test.

    from tests.safes.providing import PROVIDERS, Providing, providing

    @pytest.mark.parametrize("provider", PROVIDERS)            # "database", "parameter_store", "secrets_manager"
    def test_something(provider: str, store_url: str, moto: str) -> None:   # moto: fixture of tests/safes/conftest.py
        with providing(provider, store_url, moto) as kept:
            kept.db        # the database port with what the provider keeps: give it to grants, services
            kept.vault     # the vault beside it
            kept.away()    # everything that lies here goes to the provider now (in a coroutine: `await kept.go()`)
            kept.forget()  # what this process has read is unknown again, as after a restart

`moto` is the URL of a real server that plays AWS; outside of tests/safes import the fixture: `from tests.safes.moto
import moto  # noqa: F401`. Another *process* makes its own with the same three values: `with providing(provider, url,
moto)`; its environment needs nothing. The vault's key is the one of tests/tokens/refreshing.py, so that rows that
were put with its VAULT open here, and the other way round where they were not moved.

`spoil` puts a wrapper around the provider: `providing(provider, url, moto, spoil=Late(tries=2))` (reads come late) or
`spoil=Failing(writes=3)` (writes fail); see tests/safes/spoiling.py.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from keepstep.database import open_database
from keepstep.safes import Safe, Safes
from keepstep.safes.keeper import Keeper, Tally
from keepstep.safes.keeping import Keeping
from keepstep.settings.vault import Vault as Settings
from keepstep.state.vault import Known, Vault
from keepstep.wiring.chance import SystemChance
from keepstep.wiring.clock import SystemClock
from keepstep.wiring.vault import away

PROVIDERS = ("database", "parameter_store", "secrets_manager")
AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
REGION = "us-east-1"


@dataclass
class Providing:
    """See above."""

    db: Keeping
    vault: Vault
    keeper: Keeper

    async def go(self) -> Tally:
        """Everything that lies here goes to the provider."""
        return await self.keeper.round(0.0)

    def away(self) -> Tally:
        """The same, for a test that is no coroutine."""
        return asyncio.run(self.go())

    def forget(self) -> None:
        """As after a restart."""
        self.vault.known = Known()


def settings_of(provider: str, endpoint: str | None) -> Settings:
    """The [vault] of a settings file."""
    return Settings(provider=provider, region=REGION, endpoint=endpoint)  # type: ignore[arg-type]


@contextmanager
def providing(
    provider: str,
    url: str,
    endpoint: str | None,
    spoil: Callable[[Safe], Safe] | None = None,
    clock: Any = None,
    keys: tuple[dict[str, bytes], str] = ({"k": b"k" * 32}, "k"),
    safe: Safe | None = None,
) -> Iterator[Providing]:
    """For the length of a block. `safe`: another one in place of the provider's."""
    os.environ.update(AWS)
    chance, settings = SystemChance(), settings_of(provider, endpoint)
    vault, safes = Vault(*keys, chance.token), Safes(settings, {} if safe is None else {provider: safe})
    if spoil is not None:
        safes = Safes(settings, {provider: spoil(safes[provider])})
    db = Keeping(open_database(url), vault, safes, away)
    keeper = Keeper(
        db=db,
        vault=vault,
        safes=safes,
        clock=clock or SystemClock(),
        chance=chance,
        away=away,
        provider=provider,
        env="production",
    )
    try:
        yield Providing(db, vault, keeper)
    finally:
        asyncio.run(db.close())
