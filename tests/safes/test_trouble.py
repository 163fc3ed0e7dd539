"""One secret's trouble is not everybody's: a lost value, a lost key, a refusal, a provider that is silent."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from sqlalchemy import Connection, update

from keepstep import queue
from keepstep.model.errors import Misconfigured, Permanent, Transient
from keepstep.safes import Safe, Safes
from keepstep.safes.keeper import LEASE
from keepstep.schema.tables import secret as table
from keepstep.settings import load
from keepstep.state import customers, places
from keepstep.state.keys import write_key_file
from keepstep.state.vault import Known, Secret
from keepstep.wiring import Service, checks, doors, open_service, vault
from tests.safes.providing import REGION, Providing, providing, settings_of
from tests.safes.spoiling import Failing, Memory
from tests.safes.test_keeping import got, put, stored
from tests.safes.test_moving import filled, moved
from tests.wire.hands import HandClock

ROWS = [("acme", "virtuous", "api_key"), ("other", "virtuous", "api_key")]


@pytest.fixture
def safe() -> Memory:
    return Memory()


@pytest.fixture
def kept(safe: Memory, sqlite_url: str, sqlite_engine: Any) -> Iterator[Providing]:
    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=safe) as found:
        yield found


def spoilt_row(kept: Providing, **values: Any) -> None:
    asyncio.run(kept.db.run(lambda tx: tx.execute(update(table).where(table.c.customer_id == "acme").values(**values))))


@pytest.mark.parametrize("spoilt", [{"key_id": "lost"}, {"ciphertext": b"x" * 40}])
def test_a_secret_that_no_key_opens_keeps_no_other_from_its_provider(kept: Providing, spoilt: dict[str, Any]) -> None:
    for row in ROWS:
        put(kept, row=row)
    spoilt_row(kept, **spoilt)
    assert kept.away().placed == 1
    assert [one.customer_id for one in stored(kept) if one.ciphertext is None] == ["other"]
    made = moved(kept)
    assert not made.proven and made.left == ["acme/virtuous/api_key"] and made.trouble is None


def test_a_secret_that_does_not_open_keeps_no_other_under_the_old_key(kept: Providing) -> None:
    for row in [("acme", "virtuous", "a"), ROWS[0]]:
        put(kept, row=row)
    asyncio.run(
        kept.db.run(lambda tx: tx.execute(update(table).where(table.c.field == "a").values(ciphertext=b"x" * 40)))
    )
    kept.vault._ring = type(kept.vault.ring)({"k": b"k" * 32, "new": b"n" * 32}, "new")
    assert asyncio.run(kept.db.run(kept.vault.reseal, "acme")) == 1
    assert {one.field: one.key_id for one in stored(kept)} == {"a": "k", "api_key": "new"}


def test_a_provider_that_refuses_a_read_for_good_has_nobody_give_up_its_work(kept: Providing, safe: Memory) -> None:
    def refused(_wanted: Any) -> Any:
        raise Permanent(400, "AWS ssm does not take this secret (ValidationException)")

    put(kept)
    kept.away()
    kept.forget()
    safe.get = refused  # type: ignore[method-assign]
    with pytest.raises(Transient, match="ValidationException"):
        got(kept)


def test_a_name_that_cannot_be_deleted_keeps_no_other(kept: Providing, safe: Memory) -> None:
    for row in ROWS:
        put(kept, row=row)
    kept.away()
    whole = safe.delete

    def refusing(name: str) -> None:
        if "acme" in name:
            raise Permanent(400, "no")
        whole(name)

    safe.delete = refusing  # type: ignore[method-assign]
    for row in ROWS:
        asyncio.run(kept.db.run(kept.vault.drop, *row))
    tally = kept.away()
    assert tally.deleted == 1 and isinstance(tally.trouble, Permanent)
    assert list(safe.kept) == ["virtuous/production/acme/api_token"]


def test_a_move_waits_for_the_lease_of_a_keeper_that_was_killed(kept: Providing) -> None:
    filled(kept)
    now = kept.keeper.clock.now()
    asyncio.run(kept.db.run(places.hold, "killed", now, now + LEASE))
    assert moved(kept).proven


def test_a_service_that_begins_is_no_second_keeper_beside_a_command(kept: Providing) -> None:
    """It knows that no other worker lives; a move is none."""
    put(kept)
    assert asyncio.run(kept.keeper.hold())
    now = kept.keeper.clock.now()
    asyncio.run(kept.db.run(queue.expire_leases, now + 30.0))
    assert not asyncio.run(kept.db.run(places.hold, "the service's", now + 60.0, now + 240.0))


def test_old_values_do_not_pile_up_in_memory(kept: Providing) -> None:
    known = kept.vault.known = Known()
    for number in range(40):
        put(kept, f"value {number}")
        kept.away()
    assert len(known._values) < 10 and got(kept) == "value 39"


def test_a_silent_provider_takes_no_thread_from_the_loop() -> None:
    """Which looks up names for every other call."""
    silent = threading.Event()

    async def asked() -> int:
        waiting = [asyncio.ensure_future(vault.away(lambda: silent.wait(20))) for _ in range(40)]
        await asyncio.sleep(0)
        try:
            return await asyncio.wait_for(asyncio.to_thread(int), 5.0)
        finally:
            silent.set()
            await asyncio.gather(*waiting)

    assert asyncio.run(asked()) == 0


def test_who_is_deleted_by_hand_in_aws_hides_nobody_else(moto: str) -> None:
    safe = Safes(settings_of("secrets_manager", moto))["secrets_manager"]
    wanted = [(name, safe.put(name, Secret(name), mark * 64)) for name, mark in (("a/b/c/d", "a"), ("a/b/c/e", "b"))]
    boto3.client("secretsmanager", region_name=REGION, endpoint_url=moto).delete_secret(SecretId="a/b/c/d")
    assert list(safe.get(wanted)) == wanted[1:]
    safe.close()


def test_a_provider_that_answers_with_another_secret_is_not_believed() -> None:
    class Wrong:
        def get_secret_value(self, **_: Any) -> Any:
            return {"Name": "a/b/other/d", "VersionId": "1", "SecretString": "another customer's"}

        def get_parameters(self, **_: Any) -> Any:
            return {"Parameters": [{"Name": "/a/b/other/d", "Version": 1, "Value": "another customer's"}]}

    from keepstep.safes.parameter_store import ParameterStore
    from keepstep.safes.secrets_manager import SecretsManager

    for made in (SecretsManager(Wrong()), ParameterStore(Wrong())):
        assert made.get([("a/b/mine/d", "1")]) == {}


# --- a service -------------------------------------------------------------------------------------------------------


@contextmanager
def _home(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Iterator[Any]:
    monkeypatch.delenv("KEEPSTEP_KEY", raising=False)
    path = folder / "keepstep.toml"
    path.write_text(text)
    if not (folder / "keepstep.key").exists():
        write_key_file(folder / "keepstep.key", lambda size: b"k" * size)
    yield load(path, {})


def test_a_lost_token_shuts_no_other_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safe: Memory) -> None:
    async def lived(service: Service) -> None:
        service.db.safes = Safes(service.settings.vault, {"parameter_store": safe})  # type: ignore[attr-defined]
        for one in ("acme", "other"):
            await service.db.run(customers.add, one, {}, 1.0)
            await service.db.run(service.vault.put, one, "virtuous", "door_token", Secret(f"token of {one}"), 1.0)
        await vault.keep_once(service)
        del safe.kept["virtuous/production/acme/door_token"]
        service.vault.known = Known()
        found = await service.db.run(doors.sender, service, "virtuous", "token of other", service.clock.now())
        assert found is not None and found[0] == "other"
        # It may be acme's: nobody may tell the vendor that there is no such door.
        with pytest.raises(Transient):
            await service.db.run(doors.sender, service, "virtuous", "token of acme", service.clock.now())

    async def opened(settings: Any) -> None:
        async with open_service(settings) as service:
            await lived(service)

    with _home(tmp_path, monkeypatch, f'[vault]\nprovider = "parameter_store"\nregion = "{REGION}"\n') as settings:
        asyncio.run(opened(settings))


def test_settings_that_were_mended_need_no_restart(tmp_path: Path, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A region that is missing, then is not: what refused is opened anew."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    right = f'[vault]\nprovider = "parameter_store"\nregion = "{REGION}"\nendpoint = "{moto}"\n'
    Safes(settings_of("parameter_store", moto))["parameter_store"].put("virtuous/production/a/b", Secret("x"), "m" * 64)

    async def read(settings: Any) -> None:
        async with open_service(settings) as service:
            place = places.Place("parameter_store", "virtuous/production/a/b", "1", "m" * 64)
            with pytest.raises(Misconfigured, match="region"):
                await service.db.read_again([place])  # type: ignore[attr-defined]
            (tmp_path / "keepstep.toml").write_text(right)
            found = await service.db.read_again([place])  # type: ignore[attr-defined]
            assert found == {place: Secret("x")}

    with _home(tmp_path, monkeypatch, f'[vault]\nendpoint = "{moto}"\n') as settings:
        asyncio.run(read(settings))


class Picky(Memory):
    """Takes, and does something else wrong."""

    def __init__(self, wrong: str) -> None:
        super().__init__()
        self.wrong = wrong

    def get(self, wanted: Any) -> Any:
        if self.wrong == "get":
            raise Misconfigured(("vault: AWS ssm refuses us (AccessDeniedException); check the policy",))
        return {} if self.wrong == "forgets" else super().get(wanted)

    def delete(self, name: str) -> None:
        if self.wrong == "delete":
            raise Misconfigured(("vault: AWS ssm refuses us (AccessDeniedException); check the policy",))
        super().delete(name)


@pytest.mark.parametrize(
    ("made", "state", "said", "left"),
    [
        (Memory, "ok", "keeps 0 secrets", 0),
        (lambda: Failing(writes=9)(Memory()), "failed", "trouble", 0),
        (lambda: Picky("get"), "person", "check the policy", 0),
        (lambda: Picky("forgets"), "failed", "not given back yet", 0),
        (lambda: Picky("delete"), "person", "check the policy", 1),
    ],
)
def test_doctor_says_what_a_provider_lets_us_do(
    made: Any, state: str, said: str, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves nothing there: what it could not delete is deleted by whoever keeps secrets."""

    async def looked(settings: Any, there: Safe) -> None:
        async with open_service(settings) as service:
            service.db.safes = Safes(settings.vault, {"parameter_store": there})  # type: ignore[attr-defined]
            (row,) = [one for one in await checks.check(service) if one["check"] == "vault"]
            assert row["state"] == state and said in row["detail"] and bool(row["next"]) == (state != "ok")
            assert await service.db.run(places.left_over) == left
            if isinstance(there, Memory) and not left:
                assert not there.kept

    with _home(tmp_path, monkeypatch, f'[vault]\nprovider = "parameter_store"\nregion = "{REGION}"\n') as settings:
        asyncio.run(looked(settings, made()))


def test_doctor_names_what_a_former_provider_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safe: Memory
) -> None:
    async def looked(settings: Any) -> None:
        async with open_service(settings) as service:
            service.db.safes = Safes(settings.vault, {"parameter_store": safe})  # type: ignore[attr-defined]

            def lost(tx: Connection) -> None:
                place = places.Place("parameter_store", "virtuous/production/acme/api_token", "1", "m")
                service.vault.put(tx, *ROWS[0], Secret("x"), 1.0)
                tx.execute(update(table).values(key_id=None, nonce=None, ciphertext=None, place=str(place)))

            assert await vault.checked(service) == []
            await service.db.run(lost)
            (row,) = await vault.checked(service)
            assert row["state"] == "failed" and "acme/virtuous/api_key" in row["detail"] and not safe.kept

    with _home(tmp_path, monkeypatch, "") as settings:
        asyncio.run(looked(settings))
