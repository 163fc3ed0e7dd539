"""The measures of the house: files under 400 lines, functions of at most 40, to be held in one head."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from checks.finding import ROOT, Finding, report

FILE_LINES = 400
FUNCTION_LINES = 40
# Tables and migrations are lists, long by nature and read by looking up.
LISTS = {"schema", "migrations"}


def findings(source: Path) -> Iterator[Finding]:
    """Files and functions under this folder that are too long, and folders that are no packages."""
    paths = [path for path in sorted(source.rglob("*.py")) if LISTS.isdisjoint(path.relative_to(source).parts)]
    for folder in {path.parent: None for path in paths if path.parent != source}:
        if not (folder / "__init__.py").exists():
            yield Finding(folder, 1, "folder without __init__.py: the import contract does not see what is in it")
    for path in paths:
        yield from file_findings(path)


def file_findings(path: Path) -> Iterator[Finding]:
    """What is too long in one file; a docstring does not count towards its function."""
    text = path.read_text(encoding="utf-8")
    if (lines := text.count("\n")) >= FILE_LINES:
        yield Finding(path, lines, f"file of {lines} lines; stay under {FILE_LINES}")
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (length := body_lines(node)) > FUNCTION_LINES:
            yield Finding(path, node.lineno, f"{node.name} has {length} lines; at most {FUNCTION_LINES}")


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, without its docstring."""
    documented = ast.get_docstring(node, clean=False) is not None and len(node.body) > 1
    start = node.body[1].lineno if documented else node.lineno + 1
    return (node.end_lineno or start) - start + 1


if __name__ == "__main__":
    sys.exit(report("house", findings(ROOT / "src")))
