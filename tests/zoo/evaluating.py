"""Plays seeds with each planted mistake until a checker finds it: `python -m keepstep_simulator zoo`."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from keepstep import telemetry
from keepstep.submit import decided
from keepstep_simulator import playing, story, twins
from keepstep_simulator.crews import Crew, Lost
from keepstep_simulator.run import simulate
from keepstep_simulator.story import Violation
from keepstep_simulator.table import commit
from keepstep_simulator.twins import TWINS, compared
from tests.zoo.planting import SEEDS, Planted

MOST_FACTS = 25_000  # four times what a seed tells: a mistake that goes on for ever is seen soon enough
MISFITS = ("AttributeError", "NameError", "TypeError")
SPINS = "the product spins"
Found = dict[str, Any]


@dataclass(frozen=True)
class Hunt:
    """A mistake, by name, and at most so many seeds."""

    name: str
    seeds: int
    first: int = 0


def registry() -> Mapping[str, Planted]:
    """Every mistake by its name."""
    from tests.zoo import ZOO

    return {one.name: one for one in ZOO}


def hunt(task: Hunt) -> Found:
    """In a process of its own: seeds until a checker speaks: one of those that must, where any is named."""
    playing.silence()
    planted = registry()[task.name]
    began = time.process_time()
    spoke: list[str] = []
    why, seed = "", task.first - 1
    misfit: set[str] = set()
    for seed in range(task.first, task.first + task.seeds):
        broken, misfit = played(planted, seed)
        found = of_it(planted, seed, broken)
        spoke = sorted({one.invariant for one in found})
        if misfit or set(spoke) & set(planted.invariants or spoke):
            first = min(found, key=lambda one: one.n, default=None)
            why = f"{first.invariant}: {first.why}" if first else ""
            break
    return {
        "name": task.name,
        "says": planted.says,
        "expected": list(planted.invariants),
        "own": planted.plan is not None,
        "spoke": spoke,
        "seeds": seed - task.first + 1,
        "seconds": round(time.process_time() - began, 1),
        "why": why[:300],
        "misfit": sorted(misfit),
    }


def played(planted: Planted, seed: int) -> tuple[list[Violation], set[str]]:
    """What one seed with a mistake in the product breaks; and where the mistake does not fit the product."""
    with pytest.MonkeyPatch.context() as patch, fitting(patch) as broken:
        patch.setattr(story, "MOST_FACTS", MOST_FACTS)
        planted.plant(patch)
        found = violations(planted, seed)
    ended = [one.why for one in found if one.invariant == "alive"]
    return found, broken | {why for why in ended if any(error in why for error in MISFITS)}


def violations(planted: Planted, seed: int) -> list[Violation]:
    """What a seed that is made for this mistake breaks, in the product as it is now."""
    if planted.pairs:
        made = planted.plan or twins.plan
        first = twins.played(seed, made=made)
        return [one for twin in TWINS if twin.id in planted.invariants for one in compared(twin, seed, first, made)[0]]
    return list(simulate(seed, planted.made(seed)).violations)


def of_it(planted: Planted, seed: int, found: list[Violation]) -> list[Violation]:
    """Those of what broke that do not break without the mistake."""
    anyhow = {one.invariant for one in violations(planted, seed)} if found else set()
    if any(SPINS in one.why for one in found):  # what stands in the store then is not read any more
        found = [one for one in found if one.invariant in ("alive", *planted.invariants)]
    return [one for one in found if one.invariant not in anyhow]


@contextmanager
def fitting(patch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Where a plant does not fit the product any more: such a failure is nobody's mistake but the plant's."""
    found: set[str] = set()
    true_note, true_decide = telemetry.note, decided.decide

    def note(event: telemetry.Process, **fields: Any) -> None:
        if fields.get("error") in MISFITS:
            found.add(f"{fields['error']} in {fields['file']}, line {fields['line']}")
        true_note(event, **fields)

    def decide(*args: Any) -> Any:
        try:
            return true_decide(*args)
        except (AttributeError, NameError, TypeError) as misfit:
            found.add(repr(misfit)[:200])
            raise

    patch.setattr(telemetry, "note", note)
    patch.setattr(decided, "decide", decide)
    yield found


def main(arguments: Sequence[str] | None = None) -> int:
    """Every mistake, or those that are named; 1 where one was not found or does not fit."""
    asked = _asked(arguments)
    known = registry()
    if wrong := [name for name in asked.names if name not in known]:
        sys.stderr.write(f"no such mistake: {', '.join(wrong)}\n")
        return 2
    names = asked.names or list(known)
    found = sorted(_hunted(names, asked), key=lambda one: list(known).index(one["name"]))
    report = {"commit": commit(), "code": playing.code(), "most": asked.seeds, "plants": found}
    if asked.json:
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    else:
        show(found)
    return 0 if all(fine(one) for one in found) else 1


def fine(one: Found) -> bool:
    """Whether a mistake fits, and was found by one of those who must."""
    return not one["misfit"] and bool(set(one["spoke"]) & set(one["expected"] or one["spoke"]))


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="keepstep_simulator zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="mistakes by name; all of them without")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"at most so many each (default {SEEDS})")
    parser.add_argument("--start", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="how many processes")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser.parse_args(arguments)


def _hunted(names: Sequence[str], asked: argparse.Namespace) -> Iterator[Found]:
    crew = Crew(hunt, asked.cores, fresh=True, patience=7200.0)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=asked.json) as bar:
        task = bar.add_task("planted bugs", total=len(names))
        for one in crew.results(Hunt(name, asked.seeds, asked.start) for name in names):
            found = _lost(one) if isinstance(one, Lost) else one
            sys.stderr.write(f"{_line(found)}\n")
            bar.update(task, advance=1)
            yield found


def _lost(one: Lost) -> Found:
    blank: Found = {"says": "", "expected": [], "own": False, "spoke": [], "seeds": 0, "seconds": 0.0, "misfit": []}
    return blank | {"name": one.task.name, "why": one.why}


def _line(one: Found) -> str:
    said = ", ".join(one["spoke"]) or "NOT FOUND"
    misfit = f" MISFIT {one['misfit']}" if one["misfit"] else ""
    return f"{one['name']}: {said} after {one['seeds']} seeds, {one['seconds']} s{misfit} {one['why'][:160]}"


def show(found: Sequence[Found]) -> None:
    """The table."""
    table = Table("planted bug", "must be found by", "spoke", "seeds", box=None)
    for one in found:
        table.add_row(one["name"], ", ".join(one["expected"]), ", ".join(one["spoke"]) or "nobody", str(one["seeds"]))
    console = Console(highlight=False)
    console.print(table)
    left = [one["name"] for one in found if not fine(one)]
    console.print(f"{len(found) - len(left)} of {len(found)} found" + (f"; not: {', '.join(left)}" if left else ""))
