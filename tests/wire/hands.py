"""A clock and randomness that a test turns by hand."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class HandWake:
    def __init__(self) -> None:
        self.event = asyncio.Event()

    def set(self) -> None:
        self.event.set()


class HandClock:
    """ports.Clock: sleeping moves it on at once, spawned work waits in `spawned` until the test runs it."""

    def __init__(self, at: float = 1_000_000.0) -> None:
        self.at = at
        self.spawned: list[Coroutine[Any, Any, None]] = []

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        await asyncio.sleep(0)

    async def until(self, at: float | None, woken: Any) -> None:
        self.at = max(self.at, at or self.at)
        await asyncio.sleep(0)

    def wake(self) -> HandWake:
        return HandWake()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.spawned.append(work)


class HandChance:
    """ports.Chance: counts."""

    def __init__(self) -> None:
        self.count = 0

    def uniform(self, low: float, high: float) -> float:
        return low

    def id(self) -> str:
        self.count += 1
        return f"id-{self.count}"

    def token(self, size: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(size, "big")
