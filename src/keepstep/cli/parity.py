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
    seen, ours = found["total"]["seen"], found["ours"]
    say(f"{found['days']:g} days, {seen} changes by others, {ours} that answer our own writes")
    if found["events"]:
        show(_rows(found["events"]), False)
    say(f"webhooks: {found['subscription']['state']}, the last one heard {found['subscription']['heard'] or 'never'}")
    named = {f"missed by the {road}": ids for road, ids in found["missed"].items()}
    for title, ids in {**named, "stored older than it was seen": found["stored_behind"]}.items():
        if ids:
            say(f"{title}: {', '.join(ids)}")
    if found["subscription"]["next"]:
        say(f"next: {found['subscription']['next']}")
    if found["verdict"] == "daily":
        say('polling may be reduced: crm_changed = "1d"')
    else:
        say("keep polling as it is: " + "; ".join(WHY[why] for why in found["why"]))


def _rows(events: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each figure and a column for each event: there are more figures than kinds of events."""
    found = {word: _plain(counts) for word, counts in events.items()}
    figures = list(dict.fromkeys(name for counts in found.values() for name in counts))
    return [{"": name.replace("_", " "), **{word: found[word].get(name) for word in found}} for name in figures]


def _plain(counts: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in counts.items() if name != "median_seconds"}
    return plain | {f"median by {road}": _age(seconds) for road, seconds in counts["median_seconds"].items()}


def _age(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
