"""A hundred thousand rows, in memory that stays flat; and real people's addresses and spellings."""

import asyncio
import csv
import os
import sys
from pathlib import Path

import pytest

from keepstep.model.canonical import email
from keepstep.model.feed import When
from tests.connectors.sql_table.world import Customers, opened, round_of

ROWS, PAGE = 100_000, 1_000
# Python objects of a page and what a driver has at hand; the rows alone would be five times as many.
MOST_BLOCKS = 100_000
VARIABLE = "KEEPSTEP_SHARED_DATA"


def test_many_rows_are_streamed_each_once_in_little_memory(customers: Customers) -> None:
    customers.table("id INTEGER PRIMARY KEY, email VARCHAR(90), first VARCHAR(90), changed {stamp}")
    made = f"""WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
        SELECT a.i * 1000 + b.i AS i FROM n a, n b WHERE a.i < {ROWS // 1000}"""
    join = "CONCAT({}, {})" if customers.dialect == "mysql" else "{} || {}"
    mail = join.format("i", "'@example.org'")
    # Five rows in six share their stamp with others: pages end among them.
    said = {
        "sqlite": "'2026-01-01 00:00:0' || (i % 6)",
        "mysql": "TIMESTAMP '2026-01-01 00:00:00' + INTERVAL i % 6 SECOND",
        "postgresql": "TIMESTAMP '2026-01-01 00:00:00' + i % 6 * INTERVAL '1 second'",
    }[customers.dialect]
    customers.run(f"INSERT INTO {{T}} SELECT i, {mail}, 'Ann', {said} FROM ({made}) AS made")
    customers.run("CREATE INDEX by_change ON {T} (changed, id)")

    async def read() -> tuple[int, int, int]:
        table, cursor, seen, rows = opened(customers.feed()), None, bytearray(ROWS), 0
        before, peak = sys.getallocatedblocks(), 0
        while True:
            page = await table.read(None, cursor, PAGE)
            rows += len(page.rows)
            for row in page.rows:
                seen[int(row.fields["email"].partition("@")[0])] += 1
            email.cache_clear()  # the only thing that grows, up to a bound of its own
            peak = max(peak, sys.getallocatedblocks() - before)
            cursor = page.cursor
            if cursor is None:
                return rows, seen.count(1), peak

    rows, once, peak = asyncio.run(read())
    assert rows == once == ROWS
    assert peak < MOST_BLOCKS


def chinook() -> Path:
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "data"
    return folder / "chinook-customers.csv"


@pytest.mark.skipif(not chinook().is_file(), reason="not tested: the data of real customers is not at hand")
def test_real_customers_with_their_spellings_are_read_as_they_are(customers: Customers) -> None:
    with chinook().open(encoding="utf-8", newline="") as file:
        people = [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]
    columns = ", ".join(f"{name} {{words}}" for name in people[0] if name != "CustomerId")
    keyed = ({**row, "CustomerId": int(row["CustomerId"] or 0)} for row in people)
    customers.table(f"CustomerId INTEGER PRIMARY KEY, {columns}", *keyed)

    def column(name: str) -> str:
        return name.lower() if customers.dialect == "postgresql" else name

    mapping = {
        "email": "Email",
        "first_name": "FirstName",
        "last_name": "LastName",
        "phone": "Phone",
        "street": "Address",
        "city": "City",
        "state": "State",
        "postal": "PostalCode",
        "country": "Country",
        "custom:Company": "Company",
    }
    feed = customers.feed(
        new_rows_only=True,
        key=column("CustomerId"),
        columns={field: column(name) for field, name in mapping.items()},
        when=(When(column=column("Country"), equals=("usa", "Canada"), lists=("North",)),),
    )
    rows, _ = round_of(feed, most=10, killed=True)
    assert len(rows) == len(people)
    for row, person in zip(rows, people, strict=True):
        assert row.problem is None
        assert row.fields == {
            field: " ".join(said.split()) for field, name in mapping.items() if (said := person[name])
        }
        assert row.lists == (("News", "North") if person["Country"] in ("USA", "Canada") else ("News",))
