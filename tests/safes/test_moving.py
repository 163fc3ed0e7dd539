"""Every secret of every customer moves, while others go on; and it is proven that none is left."""

import asyncio
import threading
import time
from typing import Any

import boto3
import pytest
from sqlalchemy import Connection, func, select

from keepstep.safes import moving
from keepstep.safes.moving import Move, move
from keepstep.schema.tables import secret as table
from keepstep.state import customers, places
from keepstep.state.alerts import OPERATOR
from keepstep.state.customers import PARTNER
from keepstep.state.vault import Secret
from tests.safes.providing import PROVIDERS, REGION, Providing, providing
from tests.safes.spoiling import Failing, Late, Memory
from tests.wire.hands import HandClock

PEOPLE = [(f"c{n}", platform, field) for n in range(5) for platform, field in (("virtuous", "api_key"), ("a", "b"))]
# The operator's own, whom no row of customers names.
PEOPLE += [(OPERATOR, "keepstep", "alert_url"), (PARTNER, "constant_contact", "api_secret")]
AWAY = PROVIDERS[1:]


def filled(kept: Providing) -> None:
    def all_of_them(tx: Any) -> None:
        for row in PEOPLE:
            kept.vault.put(tx, *row, Secret("/".join(row)), 1.0)

    asyncio.run(kept.db.run(all_of_them))


def readable(kept: Providing) -> bool:
    kept.forget()
    found = [asyncio.run(kept.db.run(kept.vault.get, *row)) for row in PEOPLE]
    return [one.reveal() if one else None for one in found] == ["/".join(row) for row in PEOPLE]


def moved(kept: Providing) -> Move:
    return asyncio.run(move(kept.keeper, kept.db))


def where(kept: Providing) -> dict[str, int]:
    return dict(asyncio.run(kept.db.run(places.by_place)))


def test_from_provider_to_provider_and_back(store_url: str, moto: str) -> None:
    """Here, to each provider, to the other one, and here again; nothing is left behind anywhere."""
    with providing("database", store_url, moto) as kept:
        filled(kept)
        for provider in (*AWAY, AWAY[0], "database"):
            kept.keeper.provider = provider
            made = moved(kept)
            assert made.proven and made.moved == len(PEOPLE), made
            expected = {"database": 0, provider: len(PEOPLE)}
            assert where(kept) == expected and readable(kept)
        assert not _names_at_aws(moto)


def _names_at_aws(moto: str) -> list[str]:
    ssm, manager = (boto3.client(one, region_name=REGION, endpoint_url=moto) for one in ("ssm", "secretsmanager"))
    found = [one["Name"] for one in ssm.get_parameters_by_path(Path="/", Recursive=True)["Parameters"]]
    return found + [one["Name"] for one in manager.list_secrets()["SecretList"]]


def test_who_is_moved_twice_is_where_he_was(sqlite_url: str, sqlite_engine: Any) -> None:
    safe = Memory()
    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=safe) as kept:
        filled(kept)
        assert moved(kept).moved == len(PEOPLE)
        safe.calls.clear()
        again = moved(kept)
        assert again.proven and again.moved == 0 and not [one for one, _ in safe.calls if one == "put"]


@pytest.mark.parametrize("spoil", [Late(tries=4), Late(tries=4, old=True), Failing(writes=5)])
def test_a_slow_or_failing_provider_is_waited_for(spoil: Any, sqlite_url: str, sqlite_engine: Any) -> None:
    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=spoil(Memory())) as kept:
        filled(kept)
        made = moved(kept)
        assert made.proven and made.moved == len(PEOPLE) and readable(kept)


def test_what_a_provider_does_not_take_is_named_and_stays_here(sqlite_url: str, sqlite_engine: Any) -> None:
    failing = Failing(writes=10**6)(Memory())
    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=failing) as kept:
        filled(kept)
        made = moved(kept)
        assert not made.proven and made.left == sorted("/".join(row) for row in PEOPLE) and made.trouble is not None
        assert readable(kept)


def test_what_is_gone_at_the_provider_is_named(sqlite_url: str, sqlite_engine: Any) -> None:
    safe = Memory()
    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=safe) as kept:
        filled(kept)
        moved(kept)
        del safe.kept["virtuous/production/c3/api_token"]
        made = moved(kept)
        assert not made.proven and made.unread == ["c3/virtuous/api_key"] and not made.left


def test_a_move_that_was_broken_off_goes_on(sqlite_url: str, sqlite_engine: Any) -> None:
    class Broken(BaseException):
        pass

    safe = Memory()
    true_put, count = safe.put, 0

    def breaking(name: str, value: Secret, mark: str) -> str:
        nonlocal count
        count += 1
        if count == 4:
            raise Broken
        return true_put(name, value, mark)

    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=safe) as kept:
        filled(kept)
        safe.put = breaking  # type: ignore[method-assign]
        with pytest.raises(Broken):
            moved(kept)
        assert where(kept) == {"database": len(PEOPLE) - 3, "parameter_store": 3} and readable(kept)
        made = moved(kept)
        assert made.proven and made.moved == len(PEOPLE) - 3


