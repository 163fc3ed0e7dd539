"""The owner of time: moves the world and the week from moment to moment, in lockstep with the service under test.

The service joins with an address. `POST <address> {"now": t}` makes it set its clock to t and do everything that is
due; it answers only when each of its tasks waits for the clock: `{"now": t, "next_due": t2 or null}`.
"""

import asyncio
import math
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol

import aiohttp

from keepstep_sandbox.constant_contact import ContactDelivery
from keepstep_sandbox.http import Response
from keepstep_sandbox.virtuous import Delivery
from keepstep_sandbox.world import World

PATIENCE = 120.0  # real seconds; a service that takes longer for one moment hangs, unless the driver says otherwise
WEBHOOK_PATIENCE = aiohttp.ClientTimeout(total=10.0)  # Virtuous facts 13.5, 18.7
RESTART = 60.0  # real seconds a killed service may take to join again
GRAIN = 0.5  # deliveries of one half second are made together: five hundred contacts need ten moments, not five hundred
ROUNDS = 200  # how often one moment may have consequences before we call it a loop


class Schedule(Protocol):
    """What else happens by itself: a simulated week."""

    def next_due(self) -> float | None: ...

    def run_due(self) -> None: ...


class Stuck(Exception):
    """The service did not keep the clock's protocol."""


class Clock:
    """Drives one world. `advance` returns early when a held request has arrived, which only the driver can end."""

    def __init__(self, world: World, session: aiohttp.ClientSession) -> None:
        self.world = world
        self.schedule: Schedule = _Nothing()
        self.address: str | None = None
        self.patience = PATIENCE
        self._session = session
        self._service_due: float | None = None
        self._telling: asyncio.Task[float | None] | None = None
        self._releases: dict[int, asyncio.Future[Response]] = {}
        self._arrived = asyncio.Event()
        self._present = asyncio.Event()
        self._present.set()

    # holds

    async def hold(self, n: int) -> Response:
        """Called by the shell for a held request: waits for `release`."""
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._releases[n] = future
        self._arrived.set()
        return await future

    def release(self, answered: bool) -> int:
        """End every hold; the real answers, or dropped connections. Returns how many."""
        count = len(self._releases)
        for n, future in self._releases.items():
            if not future.done():
                future.set_result(self.world.release(n, answered))
        self._releases.clear()
        self._arrived.clear()
        return count

    # the service

    def join(self, address: str) -> None:
        """From now on this service keeps our time."""
        self.leave()
        self.address = address
        self._present.set()

    def leave(self) -> None:
        """The service is gone, or about to be killed: nobody is told the time until one joins."""
        if self._telling is not None:
            self._telling.cancel()
        self.address, self._telling, self._service_due = None, None, None

    def expect(self) -> None:
        """The service is about to be killed and will join again: no time passes without it."""
        self.leave()
        self._present.clear()

    async def present(self) -> None:
        """Wait until the service that was killed has joined again. Raises Stuck if it does not."""
        try:
            await asyncio.wait_for(self._present.wait(), RESTART)
        except TimeoutError:
            raise Stuck("the service was killed and did not join again") from None

    # time

    async def advance(self, to: float) -> bool:
        """Move to a moment, stopping at everything due before it. False: a request is held, time stands still."""
        while await self._settled():
            moment = self._next(to)
            if moment is None:
                return True
            self.world.advance(moment)
            self.schedule.run_due()
        return False

    def _next(self, to: float) -> float | None:
        """The next moment up to `to` at which something happens; `to` itself if nothing does; None once there."""
        now = self.world.now
        if now >= to:
            return None
        by_itself = self.world.next_due()
        grained = None if by_itself is None else math.ceil(by_itself / GRAIN) * GRAIN
        dues = [grained, self._service_due, self.schedule.next_due()]
        due = min((one for one in dues if one is not None), default=to)
        return min(to, max(due, now + 0.001))

    async def _settled(self) -> bool:
        """Do everything of this moment, whatever follows from it included. False: a request is held."""
        for _ in range(ROUNDS):
            # A webhook wakes the service: without the time it would call in what it takes for the moment before.
            if self._is_due() and not await self._told():
                return False
            await self._deliver()
            if not await self._told():
                return False
            if not self._is_due():
                return True
            self.world.advance(self.world.now)
        raise Stuck(f"{ROUNDS} rounds at one moment")

    def _is_due(self) -> bool:
        due = self.world.next_due()
        return due is not None and due <= self.world.now

    async def _deliver(self) -> None:
        """Post the webhooks that fall due within this grain, oldest first."""
        for delivery in self.world.due_deliveries():
            self.world.delivered(delivery, await self._posted(delivery))

    async def _posted(self, delivery: Delivery | ContactDelivery) -> int | None:
        with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
            async with self._session.post(
                delivery.url,
                data=delivery.body,
                headers=delivery.headers,
                timeout=WEBHOOK_PATIENCE,
                allow_redirects=False,
            ) as answer:
                return answer.status
        return None

    async def _told(self) -> bool:
        """Tell the service the time and wait until it is idle. False: it waits for a held answer."""
        if self.address is None:
            return True
        if self._telling is None:
            self._telling = self._task(self._tell(self.address))
        arrived = self._task(self._arrived.wait())
        await asyncio.wait({self._telling, arrived}, return_when=asyncio.FIRST_COMPLETED)
        arrived.cancel()
        if not self._telling.done():
            return False
        telling, self._telling = self._telling, None
        self._service_due = telling.result()
        return True

    async def _tell(self, address: str) -> float | None:
        try:
            limit = aiohttp.ClientTimeout(total=self.patience)
            async with self._session.post(address, json={"now": self.world.now}, timeout=limit) as answer:
                told = await answer.json() if answer.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Stuck(f"the service does not answer the clock: {type(error).__name__}") from error
        due = told.get("next_due", math.nan) if isinstance(told, dict) else math.nan
        if due is not None and not (isinstance(due, (int, float)) and math.isfinite(due)):
            raise Stuck("the service's answer to the clock is not what was agreed")
        return due

    @staticmethod
    def _task(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        # A service killed in the middle of a moment leaves an exception that nobody will ask for.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task


class _Nothing:
    """No week."""

    def next_due(self) -> float | None:
        return None

    def run_due(self) -> None:
        return None
