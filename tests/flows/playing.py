"""Demos on real processes: the report, and what both stand-ins hold at the end."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepstep.cli.demo import Demo

PARTITION = ("in_step", "pending", "parked", "left_out", "lost")


@dataclass(frozen=True, slots=True)
class Played:
    """One demo that ended: the judge's report, both stand-ins' canonical states with one digest each, the kills."""

    report: dict[str, Any]
    state: dict[str, Any]
    kills: list[dict[str, Any]]

    @property
    def digests(self) -> dict[str, str]:
        return {name: text for name, text in self.state.items() if name != "canonical"}

    def differs(self, other: "Played") -> list[str]:
        """The records that only one of two ends has."""
        mine, theirs = (
            {json.dumps(row, sort_keys=True) for rows in one.state["canonical"].values() for row in rows}
            for one in (self, other)
        )
        return sorted(mine ^ theirs)


def played(
    folder: Path,
    *,
    seed: int = 1,
    days: int = 3,
    count: int = 40,
    kills: Any = 0,
    database: str | None = None,
    switches: dict[str, dict[str, str]] | None = None,
) -> Played:
    """Play one demo in this folder."""
    folder.mkdir(exist_ok=True)
    one = Demo(folder, None, seed, days, kills, count, database, switches or {})
    try:
        one.begin()
        asked = [step["ask"] for step in one.steps() if step["ask"]]
        return Played(one.judged(), one.ask("GET", "/state?full=1"), asked)
    finally:
        one.end()


def parts(report: dict[str, Any]) -> int:
    """How many people the report's classes hold together."""
    return sum(size(report[name]) for name in PARTITION)


def size(value: Any) -> int:
    return sum(value.values()) if isinstance(value, dict) else int(value)
