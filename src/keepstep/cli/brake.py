"""`keepstep brake`: changes that nobody was seen to ask for, held because there are too many of them."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, CustomerId, run, say, settings, show, write
from keepstep.cli.letters import By
from keepstep.cli.service import open_service, work_due

app = typer.Typer(help="Too many inferred changes at once: show, approve, discard.", no_args_is_help=True)
Checksum = Annotated[str, typer.Argument(metavar="CHECKSUM", help="As `keepstep brake show` printed it.")]


@app.command("show")
def show_all(customer: CustomerId, as_json: AsJson = False) -> None:
    """What is held, why, and what goes out by itself when. Exit code 3 while something is held."""

    async def read() -> dict[str, Any]:
        from keepstep.wiring import brake

        async with open_service(settings()) as service:
            return await brake.shown(service, customer)

    found = run(read())
    if as_json:
        write(found)
    else:
        _print(found)
    if found["held"]:
        raise typer.Exit(NEEDS_A_PERSON)


def _print(found: Mapping[str, Any]) -> None:
    spent = f"{found['counted']} of {found['limit']} inferred changes went out in the last 24 hours"
    if not found["held"]:
        say(f"nothing is held; {spent}")
        return
    show(found["steps"], False)
    if found["labels"]:
        show(found["labels"], False)
    show(found["records"], False)
    say(f"{found['held']} changes are held since {found['since']}; {spent}")
    if found["opt_outs"]["count"]:
        first, count = found["opt_outs"]["first_at"], found["opt_outs"]["count"]
        say(f"{count} opt-outs among them go out by themselves from {first} on, unless they are discarded")
    for word, means in (("approve", "to let exactly these go out"), ("discard", "if they must never go out")):
        say(f"{means}: keepstep brake {word} --customer {found['customer']} {found['checksum']}")


@app.command()
def approve(checksum: Checksum, customer: CustomerId, by: By = None, as_json: AsJson = False) -> None:
    """Let exactly what was shown go out. What came or changed since stays held."""

    async def done() -> dict[str, Any]:
        from keepstep import telemetry
        from keepstep.cli.person import login
        from keepstep.wiring import brake

        async with open_service(settings()) as service:
            telemetry.setup(service.settings.service.log, service.clock.now)
            approved = await brake.approve(service, customer, checksum, by or login())
            await work_due(service, customer)
            return approved

    _say(run(done()), customer, as_json)


@app.command()
def discard(checksum: Checksum, customer: CustomerId, by: By = None, as_json: AsJson = False) -> None:
    """What was shown never goes out, as long as the two sides differ there."""

    async def done() -> dict[str, Any]:
        from keepstep.cli.person import login
        from keepstep.wiring import brake

        async with open_service(settings()) as service:
            return await brake.discard(service, customer, checksum, by or login())

    _say(run(done()), customer, as_json)


def _say(done: Mapping[str, Any], customer: str, as_json: bool) -> None:
    show(done, as_json)
    if done["left"]:
        say(f"{done['left']} are held still: keepstep brake show --customer {customer}", as_json)
