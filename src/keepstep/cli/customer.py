"""`keepstep customer`: who is served."""

import json
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, run, say, settings, show
from keepstep.cli.service import open_service
from keepstep.model.errors import Refused

if TYPE_CHECKING:
    from keepstep.state.vault import Secret
    from keepstep.wiring import Service

T = TypeVar("T")
app = typer.Typer(help="Customers: add, list, show, pause, resume, remove.", no_args_is_help=True)

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

    stored = _with(added)
    show({"customer": customer, "connections": stored} if as_json else stored, as_json)
    say("next: keepstep doctor", as_json)


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """All customers."""
    found = list(_with(lambda service: service.customers()))
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
        show(_with(lambda service: service.door_secret(customer, platform)), as_json)
        return
    show(_with(lambda service: service.customer(customer)), as_json)


@app.command()
def pause(customer: Id, as_json: AsJson = False) -> None:
    """Stop all calls for a customer within 5 s; the work is kept."""
    _with(lambda service: service.pause(customer))
    show({"customer": customer, "state": "paused"}, as_json)


@app.command()
def resume(customer: Id, as_json: AsJson = False) -> None:
    """Go on, also with blocked connections."""
    _with(lambda service: service.resume(customer))
    show({"customer": customer, "state": "active"}, as_json)


@app.command()
def remove(
    customer: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Really erase everything.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a customer: everything but keyed hashes of opted-out addresses."""
    if not yes:
        then = f"keepstep customer remove {customer} --yes erases it"
        show({"customer": customer, "state": "kept", "next": then}, as_json)
        raise typer.Exit(NEEDS_A_PERSON)
    show(_with(lambda service: service.remove(customer)), as_json)


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


def _with(work: "Callable[[Service], Awaitable[T]]") -> T:
    async def done() -> T:
        async with open_service(settings()) as service:
            return await work(service)

    return run(done())
