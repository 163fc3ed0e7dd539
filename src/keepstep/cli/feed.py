"""`keepstep feed`: SQL tables that fill lists."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepstep.cli.connect import asked
from keepstep.cli.console import (
    FAILED,
    NEEDS_A_PERSON,
    AsJson,
    CustomerId,
    MaybeCustomer,
    say,
    show,
    telling,
    write,
)
from keepstep.cli.service import served
from keepstep.model.errors import Refused

if TYPE_CHECKING:
    from keepstep.model.feed import State
    from keepstep.wiring import Service

app = typer.Typer(help="SQL tables that fill lists: list, connect, check, preview, run, rows.", no_args_is_help=True)

Row = dict[str, Any]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The feed's name in the settings.")]
Shown = Annotated[bool, typer.Option("--show", help="With the rows' keys and fields, which are personal data.")]
STATES = ("waiting", "sent", "done", "left_out", "parked", "dead", "all")
MOST = 1000
# How often a run is looked at while another process does the work.
PAUSE = 1.0


@app.command("list")
def list_all(customer: MaybeCustomer = None, as_json: AsJson = False) -> None:
    """The feeds, when each was read, and how its rows stand. Exit code 3 where one waits for a person."""

    async def read(service: "Service") -> list[Row]:
        from keepstep.wiring import feeds

        return await feeds.listed(service, customer)

    found = served(read)
    show(found if as_json else [_brief(one) for one in found], as_json)
    if any(one["state"] in ("problem", "blocked") for one in found):
        raise typer.Exit(NEEDS_A_PERSON)


def _brief(one: Row) -> Row:
    return {name: one[name] for name in ("customer", "feed", "state", "last", "next")} | {
        "rows": one["rows"],
        "problem": one["problem"],
    }


@app.command()
def connect(name: Name, customer: CustomerId, as_json: AsJson = False) -> None:
    """Keep the password of the feed's database, sealed, and see whether it works.

    It is asked for without being shown, or read from standard input.
    """
    from keepstep.state.vault import Secret

    password = asked("password of the database", empty=True)

    async def kept(service: "Service") -> Row:
        from keepstep.wiring import feeds

        return await feeds.connect(service, customer, name, Secret(password))

    _checked(served(kept), as_json)


@app.command()
def check(name: Name, customer: CustomerId, as_json: AsJson = False) -> None:
    """Connect to the database, and look whether the feed can be read and its lists are there.

    Exit code 3 where somebody must act, 1 where the database does not answer.
    """

    async def looked(service: "Service") -> Row:
        from keepstep.wiring import feeds

        return await feeds.check(service, customer, name)

    _checked(served(looked), as_json)


def _checked(found: Row, as_json: bool) -> None:
    if as_json:
        write(found)
    else:
        for one in found["lists"]:
            say(f"list {one['list']}: {one['id'] or 'not found'}")
        for word in ("problem", "warning"):
            for text in found[f"{word}s"]:
                say(f"{word}: {text}")
        say(f"next: {found['next']}" if found["next"] else f"{found['feed']} can be read")
    if found["state"] != "ok":
        raise typer.Exit(FAILED if found["state"] == "failed" else NEEDS_A_PERSON)


@app.command()
def preview(
    name: Name,
    customer: CustomerId,
    rows: Annotated[int, typer.Option("--rows", min=1, help="How many rows are read, from the start.")] = MOST,
    everything: Annotated[bool, typer.Option("--all", help="Read the whole table.")] = False,
    shown: Shown = False,
    as_json: AsJson = False,
) -> None:
    """What would come of the rows, without doing it. Nothing is written, here or anywhere."""

    async def looked(service: "Service") -> Row:
        from keepstep.wiring import preview as previews

        with telling(as_json, "reading", lambda count: f"{count} rows read") as told:
            return await previews.preview(service, customer, name, None if everything else rows, shown, told)

    found = served(looked)
    if as_json:
        write(found)
        return
    sample, then, everybody = found.pop("sample"), found.pop("next"), found.pop("everybody_read")
    if not found.pop("whole"):
        say(f"the first {found['rows']} rows; --all reads them all")
    show({key: each for key, each in found.items() if each not in ({}, None)}, as_json)
    show(sample, as_json)
    for reason, text in then.items():
        say(f"{reason}: {text}")
    if not everybody:
        say("who opted out or is there already is known after `keepstep work --once` has read Constant Contact")


@app.command("run")
def run_now(
    name: Name,
    customer: CustomerId,
    wait: Annotated[bool, typer.Option("--wait", help="Until its rows are imported, or wait for a person.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read the feed now, whatever its schedule says.

    Without a running service --wait does the work itself. Exit code 3 where somebody must act, 1 where the database
    does not answer.
    """

    async def begun(service: "Service") -> Row:
        from keepstep import telemetry
        from keepstep.wiring import feeds

        telemetry.setup(service.settings.service.log, service.clock.now)
        await feeds.run(service, customer, name)
        if wait:
            with telling(as_json, "reading", _how_far) as told:
                return await _followed(service, customer, name, told)
        return {"feed": name, "state": "due", "service": _is_served(service)}

    _told(served(begun), name, customer, as_json)


