"""Dead letters: what we gave up on, grouped by cause, and the ways out: replay (decide anew) and discard."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import filing, queue
from keepstep.model.change import Lane
from keepstep.model.errors import Refused
from keepstep.model.feed import is_row
from keepstep.model.instant import Instant, format_instant
from keepstep.state import dead_letters, journal, letters, parties, readings, snapshots
from keepstep.wiring.between import between_turns, known_customer

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.wiring.service import Service

Row = dict[str, Any]
NEXT: Mapping[str, str] = {
    "value_refused": "correct the value where it comes from, or the tag or field that it names, then replay",
    "not_permitted": "have the vendor's owner give the permission that is missing, then replay",
    "record_gone": "look whether the record was deleted or merged; replay decides by what is there now",
    "clash": "settle the two records that clash at the vendor, then replay",
    "gave_up": "the vendor did not take it for a day: once it works again, replay",
    "refused": "look at the answer with `keepstep dead-letters show`, mend the cause, then replay",
    "decision_failed": "this is a bug: report the reason; replay after an update",
    "record_unreadable": "this is a bug or a broken record: report the reason; replay reads the record again",
}
CLOSED = "nothing: its cause is gone"


async def listed(service: "Service", customer_id: str, state: str | None) -> Row:
    """{"groups": [...], "letters": [...]}: by kind and class of reason, and one row a letter; no personal data."""
    desk = await service.desk(customer_id)
    return await service.db.run(_listed, desk, state)


def _listed(tx: Tx, desk: "Desk", state: str | None) -> Row:
    known_customer(tx, desk.customer_id)
    rows = [_row(tx, desk, one) for one in dead_letters.of_customer(tx, desk.customer_id, state, limit=10_000)]
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["side"], row["kind"], row["cause"]), []).append(row)
    return {"groups": [_group(*key, some) for key, some in groups.items()], "letters": rows}


def _row(tx: Tx, desk: "Desk", letter: Mapping[str, Any]) -> Row:
    open_still = letter["state"] == "open"
    gone = open_still and letters.is_moot(tx, desk.customer_id, letter, _platform(desk, letter))
    found = letters.about(tx, desk.customer_id, letter)
    record = found.person.record_id if found.person else (letter["payload"] or {}).get("record_id")
    cause = letters.cause(letter)
    return {
        "id": letter["id"],
        "at": format_instant(letter["at"]),
        "side": letter["side"],
        "kind": letter["kind"],
        "cause": cause,
        "record": record,
        "state": letter["state"],
        "tries": letter["tries"],
        "next": (CLOSED if gone else NEXT[cause]) if open_still else None,
    }


def _group(side: str, kind: str, cause: str, rows: Sequence[Row]) -> Row:
    moments = [row["at"] for row in rows]
    group = {"side": side, "kind": kind, "cause": cause, "count": len(rows)}
    return group | {"first": min(moments), "last": max(moments), "next": NEXT[cause]}


def _platform(desk: "Desk", letter: Mapping[str, Any]) -> str:
    return desk.route.audience if letter["side"] == "audience" else desk.route.crm


async def shown(service: "Service", customer_id: str, letter_id: str) -> Row:
    """One letter with its payload, which holds personal data, the answer, and the journal of its party."""
    desk = await service.desk(customer_id)
    return await service.db.run(_shown, desk, letter_id)


def _shown(tx: Tx, desk: "Desk", letter_id: str) -> Row:
    letter = _of(tx, desk.customer_id, letter_id)
    party_id = letters.survivor(tx, desk.customer_id, letter["party_id"])
    trace = journal.of_party(tx, desk.customer_id, party_id) if party_id else []
    said = {name: letter[name] for name in ("reason", "payload", "answer")}
    lines = [{"at": format_instant(one["at"]), "what": one["kind"], **(one["data"] or {})} for one in trace]
    return {**_row(tx, desk, letter), "party": party_id, **said, "trace": lines}


def _of(tx: Tx, customer_id: str, letter_id: str) -> Row:
    known_customer(tx, customer_id)
    letter = dead_letters.get(tx, customer_id, letter_id)
    if letter is None:
        raise Refused(404, f"no letter {letter_id}; `keepstep dead-letters list --customer {customer_id}` shows them")
    return letter


async def chosen(service: "Service", customer_id: str, ids: Sequence[str], cause: str | None) -> list[str]:
    """The letters that are named, or all open ones of a cause. Raises Refused for one that is not there."""
    rows = (await listed(service, customer_id, None))["letters"]
    known = [row["id"] for row in rows]
    if missing := [one for one in ids if one not in known]:
        raise Refused(404, f"no letter {missing[0]}; `keepstep dead-letters list --customer {customer_id}` shows them")
    alike = [row["id"] for row in rows if cause is not None and row["cause"] == cause and row["state"] == "open"]
    return list(dict.fromkeys([*ids, *alike]))


async def replayed(service: "Service", customer_id: str, letter_id: str, by: str) -> Row:
    """Put one back: {"id", "state", "changed"}. What follows is decided anew from what both sides say then, not from
    the letter. Of a letter that is closed already nothing is done."""
    desk = await service.desk(customer_id)
    letter = await service.db.run(_of, customer_id, letter_id)
    if letter["kind"] == "poison" and letter["state"] == "open":
        began = service.clock.now()
        raw = await _read(desk, letter)
        return await between_turns(service, customer_id, _refiled, desk, letter_id, raw, began, by)
    return await between_turns(service, customer_id, _replayed, desk, letter_id, by)


async def _read(desk: "Desk", letter: Mapping[str, Any]) -> Any:
    record_id = str(letter["payload"]["record_id"])
    if letter["side"] == "audience":
        return await desk.audience.read(record_id)
    return next((raw for found, raw in await desk.crm.read_many([record_id]) if found == record_id), None)


def _replayed(tx: Tx, desk: "Desk", letter_id: str, by: str) -> Row:
    letter, now = _of(tx, desk.customer_id, letter_id), desk.clock.now()
    if not dead_letters.resolve(tx, desk.customer_id, letter_id, "replayed", now):
        return {"id": letter_id, "state": letter["state"], "changed": False}
    found = letters.about(tx, desk.customer_id, letter)
    if freed := found.freed():
        readings.save(tx, desk.customer_id, [freed])
    if found.party:
        queue.put(tx, desk.customer_id, [(found.party.party_id, Lane.changes, now)], now)
    elif is_row(letter["party_id"] or ""):
        queue.put(tx, desk.customer_id, [(letter["party_id"], Lane.bulk, now)], now)
    _told(tx, desk, "replayed", letter_id, found.party.party_id if found.party else None, by)
    return {"id": letter_id, "state": "replayed", "changed": True}


def _refiled(tx: Tx, desk: "Desk", letter_id: str, raw: Any, began: Instant, by: str) -> Row:
    """The record is filed as a poll would; where that fails again the letter stays open and the failure is raised.
    A reading that a turn stored meanwhile is the newer one."""
    letter, now = _of(tx, desk.customer_id, letter_id), desk.clock.now()
    if not dead_letters.resolve(tx, desk.customer_id, letter_id, "replayed", now):
        return {"id": letter_id, "state": letter["state"], "changed": False}
    record_id, platform = str(letter["payload"]["record_id"]), _platform(desk, letter)
    known = snapshots.get(tx, desk.customer_id, platform, [record_id])
    if raw is not None and not (record_id in known and known[record_id][1] >= began):
        file = filing.people if letter["side"] == "audience" else filing.contacts
        file(tx, desk, [(record_id, raw)], began, now, Lane.changes)
    home = parties.party_of(tx, desk.customer_id, platform, [record_id]).get(record_id)
    _told(tx, desk, "replayed", letter_id, home, by)
    return {"id": letter_id, "state": "replayed", "changed": True, "found": raw is not None}


async def discarded(service: "Service", customer_id: str, letter_id: str, by: str) -> Row:
    """Give one up for good; the write is not asked for again in the same words."""
    desk = await service.desk(customer_id)
    return await between_turns(service, customer_id, _discarded, desk, letter_id, by)


def _discarded(tx: Tx, desk: "Desk", letter_id: str, by: str) -> Row:
    letter = _of(tx, desk.customer_id, letter_id)
    if not dead_letters.resolve(tx, desk.customer_id, letter_id, "discarded", desk.clock.now()):
        return {"id": letter_id, "state": letter["state"], "changed": False}
    _told(tx, desk, "discarded", letter_id, letters.survivor(tx, desk.customer_id, letter["party_id"]), by)
    return {"id": letter_id, "state": "discarded", "changed": True}


def _told(tx: Tx, desk: "Desk", what: str, letter_id: str, party_id: str | None, by: str) -> None:
    journal.append(tx, desk.customer_id, [(desk.clock.now(), party_id, what, {"letter": letter_id, "by": by})])
