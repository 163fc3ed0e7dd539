"""A first connection: what the block `pairing` needs of the vendors and of the other blocks, brought to it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import pairing
from keepstep.desk import Desk
from keepstep.model.contact import CrmContact
from keepstep.model.customer import Policy, Route
from keepstep.model.instant import Instant, format_instant
from keepstep.model.stage import bulk_opens, has_window
from keepstep.state import plans
from keepstep.submit import decided, load
from keepstep.wiring import alone
from keepstep.wiring.between import between_turns, known_customer

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

Row = dict[str, Any]
HOUR = 3600.0
PAIRS = "a plan pairs two sides"
# Where a vendor says its limit by itself, and what is left there for strangers (design section 4, budgets).
PER_HOUR, OURS = 1200, 0.8


async def begin(service: "Service", customer_id: str) -> None:
    """From now on what is decided for this customer is held. Raises Transient while a turn does not end, Refused where
    there is no CRM."""
    await service.db.run(known_customer, customer_id)
    alone.refuse(service.settings.route(customer_id), PAIRS)
    desk = await service.desk(customer_id)
    await between_turns(service, customer_id, pairing.begin, desk, service.clock.now())


async def progress(service: "Service", customer_id: str) -> pairing.Progress:
    """How far both sides are read and decided."""
    desk = await service.desk(customer_id)
    return await service.db.run(pairing.progress, desk, service.clock.now())


async def draw(service: "Service", customer_id: str) -> Row:
    """The plan: see docs/reference/cli.md. Raises Transient where not everybody is decided yet."""
    desk = await service.desk(customer_id)
    names = await _names(desk)
    wanted = set(await service.db.run(pairing.linked_to, customer_id))
    made_from = set(await service.db.run(pairing.created_from, customer_id))
    contacts, crm_only = await _there(desk, wanted, made_from)
    made = partial(_drawing, service, desk, names=names, contacts=contacts, crm_only=crm_only)
    found = await between_turns(service, customer_id, _draw, desk, made, service.clock.now())
    return {**found, "window": window(desk.route.policy, service.clock.now())}


def _draw(tx: Tx, desk: Desk, made: Any, now: Instant) -> Row:
    return pairing.draw(tx, desk, made(tx, now), now)


def _drawing(
    service: "Service",
    desk: Desk,
    tx: Tx,
    now: Instant,
    *,
    names: Mapping[str, Sequence[str]],
    contacts: Mapping[str, CrmContact],
    crm_only: int,
) -> pairing.Drawing:
    ends = (desk.route.crm, desk.route.audience)
    costs = {name: service.connectors[name].cost or (lambda _kind, steps: steps) for name in ends}
    return pairing.Drawing(
        setting=load.setting(tx, desk, now),
        contacts=contacts,
        crm_only=crm_only,
        accounts={name: some[0] for name, some in names.items()},
        names=names,
        cost=costs,
        group_size=decided.group_size,
        pace={name: _pace(service, desk, name) for name in ends},
    )


def _pace(service: "Service", desk: Desk, platform: str) -> float:
    """Calls an hour: what a vendor lets us make a second, or this customer's part of a day, or four fifths of the
    hour's."""
    known = service.settings.platforms[platform]
    if known.per_second is None:
        return (known.per_hour or PER_HOUR) * OURS
    return min(known.per_second * HOUR, desk.calls_a_day or known.per_second * HOUR)


async def _names(desk: Desk) -> dict[str, Sequence[str]]:
    """Whatever the account of each side is known by: it is the same one where any of them is."""
    return {desk.route.audience: [await desk.audience.account()], desk.route.crm: list(await desk.crm.names())}


async def _there(desk: Desk, wanted: set[str], made_from: set[str]) -> tuple[dict[str, CrmContact], int]:
    """The CRM contacts that links and creations lead to, and how many living ones nobody of the audience side is or is
    linked to."""
    contacts: dict[str, CrmContact] = {}
    only, cursor = 0, None
    while True:
        page = await desk.crm.changes("sweep", None, cursor)
        for record_id, raw in page.records:
            contact = desk.crm.snapshot(raw, desk.clock.now())
            if record_id in wanted or record_id in made_from:
                contacts[record_id] = contact
            if record_id not in wanted:
                only += _is_stranger(desk, contact)
        if page.cursor is None or page.cursor == cursor:
            return contacts, only
        cursor = page.cursor


def _is_stranger(desk: Desk, contact: CrmContact) -> bool:
    ours = any(source == desk.route.policy.reference_source for source, _ in contact.references)
    return not (ours or contact.archived or contact.merged_into)


async def apply(service: "Service", customer_id: str, checksum: str) -> Row:
    """{state, steps, dropped, refused, run}. Raises Refused for a checksum of no open plan."""
    await service.db.run(known_customer, customer_id)
    alone.refuse(service.settings.route(customer_id), PAIRS)
    desk = await service.desk(customer_id)
    accounts = await _names(desk)
    done = await between_turns(service, customer_id, _apply, desk, checksum, accounts, service.clock.now())
    state = "refused" if done.refused else "applied"
    said = {"state": state, "steps": done.steps, "dropped": list(done.dropped), "refused": done.refused}
    return {**said, "run": done.run}


def _apply(tx: Tx, desk: Desk, checksum: str, accounts: Mapping[str, Sequence[str]], now: Instant) -> pairing.Applied:
    return pairing.apply(tx, desk, checksum, load.setting(tx, desk, now), accounts, now)


async def discard(service: "Service", customer_id: str) -> Row:
    """There is no plan any more: the route's stage alone says what goes out."""
    await between_turns(service, customer_id, plans.discard, customer_id)
    return {"state": "discarded"}


def shown(tx: Tx, route: Route, now: Instant) -> Row:
    """What status says: the route's stage, the plan that there is, the hours of bulk work."""
    plan = plans.get(tx, route.customer_id)
    said = {"state": plan.state, "checksum": plan.checksum, "made": format_instant(plan.made)} if plan else None
    return {"stage": route.policy.stage, "plan": said, "window": window(route.policy, now)}


def window(policy: Policy, now: Instant) -> Row | None:
    """The hours of bulk work: {days, hours, zone, open, opens}; None where it may run at any hour."""
    if not has_window(policy):
        return None
    opens = bulk_opens(policy, now)
    said = {"days": list(policy.bulk_days), "hours": policy.bulk_hours, "zone": policy.bulk_zone}
    return {**said, "open": opens == now, "opens": format_instant(opens) if opens is not None else None}
