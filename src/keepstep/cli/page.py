"""How status and timeline look to a person at a terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]
SAID: Mapping[str, Callable[[Row], str]] = {
    "standing": lambda row: _words(row.get("standing")) + (f": {_words(row['reason'])}" if row.get("reason") else ""),
    "outcome": lambda row: (
        f"{_words(row.get('step'))} {'to the CRM' if row.get('side') == 'crm' else 'to the list service'}"
        f": {row.get('outcome')}" + (f" ({row['why']})" if row.get("why") else "")
    ),
    "conflict": lambda row: f"both sides changed {_words(row.get('field'))}; the CRM's value stays",
    "merged": lambda _row: "two households turned out to be one",
    "consent out": lambda row: (
        f"opted out ({row.get('kind')}, by {row.get('source')}), not later than {row.get('before')}"
    ),
    "consent in": lambda row: f"opted in again by their own act, at {row.get('happened')}",
}


def status(value: Row) -> None:
    """One block a customer."""
    console = Console()
    customers: Sequence[Row] = value["customers"]
    if not customers:
        console.print("nobody is served yet: add a customer with `keepstep customer add ID`")
    for one in customers:
        console.print(f"[bold]{one['customer']}[/bold]  " + _pairs(one["connections"]))
        console.print(_figures(one))
        console.print(_polls(one["polls"]))


def _figures(one: Row) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("people", _pairs(one["people"]) or "nobody was captured yet")
    for reason, count in one["reasons"].items():
        table.add_row("", f"{count} {_words(reason)}")
    table.add_row("marked", _pairs(one["queue"]) or "nothing")
    table.add_row("steps", _pairs(one["steps_held"]) or "none wait")
    batch = f"{one['waiting_for_batch']} wait, the longest {_age(one['waiting_longest_seconds'])}"
    table.add_row("nightly batch", batch if one["waiting_for_batch"] else "nobody waits")
    table.add_row("dead letters", str(one["dead_letters"]))
    table.add_row("last trouble", _pairs(one["last_trouble"]) if one["last_trouble"] else "none")
    table.add_row("calls today", _pairs(one["calls_today"]))
    return table


def _polls(polls: Mapping[str, Row]) -> Table:
    table = Table("poll", "last", "next", box=None, padding=(0, 2), header_style="dim")
    for name, poll in polls.items():
        if poll["next"] or poll["last"]:
            table.add_row(_words(name), poll["last"] or "-", poll["next"] or "-")
    return table


def timeline(rows: Iterable[Row]) -> None:
    """One line an event, oldest first."""
    console = Console()
    for row in rows:
        say = SAID.get(str(row["what"]), _plain)
        line = Text(f"{row['at']}  ", style="dim")
        console.print(line.append(say(row), style="not dim"), soft_wrap=True)


def _plain(row: Row) -> str:
    rest = {name: value for name, value in row.items() if name not in ("at", "what", "record") and value is not None}
    return f"{_words(row['what'])} {_pairs(rest)}".strip()


def _pairs(values: Row) -> str:
    return ", ".join(f"{_words(name)} {value}" for name, value in values.items())


def _words(name: Any) -> str:
    return str(name).replace("_", " ")


def _age(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} h" if hours >= 1 else f"{seconds / 60:.0f} min"
