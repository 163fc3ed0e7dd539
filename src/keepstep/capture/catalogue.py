"""What contacts refer to by id: lists, tags and custom fields of the audience side, each with what it is in the CRM."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from keepstep import queue
from keepstep.capture import pace
from keepstep.desk import Desk, asking
from keepstep.model.change import Lane
from keepstep.model.custom import Binding, CustomField
from keepstep.model.custom import bind as bind_fields
from keepstep.model.customer import Policy
from keepstep.model.errors import Conflicting, Permanent, Transient
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.state import fields, journal, labels, marks, parties, plans
from keepstep.state.fields import Field
from keepstep.state.labels import Label

Names = Mapping[str, str]
NO_LIST = "no_list"
AT_ONCE = 20  # lists made after one reading
LONGEST_NAME = 255  # CC facts 3.2


# --- lists and tags --------------------------------------------------------------------------------------------------


async def read_labels(desk: Desk, slot: Slot) -> None:
    """Read lists and tags, and bind each to its tag in the CRM by id."""
    lists = dict(await desk.audience.lists())
    tags = dict(await desk.audience.tags()) if desk.route.policy.contact_tags_prefix else {}
    with asking(desk.route.crm):
        theirs = dict(await desk.crm.tags())
    wanted = await desk.db.run(_to_make, desk, slot, lists, tags, theirs)
    lists |= await _made(desk, slot, wanted)
    await desk.db.run(store_labels, desk, slot, lists, tags, theirs, desk.clock.now())


def _to_make(tx: Connection, desk: Desk, slot: Slot, lists: Names, tags: Names, theirs: Names) -> list[str]:
    """Names of lists that a tag asks for, where the route lets them be made and nothing keeps it from writing."""
    queue.guard(tx, slot)
    policy, plan = desk.route.policy, plans.get(tx, desk.customer_id)
    if policy.missing_lists != "create" or policy.stage != "both" or (plan is not None and plan.state != "applied"):
        return []
    known = {label.list_id: label for label in labels.every(tx, desk.customer_id)}
    found = bind_all(known, lists, tags, theirs, policy)
    times = Counter(theirs.values())
    return [one.list_name for one in found if _is_asked_for(one, policy) and times[one.tag_name or ""] == 1][:AT_ONCE]


def _is_asked_for(label: Label, policy: Policy) -> bool:
    """A name that would not lead back to the tag would make a list at every reading."""
    fits = f"{policy.tag_prefix}{label.list_name}" == label.tag_name and 0 < len(label.list_name) <= LONGEST_NAME
    return label.reason == NO_LIST and fits


async def _made(desk: Desk, slot: Slot, names: Sequence[str]) -> dict[str, str]:
    """Lists by these names, by id. One that is there already is found by the next reading, as is one whose answer was
    lost, and what was refused is asked for again then."""
    made: dict[str, str] = {}
    for name in names:
        try:
            made[await desk.audience.make_list(name)] = name
        except Conflicting:
            made |= {key: one for key, one in await desk.audience.lists() if one == name}
        except Permanent:
            continue
        except Transient:
            break
    lines = [(desk.clock.now(), None, "list_made", {"list": one}) for one in made]
    if lines:
        await desk.db.run(_note, desk, slot, lines)
    return made


def _note(tx: Connection, desk: Desk, slot: Slot, lines: Sequence[journal.Line]) -> None:
    queue.guard(tx, slot)
    journal.append(tx, desk.customer_id, lines)


def store_labels(
    tx: Connection, desk: Desk, slot: Slot, lists: Names, tags: Names, theirs: Names, now: Instant
) -> None:
    """Store the bindings; where one became usable, everybody is looked at again."""
    queue.guard(tx, slot)
    known = {label.list_id: label for label in labels.every(tx, desk.customer_id)}
    bound = bind_all(known, lists, tags, theirs, desk.route.policy)
    changed = [label for label in bound if label != known.get(label.list_id)]
    labels.put(tx, desk.customer_id, changed)
    over = sorted(key for key, one in known.items() if one.kind == "none" and key not in {one.list_id for one in bound})
    labels.drop(tx, desk.customer_id, over)
    if over or changed:
        _look_at_everybody(tx, desk, now)
    calls = 2 if desk.route.policy.contact_tags_prefix else 1  # of an account with some hundred lists and tags
    every = pace.every(desk.route.cadence.lists, calls, desk.calls_a_day, pace.SHARES["lists"])
    _read(tx, desk, "lists", every, now)


def bind_all(known: Mapping[str, Label], lists: Names, tags: Names, theirs: Names, policy: Policy) -> list[Label]:
    """Every list and every tag with its tag in the CRM. Two that came to the same tag would undo each other: the one
    that has had it longer keeps it, a list before a tag."""
    kinds = {kind: {key: one for key, one in known.items() if one.kind == kind} for kind in ("list", "tag")}
    found = bind(kinds["list"], lists, theirs, policy.tag_prefix)
    if policy.contact_tags_prefix:
        ours = bind(kinds["tag"], tags, theirs, policy.contact_tags_prefix)
        found += [replace(label, kind="tag") for label in ours]
    else:
        found += [replace(label, state="paused", reason="not_mapped") for label in kinds["tag"].values()]
    return [*_one_each(known, found), *_without_list(found, theirs, policy)]


def _without_list(found: Sequence[Label], theirs: Names, policy: Policy) -> list[Label]:
    """Tags of the prefix that are no list's: each waits under the id `tag:ID` until there is one of its name. The tag
    of a list that was deleted is that list's still: nobody makes it again."""
    prefix, other = policy.tag_prefix, policy.contact_tags_prefix
    if policy.lists_to != "tags" or not prefix.strip():
        return []
    held = {one.tag_id for one in found} | {one.tag_name for one in found}
    mine = [(key, name) for key, name in theirs.items() if name.startswith(prefix) and name[len(prefix) :].strip()]
    if other.startswith(prefix):
        mine = [(key, name) for key, name in mine if not name.startswith(other)]
    return [
        Label(f"tag:{key}", name[len(prefix) :].strip(), key, name, "paused", NO_LIST, "none")
        for key, name in mine
        if key not in held and name not in held
    ]


