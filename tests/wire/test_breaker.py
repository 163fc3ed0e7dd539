"""The circuit breaker: when a host is left alone, and how it comes back."""

import asyncio
from collections.abc import Mapping

import pytest

from keepstep.model.errors import Transient, Unanswered
from keepstep.ports import HttpAnswer
from keepstep.wire.http import Breaker
from tests.wire.hands import HandClock


class Host:
    """An Http whose next results are written down; the last one repeats."""

    def __init__(self, *results: int | Exception) -> None:
        self.results = list(results)
        self.calls = 0

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        self.calls += 1
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        await asyncio.sleep(0)
        if isinstance(result, Exception):
            raise result
        return HttpAnswer(result, {}, b"")


def call(breaker: Breaker) -> int | Exception:
    try:
        return asyncio.run(breaker("GET", "https://example.org", {})).status
    except Transient as error:
        return error


def broken(host: Host) -> tuple[Breaker, HandClock]:
    clock = HandClock()
    breaker = Breaker(host, clock)
    for _ in range(5):
        call(breaker)
    return breaker, clock


@pytest.mark.parametrize("failure", [Transient("x"), Unanswered("x"), 500, 503])
def test_five_failures_in_a_row_stop_the_calls_for_30_seconds(failure: int | Exception) -> None:
    host = Host(failure)
    breaker, clock = broken(host)
    clock.at += 10
    stopped = call(breaker)
    assert isinstance(stopped, Transient) and stopped.retry_after == 20 and host.calls == 5


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429])
def test_an_answer_in_between_starts_the_count_again(status: int) -> None:
    host = Host(500, 500, 500, 500, status, 500, 500, 500, 500)
    breaker = Breaker(host, HandClock())
    for _ in range(9):
        call(breaker)
    assert host.calls == 9


def test_one_probe_after_the_pause_closes_it_again() -> None:
    breaker, clock = broken(Host(500, 500, 500, 500, 500, 200))
    clock.at += 31
    assert call(breaker) == 200 and call(breaker) == 200


def test_only_one_probe_goes_out_at_a_time() -> None:
    host = Host(500, 500, 500, 500, 500, 200)
    breaker, clock = broken(host)
    clock.at += 31

    async def two() -> list[object]:
        return await asyncio.gather(*(breaker("GET", "https://x", {}) for _ in range(2)), return_exceptions=True)

    results = asyncio.run(two())
    assert host.calls == 6 and isinstance(results[1], Transient)


def test_failed_probes_double_the_pause_up_to_five_minutes() -> None:
    breaker, clock = broken(Host(500))
    pauses = []
    for _ in range(5):
        clock.at += 301
        call(breaker)
        stopped = call(breaker)
        assert isinstance(stopped, Transient)
        pauses.append(stopped.retry_after)
    assert pauses == [60, 120, 240, 300, 300]


def test_a_cancelled_probe_lets_the_next_one_try() -> None:
    host = Host(500, 500, 500, 500, 500, 200)
    breaker, clock = broken(host)
    clock.at += 31

    async def cancelled() -> None:
        task = asyncio.ensure_future(breaker("GET", "https://x", {}))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())
    assert call(breaker) == 200
