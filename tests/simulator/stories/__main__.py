"""`python -m tests.simulator.stories tests.planted.consent:widens_unread I5 calm`: finds a seed, shrinks it, keeps it.

With "" for the bug, the product itself is asked; with `--seed`, that seed alone. With `--again` and nothing else, the
stories of all planted bugs are found anew: a simulator that draws otherwise has other seeds.
"""

import argparse
import inspect
import subprocess
import sys
import time

import pytest
import structlog

from keepstep_simulator import shrink, story
from keepstep_simulator.narrative import narrate
from tests.simulator.stories import FOLDER, MOST_FACTS, PLANS, Stored, found, keep, read

_SAME = ("bug", "invariant", "plan", "tells")


def main() -> int:
    """Prints stories and where they are kept."""
    asked = _asked()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if not asked.again:
        return 0 if _kept(asked) else 1
    old = [one for one in read() if one.bug]
    for one in old:
        (FOLDER / f"{one.name}.json").unlink()
    given = {"seed": None, "seeds": asked.seeds, "most": asked.most}
    again = [argparse.Namespace(**given, **{name: getattr(one, name) for name in _SAME}) for one in old]
    kept = [_kept(one) for one in again]
    return 0 if all(kept) else 1


def _kept(asked: argparse.Namespace) -> bool:
    """Find one story and keep it; whether there was one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(story, "MOST_FACTS", MOST_FACTS)
        if asked.bug:
            found(asked.bug)(patch)
        seed = _first(asked)
        if seed is None:
            print(f"{asked.bug}: silent for {asked.seeds} seeds")
            return False
        began = time.perf_counter()
        stored = _shrunk(asked, seed)
    print("\n".join(stored.lines))
    print(f"{stored.runs} runs, {time.perf_counter() - began:.0f} s: {keep(stored)}", flush=True)
    return True


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.simulator.stories", description=__doc__)
    parser.add_argument("bug", nargs="?", default="")
    parser.add_argument("invariant", nargs="?", default="")
    parser.add_argument("plan", nargs="?", default="default")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--tells", default="")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--most", type=int, default=shrink.MOST_RUNS)
    return parser.parse_args()


def _first(asked: argparse.Namespace) -> int | None:
    """The first seed that breaks it."""
    for seed in range(asked.seeds) if asked.seed is None else [asked.seed]:
        broken = {one.invariant for one in shrink.retold(seed, PLANS[asked.plan](seed), None).violations}
        print(f"seed {seed}: {', '.join(sorted(broken)) or 'clean'}", file=sys.stderr, flush=True)
        if asked.invariant in broken:
            return seed
    return None


def _shrunk(asked: argparse.Namespace, seed: int) -> Stored:
    plan = PLANS[asked.plan](seed)
    minimal = shrink.shrink(shrink.player(seed, plan), seed, asked.invariant, asked.most)
    outcome = shrink.retold(seed, plan, minimal.only)
    says = asked.tells or (inspect.getdoc(found(asked.bug)) if asked.bug else "") or ""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return Stored(
        bug=asked.bug,
        tells=says,
        invariant=asked.invariant,
        seed=seed,
        plan=asked.plan,
        only=sorted(minimal.only),
        commit=commit.stdout.strip(),
        runs=minimal.runs,
        lines=narrate(minimal, outcome.story, outcome.script),
    )


if __name__ == "__main__":
    sys.exit(main())
