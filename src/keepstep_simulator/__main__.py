"""`python -m keepstep_simulator`: seeds, one after another; exit code 1 with the seed and the story of what broke."""

import argparse
import json
import sys
import time
from collections import Counter
from typing import Any

import structlog

from keepstep_simulator.run import Outcome, simulate
from keepstep_simulator.story import Fact

BEFORE, AFTER = 60, 5  # facts of the story around a violation


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds asked for."""
    asked = _asked(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    seeds = [asked.seed] if asked.seed is not None else range(asked.start, asked.start + asked.seeds)
    totals: Counter[str] = Counter()
    broken: list[Outcome] = []
    began = time.perf_counter()
    for count, seed in enumerate(seeds, 1):
        outcome = simulate(seed)
        totals.update(_figures(outcome))
        if outcome.violations:
            broken.append(outcome)
            _tell(outcome, asked.json)
        _progress(count, len(seeds), time.perf_counter() - began, len(broken))
    report = {**totals, "seeds": len(seeds), "violations": sum(len(one.violations) for one in broken)}
    _say(report, broken, asked.json)
    return 1 if broken else 0


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="keepstep_simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--start", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--seed", type=int, help="one seed, with its story")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser.parse_args(arguments)


def _figures(outcome: Outcome) -> dict[str, int]:
    figures = {"calls": outcome.calls, "crashes": outcome.crashes, "faults": outcome.faults, "points": outcome.points}
    return figures | {f"premises {name}": count for name, count in outcome.premises.items()}


def _progress(count: int, of: int, seconds: float, broken: int) -> None:
    end = "\n" if count == of else ""
    print(f"\r{count} of {of} seeds, {count / seconds:.1f}/s, {broken} broken ", end=end, file=sys.stderr, flush=True)


def _tell(outcome: Outcome, as_json: bool) -> None:
    """The first violation with what happened around it."""
    if as_json:
        return
    first = min(outcome.violations, key=lambda one: one.n)
    print(f"\nseed {outcome.seed}: {len(outcome.violations)} violations; again with --seed {outcome.seed}")
    for fact in outcome.story.facts[max(0, first.n - BEFORE) : first.n + AFTER]:
        if fact.kind != "TX" or fact.data["rows"]:
            print(_line(fact))
    for violation in outcome.violations:
        print(f"  {violation.invariant} at {violation.n}: {violation.why}")


def _line(fact: Fact) -> str:
    data = {name: str(value)[:80] for name, value in fact.data.items() if name not in ("stored", "report")}
    return f"{fact.n:6} {fact.t:.2f} p{fact.process} {fact.customer:10} {fact.kind:5} {fact.key} {data}"


def _say(report: dict[str, Any], broken: list[Outcome], as_json: bool) -> None:
    if as_json:
        found = [{"seed": one.seed, "violations": [v.why for v in one.violations]} for one in broken]
        print(json.dumps(report | {"broken": found}))
        return
    for name, value in report.items():
        print(f"{name:18} {value}")


if __name__ == "__main__":
    sys.exit(main())
