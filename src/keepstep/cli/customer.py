"""`keepstep customer`: who is served."""

import contextlib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, say, show, telling, write
from keepstep.cli.service import served
from keepstep.model.errors import Refused

if TYPE_CHECKING:
    from keepstep.state.vault import Secret
    from keepstep.wiring import Service

T = TypeVar("T")
app = typer.Typer(help="Customers: add, list, show, pause, resume, rotate-secret, remove.", no_args_is_help=True)

# What each platform needs to be connected (CC facts 2.4; Virtuous facts 3). The names are unique, so a line needs no
# platform.
CREDENTIALS: Mapping[str, tuple[str, ...]] = {
    "constant_contact": ("client_id", "client_secret", "refresh_token"),
    "virtuous": ("api_key",),
}
_HINT = (
    "one a line, as NAME=VALUE: constant_contact.client_id, constant_contact.client_secret, "
    "constant_contact.refresh_token, virtuous.api_key"
)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MOST_INPUT = 100_000

Id = Annotated[str, typer.Argument(metavar="ID", help="The customer's id.")]


@app.command()
def add(
    customer: Id,
    platform: Annotated[str | None, typer.Option("--platform", help="Whose credentials follow, where unclear.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a customer, or store new credentials.

    They are read from standard input: arguments are visible to everybody.
    """
    if not _ID.fullmatch(customer):
        raise Refused(400, "a customer id has up to 64 letters, digits, - and _")
    if sys.stdin.isatty():
        sys.stderr.write(f"credentials, {_HINT}; end with Ctrl-D\n")
    given = credentials(sys.stdin.read(_MOST_INPUT), platform)

    async def added(service: "Service") -> list[dict[str, Any]]:
        return [await service.add_customer(customer, name, secrets) for name, secrets in given.items()]

    stored = served(added)
    show({"customer": customer, "connections": stored} if as_json else stored, as_json)
    say("next: keepstep doctor", as_json)


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """All customers."""
    found = list(served(lambda service: service.customers()))
    if found or as_json:
        show(found, as_json)
    else:
        say("nobody is served yet: `keepstep customer add ID`")


@app.command("show")
def show_one(
    customer: Id,
    door_secret: Annotated[
        str | None,
        typer.Option(metavar="PLATFORM", help="Where its webhooks arrive, and the secret that signs them."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """One customer: state, connections, where webhooks arrive, which credentials are stored; never their values."""
    if door_secret is not None:
        platform = door_secret
        found = served(lambda service: service.door_secret(customer, platform))
        if as_json:
            write(found)
        else:  # each in a line of its own, whole: both are copied into a form
            for name, text in found.items():
                say(f"{name}: {text}")
        return
    found = served(lambda service: service.customer(customer))
    # `stored_at` names them again, with their age.
    show(found if as_json else {name: each for name, each in found.items() if name != "stored"}, as_json)


@app.command()
def pause(customer: Id, as_json: AsJson = False) -> None:
    """Stop all calls for a customer within 5 s; the work is kept."""
    served(lambda service: service.pause(customer))
    show({"customer": customer, "state": "paused"}, as_json)


@app.command()
def resume(customer: Id, as_json: AsJson = False) -> None:
    """Go on, also with blocked connections."""
    served(lambda service: service.resume(customer))
    show({"customer": customer, "state": "active"}, as_json)


@app.command("rotate-secret")
def rotate_secret(
    customer: Id,
    platform: Annotated[
        str | None, typer.Option("--platform", help="Whose webhooks; the CRM's where left out.")
    ] = None,
    overlap: Annotated[str, typer.Option("--overlap", help="How long the one before is believed.")] = "24h",
    door: Annotated[bool, typer.Option("--door", help="The token in the address, not the secret.")] = False,
    end: Annotated[bool, typer.Option("--end", help="Refuse the one before from now on.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replace the secret that signs webhooks; the one before is believed for a while."""

    async def rotated(service: "Service") -> dict[str, Any]:
        from keepstep.model.customer import NO_CRM
        from keepstep.wiring import rotation

        whose = platform or service.settings.route(customer).crm
        if whose == NO_CRM:
            raise Refused(400, f"{customer} has no CRM: say whose webhooks, with --platform")
        if end:
            return await rotation.end(service, customer, whose)
        return await rotation.rotate(service, customer, whose, door, _seconds(overlap))

    show(served(rotated), as_json)


def _seconds(text: str) -> float:
    from keepstep.settings import values

    try:
        return values.duration(text)
    except ValueError as error:
        raise Refused(400, f"--overlap: {error}") from None


@app.command()
def remove(
    customer: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Really erase everything.")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", help="First write what is kept: a folder, or FILE.tar.gz.")
    ] = None,
    no_export: Annotated[bool, typer.Option("--no-export", help="Erase without a copy.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Go on where a vendor does not answer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a customer: everything but keyed hashes of opted-out addresses. Stopped on the way, it goes on from there.

    Without --yes it only shows what would be erased.
    """
    if export is not None and no_export:
        raise Refused(400, "--export or --no-export, not both")
    if not yes:
        then = f"keepstep customer remove {customer} --yes --export {customer}.tar.gz"
        show({**served(lambda service: service.outlook(customer)), "next": then}, as_json)
        raise typer.Exit(NEEDS_A_PERSON)
    with telling(as_json, "stopping", str) as tell:

        async def removed(service: "Service") -> dict[str, Any]:
            from keepstep.wiring.lock import Served
            from keepstep.wiring.removal import Wish

            with contextlib.suppress(Served):  # where nobody serves, the turn of a process that died ends sooner
                async with service.working():
                    pass
            return await service.remove(customer, Wish(export, no_export, force), tell)

        found = served(removed)
    show(found if as_json else {name: each for name, each in found.items() if name != "by_hand"}, as_json)
    for each in found["by_hand"]:
        say(f"by hand: {each}", as_json)


def credentials(text: str, platform: str | None = None) -> "dict[str, dict[str, Secret]]":
    """Credentials by platform. Raises Refused for what is unknown, empty or incomplete; its text quotes no value."""
    from keepstep.state.vault import Secret

    found: dict[str, dict[str, Secret]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            for name, value in _pairs(line, number).items():
                owner, field = _place(name, platform, number)
                found.setdefault(owner, {})[field] = Secret(value)
    missing = [f"{owner}.{name}" for owner, has in found.items() for name in CREDENTIALS[owner] if name not in has]
    if missing or not found:
        raise Refused(400, f"standard input: {', '.join(missing) or 'credentials'} missing; give {_HINT}")
    return found


def _pairs(line: str, number: int) -> dict[str, str]:
    wrong = Refused(400, f"standard input, line {number}: no credential; give {_HINT}")
    if line.lstrip().startswith("{"):
        try:
            pairs = json.loads(line)
        except (ValueError, RecursionError):
            raise wrong from None
    else:
        name, equals, value = line.partition("=")
        pairs = {name.strip(): value} if equals else {}
    pairs = {name: value.strip() if isinstance(value, str) else "" for name, value in pairs.items()}
    if not pairs or not all(value and value.isprintable() and value.isascii() for value in pairs.values()):
        raise wrong
    return pairs


def _place(name: str, platform: str | None, number: int) -> tuple[str, str]:
    before, _, field = name.rpartition(".")
    owner = before or platform or next((each for each, names in CREDENTIALS.items() if field in names), None)
    if owner is None or field not in CREDENTIALS.get(owner, ()):
        known = ", ".join(f"{each}.{one}" for each, names in CREDENTIALS.items() for one in names)
        # The unknown name is not quoted: it may be a value pasted on the wrong side.
        raise Refused(400, f"standard input, line {number}: unknown credential; known are {known}")
    return owner, field
