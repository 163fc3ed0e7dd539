"""`./run bench`: webhook acks per second beside two comparisons, entries through a whole turn per second, and calls.

Repeats are interleaved, so that a noisy machine is noisy for everybody; medians with their spread are printed.
`--only calls` counts on a virtual clock: calls for changes beside the floor and beside the recipe's own way, pages of a
nightly proof of sameness, latency of opt-outs.
"""

import argparse
import json
import logging
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import structlog

from bench.calls import changes_cost, latency, sameness
from bench.door import KINDS
from bench.turns import measured

NAMES = {
    "grouped": "webhook acks/s, rows committed together",
    "each": "webhook acks/s, one transaction per request",
    "none": "webhook acks/s, the same server without a store",
    "turns": "entries/s through a whole turn",
}
Figures = dict[str, list[dict[str, float]]]


def main() -> int:
    """Measure and print."""
    options = _options()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if options.only == "calls":
        return _counted(options)
    repeats, count, seconds, people = (2, 200, 0.5, 60) if options.quick else (5, 6000, 2.5, 500)
    figures: Figures = {name: [] for name in NAMES}
    with tempfile.TemporaryDirectory(prefix="keepstep-bench-") as folder, ExitStack() as stack:
        ports = {kind: stack.enter_context(_door(kind, Path(folder) / kind)) for kind in KINDS}
        for kind in KINDS:
            _load(ports[kind], 100, seconds)  # connections, caches and pages of the file are warm for everybody
        for repeat in range(repeats):
            for kind in KINDS:
                figures[kind].append(_load(ports[kind], count, seconds))
            figures["turns"].append(_turns(Path(folder) / f"turns{repeat}", people))
    results = {name: _summary(rows) for name, rows in figures.items()}
    if options.json:
        print(json.dumps({"repeats": repeats, "python": platform.python_version(), "results": results}))
    else:
        _table(results, repeats)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="shows that it works; the figures mean nothing")
    parser.add_argument("--only", choices=["speed", "calls"], default="speed", help="which figures (default speed)")
    return parser.parse_args()


def _counted(options: argparse.Namespace) -> int:
    """Counts on a virtual clock: the same on any machine, so one run is enough."""
    changes, pairs, opt_outs = (40, 40, 10) if options.quick else (1000, 2000, 300)
    counts = {
        "changes": changes_cost(changes),
        "sameness": sameness(pairs),
        "latency_seconds": latency(opt_outs),
    }
    print(json.dumps(counts) if options.json else "\n".join(_lines(counts)))
    return 0


def _lines(counts: dict[str, dict[str, Any]]) -> Iterator[str]:
    for part, rows in counts.items():
        yield f"{part}:"
        for name, row in rows.items():
            yield f"  {name}: {row}"


@contextmanager
def _door(kind: str, folder: Path) -> Iterator[int]:
    folder.mkdir()
    command = [sys.executable, "-m", "bench.door", kind, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(20)


def _load(port: int, count: int, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load", str(port), str(count), "32", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    figures: dict[str, float] = json.loads(done.stdout)
    if figures["refused"]:
        raise SystemExit(f"{figures['refused']:.0f} deliveries were not acknowledged")
    return figures


def _turns(folder: Path, people: int) -> dict[str, float]:
    folder.mkdir()
    return measured(folder, people)


def _summary(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Median, least and most of each figure."""
    found = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        found[name] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return found


def _table(results: dict[str, dict[str, Any]], repeats: int) -> None:
    print(f"medians of {repeats} interleaved repeats, Python {platform.python_version()}\n")
    print(f"{'':50} {'median':>9} {'min':>9} {'max':>9}   p50 / p99 ms")
    for name, figures in results.items():
        rate = figures.get("acks_per_second") or figures["entries_per_second"]
        late = f"{figures['p50_ms']['median']:.1f} / {figures['p99_ms']['median']:.1f}" if "p50_ms" in figures else ""
        print(f"{NAMES[name]:50} {rate['median']:9.0f} {rate['min']:9.0f} {rate['max']:9.0f}   {late}")


if __name__ == "__main__":
    sys.exit(main())