def _one_each(known: Mapping[str, Label], found: Sequence[Label]) -> list[Label]:
    shared = {tag for tag, times in Counter(one.tag_id for one in found if one.state == "live").items() if times > 1}
    had = {one.list_id: one.tag_id for one in known.values()}
    holders: dict[str | None, str] = {}
    for one in sorted(found, key=lambda one: (had.get(one.list_id) != one.tag_id, one.kind, one.list_id)):
        if one.state == "live" and one.tag_id is not None and one.tag_id in shared:
            holders.setdefault(one.tag_id, one.list_id)
    return [
        replace(one, state="paused", reason="tag_shared", tag_id=None)
        if holders.get(one.tag_id, one.list_id) != one.list_id and one.state == "live"
        else one
        for one in found
    ]


def bind(known: Mapping[str, Label], lists: Names, tags: Names, prefix: str) -> list[Label]:
    """Each list with its tag. Ids are the link: a renamed list keeps its tag, a renamed or vanished tag pauses the
    label, so that it cannot look like everybody losing it. A name that two tags share is nobody's."""
    by_name: dict[str, list[str]] = {}
    for tag_id, name in tags.items():
        by_name.setdefault(name, []).append(tag_id)
    bound = []
    for list_id, name in lists.items():
        old = known.get(list_id)
        tag_name = old.tag_name if old and old.tag_name else f"{prefix}{name.strip()}"
        bound.append(_bound(old, list_id, name, tag_name, by_name.get(tag_name, []), tags))
    gone = [label for key, label in known.items() if key not in lists]
    return bound + [replace(label, state="gone", reason="list_gone") for label in gone]


def _bound(old: Label | None, list_id: str, name: str, tag_name: str, found: list[str], tags: Names) -> Label:
    label = Label(list_id, name, old.tag_id if old else None, tag_name)
    if label.tag_id is not None:
        present = tags.get(label.tag_id)
        reason = "tag_gone" if present is None else None if present == tag_name else "tag_renamed"
        return replace(label, state="paused" if reason else "live", reason=reason)
    if len(found) > 1:
        return replace(label, state="paused", reason="tag_name_shared")
    return replace(label, tag_id=found[0] if found else None, reason=None if found else "tag_missing")


# --- custom fields ---------------------------------------------------------------------------------------------------


async def read_fields(desk: Desk, slot: Slot) -> None:
    """Read the definitions of both sides, and bind those that go by one name."""
    here = await desk.audience.fields()
    with asking(desk.route.crm):
        there = await desk.crm.fields()
    await desk.db.run(store_fields, desk, slot, here, there, desk.clock.now())


def store_fields(
    tx: Connection, desk: Desk, slot: Slot, here: Sequence[CustomField], there: Sequence[CustomField], now: Instant
) -> None:
    """Store the bindings; where one says anything else than before, everybody is looked at again."""
    queue.guard(tx, slot)
    known = fields.every(tx, desk.customer_id)
    bound = with_partners(known, here, there, desk.route.policy)
    before = {one.audience.field_id: one for one in known}
    changed = [one for one in bound if one != before.get(one.audience.field_id)]
    fields.put(tx, desk.customer_id, changed)
    if changed:
        _look_at_everybody(tx, desk, now)
    _read(tx, desk, "fields", desk.route.cadence.fields, now)


def with_partners(
    known: Sequence[Field], here: Sequence[CustomField], there: Sequence[CustomField], policy: Policy
) -> list[Field]:
    """Every field of the audience side with its partner. One that has none is stored too, so that it can be shown."""
    before = [Binding(audience=one.audience, crm=one.crm) for one in known if one.crm is not None]
    lists = policy.lists_field if policy.lists_to == "custom_field" else ""
    bound = [_field(one) for one in bind_fields(here, there, before, lists)]
    taken = {one.audience.field_id for one in bound}
    alone = [Field(one, None, "paused", "no_such_field") for one in here if one.field_id not in taken]
    seen = taken | {one.audience.field_id for one in alone}
    gone = [replace(one, state="gone", reason="field_gone") for one in known if one.audience.field_id not in seen]
    return bound + alone + gone


def _field(one: Binding) -> Field:
    state = "live" if one.paused is None else "gone" if one.paused == "field_gone" else "paused"
    return Field(one.audience, one.crm, state, one.paused)


# --- both ------------------------------------------------------------------------------------------------------------


def _read(tx: Connection, desk: Desk, chore: str, every: float, now: Instant) -> None:
    mark = marks.get(tx, desk.customer_id, desk.route.audience, chore)
    data: dict[str, Any] = {"tries": 0, "finished": now, "every": every}
    marks.put(tx, desk.customer_id, replace(mark, mark=now, due=now + every, data=data))


def _look_at_everybody(tx: Connection, desk: Desk, now: Instant) -> None:
    found: list[str] = []
    while page := parties.ids(tx, desk.customer_id, found[-1] if found else ""):
        found += page
    queue.put(tx, desk.customer_id, [(party_id, Lane.sweep, now) for party_id in found], now)
