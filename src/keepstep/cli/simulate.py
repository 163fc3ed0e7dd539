"""`keepstep simulate`: days of people, staff and mishaps on stand-ins of both vendors, with a customer's own settings.

The product knows nothing of the simulator: it is another program, which tells how far it is line by line.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepstep.cli.console import CONFIG, FAILED, FINE, AsJson, config_path, say, settings, write
from keepstep.model.errors import Problem

if TYPE_CHECKING:
    from rich.console import Console

    from keepstep.settings import Settings

Report = dict[str, Any]
ENDED = (0, 1)  # nothing broke, something did


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(simulate)


def simulate(
    seeds: Annotated[int, typer.Option(min=1, help="How many stories; each is another one.")] = 100,
    days: Annotated[int, typer.Option(min=2, max=31, help="How many nights pass in each.")] = 3,
    start: Annotated[int, typer.Option(min=0, help="The first seed: the same one is the same story.")] = 0,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file, as before the command.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try your settings: simulated days with crashes, lost answers and opt-outs. Nothing real is called or written."""
    if config is not None:
        CONFIG.set(config)
    there = settings()
    with tempfile.TemporaryFile("w+") as errors:
        report = _played(_command(there, seeds, days, start), seeds, errors, as_json)
    write(report) if as_json else told(report, there)
    raise typer.Exit(FINE if report["clean"] else FAILED)


def _command(there: "Settings", seeds: int, days: int, start: int) -> list[str]:
    given = {"--seeds": seeds, "--days": days, "--start": start}
    words = [word for name, value in given.items() for word in (name, str(value))]
    named = ["--config", str(config_path())] if there.path else []
    return [sys.executable, "-m", "keepstep_simulator", "quick", "--lines", *words, *named]


def _played(command: Sequence[str], seeds: int, errors: Any, quiet: bool) -> Report:
    """The report of the simulator, whose progress is shown meanwhile."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    found: Report | None = None
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True) as one:
        with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
            task = bar.add_task("simulated days", total=seeds)
            for line in _lines(one):
                found = line.get("report", found)
                if far := line.get("progress"):
                    bar.update(task, completed=far["seeds"], description=_how_far(far))
    if one.returncode not in ENDED or found is None:
        errors.seek(0)
        raise Problem(f"the simulator ended with {one.returncode}: {errors.read().strip()[-400:]}")
    return found


def _lines(one: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    assert one.stdout is not None
    for line in one.stdout:
        yield json.loads(line)


def _how_far(far: Mapping[str, Any]) -> str:
    broken = f", {far['broken']} broke something" if far["broken"] else ""
    return f"{far['seeds']} of {far['of']} stories{broken}"


# the end, for people


def told(report: Report, there: "Settings") -> None:
    """What was tried, what was found, what to do next."""
    from rich.console import Console

    console = Console(highlight=False)
    one = report["medians"]
    say(
        f"{report['seeds']} stories of about {one['days']:g} days were played, most with {one['customers']:g} customers"
        f" and {one['people']:g} people, in {report['wall_seconds']:.0f} seconds."
    )
    say(_whose(there))
    console.print(_tried(report["tried"]))
    checked = [each for each in report["invariants"] if each.get("seeds")]
    say(f"{len(checked)} rules were checked, each wherever it applied (--json names them).")
    _verdict(report, console)


def _whose(there: "Settings") -> str:
    from keepstep.model.customer import NO_CRM

    both = [name for name, one in sorted(there.customers.items()) if one.route.crm != NO_CRM]
    alone = [name for name in sorted(there.customers) if name not in both]
    whose = f"With the mapping, policy and cadences of {', '.join(both)}." if both else "With the usual settings."
    return whose + (f" Not played, for they have no CRM: {', '.join(alone)}." if alone else "")


def _tried(tried: Mapping[str, int]) -> Any:
    from rich.table import Table

    table = Table("what was tried", "times", box=None)
    for what, times in tried.items():
        table.add_row(what, str(times))
    return table


def _verdict(report: Report, console: "Console") -> None:
    if report["clean"]:
        console.print("[green]Nothing broke: everybody ended in step, and no opt-out was lost or undone.")
        say("next: `keepstep plan` shows what would be written for your own people")
        return
    names = {one["id"]: one.get("says") for one in report["invariants"]}
    for one in report["broken"][:20]:
        first = one["violations"][0]
        console.print(f'[red]story {one["seed"]}: broken is "{names[first["invariant"]]}":[/red]', end=" ")
        console.print(first["why"], markup=False, soft_wrap=True)
    for one in report["lost"]:
        say(f"story {one['seed']}: {one['why']}")
    for seed in report["twice"]["unlike"]:
        say(f"story {seed} is not the same when it is played again")
    for one in report["stories"]:
        say("\n" + "\n".join(one["lines"]))
    say("\nnext: this is a bug of Keepstep: please report it with the numbers of the stories and the settings file")
