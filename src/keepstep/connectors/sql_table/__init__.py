"""A customer's own SQL tables: MySQL, MariaDB, PostgreSQL, SQLite. Only read, and only rows for lists."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from keepstep.connectors.sql_table.explain import PLATFORM, explain
from keepstep.connectors.sql_table.source import Source
from keepstep.connectors.sql_table.survey import problems, warnings
from keepstep.database.aside import Aside
from keepstep.database.foreign import Foreign
from keepstep.model.errors import Blocked, Misconfigured, Transient
from keepstep.model.feed import Feed
from keepstep.ports import Connector, RowPage

T = TypeVar("T")


class SqlTable:
    """The rows of one feed (`keepstep.ports.Table`), read in a thread of their own."""

    def __init__(self, feed: Feed, password: str | None) -> None:
        self._feed = feed
        self._foreign = Foreign(feed.database, password, feed.ca_file)
        self._source = Source(feed, self._foreign)
        self._aside = Aside(self._source.rest)

    async def check(self) -> Sequence[str]:
        return await self._asked(lambda: problems(self._feed, self._foreign, self._source), rest=True)

    async def warnings(self) -> Sequence[str]:
        return await self._asked(lambda: warnings(self._feed, self._foreign, self._source), rest=True)

    async def read(self, since: str | None, cursor: str | None, most: int) -> RowPage:
        return await self._asked(lambda: self._source.page(since, cursor, most))

    async def close(self) -> None:
        await self._aside.close()

    async def _asked(self, ask: Callable[[], T], *, rest: bool = False) -> T:
        """rest: nothing is held open afterwards, nor where it fails."""

        def asked() -> T:
            try:
                answer = ask()
            except BaseException:
                self._source.rest()
                raise
            if rest:
                self._source.rest()
            return answer

        with _named(self._feed):
            return await self._aside.run(asked)


@contextmanager
def _named(feed: Feed) -> Iterator[None]:
    """Say which feed it is about."""
    try:
        yield
    except Misconfigured as problem:
        raise Misconfigured(tuple(f"feed {feed.name}: {each}" for each in problem.problems)) from None
    except Blocked as problem:
        raise Blocked(problem.reason, f"feed {feed.name}: {problem}") from None
    except Transient as problem:
        raise Transient(f"feed {feed.name}: {problem}") from None


CONNECTOR = Connector(
    platform=PLATFORM,
    explain=explain,
    open_table=SqlTable,
    takes_access_away="take the database user's rights away, or change its password",
)
