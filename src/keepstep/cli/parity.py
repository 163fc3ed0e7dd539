"""`keepstep parity`."""

from typing import Annotated, Any

import typer

from keepstep.cli.console import AsJson, CustomerId, run, say, settings, show, write
from keepstep.cli.service import open_service

WHY = {
    "no_subscription": "there is no webhook subscription",
    "quiet": "the subscription is quiet, or was in this time",
    "too_few_events": "too few changes by others to tell",
    "too_few_days": "less than a week was watched",
    "losses": "too many webhooks were lost",
    "polls_missed": "polls missed what webhooks told: they are no net",
    "slow_webhooks": "webhooks take longer than an hour",
}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(parity)


def parity(
    customer: CustomerId,
    days: Annotated[int, typer.Option("--days", min=1, max=30, help="How far back.")] = 14,
    as_json: AsJson = False,
) -> None:
    """What webhooks and polls of the CRM each told, whether it came to the same, and whether polls may be daily."""

    async def read() -> dict[str, Any]:
        from keepstep.wiring import parity as roads

        async with open_service(settings()) as service:
            return await roads.parity(service, customer, days)

    found = run(read())
    write(found) if as_json else _told(found)


def _told(found: dict[str, Any]) -> None:
    say(f"{found['days']} days, {found['total']['seen']} changes by others, {found['ours']} that answer our own writes")
    show([{"event": word, **counts} for word, counts in found["events"].items()], False)
    show({name: found[name] for name in ("subscription", "missed", "stored_behind")}, False)
    if found["verdict"] == "daily":
        say('polling may be reduced: crm_changed = "1d"')
    else:
        say("keep polling as it is: " + "; ".join(WHY[why] for why in found["why"]))
