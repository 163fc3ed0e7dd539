"""A database served by threads of our own: SQL is synchronous, the program around it is not.

Rows of `append` that wait are committed together by whichever thread is free: one disk sync carries them all.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, Table, insert
from sqlalchemy.exc import OperationalError

from keepstep.model.errors import Overloaded

P = ParamSpec("P")
T = TypeVar("T")

MOST_WAITING = 2000


class Answer:
    """A future of the caller's loop, resolved from another thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def give(self, value: object) -> None:
        self._tell(lambda: self.future.set_result(value))

    def fail(self, error: BaseException) -> None:
        # A future refuses StopIteration; the caller gets it wrapped, as from a coroutine.
        shown = RuntimeError("fn raised StopIteration") if isinstance(error, StopIteration) else error
        self._tell(lambda: self.future.set_exception(shown))

    def _tell(self, resolve: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(lambda: None if self.future.done() else resolve())
        except RuntimeError:  # the caller's loop is closed: nobody is left to tell
            pass


@dataclass(slots=True)
class _Run:
    work: Callable[[Connection], Any]
    answer: Answer


@dataclass(slots=True)
class _Append:
    table: Table
    row: Mapping[str, Any]
    answer: Answer


class ThreadedDatabase:
    """The database port over an engine: `threads` transactions at a time, and one group of appended rows at a time."""

    def __init__(self, engine: Engine, threads: int) -> None:
        self._engine = engine
        self._runs: deque[_Run] = deque()
        self._appends: deque[_Append] = deque()
        self._waiting_rows = 0
        self._appending = False
        self._rows_last = False
        self._open = True
        self._change = threading.Condition()
        self._threads = [threading.Thread(target=self._serve, name=f"sql-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def dialect(self) -> str:
        return self._engine.dialect.name

    async def run(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One transaction around fn: committed if it returns, rolled back if it raises. A cancelled call may commit."""
        item = _Run(lambda tx: fn(tx, *args, **kwargs), Answer())
        with self._change:
            self._refuse_if_closed()
            self._runs.append(item)
            self._change.notify()
        result: T = await item.answer.future
        return result

    async def append(self, table: Table, row: Mapping[str, Any]) -> None:
        """Store one row with whatever else waits; returns once it is durable. Raises Overloaded above 2,000 waiting."""
        item = _Append(table, row, Answer())
        with self._change:
            self._refuse_if_closed()
            if self._waiting_rows >= MOST_WAITING:
                raise Overloaded(f"{MOST_WAITING} rows are waiting to be stored")
            self._waiting_rows += 1
            self._appends.append(item)
            self._change.notify()
        await item.answer.future

    async def close(self) -> None:
        """Finish what was handed in, then stop. Later calls raise RuntimeError."""
        with self._change:
            self._open = False
            self._change.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._engine.dispose()

    def _refuse_if_closed(self) -> None:
        if not self._open:
            raise RuntimeError("the database is closed")

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            if isinstance(work, _Run):
                self._run(work)
            else:
                self._append(work)

    def _next(self) -> _Run | list[_Append] | None:
        with self._change:
            while True:
                rows_first = bool(self._appends) and not self._appending and not (self._rows_last and self._runs)
                if rows_first:
                    return self._waiting_group()
                if self._runs:
                    self._rows_last = False
                    return self._runs.popleft()
                if not self._open and not self._appends:
                    return None
                self._change.wait()

    def _waiting_group(self) -> list[_Append]:
        self._appending = self._rows_last = True
        group = list(self._appends)
        self._appends.clear()
        return group

    def _run(self, item: _Run) -> None:
        try:
            with self._engine.begin() as tx:
                result = item.work(tx)
        except BaseException as error:
            item.answer.fail(error)
        else:
            item.answer.give(result)

    def _append(self, group: Sequence[_Append]) -> None:
        errors = self._store(group)
        with self._change:
            self._appending = False
            self._waiting_rows -= len(group)
            self._change.notify_all()
        for item, error in zip(group, errors, strict=True):
            if error is None:
                item.answer.give(None)
            else:
                item.answer.fail(error)

    def _store(self, group: Sequence[_Append]) -> list[BaseException | None]:
        """One transaction for all; if a row among several is bad, one for each, so that it fails alone."""
        try:
            with self._engine.begin() as tx:
                for table, rows in _by_table(group).items():
                    tx.execute(insert(table), rows)
        except OperationalError as error:
            # Busy, full or gone: no row is at fault, and trying each would wait as long again for every one.
            return [error] * len(group)
        except Exception as error:
            return [error] if len(group) == 1 else [self._store([item])[0] for item in group]
        return [None] * len(group)


def _by_table(group: Sequence[_Append]) -> dict[Table, list[dict[str, Any]]]:
    tables: dict[Table, list[dict[str, Any]]] = {}
    for item in group:
        tables.setdefault(item.table, []).append(dict(item.row))
    return tables
