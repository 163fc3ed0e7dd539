"""`keepstep consent` and `keepstep conflicts`."""

from typing import Annotated, Any

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, CustomerId, run, say, settings, show, write
from keepstep.cli.service import open_service
from keepstep.model.errors import Refused


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(consent)
    app.command()(conflicts)


def consent(
    customer: CustomerId,
    address: Annotated[str | None, typer.Argument(metavar="EMAIL", help="The address.", show_default=False)] = None,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="Are all opt-outs on both sides? The nightly proof.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """May we mail this address, and why. Exit code 0 for yes, 3 for no and unknown."""
    if certificate is (address is not None):
        raise Refused(400, "give an address or --certificate")

    async def read() -> dict[str, Any]:
        from keepstep.wiring import proof

        async with open_service(settings()) as service:
            if address is None:
                return await proof.certificate(service, customer)
            return await proof.may_mail(service, customer, address)

    found = run(read())
    write(found) if as_json else _told(found)
    if found.get("may_mail", "yes") != "yes" or found.get("verdict", "complete") != "complete":
        raise typer.Exit(NEEDS_A_PERSON)


def _told(found: dict[str, Any]) -> None:
    lists = ("people", "acts", "records")
    show({name: value for name, value in found.items() if name not in lists}, False)
    for name in lists:
        if found.get(name):
            say(name)
            show([{key: value for key, value in row.items() if key != "acts"} for row in found[name]], False)


def conflicts(
    customer: CustomerId,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Fields in which both sides differ on purpose, with both values, which are personal data, and whose was kept."""

    async def read() -> list[dict[str, Any]]:
        from keepstep.wiring import proof

        async with open_service(settings()) as service:
            return await proof.conflicts(service, customer, limit)

    found = run(read())
    if found or as_json:
        show(found, as_json)
    else:
        say("no conflicts")
