"""`keepstep status` and `keepstep timeline`."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from keepstep.cli.console import FAILED, AsJson, CustomerId, MaybeCustomer, run, say, settings, show
from keepstep.cli.service import open_service


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(status)
    app.command()(timeline)


def status(
    customer: MaybeCustomer = None,
    people: Annotated[bool, typer.Option("--people", help="One row a person.")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue by lane, oldest age, in step, pending, parked, budget left, last poll."""

    async def read() -> None:
        from keepstep.cli import page

        async with open_service(settings()) as service:
            if people:
                show(list(await service.claims(customer)), as_json)
            else:
                _shown(page.status, await service.status(customer), as_json)

    run(read())


def timeline(
    record: Annotated[str, typer.Argument(help="Record id of either platform, or an email address.")],
    customer: CustomerId,
    as_json: AsJson = False,
) -> None:
    """Everything that happened to one person and why."""

    async def read() -> bool:
        from keepstep.cli import page

        async with open_service(settings()) as service:
            rows = list(await service.timeline(customer, record))
        if rows or as_json:
            _shown(page.timeline, rows, as_json)
        else:
            say(f"nothing is known of {record}; `keepstep status --customer {customer} --people` lists everybody")
        return bool(rows)

    if not run(read()):
        raise typer.Exit(FAILED)


def _shown(view: Callable[[Any], None], value: Any, as_json: bool) -> None:
    if as_json:
        show(value, as_json)
    else:
        view(value)
