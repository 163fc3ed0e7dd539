"""`keepstep reconcile`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, CustomerId, run, say, settings, show, write
from keepstep.cli.service import open_service

Told = Callable[[int], None]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(reconcile)


def reconcile(
    customer: CustomerId,
    checksum: Annotated[
        str | None,
        typer.Option("--apply", metavar="CHECKSUM", help="Do exactly these repairs.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Stuck, needing a look, missed, drifted: what is found, with repairs. Exit code 3 where a person is needed."""

    async def found() -> dict[str, Any]:
        from keepstep import telemetry
        from keepstep.wiring import reconcile as wired

        async with open_service(settings()) as service:
            telemetry.setup(service.settings.service.log, service.clock.now)
            with _telling(as_json) as told:
                if checksum is None:
                    return await wired.look(service, customer, told)
                return await wired.apply(service, customer, checksum, told)

    said = run(found())
    if as_json:
        write(said)
    else:
        _print(said) if checksum is None else _done(said, customer)
    if said.get("refused") or said.get("mass") or said.get("report", {}).get("needs_review"):
        raise typer.Exit(NEEDS_A_PERSON)


def _print(said: Mapping[str, Any]) -> None:
    plain = {name: said[name] for name in ("verdict", "found", "pairs", "report")}
    show({**plain, "sweeps": {name: one["trouble"] or one["at"] for name, one in said["sweeps"].items()}}, False)
    if said["findings"]:
        names = ("category", "record", "crm_id", "what", "why", "repair", "next")
        show([{name: one[name] for name in names} for one in said["findings"]], False)
    if any(one["trouble"] for one in said["sweeps"].values()):
        say("a sweep is not whole, so that nothing here proves that both sides are the same")
    if said["mass"]:
        say(f"{said['repairs']} repairs are more than {said['limit']}: they wait for a person")
    if any(one["repair"] not in ("none", "wait") for one in said["findings"]):
        say(f"to do exactly these: keepstep reconcile --customer {said['customer']} --apply {said['checksum']}")


def _done(said: Mapping[str, Any], customer: str) -> None:
    if said["refused"]:
        say(f"nothing is repaired: {said['refused']}")
        say(f"next: keepstep reconcile --customer {customer}")
    else:
        say(f"{said['repairs']} repairs, run {said['run']}; who is marked is decided in the next turn")


@contextmanager
def _telling(as_json: bool) -> Iterator[Told]:
    if as_json:
        yield lambda _parties: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("comparing")
        yield lambda parties: bar.update(task, description=f"comparing: {parties} parties")
