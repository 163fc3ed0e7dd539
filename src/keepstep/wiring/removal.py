"""A customer leaves: stop, export, have the vendors forget us, delete the secrets, erase.

Every stage is noted in the customer's row when it is done, and that row is the last to be erased: what was interrupted,
or what a vendor did not answer, goes on where it was. Until the secrets go, `resume` calls it off.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep.database import truncate_log
from keepstep.inbound.subscription import NAME as SUBSCRIPTION
from keepstep.model.errors import Blocked, Problem, Refused, Transient
from keepstep.model.instant import Instant, format_instant
from keepstep.state import customers, marks, places
from keepstep.state.rotations import TELL_AFTER
from keepstep.wiring import doors, export, vault
from keepstep.wiring.between import between_turns, known_customer
from keepstep.wiring.lock import is_served

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

Row = dict[str, Any]
Tell = Callable[[str], None]
NO_EXPORT = "not wanted"
# So long another process may be the one that deletes values at providers, and so often it is looked whether it did.
KEEPER_SECONDS, PAUSE = 60.0, 0.25


def untold(_text: str) -> None:
    """Nobody looks on."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a customer is to be removed. `to`: the file or folder of the export; None with `unexported`, and where it
    was exported before. `force`: go on where a vendor does not answer."""

    to: Path | None = None
    unexported: bool = False
    force: bool = False


# --- before ----------------------------------------------------------------------------------------------------------


async def outlook(service: "Service", customer_id: str) -> Row:
    """What a removal would erase and keep, what it would ask of vendors, and how far one has come already."""
    return await service.db.run(_outlook, service, customer_id)


def _outlook(tx: Tx, service: "Service", customer_id: str) -> Row:
    known_customer(tx, customer_id)
    known = customers.get(tx, customer_id)
    begun = customers.removal(known) if known else None
    return {
        "customer": customer_id,
        "state": "being removed" if begun else "kept",
        "erases": customers.counted(tx, customer_id),
        "keeps": {"hashes of opted-out addresses": customers.kept_hashes(tx, customer_id)},
        "webhooks": len(_subscriptions(tx, service, customer_id)),
        "by_hand": _by_hand(tx, service, customer_id),
        "done": sorted(set(begun or ()) - {"began"}),
    }


def _subscriptions(tx: Tx, service: "Service", customer_id: str) -> list[str]:
    crm = service.settings.route(customer_id).crm
    data = marks.get(tx, customer_id, crm, SUBSCRIPTION).data or {}
    return [one for one in (*data.get("replaced", ()), data.get("id")) if one]


def _by_hand(tx: Tx, service: "Service", customer_id: str) -> list[str]:
    """What no call can do: where a person takes our access away, and webhooks that a person set up."""
    held = dict.fromkeys(platform for platform, _ in service.vault.fields(tx, customer_id))
    found = {name: service.connectors.get(name.partition(":")[0]) for name in held}
    hands = [f"{name}: {one.takes_access_away}" for name, one in found.items() if one and one.takes_access_away]
    audience = service.settings.route(customer_id).audience
    # What a provider keeps is not asked for: it may be the provider that does not answer.
    has_door = service.settings.service.public_url and doors.has_door(service, customer_id, audience)
    if has_door and (audience, doors.TOKEN) in service.vault.fields(tx, customer_id):
        hands.append(f"{audience}: delete the webhooks that were set up there by hand")
    return hands


# --- the stages ------------------------------------------------------------------------------------------------------


async def remove(service: "Service", customer_id: str, wish: Wish, tell: Tell) -> Row:
    """Everything, from where it was; the report. Raises Refused before anything happened, Transient or Blocked where
    it stopped on the way: the customer stays paused, and the same command goes on."""
    data = await service.db.run(_begun, service, customer_id, wish, service.clock.now())
    tell("waiting for the turn under way")
    await _stopped(service, customer_id)
    if "exported" not in data:
        data = await _exported(service, customer_id, wish, data, tell)
    tell("deleting webhooks")
    data = await _unsubscribed(service, customer_id, wish, data)
    data = await service.db.run(_secrets_gone, service, customer_id, data, service.clock.now())
    service.forget(customer_id)
    tell("deleting secrets at their provider")
    await _gone_elsewhere(service, customer_id, wish)
    tell("waiting for the doors to close")
    await _doors_closed(service, data)
    erased = await _erased(service, customer_id, tell)
    kept = await service.db.run(customers.kept_hashes, customer_id)
    left = await service.db.run(places.left_over)
    clean = truncate_log(service.settings.service.database)
    log = "emptied" if clean else "is emptied later"
    return _report(customer_id, data, erased, kept) | {"left_over": left, "log": log}


def _begun(tx: Tx, service: "Service", customer_id: str, wish: Wish, now: Instant) -> Row:
    """Paused from here on: no turn begins, and a call is not sent any more."""
    known_customer(tx, customer_id)
    known = customers.get(tx, customer_id)
    assert known is not None
    data = customers.removal(known) or {"began": now}
    if "exported" not in data:
        if wish.to is not None:
            export.refuse_existing(wish.to)
        elif not wish.unexported:
            said = "say --export FILE.tar.gz to keep a copy of what is erased, or --no-export"
            raise Refused(400, f"{customer_id}: {said}; nothing was done")
    customers.pause(tx, customer_id)
    return _noted(tx, customer_id, data, {"by_hand": data.get("by_hand") or _by_hand(tx, service, customer_id)})


def _noted(tx: Tx, customer_id: str, data: Row, more: Row) -> Row:
    data = data | more
    customers.note_removal(tx, customer_id, data)
    return data


async def _stopped(service: "Service", customer_id: str) -> None:
    try:
        await between_turns(service, customer_id, lambda _tx: None)
    except Transient:
        again = "it is paused; the same command goes on from here"
        raise Transient(f"{customer_id}: a turn under way does not end; {again}") from None


async def _exported(service: "Service", customer_id: str, wish: Wish, data: Row, tell: Tell) -> Row:
    done: Any = NO_EXPORT
    if wish.to is not None:
        try:
            done = {"to": str(wish.to), "rows": await export.export(service, customer_id, wish.to, tell)}
        except OSError as error:
            again = "it stays paused; the same command goes on, also with another file"
            raise Refused(400, f"{customer_id}: {wish.to} cannot be written ({error.strerror}); {again}") from None
    return await service.db.run(_noted, customer_id, data, {"exported": done})


async def _unsubscribed(service: "Service", customer_id: str, wish: Wish, data: Row) -> Row:
    """One subscription after the other. One that the vendor forgot meanwhile is as good as deleted."""
    for one in await service.db.run(_subscriptions, service, customer_id):
        try:
            said = await _told(service, customer_id, one)
        except Problem as problem:
            if not wish.force:
                raise _in_the_way(customer_id, f"webhook {one}", problem) from None
            data = _left_to_a_person(service, customer_id, data, one, problem)
            said = "not answered"
        data = await service.db.run(_forgot, service, customer_id, data, one, said)
    return data


async def _told(service: "Service", customer_id: str, vendor_id: str) -> str:
    desk = await service.desk(customer_id)
    return await desk.crm.unsubscribe(vendor_id)


def _in_the_way(customer_id: str, what: str, problem: Problem) -> Problem:
    again = "it stays paused; run the same command again, or with --force to go on without"
    text = f"{customer_id}: {what} could not be deleted ({problem}); {again}"
    return Blocked(problem.reason, text) if isinstance(problem, Blocked) else Transient(text)


def _left_to_a_person(service: "Service", customer_id: str, data: Row, vendor_id: str, problem: Problem) -> Row:
    crm = service.settings.route(customer_id).crm
    hand = f"{crm}: delete webhook {vendor_id}: the vendor did not do it ({type(problem).__name__.lower()})"
    return data | {"by_hand": [*data["by_hand"], hand]}


def _forgot(tx: Tx, service: "Service", customer_id: str, data: Row, vendor_id: str, said: str) -> Row:
    crm = service.settings.route(customer_id).crm
    mark = marks.get(tx, customer_id, crm, SUBSCRIPTION)
    known = dict(mark.data or {})
    left = [one for one in known.get("replaced", ()) if one != vendor_id]
    kept = None if known.get("id") == vendor_id else known.get("id")
    marks.put(tx, customer_id, replace(mark, data=known | {"replaced": left, "id": kept}))
    return _noted(tx, customer_id, data, {"webhooks": {**data.get("webhooks", {}), vendor_id: said}})


def _secrets_gone(tx: Tx, service: "Service", customer_id: str, data: Row, now: Instant) -> Row:
    """From here there is no way back. The ledger's key stays with the hashes that it made."""
    if "secrets" in data:
        return data
    held = [pair for pair in service.vault.fields(tx, customer_id) if pair != customers.LEDGER_KEY]
    for platform, field in held:
        service.vault.drop(tx, customer_id, platform, field)
    return _noted(tx, customer_id, data, {"secrets": len(held), "closed": now})


