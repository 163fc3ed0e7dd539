"""The command line. Names, JSON keys and exit codes are promises: scripts are built on them.

0 fine, 1 failed, 2 wrong usage or settings, 3 needs a person. Modules here import what is heavy inside their
commands, so that `--help` and completion answer at once.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from keepstep.cli import (
    adopt,
    alerts,
    begin,
    brake,
    connect,
    customer,
    explain,
    feed,
    letters,
    look,
    parity,
    parked,
    partner,
    plan,
    proof,
    reconcile,
    run,
    simulate,
    undo,
    vault,
)
from keepstep.cli.console import CONFIG, failed

app = typer.Typer(
    name="keepstep",
    help="Keeps Constant Contact and Virtuous CRM+ in step, both ways, and fills lists from SQL tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def everywhere(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", envvar="KEEPSTEP_CONFIG", help="Settings file.", show_default=False)
    ] = None,
) -> None:
    """Options of every command."""
    CONFIG.set(config)


@app.command()
def demo(
    people: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON lines of people to play with.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another week.")] = 1,
    database: Annotated[str | None, typer.Option(help="Database URL; a temporary SQLite file without it.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the database and the settings file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    days: Annotated[int, typer.Option(min=3, help="How many simulated days.")] = 5,
    count: Annotated[int, typer.Option(min=1, help="How many people, without a file of them.")] = 500,
    switch: Annotated[
        list[str] | None,
        typer.Option(help="How the stand-ins are, vendor.name=value; again for each.", show_default=False),
    ] = None,
    switches: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A TOML file of them, one table a vendor.")
    ] = None,
) -> int:
    """Stand-ins of both vendors, the service and a simulated week; ends with a report that adds up."""
    from keepstep.cli.demo import chosen
    from keepstep.cli.demo import demo as played

    how = chosen(switches, switch or ())
    done = played(
        people=people, seed=seed, database=database, keep=keep, json=as_json, days=days, count=count, switches=how
    )
    raise typer.Exit(done or 0)


for group in (begin, connect, adopt, run, look, explain, plan, proof, reconcile, parity, undo, simulate):
    group.add_to(app)
app.add_typer(customer.app, name="customer")
app.add_typer(letters.app, name="dead-letters")
app.add_typer(parked.app, name="parked")
app.add_typer(brake.app, name="brake")
app.add_typer(feed.app, name="feed")
app.add_typer(alerts.app, name="alerts")
app.add_typer(partner.app, name="partner")
app.add_typer(vault.app, name="vault")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. The one place that turns an error into words."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(given, prog_name="keepstep")
    except SystemExit as over:
        return over.code if isinstance(over.code, int) else 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # whatever it is, a user gets words and an exit code, never a traceback
        return failed(error, as_json="--json" in given)
    return 0
