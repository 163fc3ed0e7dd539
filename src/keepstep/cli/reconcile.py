"""`keepstep reconcile`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, CustomerId, run, say, settings, show, telling, write
from keepstep.cli.service import open_service, work_due


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
            with telling(as_json, "comparing", lambda parties: f"comparing: {parties} parties") as told:
                if checksum is None:
                    return await wired.look(service, customer, told)
                done = await wired.apply(service, customer, checksum, told)
            if not done["refused"]:
                await work_due(service, customer)
            return done

    said = run(found())
    if as_json:
        write(said)
    else:
        _print(said) if checksum is None else _done(said, customer)
    if said.get("refused") or said.get("mass") or said.get("report", {}).get("needs_review"):
        raise typer.Exit(NEEDS_A_PERSON)


def _print(said: Mapping[str, Any]) -> None:
    report = dict(said["report"])
    took = report.pop("latency_seconds")
    show(
        {
            "verdict": said["verdict"],
            "found": _words(said["found"]) or "nothing",
            "pairs": _words(said["pairs"]) or "nobody",
            "people": _words(report) or "nobody waits",
            "writes of a day": _words({**took, "median": _age(took["median"]), "p99": _age(took["p99"])}) or "none",
            "sweeps": _words({name: one["trouble"] or one["at"] for name, one in said["sweeps"].items()}),
        },
        False,
    )
    if said["findings"]:
        names = ("category", "record", "what", "why", "repair")
        show([{name: one[name] for name in names} for one in said["findings"]], False)
        for why, then in {one["why"]: one["next"] for one in said["findings"]}.items():
            say(f"{why}: {then}")
    if any(one["trouble"] for one in said["sweeps"].values()):
        say("a sweep is not whole, so that nothing here proves that both sides are the same")
    if said["mass"]:
        say(f"{said['repairs']} repairs are more than {said['limit']}: they wait for a person")
    if any(one["repair"] != "none" for one in said["findings"]):
        say(f"to do exactly these: keepstep reconcile --customer {said['customer']} --apply {said['checksum']}")


def _done(said: Mapping[str, Any], customer: str) -> None:
    if said["refused"]:
        say(f"nothing is repaired: {said['refused']}")
        say(f"next: keepstep reconcile --customer {customer}")
    else:
        say(f"{said['repairs']} repairs, run {said['run']}; who was marked is read and decided again")


def _words(counts: Mapping[str, Any]) -> str:
    """What there is of it, in a line."""
    return ", ".join(f"{name} {value}".replace("_", " ") for name, value in counts.items() if value)


def _age(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