async def _gone_elsewhere(service: "Service", customer_id: str, wish: Wish) -> None:
    """Providers delete the values they keep. Another process may be their keeper for a moment: then it does that."""
    until = service.clock.now() + KEEPER_SECONDS
    problem: Problem | None = None
    while left := await service.db.run(places.left_of, customer_id):
        if problem is None and service.clock.now() < until:
            problem = await vault.clear(service)
            await service.clock.sleep(PAUSE)
        elif wish.force:
            return
        else:
            raise _in_the_way(customer_id, f"{left} secrets at their provider", problem or Transient("it takes long"))


async def _doors_closed(service: "Service", data: Row) -> None:
    """A door of another process knows a secret for a while: what it stored afterwards would be erased by nobody."""
    known = service.settings.service
    if known.public_url and is_served(known.database):
        await service.clock.sleep(data["closed"] + TELL_AFTER - service.clock.now())


async def _erased(service: "Service", customer_id: str, tell: Tell) -> dict[str, int]:
    total: dict[str, int] = {}
    while gone := await service.db.run(customers.erase, customer_id):
        for name, count in gone.items():
            total[name] = total.get(name, 0) + count
        tell(f"erasing: {sum(total.values())} rows")
    return {name: count for name, count in total.items() if count}


def _report(customer_id: str, data: Row, erased: dict[str, int], kept: int) -> Row:
    return {
        "customer": customer_id,
        "state": "removed",
        "began": format_instant(data["began"]),
        "exported": data["exported"],
        "webhooks": data.get("webhooks", {}),
        "secrets": data["secrets"],
        "erased": erased,
        "kept": {"hashes of opted-out addresses": kept},
        "by_hand": data["by_hand"],
    }
