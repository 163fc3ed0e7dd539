"""What would be done. Every step that is held, and what follows the links among them, counted, priced and sealed."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection

from keepstep import filing, queue
from keepstep.desk import Desk
from keepstep.model.canonical import fingerprint
from keepstep.model.change import Lane, Step
from keepstep.model.contact import CrmContact, Side
from keepstep.model.decide import Decision, Setting
from keepstep.model.enrol import KIND as ENROL
from keepstep.model.errors import Transient
from keepstep.model.feed import is_row
from keepstep.model.foresee import after_enrolments, after_links
from keepstep.model.instant import Instant
from keepstep.model.party import Label
from keepstep.pairing import doubts
from keepstep.pairing.progress import progress
from keepstep.queue import StepRow
from keepstep.state import parties, plans, readings, strangers
from keepstep.state.plans import Plan

Row = dict[str, Any]
# When bulk work may run is no part of what is done.
TIMING = ("bulk_days", "bulk_hours", "bulk_zone")
WIDENING = ("join", "tag_on", "enrol")
# As many webhooks of a wave come while one turn writes, as measured over plans of 100 to 1,000 people.
ECHOES_A_READ = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What a plan is drawn from, beside the steps that are held.

    contacts: the CRM contacts that links and creations lead to. crm_only: how many contacts only the CRM has.
    accounts: the account of each platform; names: whatever else each is known by. cost: per platform, calls of a
    job. group_size: how many steps a job of a side and kind carries. pace: per platform, calls an hour.
    """

    setting: Setting
    contacts: Mapping[str, CrmContact]
    crm_only: int
    accounts: Mapping[str, str]
    cost: Mapping[str, Callable[[str, int], int]]
    group_size: Callable[[str, str], int]
    pace: Mapping[str, float]
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Found:
    """The steps of a plan, and who would be parked after it. `later`: what follows a link, in a turn of its own."""

    now: list[Step] = field(default_factory=list)
    later: list[Step] = field(default_factory=list)
    parked: dict[str, str] = field(default_factory=dict)


def planned_stage(desk: Desk) -> Literal["one_way", "both"]:
    """The stage that a plan is for: who observes plans for both ways."""
    return "one_way" if desk.route.policy.stage == "one_way" else "both"


def held(tx: Connection, desk: Desk, plan: Plan) -> list[StepRow]:
    """The steps that a plan is made of. What crosses whatever is planned, what the stage keeps, and what a feed brings
    is no part of it."""
    two_ways = planned_stage(desk) == "both"
    return [
        row
        for row in queue.unsent(tx, desk.customer_id)
        if (plan.first or row.lane != Lane.consent)
        and (two_ways or row.side == Side.crm or row.kind == "opt_out")
        and not is_row(row.party_id)
    ]


