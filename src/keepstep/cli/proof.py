"""`keepstep consent` and `keepstep conflicts`."""

from typing import Annotated, Any

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, CustomerId, run, say, settings, show, write
from keepstep.cli.service import open_service
from keepstep.model.errors import Refused


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(consent)
    app.command()(conflicts)


def consent(
    customer: CustomerId,
    address: Annotated[str | None, typer.Argument(metavar="EMAIL", help="The address.", show_default=False)] = None,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="Are all opt-outs on both sides? The nightly proof.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """May we mail this address, and why. Exit code 0 for yes, 3 for no and unknown."""
    if certificate is (address is not None):
        raise Refused(400, "give an address or --certificate")

    async def read() -> dict[str, Any]:
        from keepstep.wiring import proof

        async with open_service(settings()) as service:
            if address is None:
                return await proof.certificate(service, customer)
            return await proof.may_mail(service, customer, address)

    found = run(read())
    if as_json:
        write(found)
    elif address is None:
        _certified(found)
    else:
        _told(found)
    if found.get("may_mail", "yes") != "yes" or found.get("verdict", "complete") != "complete":
        raise typer.Exit(NEEDS_A_PERSON)


def _certified(found: dict[str, Any]) -> None:
    show({name: value for name, value in found.items() if name != "records"}, False)
    if found.get("records"):
        show(found["records"], False)


def _told(found: dict[str, Any]) -> None:
    """The answer, then everybody who has the address with what each side says, then the acts on the address."""
    say(f"{found['may_mail']}: {'; '.join(found['why'])}")
    for one in found["people"]:
        say(f"{one['record']} (CRM contact {one.get('crm') or 'none'}), {one.get('standing')}")
        for side, read in (("audience side", one.get("audience")), ("CRM", one.get("crm_method"))):
            say(f"  {side}: {read['says'] or 'says nothing'}, read {read['read']}" if read else f"  {side}: not read")
        for act in one.get("acts") or ():
            say("  " + _act(act))
    ids = {act["id"] for one in found["people"] for act in one.get("acts") or ()}
    for act in found["acts"]:
        if act["id"] not in ids:
            say(f"on the address, for {act['record_id']}: {_act(act)}")
    if breaks := (found.get("ledger") or {}).get("breaks"):
        say(f"the ledger's chain is broken at {len(breaks)} rows: --json names them")


def _act(act: dict[str, Any]) -> str:
    when = act.get("at") or f"between {act.get('after') or 'before we read'} and {act.get('before')}"
    return f"opted {act['direction']} ({act['kind']}, by {act['source']}), {when}, act {act['id']}"


def conflicts(
    customer: CustomerId,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Fields in which both sides differ on purpose, with both values, which are personal data, and whose was kept."""

    async def read() -> list[dict[str, Any]]:
        from keepstep.wiring import proof

        async with open_service(settings()) as service:
            return await proof.conflicts(service, customer, limit)

    found = run(read())
    if found or as_json:
        show(found, as_json)
    else:
        say("no conflicts")
