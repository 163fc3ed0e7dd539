"""`keepstep status` and `keepstep timeline`."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from keepstep.cli.console import FAILED, AsJson, CustomerId, MaybeCustomer, run, say, settings, show
from keepstep.cli.service import open_service
from keepstep.model.errors import Refused


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
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="As everything was then, in RFC 3339.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Everything that happened to one person and why; with --at, how both sides and the decision were at a moment."""
    moment = None if at is None else _moment(at)

    async def read() -> bool:
        from keepstep.cli import page

        async with open_service(settings()) as service:
            if moment is None:
                rows: Any = list(await service.timeline(customer, record))
            else:
                rows = await service.at_moment(customer, record, moment)
        if rows or as_json:
            _shown(page.timeline if moment is None else page.then, rows, as_json)
        else:
            known = "nothing was known" if moment is not None else "nothing is known"
            say(f"{known} of {record}; `keepstep status --customer {customer} --people` lists everybody")
        return bool(rows)

    if not run(read()):
        raise typer.Exit(FAILED)


def _moment(text: str) -> float:
    """A moment that was typed; one in whole seconds, as the timeline prints them, means the whole second."""
    from keepstep.model.instant import parse_instant

    found = parse_instant(text)
    if found is None:
        raise Refused(400, "--at: no moment; write it as 2026-01-31T18:00:00Z")
    return found + 0.999_999 if found == int(found) else found


def _shown(view: Callable[[Any], None], value: Any, as_json: bool) -> None:
    if as_json:
        show(value, as_json)
    else:
        view(value)