def test_what_is_put_during_a_move_is_moved_too(sqlite_url: str, sqlite_engine: Any) -> None:
    safe = Memory()
    true_put, late = safe.put, [("c9", "x", "y"), ("a", "x", "y")]

    def put_meanwhile(name: str, value: Secret, mark: str) -> str:
        if late:
            row = late.pop()
            asyncio.run(kept.db.run(kept.vault.put, *row, Secret("late"), 5.0))
        return true_put(name, value, mark)

    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=safe) as kept:
        filled(kept)
        safe.put = put_meanwhile  # type: ignore[method-assign]
        made = moved(kept)
        assert made.proven and made.moved == len(PEOPLE) + 2 and where(kept)["database"] == 0


def test_another_process_that_still_sends_them_back_is_outlasted(sqlite_url: str, sqlite_engine: Any) -> None:
    """A service that began with the former provider; it is not the keeper while the move is."""
    both = {one: Memory() for one in AWAY}
    with providing(AWAY[0], sqlite_url, None, clock=HandClock(), safe=both[AWAY[0]]) as old:
        filled(old)
        old.away()
        with providing(AWAY[1], sqlite_url, None, clock=HandClock(), safe=both[AWAY[1]]) as new:
            new.keeper.safes._opened[AWAY[0]] = both[AWAY[0]]
            true_put = both[AWAY[1]].put

            def beside(name: str, value: Secret, mark: str) -> str:
                assert not old.away().alone
                return true_put(name, value, mark)

            both[AWAY[1]].put = beside  # type: ignore[method-assign]
            assert moved(new).proven and not both[AWAY[0]].kept
            old.keeper.safes._opened[AWAY[1]] = both[AWAY[1]]
            assert readable(old)


class Beside(threading.Thread):
    """Stores and reads secrets of one customer until it is stopped, with a vault and a memory of its own."""

    def __init__(self, url: str, moto: str) -> None:
        super().__init__()
        self.url, self.moto = url, moto
        self.stopped = False
        self.stored = 0
        self.last = ("", "")
        self.wrong: list[str] = []

    def run(self) -> None:
        with providing("database", self.url, self.moto) as kept:
            asyncio.run(self._work(kept))

    async def _work(self, kept: Providing) -> None:
        await kept.db.run(customers.add, "beside", {}, 1.0)
        while not self.stopped and not self.wrong:
            field, text = f"field_{self.stored % 4}", f"value {self.stored}"
            try:
                await kept.db.run(self._put, kept, field, text)
                await asyncio.sleep(0.1)
                found = await kept.db.run(kept.vault.get, "beside", "virtuous", field)
            except Exception as error:
                self.wrong.append(repr(error))
                return
            if found is None or found.reveal() != text:
                self.wrong.append(f"{field} is not what was stored")
            self.stored, self.last = self.stored + 1, (field, text)
            if self.stored % 10 == 0:
                kept.forget()  # as another process that begins now

    def _put(self, tx: Connection, kept: Providing, field: str, text: str) -> None:
        places.lock(tx, "beside")
        kept.vault.get(tx, "beside", "virtuous", field)
        kept.vault.put(tx, "beside", "virtuous", field, Secret(text), time.time())


@pytest.mark.parametrize("provider", AWAY)
def test_who_stores_and_reads_beside_a_move_notices_nothing(
    provider: str, store_url: str, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out, home and out again; what was put last is found there."""
    monkeypatch.setattr(moving, "_PAUSE", 0.05)
    beside = Beside(store_url, moto)
    with providing("database", store_url, moto) as kept:
        filled(kept)
        beside.start()
        try:
            while beside.stored < 5 and not beside.wrong:
                time.sleep(0.01)
            for to in (provider, "database", provider):
                kept.keeper.provider = to
                made = moved(kept)
                # Somebody puts all the time: what was put in the last moment is left.
                assert not made.unread and all(one.startswith("beside/") for one in made.left), made
        finally:
            beside.stopped = True
            beside.join()
        assert not beside.wrong
        assert moved(kept).proven and where(kept)["database"] == 0 and readable(kept)
        found = asyncio.run(kept.db.run(kept.vault.get, "beside", "virtuous", beside.last[0]))
        assert found is not None and found.reveal() == beside.last[1]


def test_no_value_is_in_what_a_move_says(sqlite_url: str, sqlite_engine: Any) -> None:
    with providing(
        "parameter_store", sqlite_url, None, clock=HandClock(), safe=Failing(writes=10**6)(Memory())
    ) as kept:
        asyncio.run(kept.db.run(kept.vault.put, "acme", "virtuous", "api_key", Secret("canary"), 1.0))
        assert "canary" not in repr(moved(kept)) + repr(kept.away())
        assert asyncio.run(kept.db.run(lambda tx: tx.execute(select(func.count()).select_from(table)).scalar())) == 1


def test_a_move_ends_where_another_keeper_never_does(
    sqlite_url: str, sqlite_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "_MOST_ROUNDS", 3)
    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=Memory()) as kept:
        filled(kept)
        asyncio.run(kept.db.run(places.hold, "another", kept.keeper.clock.now(), kept.keeper.clock.now() + 1e6))
        made = moved(kept)
        assert not made.proven and len(made.left) == len(PEOPLE) and "another process" in str(made.trouble)
