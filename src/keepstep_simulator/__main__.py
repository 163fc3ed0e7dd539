"""`python -m keepstep_simulator`: seeds over several processes; what broke is told as its smallest story.

Exit codes: 0 nothing broke, 1 something did, 2 wrong usage, 130 stopped with Ctrl-C.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keepstep_simulator import own, playing, table
from keepstep_simulator.bar import Bar
from keepstep_simulator.crews import Crew, Lost
from keepstep_simulator.night import SERVED, Night
from keepstep_simulator.playing import Riddle

FINE, BROKEN, WRONG_USAGE, STOPPED = 0, 1, 2, 130
NIGHT = 50_000
QUICK_SECONDS = 110.0  # with the start and the end of the processes two minutes
NO_ZOO = "the planted bugs are part of the source checkout, not of the package: run it in the checkout's folder"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; the exit code."""
    words = _words(sys.argv[1:] if arguments is None else arguments)
    asked, rest = _parser().parse_known_args(words)
    if asked.command is _zoo:
        asked.rest = rest
    elif rest:
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return int(asked.command(asked))
    except KeyboardInterrupt:
        return STOPPED


def _words(given: Sequence[str]) -> list[str]:
    """A number alone is a seed; nothing at all is the quick run."""
    words = list(given)
    if words and words[0].isdigit():
        return ["seed", *words]
    return words if words and not words[0].startswith("--") else words if set(words) & {"--help"} else ["quick", *words]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keepstep_simulator", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="quick | night | zoo | SEED")
    quick = _runs(commands.add_parser("quick", help="as many seeds as fit into two minutes"))
    quick.add_argument("--seeds", type=int, help="so many, however long it takes")
    quick.add_argument("--seconds", type=float, help=f"begin none after so many (default {QUICK_SECONDS:g})")
    quick.set_defaults(command=_quick)
    night = _runs(commands.add_parser("night", help=f"{NIGHT} seeds; goes on where it was interrupted"))
    night.add_argument("--seeds", type=int, default=NIGHT, help=f"how many (default {NIGHT})")
    night.add_argument("--file", type=Path, default=Path("build/night.jsonl"), help="what is done so far")
    night.set_defaults(command=_night)
    seed = commands.add_parser("seed", help="one seed, and the smallest story of what it breaks")
    seed.add_argument("seed", type=int)
    seed.set_defaults(command=_seed, start=0)
    _common(seed)
    zoo = commands.add_parser("zoo", help="every planted bug, until a checker finds it", add_help=False)
    zoo.set_defaults(command=_zoo)
    return parser


def _runs(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--start", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--cores", type=int, default=_cores(), help="how many processes (default: all cores)")
    parser.add_argument("--postgres", metavar="URL", default="", help=f"one seed of {SERVED} on this PostgreSQL")
    return _common(parser)


def _common(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--config", type=Path, help="a settings file: its customers' mapping, policy and cadences")
    parser.add_argument("--days", type=int, default=3, help="how many nights pass (default 3, at least 2)")
    parser.add_argument("--stories", type=int, default=1, help="how many broken seeds are told small (default 1)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument("--lines", action="store_true", help="progress and report as lines of JSON, for a program")
    return parser


def _cores() -> int:
    return os.cpu_count() or 1


def _quick(asked: argparse.Namespace) -> int:
    seconds = asked.seconds if asked.seconds is not None or asked.seeds is not None else QUICK_SECONDS
    seeds = asked.seeds if asked.seeds is not None else 1_000_000
    night = Night(asked.start, seeds, asked.cores, own.parts(asked.config, asked.days), seconds, server=asked.postgres)
    return _played(asked, night, seconds if asked.seeds is None else None)


def _night(asked: argparse.Namespace) -> int:
    asked.file.parent.mkdir(parents=True, exist_ok=True)
    parts = own.parts(asked.config, asked.days)
    return _played(asked, Night(asked.start, asked.seeds, asked.cores, parts, file=asked.file, server=asked.postgres))


def _seed(asked: argparse.Namespace) -> int:
    asked.cores = 1
    return _played(asked, Night(asked.seed, 1, 1, own.parts(asked.config, asked.days)))


def _played(asked: argparse.Namespace, night: Night, seconds: float | None = None) -> int:
    with Bar(night, seconds, quiet=asked.json, lines=asked.lines) as bar:
        try:
            found = night.play(bar.heard)
        except KeyboardInterrupt:
            found = night.done
        said = table.report(night, _stories(asked, night))
    if asked.json or asked.lines:
        sys.stdout.write(json.dumps(said if asked.json else {"report": said}) + "\n")
    else:
        table.show(said)
    return FINE if found.clean else BROKEN


def _stories(asked: argparse.Namespace, night: Night) -> list[dict[str, Any]]:
    """The smallest stories of the first seeds that break different things."""
    firsts: dict[str, Riddle] = {}
    for seed, violations in sorted(night.done.broken.items()):
        if alone := [one for one in violations if one[0] not in table.PAIRED]:
            name = min(alone, key=lambda one: one[1])[0]
            firsts.setdefault(name, Riddle(seed, name, night.part(seed).plan))
    crew = Crew(playing.explain, min(asked.cores, len(firsts)) or 1)
    told = crew.results(list(firsts.values())[: asked.stories]) if firsts and asked.stories else ()
    return [one for one in told if not isinstance(one, Lost)]


def _zoo(asked: argparse.Namespace) -> int:
    """The planted bugs are no part of a release: they are found where the tests are."""
    try:
        keeper = importlib.import_module("tests.zoo.evaluating")
    except ImportError:
        sys.stderr.write(f"keepstep_simulator: {NO_ZOO}\n")
        return WRONG_USAGE
    return int(keeper.main(asked.rest))


if __name__ == "__main__":
    sys.exit(main())
