"""Rounds of a feed on each kind of database: every row once, wherever a page ends or a process dies."""

import asyncio
import gc
import uuid
from typing import Any

import pytest

from keepstep.model.errors import Misconfigured
from tests.connectors.sql_table import world
from tests.connectors.sql_table.world import Customers, addresses, asked, opened, round_of

PEOPLE = "id {words}, email {words}, changed {stamp}"


def person(n: int, changed: str | None, key: str | None = None) -> dict[str, Any]:
    return {"id": key or f"k{n:03d}", "email": f"p{n:03d}@example.org", "changed": changed}


def named(*numbers: int) -> list[str]:
    return [f"p{n:03d}" for n in numbers]


@pytest.mark.parametrize("killed", [False, True], ids=["one process", "a process a page"])
def test_rows_of_one_stamp_are_all_read_wherever_pages_end(customers: Customers, killed: bool) -> None:
    one, other = "2026-03-01 10:00:00.123456", "2026-03-01 10:00:00.123457"
    customers.table(PEOPLE, *(person(n, one) for n in range(7)), *(person(n, other) for n in range(7, 14)))
    for most in (2, 3, 7, 100):
        rows, last = round_of(customers.feed(), most=most, killed=killed)
        assert addresses(rows) == named(*range(14))
        assert last.source_time is not None and last.high is not None


def test_rows_without_a_stamp_and_without_a_key_come_last(customers: Customers) -> None:
    people = [person(1, "2026-01-01 00:00:00"), person(2, None), person(3, None), person(4, "2026-01-02 00:00:00")]
    customers.table(PEOPLE, *people)
    customers.rows({"id": None, "email": "p005@example.org", "changed": "2026-01-01 00:00:00"})
    rows, last = round_of(customers.feed(), most=2, killed=True)
    assert addresses(rows) == named(1, 4, 2, 3, 5)
    assert [row.problem for row in rows] == [None] * 4 + ["no_key"]
    again, _ = round_of(customers.feed(), last.high)
    assert addresses(again) == named(4, 2, 3), "unstamped rows are read each time, keyless ones where they changed"


@pytest.mark.parametrize("type_of_stamp", ["stamp", "moment"])
def test_only_what_changed_since_the_last_round_is_read_again(customers: Customers, type_of_stamp: str) -> None:
    customers.table(
        f"id INTEGER PRIMARY KEY, email {{words}}, changed {{{type_of_stamp}}}",
        *({**person(n, f"2026-01-01 10:00:{n:02d}"), "id": n} for n in range(10)),
    )
    rows, last = round_of(customers.feed())
    assert addresses(rows) == named(*range(10))
    again, same = round_of(customers.feed(), last.high)
    assert addresses(again) == named(8, 9), "the newest, and what lies within the overlap of a second"
    assert same.high == last.high
    customers.rows({**person(3, "2026-01-02 00:00:00"), "id": 33})
    later, _ = round_of(customers.feed(), last.high)
    assert addresses(later) == named(8, 9, 3)
    assert addresses(round_of(customers.feed(overlap=5.0), last.high)[0]) == named(4, 5, 6, 7, 8, 9, 3)


def test_a_stamp_in_the_future_hides_no_later_change(customers: Customers) -> None:
    customers.table(PEOPLE, person(1, "2026-01-01 00:00:00"), person(2, "2999-01-01 00:00:00"))
    _, last = round_of(customers.feed())
    assert last.source_time is not None
    customers.rows(person(3, world.stamp(last.source_time + 1)))
    assert addresses(round_of(customers.feed(), last.high)[0]) == named(3, 2)


def test_a_counter_is_read_on_from_a_little_before_its_highest_number(customers: Customers) -> None:
    columns = "id {words}, email {words}, changed BIGINT"
    customers.table(columns, *({**person(n, None), "changed": n * 500} for n in range(1, 9)))
    rows, last = round_of(customers.feed(), most=3, killed=True)
    assert addresses(rows) == named(*range(1, 9))
    assert addresses(round_of(customers.feed(), last.high)[0]) == named(6, 7, 8)


def test_a_day_is_read_again_while_it_lasts(customers: Customers) -> None:
    columns = f"id {{words}}, email {{words}}, changed {'TEXT' if customers.dialect == 'sqlite' else 'DATE'}"
    customers.table(columns, *(person(n, f"2026-01-0{n}") for n in range(1, 6)))
    rows, last = round_of(customers.feed(), most=2, killed=True)
    assert addresses(rows) == named(1, 2, 3, 4, 5)
    assert addresses(round_of(customers.feed(), last.high)[0]) == named(4, 5)


def test_new_rows_only_reads_every_key_in_every_round(customers: Customers) -> None:
    customers.table("id {words}, email {words}", *({"id": n, "email": f"{n}@example.org"} for n in "bdac"))
    feed = customers.feed(new_rows_only=True)
    rows, last = round_of(feed, most=2, killed=True)
    assert addresses(rows) == list("abcd")
    assert last.high is None
    assert addresses(round_of(feed, last.high)[0]) == list("abcd")


def test_keys_that_are_one_in_the_databases_order_are_both_read(customers: Customers) -> None:
    """MySQL compares without case by default; there a page may end between two such keys."""
    stamp = "2026-01-01 00:00:00"
    customers.table(PEOPLE, *(person(n, stamp, key) for n, key in enumerate(["a", "A", "\u00c4", "b", "B", "ß", "ss"])))
    for most in (1, 2, 3, 4):
        try:
            rows, _ = round_of(customers.feed(), most=most, killed=True)
        except Misconfigured as refused:
            assert most <= 3 and customers.dialect == "mysql" and "have one key" in str(refused)
        else:
            assert sorted(set(addresses(rows))) == named(*range(7))


