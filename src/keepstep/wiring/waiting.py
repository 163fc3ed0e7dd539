"""Who waits for the CRM's nightly batch or for an address, by how long, and what to do about it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection as Tx

from keepstep.model.customer import Route
from keepstep.model.instant import Instant
from keepstep.state import labels, marks, submissions
from keepstep.state.parties import Alias
from keepstep.submit.custody import HELD

Row = dict[str, Any]
# Nothing lists what an import holds back; where staff find it, by name (Virtuous facts 10.3).
BUCKETS = "resolve what stands under Match Needed and Update Needed, then run the import"


def stages(tx: Tx, route: Route, now: Instant) -> Row:
    """Per stage how many, the age of the oldest in seconds, and what to do."""
    rows = submissions.unresolved(tx, route.customer_id)
    by_stage: dict[str, list[Row]] = {"waiting": [], "stuck": [], "review": []}
    for row in rows:
        by_stage[submissions.stage(row, now)].append(row)
    return {name: _counted(some, now, _next(name, route)) for name, some in by_stage.items()} | {
        "owed": owed(tx, route, now)
    }


def owed(tx: Tx, route: Route, now: Instant) -> Row:
    """Opt-outs of people who wait: applied as soon as the batch has made them."""
    data = marks.get(tx, route.customer_id, route.crm, "watch_batch").data or {}
    count, oldest = int(data.get("owed") or 0), data.get("oldest")
    then = f"applied as soon as {named(route.crm)} shows them; running the import brings that about"
    return {
        "count": count,
        "oldest_seconds": max(now - oldest, 0.0) if oldest is not None else 0.0,
        "next": then if count else "",
    }


def tags_without_list(tx: Tx, route: Route) -> list[Row]:
    """Tags of the route's prefix whose list does not exist, and why: whoever carries one keeps it."""
    known = labels.every(tx, route.customer_id)
    used = {one.tag_id for one in known if one.state == "live"}
    there = named(route.audience)
    make = f"make the list at {there}, or set missing_lists = create, or take the tag off"
    then = {"no_list": make, "list_gone": "its tag stays; take it off where it is not wanted"}
    waits = [one for one in known if one.reason in then and one.tag_id not in (None, *used)]
    return [{"tag": one.tag_name, "reason": one.reason, "next": then[one.reason or ""]} for one in waits]


def held(people: Iterable[Alias], route: Route, now: Instant) -> Row:
    """People whose address another person of ours still has. Nobody can end that but the other one, or staff."""
    rows = [{"since": one.since} for one in people if one.reason == HELD]
    crm = named(route.crm)
    return _counted(rows, now, f"ends by itself once the other person leaves it; else staff: take it off one in {crm}")


def _counted(rows: Sequence[Mapping[str, Any]], now: Instant, then: str) -> Row:
    ages = [now - row["since"] for row in rows]
    return {"count": len(rows), "oldest_seconds": max(ages, default=0.0), "next": then if rows else ""}


def _next(stage: str, route: Route) -> str:
    crm, source = named(route.crm), route.policy.reference_source
    if stage == "waiting":
        return f"nothing: the nightly batch of {crm} makes them"
    if stage == "stuck":
        return f"staff: open Imports in {crm}, source {source}; {BUCKETS}"
    return (
        f"staff: open Imports in {crm}, source {source}; {BUCKETS}; who is not there was discarded: make them by hand, "
        f"each with the reference {source} and the id that keepstep status --people shows"
    )


def named(platform: str) -> str:
    """A platform's name for people."""
    return platform.replace("_", " ").title()
