"""`keepstep connect`: an account's owner gives access, in a browser, with a code, or by key or password."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepstep.cli.console import FAILED, AsJson, CustomerId, run, say, settings, show
from keepstep.cli.service import open_service
from keepstep.model.errors import Refused, Transient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keepstep.state.vault import Secret
    from keepstep.tokens import Client
    from keepstep.wiring import Service

Row = dict[str, Any]
PAUSE = 1.0


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(connect)


def connect(
    platform: Annotated[str, typer.Argument(metavar="PLATFORM", help="constant_contact or virtuous.")],
    customer: CustomerId,
    device: Annotated[bool, typer.Option("--device", help="With a code, for a server nobody can reach.")] = False,
    password: Annotated[bool, typer.Option("--password", help="By a user's name and password, not a key.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it is done.")] = True,
    as_json: AsJson = False,
) -> None:
    """Connect an account; another one than before is refused.

    What is secret is asked for without being shown, or read from standard input, one answer a line.
    """

    async def done() -> Row:
        async with open_service(settings()) as service:
            if platform == "sql_table":
                raise Refused(400, "the database of a feed: `keepstep feed connect NAME --customer ID`")
            oauth = service.connectors[platform].oauth if platform in service.connectors else None
            if platform not in service.connectors:
                raise Refused(400, f"{platform}: no such platform; there are {', '.join(sorted(service.connectors))}")
            if oauth is not None and oauth.password and password:
                return await _by_password(service, customer, platform)
            if oauth is None or oauth.authorize is None:
                return await _by_key(service, customer, platform)
            return await (_by_device if device else _in_browser)(service, customer, platform, wait, as_json)

    found = run(done())
    show(found, as_json)
    if found["state"] not in ("connected", "begun"):
        raise typer.Exit(FAILED)


async def _in_browser(service: "Service", customer: str, platform: str, wait: bool, as_json: bool) -> Row:
    from keepstep.tokens import tickets
    from keepstep.wiring import connecting

    given = await _application(service, customer, platform)
    url = await connecting.begin(service, customer, platform, given)
    begun = {"customer": customer, "platform": platform, "state": "begun", "url": url}
    if not wait:
        return begun
    sys.stderr.write(f"open this page and sign in to the account of {customer}:\n\n  {url}\n\n")
    say("waiting until that is done; `keepstep serve` must be running", as_json)
    until = service.clock.now() + tickets.LIFE
    while service.clock.now() < until:
        ended = await service.db.run(tickets.ended, service.vault, customer, platform)
        if ended is not None:
            return {**begun, "state": ended}
        await service.clock.sleep(PAUSE)
    raise Transient("nobody came back from the vendor within ten minutes; is `keepstep serve` running?")


async def _by_device(service: "Service", customer: str, platform: str, wait: bool, as_json: bool) -> Row:
    from keepstep.tokens import consent
    from keepstep.wiring import connecting

    if not wait:
        raise Refused(400, "--no-wait does not go with --device: nobody would fetch the grant")
    endpoint = service.endpoint(platform)
    client = await _known(service, customer, platform)
    waiting = await consent.device(endpoint, client, service.clock.now())
    where = waiting.whole_uri or waiting.uri
    sys.stderr.write(f"open {where}\nand type in the code {waiting.user_code}\n")
    say("waiting for that", as_json)
    pause = waiting.every
    while service.clock.now() < waiting.until:
        await service.clock.sleep(pause)
        tokens, pause = await consent.allowed(endpoint, client, waiting)
        if tokens is not None:
            account = await connecting.store(service, customer, platform, tokens)
            return {"customer": customer, "platform": platform, "state": "connected", "account": account}
    raise Refused(400, "nobody typed the code in; begin again")


async def _by_key(service: "Service", customer: str, platform: str) -> Row:
    from keepstep.state.vault import Secret
    from keepstep.wiring import connecting

    key = asked(f"{platform} API key")
    account = await connecting.keep(service, customer, platform, {"api_key": Secret(key)}, key)
    return {"customer": customer, "platform": platform, "state": "connected", "account": account}


async def _by_password(service: "Service", customer: str, platform: str) -> Row:
    """The password is used once and not kept."""
    from keepstep.tokens import consent
    from keepstep.wiring import connecting

    endpoint = service.endpoint(platform)
    name, secret = asked("user name", shown=True), asked("password")
    tokens = await consent.with_password(endpoint, name, secret, None)
    if tokens is None:
        code = asked("the code that was sent to the user's phone", shown=True)
        tokens = await consent.with_password(endpoint, name, secret, code)
    if tokens is None:
        raise Refused(400, "the code was not accepted; begin again")
    account = await connecting.store(service, customer, platform, tokens)
    return {"customer": customer, "platform": platform, "state": "connected", "account": account}


async def _application(service: "Service", customer: str, platform: str) -> "Mapping[str, Secret]":
    """What is not stored yet of the application that asks."""
    from keepstep.state.vault import Secret
    from keepstep.wiring import connecting

    if await connecting.client(service, customer, platform) is not None:
        return {}
    given = {"client_id": Secret(asked("client id (the application's API key)", shown=True))}
    secret = asked("client secret (nothing for a public application)", empty=True)
    return given | ({"client_secret": Secret(secret)} if secret else {})


async def _known(service: "Service", customer: str, platform: str) -> "Client":
    from keepstep.wiring import connecting

    given = await _application(service, customer, platform)
    if given:
        await service.db.run(connecting.remember, service, customer, platform, given, service.clock.now())
    found = await connecting.client(service, customer, platform)
    if found is None:
        raise Refused(400, f"{platform}: no client id is stored")
    return found


def asked(what: str, *, shown: bool = False, empty: bool = False) -> str:
    """An answer from the terminal, hidden unless said otherwise, or the next line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=not shown, default="" if empty else None, show_default=False)).strip()
    answer = sys.stdin.readline(10_000).strip()
    if not answer and not empty:
        raise Refused(400, f"standard input: {what} is missing")
    return answer
