"""What the brake holds, as a person sees it, and the person's word: exactly what was shown goes out, or never does."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import queue
from keepstep.model import brake as rule
from keepstep.model.canonical import fingerprint
from keepstep.model.change import Lane
from keepstep.model.customer import Route
from keepstep.model.errors import Refused
from keepstep.model.instant import Instant, format_instant
from keepstep.queue import StepRow
from keepstep.state import brake, journal, labels, readings, runs
from keepstep.state.brake import Inferred
from keepstep.submit.brake import OPT_OUTS, braked, drop, key_of, let_go, limit
from keepstep.wiring import alone
from keepstep.wiring.between import between_turns

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.wiring.service import Service

Row = dict[str, Any]
Held = Sequence[tuple[StepRow, Inferred]]
HOLDS = "the brake holds what is inferred of one side for the other"


async def shown(service: "Service", customer_id: str) -> Row:
    """What is held and why, without personal data: see docs/reference/cli.md. Whatever it shows can be approved or
    discarded by its checksum, also when more is held by then."""
    alone.refuse(service.settings.route(customer_id), HOLDS)
    desk = await service.desk(customer_id)
    return await between_turns(service, customer_id, _show, desk, service.clock.now())


def _show(tx: Tx, desk: "Desk", now: Instant) -> Row:
    held = _held(tx, desk.customer_id)
    checksum = _checksum(held)
    _forget_unwanted(tx, desk.customer_id, held, now)
    if checksum:
        brake.show(tx, desk.customer_id, [one.key for _, one in held], checksum)
    return {
        "customer": desk.customer_id,
        "checksum": checksum,
        "held": len(held),
        "since": _first(held),
        "limit": limit(tx, desk.route),
        "counted": brake.counted(tx, desk.customer_id, now - rule.DAY),
        "steps": _kinds(held),
        "labels": _labels(tx, desk.customer_id, held),
        "opt_outs": _opt_outs(held),
        "records": [_record(*pair) for pair in held],
    }


def in_status(tx: Tx, route: Route) -> Row:
    """What status says of the brake: {held, since, limit, checksum}."""
    held = _held(tx, route.customer_id)
    said = {"held": len(held), "since": _first(held)}
    return {**said, "limit": limit(tx, route), "checksum": _checksum(held)}


def _forget_unwanted(tx: Tx, customer_id: str, held: Held, now: Instant) -> None:
    """What was held and has not been wanted for a day is no change any more."""
    there = {one.key for _, one in held}
    known = brake.held(tx, customer_id).values()
    brake.forget(tx, customer_id, [one.key for one in known if one.key not in there and _goes_at(one) <= now])


def _held(tx: Tx, customer_id: str) -> Held:
    """Every step that is held, with what is known of it, those held longest first."""
    known = brake.held(tx, customer_id)
    rows = [(row, known[key_of(row)]) for row in braked(tx, customer_id) if key_of(row) in known]
    return sorted(rows, key=lambda pair: (pair[1].since, pair[1].key))


def _checksum(held: Held) -> str | None:
    """Over what each step says, not over when it came."""
    return fingerprint(sorted(one.key for _, one in held))[:12] if held else None


def _first(held: Held) -> str | None:
    return format_instant(held[0][1].since) if held else None


def _kinds(held: Held) -> list[Row]:
    counts = Counter((one.why, one.side, one.kind) for _, one in held)
    return [{"why": why, "side": side, "kind": kind, "count": n} for (why, side, kind), n in sorted(counts.items())]


def _labels(tx: Tx, customer_id: str, held: Held) -> list[Row]:
    """How many memberships and tags of each list, or tag of the audience side, are held."""
    names = {one.list_id: one.list_name for one in labels.every(tx, customer_id)}
    counts = Counter((list_id, row.kind) for row, _ in held for list_id in _lists(row.payload))
    return [
        {"list_id": list_id, "name": names.get(list_id), "kind": kind, "count": n}
        for (list_id, kind), n in sorted(counts.items())
    ]


def _lists(payload: Mapping[str, Any]) -> list[str]:
    return list(payload.get("list_ids") or ([payload["list_id"]] if "list_id" in payload else []))


def _opt_outs(held: Held) -> Row:
    """Those that go out by themselves, and from when to when."""
    at = [_goes_at(one) for _, one in held if one.kind in OPT_OUTS]
    ends = [format_instant(moment) for moment in (min(at), max(at))] if at else [None, None]
    return {"count": len(at), "first_at": ends[0], "last_at": ends[1]}


def _goes_at(one: Inferred) -> Instant:
    return one.since + rule.DAY


def _record(row: StepRow, one: Inferred) -> Row:
    goes_at = format_instant(_goes_at(one)) if one.kind in OPT_OUTS else None
    said = {"record": row.member, "why": one.why, "side": one.side, "kind": one.kind}
    return {**said, "since": format_instant(one.since), "goes_at": goes_at}


# --- the word --------------------------------------------------------------------------------------------------------


async def approve(service: "Service", customer_id: str, checksum: str, by: str) -> Row:
    """Let exactly what was shown under this checksum go out: {state, steps, left, run}. Raises Refused for a checksum
    under which nothing that is held was shown."""
    alone.refuse(service.settings.route(customer_id), HOLDS)
    desk = await service.desk(customer_id)
    return await between_turns(service, customer_id, _approve, desk, checksum, by, service.clock.now())


def _approve(tx: Tx, desk: "Desk", checksum: str, by: str, now: Instant) -> Row:
    held = _held(tx, desk.customer_id)
    these = _chosen(desk, held, checksum)
    brake.set_state(tx, desk.customer_id, [one.key for _, one in these], "approved", now)
    let_go(tx, desk.customer_id, [row for row, _ in these], now)
    queue.wake(tx, desk.customer_id, now)
    parties = sorted({row.party_id for row, _ in these})
    run = runs.begin(tx, desk.customer_id, "brake", parties, {"checksum": checksum, "steps": len(these)}, now)
    _journal(tx, desk, "brake_approved", checksum, by, these, now)
    return {"state": "approved", "steps": len(these), "left": len(held) - len(these), "run": run}


async def discard(service: "Service", customer_id: str, checksum: str, by: str) -> Row:
    """What was shown under this checksum never goes out, as long as the sides differ: {state, steps, left}. Raises
    Refused as `approve` does."""
    alone.refuse(service.settings.route(customer_id), HOLDS)
    desk = await service.desk(customer_id)
    return await between_turns(service, customer_id, _discard, desk, checksum, by, service.clock.now())


def _discard(tx: Tx, desk: "Desk", checksum: str, by: str, now: Instant) -> Row:
    held = _held(tx, desk.customer_id)
    these = _chosen(desk, held, checksum)
    rows = [row for row, _ in these]
    _remember(tx, desk, rows)
    drop(tx, desk.customer_id, rows)
    brake.forget(tx, desk.customer_id, [one.key for _, one in these])
    marks = [(row.party_id, Lane.changes, now) for row, _ in these]
    queue.put(tx, desk.customer_id, marks, now)
    _journal(tx, desk, "brake_discarded", checksum, by, these, now)
    return {"state": "discarded", "steps": len(these), "left": len(held) - len(these)}


def _remember(tx: Tx, desk: "Desk", rows: Sequence[StepRow]) -> None:
    """The next decision does not want the steps again, and says so of the people."""
    found = readings.load(tx, desk.customer_id, sorted({row.party_id for row in rows}))
    for row in rows:
        found[row.party_id] = rule.discarded(found[row.party_id], row.as_step())
    readings.save(tx, desk.customer_id, found.values())


def _chosen(desk: "Desk", held: Held, checksum: str) -> Held:
    """All of it, or what was shown then and is held in the same words still."""
    if held and checksum == _checksum(held):
        return held
    these = [(row, one) for row, one in held if one.shown == checksum]
    if not these:
        look = f"`keepstep brake show --customer {desk.customer_id}`"
        raise Refused(404, f"nothing that is held was shown under {checksum}; {look} shows what is")
    return these


def _journal(tx: Tx, desk: "Desk", kind: str, checksum: str, by: str, these: Held, now: Instant) -> None:
    line = {"checksum": checksum, "steps": len(these), "by": by}
    lines = [(now, row.party_id, kind, {"record": row.member, "step": row.kind, "by": by}) for row, _ in these]
    journal.append(tx, desk.customer_id, [(now, None, kind, line), *lines])
