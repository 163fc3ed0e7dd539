"""A customer with feeds over made-up tables: turns that read them, and what is marked then."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from sqlalchemy import Connection, delete, select, update

from keepstep import feeds, queue
from keepstep.database import Inline
from keepstep.desk import LEASE, Desk
from keepstep.model.customer import Route
from keepstep.model.feed import Feed, Row, row_id
from keepstep.ports import RowPage
from keepstep.schema.feeds import feed_row
from keepstep.schema.tables import entry
from keepstep.state import alerts, customers, journal, marks
from keepstep.state import feeds as kept
from keepstep.submit.turn import _done, _due

ME = "acme"
HOUR, DAY = 3600.0, 86_400.0


class Still:
    """Time that a test moves, and chance that is none."""

    def __init__(self) -> None:
        self.at = 1_750_050_400.0  # a Sunday, 22:06 in Phoenix
        self.n = 0

    def now(self) -> float:
        return self.at

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2

    def id(self) -> str:
        self.n += 1
        return f"id{self.n}"


def row(key: str, version: str = "v1", address: str | None = "", **more: Any) -> Row:
    address = f"{key}@example.org" if address == "" else address
    return Row(row_id=row_id(key), version=version, address=address, fields={"email": address}, lists=("News",), **more)


@dataclass
class Sheet:
    """A made-up table: (moment of change, row) pairs. `high` is the moment at which a round began, less the overlap;
    `meanwhile` runs before each page is read."""

    clock: Still
    rows: list[tuple[float, Row]] = field(default_factory=list)
    overlap: float = 600.0
    problems: tuple[str, ...] = ()
    trouble: Exception | None = None
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    checks: int = 0
    meanwhile: Callable[[int], None] = lambda _page: None
    pages: int = 2

    def put(self, *rows: Row) -> None:
        """These rows changed just now."""
        ids = {each.row_id for each in rows}
        self.rows = [(at, each) for at, each in self.rows if each.row_id not in ids]
        self.rows += [(self.clock.at, each) for each in rows]

    async def check(self) -> Sequence[str]:
        self.checks += 1
        if self.trouble:
            raise self.trouble
        return self.problems

    async def warnings(self) -> Sequence[str]:
        return ()

    async def read(self, since: str | None, cursor: str | None, most: int) -> RowPage:
        self.asked.append((since, cursor))
        self.meanwhile(len(self.asked))
        if self.trouble:
            raise self.trouble
        began, *after = cursor.split("/") if cursor else (str(self.clock.at),)
        found = sorted((at, each.row_id, each) for at, each in self.rows if since is None or at >= float(since))
        found = [one for one in found if not after or one[:2] > (float(after[0]), after[1])]
        page = tuple(each for _, _, each in found[: self.pages])
        if len(found) > self.pages:
            at, key, _ = found[self.pages - 1]
            return RowPage(page, f"{began}/{at}/{key}", float(began))
        return RowPage(page, None, float(began), str(float(began) - self.overlap))

    async def close(self) -> None:
        """Nothing is open."""


class Reading:
    """One customer, its feeds, a sheet for each. Time moves only where a test says so."""

    def __init__(self, *given: Feed, db: Any = None) -> None:
        self.clock = Still()
        self.feeds = given or (Feed(name="members"),)
        self.sheets = {each.name: Sheet(self.clock) for each in self.feeds}
        self.db = db or Inline()
        self.turns, self.news = 0, list[str]()
        self.do(customers.add, ME, {}, self.clock.at)

    @property
    def sheet(self) -> Sheet:
        return next(iter(self.sheets.values()))

    @property
    def desk(self) -> Desk:
        return Desk(
            route=Route(customer_id=ME, feeds={each.name: each for each in self.feeds}),
            audience=cast(Any, None),
            crm=cast(Any, None),
            db=self.db,
            clock=cast(Any, self.clock),
            chance=cast(Any, self.clock),
            tables=cast(Mapping[str, Any], self.sheets),
        )

    def ask(self, work: Any) -> Any:
        return asyncio.run(work)

    def do(self, work: Any, *args: Any) -> Any:
        return self.ask(self.db.run(work, *args))

    def turn(self) -> bool:
        """One turn of the slot that does nothing but read; False where none is due."""
        return bool(self.ask(self._turn()))

    async def _turn(self) -> bool:
        slot = await self.db.run(queue.claim, f"w{self.turns}", self.clock.at, LEASE, None)
        if slot is None:
            return False
        self.turns += 1
        desk = self.desk
        chore = await self.db.run(_due, desk, slot, feeds.chores(desk))
        if chore is not None:
            await _done(desk, slot, chore)
        self.news += await self.db.run(_taken)
        await self.db.run(queue.release, slot, self.clock.at)
        return chore is not None

    def read(self) -> int:
        """Turns until nothing is due; how many did something."""
        done = 0
        while self.turn():
            done += 1
            assert done < 100, "it reads without end"
        return done

    def wait(self, seconds: float) -> None:
        """So much time passes, with what falls due on the way."""
        until = self.clock.at + seconds
        self.read()
        while (ahead := self.do(queue.next_claim)) is not None and ahead <= until:
            self.clock.at = max(self.clock.at, ahead)
            self.read()
        self.clock.at = until

    def marked(self, *keys: str, feed: str = "members") -> list[int]:
        """How often each of these rows was marked to be decided."""
        return [self.news.count(f"row:{feed}:{row_id(key)}") for key in keys]

    def mark(self, feed: str = "members") -> marks.Mark:
        found: marks.Mark = self.do(kept.mark, ME, feed)
        return found

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return [each["data"] for each in reversed(self.do(journal.latest, ME, (kind,)))]

    def told(self) -> dict[tuple[str, str], tuple[dict[str, Any], bool]]:
        """What the owner is told, by kind and subject: the facts, and whether it lasts."""
        found: dict[tuple[str, str], tuple[dict[str, Any], bool]] = {}
        for one in self.do(alerts.listed, ME, True):
            facts = {name: value for name, value in one.data.items() if name != "told"}
            found[one.kind.value, one.subject] = (facts, one.closed is None)
        return found

    def now_set(self, **more: Any) -> None:
        """The settings of the first feed are others from now on."""
        self.feeds = (replace(self.feeds[0], **more), *self.feeds[1:])


def _taken(tx: Connection) -> list[str]:
    """Everybody who is marked, as if they were decided now."""
    found = [each.party_id for each in tx.execute(select(entry))]
    tx.execute(delete(entry))
    tx.execute(update(feed_row).where(feed_row.c.party_id.in_(found)).values(state="done"))
    return found
