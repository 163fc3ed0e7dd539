"""Keys are replaced while others store and read."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import func, select, update

from keepstep.database import engine_of
from keepstep.model.errors import Misconfigured, Refused
from keepstep.schema.tables import secret as table
from keepstep.settings import load
from keepstep.state import keys
from keepstep.state.keys import read_key_file, write_key_file
from keepstep.state.vault import Secret, Vault
from keepstep.wiring import Service, open_service, vault
from tests.state.storing import FIELDS

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]


class Home:
    """An installation: settings, key file and database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.key_file, self.url = folder / "keepstep.key", url
        write_key_file(self.key_file, os.urandom)
        self.environ = {"KEEPSTEP_DATABASE": url, "KEEPSTEP_KEY_FILE": str(self.key_file)}

    def do(self, work: Callable[[Service], Awaitable[T]]) -> T:
        """As a command does."""

        async def done() -> T:
            async with open_service(load(None, self.environ)) as service:
                return await work(service)

        return asyncio.run(done())

    def put(self, count: int, customer: str = "acme") -> None:
        async def puts(service: Service) -> None:
            def all_of_them(tx: Any) -> None:
                for number in range(count):
                    service.vault.put(tx, customer, "virtuous", f"f{number}", Secret(f"v{number}"), 1.0)

            await service.db.run(all_of_them)

        self.do(puts)

    def values(self, count: int, customer: str = "acme") -> list[str | None]:
        async def gets(service: Service) -> list[str | None]:
            found = [await service.db.run(service.vault.get, customer, "virtuous", f"f{n}") for n in range(count)]
            return [one.reveal() if one else None for one in found]

        return self.do(gets)


