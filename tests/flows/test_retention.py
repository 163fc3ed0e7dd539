"""What is kept for a while is forgotten in time, in small pieces, by class; consent and opt-outs never are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from msgspec.structs import replace
from sqlalchemy import Engine, Select, column, func, insert, select
from sqlalchemy import Table as SqlTable
from sqlalchemy import table as sql_table

from keepstep.database import engine_of, migrate
from keepstep.database.migration import _migrations
from keepstep.inbound import retention as chore
from keepstep.model.errors import Misconfigured
from keepstep.model.retention import DAY, Retention
from keepstep.schema.oversight import reconciliation, sighting
from keepstep.schema.tables import act, dead_letter, delivery, history, journal, mark, report
from keepstep.settings import load
from keepstep.state import retention
from keepstep.state.retention import MOST, Piece, Place
from keepstep_sandbox.http import Response
from tests.flows.crossing import CUSTOMER, Crossing

NOW = 20_000 * DAY
ME, OTHER, CRM = "acme", "other", "virtuous"
OLD, NEW = NOW - 1000 * DAY, NOW - DAY
BEFORE = NOW - 2 * DAY
REFUSED = b'{"error_key":"unauthorized","error_message":"Unauthorized"}'


def a_delivery(number: int, at: float, state: str = "parsed") -> dict[str, Any]:
    return {"id": f"d{number}", "platform": CRM, "received": at, "headers": {}, "body": b"{}", "state": state}


def a_letter(number: int, resolved: float | None) -> dict[str, Any]:
    state = "open" if resolved is None else "discarded"
    row = {"id": f"l{number}", "at": OLD, "side": "crm", "kind": "note", "reason": "no", "state": state}
    return row | {"resolved": resolved}


def a_sighting(number: int, at: float) -> dict[str, Any]:
    return {"platform": CRM, "record_id": str(number), "stamp": "1.000", "source": "hook", "at": at}


def logged(number: int, at: float) -> dict[str, Any]:
    return {"run": f"r{number}", "at": at, "category": "drift", "records": [], "resolution": "repaired"}


def a_line(number: int, at: float, kind: str = "outcome") -> dict[str, Any]:
    return {"at": at, "party_id": f"p{number}", "kind": kind, "data": {}}


def a_past(party: str, at: float, kind: str = "decided", record: str | None = None) -> dict[str, Any]:
    platform = None if record is None else CRM
    return {"at": at, "party_id": party, "platform": platform, "record_id": record, "kind": kind, "body": {"at": at}}


def fill(engine: Engine, table: SqlTable, rows: list[dict[str, Any]]) -> None:
    """The same rows for two customers."""
    keyed = {"delivery"}
    with engine.begin() as tx:
        for one in (ME, OTHER):
            marked = [row | {"id": f"{one}{row['id']}"} if table.name in keyed else row for row in rows]
            tx.execute(insert(table), [{"customer_id": one, **row} for row in marked])


def count(engine: Engine, table: SqlTable, customer_id: str = ME) -> int:
    with engine.begin() as tx:
        return int(tx.execute(select(func.count()).where(table.c.customer_id == customer_id)).scalar_one())


def forgotten(engine: Engine, table: SqlTable, piece: Piece, before: float = BEFORE) -> list[int]:
    """How many rows each transaction took."""
    took, place = [], Place()
    while True:
        had = count(engine, table)
        with engine.begin() as tx:
            following = piece(tx, ME, before, place)
        took.append(had - count(engine, table))
        if following is None:
            return took
        place = following


MANY = 2 * MOST + 50
CLASSES: dict[str, tuple[SqlTable, Piece, list[dict[str, Any]], list[dict[str, Any]]]] = {
    # table, how it is forgotten, what is old, what stays
    "deliveries": (
        delivery,
        retention.deliveries,
        [a_delivery(n, OLD) for n in range(MANY)],
        [a_delivery(9000, NEW), a_delivery(9001, OLD, "new"), a_delivery(9002, OLD, "aside")],
    ),
    "sightings": (
        sighting,
        retention.sightings_of(CRM),
        [a_sighting(n, OLD) for n in range(MANY)],
        [a_sighting(9000, NEW), a_sighting(9001, OLD) | {"platform": "another"}],
    ),
    "letters": (
        dead_letter,
        retention.letters,
        [a_letter(n, OLD) for n in range(MANY)],
        [a_letter(9000, NEW), a_letter(9001, None)],
    ),
    "reconciled": (reconciliation, retention.reconciled, [logged(n, OLD) for n in range(MANY)], [logged(9000, NEW)]),
    "journal": (
        journal,
        retention.lines,
        [a_line(n, OLD) for n in range(MANY)],
        [a_line(9000, NEW), *(a_line(9001, OLD, kind) for kind in ("merged", "moved", "conflict"))],
    ),
    "history": (
        history,
        retention.past,
        [a_past(f"p{n % 7}", OLD + n) for n in range(MANY)],
        [*(a_past(f"p{n}", BEFORE - 1) for n in range(7)), a_past("p1", NEW), a_past("q", OLD)],
    ),
}


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_old_goes_in_pieces_and_the_rest_stays(engine: Engine, name: str) -> None:
    table, piece, old, stays = CLASSES[name]
    fill(engine, table, [*old, *stays])
    took = forgotten(engine, table, piece)
    assert sum(took) == len(old) and max(took) <= MOST
    assert count(engine, table) == len(stays)
    assert count(engine, table, OTHER) == len(old) + len(stays), "nobody else's"
    assert forgotten(engine, table, piece) == [0]


def test_the_history_keeps_what_was_so_when_its_time_began(engine: Engine) -> None:
    """Every moment since can still be told: the last reading of each record, the last decision and what came of it."""
    rows = [
        a_past("p", OLD, "reading", "1"),
        a_past("p", OLD + 1, "reading", "2"),
        a_past("p", OLD + 2),
        a_past("p", OLD + 3, "settled"),
        a_past("p", OLD + 4, "reading", "1"),
        a_past("p", OLD + 5),
        a_past("p", OLD + 6, "settled"),
        a_past("p", NEW, "reading", "2"),
        a_past("p", NEW + 1),
    ]
    fill(engine, history, rows)
    forgotten(engine, history, retention.past)
    with engine.begin() as tx:
        left = tx.execute(select(history.c.at).where(history.c.customer_id == ME).order_by(history.c.at)).scalars()
        assert list(left) == [OLD + 1, OLD + 4, OLD + 5, OLD + 6, NEW, NEW + 1]


QUERIES: dict[str, Select[Any]] = {
    "deliveries": retention.old_deliveries(ME, BEFORE),
    "sightings": retention.old_sightings(ME, CRM, BEFORE),
    "letters": retention.old_letters(ME, BEFORE),
    "reconciled": retention.oldest_reconciled(ME),
    "journal": retention.old_lines(ME, BEFORE, Place(OLD, 1)),
    "history": retention.old_past(ME, BEFORE, Place(OLD, 1)),
}


@pytest.mark.parametrize("name", QUERIES)
def test_what_is_old_is_found_by_an_index(engine: Engine, name: str) -> None:
    """With what the database itself says of its plan; a small table would be read whole where that is allowed."""
    words = str(QUERIES[name].compile(engine, compile_kwargs={"literal_binds": True}))
    with engine.begin() as tx:
        if engine.dialect.name == "sqlite":
            plan = [str(row[3]) for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {words}")]
            assert plan and not [line for line in plan if line.startswith("SCAN")], plan
        else:
            tx.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plan = [str(row[0]) for row in tx.exec_driver_sql(f"EXPLAIN {words}")]
            assert any("Index Cond" in line for line in plan) and not any("Seq Scan" in line for line in plan), plan


# --- the chore -------------------------------------------------------------------------------------------------------


@contextmanager
def an_aged_one() -> Iterator[Crossing]:
    """A customer of whom everything is old."""
    with Crossing() as c:
        c.service.settings = replace(c.service.settings, retention=Retention(payloads=20 * DAY))
        c.person()
        c.connect()
        c.ask(c.service.db.run(_aged, c.now()))
        yield c


@pytest.fixture
def aged() -> Iterator[Crossing]:
    with an_aged_one() as c:
        yield c


def _aged(tx: Any, now: float) -> None:
    old = now - 1000 * DAY
    evidence = {"party_id": "p", "platform": CRM, "record_id": "1", "kind": "choice", "direction": "out"}
    reported = {"platform": CRM, "id": "1", "record_id": "1", "kind": "bounce", "at": old, "seen_at": old}
    for table, rows in (
        (delivery, [a_delivery(n, old) for n in range(MANY)]),
        (delivery, [a_delivery(9000, now - 19 * DAY)]),
        (sighting, [a_sighting(n, old) for n in range(MANY)]),
        (dead_letter, [a_letter(n, old) for n in range(MANY)]),
        (reconciliation, [logged(n, old) for n in range(MANY)]),
        (journal, [a_line(n, old) for n in range(MANY)]),
        (history, [a_past("zz", old + n) for n in range(MANY)]),
        (act, [evidence | {"address_hash": "h", "source": "poll", "seen_at": old}]),
        (report, [reported]),
    ):
        tx.execute(insert(table), [{"customer_id": CUSTOMER, **row} for row in rows])


def old_rows(c: Crossing) -> dict[str, int]:
    """How many rows of each class are older than a month."""
    before = c.now() - 30 * DAY
    ages = {
        "delivery": delivery.c.received,
        "sighting": sighting.c.at,
        "dead_letter": dead_letter.c.resolved,
        "reconciliation": reconciliation.c.at,
        "journal": journal.c.at,
        "history": history.c.at,
        "act": act.c.seen_at,
        "report": report.c.seen_at,
    }

    def counted(tx: Any) -> dict[str, int]:
        found = {name: tx.execute(select(func.count()).where(age < before)).scalar_one() for name, age in ages.items()}
        return {name: number for name, number in found.items() if number}

    return dict(c.ask(c.service.db.run(counted)))


def test_the_chore_forgets_every_class_in_a_day_and_consent_stays(aged: Crossing) -> None:
    aged.wait(days=1, minutes=10)
    assert old_rows(aged) == {"history": 1, "act": 1, "report": 1}
    with_mine = aged.ask(aged.service.db.run(lambda tx: tx.execute(select(delivery.c.id)).scalars().all()))
    assert "d9000" in with_mine, "not old enough"


def test_a_blocked_connection_keeps_nothing_that_is_to_be_forgotten(aged: Crossing) -> None:
    aged.wire = lambda _vendor, _request, _handle: Response(401, {}, REFUSED)
    aged.wait(days=1, hours=2)
    assert old_rows(aged) == {"history": 1, "act": 1, "report": 1}


def test_a_chore_that_dies_goes_on_where_it_was(aged: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chore, "PIECES", 2)
    aged.open()
    aged.service.settings = replace(aged.service.settings, retention=Retention(payloads=20 * DAY))
    aged.wait(days=1, hours=1)
    assert old_rows(aged) == {"history": 1, "act": 1, "report": 1}


def test_what_was_resolved_before_there_was_a_moment_for_it_is_as_old_as_it_is(database_url: str) -> None:
    """And the chore's old mark, under a platform's name, would be due for ever and done by nobody."""
    engine = engine_of(database_url)
    config = Config()
    config.set_main_option("script_location", str(_migrations()))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
    letter = {name: value for name, value in a_letter(1, OLD).items() if name != "resolved"}
    with engine.begin() as tx:
        rows = [letter, letter | {"id": "l2", "state": "open"}]
        columns: list[Any] = [column(name) for name in ("customer_id", *letter)]
        tx.execute(insert(sql_table("dead_letter", *columns)), [{"customer_id": ME, **row} for row in rows])
        tx.execute(insert(mark).values(customer_id=ME, platform=CRM, name=chore.NAME, due=NOW))
    migrate(database_url)
    with engine.begin() as tx:
        found = {row.id: row.resolved for row in tx.execute(select(dead_letter.c.id, dead_letter.c.resolved))}
        assert found == {"l1": OLD, "l2": None}
        assert tx.execute(select(mark.c.platform)).scalars().all() == [chore.PLATFORM]
    engine.dispose()


# --- the settings ----------------------------------------------------------------------------------------------------


def read(folder: Path, text: str) -> Any:
    file = folder / "keepstep.toml"
    file.write_text(f"[retention]\n{text}\n", encoding="utf-8")
    return load(file, {}).retention


def test_the_recipes_periods_are_the_defaults() -> None:
    assert Retention() == Retention(
        payloads=30 * DAY, dead_letters=90 * DAY, reconciliation_log=365 * DAY, journal=730 * DAY, alerts=90 * DAY
    )


def test_every_class_has_a_setting(tmp_path: Path) -> None:
    assert read(tmp_path, 'payloads = "7d"\njournal = "365d"') == Retention(payloads=7 * DAY, journal=365 * DAY)


@pytest.mark.parametrize("name", ["consent", "consent_ledger", "suppressions", "opt_outs"])
def test_consent_and_suppressions_have_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(Misconfigured, match=rf"keepstep.toml:2: retention.{name}: is kept for good"):
        read(tmp_path, f'{name} = "90d"')


@pytest.mark.parametrize("value", ['"1h"', '"0d"', "90", '"for ever"'])
def test_a_period_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(Misconfigured, match=r"retention\.journal: is (no duration|too short)"):
        read(tmp_path, f"journal = {value}")
