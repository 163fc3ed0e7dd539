"""Undoing a run: what it wrote goes back to what was there, by the same steps the other way round.

A value is restored while it is what the run wrote, on both sides; whatever somebody has changed since is theirs and
stays. Consent is never undone, nobody is put back on a list who may not be mailed now, and records that were made stay.
What is restored differs from the other side from then on and is agreed to differ: it is seen so, or `apart`, and only a
later change of somebody is news. A person whose reference goes is left alone, as if somebody had answered so.

    restoring  the steps of a decision while something is to be restored
    undone     what a step that has restored something makes us know
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keepstep.model.bound import in_play
from keepstep.model.canonical import ADDRESS_PARTS, text
from keepstep.model.change import Lane, Step, a_step
from keepstep.model.contact import AudienceContact, CrmContact, Side
from keepstep.model.fields import NAMES, Pair, Sides, Terms, now, speaks
from keepstep.model.membership import may_widen
from keepstep.model.party import (
    Answer,
    Fields,
    Note,
    Party,
    Person,
    Readings,
    Restore,
    Setting,
    with_lists,
    with_tag,
)
from keepstep.model.toward import plain
from keepstep.model.written import BACK, FAMILY, JOINS, TAGS

DAY = 86_400.0


# --- a decision while something is restored --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a restoration is decided by. `pairs`: linked people whom both sides speak of, by record."""

    party: Party
    readings: Readings
    setting: Setting
    pairs: Mapping[str, Pair]
    parked: Mapping[str, str]

    @property
    def terms(self) -> Terms:
        setting = self.setting
        return Terms(setting.policy, in_play(setting.bindings, setting.labels, setting.policy))


@dataclass(frozen=True, slots=True)
class Turn:
    """What becomes of one restoration now: `back` is the step that does it, several may share one; else `ended` is why
    there is none, and neither means that it waits. `seen`: what the other side says."""

    one: Restore
    back: str | None = None
    ended: str | None = None
    seen: Any = None
    part: Mapping[str, Any] | None = None


def restoring(scene: Scene, wanted: Sequence[Step]) -> tuple[Party, list[Step], tuple[Note, ...]]:
    """The steps that go instead of those wanted, the party without what has ended, and what became of that. While
    something is restored nothing else of the party is written but consent."""
    if not scene.party.restore:
        return scene.party, list(wanted), ()
    urgent = [step for step in wanted if step.lane is Lane.consent]
    turns = _in_order([_turn(one, scene) for one in scene.party.restore], urgent)
    left = tuple(turn.one for turn in turns if turn.ended is None)
    notes = tuple(_note(turn) for turn in turns if turn.ended)
    if not left:
        return replace(scene.party, restore=()), list(wanted), notes
    return replace(scene.party, restore=left), [*urgent, *_steps(scene, turns)], notes


def _in_order(turns: Sequence[Turn], urgent: Sequence[Step]) -> list[Turn]:
    """A reference goes last: until then the person is linked, and what is owed to them is done."""
    busy = {turn.one.member for turn in turns if turn.ended is None and turn.back != "unlink"}
    busy |= {step.member or "" for step in urgent}
    return [replace(turn, back=None) if turn.back == "unlink" and turn.one.member in busy else turn for turn in turns]


def _note(turn: Turn) -> Note:
    one = turn.one
    data = {"run": one.run, "what": one.what, "state": turn.ended, "rows": list(one.rows)}
    return Note(kind="undo", record_id=one.member, data=data)


def _turn(one: Restore, scene: Scene) -> Turn:
    crm, person = scene.readings.crm, scene.party.person(one.member)
    if crm is None or crm.merged_into or person is None or not person.individual:
        return Turn(one, ended="touched")
    if crm.archived:
        return Turn(one, ended="archived")
    family = FAMILY[one.kind]
    if family == "reference":
        return _reference(one, scene, crm)
    if family == "tag":
        return _tag(one, scene, crm)
    return _membership(one, scene, crm, person) if one.kind in BACK else _field(one, scene)


