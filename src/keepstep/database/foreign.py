"""Databases of others, read and never written, one answer at a time."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable, Inspector, inspect, text

from keepstep.database.guests import guest_engine
from keepstep.database.refusals import refusal
from keepstep.model.instant import Instant

# A stream holds a transaction of the customer's database open: after this long it is to be opened again where it was.
STREAM_SECONDS = 120.0
PORTION = 500
_CLOCKS: Mapping[str, str] = {
    "mysql": "SELECT UNIX_TIMESTAMP(NOW(6))",
    "postgresql": "SELECT CAST(extract(epoch FROM clock_timestamp()) AS float8)",
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
}
_READ_ONLY: Mapping[str, str] = {
    "mysql": "SHOW SESSION VARIABLES WHERE Variable_name IN ('tx_read_only', 'transaction_read_only')",
    "postgresql": "SHOW transaction_read_only",
    "sqlite": "PRAGMA query_only",
}


class Foreign:
    """One connection to such a database, opened when it is needed, for one thread.

    What the database refuses is raised as Transient, Blocked or Misconfigured, in words without values. Dates, times
    and exact numbers come as the database writes them, moments in UTC.
    """

    def __init__(self, url: str, password: str | None, ca_file: str = "") -> None:
        self._engine = guest_engine(url, password, ca_file)
        self._connection: Connection | None = None
        self._unread: CursorResult[Any] | None = None

    @property
    def dialect(self) -> str:
        """mysql (MariaDB too), postgresql or sqlite."""
        name = self._engine.dialect.name
        return "mysql" if name == "mariadb" else name

    def now(self) -> Instant:
        """By the database's own clock."""
        return float(self.all(text(_CLOCKS[self.dialect]))[0][0])

    def is_read_only(self) -> bool:
        """What the database itself says of our transaction."""
        found = self.all(text(_READ_ONLY[self.dialect]))
        return bool(found) and str(found[0][-1]).lower() in ("on", "1")

    def all(self, statement: Executable) -> Sequence[Sequence[Any]]:
        """A short answer, whole."""
        with self.asking() as connection:
            return connection.execute(statement).all()

    def described(self, statement: Executable) -> list[tuple[str, Any]]:
        """The columns of an answer: name, and the driver's code of the type (None on SQLite)."""
        with self.asking() as connection, connection.execute(statement) as result:
            cursor = result.cursor
            assert cursor is not None
            return [(str(one[0]), one[1]) for one in cursor.description]

    def stream(self, statement: Executable) -> "Stream":
        """A long answer, row by row; it ends when anything else is asked."""
        with self.asking() as connection:
            options = {"stream_results": True, "yield_per": PORTION}
            self._unread = connection.execute(statement, execution_options=options)
        return Stream(self, iter(self._unread))

    def inspector(self) -> Inspector:
        """What the database says of its tables; use it within `asking`."""
        return inspect(self._opened())

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """The connection, with no stream left on it; let go of where it refuses, which is put into our words."""
        try:
            if self._unread is not None:
                self.close()
            yield self._opened()
        except Exception as error:
            self.close()
            raise refusal(self.dialect, error) from None

    def close(self) -> None:
        """Let go of the connection, with whatever is unread."""
        connection, self._connection = self._connection, None
        unread, self._unread = self._unread, None
        if connection is None:
            return
        with suppress(Exception):  # it may be gone already
            if unread is not None:
                _abandon(unread)
        connection.invalidate()
        connection.close()

    def _opened(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection


def _abandon(unread: CursorResult[Any]) -> None:
    """A cursor of PyMySQL would first read the whole rest of its answer, also after its connection is gone."""
    answer = getattr(unread.cursor, "_result", None)
    if answer is not None and getattr(answer, "unbuffered_active", False):
        answer.unbuffered_active = False
    unread.close()


class Stream:
    """Rows of one answer, in order."""

    def __init__(self, foreign: Foreign, rows: Iterator[Sequence[Any]]) -> None:
        self._foreign = foreign
        self._rows = rows
        self._until = time.monotonic() + STREAM_SECONDS

    @property
    def is_old(self) -> bool:
        """Is it to be opened again?"""
        return time.monotonic() > self._until

    def take(self, most: int) -> list[Sequence[Any]]:
        """The next rows; fewer than `most` only at the end."""
        found: list[Sequence[Any]] = []
        try:
            for row in self._rows:
                found.append(row)
                if len(found) == most:
                    break
        except Exception as error:
            self._foreign.close()
            raise refusal(self._foreign.dialect, error) from None
        return found
