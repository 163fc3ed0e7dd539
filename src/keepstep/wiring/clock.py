"""Time for real processes: the system's clock, and the virtual one whose time a stand-in's control door owns."""

import asyncio
import contextlib
import heapq
import time
from collections.abc import Coroutine
from typing import Any

from keepstep import telemetry
from keepstep.model.instant import Instant
from keepstep.ports import Wake

# Another process may have written (a pause, new work): a sleeper looks again after this many seconds.
LOOK_SECONDS = 1.0
_MOMENT = 0.05


class SystemWake:
    """An alarm that one waiter waits for."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()

    def set(self) -> None:
        self.rung.set()


class Tasks:
    """Tasks with a strong reference until they end; one that fails is reported, never lost."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            telemetry.note(telemetry.Process.failed, source="task", **telemetry.trouble_of(failure))


class SystemClock:
    """`keepstep.ports.Clock` of the real world."""

    def __init__(self) -> None:
        self._tasks = Tasks()

    def now(self) -> Instant:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def wake(self) -> SystemWake:
        return SystemWake()

    async def until(self, at: Instant | None, woken: Wake) -> None:
        assert isinstance(woken, SystemWake)
        seconds = LOOK_SECONDS if at is None else min(LOOK_SECONDS, max(0.0, at - self.now()))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(woken.rung.wait(), seconds)
        woken.rung.clear()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.start(work, name)


class VirtualWake:
    """An alarm under a virtual clock; rung before anybody waits it is kept."""

    def __init__(self, clock: "VirtualClock") -> None:
        self._clock = clock
        self.kept = False
        self.waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        if self.waiter is None:
            self.kept = True
        else:
            self._clock.release(self.waiter)
            self.waiter = None


class VirtualClock:
    """`keepstep.ports.Clock` in lockstep: time stands until `advance` moves it, and `advance` returns once every task
    waits.

    A task counts as working from its release to its next wait, whatever it awaits in between, so that an answer of a
    vendor or of the database is never overtaken by time.
    """

    def __init__(self, now: Instant) -> None:
        self._now = now
        self._tasks = Tasks()
        self._working = 0
        self._order = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._sleepers: list[tuple[Instant, int, asyncio.Future[None]]] = []

    def now(self) -> Instant:
        return self._now

    async def sleep(self, seconds: float) -> None:
        await self._wait(self._sleeper(self._now + max(0.0, seconds)))

    def wake(self) -> VirtualWake:
        return VirtualWake(self)

    async def until(self, at: Instant | None, woken: Wake) -> None:
        assert isinstance(woken, VirtualWake)
        if woken.kept or (at is not None and at <= self._now):
            woken.kept = False
            return
        woken.waiter = asyncio.get_running_loop().create_future() if at is None else self._sleeper(at)
        await self._wait(woken.waiter)
        woken.waiter = None

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._began()
        self._tasks.start(self._counted(work), name)

    async def advance(self, now: Instant) -> Instant | None:
        """Move to `now`, let everything that is due happen, and wait until all is idle; the next due moment."""
        await self._idle.wait()
        self._now = max(self._now, now)
        self._release_due()
        await self._idle.wait()
        return min((at for at, _, sleeper in self._sleepers if not sleeper.done()), default=None)

    def release(self, sleeper: asyncio.Future[None]) -> None:
        """Let a waiter go on; it counts as working from now."""
        if not sleeper.done():
            self._began()
            sleeper.set_result(None)

    def _release_due(self) -> None:
        while self._sleepers and (self._sleepers[0][0] <= self._now or self._sleepers[0][2].done()):
            self.release(heapq.heappop(self._sleepers)[2])

    def _sleeper(self, at: Instant) -> asyncio.Future[None]:
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (at, self._order, sleeper))
        return sleeper

    async def _wait(self, sleeper: asyncio.Future[None]) -> None:
        self._ended()
        try:
            await sleeper
        except asyncio.CancelledError:
            self._began()
            raise

    async def _counted(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            self._ended()

    def _began(self) -> None:
        self._working += 1
        self._idle.clear()

    def _ended(self) -> None:
        self._working -= 1
        if self._working <= 0:
            self._working = 0
            self._idle.set()


class Standing:
    """`keepstep.ports.Clock` of a command in virtual time: nobody moves it, so a pause is a moment of the wall's, and
    its length has passed then."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock, self._paused = clock, 0.0

    def now(self) -> Instant:
        return self._clock.now() + self._paused

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, _MOMENT))
        self._paused += seconds

    def wake(self) -> VirtualWake:
        return self._clock.wake()

    async def until(self, at: Instant | None, woken: Wake) -> None:
        await self._clock.until(at, woken)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._clock.spawn(work, name)
