"""How far a run is: a bar on standard error, or lines of JSON for the program that started it."""

import json
import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from keepstep_simulator.night import Night

EVERY = 0.5  # seconds between two lines


class Bar:
    """`seconds`: the run ends with the time; otherwise with the seeds. Scripts are spared it (`quiet`)."""

    def __init__(self, night: Night, seconds: float | None, quiet: bool, lines: bool) -> None:
        self._night, self._seconds, self._lines = night, seconds, lines
        self._began, self._said = time.monotonic(), 0.0
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), disable=quiet or lines)
        self._task = self._bar.add_task("the first seeds", total=seconds or night.seeds)

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def heard(self, seeds: int, processor: float, broken: int) -> None:
        """So many seeds are done, in so much processor time."""
        passed = time.monotonic() - self._began
        done = min(passed, self._seconds) if self._seconds else seeds
        played = seeds - self._night.kept
        each = f"{played / passed:.1f}/s, {seeds / max(processor, 0.01):.1f}/s a core"
        self._bar.update(self._task, completed=done, description=f"{seeds} seeds, {each}, {broken} broken")
        if self._lines and passed - self._said > EVERY:
            self._said = passed
            self._tell(seeds=seeds, of=self._night.seeds, seconds=round(passed, 1), broken=broken)

    def _tell(self, **said: Any) -> None:
        sys.stdout.write(json.dumps({"progress": said}) + "\n")
        sys.stdout.flush()
