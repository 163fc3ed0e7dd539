"""A customer whose secrets a provider keeps is removed: the values there go too, or somebody is told they did not."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from keepstep.model.errors import Permanent, Problem, Transient
from keepstep.safes import Safe, Safes
from keepstep.settings import load
from keepstep.state import customers, marks, places
from keepstep.state.alerts import OPERATOR
from keepstep.state.keys import write_key_file
from keepstep.state.marks import Mark
from keepstep.state.vault import Secret
from keepstep.wiring import Service, open_service, removal, vault
from keepstep.wiring.removal import Wish
from tests.safes.providing import REGION
from tests.safes.spoiling import Memory

UNEXPORTED = Wish(unexported=True)


@dataclass
class Silent(Memory):
    """A provider that can fall silent, or refuse to delete."""

    deaf: bool = False
    trouble: Problem | None = None

    def get(self, wanted: Any) -> Any:
        if self.deaf:
            raise Transient("AWS has trouble")
        return super().get(wanted)

    def delete(self, name: str) -> None:
        if self.trouble is not None:
            raise self.trouble
        super().delete(name)


class Served:
    """A service whose secrets a provider keeps; a new one each time, that has read nothing yet."""

    def __init__(self, folder: Path, safe: Safe | None, endpoint: str = "", provider: str = "parameter_store") -> None:
        self.safe = safe
        path = folder / "keepstep.toml"
        there = f'endpoint = "{endpoint}"\n' if endpoint else ""
        path.write_text(
            f'[vault]\nprovider = "{provider}"\nregion = "{REGION}"\n{there}'
            '[service]\npublic_url = "https://keepstep.example"\n'
        )
        write_key_file(folder / "keepstep.key", lambda size: b"k" * size)
        self.settings = load(path, {})

    def do(self, work: Callable[[Service], Awaitable[Any]]) -> Any:
        async def done() -> Any:
            async with open_service(self.settings) as service:
                if self.safe is not None:
                    service.db.safes = Safes(self.settings.vault, {"parameter_store": self.safe})  # type: ignore[attr-defined]
                return await work(service)

        return asyncio.run(done())

    def remove(self, wish: Wish = UNEXPORTED) -> Any:
        return self.do(lambda service: service.remove("acme", wish))


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEEPSTEP_KEY", raising=False)
    monkeypatch.setattr(removal, "is_served", lambda _database: False)


async def filled(service: Service) -> None:
    """Two customers and the operator, whose secrets are all at the provider."""
    for one in ("acme", "beta"):
        grant = {name: Secret(f"{one} {name}") for name in ("client_id", "client_secret", "refresh_token")}
        await service.add_customer(one, "constant_contact", grant)
        await service.add_customer(one, "virtuous", {"api_key": Secret(f"{one} key")})
        await service.db.run(service.vault.put, one, "keepstep", "alert_url", Secret("json://127.0.0.1/x"), 1.0)
    await service.db.run(service.vault.put, OPERATOR, "keepstep", "alert_url", Secret("json://127.0.0.1"), 1.0)
    tally = await vault.keeper_of(service).round(0.0)
    assert tally.trouble is None and not tally.later and await service.db.run(places.here) == []


async def known(service: Service) -> Any:
    return await service.db.run(customers.get, "acme")


@pytest.mark.parametrize("provider", ["parameter_store", "secrets_manager"])
def test_whoever_is_removed_leaves_no_value_at_aws_but_the_key_of_the_hashes(
    tmp_path: Path, moto: str, provider: str
) -> None:
    served = Served(tmp_path, None, moto, provider)
    served.do(filled)
    before = names_at_aws(moto)
    assert sum("/acme/" in one for one in before) == 8
    report = served.remove()
    assert report["left_over"] == 0 and report["secrets"] == 7
    gone = {one for one in before if "/acme/" in one and not one.endswith("keepstep/production/acme/ledger_key")}
    assert names_at_aws(moto) == before - gone and len(gone) == 7


def names_at_aws(moto: str) -> set[str]:
    ssm, manager = (boto3.client(one, region_name=REGION, endpoint_url=moto) for one in ("ssm", "secretsmanager"))
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path="/", Recursive=True)
    found = {one["Name"] for page in pages for one in page["Parameters"]}
    return found | {
        one["Name"] for page in manager.get_paginator("list_secrets").paginate() for one in page["SecretList"]
    }


@pytest.mark.parametrize(
    "trouble", [Transient("AWS has trouble"), Permanent(403, "not allowed")], ids=["down", "denied"]
)
def test_a_provider_that_does_not_delete_leaves_the_customer_paused_until_it_does(
    tmp_path: Path, trouble: Problem
) -> None:
    safe = Silent()
    served = Served(tmp_path, safe)
    served.do(filled)
    safe.trouble = trouble
    with pytest.raises(
        Transient, match=r"acme: 7 secrets at their provider could not be deleted .*stays paused.*--force"
    ):
        served.remove()
    assert served.do(known).state == "paused"
    safe.trouble = None
    assert served.remove()["left_over"] == 0 and served.do(known) is None
    assert [one for one in safe.kept if "/acme/" in one] == ["keepstep/production/acme/ledger_key"]


def test_force_goes_on_and_the_values_are_deleted_once_the_provider_answers(tmp_path: Path) -> None:
    safe = Silent()
    served = Served(tmp_path, safe)
    served.do(filled)
    safe.trouble = Transient("AWS has trouble")
    report = served.remove(Wish(unexported=True, force=True))
    assert report["left_over"] == 7 and served.do(known) is None
    safe.trouble = None
    served.do(vault.keep_once)
    assert [one for one in safe.kept if "/acme/" in one] == ["keepstep/production/acme/ledger_key"]


def test_a_provider_that_is_not_to_be_read_leaves_the_customer_paused(tmp_path: Path) -> None:
    """The vendor cannot be asked to forget our webhook without the credentials."""
    safe = Silent()
    served = Served(tmp_path, safe)
    served.do(filled)
    mark = Mark("virtuous", "subscription", due=None, data={"id": "17"})
    served.do(lambda service: service.db.run(marks.put, "acme", mark))
    safe.deaf = True
    assert served.do(lambda service: service.outlook("acme"))["webhooks"] == 1
    with pytest.raises(Transient, match=r"acme: webhook 17 could not be deleted \(AWS has trouble\); it stays paused"):
        served.remove()
    assert served.do(known).state == "paused"
    report = served.remove(Wish(unexported=True, force=True))
    assert report["webhooks"] == {"17": "not answered"} and served.do(known) is None
