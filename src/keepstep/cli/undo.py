"""`keepstep undo`: which runs there are, and taking one back."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, CustomerId, run, say, settings, show, telling, write
from keepstep.cli.service import open_service

if TYPE_CHECKING:
    from keepstep.wiring import Service

Told = Callable[[int], None]
PAUSE = 1.0
# A job of the list service is looked at after half a minute, a write that was in somebody's way comes again in five.
PATIENCE = 120.0
NAMED = 5
COUNTS = ("restored", "restoring", "touched", "stays", "refused")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(undo)


def undo(
    customer: CustomerId,
    run_id: Annotated[
        str | None, typer.Argument(metavar="RUN", help="As this command lists it without one.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of every write.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take back what a run has written: values, tags, references, memberships. Exit code 3 if something is left."""
    if run_id is None:
        _list(customer, as_json)
        return

    async def done() -> dict[str, Any]:
        from keepstep import telemetry
        from keepstep.wiring import undo

        async with open_service(settings()) as service:
            telemetry.setup(service.settings.service.log, service.clock.now)
            found = await undo.foreseen(service, customer, run_id)
            if dry_run:
                return {**found, "dry_run": True}
            if found["state"] not in ("undone", "undoing") and not as_json:
                _foretold(found)
            await undo.begin(service, customer, run_id)
            with telling(as_json, "restoring", lambda left: f"restoring: {left} left") as told:
                return await _followed(service, customer, run_id, told)

    found = run(done())
    write(found) if as_json else _told(found, customer)
    if found["for_a_person"] or found["restoring"]:
        raise typer.Exit(NEEDS_A_PERSON)


def _list(customer: str, as_json: bool) -> None:
    async def read() -> list[dict[str, Any]]:
        from keepstep.wiring import undo

        async with open_service(settings()) as service:
            return await undo.listed(service, customer)

    found = run(read())
    if found or as_json:
        show(found, as_json)
    else:
        say("no runs yet: what `keepstep apply` does can be taken back here")


async def _followed(service: "Service", customer: str, run_id: str, told: Told) -> dict[str, Any]:
    """Turns of this customer until nothing is left to restore; where somebody serves, it waits. It gives up waiting
    where nothing has moved for a while: the service goes on with it."""
    from keepstep.wiring.lock import Served

    try:
        async with service.working():
            return await _watched(service, customer, run_id, told, works=True)
    except Served:
        return await _watched(service, customer, run_id, told, works=False)


async def _watched(service: "Service", customer: str, run_id: str, told: Told, *, works: bool) -> dict[str, Any]:
    from keepstep import worker
    from keepstep.wiring import undo

    holder, moved, left = service.chance.id(), service.clock.now(), -1
    while True:
        while works and await worker.work(service, holder, customer) is not None:
            pass
        found = await undo.foreseen(service, customer, run_id)
        told(found["restoring"])
        if found["restoring"] != left:
            moved, left = service.clock.now(), found["restoring"]
        if left == 0 or service.clock.now() - moved > PATIENCE:
            return found
        await service.clock.sleep(PAUSE)


def _foretold(found: Mapping[str, Any]) -> None:
    say(f"{found['restored']} values go back, {found['touched']} somebody has changed since, {found['stays']} stay")
    if found["not_sent"]:
        say(f"{found['not_sent']} steps of the run are not sent any more")


def _told(found: Mapping[str, Any], customer: str) -> None:
    if found.get("dry_run"):
        _foretold(found)
    else:
        show({name: found[name] for name in ("run", "state", *COUNTS, "not_sent")}, False)
    left = [
        row for row in found["records"] if row["state"] not in ("restored", "restoring") and row["why"] != "created"
    ]
    if left:
        show([{name: row[name] for name in ("record", "side", "kind", "what", "state", "why")} for row in left], False)
    if found["created"]:
        say(f"created by the run, and staying: {_some(found['created'])}")
    if found["restoring"]:
        say(f"the rest is on its way: keepstep undo --customer {customer} {found['run']} shows how far it is")


def _some(records: Sequence[str]) -> str:
    more = f" and {len(records) - NAMED} more, which --json lists" if len(records) > NAMED else ""
    return ", ".join(records[:NAMED]) + more
