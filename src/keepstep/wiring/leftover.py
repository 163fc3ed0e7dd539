"""What `work --once` leaves behind: what comes to its end by itself within minutes, and what needs a person."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx
from sqlalchemy import func, select

from keepstep.model.instant import Instant
from keepstep.schema.tables import customer, entry, job, step
from keepstep.state import customers, dead_letters, feeds
from keepstep.wiring import blocked
from keepstep.wiring import feeds as fed

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

Answer = dict[str, Any]


def under_way(tx: Tx, customer_id: str | None) -> tuple[int, Instant | None]:
    """How many calls were accepted or never answered, and when the next of them, or a row that waits for a moment, is
    looked at; of customers who are served. Polls and everything else that comes again by itself are not waited for."""
    active = select(customer.c.customer_id).where(customer.c.state == "active")
    who = active if customer_id is None else active.where(customer.c.customer_id == customer_id)
    mine = job.c.customer_id.in_(who)
    calls = tx.execute(select(func.count()).select_from(job).where(mine)).scalar_one()
    moments = [
        select(func.min(job.c.look_at)).where(mine),
        select(func.min(entry.c.due)).where(entry.c.customer_id.in_(who), feeds.of_rows(entry.c.party_id)),
        select(func.min(step.c.due)).where(
            step.c.customer_id.in_(who), feeds.of_rows(step.c.party_id), step.c.job_id.is_(None), step.c.hold.is_(None)
        ),
    ]
    found = [tx.execute(each).scalar_one() for each in moments]
    return calls, min((at for at in found if at is not None), default=None)


def given_up(tx: Tx, customer_id: str | None) -> dict[tuple[str, str], int]:
    """(customer, what) to how much of it waits for a person; what: dead letters, or rows of a feed."""
    found: dict[tuple[str, str], int] = {}
    for one in _served(tx, customer_id):
        found[one, LETTERS] = dead_letters.count(tx, one)
        for name, states in feeds.counts(tx, one).items():
            found[one, name] = sum(states.get("parked", {}).values())
    return found


LETTERS = "dead letters"


def needs(
    tx: Tx, service: "Service", customer_id: str | None, before: dict[tuple[str, str], int], now: Instant
) -> list[Answer]:
    """{customer, what, next}: what keeps anything from going on, and what was given up on since `before`."""
    found: list[Answer] = []
    for one in _served(tx, customer_id):
        route = service.settings.route(one)
        shut = blocked.blocked(tx, route, now)
        found += [_need(one, f"{name} is blocked: {each['reason']}", each["next"]) for name, each in shut.items()]
        for name, each in fed.in_status(tx, route).items():
            if each["state"] == "problem":
                check = f"`keepstep feed check {name} --customer {one}`"
                found.append(_need(one, f"feed {name} cannot be read: {each['problem'][0]}", check))
    for (one, what), count in given_up(tx, customer_id).items():
        if (more := count - before.get((one, what), 0)) > 0:
            found.append(_new(one, what, more))
    return found


def _new(one: str, what: str, more: int) -> Answer:
    if what == LETTERS:
        return _need(one, f"{more} new dead letters", f"`keepstep dead-letters list --customer {one}`")
    rows = "1 more row" if more == 1 else f"{more} more rows"
    return _need(one, f"{rows} of feed {what} parked", f"`keepstep feed rows {what} --customer {one}`")


def _need(one: str, what: str, then: str) -> Answer:
    return {"customer": one, "what": what, "next": then}


def _served(tx: Tx, customer_id: str | None) -> list[str]:
    active = [one.customer_id for one in customers.every(tx) if one.state == "active"]
    return [one for one in active if customer_id in (None, one)]
