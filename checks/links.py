"""Every relative link in a document leads to a file of the project."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from checks.finding import ROOT, Finding, report

LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s+(\S+)")
CODE = re.compile(r"`[^`]*`")
ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//|#)", re.IGNORECASE)


def findings(root: Path) -> Iterator[Finding]:
    """Dead relative links in the documents under this folder; hidden folders are not ours."""
    for path in sorted(root.rglob("*.md")):
        if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(root).parts[:-1]):
            yield from document_findings(path, root)


def document_findings(path: Path, root: Path) -> Iterator[Finding]:
    """Dead relative links in one document."""
    for number, link in links(path.read_text(encoding="utf-8")):
        target = unquote(link.partition("#")[0])
        place = root / target.lstrip("/") if target.startswith("/") else path.parent / target
        if not place.exists():
            yield Finding(path, number, f"link to {link}: no such file")


def links(text: str) -> Iterator[tuple[int, str]]:
    """Line number and target of the relative links outside code."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        if not fenced:
            targets = (match[1] or match[2] for match in LINK.finditer(CODE.sub("", line)))
            yield from ((number, target) for target in targets if not ELSEWHERE.match(target))


if __name__ == "__main__":
    sys.exit(report("links", findings(ROOT)))