def prints(rows: Iterable[StepRow]) -> dict[str, str]:
    """Party id to the fingerprint of all that is planned for it."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.party_id, []).append([row.side, row.target, row.kind, dict(row.payload)])
    return {key: fingerprint(sorted(steps, key=lambda one: (one[0], one[1]))) for key, steps in found.items()}


def mapping(desk: Desk, setting: Setting) -> str:
    """The fingerprint of everything that a person maps: policy, lists and tags, custom fields."""
    policy = msgspec.to_builtins(replace(desk.route.policy, stage=planned_stage(desk)))
    said = {name: value for name, value in policy.items() if name not in TIMING}
    bound = [msgspec.to_builtins(one) for one in setting.bindings]
    labels = [msgspec.to_builtins(one) for one in sorted(setting.labels, key=lambda one: (one.kind, one.list_id))]
    return fingerprint([said, labels, bound])


def linked_to(tx: Connection, customer_id: str) -> list[str]:
    """The CRM contacts that waiting links lead to."""
    return sorted({str(row.payload["contact"]) for row in queue.unsent(tx, customer_id) if row.kind == "link"})


def created_from(tx: Connection, customer_id: str) -> list[str]:
    """The CRM contacts of whom somebody waits to be created at the audience side."""
    return sorted({str(row.payload["contact"]) for row in queue.unsent(tx, customer_id) if row.kind == ENROL})


def draw(tx: Connection, desk: Desk, drawing: Drawing, now: Instant) -> Row:
    """Draw the plan and open it; what the command prints. Raises Transient where not everybody is decided yet."""
    plan = plans.get(tx, desk.customer_id)
    if plan is None or not progress(tx, desk, now).whole:
        raise Transient("both sides are not read to their end yet")
    rows = held(tx, desk, plan)
    found = _found(tx, desk, rows, drawing)
    checksum = seal(desk, rows, drawing.setting, drawing.accounts)
    doc = {
        "customer": desk.customer_id,
        "checksum": checksum,
        "stage": planned_stage(desk),
        "first": plan.first,
        "people": _people(tx, desk, found),
        "crm_only": _crm_only(tx, desk, found, drawing),
        "steps": _steps(found),
        "labels": _labels(found, drawing.setting.labels),
        "cost": _costs(desk, found, drawing),
        "webhooks": _echoes(found),
        "accounts": dict(drawing.accounts),
    }
    names = {name: list(some) for name, some in drawing.names.items()}
    sealed = {**doc, "mapping": mapping(desk, drawing.setting), "names": names}
    plans.open_one(tx, desk.customer_id, checksum, sealed, prints(rows), now)
    return {**doc, "records": _records(tx, desk, found), "questions": doubts.questions(tx, desk, found.parked)}


def seal(desk: Desk, rows: Iterable[StepRow], setting: Setting, accounts: Mapping[str, str]) -> str:
    """The checksum over the steps, the mapping and the accounts; the same whenever and wherever it is computed."""
    steps = sorted(fingerprint([row.member, row.side, row.target, row.kind, dict(row.payload)]) for row in rows)
    return fingerprint([desk.customer_id, steps, mapping(desk, setting), dict(accounts)])[:16]


# --- what there is to do ---------------------------------------------------------------------------------------------


def _found(tx: Connection, desk: Desk, rows: Sequence[StepRow], drawing: Drawing) -> _Found:
    found = _Found(now=[row.as_step() for row in rows])
    links: dict[str, list[Step]] = {}
    for step in found.now:
        if step.kind == "link" and str(step.payload["contact"]) in drawing.contacts:
            links.setdefault(str(step.payload["contact"]), []).append(step)
    found.later += _after_enrolments(tx, desk, found.now, drawing)
    homes = parties.party_of(tx, desk.customer_id, desk.route.crm, list(links))
    for contact in sorted(links):
        ids = sorted({*(step.party_id for step in links[contact]), *filter(None, [homes.get(contact)])})
        decision = after_links(links[contact], filing.cases(tx, desk, ids), drawing.contacts[contact], drawing.setting)
        found.later += _mine(desk, decision)
        people = decision.party.people
        found.parked |= {one.record_id: one.reason for one in people if one.standing == "parked"}
    return found


def _after_enrolments(tx: Connection, desk: Desk, now: Sequence[Step], drawing: Drawing) -> list[Step]:
    made: dict[str, list[Step]] = {}
    for step in now:
        if step.kind == ENROL and str(step.payload["contact"]) in drawing.contacts:
            made.setdefault(step.party_id, []).append(step)
    found = readings.load(tx, desk.customer_id, sorted(made))
    later: list[Step] = []
    for party_id, steps in sorted(made.items()):
        crm = drawing.contacts[str(steps[0].payload["contact"])]
        later += after_enrolments(steps, found[party_id], crm, drawing.setting)
    return later


def _mine(desk: Desk, decision: Decision) -> list[Step]:
    two_ways = planned_stage(desk) == "both"
    return [step for step in decision.steps if two_ways or step.side is Side.crm or step.kind == "opt_out"]


# --- how it is told --------------------------------------------------------------------------------------------------


def _people(tx: Connection, desk: Desk, found: _Found) -> Row:
    """Everybody once, by the most that would happen to them; who is parked or left out, by reason."""
    kinds: dict[str, set[str]] = {}
    for step in (*found.now, *found.later):
        kinds.setdefault(step.member or "", set()).add(step.kind)
    said: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {"parked": Counter(), "left_out": Counter()}
    for standing in ("in_step", "pending", "parked", "left_out"):
        for alias in parties.standings(tx, desk.customer_id, standing):
            if alias.platform == desk.route.audience:
                parked = found.parked.get(alias.record_id)
                kind = "parked" if parked else standing
                if kind in reasons:
                    reasons[kind][parked or alias.reason or ""] += 1
                said[_fate(kinds.get(alias.record_id, set()), kind)] += 1
    names = ("created", "created_opted_out", "linked", "opted_out", "updated", "parked", "left_out", "left_alone")
    return {**{name: said[name] for name in (*names, "waiting")}, **{key: dict(one) for key, one in _named(reasons)}}


def _crm_only(tx: Connection, desk: Desk, found: _Found, drawing: Drawing) -> Row:
    """Contacts whom only the CRM has, and what becomes of them; `created` counts people."""
    linked = {str(step.payload["contact"]) for step in found.now if step.kind == "link"}
    policy, known = desk.route.policy, strangers.counted(tx, desk.customer_id, but=linked)
    said: Row = {"policy": policy.crm_only, "people": drawing.crm_only}
    said["external"] = known["external"] if policy.crm_only == "external" else 0
    said["created"] = sum(step.kind == ENROL for step in found.now)
    said["left_out"] = known["left_out"] if policy.crm_only == "create" else 0
    said["left_out_reasons"] = known["left_out_reasons"] if policy.crm_only == "create" else {}
    return {**said, "evidence": policy.permission_evidence if policy.crm_only == "create" else None}


def _named(reasons: Mapping[str, Counter[str]]) -> list[tuple[str, Counter[str]]]:
    return [(f"{key}_reasons", one) for key, one in reasons.items()]


def _fate(kinds: set[str], standing: str) -> str:
    for kind, fate in (("submit", "created"), ("create", "created_opted_out"), ("link", "linked")):
        if kind in kinds:
            return fate
    if standing in ("parked", "left_out"):
        return standing
    if "opt_out" in kinds or "set_consent" in kinds:
        return "opted_out"
    return "updated" if kinds else "left_alone" if standing == "in_step" else "waiting"


def _steps(found: _Found) -> Row:
    counts = Counter((str(step.side), step.kind) for step in (*found.now, *found.later))
    return {str(side): {kind: n for (at, kind), n in sorted(counts.items()) if at == str(side)} for side in Side}


def _labels(found: _Found, labels: Sequence[Label]) -> list[Row]:
    """Per list and tag, how many would get it and lose it on each side."""
    counts: Counter[tuple[str, str]] = Counter()
    for step in (*found.now, *found.later):
        ids = step.payload.get("list_ids") or step.payload.get("lists") or [step.payload.get("list_id")]
        counts.update((str(one), step.kind) for one in ids if one)
    kinds = {"tagged": ("add_tag", "submit"), "untagged": ("remove_tag",)}
    kinds |= {"joined": ("join", "tag_on", "enrol"), "left": ("leave", "tag_off")}
    rows = []
    for label in sorted(labels, key=lambda one: (one.list_name, one.list_id)):
        numbers = {name: sum(counts[label.list_id, kind] for kind in some) for name, some in kinds.items()}
        rows.append({"list": label.list_name, "tag": label.tag_name, **numbers, "paused": label.paused})
    return rows


def _costs(desk: Desk, found: _Found, drawing: Drawing) -> Row:
    """To apply asks each side for its account; what widens waits until opt-outs and lists are read again. Our own
    writes come back as webhooks (Virtuous facts 14), which are read again, those that come together in one call."""
    calls = Counter({desk.route.crm: 1, desk.route.audience: 1})
    calls[desk.route.crm] += _echoes(found) // ECHOES_A_READ if desk.hook_url else 0
    for wave, jobs in ((found.now, _jobs), (found.later, _jobs_of_each)):
        for platform, steps in _by_platform(desk, wave).items():
            calls[platform] += sum(_job_calls(drawing, platform, *key) for key in jobs(steps))
            calls[platform] += int(platform == desk.route.audience and any(one.kind in WIDENING for one in steps))
    return {
        platform: {"calls": calls[platform], "hours": round(calls[platform] / drawing.pace[platform], 2)}
        for platform in (desk.route.crm, desk.route.audience)
    }


def _echoes(found: _Found) -> int:
    return sum(step.side is Side.crm for step in (*found.now, *found.later))


def _by_platform(desk: Desk, steps: Iterable[Step]) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for step in steps:
        platform = desk.route.crm if step.side is Side.crm else desk.route.audience
        found.setdefault(platform, []).append(step)
    return found


def _jobs(steps: Sequence[Step]) -> list[tuple[Side, str, int]]:
    """Side and kind of what is called for together, and how many steps: people alike share a job, others have each
    their own, and many of one kind keep their vendor equally busy."""
    groups = Counter((step.side, step.kind, step.group) for step in steps)
    alone: Counter[tuple[Side, str]] = Counter()
    shared = []
    for (side, kind, _), count in groups.items():
        if count == 1:
            alone[side, kind] += 1
        else:
            shared.append((side, kind, count))
    return [*shared, *((side, kind, count) for (side, kind), count in alone.items())]


def _jobs_of_each(steps: Sequence[Step]) -> list[tuple[Side, str, int]]:
    """What follows a link is called for when that link is made, so that lists and tags of few people share a job."""
    own = [step for step in steps if step.side is Side.audience]
    return [*_jobs([step for step in steps if step not in own]), *((step.side, step.kind, 1) for step in own)]


def _job_calls(drawing: Drawing, platform: str, side: Side, kind: str, count: int) -> int:
    size = drawing.group_size(str(side), kind)
    size = size if size > 1 else count
    full, rest = divmod(count, size)
    cost = drawing.cost[platform]
    return full * cost(kind, size) + (cost(kind, rest) if rest else 0)


def _records(tx: Connection, desk: Desk, found: _Found) -> list[Row]:
    """Per person what would be written, and of a link whom to and why, without anybody's values."""
    kinds: dict[str, list[str]] = {}
    for step in (*found.now, *found.later):
        kinds.setdefault(step.member or "", []).append(step.kind)
    targets = {step.member or "": str(step.payload["individual"]) for step in found.now if step.kind == "link"}
    links = doubts.links(tx, desk, targets)
    rows = {record: {"record": record, "steps": sorted(kinds[record])} for record in sorted(kinds)}
    return [row | ({"link": links[record]} if record in links else {}) for record, row in rows.items()]
