"""`keepstep adopt`: of two databases that are copies of each other, this one goes on."""

from typing import Any

import typer

from keepstep.cli.console import AsJson, run, say, settings, show
from keepstep.cli.service import open_service


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(adopt)


def adopt(as_json: AsJson = False) -> None:
    """After a move or a restored backup: this database goes on, the one that it was copied from never again."""

    async def adopted() -> list[dict[str, Any]]:
        from keepstep.wiring import adopting

        async with open_service(settings()) as service:
            return await adopting.adopt(service)

    rows = run(adopted())
    show(rows, as_json)
    if any(row["was_copied"] for row in rows):
        say("this one goes on; never start the other one again, its grants would be used up twice", as_json)
    else:
        say("nothing to adopt: every connection belonged to this database already", as_json)
