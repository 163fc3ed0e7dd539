"""Several processes that play one task after another, each with its own hash seed; who hangs is replaced."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

PATIENCE = 900.0  # seconds for one task: a seed takes less than one
_SPAWN = get_context("spawn")  # a fork would hold what the parent has played


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody knows what became of this task: its process ended, or did not come to an end."""

    task: Any
    why: str


@dataclass(slots=True)
class _Member:
    """One process and what it does just now."""

    number: int
    process: Any
    pipe: "Connection[Any, Any]"
    task: Any = None
    since: float = 0.0

    def give(self, task: Any) -> None:
        self.task, self.since = task, time.monotonic()
        with suppress(OSError):  # of one that has died the next answer will tell
            self.pipe.send(task)

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


@dataclass(slots=True)
class Crew:
    """`work` is a function of a module, called with each task in another process. `fresh`: a new process for each task.

    A task that was played by one process is played by another one where `again` says so: the tasks that this gives.
    """

    work: Callable[[Any], Any]
    cores: int
    fresh: bool = False
    patience: float = PATIENCE
    again: Callable[[Any, Any], Any] | None = None
    _members: list[_Member] = field(default_factory=list)
    _owed: list[tuple[int, Any]] = field(default_factory=list)  # (not this member, task)

    def results(self, tasks: Iterable[Any], until: float | None = None) -> Iterator[Any]:
        """What each task came to, in the order in which they end; nothing new is begun after this moment."""
        left = iter(tasks)
        spare = 1 if self.again is not None and self.cores == 1 else 0
        self._members = [self._hired(number) for number in range(self.cores + spare)]
        try:
            self._begin(left, until)
            while busy := [one for one in self._members if one.task is not None]:
                yield from self._heard(busy)
                self._begin(left, until)
        finally:
            for member in self._members:
                member.end()

    def _hired(self, number: int) -> _Member:
        ours, theirs = _SPAWN.Pipe()
        before = os.environ.get("PYTHONHASHSEED")
        os.environ["PYTHONHASHSEED"] = str(number + 1)  # read when an interpreter starts, by nobody else
        try:
            process = _SPAWN.Process(target=_member, args=(self.work, theirs), daemon=True)
            process.start()
        finally:
            if before is None:
                del os.environ["PYTHONHASHSEED"]
            else:
                os.environ["PYTHONHASHSEED"] = before
        theirs.close()
        return _Member(number, process, ours)

    def _begin(self, left: Iterator[Any], until: float | None) -> None:
        """Give everybody who is idle something to do."""
        for member in self._members:
            if member.task is None and (task := self._next(member, left, until)) is not None:
                member.give(task)

    def _next(self, member: _Member, left: Iterator[Any], until: float | None) -> Any:
        owed = next((one for one in self._owed if one[0] != member.number), None)
        if owed is not None:
            self._owed.remove(owed)
            return owed[1]
        if member.number >= self.cores or (until is not None and time.monotonic() > until):
            return None
        return next(left, None)

    def _heard(self, busy: list[_Member]) -> Iterator[Any]:
        """Everything that was answered; who is silent for too long is given up."""
        told = wait([one.pipe for one in busy], timeout=1.0)
        for member in busy:
            if member.pipe in told:
                yield self._answer(member)
            elif time.monotonic() - member.since > self.patience:
                yield self._replaced(member, f"no end within {self.patience:.0f} seconds")

    def _answer(self, member: _Member) -> Any:
        try:
            answer = member.pipe.recv()
        except (EOFError, OSError):
            return self._replaced(member, "its process ended")
        task, member.task = member.task, None
        if self.again is not None and (more := self.again(task, answer)) is not None:
            self._owed.append((member.number, more))
        if self.fresh:
            self._replace(member)
        return answer

    def _replaced(self, member: _Member, why: str) -> Lost:
        lost = Lost(member.task, why)
        self._replace(member)
        return lost

    def _replace(self, member: _Member) -> None:
        member.end()
        self._members[self._members.index(member)] = self._hired(member.number)


def _member(work: Callable[[Any], Any], pipe: "Connection[Any, Any]") -> None:
    """A process of the crew: one task after another, until nobody asks any more."""
    try:
        while True:
            pipe.send(work(pipe.recv()))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
