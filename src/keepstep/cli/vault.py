"""`keepstep vault`: the keys that seal secrets, and who keeps them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from keepstep.cli.console import FINE, NEEDS_A_PERSON, AsJson, say, show, telling
from keepstep.cli.service import served

if TYPE_CHECKING:
    pass

T = TypeVar("T")
Provider = Literal["database", "parameter_store", "secrets_manager"]
app = typer.Typer(help="Stored secrets: status, rotate, move. Values are never shown.", no_args_is_help=True)


@app.command()
def status(as_json: AsJson = False) -> None:
    """How many secrets each key seals and each place keeps.

    3 where a key is missing that seals some.
    """
    from keepstep.wiring import vault

    found = served(vault.status)
    if as_json:
        show(found, as_json)
    else:
        show({name: found[name] for name in ("provider", "keys_from", "left_over")}, as_json)
        show(found["keys"], as_json)
        show(found["places"], as_json)
    if any(one["state"] == "missing" for one in found["keys"]):
        say("next: put the missing key back behind the first one, from a backup of the key file", as_json)
        raise typer.Exit(NEEDS_A_PERSON)


@app.command()
def rotate(
    finish: Annotated[bool, typer.Option("--finish", help="Take out the keys that no secret needs any more.")] = False,
    as_json: AsJson = False,
) -> None:
    """A new key seals from now on, and every secret is sealed anew; a service that runs goes on.

    The old key stays behind the new one until --finish. 3 where a person must act first.
    """
    if finish:
        _finish(as_json)
        return
    from keepstep.wiring import vault

    with telling(as_json, "sealing anew", lambda done: f"sealed anew: {done}") as told:
        made = served(lambda service: vault.rotate(service, told))
    show({name: value for name, value in asdict(made).items() if name != "then"}, as_json)
    left = bool(made.then or made.missing or any(made.older.values()))
    say(f"next: {made.then or _after_rotation(left, bool(made.older))}", as_json)
    raise typer.Exit(NEEDS_A_PERSON if left else FINE)


def _after_rotation(left: bool, older: bool) -> str:
    if left:
        return "see `keepstep vault status`: some secrets are still sealed by other keys"
    return "`keepstep vault rotate --finish` takes the old key out" if older else "nothing, one key seals everything"


def _finish(as_json: bool) -> None:
    from keepstep.wiring import vault

    found = served(vault.finish)
    show(found, as_json)
    if found["still_needed"]:
        say("next: `keepstep vault rotate` seals them anew; a key that is missing must be put back first", as_json)
        raise typer.Exit(NEEDS_A_PERSON)


@app.command()
def move(
    to: Annotated[Provider, typer.Option("--to", help="Where all secrets go.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Move them; without it only the counts are shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Move every secret of every customer, while a service that runs goes on; broken off it is begun again.

    Ends by reading all of them back there. 3 where one is left, with its name.
    """
    from keepstep.wiring import vault

    if not yes:
        here, there = served(lambda service: vault.to_move(service, to))
        then = f"keepstep vault move --to {to} --yes moves them"
        show({"to_move": here, "there": there - here, "next": then if here else "nothing to move"}, as_json)
        return
    with telling(as_json, "moving", lambda done: f"moved: {done}") as told:
        made = served(lambda service: vault.move(service, to, told))
    shown: dict[str, Any] = {"moved": made.moved, "proven": made.proven, "left": made.left, "not_read": made.unread}
    show(shown | {"trouble": str(made.trouble) if made.trouble and not made.proven else None}, as_json)
    if not made.proven:
        say("next: mend what is named, then run this again; nothing is lost, it goes on where it was", as_json)
        raise typer.Exit(NEEDS_A_PERSON)
