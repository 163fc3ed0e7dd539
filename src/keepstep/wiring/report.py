"""What the command line shows: reads of the state, as JSON values with moments in RFC 3339. Nothing here calls a
vendor."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import queue
from keepstep.model.canonical import email
from keepstep.model.change import Lane
from keepstep.model.customer import NO_CRM
from keepstep.model.errors import Refused
from keepstep.model.instant import Instant, format_instant
from keepstep.state import (
    alerts,
    consent,
    customers,
    dead_letters,
    journal,
    marks,
    parties,
    permits,
    strangers,
    submissions,
)
from keepstep.state.feeds import is_feed
from keepstep.state.parties import Alias
from keepstep.wiring import blocked, brake, feeds, overwritten, parity, past, plans, waiting

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.wiring.service import Service

Row = dict[str, Any]
STANDINGS = ("in_step", "pending", "parked", "left_out")


async def status(service: "Service", customer_id: str | None) -> Row:
    """Per customer: health, people by standing, what waits, the polls."""
    now = service.clock.now()
    chosen = [customer_id] if customer_id else [one.customer_id for one in await service.db.run(customers.every)]
    rows = [await service.db.run(_status, service, one, now) for one in chosen]
    for row in rows:
        desk = await service.desk(row["customer"])
        row["overwritten"] = await service.db.run(overwritten.counted, desk, now)
    return {"now": format_instant(now), "customers": rows}


def _status(tx: Tx, service: "Service", customer_id: str, now: Instant) -> Row:
    _known(tx, customer_id)
    route = service.settings.route(customer_id)
    aliases = _people(tx, route.audience, customer_id)
    backlog = queue.backlog(tx, customer_id)
    unresolved = submissions.unresolved(tx, customer_id)
    reasons = Counter(f"{one.standing}: {one.reason}" for one in aliases if one.standing in ("parked", "left_out"))
    key = service.settings.platforms[route.audience].application_key
    return {
        "customer": customer_id,
        "crm": None if route.alone else route.crm,
        "connections": {one.platform: one.reason or one.health for one in customers.connections(tx, customer_id)},
        "blocked": blocked.blocked(tx, route, now),
        "idle_grants": blocked.idle(tx, service.vault, customer_id, now),
        "people": dict(Counter(one.standing for one in aliases)),
        "reasons": dict(reasons),
        "queue": {Lane(lane).name: count for lane, (count, _) in backlog["entries"].items()},
        "oldest_seconds": max((now - oldest for _, oldest in backlog["entries"].values()), default=0.0),
        "steps_held": {hold or "ready": count for hold, count in backlog["steps"].items()},
        "under_way": backlog["in_jobs"],
        "waiting_for_batch": len(unresolved),
        "waiting_longest_seconds": max((now - row["since"] for row in unresolved), default=0.0),
        **waiting.stages(tx, route, now),
        **plans.shown(tx, route, now),
        "brake": brake.in_status(tx, route),
        "held": waiting.held(aliases, route, now),
        "crm_only": {"policy": route.policy.crm_only, **strangers.counted(tx, customer_id)},
        "dead_letters": dead_letters.count(tx, customer_id),
        "alerts": alerts.counted(tx, customer_id),
        "raced_optouts": journal.count(tx, customer_id, journal.RACED),
        "tags_without_list": waiting.tags_without_list(tx, route),
        "last_trouble": _trouble(tx, customer_id),
        "calls_today": {route.audience: permits.used_today(tx, key, now)},
        "subscription": parity.subscription(tx, route),
        "feeds": feeds.in_status(tx, route),
        "polls": {_poll_name(one): _poll(one) for one in marks.every(tx, customer_id) if not is_feed(one.platform)},
    }


def _trouble(tx: Tx, customer_id: str) -> Row | None:
    """The newest turn or read that failed; what came of it is in the polls and the queue."""
    found = journal.latest(tx, customer_id, ("turn_failed", "read_failed"), limit=1)
    return {"at": format_instant(found[0]["at"]), "what": found[0]["kind"], **found[0]["data"]} if found else None


def _poll_name(mark: marks.Mark) -> str:
    """What is filed under the name of a CRM that is not there keeps our own house."""
    return f"{'keepstep' if mark.platform == NO_CRM else mark.platform}.{mark.name}"


def _poll(mark: marks.Mark) -> Row:
    data = mark.data or {}
    moments = {"last": _text(data.get("finished")), "next": _text(mark.due), "mark": _text(mark.mark)}
    more = {"every_seconds": data.get("every"), "trouble": data.get("trouble")}
    return moments | {name: value for name, value in more.items() if value is not None}


def _text(at: Instant | None) -> str | None:
    return None if at is None else format_instant(at)


def _known(tx: Tx, customer_id: str) -> customers.Customer:
    known = customers.get(tx, customer_id)
    if known is None:
        raise Refused(404, f"no customer {customer_id}; `keepstep customer list` shows who there is")
    return known


def _people(tx: Tx, platform: str, customer_id: str) -> list[Alias]:
    rows = [row for standing in STANDINGS for row in parties.standings(tx, customer_id, standing)]
    return [row for row in rows if row.platform == platform]


async def claims(service: "Service", customer_id: str | None) -> Sequence[Row]:
    """One row a captured person: {customer, record_id, state, reason}."""
    chosen = [customer_id] if customer_id else [one.customer_id for one in await service.db.run(customers.every)]
    found: list[Row] = []
    for one in chosen:
        aliases = await service.db.run(_people, service.settings.route(one).audience, one)
        found += [
            {"customer": one, "record_id": row.record_id, "state": row.standing, "reason": row.reason or ""}
            for row in aliases
        ]
    return found


async def timeline(service: "Service", customer_id: str, record: str) -> Sequence[Row]:
    """Everything that happened to one person and why: journal lines and consent acts, in order."""
    return await service.db.run(_timeline, service, customer_id, record)


async def at_moment(service: "Service", customer_id: str, record: str, at: Instant) -> Row | None:
    """One person as both sides and we had them at a moment; None where nothing was known by then."""
    desk = await service.desk(customer_id)
    return await service.db.run(_at_moment, desk, record, at)


def _at_moment(tx: Tx, desk: "Desk", record: str, at: Instant) -> Row | None:
    _known(tx, desk.customer_id)
    party_id = _party(tx, desk.customer_id, (desk.route.audience, desk.route.crm), record)
    return None if party_id is None else past.described(tx, desk, party_id, record, at)


def _timeline(tx: Tx, service: "Service", customer_id: str, record: str) -> list[Row]:
    _known(tx, customer_id)
    route = service.settings.route(customer_id)
    party_id = _party(tx, customer_id, (route.audience, route.crm), record)
    if party_id is None:
        return []
    lines = [
        {"at": row["at"], "what": row["kind"], **(row["data"] or {})}
        for row in journal.of_party(tx, customer_id, party_id)
    ]
    acts = [
        {"at": act["seen_at"], "what": f"consent {act['direction']}", "record": act["record_id"], **_evidence(act)}
        for act in consent.acts_of(tx, customer_id, [party_id])[party_id]
    ]
    ordered = sorted([*lines, *acts], key=lambda row: float(row["at"]))
    return [{**row, "at": format_instant(row["at"])} for row in ordered]


def _evidence(act: Mapping[str, Any]) -> Row:
    moments = {name: _text(act[name]) for name in ("after", "before")}
    return {"kind": act["kind"], "source": act["source"], "happened": _text(act["at"]), **moments}


def _party(tx: Tx, customer_id: str, platforms: Sequence[str], record: str) -> str | None:
    for platform in platforms:
        found = parties.party_of(tx, customer_id, platform, [record])
        if found:
            return found[record]
    holders = parties.holders(tx, customer_id, "email", [email(record)])
    # Whoever has the address on lists; else the household that has it in the CRM.
    held = sorted((platforms.index(row[1]), row[0]) for rows in holders.values() for row in rows)
    return held[0][1] if held else None
