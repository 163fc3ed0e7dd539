"""`keepstep dead-letters`: what was given up on, and the ways out."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, CustomerId, run, say, settings, show, write
from keepstep.cli.service import open_service
from keepstep.model.errors import Refused

if TYPE_CHECKING:
    from keepstep.wiring import Service

app = typer.Typer(help="Writes that were given up on: list, show, replay, discard.", no_args_is_help=True)
STATES = ("open", "replayed", "discarded", "closed", "all")

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="The letters' ids.", show_default=False)]
Cause = Annotated[
    str | None, typer.Option("--cause", help="All open letters with this cause, as list prints it.", show_default=False)
]
By = Annotated[str | None, typer.Option("--by", help="Who says so; the login name without it.", show_default=False)]


@app.command("list")
def list_all(
    customer: CustomerId,
    state: Annotated[str, typer.Option("--state", help=f"One of {', '.join(STATES)}.")] = "open",
    as_json: AsJson = False,
) -> None:
    """By cause, and one row a letter. Exit code 3 while one is open."""
    if state not in STATES:
        raise Refused(400, f"--state: one of {', '.join(STATES)}")

    async def read() -> dict[str, Any]:
        from keepstep.wiring import letters

        async with open_service(settings()) as service:
            return await letters.listed(service, customer, None if state == "all" else state)

    found = run(read())
    if as_json:
        write(found)
    elif not found["letters"]:
        say("none")
    else:
        show(found["groups"], as_json)
        show([{name: value for name, value in row.items() if name != "next"} for row in found["letters"]], as_json)
    if any(row["state"] == "open" for row in found["letters"]):
        raise typer.Exit(NEEDS_A_PERSON)


@app.command("show")
def show_one(
    letter: Annotated[str, typer.Argument(metavar="ID", help="The letter's id.")],
    customer: CustomerId,
    as_json: AsJson = False,
) -> None:
    """Payload, answer, trace and what to do. The payload holds personal data."""

    async def read() -> dict[str, Any]:
        from keepstep.wiring import letters

        async with open_service(settings()) as service:
            return await letters.shown(service, customer, letter)

    found = run(read())
    if as_json:
        write(found)
        return
    show({name: value for name, value in found.items() if name != "trace"}, as_json)
    show([{"at": row["at"], "what": row["what"], "more": _more(row)} for row in found["trace"]], as_json)


def _more(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("at", "what")}


@app.command()
def replay(customer: CustomerId, ids: Ids = None, cause: Cause = None, by: By = None, as_json: AsJson = False) -> None:
    """Decide anew from what both sides say now. Twice is once."""
    _resolve(customer, ids, cause, by, as_json, "replayed")


@app.command()
def discard(customer: CustomerId, ids: Ids = None, cause: Cause = None, by: By = None, as_json: AsJson = False) -> None:
    """Give up for good: the same write in the same words is not tried again."""
    _resolve(customer, ids, cause, by, as_json, "discarded")


def _resolve(
    customer: str, ids: Sequence[str] | None, cause: str | None, by: str | None, as_json: bool, how: str
) -> None:
    if not ids and cause is None:
        raise Refused(400, "name letters by id, or --cause; `keepstep dead-letters list` shows both")

    async def done() -> list[dict[str, Any]]:
        from keepstep.cli.person import login
        from keepstep.wiring import letters

        ways: dict[str, Callable[[Service, str, str, str], Awaitable[dict[str, Any]]]]
        ways = {"replayed": letters.replayed, "discarded": letters.discarded}
        async with open_service(settings()) as service:
            named = await letters.chosen(service, customer, ids or (), cause)
            return [await ways[how](service, customer, one, by or login()) for one in named]

    show(run(done()), as_json)
