"""A thread aside, for databases that are not ours: slow or silent ones must keep nobody else waiting."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from keepstep.database.threads import Answer

P = ParamSpec("P")
T = TypeVar("T")

# What is held open keeps others from changing a table's columns: not longer than a turn or two.
IDLE_SECONDS = 5.0


class Aside:
    """Runs plain functions one after another in a thread of its own, which is there while there is work and `idle`
    seconds longer. `rest` is called in the thread before it ends: whatever was held open is closed then."""

    def __init__(self, rest: Callable[[], None], idle: float = IDLE_SECONDS) -> None:
        self._rest = rest
        self._idle = idle
        self._waiting: deque[tuple[Callable[[], Any], Answer]] = deque()
        self._change = threading.Condition()
        self._there = False

    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """fn's answer, once what was handed in before is done. A cancelled call may still run."""
        answer = Answer()
        with self._change:
            self._waiting.append((lambda: fn(*args, **kwargs), answer))
            self._change.notify()
            if not self._there:
                self._there = True
                threading.Thread(target=self._serve, name="sql-aside", daemon=True).start()
        result: T = await answer.future
        return result

    async def close(self) -> None:
        """Let go of what is held open, now."""
        if self._there:
            await asyncio.shield(self.run(self._rest))

    def _serve(self) -> None:
        while True:
            with self._change:
                if not self._waiting:
                    self._change.wait(self._idle)
                work = self._waiting.popleft() if self._waiting else None
            if work is not None:
                _done(*work)
                continue
            self._rest()
            with self._change:
                if not self._waiting:
                    self._there = False
                    return


def _done(work: Callable[[], Any], answer: Answer) -> None:
    try:
        result = work()
    except BaseException as error:
        answer.fail(error)
    else:
        answer.give(result)
