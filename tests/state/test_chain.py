"""The consent ledger's chain shows what was changed, taken out or put in."""

from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, delete, insert, select, update

from keepstep.database import engine_of, migrate
from keepstep.schema.tables import act
from keepstep.state import chain, consent
from keepstep.state.chain import Break


def row(n: int, **more: Any) -> dict[str, Any]:
    plain = {"party_id": "p", "platform": "cc", "record_id": f"r{n}", "kind": "choice", "direction": "out"}
    return {**plain, "before": n, "source": "Contact", "seen_at": 5.5 + n, "evidence": {"id": str(n)}, **more}


def ledger(tx: Connection, customer: str = "acme", rows: int = 5) -> list[int]:
    consent.append(tx, customer, [row(n) for n in range(2)])
    consent.append(tx, customer, [row(n, address_hash="h") for n in range(2, rows)])
    mine = select(act.c.id).where(act.c.customer_id == customer).order_by(act.c.id)
    return list(tx.execute(mine).scalars())


def breaks(tx: Connection, **more: Any) -> list[Break]:
    return list(chain.check(tx, "acme", **more).breaks)


def test_a_ledger_is_followed_in_portions_across_transactions(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "PAGE", 2)
    with engine.begin() as tx:
        ids = ledger(tx)
        tx.execute(delete(act).where(act.c.id == ids[2]))
    walk, portions = chain.Walk(), 0
    while not walk.whole:
        with engine.begin() as tx:
            walk = chain.follow(tx, "acme", walk, "lost")
        portions += 1
    assert (portions, walk.rows) == (3, 4)
    assert [one.what for one in chain.found(walk, "lost").breaks] == ["missing", "missing"]


def test_a_ledger_that_nobody_touched_is_whole(engine: Engine) -> None:
    with engine.begin() as tx:
        ledger(tx)
        ledger(tx, "other")
        found = chain.check(tx, "acme")
        assert (found.rows, found.head, found.breaks) == (5, chain.head(tx, "acme"), ())
        assert chain.check(tx, "nobody").head == ""
        assert breaks(tx, ended=found.head) == []


@pytest.mark.parametrize(
    "changed",
    [{"direction": "in"}, {"record_id": "r9"}, {"seen_at": 1.0}, {"evidence": None}, {"address_hash": "x"}],
)
def test_a_changed_row_is_named(engine: Engine, changed: dict[str, Any]) -> None:
    with engine.begin() as tx:
        ids = ledger(tx)
        tx.execute(update(act).where(act.c.id == ids[2]).values(changed))
        assert breaks(tx) == [Break(ids[2], "changed")]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_missing_row_is_noticed_at_the_one_after_it(engine: Engine, n: int) -> None:
    with engine.begin() as tx:
        ids = ledger(tx)
        tx.execute(delete(act).where(act.c.id == ids[n]))
        assert breaks(tx) == [Break(ids[n + 1], "missing")]


def test_a_missing_end_is_noticed_by_the_last_certificate(engine: Engine) -> None:
    with engine.begin() as tx:
        ids = ledger(tx)
        ended = chain.head(tx, "acme")
        tx.execute(delete(act).where(act.c.id == ids[-1]))
        assert breaks(tx) == []
        assert breaks(tx, ended=ended) == [Break(None, "missing")]


def test_an_inserted_row_is_named_even_with_a_right_seal(engine: Engine) -> None:
    with engine.begin() as tx:
        ids = ledger(tx)
        tx.execute(update(act).where(act.c.id > ids[2]).values(id=act.c.id + 100))
        before = tx.execute(select(act.c.seal).where(act.c.id == ids[2])).scalar_one()
        plain = {**consent._OPTIONAL, **row(7, direction="in"), "customer_id": "acme"}
        tx.execute(insert(act), {**chain.linked([plain], before)[0], "id": ids[2] + 1})
        assert breaks(tx) == [Break(ids[2] + 1, "inserted")]
        tx.execute(update(act).where(act.c.id == ids[2] + 1).values(seal="made up"))
        assert Break(ids[2] + 1, "changed") in breaks(tx)


def test_rows_of_one_customer_say_nothing_of_another(engine: Engine) -> None:
    with engine.begin() as tx:
        ledger(tx)
        theirs = ledger(tx, "other")
        ledger(tx)
        tx.execute(delete(act).where(act.c.id == theirs[1]))
        assert breaks(tx) == []
        assert chain.check(tx, "other").breaks


def test_what_an_erased_customer_left_stands_before_the_chain(engine: Engine) -> None:
    with engine.begin() as tx:
        ids = ledger(tx)
        tx.execute(delete(act).where(act.c.id == ids[0]))
        tx.execute(update(act).where(act.c.customer_id == "acme").values(party_id="", record_id="", evidence=None))
        consent.append(tx, "acme", [row(8), row(9)])
        assert chain.check(tx, "acme").rows == 2
        assert breaks(tx) == []


def test_the_check_reads_long_ledgers_in_pages(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "PAGE", 2)
    with engine.begin() as tx:
        ledger(tx)
        assert chain.check(tx, "acme").rows == 5


def test_old_rows_are_sealed_by_the_migration(database_url: str) -> None:
    """As new ones are: the next row goes on from the last old one."""
    from keepstep.database import migration

    config = Config()
    config.set_main_option(
        "script_location", str(migration.__file__).replace("database/migration.py", "schema/migrations")
    )
    engine = engine_of(database_url)
    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0002")
        old = sa.table("act", *(sa.column(one.name, one.type) for one in act.c if one.name not in ("previous", "seal")))
        for n, customer in enumerate(("acme", "other", "acme")):
            plain = {**consent._OPTIONAL, **row(n, before=n + 0.25), "customer_id": customer}
            tx.execute(insert(old), plain)
    migrate(database_url)
    with engine.begin() as tx:
        consent.append(tx, "acme", [row(8)])
        assert chain.check(tx, "acme") == chain.Chain(3, chain.head(tx, "acme"), ())
        assert chain.check(tx, "other").rows == 1
    engine.dispose()