def _reference(one: Restore, scene: Scene, crm: CrmContact) -> Turn:
    ours = (scene.setting.policy.reference_source, one.member)
    there = ours in crm.references and crm.record_id == one.payload["contact"]
    return Turn(one, "unlink") if there else Turn(one, ended="touched")


def _tag(one: Restore, scene: Scene, crm: CrmContact) -> Turn:
    tagged = text(one.payload["tag"]) in [text(tag) for tag in crm.tags]
    if tagged is not one.wrote:
        return Turn(one, ended="touched")
    known = [label for label in scene.setting.labels if label.list_id == one.what and label.usable()]
    if [label.tag_id for label in known] != [one.payload["tag_id"]]:
        return Turn(one, ended="label_gone")
    return Turn(one, "remove_tag" if one.wrote else "add_tag")


def _membership(one: Restore, scene: Scene, crm: CrmContact, person: Person) -> Turn:
    """Back on a list comes only who may be mailed now."""
    contact = scene.readings.audience.get(one.member)
    on = (contact.lists if one.kind in ("join", "leave") else contact.tags) if contact else None
    if on is None or contact is None or contact.deleted or (one.what in on) is not one.wrote:
        return Turn(one, ended="touched")
    known = [label for label in scene.setting.labels if label.list_id == one.what and label.usable()]
    if not known:
        return Turn(one, ended="label_gone")
    if not one.wrote and not may_widen(person, contact, scene.parked.get(one.member)):
        return Turn(one, ended="not_mailable")
    tagged = text(known[0].tag_name) in [text(tag) for tag in crm.tags]
    return Turn(one, BACK[one.kind], seen=tagged)


def _field(one: Restore, scene: Scene) -> Turn:
    """A value: untouched where it was written, and nothing newer on its way from the other side."""
    pair, terms = scene.pairs.get(one.member), scene.terms
    if pair is None or one.what not in terms.fields:
        return Turn(one, ended="touched")
    phone, sides = now(pair, terms)
    ours, theirs = sides.here[one.what], sides.there[one.what]
    person = scene.party.person(one.member) or pair.person
    if FAMILY[one.kind] == "audience":
        return _field_here(one, pair.contact, Values(ours, theirs, (person.crm or {}).get(one.what)), terms)
    there = Values(theirs, ours if speaks(pair.contact) else None, (person.audience or {}).get(one.what))
    same_record = _is_its_record(one, pair, phone.record_id if phone else None)
    if not same_record or _is_touched(one, there, terms):
        return Turn(one, ended="touched")
    if one.what == "email" and scene.setting.now - one.at > DAY:
        return Turn(one, ended="address_held")
    back, part = _back(one, pair, sides, terms)
    return Turn(one, back, seen=there.seen, part=part)


@dataclass(frozen=True, slots=True)
class Values:
    """A value where it was written, on the other side (None: unread), and there as last settled."""

    written: Any
    other: Any
    base: Any

    @property
    def seen(self) -> Any:
        return self.base if self.other is None else self.other


def _is_touched(one: Restore, values: Values, terms: Terms) -> bool:
    if not terms.same(one.what, values.written, one.wrote):
        return True
    newer = values.other is not None and not terms.same(one.what, values.other, values.base)
    return newer and not terms.same(one.what, values.other, values.written)


def _field_here(one: Restore, contact: AudienceContact, values: Values, terms: Terms) -> Turn:
    """A number or an address cannot be taken off there: only what was another one before is put back."""
    if not speaks(contact) or _is_touched(one, values, terms):
        return Turn(one, ended="touched")
    if terms.empty(one.what, one.was) and one.what not in NAMES:
        return Turn(one, ended="not_emptied")
    wrote = one.payload["values"][one.what]
    told = {"phone": lambda: {"kind": wrote["kind"], "raw": one.was}}
    told |= {"address": lambda: {"kind": wrote["kind"], **one.was}}
    value = told.get(one.what, lambda: one.was or "")()
    part = {"record_id": one.member, "values": {one.what: value}, "was": {one.what: values.written}}
    return Turn(one, "set_fields", seen=values.seen, part=part)


