"""An event loop without a selector: a heap of timers, a list of what is ready, and a seed that chooses among it."""

import asyncio
import heapq
import random
from asyncio import events
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


MOST_AT_ONE_MOMENT = 100_000


class Stalled(Exception):
    """The work is not done, and nothing is ready and no timer is set; or time stands still because somebody spins."""


class SeededLoop(asyncio.AbstractEventLoop):
    """Time jumps to the next timer once nothing is ready. The same seed gives the same order of everything.

    `tasks` are all that were ever made: who dies in a simulated crash stays here until `bury`, never cancelled.
    """

    def __init__(self, chance: random.Random, now: float) -> None:
        self._chance, self._now = chance, now
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count, self._running, self._here = 0, False, 0
        self.tasks: list[asyncio.Task[Any]] = []

    # what asyncio asks of a loop

    def time(self) -> float:
        """Virtual epoch seconds."""
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + max(delay, 0.0), callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asyncio tells; a cancelled timer is passed over when its moment comes."""

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, T] | Generator[Any, None, T], *, name: str | None = None, **_: Any
    ) -> "asyncio.Task[T]":
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=name)
        self.tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Dead tasks complain when they are collected; what failed while alive is reported by its owner."""

    # running

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until this is done; everything else stops where it stands."""
        task = self.create_task(work)
        before = events._get_running_loop()
        events._set_running_loop(self)
        self._running = True
        try:
            while not task.done():
                self._step()
        finally:
            self._running = False
            events._set_running_loop(before)
        return task.result()

    def forked(self) -> None:
        """Go on in a child process: asyncio takes a loop that ran in another process for none."""
        if self._running:
            events._set_running_loop(self)

    def _step(self) -> None:
        while not self._ready:
            self._jump()
        number = int(self._chance.random() * len(self._ready)) if len(self._ready) > 1 else 0
        handle = self._ready.pop(number)
        self._here += 1
        if self._here > MOST_AT_ONE_MOMENT:
            raise Stalled(f"{MOST_AT_ONE_MOMENT} steps at one moment")
        if not handle.cancelled():
            handle._run()

    def _jump(self) -> None:
        if not self._timers:
            raise Stalled("every task waits for something that will never come")
        self._now = max(self._now, self._timers[0][0])
        self._here = 0
        while self._timers and self._timers[0][0] <= self._now:
            handle = heapq.heappop(self._timers)[2]
            if not handle.cancelled():
                self._ready.append(handle)

    def bury(self) -> None:
        """Close what never ended. Its ports are dead by now, so that no `finally` of it can do anything."""
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                try:
                    task.get_coro().close()
                except BaseException:  # noqa: S110  a dead port says so to whoever still calls it
                    pass
        self.tasks.clear()
        self._ready.clear()
        self._timers.clear()
