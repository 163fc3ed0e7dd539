"""Many seeds over several processes: as many as fit into a while, or a night of them that can be interrupted."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from keepstep_simulator import playing
from keepstep_simulator.crews import Crew, Lost
from keepstep_simulator.figures import Part, Sum
from keepstep_simulator.playing import Answer, Order

BLOCK = 1000  # seeds a line of the file
SERVED = 50  # of so many seeds one lies on PostgreSQL, which takes ten times as long
Heard = Callable[[int, float, int], None]  # seeds so far, processor seconds, broken ones


@dataclass(slots=True)
class Night:
    """What is asked: these seeds, on so many cores. `parts`: the seeds take them in turn. `seconds`: nothing is begun
    after so long. `file`: a line for every thousand seeds, by which an interrupted night goes on. `server`: URL of a
    PostgreSQL that is the disk of one seed of so many (SERVED)."""

    start: int
    seeds: int
    cores: int
    parts: Sequence[Part] = (Part(),)
    seconds: float | None = None
    file: Path | None = None
    server: str = ""
    done: Sum = field(default_factory=Sum)
    wall: float = 0.0
    kept: int = 0

    def play(self, heard: Heard) -> Sum:
        """Play them all. `heard` is told after every seed."""
        began = time.monotonic()
        try:
            for first, last in self._blocks():
                self._block(first, last, began, heard)
        finally:
            self.wall = time.monotonic() - began
        return self.done

    def part(self, seed: int) -> Part:
        """What this seed is made of."""
        part = self.parts[seed % len(self.parts)]
        if not self.server or seed % SERVED != SERVED - 1:
            return part
        return replace(part, plan=replace(part.plan, server=self.server))

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """From and to of every thousand that is not in the file."""
        end = self.start + self.seeds
        known = read(self.file) if self.file else {}
        for first in range(self.start, end, BLOCK):
            last = min(first + BLOCK, end)
            if (found := known.get((first, last))) is not None:
                self.done.merge(found)
                self.kept += found.seeds
            else:
                yield first, last

    def _block(self, first: int, last: int, began: float, heard: Heard) -> None:
        until = None if self.seconds is None else began + self.seconds
        orders = (Order(seed, self.part(seed)) for seed in range(first, last))
        crew = Crew(playing.play, self.cores, again=playing.again)
        block = Sum()
        digests: dict[int, str] = {}
        try:
            for answer in crew.results(orders, until):
                _count(block, answer, digests)
                so_far = (self.done, block)
                heard(*(sum(part) for part in zip(*map(_progress, so_far), strict=True)))
        finally:
            self.done.merge(block)
        if self.file and block.seeds == last - first:
            write(self.file, first, last, block)


def _progress(found: Sum) -> tuple[int, float, int]:
    return found.seeds, found.seconds, len(found.broken) + len(found.lost) + len(found.unlike)


def _count(block: Sum, answer: Answer | Lost, digests: dict[int, str]) -> None:
    if isinstance(answer, Lost):
        block.lost[answer.task.seed] = answer.why
    elif not answer.order.twice:
        block.add(answer.found)
        digests[answer.order.seed] = answer.found.digest
    else:
        block.twice += 1
        if answer.found.digest != digests[answer.order.seed]:
            block.unlike.append(answer.order.seed)


def read(path: Path) -> dict[tuple[int, int], Sum]:
    """What an earlier night of the same program left: from and to of its seeds, and what they came to."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        said = _line(line)
        if said.get("code") == playing.code():
            found[said["first"], said["last"]] = Sum.loaded(said["sum"])
    return found


def _line(text: str) -> dict[str, Any]:
    """A line; one that was cut off by the end of a process says nothing."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def write(path: Path, first: int, last: int, block: Sum) -> None:
    """A thousand more."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"first": first, "last": last, "code": playing.code(), "sum": block.dumped()}) + "\n")
