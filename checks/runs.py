"""Every value of every switch of the stand-ins is played by some test, and the catalogue of traps names what exists."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from checks.finding import ROOT, Finding, report
from keepstep_simulator import disputes

Value = tuple[str, str, str]
TRAPS = ROOT / "docs" / "reference" / "traps.toml"
WEEK = "tests/simulator/test_weeks.py::test_a_week_passes"


def played(root: Path = ROOT) -> dict[Value, list[str]]:
    """(vendor, switch, value) to the tests that play it: weeks of the simulator, and tests marked with `switch`."""
    found: dict[Value, list[str]] = {value: [] for value in _values()}
    for number in range(disputes.WEEKS):
        for vendor, switches in disputes.of_seed(number).items():
            for name, value in switches.items():
                if (vendor, name) not in disputes.UNREACHED:
                    found[vendor, name, value].append(f"{WEEK}[{number}]")
    for test, marked in _marked(root / "tests"):
        found.setdefault(marked, []).append(test)
    return found


def _values() -> Iterator[Value]:
    for vendor, registry in disputes.REGISTRIES.items():
        yield from ((vendor, switch.name, value) for switch in registry for value in switch.values)


def _marked(folder: Path) -> Iterator[tuple[str, Value]]:
    """Decorators `pytest.mark.switch(vendor, name, value, ...)` with the test they stand on."""
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                for words in filter(None, map(_words, node.decorator_list)):
                    name = f"{path.relative_to(folder.parent).as_posix()}::{node.name}"
                    yield from ((name, (words[0], words[1], value)) for value in words[2:])


def _words(decorator: ast.expr) -> list[str]:
    if not isinstance(decorator, ast.Call) or ast.unparse(decorator.func) != "pytest.mark.switch":
        return []
    return [str(ast.literal_eval(argument)) for argument in decorator.args]


def findings(root: Path = ROOT) -> Iterator[Finding]:
    """Values nobody plays, marks of values that do not exist, and traps whose switch, guard or test does not exist."""
    known = set(_values())
    for value, tests in played(root).items():
        if not tests:
            yield Finding(root / "docs" / "reference" / "switches.md", 1, f"{' '.join(value)}: no test plays it")
        elif value not in known:
            yield Finding(root / tests[0].partition("::")[0], 1, f"mark of {' '.join(value)}: no such value")
    for number, trap in enumerate(traps(), 1):
        yield from (Finding(TRAPS, number, f"{trap['id']}: {text}") for text in _wrong(trap, root))
    yield from (Finding(TRAPS, 1, text) for text in _unnamed(root))


def traps() -> list[dict[str, Any]]:
    """The catalogue: id, quirk, source, guard and test of each trap; some with recipe, planted, switch and either."""
    rows: list[dict[str, Any]] = tomllib.loads(TRAPS.read_text(encoding="utf-8"))["trap"]
    return rows


def _wrong(trap: dict[str, Any], root: Path) -> Iterator[str]:
    wanted = {"id", "quirk", "source", "guard", "test"} | ({"either"} if "switch" in trap else set())
    missing = wanted - trap.keys()
    if missing:
        yield f"without {', '.join(sorted(missing))}"
        return
    yield from (f"no guard {guard}" for guard in trap["guard"] if not _exists(guard))
    yield from (f"no test {test}" for test in trap["test"] if not _is_test(test, root))
    yield from (f"no switch {name}" for name in trap.get("switch", ()) if name not in _switches())
    yield from (f"no planted mistake {name}" for name in trap.get("planted", ()) if name not in _planted(root))


def _unnamed(root: Path) -> Iterator[str]:
    """Switches and planted mistakes that the catalogue does not have, and ids that it has twice."""
    named = {name for trap in traps() for name in (*trap.get("switch", ()), *trap.get("planted", ()))}
    yield from (f"no trap names the switch {name}" for name in _switches() if name not in named)
    yield from (f"no trap names the planted mistake {name}" for name in _planted(root) if name not in named)
    ids = [trap["id"] for trap in traps()]
    yield from (f"{one} is given twice" for one in sorted(set(ids)) if ids.count(one) > 1)


def _switches() -> list[str]:
    return [f"{vendor}.{switch.name}" for vendor, registry in disputes.REGISTRIES.items() for switch in registry]


def _planted(root: Path) -> list[str]:
    """Functions of tests/planted that take a MonkeyPatch alone."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((root / "tests" / "planted").glob("*.py"))]
    functions = [node for text in texts for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return [one.name for one in functions if [argument.arg for argument in one.args.args] == ["patch"]]


def _exists(guard: str) -> bool:
    """`package.module:name.name`."""
    module, _, names = guard.partition(":")
    try:
        found: Any = import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError):
        return False
    return True


def _is_test(test: str, root: Path) -> bool:
    path, _, name = test.partition("::")
    file = root / path
    return file.is_file() and (not name or f"def {name}(" in file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(report("runs", findings()))
