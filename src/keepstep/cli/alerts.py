"""`keepstep alerts`: whom the service tells that somebody must act, and what it has told."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from keepstep.cli.console import FAILED, NEEDS_A_PERSON, AsJson, MaybeCustomer, say, show, write
from keepstep.cli.service import served
from keepstep.model.errors import Refused

if TYPE_CHECKING:
    from keepstep.state.vault import Secret

T = TypeVar("T")
app = typer.Typer(help="Who is told that somebody must act: list, set, test, clear.", no_args_is_help=True)
_MOST_LINE = 10_000
Whose = Annotated[
    str | None,
    typer.Option("--customer", help="One customer's own recipient; else the default's.", show_default=False),
]


@app.command("list")
def list_all(
    customer: MaybeCustomer = None,
    over: Annotated[bool, typer.Option("--all", help="Also what is over and was told; kept for 90 days.")] = False,
    as_json: AsJson = False,
) -> None:
    """What lasts, who was told, and what to type. Exit code 3 while something lasts or was heard by nobody."""
    from keepstep.wiring import alerts

    found = served(lambda service: alerts.listed(service, customer, over))
    if as_json:
        write(found)
    else:
        _print(found)
    if any(row["closed"] is None or row["state"] == "unheard" for row in found["alerts"]):
        raise typer.Exit(NEEDS_A_PERSON)


def _print(found: Mapping[str, Any]) -> None:
    rows = found["alerts"]
    if not rows:
        say("nothing lasts, and whatever was to be told was told")
    else:
        show([_brief(row) for row in rows], False)
        # What is over wants nothing more than to be heard.
        for row in {row["next"]: row for row in rows if row["closed"] is None}.values():
            say(f"{row['customer']}, {row['kind'].replace('_', ' ')}: {row['next']}")
    if found["told"] == "none":
        say("there is no recipient, so nobody is told: keepstep alerts set")


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    state = row["state"] if row["closed"] is None else f"{row['state']}, over"
    what = f"{row['kind'].replace('_', ' ')}: {row['subject']}"
    return {"customer": row["customer"], "what": what, "since": row["at"], "state": state, "times": row["times"]}


@app.command("set")
def set_one(customer: Whose = None, as_json: AsJson = False) -> None:
    """Store where messages go, as an address of apprise. It holds a credential: it is asked for without being shown,
    or read from standard input, and never printed."""
    from keepstep.wiring import alerts

    url = _asked()
    show(served(lambda service: alerts.set_recipient(service, customer, url)), as_json)
    say("next: keepstep alerts test" + (f" --customer {customer}" if customer else ""), as_json)


@app.command()
def test(customer: Whose = None, as_json: AsJson = False) -> None:
    """Send a message that says it is a test. Exit code 1 if it is not taken."""
    from keepstep.wiring import alerts

    found = served(lambda service: alerts.test(service, customer))
    show(found, as_json)
    if not found["sent"]:
        nobody = found["told"] == "none"
        say("nobody is told: keepstep alerts set" if nobody else "it was not taken; look at the address", as_json)
        raise typer.Exit(FAILED)


@app.command()
def clear(customer: Whose = None, as_json: AsJson = False) -> None:
    """Forget a recipient. A customer without one is told through the default's."""
    from keepstep.wiring import alerts

    show(served(lambda service: alerts.clear_recipient(service, customer)), as_json)


def _asked() -> "Secret":
    from keepstep.state.vault import Secret

    if sys.stdin.isatty():
        text = str(typer.prompt("address of the recipient (apprise)", hide_input=True)).strip()
    else:
        text = sys.stdin.readline(_MOST_LINE).strip()
    if not text:
        raise Refused(400, "standard input: the address is missing")
    return Secret(text)
