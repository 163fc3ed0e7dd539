"""The edges are ports: clock, randomness, ids, sleep, spawn, threads and the network are passed in, never taken.

Only then does the same code run under the simulator's seeded virtual clock, twice alike. Sets are not iterated for the
same reason: the order of a set of strings differs from process to process. A new module is checked from its first line;
the few that implement ports are exempt, each with its reason.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from checks.finding import ROOT, Finding, report
from checks.unordered import unordered

EXEMPT = {
    "cli": "starts the program in the real world",
    "database": "threads are how synchronous SQL is awaited; offset() asks PostgreSQL for its clock",
    "web": "answers real sockets under uvicorn",
    "wire/http.py": "the HTTP port itself, on aiohttp",
    "wiring": "hands in the real clock, randomness and tasks",
}

# A name stands for everything below it: "random" is the whole module.
TAKEN = {
    "clock": """time.time time.time_ns time.monotonic time.monotonic_ns time.perf_counter time.perf_counter_ns
        time.localtime time.gmtime datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today
        datetime.date.today""",
    "sleep": "time.sleep asyncio.sleep",
    "randomness": "random secrets os.urandom",
    "ids": "uuid.uuid1 uuid.uuid4",
    "spawn": """asyncio.create_task asyncio.ensure_future asyncio.wait asyncio.as_completed asyncio.gather
        asyncio.TaskGroup asyncio.run asyncio.new_event_loop""",
    "threads": "threading _thread concurrent.futures multiprocessing subprocess asyncio.to_thread",
    "network": "aiohttp httpx requests urllib.request http.client socket asyncio.open_connection asyncio.start_server",
}
FORBIDDEN = {name: port for port, names in TAKEN.items() for name in names.split()}
# On any object, for a loop or a task group may have any name.
METHODS = {
    "create_task": "spawn",
    "run_in_executor": "threads",
    "call_later": "sleep",
    "call_soon_threadsafe": "threads",
}

# SQL never reads a clock: two workers' statements would be ordered by two clocks, and the simulator owns neither.
SQL_CLOCK = re.compile(
    r"""\b(current_timestamp|current_date|current_time|localtimestamp|now\s*\(\s*\)|clock_timestamp|statement_timestamp
    |unixepoch\s*\(\s*\)|(?:datetime|date|strftime|julianday|unixepoch)\s*\([^)]*'now'
    |gen_random_uuid|random\s*\(\s*\)|randomblob)""",
    re.IGNORECASE | re.VERBOSE,
)
SQL_FUNCTIONS = {
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "random",
    "gen_random_uuid",
    "clock_timestamp",
}


def findings(package: Path) -> Iterator[Finding]:
    """Findings in every module of the package `keepstep` at this folder that is not exempt."""
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        if not {inside.as_posix(), inside.with_suffix("").as_posix(), inside.parts[0]} & EXEMPT.keys():
            yield from module_findings(path)


def module_findings(path: Path) -> Iterator[Finding]:
    """Findings in one file."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    names = imported(tree)
    for line, text in (*taken(tree, names), *sql_clocks(tree), *unordered(tree)):
        yield Finding(path, line, text)


def imported(tree: ast.Module) -> dict[str, str]:
    """Local name to dotted name, for every import of the file."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def taken(tree: ast.Module, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Ports taken instead of passed in: by import, by name, by method."""
    for node in ast.walk(tree):
        for dotted in mentions(node, names):
            if port := port_of(dotted):
                yield node.lineno, f"{dotted}: {port} is a port; take it as an argument"  # type: ignore[attr-defined]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            yield node.lineno, f".{node.func.attr}(): {METHODS[node.func.attr]} is a port; take it as an argument"


def mentions(node: ast.AST, names: dict[str, str]) -> list[str]:
    """The dotted names that a node speaks of."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, (ast.Attribute, ast.Name)) and (name := dotted_name(node, names)):
        return [name]
    return []


def dotted_name(node: ast.expr, names: dict[str, str]) -> str | None:
    """`dt.datetime.now` after `import datetime as dt` is `datetime.datetime.now`; None when it starts at no import."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and (start := dotted_name(node.value, names)):
        return f"{start}.{node.attr}"
    return None


def port_of(dotted: str) -> str | None:
    """The port that a dotted name goes around, if any."""
    parts = dotted.split(".")
    prefixes = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return next((FORBIDDEN[prefix] for prefix in prefixes if prefix in FORBIDDEN), None)


def sql_clocks(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """SQL that reads a clock or rolls dice, in text or as `func.now()`."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            if match := SQL_CLOCK.search(node.value):
                yield node.lineno, f"{match.group(0)}: SQL never reads a clock or rolls dice; bind the value"
        elif isinstance(node, ast.Attribute) and node.attr in SQL_FUNCTIONS and is_func(node.value):
            yield node.lineno, f"func.{node.attr}: SQL never reads a clock or rolls dice; bind the value"


def is_func(node: ast.expr) -> bool:
    """Whether this is SQLAlchemy's `func`."""
    return (isinstance(node, ast.Name) and node.id == "func") or (
        isinstance(node, ast.Attribute) and node.attr == "func"
    )


if __name__ == "__main__":
    sys.exit(report("ports", findings(ROOT / "src" / "keepstep")))
