"""Mistakes that only a pair of runs can show: one each for I3 and I37, and one for I31, which waits: haste.py has it.

`TWINS` names the statement of each; keepstep_simulator.twins plays two runs of a seed at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from pytest import MonkeyPatch

from keepstep import rounds
from keepstep.model.errors import Permanent, Transient
from keepstep.wire.http import Breaker
from tests.planted import hearing


def late_news_wins(patch: MonkeyPatch) -> None:
    """What the newest delivery says is taken for what is so now, however late it came, and however often."""
    hearing.stale_delivery_wins(patch)


def down_for_one_is_down_for_all(patch: MonkeyPatch) -> None:
    """A host that failed for one customer is down for an hour for everybody, and what is down is given up."""
    right = Breaker.__call__
    down: WeakKeyDictionary[Any, list[float]] = WeakKeyDictionary()

    async def call(self: Breaker, *asked: Any, **more: Any) -> Any:
        process: Any = self.http  # the HTTP port of a simulated process is bound to it
        failures = down.setdefault(process.__self__, [])
        if failures and self.clock.now() < failures[-1] + 3600.0:
            raise Permanent(503, "down")
        try:
            answer = await right(self, *asked, **more)
        except Transient:
            failures.append(self.clock.now())
            raise
        failures.clear()
        return answer

    patch.setattr(Breaker, "__call__", call)


def on_from_our_own_clock(patch: MonkeyPatch) -> None:
    """The next round of a poll begins where our clock was when the last one ended."""
    right = rounds.moved

    def moved(mark: Any, page: Any, now: float, every: Any) -> Any:
        found = right(mark, page, now, every)
        return replace(found, mark=now) if found.cursor is None and found.mark is not None else found

    patch.setattr(rounds, "moved", moved)


TWINS: Mapping[Callable[[MonkeyPatch], None], str] = {
    late_news_wins: "I3",
    down_for_one_is_down_for_all: "I31",
    on_from_our_own_clock: "I37",
}
