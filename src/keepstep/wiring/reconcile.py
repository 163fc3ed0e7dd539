"""Reconciliation: what the block needs of the others, brought to it, and what its command shows."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import certify, reconcile
from keepstep.desk import Chore, Desk
from keepstep.model.instant import Instant, format_instant
from keepstep.reconcile import compare, survey
from keepstep.reconcile.compare import Found, Means, Range, Tally
from keepstep.reconcile.survey import CATEGORIES, NEXT, Survey
from keepstep.state import dead_letters, reconciliations, submissions
from keepstep.submit import load
from keepstep.wiring import alone
from keepstep.wiring.between import between_turns, known_customer

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

Row = dict[str, Any]
Told = Callable[[int], None]
MEANS = Means(setting=load.setting, sweeps=certify.sweeps)
# So many findings are named; the counts are of all.
NAMED = 1000
COMPARES = "a reconciliation compares two sides"
DAY, MONTH = 86_400.0, 30 * 86_400.0


def chores(desk: Desk) -> tuple[Chore, ...]:
    """The nightly reconciliation."""
    return reconcile.chores(desk, MEANS)


async def look(service: "Service", customer_id: str, told: Told = lambda _parties: None) -> Row:
    """What is found, and the report: see docs/reference/cli.md. Nothing is changed and nobody is asked."""
    await service.db.run(known_customer, customer_id)
    alone.refuse(service.settings.route(customer_id), COMPARES)
    desk = await service.desk(customer_id)
    found, tally = await _compared(service, desk, told)
    return await service.db.run(_shown, desk, found, tally, service.clock.now())


async def apply(service: "Service", customer_id: str, checksum: str, told: Told = lambda _parties: None) -> Row:
    """{state, repairs, run, refused}: all repairs of the findings with this checksum, or none."""
    await service.db.run(known_customer, customer_id)
    alone.refuse(service.settings.route(customer_id), COMPARES)
    desk = await service.desk(customer_id)
    found, tally = await _compared(service, desk, told)
    done = await between_turns(service, customer_id, _applied, desk, checksum, found, tally, service.clock.now())
    state = "refused" if done.refused else "applied"
    return {"state": state, "repairs": done.repairs, "run": done.run, "refused": done.refused}


async def _compared(service: "Service", desk: Desk, told: Told) -> tuple[list[Found], Tally]:
    """Range after range, each in a transaction of its own."""
    found: list[Found] = []
    tally, after = Tally(), ""
    while True:
        one: Range | None = await service.db.run(_range, desk, after, service.clock.now())
        if one is not None:
            found, tally = [*found, *one.found], tally + one.tally
            told(tally.parties)
        if one is None or not one.upto:
            return found, tally
        after = one.upto


def _range(tx: Tx, desk: Desk, after: str, now: Instant) -> Range | None:
    return compare.compared(tx, desk, MEANS.setting(tx, desk, now), after)


def _applied(
    tx: Tx, desk: Desk, checksum: str, found: Sequence[Found], tally: Tally, now: Instant
) -> reconcile.Repaired:
    return reconcile.apply(tx, desk, checksum, survey.take(tx, desk, MEANS, found, tally, now), now)


# --- how it is told --------------------------------------------------------------------------------------------------


def _shown(tx: Tx, desk: Desk, found: Sequence[Found], tally: Tally, now: Instant) -> Row:
    made = survey.take(tx, desk, MEANS, found, tally, now)
    counts = Counter(one.category for one in made.items)
    named = [{**asdict(one), "next": NEXT[one.category]} for one in made.items[:NAMED]]
    return {
        "customer": desk.customer_id,
        "at": format_instant(now),
        "verdict": _verdict(made),
        "checksum": made.checksum,
        "found": {category: counts[category] for category in CATEGORIES},
        "repairs": made.repairs,
        "limit": made.limit,
        "mass": made.repairs > made.limit,
        "pairs": asdict(made.tally),
        "sweeps": {platform: _sweep(one) for platform, one in made.sweeps.items()},
        "report": _report(tx, desk, tally, made, now),
        "findings": [{name: value for name, value in one.items() if name not in ("seen", "party_id")} for one in named],
    }


def _verdict(made: Survey) -> str:
    """same: both sides were read whole and everybody who rests is the same; unproved: a sweep is missing."""
    if made.items:
        return "differs"
    return "same" if made.proved else "unproved"


def _sweep(one: Mapping[str, Any]) -> Row:
    moments = {name: format_instant(one[name]) if one[name] else None for name in ("at", "finished")}
    return {**moments, "trouble": one["trouble"]}


def _report(tx: Tx, desk: Desk, tally: Tally, made: Survey, now: Instant) -> Row:
    standings = reconciliations.standing_counts(tx, desk.customer_id, desk.route.audience)
    rows = submissions.unresolved(tx, desk.customer_id)
    late = reconciliations.latencies(tx, desk.customer_id, now - DAY)
    logged = reconciliations.since(tx, desk.customer_id, now - MONTH)
    back = {one for row in logged if row["resolution"] == "recovered" for one in row["records"]}
    return {
        "pending": standings.get("pending", 0),
        "submitted_over_24h": sum(now - row["since"] > submissions.STUCK for row in rows),
        "needs_review": sum(submissions.stage(row, now) == "review" for row in rows),
        "failed": dead_letters.count(tx, desk.customer_id),
        "conflict": tally.conflict,
        "recovered": len(back | set(made.recovered)),
        "latency_seconds": {"median": _quantile(late, 0.5), "p99": _quantile(late, 0.99), "writes": len(late)},
    }


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None