def test_a_page_of_one_key_only_is_refused_rather_than_read_for_ever(customers: Customers) -> None:
    customers.table(PEOPLE, *(person(n, "2026-01-01 00:00:00", "same") for n in range(5)))
    with pytest.raises(Misconfigured, match="feed news: 3 rows or more have one key"):
        round_of(customers.feed(), most=2, killed=True)


def test_other_keys_than_words_are_paged_too(customers: Customers) -> None:
    kinds = {
        "uuid": [str(uuid.UUID(int=n * 7919 % 97)) for n in range(9)],
        "bytes": [bytes([n, 0, 255]) for n in range(9)],
    }
    for kind, keys in kinds.items():
        people = [{**person(n, "2026-01-01 00:00:00"), "id": key} for n, key in enumerate(keys)]
        customers.table(f"id {{{kind}}}, email {{words}}, changed {{stamp}}", *people)
        rows, _ = round_of(customers.feed(), most=2, killed=True)
        assert sorted(addresses(rows)) == named(*range(9)), kind
        assert len({row.row_id for row in rows}) == 9
        customers.run("DROP TABLE {T}")


def test_a_query_is_read_as_a_table_is(customers: Customers) -> None:
    customers.table(PEOPLE, *(person(n, f"2026-01-01 00:00:0{n}") for n in range(6)))
    query = (
        "WITH chosen AS (SELECT * FROM {T} WHERE email <> ':none'\n"
        "AND id <> '100%' AND changed > '2026-01-01 00:00:01')\n"
        "SELECT id, email AS Mail, changed FROM chosen -- the end"
    ).replace("{T}", customers.name)
    mail = "mail" if customers.dialect == "postgresql" else "Mail"
    feed = customers.feed(query=query, columns={"email": mail})
    assert asked(feed)[0] == []
    rows, last = round_of(feed, most=2, killed=True)
    assert addresses(rows) == named(2, 3, 4, 5)
    assert addresses(round_of(feed, last.high)[0]) == named(4, 5)


def test_a_round_begins_anew_under_other_settings(customers: Customers) -> None:
    customers.table(PEOPLE, *(person(n, f"2026-01-01 00:00:{n:02d}") for n in range(6)))
    _, last = round_of(customers.feed())
    other = customers.feed(lists=("Other",))
    assert len(round_of(other, last.high)[0]) == 6
    assert len(round_of(customers.feed(schedule="15m", permission_evidence="They asked."), last.high)[0]) == 2

    async def halfway() -> None:
        table = opened(customers.feed())
        page = await table.read(None, None, 4)
        await table.close()
        table = opened(other)
        assert len((await table.read(None, page.cursor, 4)).rows) == 4
        assert len((await table.read("nonsense", "[nonsense", 10)).rows) == 6
        await table.close()

    asyncio.run(halfway())


def test_a_table_may_stand_in_a_schema_and_have_strange_names(customers: Customers) -> None:
    schema = {"sqlite": "main", "mysql": "test", "postgresql": "public"}[customers.dialect]
    quote = "`" if customers.dialect == "mysql" else '"'
    columns = [f"{quote}{name}{quote}" for name in ("Kunden Nr", "E-Mail %", "select")]
    customers.run(
        f"CREATE TABLE {{T}} ({columns[0]} INTEGER PRIMARY KEY, {columns[1]} {{words}}, {columns[2]} {{stamp}})"
    )
    values = "(1, 'ann@example.org', '2026-01-01 00:00:00')"
    customers.run(f"INSERT INTO {{T}} VALUES {values}")
    feed = customers.feed(
        table=f"{schema}.{customers.name}", key="Kunden Nr", changed="select", columns={"email": "E-Mail %"}
    )
    assert asked(feed)[0] == []
    assert addresses(round_of(feed)[0]) == ["ann"]


def test_what_no_calendar_holds_costs_no_page(customers: Customers) -> None:
    strange = {"sqlite": "0000-00-00", "mysql": "0000-00-00 00:00:00", "postgresql": "infinity"}[customers.dialect]
    customers.table(PEOPLE, person(1, "2026-01-01 00:00:00"))
    zero = "SET SESSION sql_mode = ''; " if customers.dialect == "mysql" else ""
    with customers.engine.begin() as tx:
        if zero:
            tx.exec_driver_sql("SET SESSION sql_mode = ''")
        tx.exec_driver_sql(f"INSERT INTO {customers.name} VALUES ('k2', 'p002@example.org', '{strange}')")
    rows, last = round_of(customers.feed(), most=1, killed=True)
    assert sorted(addresses(rows)) == named(1, 2)
    assert round_of(customers.feed(), last.high)[0]


def test_the_stream_goes_on_from_page_to_page_and_is_let_go_early(customers: Customers) -> None:
    """Whatever is unread: a driver must not read it to its end first."""
    customers.table(PEOPLE, *(person(n, f"2026-01-01 00:{n // 60:02d}:{n % 60:02d}") for n in range(3000)))

    async def some() -> None:
        table = opened(customers.feed())
        first = await table.read(None, None, 100)
        second = await table.read(None, first.cursor, 100)
        assert addresses(second.rows) == named(*range(100, 200))
        assert await table.check() == []
        third = await table.read(None, second.cursor, 100)
        assert addresses(third.rows) == named(*range(200, 300))
        assert addresses((await table.read(None, first.cursor, 100)).rows) == named(*range(100, 200))
        await table.close()

    asyncio.run(some())
    gc.collect()
