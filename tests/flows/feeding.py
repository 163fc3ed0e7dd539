"""Customers whose people come from a table of their own: a SQLite file of any size, the product, one list."""

import csv
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepstep.model.feed import Feed
from keepstep.state import feeds
from keepstep_sandbox import people as crowd
from tests.flows.crossing import CUSTOMER
from tests.flows.test_imports import EVIDENCE, Fed

COLUMNS = ("email", "first_name", "last_name", "phone", "street", "city", "state", "postal", "country")
FEED, LIST = "members", "Members"
AREAS = (201, 202, 203, 205, 206, 207, 208, 209, 210, 212)  # all of the United States: an import takes their numbers
CHINOOK = Path(__file__).resolve().parents[3] / "shared" / "data" / "chinook-customers.csv"


def generated(count: int) -> Iterable[tuple[Any, ...]]:
    """So many rows, one unlike the other, in several scripts."""
    for number, person in enumerate(crowd.generated(7, min(count, 5000))):
        yield from _rows(person, number, count)


def _rows(person: crowd.Person, number: int, count: int) -> Iterable[tuple[Any, ...]]:
    """A person of the generator, as often as it takes, each time with another address and number."""
    place = person.addresses[0] if person.addresses else {}
    parts = (place.get("street"), place.get("city"), place.get("state"), place.get("postal_code"), place.get("country"))
    for each in range(number, count, 5000):
        own = f"{AREAS[each // 10_000 % len(AREAS)]}-555-{each % 10_000:04d}"
        email, phone = f"member{each}@example.org", own if person.phones else None
        yield (each + 1, email, person.first_name, person.last_name, phone, *parts, "2025-06-01 00:00:00")


def made(path: Path, rows: Iterable[Sequence[Any]]) -> str:
    """A table of these rows; its URL."""
    with closing(sqlite3.connect(path)) as file, file:
        columns = ", ".join(f"{name} TEXT" for name in COLUMNS)
        file.execute(f"CREATE TABLE {FEED} (id INTEGER PRIMARY KEY, {columns}, changed_at TEXT)")
        file.executemany(f"INSERT INTO {FEED} VALUES ({', '.join('?' * (len(COLUMNS) + 2))})", rows)
    return f"sqlite:///{path}"


def a_feed(database: str, **more: Any) -> Feed:
    said: Mapping[str, Any] = {
        "columns": {name: name for name in COLUMNS},
        "lists": (LIST,),
        "changed": "changed_at",
        "schedule": "1d",
        "permission_evidence": EVIDENCE,
        **more,
    }
    return Feed(name=FEED, database=database, table=FEED, key="id", **said)


@dataclass(frozen=True, slots=True)
class Came:
    """What a feed came to."""

    people: list[dict[str, Any]]
    rows: Mapping[str, Mapping[str, int]]
    imports: int
    calls: int

    def on(self, list_id: str) -> list[dict[str, Any]]:
        return [one for one in self.people if list_id in one["list_memberships"]]


def fed(c: Fed) -> Came:
    """What there is now."""
    counts = c.ask(c.db.run(feeds.counts, CUSTOMER))[FEED]
    calls = [one for one in c.calls if one.request.path.startswith("/v3/")]
    return Came(c.cc.contacts(CUSTOMER), counts, len(c.imports()), len(calls))


def chinook() -> list[dict[str, str]]:
    """The customers of the sample database."""
    with CHINOOK.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
