"""`keepstep serve` and `keepstep work`."""

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from keepstep.cli.console import NEEDS_A_PERSON, AsJson, MaybeCustomer, run, say, settings, show, telling, write
from keepstep.cli.service import open_service
from keepstep.model.errors import Refused

if TYPE_CHECKING:
    from keepstep.web import Door, PartnerDoor, Sender
    from keepstep.wiring import Service

# So long `work --once` waits for what vendors work on.
PATIENCE = 300.0


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(serve)
    app.command()(work)


def serve() -> None:
    """The service in the foreground: the doors for webhooks, and the worker. Ends on SIGTERM or Ctrl-C."""

    async def served() -> None:
        from keepstep import telemetry, worker
        from keepstep.web import build, listening
        from keepstep.wiring import alerts, vault

        async with open_service(settings()) as service, service.working():
            telemetry.setup(service.settings.service.log, service.clock.now)
            stopped = _signalled()
            async with listening(build(_door(service)), *service.settings.service.listen) as port:
                service.clock.spawn(worker.run(service), "worker")
                service.clock.spawn(alerts.run(service), "alerts")
                service.clock.spawn(vault.keep(service), "vault")
                # After the worker has begun: in virtual time the clock may be moved from here on.
                await service.listening(port)
                telemetry.note(telemetry.Process.started, role="serve", port=port)
                await stopped.wait()
                await service.stop()
            telemetry.note(telemetry.Process.stopped, role="serve")

    run(served())


def work(
    once: Annotated[bool, typer.Option("--once", help="Do what is due and exit, for cron.")] = False,
    customer: MaybeCustomer = None,
    wait: Annotated[bool, typer.Option(help="With --once: a few minutes for what the vendors work on.")] = True,
    as_json: AsJson = False,
) -> None:
    """The worker without the doors. Exit code 3 after --once where somebody must act."""
    if customer is not None and not once:
        raise Refused(400, "--customer goes with --once: the worker serves all customers")

    async def worked() -> None:
        from keepstep import telemetry, worker
        from keepstep.wiring import alerts, vault
        from keepstep.wiring.lock import Served

        async with open_service(settings()) as service:
            telemetry.setup(service.settings.service.log, service.clock.now)
            try:
                async with service.working():
                    if once:
                        await _once(service, customer, PATIENCE if wait else 0.0, as_json)
                    else:
                        telemetry.note(telemetry.Process.started, role="work")
                        stopped = _signalled()
                        service.clock.spawn(worker.run(service), "worker")
                        service.clock.spawn(alerts.run(service), "alerts")
                        service.clock.spawn(vault.keep(service), "vault")
                        await stopped.wait()
                        await service.stop()
            except Served as other:
                if not once:
                    raise
                show({"turns": 0, "note": str(other)}, as_json)

    run(worked())


async def _once(service: "Service", customer: str | None, patience: float, as_json: bool) -> None:
    """Most imports are through within a minute or two; what takes longer is looked at by the next run."""
    from keepstep import worker
    from keepstep.wiring import alerts, leftover, vault

    before = await service.db.run(leftover.given_up, customer)
    with telling(as_json, "working", lambda calls: f"{calls} calls are under way at the vendors") as told:
        done = await worker.settled(service, customer, patience, told)
    await alerts.once(service)
    await vault.keep_once(service)
    needs = await service.db.run(leftover.needs, service, customer, before, service.clock.now())
    if as_json:
        write({**done, "needs": needs})
    else:
        show(done, as_json)
        for one in needs:
            say(f"{one['customer']}: {one['what']}; {one['next']}")
    if needs:
        raise typer.Exit(NEEDS_A_PERSON)


def _signalled() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopped.set)
    return stopped


def _door(service: "Service") -> "Door":
    from functools import partial

    from keepstep.web import Connecting, Door, Sender
    from keepstep.wiring import connecting

    async def lookup(platform: str, token: str) -> "Sender | None":
        found = await service.sender(platform, token)
        return Sender(*found) if found else None

    return Door(
        lookup=lookup,
        signatures=service.signatures,
        accounts=service.accounts,
        db=service.db,
        clock=service.clock,
        chance=service.chance,
        wake=service.wake,
        ready=service.ready,
        connecting=Connecting(
            page=partial(connecting.page, service),
            leave=partial(connecting.leave, service),
            arrive=partial(connecting.arrive, service),
            secure=(service.settings.service.public_url or "").startswith("https://"),
        ),
        partner=_partner_door(service),
        advance=service.advance,
    )


def _partner_door(service: "Service") -> "PartnerDoor":
    from functools import partial

    from keepstep.state.customers import PARTNER
    from keepstep.web import PartnerDoor
    from keepstep.wiring import events
    from keepstep.wiring.partner import Trust

    trust = Trust(service)
    return PartnerDoor(
        opens=trust.opens,
        believed=trust.believed,
        addressees=trust.addressees,
        came=partial(events.came, service),
        operator=PARTNER,
        db=service.db,
        clock=service.clock,
        chance=service.chance,
    )
