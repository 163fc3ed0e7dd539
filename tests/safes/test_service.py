"""The keeper beside a running service, and a customer who is removed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from keepstep.model.errors import Misconfigured
from keepstep.safes import Safe, Safes
from keepstep.schema.tables import secret as table
from keepstep.settings import Settings, load
from keepstep.state import customers, places
from keepstep.state.alerts import OPERATOR
from keepstep.state.keys import write_key_file
from keepstep.state.vault import Secret
from keepstep.wiring import Service, open_service, vault
from tests.safes.providing import REGION
from tests.safes.spoiling import Failing, Memory

ROW = ("acme", "virtuous", "api_key")


class Served:
    """A service with a provider of the test's own."""

    def __init__(self, folder: Path, safe: Safe, provider: str = "parameter_store") -> None:
        self.folder, self.safe = folder, safe
        path = folder / "keepstep.toml"
        path.write_text(f'[vault]\nprovider = "{provider}"\nregion = "{REGION}"\n')
        if not (folder / "keepstep.key").exists():
            write_key_file(folder / "keepstep.key", lambda size: b"k" * size)
        self.settings: Settings = load(path, {})

    def do(self, work: Callable[[Service], Awaitable[None]]) -> None:
        async def done() -> None:
            async with open_service(self.settings) as service:
                service.db.safes = Safes(self.settings.vault, {"parameter_store": self.safe})  # type: ignore[attr-defined]
                await work(service)

        asyncio.run(done())


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEEPSTEP_KEY", raising=False)
    monkeypatch.setattr(vault, "_LOOK_SECONDS", 0.02)


async def stored(service: Service) -> list[Any]:
    return await service.db.run(lambda tx: list(tx.execute(select(table)).all()))


async def until_sent(service: Service) -> None:
    for _ in range(500):
        if all(row.ciphertext is None for row in await stored(service)):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it was never sent")


def test_the_keeper_goes_on_after_failures_and_ends_with_the_service(tmp_path: Path) -> None:
    async def served(service: Service) -> None:
        await service.db.run(service.vault.put, *ROW, Secret("canary"), 1.0)
        keeping = asyncio.create_task(vault.keep(service))
        await until_sent(service)
        service.stopping = True
        await keeping
        found = await service.db.run(service.vault.get, *ROW)
        assert found is not None and found.reveal() == "canary"

    Served(tmp_path, Failing(writes=3)(Memory())).do(served)


def test_what_was_stored_just_now_is_not_sent_yet(tmp_path: Path) -> None:
    async def served(service: Service) -> None:
        await service.db.run(service.vault.put, *ROW, Secret("canary"), service.clock.now())
        await vault.keep_once(service)
        assert [row.ciphertext is not None for row in await stored(service)] == [True]

    Served(tmp_path, Memory()).do(served)


def test_a_database_that_nobody_sends_from_has_no_keeper(tmp_path: Path) -> None:
    async def served(service: Service) -> None:
        await asyncio.wait_for(vault.keep(service), 5.0)

    Served(tmp_path, Memory(), "database").do(served)


def test_a_removed_customers_values_are_deleted_also_after_the_way_home(tmp_path: Path) -> None:
    """The settings name the database again, and names are still left over."""
    safe = Memory()

    async def removed(service: Service) -> None:
        for row in (ROW, ("acme", "keepstep", "ledger_key")):
            await service.db.run(service.vault.put, *row, Secret("canary"), 1.0)
        await vault.keep_once(service)
        assert len(safe.kept) == 2
        while await service.db.run(customers.erase, "acme"):
            pass
        assert await service.db.run(places.left_over) == 1

    async def later(service: Service) -> None:
        await vault.keep_once(service)
        assert list(safe.kept) == ["keepstep/production/acme/ledger_key"]
        found = await service.db.run(service.vault.get, "acme", "keepstep", "ledger_key")
        assert found is not None and found.reveal() == "canary"

    Served(tmp_path, safe).do(removed)
    Served(tmp_path, safe, "database").do(later)


def test_the_operators_own_secrets_are_sealed_anew_like_a_customers(tmp_path: Path) -> None:
    ours = (OPERATOR, "keepstep", "alert_url")

    async def rotated(service: Service) -> None:
        await service.db.run(service.vault.put, *ours, Secret("canary"), 1.0)
        done = await vault.rotate(service)
        assert done.made is not None and done.resealed == 1 and list(done.older.values()) == [0]
        assert (await vault.finish(service))["still_needed"] == {}

    async def later(service: Service) -> None:
        assert [one["secrets"] for one in (await vault.status(service))["keys"]] == [1]
        found = await service.db.run(service.vault.get, *ours)
        assert found is not None and found.reveal() == "canary"

    Served(tmp_path, Memory(), "database").do(rotated)
    Served(tmp_path, Memory(), "database").do(later)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('provider = "vault"', "vault.provider"),
        ('env = "a/b"', "vault.env"),
        ('endpoint = "http://example.org"', "vault.endpoint"),
        ("nonsense = 1", "known here: endpoint, env, provider, region"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "keepstep.toml"
    path.write_text(f"[vault]\n{text}\n")
    with pytest.raises(Misconfigured, match=said):
        load(path, {})


@pytest.mark.parametrize(("endpoint", "fine"), [("", False), ("http://127.0.0.1:5000", True), ("https://x.org", False)])
def test_in_virtual_time_a_provider_is_on_this_machine(tmp_path: Path, endpoint: str, fine: bool) -> None:
    path = tmp_path / "keepstep.toml"
    near = {f"KEEPSTEP_{name}_URL": "http://127.0.0.1:1" for name in ("CONSTANT_CONTACT", "VIRTUOUS")}
    near |= {"KEEPSTEP_CLOCK": "http://127.0.0.1:1", "KEEPSTEP_CONSTANT_CONTACT_AUTH_URL": "http://127.0.0.1:1"}
    path.write_text('[vault]\nprovider = "parameter_store"\n' + (f'endpoint = "{endpoint}"\n' if endpoint else ""))
    if fine:
        assert load(path, near).vault.endpoint == endpoint
    else:
        with pytest.raises(Misconfigured, match=r"vault.provider.*time is virtual"):
            load(path, near)
