"""What every check of this folder reports."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule at one place; prints as `file:line: text`, which editors turn into a link."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        shown = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{shown}:{self.line}: {self.text}"


def report(name: str, findings: Iterable[Finding]) -> int:
    """Print the findings in order of place; the exit code (1 with findings, else 0)."""
    found = sorted(set(findings))
    for finding in found:
        print(finding)
    print(f"{name}: {len(found)} findings" if found else f"{name}: ok")
    return 1 if found else 0
