"""Secrets go to the provider and are read from there; whatever it does, none is lost."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from keepstep.model.errors import Misconfigured, Transient
from keepstep.schema.tables import secret as table
from keepstep.state import places
from keepstep.state.vault import Secret
from tests.safes.providing import PROVIDERS, Providing, providing
from tests.safes.spoiling import Failing, Late, Memory
from tests.wire.hands import HandClock

CANARY = "canary-7f3a"
ROW = ("acme", "virtuous", "api_key")
AWAY = PROVIDERS[1:]


def put(kept: Providing, text: str = CANARY, row: tuple[str, str, str] = ROW) -> None:
    asyncio.run(kept.db.run(kept.vault.put, *row, Secret(text), 1.0))


def got(kept: Providing, row: tuple[str, str, str] = ROW) -> str | None:
    found = asyncio.run(kept.db.run(kept.vault.get, *row))
    return found.reveal() if found else None


def stored(kept: Providing) -> list[Any]:
    return asyncio.run(kept.db.run(lambda tx: list(tx.execute(select(table)).all())))


@pytest.fixture
def memory(sqlite_url: str, sqlite_engine: Any) -> Iterator[tuple[Providing, Memory]]:
    safe = Memory()
    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=safe) as kept:
        yield kept, safe


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_secret_is_read_wherever_it_lies(provider: str, store_url: str, moto: str) -> None:
    with providing(provider, store_url, moto) as kept:
        put(kept)
        assert got(kept) == CANARY
        kept.away()
        assert (stored(kept)[0].ciphertext is None) == (provider != "database")
        for _ in range(2):
            assert got(kept) == CANARY
            kept.forget()
        put(kept, "newer")
        assert got(kept) == "newer"
        kept.away()
        kept.forget()
        assert got(kept) == "newer"


def test_names_are_those_of_the_fact_sheet() -> None:
    """Virtuous facts 16.9."""
    assert places.name_of("production", ROW) == "virtuous/production/acme/api_token"
    assert places.name_of("test", ("acme", "virtuous", "webhook_secret")) == "virtuous/test/acme/webhook_secret"


@pytest.mark.parametrize(
    "row", [ROW, ("_partner", "x", "y"), ("ä/b", "sql_table", "feed one.password"), ("a.", "b", "c")]
)
def test_a_name_says_whose_it_is(row: tuple[str, str, str]) -> None:
    name = places.name_of("production", row)
    assert places.whose(name) == row and not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789._-/")


def test_what_was_read_here_needs_no_provider_once_it_has_left(memory: tuple[Providing, Memory]) -> None:
    kept, safe = memory
    put(kept)
    kept.away()
    safe.calls.clear()
    assert got(kept) == CANARY and not safe.calls


@pytest.mark.parametrize("old", [False, True])
def test_a_late_read_back_leaves_the_sealed_copy_and_does_not_send_again(
    sqlite_url: str, sqlite_engine: Any, old: bool
) -> None:
    safe = Memory()
    late = Late(tries=4, old=old)(safe)
    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=late) as kept:
        put(kept)
        assert kept.away().later == [ROW]
        assert stored(kept)[0].ciphertext is not None and got(kept) == CANARY
        assert kept.away().placed == 1
        assert stored(kept)[0].ciphertext is None and [one for one, _ in safe.calls].count("put") == 1
        kept.forget()
        assert got(kept) == CANARY


def test_what_never_comes_back_is_sent_again(sqlite_url: str, sqlite_engine: Any) -> None:
    safe = Memory()
    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=Late(tries=3)(safe)) as kept:
        put(kept)
        assert kept.away().later == [ROW]
        safe.kept.clear()
        rounds = 1
        while kept.away().later:
            rounds += 1
            assert rounds < 10 and got(kept) == CANARY
        assert [one for one, _ in safe.calls].count("put") == 2


def test_a_failing_write_leaves_the_sealed_copy(sqlite_url: str, sqlite_engine: Any) -> None:
    safe = Memory()
    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=Failing(writes=3)(safe)) as kept:
        put(kept)
        for _ in range(3):
            tally = kept.away()
            assert isinstance(tally.trouble, Transient) and not tally.placed
            assert stored(kept)[0].ciphertext is not None and got(kept) == CANARY
        assert kept.away().placed == 1


def test_a_provider_in_trouble_is_transient_and_never_an_empty_field(sqlite_url: str, sqlite_engine: Any) -> None:
    failing: Any = Failing(reads=0)(Memory())
    with providing("parameter_store", sqlite_url, None, clock=HandClock(), safe=failing) as kept:
        put(kept)
        kept.away()
        kept.forget()
        failing.reads = 1
        with pytest.raises(Transient):
            got(kept)
        assert got(kept) == CANARY


def test_what_a_provider_lost_is_transient(memory: tuple[Providing, Memory]) -> None:
    kept, safe = memory
    put(kept)
    kept.away()
    kept.forget()
    safe.kept.clear()
    with pytest.raises(Transient, match="not there"):
        got(kept)


def test_a_put_while_it_is_sent_wins(memory: tuple[Providing, Memory]) -> None:
    kept, safe = memory
    put(kept)
    true_put = safe.put

    def meanwhile(name: str, value: Secret, mark: str) -> str:
        safe.put = true_put  # type: ignore[method-assign]
        put(kept, "newer")
        return true_put(name, value, mark)

    safe.put = meanwhile  # type: ignore[method-assign]
    assert kept.away().later == [ROW]
    kept.forget()
    assert got(kept) == "newer" and stored(kept)[0].ciphertext is not None
    assert kept.away().placed == 1
    kept.forget()
    assert got(kept) == "newer"


def test_a_dropped_secret_is_deleted_at_the_provider_afterwards(memory: tuple[Providing, Memory]) -> None:
    kept, safe = memory
    put(kept)
    kept.away()
    asyncio.run(kept.db.run(kept.vault.drop, *ROW))
    assert got(kept) is None and safe.kept
    assert kept.away().deleted == 1
    assert not safe.kept and not stored(kept)


def test_a_secret_dropped_while_it_is_sent_is_deleted_too(memory: tuple[Providing, Memory]) -> None:
    kept, safe = memory
    put(kept)
    true_put = safe.put

    def meanwhile(name: str, value: Secret, mark: str) -> str:
        version = true_put(name, value, mark)
        asyncio.run(kept.db.run(kept.vault.drop, *ROW))
        return version

    safe.put = meanwhile  # type: ignore[method-assign]
    kept.away()
    kept.away()
    assert not safe.kept and not stored(kept) and got(kept) is None


def test_what_is_put_again_after_a_drop_is_not_deleted(memory: tuple[Providing, Memory]) -> None:
    kept, _ = memory
    put(kept)
    kept.away()
    asyncio.run(kept.db.run(kept.vault.drop, *ROW))
    put(kept, "again")
    kept.away()
    kept.away()
    kept.forget()
    assert got(kept) == "again"


def test_a_removed_customer_leaves_nothing_at_the_provider_but_what_stays(memory: tuple[Providing, Memory]) -> None:
    kept, safe = memory
    for row in (ROW, ("acme", "keepstep", "ledger_key"), ("other", "virtuous", "api_key")):
        put(kept, row=row)
    kept.away()

    def removed(tx: Connection) -> None:
        places.forget(tx, "acme", [("keepstep", "ledger_key")])
        tx.execute(table.delete().where(table.c.customer_id == "acme", table.c.field != "ledger_key"))

    asyncio.run(kept.db.run(removed))
    assert kept.away().deleted == 1
    assert sorted(safe.kept) == ["keepstep/production/acme/ledger_key", "virtuous/production/other/api_token"]


def test_one_keeper_at_a_time(memory: tuple[Providing, Memory]) -> None:
    kept, _ = memory
    put(kept)
    now = kept.keeper.clock.now()
    assert asyncio.run(kept.db.run(places.hold, "another", now, now + 60.0))
    assert not kept.away().alone
    asyncio.run(kept.db.run(places.let_go, "another"))
    assert kept.away().placed == 1


def test_a_function_that_walks_over_all_customers_is_answered_in_few_runs(memory: tuple[Providing, Memory]) -> None:
    kept, _ = memory
    everybody = [f"c{number}" for number in range(300)]
    asyncio.run(
        kept.db.run(
            lambda tx: [kept.vault.put(tx, one, "virtuous", "door_token", Secret(one), 1.0) for one in everybody]
        )
    )
    kept.away()
    kept.forget()
    runs = 0

    def walk(tx: Connection) -> list[str]:
        nonlocal runs
        runs += 1
        return [found.reveal() for one in everybody if (found := kept.vault.get(tx, one, "virtuous", "door_token"))]

    assert asyncio.run(kept.db.run(walk)) == everybody and runs == 3


@pytest.mark.parametrize(
    "moved", [{"customer_id": "other"}, {"platform": "constant_contact"}, {"field": "webhook_secret"}]
)
@pytest.mark.parametrize("sent", [False, True])
def test_a_secret_swapped_to_another_row_is_refused(store_url: str, moved: dict[str, str], sent: bool) -> None:
    """Customer, platform and field, sealed here and kept elsewhere, on both databases."""
    with providing("parameter_store", store_url, None, safe=Memory()) as kept:
        put(kept)
        if sent:
            kept.away()
        asyncio.run(kept.db.run(lambda tx: tx.execute(update(table).values(**moved))))
        place = {"customer_id": "acme", "platform": "virtuous", "field": "api_key"} | moved
        with pytest.raises(Misconfigured):
            got(kept, (place["customer_id"], place["platform"], place["field"]))


def test_ciphertexts_of_two_customers_swapped_do_not_open(store_url: str) -> None:
    other = ("other", "virtuous", "api_key")
    with providing("database", store_url, None) as kept:
        put(kept)
        put(kept, "of another", other)
        rows = {one.customer_id: one for one in stored(kept)}

        def swapped(tx: Connection) -> None:
            for mine, theirs in (("acme", "other"), ("other", "acme")):
                found = rows[theirs]
                values = {"nonce": found.nonce, "ciphertext": found.ciphertext, "key_id": found.key_id}
                tx.execute(update(table).where(table.c.customer_id == mine).values(**values))

        asyncio.run(kept.db.run(swapped))
        for row in (ROW, other):
            with pytest.raises(Misconfigured, match="does not open"):
                got(kept, row)
