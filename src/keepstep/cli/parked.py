"""`keepstep parked`: people who wait for a person's word."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, CustomerId, run, say, settings, show, write
from keepstep.cli.letters import By
from keepstep.cli.service import open_service
from keepstep.model.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(help="People who wait for a person's word: list, show, overwritten, answer.", no_args_is_help=True)
ANSWERS = ("same", "nobody", "leave", "stays", "lifted", "ask")
Record = Annotated[str, typer.Argument(metavar="RECORD", help="The contact's id at the audience side.")]


@app.command("list")
def list_all(customer: CustomerId, as_json: AsJson = False) -> None:
    """Who is parked, why, since when and what to do. Exit code 3 while somebody is."""

    async def read() -> "Sequence[dict[str, Any]]":
        from keepstep.wiring import parked

        async with open_service(settings()) as service:
            return await parked.listed(service, customer)

    found = run(read())
    if as_json:
        write(found)
    elif not found:
        say("nobody is parked")
    else:
        _list(found)
    if found:
        raise typer.Exit(NEEDS_A_PERSON)


def _list(found: "Sequence[dict[str, Any]]") -> None:
    """One row a person; what to do about each reason once."""
    plain = [{name: row.get(name) for name in ("record", "reason", "since", "answers")} for row in found]
    show([{**row, "answers": ", ".join(row["answers"] or ()) or "none"} for row in plain], False)
    for reason, then in {row["reason"]: row.get("next") for row in found}.items():
        say(f"{reason}: {then}")


@app.command("show")
def show_one(record: Record, customer: CustomerId, as_json: AsJson = False) -> None:
    """What was compared, who else it could be and why not. Asks the CRM, and prints personal data."""

    async def read() -> dict[str, Any]:
        from keepstep.wiring import parked

        async with open_service(settings()) as service:
            return await parked.shown(service, customer, record)

    found = run(read())
    if as_json:
        write(found)
        return
    tables = ("alternatives", "overwritten")
    show({name: value for name, value in found.items() if name not in tables}, as_json)
    if found["overwritten"]:
        show(found["overwritten"], as_json)
    show([{**one, "why_not": one["why_not"] or "nothing"} for one in found["alternatives"]], as_json)


@app.command("overwritten")
def list_overwritten(customer: CustomerId, as_json: AsJson = False) -> None:
    """What the CRM's import wrote over, with the values read before. Exit code 3 while one stands. Personal data."""

    async def read() -> "Sequence[dict[str, Any]]":
        from keepstep.wiring import overwritten

        async with open_service(settings()) as service:
            return await overwritten.listed(service, customer)

    found = run(read())
    if found or as_json:
        show(found, as_json)
    else:
        say("nothing that is known of was written over")
    if any(row["state"] in ("overwritten", "unknown") for row in found):
        raise typer.Exit(NEEDS_A_PERSON)


@app.command()
def answer(
    record: Record,
    said: Annotated[str, typer.Argument(metavar="ANSWER", help=f"One of {', '.join(ANSWERS)}.")],
    customer: CustomerId,
    individual: Annotated[
        str | None, typer.Option("--individual", help="With `same`: the individual in the CRM.", show_default=False)
    ] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Settle a question; the answer sticks until it is replaced or taken back with `ask`."""
    if said not in ANSWERS:
        raise Refused(400, f"an answer is one of {', '.join(ANSWERS)}")
    if individual is not None and said != "same":
        raise Refused(400, "--individual goes with `same`")

    async def done() -> dict[str, Any]:
        from keepstep.cli.person import login
        from keepstep.wiring import parked

        async with open_service(settings()) as service:
            return await parked.answered(service, customer, record, said, by or login(), individual)

    show(run(done()), as_json)
