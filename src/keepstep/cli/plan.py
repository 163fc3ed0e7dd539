"""`keepstep plan` and `keepstep apply`: the first connection."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, CustomerId, run, say, settings, show, telling, write
from keepstep.cli.service import open_service, work_due
from keepstep.model.errors import Blocked

if TYPE_CHECKING:
    from keepstep.pairing import Progress
    from keepstep.wiring import Service

Told = Callable[["Progress"], None]
PAUSE = 1.0


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(plan)
    app.command()(apply)


def plan(
    customer: CustomerId,
    discard: Annotated[bool, typer.Option("--discard", help="There is to be no plan any more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Pair both sides; what would be created, updated, linked, opted out, parked; calls, hours; checksum."""

    async def made() -> dict[str, Any]:
        from keepstep import telemetry
        from keepstep.wiring import plans

        async with open_service(settings()) as service:
            telemetry.setup(service.settings.service.log, service.clock.now)
            if discard:
                return await plans.discard(service, customer)
            await plans.begin(service, customer)
            with telling(as_json, "reading both sides", _how_far) as told:
                await read(service, customer, told)
            return await plans.draw(service, customer)

    found = run(made())
    if as_json or discard:
        show(found, as_json)
    else:
        _print(found)


async def read(service: "Service", customer: str, told: Told) -> None:
    """Turns of this customer until both sides are read and everybody is decided; where somebody serves, it waits."""
    from keepstep.wiring.lock import Served

    try:
        async with service.working():
            await _turns(service, customer, told)
    except Served:
        await _wait(service, customer, told)


async def _turns(service: "Service", customer: str, told: Told) -> None:
    from keepstep import worker

    await worker.until(service, customer, lambda: _whole(service, customer, told))


async def _wait(service: "Service", customer: str, told: Told) -> None:
    while not await _whole(service, customer, told):
        await service.clock.sleep(PAUSE)


async def _whole(service: "Service", customer: str, told: Told) -> bool:
    from keepstep.wiring import plans

    found = await plans.progress(service, customer)
    if found.blocked:
        raise Blocked(found.blocked[1], f"{found.blocked[0]} is blocked: {found.blocked[1]}")
    told(found)
    return found.whole


def _how_far(found: "Progress") -> str:
    return f"deciding: {found.marked} left" if found.swept else f"reading both sides: {found.read} pages"


def _print(found: Mapping[str, Any]) -> None:
    people = {name: value for name, value in found["people"].items() if value}
    alone = {name: value for name, value in found["crm_only"].items() if value}
    steps = {f"steps at the {side} side": kinds or "none" for side, kinds in found["steps"].items()}
    show({"people": people, "only in the CRM": alone, **steps}, False)
    if found["labels"]:
        show(found["labels"], False)
    show([{"platform": name, **cost} for name, cost in found["cost"].items()], False)
    opens = (found["window"] or {}).get("opens")
    window = f"; bulk work from {opens} on" if opens else ""
    say(f"about {found['webhooks']} webhooks of our own writes will come back{window}")
    if found["questions"]:
        say(f"{len(found['questions'])} people wait for a word: --json lists them under `questions`, with the evidence")
    say(
        f"nothing is written yet; to do exactly this: keepstep apply --customer {found['customer']} {found['checksum']}"
    )


def apply(
    checksum: Annotated[str, typer.Argument(metavar="CHECKSUM", help="As `keepstep plan` printed it.")],
    customer: CustomerId,
    as_json: AsJson = False,
) -> None:
    """Do exactly that plan; refuses if the world has changed. Exit code 3 where it refuses."""

    async def applied() -> dict[str, Any]:
        from keepstep import telemetry
        from keepstep.wiring import plans

        async with open_service(settings()) as service:
            telemetry.setup(service.settings.service.log, service.clock.now)
            done = await plans.apply(service, customer, checksum)
            if not done["refused"]:
                await work_due(service, customer)
            return done

    done = run(applied())
    if as_json:
        write(done)
    elif done["refused"]:
        say(f"nothing is written: {done['refused']}")
        if "the plan stays" not in done["refused"]:
            say(f"next: keepstep plan --customer {customer}")
    else:
        say(f"{done['steps']} steps are on their way; `keepstep status --customer {customer}` shows how far they are")
        say(f"what it writes can be taken back: keepstep undo --customer {customer} {done['run']}")
    if not as_json and done["dropped"]:
        say(f"changed since, left for the next plan: {', '.join(done['dropped'])}")
    if done["refused"]:
        raise typer.Exit(NEEDS_A_PERSON)
