"""What commands share: the settings, output for people and for scripts, and errors in words."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from keepstep.model.errors import Blocked, Misconfigured, Overloaded, Permanent, Problem, Refused, Transient

if TYPE_CHECKING:
    from rich.table import Table

    from keepstep.settings import Settings

T = TypeVar("T")

FINE, FAILED, WRONG_USAGE, NEEDS_A_PERSON = 0, 1, 2, 3
DEFAULT_CONFIG = Path("keepstep.toml")
IDS = ("record", "id", "run", "row", "at", "since")
WORDS = ("reason", "why", "kind", "side", "category", "what", "repair", "field", "kept")
CONFIG: ContextVar[Path | None] = ContextVar("config", default=None)

AsJson = Annotated[bool, typer.Option("--json", help="For scripts: one JSON document on standard output.")]
CustomerId = Annotated[str, typer.Option("--customer", help="The customer's id.")]
MaybeCustomer = Annotated[str | None, typer.Option("--customer", help="One customer only.", show_default=False)]


def config_path() -> Path:
    """The settings file that the command line or the environment names."""
    return CONFIG.get() or DEFAULT_CONFIG


def settings() -> "Settings":
    """The settings; without a file, where none was named, all defaults and the environment."""
    from keepstep.settings import load

    path = config_path()
    named = CONFIG.get() is not None
    return load(path if named or path.exists() else None, os.environ)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on the faster loop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def show(value: Any, as_json: bool) -> None:
    """A value for scripts, or for people as a table (rows) or a list of names and values."""
    if as_json:
        write(value)
    elif isinstance(value, Mapping):
        _print(_pairs(value))
    else:
        _print(_rows(value) if value else "nothing")


def say(text: str, as_json: bool = False) -> None:
    """A sentence for people; scripts are spared it."""
    if not as_json:
        _print(text)


@contextmanager
def telling(as_json: bool, begun: str, words: Callable[[T], str]) -> Iterator[Callable[[T], None]]:
    """A line on standard error that says how far long work is; `words` puts it into words. Scripts are spared it."""
    if as_json:
        yield lambda _found: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(begun)
        yield lambda found: bar.update(task, description=words(found))


def write(value: Any) -> None:
    """One JSON document; numbers that JSON does not know become null."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()
    sys.stdout.write(text + "\n")


def failed(error: Exception, as_json: bool) -> int:
    """Say what happened and what to do next.

    The exit code. Words of an unknown error may quote a record: they are not shown.
    """
    what, then, code = described(error)
    if as_json:
        write({"error": {"kind": type(error).__name__, "what": what, "next": then}})
    else:
        sys.stderr.write(f"keepstep: {what}\n" + (f"next: {then}\n" if then else ""))
    return code


def described(error: Exception) -> tuple[str, str, int]:
    """(what happened, what to do next, exit code)."""
    if isinstance(error, Problem):
        then, code = next(known for kind, known in _NEXT.items() if isinstance(error, kind))
        return str(error), then, code
    from keepstep.telemetry import trouble_of

    place = trouble_of(error)
    # A driver's message quotes the statement's values; the class tells enough to act on.
    if type(error).__module__.startswith(("sqlalchemy", "psycopg", "sqlite3")):
        then = "check `database` in the settings with `keepstep doctor`"
        return f"the database failed ({place['error']})", then, FAILED
    if isinstance(error, OSError):
        return f"{error.strerror or place['error']}", "check the address or file named in the settings", FAILED
    where = f"{place.get('file')}:{place.get('line')}"
    return f"unexpected {place['error']} at {where}", "this is a bug: please report this line", FAILED


_NEXT: Mapping[type[Problem], tuple[str, int]] = {
    Misconfigured: ("correct what is named, then run `keepstep doctor`", WRONG_USAGE),
    Blocked: ("act on this, then `keepstep customer resume ID`", NEEDS_A_PERSON),
    Overloaded: ("wait until the queue is shorter (`keepstep status`)", FAILED),
    Transient: ("try again in a while; nothing is lost", FAILED),
    Permanent: ("look at the vendor's answer; this call will not work as it is", FAILED),
    Refused: ("correct the input", WRONG_USAGE),
    Problem: ("", FAILED),
}


def _print(what: "str | Table") -> None:
    from rich.console import Console

    # Not `markup`: names in brackets are data.
    Console(markup=False, highlight=False, soft_wrap=isinstance(what, str)).print(what)


def _pairs(value: Mapping[str, Any]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    for _ in ("name", "value"):
        table.add_column(overflow="fold")  # an address that is cut short leads nowhere
    for name, each in _flat(value):
        table.add_row(Text(name, style="bold"), Text(_cell(each)))
    return table


def _flat(value: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, each in value.items():
        if isinstance(each, Mapping) and each:
            found += _flat(each, f"{above}{name} ")
        else:
            found.append((f"{above}{name}", each))
    return found


def _rows(rows: Sequence[Any]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    maps = [row if isinstance(row, Mapping) else {"value": row} for row in rows]
    there = list(dict.fromkeys(name for row in maps for name in row))
    names = [name for name in there if any(row.get(name) is not None for row in maps)] or there
    table = Table()
    for name in names:
        # What is cut short or broken over lines cannot be typed into the next command, or looked up.
        table.add_column(name.replace("_", " "), no_wrap=name in IDS + WORDS, overflow="fold")
    for row in maps:
        table.add_row(*(Text(_cell(row.get(name))) for name in names))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_cell(each)}" for name, each in value.items()) or "-"
    if isinstance(value, (list, tuple)):
        return "\n".join(_cell(each) for each in value) or "-"
    return str(value)