def _is_its_record(one: Restore, pair: Pair, phone: str | None) -> bool:
    """Is what stands for the person now the record that was written?"""
    named = one.answer.get("method") or one.payload.get("method")
    if one.what == "phone":
        return bool(named) and phone == str(named)
    if one.what == "email":
        return pair.mail.record_id == str(named)
    place = pair.crm.address.record_id if pair.crm.address else None
    return one.what != "address" or place == (one.answer.get("address") or one.payload.get("address"))


def _back(one: Restore, pair: Pair, sides: Sides, terms: Terms) -> tuple[str, Fields]:
    """The kind of the step, and its part of the payload. What was added goes; what was empty becomes so again."""
    there, empty = sides.there[one.what], terms.empty(one.what, one.was)
    ids = {"contact": pair.crm.record_id, "individual": pair.individual.record_id}
    if one.what == "phone":
        phone = {**ids, "method": pair.person.phone_method, "was": there}
        return (
            ("drop_phone", phone) if empty else ("set_phone", {**phone, "kind": one.payload["kind"], "value": one.was})
        )
    if one.what == "email":
        return "set_email", {**ids, "method": pair.mail.record_id, "value": one.was, "was": there}
    if one.what == "address":
        place = {**ids, "address": pair.crm.address.record_id if pair.crm.address else None, "was": there}
        parts = {part: (one.was or {}).get(part) or "" for part in ADDRESS_PARTS}
        return ("drop_address", place) if empty else ("set_address", {**place, "kind": one.payload["kind"], **parts})
    if one.what in NAMES:
        both = {name: sides.there[name] for name in NAMES}
        return "set_person", {**ids, **dict.fromkeys(NAMES), one.what: one.was or "", "was": both}
    name = one.what.removeprefix("custom:")
    return "set_custom", {"contact": pair.crm.record_id, "values": {name: one.was or ""}, "was": {name: there}}


# --- the steps -------------------------------------------------------------------------------------------------------


def _steps(scene: Scene, turns: Iterable[Turn]) -> list[Step]:
    """One step for all that one call may carry: both names, all custom fields, all lists of a person."""
    shared: dict[tuple[str, str, str, str], list[Turn]] = {}
    for turn in turns:
        if turn.back and turn.ended is None:
            alone = turn.one.what if turn.back in TAGS else ""
            shared.setdefault((turn.one.run, turn.back, turn.one.member, alone), []).append(turn)
    return [_step(scene, kind, group) for (_, kind, _, _), group in shared.items()]


def _step(scene: Scene, kind: str, group: Sequence[Turn]) -> Step:
    first = group[0].one
    undo = {
        "run": first.run,
        "at": first.at,
        "rows": [row for turn in group for row in turn.one.rows],
        "seen": {turn.one.what: turn.seen for turn in group},
    }
    payload = _payload(scene, kind, group)
    return a_step(
        scene.party.party_id,
        first.member,
        kind,
        {**payload, "undo": undo},
        side=Side.audience if kind in (*BACK, "set_fields") else Side.crm,
        target=":".join(("undo", first.run, kind, first.member, *([first.what] if kind in TAGS else []))),
        group=f"{kind}:{','.join(payload['list_ids'])}" if kind in BACK else None,
        hold="gate" if kind in JOINS else None,
    )


def _payload(scene: Scene, kind: str, group: Sequence[Turn]) -> Fields:
    first = group[0].one
    if kind in BACK:
        return {"record_id": first.member, "list_ids": sorted(turn.one.what for turn in group)}
    contact = {"contact": scene.party.crm_id}
    if kind == "unlink":
        return {**contact, "record_id": first.member}
    if kind in TAGS:
        return {**contact, **{name: first.payload[name] for name in ("tag_id", "tag", "list_id")}}
    return _together([dict(turn.part or {}) for turn in group])


