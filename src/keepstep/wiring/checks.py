"""What only a vendor can tell: do the credentials work, is there what staff should make, may everything be read?"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep.model.custom import bind
from keepstep.model.customer import NO_CRM, Policy
from keepstep.model.errors import Blocked, NotGranted, Problem, Refused
from keepstep.state import customers, fields
from keepstep.state.installation import COPIED
from keepstep.wiring import alerts, brake, feeds_check, heard, readiness, vault, waiting

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.wiring.service import Service

Row = dict[str, Any]
Found = tuple[str, str, str]


async def check(service: "Service", customer_id: str | None = None) -> list[Row]:
    """Live checks of one customer or of all: {customer, platform, check, state, detail, next}."""
    known = [one.customer_id for one in await service.db.run(customers.every)]
    rows: list[Row] = await vault.checked(service)
    if any(row["state"] != "ok" for row in rows):
        return rows  # whatever is asked next needs a secret
    rows += await heard.check(service) if customer_id is None else []
    rows += await alerts.checked(service, customer_id)
    for one in _chosen(known, customer_id):
        desk = await service.desk(one)
        for platform, name, look in [*_checks(desk), *feeds_check.looks(desk)]:
            state, detail, then = await _tried(look(desk))
            row = {"customer": one, "platform": platform, "check": name}
            rows.append({**row, "state": state, "detail": detail, "next": then})
    return rows


async def ready(service: "Service", customer_id: str) -> list[Row]:
    """The checklist of one customer: {customer, line, state, evidence, next, person}."""
    known = [one.customer_id for one in await service.db.run(customers.every)]
    _chosen(known, customer_id)
    desk = await service.desk(customer_id)
    lines = await service.db.run(_ready, service, desk)
    return [
        {
            "customer": customer_id,
            "line": one.line,
            "state": one.state,
            "evidence": one.evidence,
            "next": one.then,
            "person": one.person,
        }
        for one in lines
    ]


def _ready(tx: Tx, service: "Service", desk: "Desk") -> list[readiness.Line]:
    return readiness.readiness(tx, service, desk, service.clock.now())


def _chosen(known: list[str], customer_id: str | None) -> list[str]:
    if customer_id is not None and customer_id not in known:
        raise Refused(404, f"no customer {customer_id}; `keepstep customer list` shows who there is")
    return known if customer_id is None else [customer_id]


def _checks(desk: "Desk") -> list[tuple[str, str, Callable[["Desk"], Awaitable[Found]]]]:
    audience, crm = desk.route.audience, desk.route.crm
    wanted: list[tuple[str, str, Callable[[Desk], Awaitable[Found]]]] = [
        (audience, "route", _idle),
        (audience, "brake", _brake),
        (audience, "account", lambda desk: _account(desk.audience.account)),
        (crm, "account", lambda desk: _account(desk.crm.account)),
        (crm, "tags", _tags),
        (audience, "lists", _lists),
        (crm, "custom fields", _custom_fields),
        (crm, "origin", _origin),
        (crm, "changes", _changes),
        (audience, "reports", _reports),
    ]
    return [one for one in wanted if one[0] != NO_CRM]


async def _tried(look: Awaitable[Found]) -> Found:
    try:
        return await look
    except Blocked as problem:
        again = "keepstep adopt" if problem.reason == COPIED else "store new credentials: keepstep customer add"
        return "person", str(problem), again
    except Problem as problem:
        return "failed", str(problem), "try again in a minute"


async def _account(account: Callable[[], Awaitable[str]]) -> Found:
    return "ok", f"is {await account()}", ""


async def _tags(desk: "Desk") -> Found:
    """Tags have no endpoint to make them: staff must, by hand (Virtuous facts 11)."""
    if desk.route.policy.lists_to != "tags":
        return await _lists_field(desk)
    names = {name for _, name in await desk.crm.tags()}
    wanted = [f"{desk.route.policy.tag_prefix}{name}" for _, name in await desk.audience.lists()]
    missing = sorted(set(wanted) - names)
    if not missing:
        return "ok", f"{len(wanted)} tags are there", ""
    return "person", f"{len(missing)} tags are missing", "create: " + ", ".join(missing)


async def _lists(desk: "Desk") -> Found:
    """Tags that staff made for a list that is not there: they do nothing, and take nothing away."""
    waits = await desk.db.run(waiting.tags_without_list, desk.route)
    if not waits:
        return "ok", "every tag of the prefix has its list", ""
    said = "; ".join(f"{one['tag']}: {one['reason']}" for one in waits)
    return "person", f"{len(waits)} tags have no list: {said}", waits[0]["next"]


async def _lists_field(desk: "Desk") -> Found:
    """Where lists go to a custom field, there must be one of that name that can hold them."""
    wanted = desk.route.policy.lists_field
    found = [one.paused for one in bind((), await desk.crm.fields(), lists_field=wanted)]
    if found == [None]:
        return "ok", f"none are needed: lists go to the custom field {wanted!r}", ""
    why = "there is no such custom field" if not found else f"that custom field cannot hold them ({found[0]})"
    return "person", f"lists go to {wanted!r}, and {why}", "make the field, or correct lists_field"


async def _idle(desk: "Desk") -> Found:
    """A setting that does nothing must not look as if it did, a limit that protects least of all."""
    policy, default = desk.route.policy, Policy()
    idle = [] if policy.soft_bounces == "count" else ["soft_bounce_count", "soft_bounce_span"]
    idle += [] if policy.lists_to == "custom_field" else ["lists_field", "lists_precedence"]
    idle += [] if policy.custom_fields == "by_name" else ["custom_fields_owner"]
    named = [name for name in idle if getattr(policy, name) != getattr(default, name)]
    if not named:
        return "ok", "every setting of it does something", ""
    return "person", f"without effect as it is set: {', '.join(named)}", "leave them out, or set what they belong to"


async def _brake(desk: "Desk") -> Found:
    """Nothing is lost while it holds; but nobody else will say whether those changes are meant."""
    found = await desk.db.run(brake.in_status, desk.route)
    limit = f"{found['limit']} inferred changes a day go out by themselves"
    if not found["held"]:
        return "ok", limit, ""
    show = f"keepstep brake show --customer {desk.customer_id}"
    return "person", f"{found['held']} wait since {found['since']}; {limit}", show


async def _custom_fields(desk: "Desk") -> Found:
    """Fields go together by name; those that cannot are paused, with the reason."""
    if desk.route.policy.custom_fields == "off":
        return "ok", "custom fields do not travel: custom_fields is off", ""
    known = await desk.db.run(fields.every, desk.customer_id)
    bound = [one for one in known if one.crm is not None and one.state == "live"]
    paused = [f"{one.audience.names[0]}: {one.reason}" for one in known if one.state == "paused"]
    said = (
        f"{len(bound)} go together, {len(paused)} are paused, {len(known) - len(bound) - len(paused)} have no partner"
    )
    return ("person", said, "; ".join(paused)) if paused else ("ok", said, "")


async def _origin(desk: "Desk") -> Found:
    """An unknown code may stop an import, so it is left out (Virtuous facts 10.1)."""
    code = desk.route.policy.origin_segment_code
    if not code:
        return "ok", "none is set", ""
    if await desk.crm.segment(code):
        return "ok", f"{code} is known", ""
    return "ok", f"{code} is not known: left out", "staff may make a segment with this code"


async def _changes(desk: "Desk") -> Found:
    """Not every organization's queries can ask for what was modified (Virtuous facts 9)."""
    if (name := await desk.crm.finds_changes()) is not None:
        return "ok", f"are asked for by {name}", ""
    said = "queries here cannot ask for what was modified: each round of crm_changed reads everybody"
    return "ok", said, "a longer cadence of crm_changed saves calls; webhooks stay quick"


async def _reports(desk: "Desk") -> Found:
    """Bounces are told by the reports of mailings only (CC facts 8)."""
    try:
        await desk.audience.reports(desk.clock.now(), None)
    except NotGranted:
        return "person", "may not be read: bounces stay unknown", "give consent again with the scope campaign_data"
    return "ok", "can be read", ""