@pytest.fixture
def home(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("KEEPSTEP_KEY", raising=False)
    return Home(tmp_path, database_url)


@pytest.fixture
def small(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("KEEPSTEP_KEY", raising=False)
    return Home(tmp_path, sqlite_url)


@contextmanager
def stored_meanwhile(home: Home, folder: Path, count: int = 2) -> Iterator[list[dict[str, Any]]]:
    """Processes that store and read for the length of a block; what each says comes after it."""
    stop, said = folder / "stop", []
    command = [sys.executable, "-m", "tests.state.storing", home.url, str(home.key_file)]
    environ = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    running = [
        subprocess.Popen([*command, f"c{n}", str(stop)], cwd=ROOT, env=environ, stdout=subprocess.PIPE)
        for n in range(count)
    ]
    try:
        yield said
    finally:
        stop.touch()
        ended = [process.communicate(timeout=60)[0] for process in running]
    said += [json.loads(one) for one in ended]


def test_keys_are_replaced_under_load_without_a_restart(home: Home, tmp_path: Path) -> None:
    """Two rotations with their ends; processes that began under the first key go on until after the last."""

    async def replaced(service: Service) -> None:
        for _ in range(2):
            await asyncio.to_thread(_wait_for_more, home)
            made = await vault.rotate(service)
            assert made.made == made.current and not made.missing and not any(made.older.values())
            done = await vault.finish(service)
            assert not done["still_needed"] and len(done["taken_out"]) == 1
            found, current = read_key_file(home.key_file)
            assert list(found) == [current] == [made.made]

    home.put(30)
    with stored_meanwhile(home, tmp_path) as said:
        home.do(replaced)
    assert [one["wrong"] for one in said] == [[], []] and all(one["stored"] > 10 for one in said)
    status = home.do(vault.status)
    assert [one["state"] for one in status["keys"]] == ["seals"], "somebody sealed under a key that was taken out"
    assert status["places"] == [{"place": "database", "secrets": 30 + 2 * len(FIELDS)}]
    assert home.values(30) == [f"v{number}" for number in range(30)]


def _wait_for_more(home: Home) -> None:
    """Both processes are at it."""
    engine, seen = engine_of(home.url), []
    wanted = select(table.c.customer_id, func.sum(table.c.updated)).where(table.c.customer_id.in_(["c0", "c1"]))
    for _ in range(3000):
        with engine.begin() as tx:
            seen.append({one[0]: one[1] for one in tx.execute(wanted.group_by(table.c.customer_id))})
        if len(seen[-1]) == 2 and all(seen[-1][one] > seen[0].get(one, 0) + 5 for one in seen[-1]):
            break
        time.sleep(0.01)
    else:
        raise AssertionError("nobody stores anything")
    engine.dispose()


def test_a_rotation_seals_everything_anew_in_small_transactions(home: Home) -> None:
    home.put(450)
    told: list[int] = []
    made = home.do(lambda service: vault.rotate(service, told.append))
    assert made.resealed == 450 and told == [200, 400, 450]
    assert home.values(3) == ["v0", "v1", "v2"]


def test_a_rotation_that_was_broken_off_goes_on_with_the_key_it_made(small: Home) -> None:
    small.put(5)
    new = keys.put_first(small.key_file, os.urandom)
    made = small.do(vault.rotate)
    assert made.made is None and made.current == new and made.resealed == 5
    assert len(read_key_file(small.key_file)[0]) == 2


def test_an_old_key_stays_while_a_secret_needs_it(small: Home) -> None:
    small.put(2)
    old = read_key_file(small.key_file)[1]
    keys.put_first(small.key_file, os.urandom)
    assert small.do(vault.finish) == {"taken_out": [], "still_needed": {old: 2}}
    assert old in read_key_file(small.key_file)[0]


def test_a_lost_key_is_named_and_the_rest_is_sealed_anew(small: Home) -> None:
    small.put(3)
    engine = engine_of(small.url)
    with engine.begin() as tx:
        tx.execute(update(table).where(table.c.field == "f1").values(key_id="lost"))
    engine.dispose()
    made = small.do(vault.rotate)
    assert made.missing == {"lost": 1} and made.resealed == 2
    assert {"key": "lost", "state": "missing", "secrets": 1} in small.do(vault.status)["keys"]
    assert small.do(vault.finish)["still_needed"] == {"lost": 1}


def test_an_unknown_key_has_the_file_read_again_once(small: Home) -> None:
    async def rotated(service: Service) -> None:
        await service.db.run(service.vault.put, "acme", "virtuous", "api_key", Secret("mine"), 1.0)
        new = keys.put_first(small.key_file, os.urandom)
        ring = read_key_file(small.key_file)
        other = Vault(*ring, os.urandom)
        await service.db.run(other.put, "acme", "virtuous", "api_key", Secret("theirs"), 2.0)
        found = await service.db.run(service.vault.get, "acme", "virtuous", "api_key")
        assert found is not None and found.reveal() == "theirs" and service.vault.ring.current == new
        await service.db.run(lambda tx: tx.execute(update(table).values(key_id="nobody's")))
        with pytest.raises(Misconfigured, match="no key nobody's"):
            await service.db.run(service.vault.get, "acme", "virtuous", "api_key")

    small.do(rotated)


def test_keys_of_the_environment_win_and_need_no_file(small: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    line = small.key_file.read_text().strip()
    small.put(3)
    small.key_file.unlink()
    monkeypatch.setenv("KEEPSTEP_KEY", line)
    assert small.values(3) == ["v0", "v1", "v2"]
    made = small.do(vault.rotate)
    assert made.made is None and "KEEPSTEP_KEY" in made.then
    monkeypatch.setenv("KEEPSTEP_KEY", f"{'new:' + 'bmV3' * 10 + 'bmU='},{line}")
    made = small.do(vault.rotate)
    assert made.resealed == 3 and made.current == "new" and not made.then
    with pytest.raises(Refused, match="KEEPSTEP_KEY"):
        small.do(vault.finish)
    monkeypatch.setenv("KEEPSTEP_KEY", "new:" + "bmV3" * 10 + "bmU=")
    assert small.values(3) == ["v0", "v1", "v2"]


def test_a_removed_customers_secret_is_sealed_anew_too(small: Home) -> None:
    """It has no slot any more."""
    small.put(1, "gone")
    assert small.do(vault.rotate).resealed == 1
