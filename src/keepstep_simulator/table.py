"""What seeds came to, for scripts as one document and for people as a page."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from keepstep_simulator import playing
from keepstep_simulator.figures import Sum
from keepstep_simulator.invariants import INVARIANTS
from keepstep_simulator.marks import MARKS
from keepstep_simulator.night import Night
from keepstep_simulator.twins import TWINS

Told = Mapping[str, Any]
PAIRED = frozenset(one.id for one in TWINS)


def report(night: Night, stories: Sequence[Told]) -> dict[str, Any]:
    """Everything that a run has to say."""
    found = night.done
    return {
        "clean": found.clean,
        "first": night.start,
        "last": max(night.start, night.start + found.seeds - 1),
        "seeds": found.seeds,
        "wall_seconds": round(night.wall, 1),
        "cores": night.cores,
        "seeds_per_second_and_core": round(found.seeds / found.seconds, 2) if found.seconds else 0.0,
        "commit": commit(),
        "code": playing.code(),
        "medians": {name: round(value, 2) for name, value in found.medians().items()},
        "tried": dict(sorted(found.tried.items())),
        "invariants": [_invariant(one.id, one.says, one.waits, found) for one in INVARIANTS],
        "marks": marks(found),
        "twice": {"seeds": found.twice, "unlike": sorted(found.unlike)},
        "broken": [
            {"seed": seed, "violations": [{"invariant": name, "at": n, "why": why} for name, n, why in said[:20]]}
            for seed, said in sorted(found.broken.items())
        ],
        "lost": [{"seed": seed, "why": why} for seed, why in sorted(found.lost.items())],
        "stories": list(stories),
    }


def _invariant(name: str, says: str, waits: str, found: Sum) -> dict[str, Any]:
    paired = name in PAIRED
    if waits and not paired:
        return {"id": name, "says": says, "waits": waits}
    seeds, of = found.seen[name], found.paired if paired else found.seeds
    share = round(seeds / of, 4) if of else 0.0
    broke = sum(any(one[0] == name for one in said) for said in found.broken.values())
    counts = {"premises": found.premises[name], "seeds": seeds, "share": share, "broken": broke}
    return {"id": name, "says": says, **counts} | ({"pairs": of} if paired else {})


def marks(found: Sum) -> dict[str, Any]:
    """Which of the rare things happened in some seed, and which never did."""
    never = sorted(set(MARKS) - set(found.marks))
    seeds = dict(sorted(found.marks.items()))
    return {"of": len(MARKS), "hit": len(MARKS) - len(never), "never": never, "seeds": seeds}


def commit() -> str:
    """The commit that is checked out, where this is a checkout."""
    try:
        ran = subprocess.run(
            ["git", "describe", "--always", "--dirty"],  # noqa: S607  whichever git there is
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except OSError:
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""


def show(said: Told) -> None:
    """The page."""
    console = Console(highlight=False)
    console.print(_figures(said))
    console.print(_invariants(said["invariants"]))
    found = said["marks"]
    if found["of"]:
        console.print(f"marks: {found['hit']} of {found['of']} hit" + _listed("; never: ", found["never"]))
    console.print(_twice(said["twice"]))
    for one in said["broken"]:
        first = one["violations"][0]
        console.print(f"[red]seed {one['seed']} breaks {first['invariant']}: [/red]", end="")
        console.print(first["why"], markup=False)
    for one in said["lost"]:
        console.print(f"[red]seed {one['seed']}: {one['why']}")
    for one in said["stories"]:
        console.print("\n" + "\n".join(one["lines"]) + "\n", markup=False, soft_wrap=True)
    console.print(_verdict(said))


def _figures(said: Told) -> Table:
    table = Table(show_header=False, box=None)
    rows = {
        "seeds": f"{said['seeds']} ({said['first']} to {said['last']})",
        "seeds per second and core": said["seeds_per_second_and_core"],
        "seconds": f"{said['wall_seconds']} on {said['cores']} cores",
        "median of a seed": ", ".join(f"{value:g} {name}" for name, value in said["medians"].items()),
        "tried": ", ".join(f"{count} {name}" for name, count in said["tried"].items()),
    }
    for name, value in rows.items():
        table.add_row(f"[bold]{name}", str(value))
    return table


def _invariants(said: Sequence[Told]) -> Table:
    table = Table("", "invariant", "premise in", "broken in", box=None)
    for one in said:
        if "waits" in one:
            table.add_row(one["id"], one["says"], f"[dim]waits: {one['waits']}", "")
        else:
            broken = f"[red]{one['broken']} seeds" if one["broken"] else ""
            of = f"{one['pairs']} pairs of runs" if "pairs" in one else "seeds"
            table.add_row(one["id"], one["says"], f"{one['share']:.1%} of {of}", broken)
    return table


def _twice(said: Told) -> str:
    if not said["seeds"]:
        return "no seed was played twice"
    unlike = _listed("; [red]not equal: ", [str(seed) for seed in said["unlike"]])
    return f"{said['seeds']} seeds were played twice, under two hash seeds{unlike or ': all equal'}"


def _listed(before: str, names: Sequence[str]) -> str:
    return before + ", ".join(names) if names else ""


def _verdict(said: Told) -> str:
    if said["clean"]:
        return f"[green]nothing broke in {said['seeds']} seeds"
    return f"[red]{len(said['broken']) + len(said['lost'])} of {said['seeds']} seeds broke something, see above"