def _together(parts: Sequence[Fields]) -> Fields:
    """Names, or custom fields, in one payload."""
    found = dict(parts[0])
    for part in parts[1:]:
        for name, value in part.items():
            if isinstance(value, dict):
                found[name] = {**found[name], **value}
            elif value is not None:
                found[name] = value
    return found


# --- what a step that restored something makes us know ---------------------------------------------------------------


def undone(party: Party, person: Person, step: Step, answer: Mapping[str, Any]) -> Party:
    """Both sides are seen as they are, so that the difference is agreed."""
    payload = step.payload
    party = ended(party, payload["undo"]["rows"])
    if step.kind == "unlink":
        return party.with_person(_left_alone(person, payload["undo"]))
    if step.kind in TAGS:
        list_id = str(payload["list_id"])
        party = with_tag(party, list_id, step.kind == "add_tag")
        return party if step.kind == "add_tag" else _apart(party, [list_id])
    if step.kind in BACK:
        return _moved(party, person, step)
    return _valued(party, person, step, answer)


def ended(party: Party, rows: Sequence[int]) -> Party:
    """The party without the restorations of these rows."""
    return replace(party, restore=tuple(one for one in party.restore if not {*one.rows} & {*rows}))


def _left_alone(person: Person, undo: Mapping[str, Any]) -> Person:
    """As somebody who was never linked, and whom a person has said to leave alone."""
    said = Answer(kind="leave", at=undo["at"], by=f"undo {undo['run']}")
    bare = Person(record_id=person.record_id)
    base = {name: getattr(bare, name) for name in ("individual", "email_method", "phone_method", "audience", "crm")}
    return replace(person, **base, moved={}, lists=None, added=(), opted_in=None, filled=(), answer=said)


def _moved(party: Party, person: Person, step: Step) -> Party:
    on = step.kind in JOINS
    party = party.with_person(with_lists(person, step.payload["list_ids"], on))
    for list_id, tagged in step.payload["undo"]["seen"].items():
        party = with_tag(party, list_id, tagged)
        party = _apart(party, [list_id]) if on and not tagged else party
    return party


def _valued(party: Party, person: Person, step: Step, answer: Mapping[str, Any]) -> Party:
    seen = step.payload["undo"]["seen"]
    here, there = dict(seen), {what: _value(step, what, answer) for what in seen}
    if step.kind == "set_fields":
        here, there = there, here
    empty = [what for what, value in there.items() if not value and (what == "address" or what.startswith("custom:"))]
    methods = _methods(step.kind, answer)
    person = replace(
        person,
        audience={**(person.audience or {}), **here},
        crm={**(person.crm or {}), **there},
        # Told, so that nobody takes it for drift; and older than any edit, which crosses as ever.
        moved={**person.moved, **dict.fromkeys(seen, 0.0)},
        filled=tuple(field for field in person.filled if field not in seen),
        **methods,
    )
    return _apart(party.with_person(person), empty)


def _value(step: Step, what: str, answer: Mapping[str, Any]) -> Any:
    payload = step.payload
    if step.kind in ("drop_phone", "drop_address"):
        return None
    if step.kind == "set_fields":
        return (answer.get("values") or {}).get(what, plain(what, payload["values"][what]))
    if what == "address":
        return {part: answer.get(part, payload[part]) or None for part in ADDRESS_PARTS}
    if what in NAMES:
        return answer.get(what, payload[what])
    if what in ("email", "phone"):
        return answer.get("value", payload["value"])
    name = what.removeprefix("custom:")
    return (answer.get("values") or {}).get(name, payload["values"][name])


def _methods(kind: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "drop_phone":
        return {"phone_method": None}
    return {"email_method": str(answer["method"])} if kind == "swap_email" and answer.get("method") else {}


def _apart(party: Party, what: Iterable[str]) -> Party:
    return replace(party, apart=tuple(sorted({*party.apart, *what})))
