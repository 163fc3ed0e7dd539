"""The right to make a call, where the database fails once the call was made."""

import asyncio
from dataclasses import dataclass, field

import pytest

from keepstep.database import Inline
from keepstep.model.errors import Transient
from keepstep.wire.permits import LONGEST_WAIT, SharedPermits
from tests.wire.hands import HandClock

KEY = "app-1"


@dataclass
class Disk:
    """A database that fails before the commits of these names."""

    fails: set[str] = field(default_factory=set)
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.db = Inline(self._at)

    def _at(self, point: str, name: str) -> None:
        if point == "before" and name in self.fails:
            raise OSError("disk full")

    def process(self, rows: int = 4) -> SharedPermits:
        return SharedPermits(self.db, self.clock, rows)


def test_a_permit_that_cannot_be_given_back_costs_nobody_the_answer() -> None:
    """Its hold ends by itself."""
    disk = Disk({"give_back"})
    permits = disk.process(rows=1)

    async def work() -> None:
        await permits.give_back(KEY, await permits.take(KEY))
        with pytest.raises(Transient) as caught:
            await permits.take(KEY)
        assert caught.value.retry_after == pytest.approx(31.0)
        disk.clock.at += 31.0
        await permits.take(KEY)

    asyncio.run(work())


def test_a_stop_is_waited_for_where_it_is_short() -> None:
    """In every process."""
    disk = Disk()
    began = disk.clock.at
    asyncio.run(disk.process().stop(KEY, began + 20))
    asyncio.run(disk.process().take(KEY))
    assert disk.clock.at == pytest.approx(began + 20)


def test_a_stop_that_cannot_be_stored_is_kept_by_whoever_was_told() -> None:
    disk = Disk({"_stop"})
    began, told = disk.clock.at, disk.process()
    asyncio.run(told.stop(KEY, began + 20))
    asyncio.run(told.stop(KEY, began + 1))
    asyncio.run(disk.process().take(KEY))
    assert disk.clock.at == began
    asyncio.run(told.take(KEY))
    assert disk.clock.at == pytest.approx(began + 20)
    asyncio.run(told.stop(KEY, disk.clock.at + LONGEST_WAIT + 1))
    with pytest.raises(Transient):
        asyncio.run(told.take(KEY))