def _told(found: Row, name: str, customer: str, as_json: bool) -> None:
    if as_json:
        write(found)
    elif found["state"] == "due":
        does = "the running service reads it" if found["service"] else "where no service runs: `keepstep work --once`"
        say(f"{name} is due now; {does}")
    else:
        show({key: each for key, each in found.items() if each not in ({}, None)}, as_json)
        say(_then(found, f"{name} --customer {customer}"))
    if found["state"] in ("blocked", "problem", "failing"):
        raise typer.Exit(FAILED if found["state"] == "failing" else NEEDS_A_PERSON)


def _then(found: Row, which: str) -> str:
    if found["state"] != "done":
        return f"next: keepstep feed {'connect' if found['state'] == 'blocked' else 'check'} {which}"
    if found["rows"].get("parked"):
        return f"next: keepstep feed rows {which}"
    return "what is held goes out later" if found["held"] else "every row has come to its end"


def _how_far(found: Row) -> str:
    rows = found["rows"]
    counts = ", ".join(f"{rows[state]} {state.replace('_', ' ')}" for state in STATES if rows.get(state))
    return f"{found['read'] or 0} rows read: {counts or 'none filed yet'}"


async def _followed(service: "Service", customer: str, name: str, told: Callable[[Row], None]) -> Row:
    """Turns of this customer until its rows have come to their end; where somebody serves, it waits."""
    from keepstep import worker
    from keepstep.wiring import feeds
    from keepstep.wiring.lock import Served

    async def over() -> bool:
        # To count a large feed's rows after each turn would take longer than the turns.
        if (now := service.clock.now()) - looked[-1] < PAUSE:
            return False
        looked.append(now)
        found.update(await feeds.progress(service, customer, name))
        told(found)
        return bool(found["over"])

    found: Row = {}
    looked = [service.clock.now() - PAUSE]
    try:
        async with service.working():
            await worker.until(service, customer, over)
    except Served:
        while not await over():
            await service.clock.sleep(PAUSE)
    states = ("blocked", "problem", "failing")
    state = next((state for state in states if found[state]), "done")
    return {"feed": name, "state": state} | {key: found[key] for key in ("read", "rows", "held", "problem", "blocked")}


def _is_served(service: "Service") -> bool:
    from keepstep.wiring.lock import Served, only_worker

    try:
        with only_worker(service.settings.service.database):
            return False
    except Served:
        return True


@app.command()
def rows(
    name: Name,
    customer: CustomerId,
    state: Annotated[str, typer.Option("--state", help=f"One of {', '.join(STATES)}.")] = "parked",
    most: Annotated[int, typer.Option("--most", min=1, help="How many are shown.")] = 100,
    shown: Shown = False,
    as_json: AsJson = False,
) -> None:
    """Rows in one state, the longest so first, with the reason and what to do.

    A row is named by a hash of its key, which may be personal. Exit code 3 where rows wait for a person.
    """
    if state not in STATES:
        raise Refused(400, f"--state: one of {', '.join(STATES)}")
    wanted: State | None = None if state == "all" else state  # type: ignore[assignment]

    async def read(service: "Service") -> list[Row]:
        from keepstep.wiring import feeds

        return await feeds.rows(service, customer, name, wanted, most, shown)

    found = served(read)
    if as_json:
        write(found)
    else:
        show([{key: each for key, each in one.items() if key not in ("feed", "next")} for one in found], as_json)
        for reason, then in {one["reason"]: one["next"] for one in found if one["next"]}.items():
            say(f"{reason}: {then}")
    if any(one["state"] in ("parked", "dead") for one in found):
        raise typer.Exit(NEEDS_A_PERSON)
