"""Webhook against poll: what each road told of the CRM's changes, whether it came to the same, and what follows for the
cadence of the poll. Reads of what was seen: nobody is asked."""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep.model import roads
from keepstep.model.customer import Route
from keepstep.model.instant import Instant, format_instant
from keepstep.model.roads import Change, Sighting, Tally
from keepstep.state import journal, marks, sightings, snapshots
from keepstep.wiring import alone
from keepstep.wiring.between import known_customer

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.wiring.service import Service

Row = dict[str, Any]
DAY = 86_400.0
# So many records are named; the counts are of all.
NAMED = 100


async def parity(service: "Service", customer_id: str, days: float) -> Row:
    """What each road told in the last days, and a verdict: `daily` (polling may be reduced to once a day) or `keep`."""
    alone.refuse(service.settings.route(customer_id), "parity compares the roads that its changes come by")
    return await service.db.run(_parity, await service.desk(customer_id), days, service.clock.now())


def _parity(tx: Tx, desk: "Desk", days: float, now: Instant) -> Row:
    known_customer(tx, desk.customer_id)
    shown = sightings.since(tx, desk.customer_id, desk.route.crm, now - days * DAY)
    found = roads.changes(shown)
    others = [one for one in found if not one.ours]
    poll = marks.get(tx, desk.customer_id, desk.route.crm, "crm_changed").data or {}
    cadence = float(poll.get("every") or desk.route.cadence.crm_changed)
    graces = roads.grace(found), 2 * cadence + roads.HOUR
    said = roads.tally(others, now, *graces)
    kept = subscription(tx, desk.route)
    quiet = kept["state"] == "quiet" or bool(journal.since(tx, desk.customer_id, QUIET, now - days * DAY))
    covered = _covered(shown, now)
    verdict, why = roads.verdict(others, said, subscribed=kept["state"] != "none", quiet=quiet, days=covered)
    return {
        "customer": desk.customer_id,
        "from": format_instant(now - days * DAY),
        "to": format_instant(now),
        "days": round(covered, 1),
        "verdict": verdict,
        "why": why,
        "poll_every_seconds": cadence,
        "grace_seconds": {"hook": round(graces[0]), "poll": round(graces[1])},
        "subscription": kept,
        "ours": len(found) - len(others),
        "total": _counted(others, said),
        "events": {
            word: _counted(some, roads.tally(some, now, *graces)) for word, some in roads.by_event(others).items()
        },
        "missed": {
            "hook": _missed(others, "by_hook", now - graces[0]),
            "poll": _missed(others, "by_poll", now - graces[1]),
        },
        "stored_behind": _behind(tx, desk, shown),
    }


def _covered(shown: Sequence[Sighting], now: Instant) -> float:
    """Days since the first sighting: a report over a week that has just begun is one over a day."""
    return (now - min((one.at for one in shown), default=now)) / DAY


def _counted(some: Sequence[Change], said: Tally) -> Row:
    return {**asdict(said), "median_seconds": {"hook": _median(some, "hook"), "poll": _median(some, "poll")}}


def _median(some: Sequence[Change], road: Any) -> float | None:
    took = roads.latency(some, road)
    return round(median(took), 1) if took else None


def _missed(some: Sequence[Change], road: str, before: Instant) -> list[str]:
    ids = [one.record_id for one in some if not getattr(one, road) and one.when <= before]
    return list(dict.fromkeys(ids))[:NAMED]


def _behind(tx: Tx, desk: "Desk", shown: Sequence[Sighting]) -> list[str]:
    """Records of which something newer was seen than what is stored: none, whichever road it was."""
    dated = [one for one in shown if not one.stamp.startswith("#")]
    newest = {one.record_id: one.stamp for one in sorted(dated, key=lambda one: float(one.stamp))}
    stored = snapshots.get(tx, desk.customer_id, desk.route.crm, list(newest))
    stamps = {
        key: sightings.stamp_of(desk.crm.snapshot(raw, read_at).updated_at, raw)
        for key, (raw, read_at, _) in stored.items()
    }
    dated_there = {key: float(stamp) for key, stamp in stamps.items() if not stamp.startswith("#")}
    return [key for key, stamp in sorted(dated_there.items()) if stamp < float(newest[key])][:NAMED]


# --- the subscription ------------------------------------------------------------------------------------------------

QUIET = "subscription_quiet"


def subscription(tx: Tx, route: Route) -> Row:
    """state: good, quiet, or none (everything is polled); since when it is quiet, and how much it has missed."""
    data = marks.get(tx, route.customer_id, route.crm, "subscription").data or {}
    quiet, good = data.get("quiet") or {}, data.get("good")
    state = "none" if not data.get("id") else "quiet" if quiet else "good"
    heard = sightings.heard(tx, route.customer_id, route.crm)
    return {
        "state": state,
        "checked": None if good is None else format_instant(good),
        "heard": None if heard is None else format_instant(heard),
        "quiet_since": format_instant(quiet["since"]) if quiet else None,
        "missed": quiet.get("missed", 0),
        "next": NEXT if quiet else "",
    }


NEXT = "nothing is lost: polls come oftener; runbook, `a subscription is quiet`"
