"""A party with both sides as they are now. Stored readings are enough, except where a write of ours made them old."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from keepstep import filing, queue, telemetry
from keepstep.desk import BLOCKED_PAUSE, Desk, asking, pause_after
from keepstep.model.canonical import email
from keepstep.model.change import Lane
from keepstep.model.contact import Consent, CrmContact
from keepstep.model.custom import Binding
from keepstep.model.decide import Setting, needs_look_up
from keepstep.model.errors import Permanent, Transient
from keepstep.model.instant import Instant
from keepstep.model.party import Label, Party, Person, Readings
from keepstep.queue import Entry, Slot
from keepstep.state import fields, journal, labels, marks, parties, readings, submissions
from keepstep.submit import lost, standstill, strangers

REREADS = 50
REREAD_SECONDS = 5.0
# A call's fate is found out by the look, which marks the party at once; this is for the case that it does not.
LOOKED_AT = 900.0
LOOK_UPS = 200
# Whoever may wait in the nightly batch is asked for so often until it has run.
WAITING = 3600.0
# How long a party waits between two looks whether the first sweeps are whole. Well below the minute after which a plan
# would not wait for it (pairing/progress.py).
SWEPT = (5.0, 45.0)


@dataclass(frozen=True, slots=True)
class Case:
    """One entry with its party and what both sides say.

    `postponed`: it cannot be decided now, and why; somebody else marks it again, or else it is due again in `again`
    seconds.
    """

    entry: Entry
    party: Party
    readings: Readings = field(default_factory=Readings)
    in_flight: bool = False
    postponed: str | None = None
    again: float | None = None


async def cases(desk: Desk, slot: Slot, entries: Sequence[Entry]) -> list[Case]:
    """Everything the decisions need: load, read again what is old, look up who is new."""
    loaded = await desk.db.run(load, desk, slot, entries)
    loaded = await _read_again(desk, slot, loaded)
    loaded = await _look_up(desk, slot, loaded)
    loaded = await _of_the_lost(desk, slot, loaded)
    return await _of_crm_only(desk, loaded)


def load(tx: Connection, desk: Desk, slot: Slot, entries: Sequence[Entry]) -> list[Case]:
    """The parties of these entries with their stored readings. A party whose call has an unknown fate waits for the
    look; its entry stays, since whoever waits in the consent lane must be known to."""
    queue.guard(tx, slot)
    found = readings.load(tx, desk.customer_id, [entry.party_id for entry in entries])
    queue.forget(tx, slot, [entry for entry in entries if entry.party_id not in found])
    kept = filing.filed(tx, desk, found.values())
    flying = _flying(tx, desk.customer_id, list(found))
    found |= {key: _never_sent(tx, desk, party) for key, party in found.items() if key not in flying}
    known = [entry for entry in entries if entry.party_id in found]
    read = {entry.party_id: _understood(desk, found[entry.party_id], kept) for entry in known}
    loaded = [_case(tx, desk, entry, found[entry.party_id], read[entry.party_id], flying) for entry in known]
    if not standstill.reads(tx, desk):
        return loaded
    return _wait(loaded, loaded, standstill.NAME, standstill.pause(tx, desk, desk.clock.now()))


def _understood(desk: Desk, party: Party, kept: filing.Filed) -> Readings | Exception:
    """What both sides say of a party, or the failure: a reading that cannot be understood is this party's alone."""
    try:
        return filing.understood(desk, party, kept)
    except Exception as failure:
        return failure


def _case(
    tx: Connection, desk: Desk, entry: Entry, party: Party, read: Readings | Exception, flying: Mapping[str, bool]
) -> Case:
    if isinstance(read, Exception):
        why = {"chore": "stored reading", "why": type(read).__name__}
        journal.append(tx, desk.customer_id, [(desk.clock.now(), party.party_id, "read_failed", why)])
        telemetry.note(telemetry.Process.failed, source="stored_reading", **telemetry.trouble_of(read))
        return Case(entry, party, postponed="not_understood", again=BLOCKED_PAUSE)
    if flying.get(party.party_id):
        return Case(entry, party, read, in_flight=True, postponed="unknown_call", again=LOOKED_AT)
    return Case(entry, party, read, in_flight=party.party_id in flying)


def _never_sent(tx: Connection, desk: Desk, party: Party) -> Party:
    """A creation that was intended and has no call under way was never sent: it is decided anew."""
    intended = [one for one in party.people if one.submission and one.submission.state == "intended"]
    for person in intended:
        submissions.withdraw(tx, desk.customer_id, person.record_id)
        party = party.with_person(replace(person, submission=None))
    if intended:
        readings.save(tx, desk.customer_id, [party])
    return party


def _flying(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[str, bool]:
    """Parties with a call under way; True where its fate is unknown."""
    states = queue.job_states(tx, customer_id)
    flying: dict[str, bool] = {}
    for step in queue.steps_of(tx, customer_id, party_ids):
        if step.job_id is not None:
            flying[step.party_id] = flying.get(step.party_id, False) or states.get(step.job_id) != "accepted"
    return flying


async def _read_again(desk: Desk, slot: Slot, loaded: Sequence[Case]) -> list[Case]:
    """Read what a write of ours, a merge or a link made old: CRM contacts in one call, audience contacts one by one."""
    waiting = [case for case in loaded if not case.postponed]
    crm_ids = sorted({case.party.crm_id for case in waiting if case.party.crm_id and _crm_is_old(desk, case)})
    people = [person.record_id for case in waiting for person in case.party.people if person.reread][:REREADS]
    if not crm_ids and not people:
        return list(loaded)
    now = desk.clock.now()
    crm = await desk.crm.read_many(crm_ids) if crm_ids else ()
    with asking(desk.route.audience):
        audience, failed = await _read_people(desk, people)
    await desk.db.run(_file, desk, slot, crm, audience, loaded, now)
    return [_fresh(desk, case, failed) for case in await desk.db.run(load, desk, slot, [case.entry for case in loaded])]


async def _read_people(desk: Desk, people: Sequence[str]) -> tuple[dict[str, Any], dict[str, float | None]]:
    """What was read, and who could not be read with the seconds to wait: one that always fails keeps nobody waiting."""
    read: dict[str, Any] = {}
    began = desk.clock.now()
    for record_id in people:
        if desk.clock.now() - began > REREAD_SECONDS:
            break
        try:
            read[record_id] = await desk.audience.read(record_id)
        except Transient as problem:
            return read, {record_id: problem.retry_after}
        except Permanent:
            return read, {record_id: None}
    return read, {}


def _fresh(desk: Desk, case: Case, failed: Mapping[str, float | None]) -> Case:
    """A reading that could not be had is waited for, never done without."""
    if case.postponed:
        return case
    if case.party.crm_id and _crm_is_old(desk, case):
        return replace(case, postponed="crm_contact_missing", again=_missing(case.entry.tries))
    old = [person.record_id for person in case.party.people if person.reread]
    if not old:
        return case
    named = [seconds for seconds in failed.values() if seconds is not None]
    mine = any(record_id in failed for record_id in old)
    again = max(named, default=pause_after(case.entry.tries) if mine else 0.0)
    return replace(case, postponed="unreadable" if mine else "later", again=again)


def _missing(tries: int) -> float:
    """A contact that is not there may come back, and costs a call each time: every quarter of an hour for an hour,
    hourly for a day, then daily."""
    return 900.0 if tries < 4 else 3600.0 if tries < 28 else 86_400.0


def _crm_is_old(desk: Desk, case: Case) -> bool:
    return not desk.route.alone and (case.party.reread or case.readings.crm is None)


def _file(
    tx: Connection,
    desk: Desk,
    slot: Slot,
    crm: Sequence[Any],
    audience: Mapping[str, Any],
    loaded: Sequence[Case],
    now: Instant,
) -> None:
    """A merge may have brought somebody else's party into this: it is looked at as well."""
    queue.guard(tx, slot)
    shelf = desk.shelf
    rows = [(record_id, raw, desk.crm.snapshot(raw, now)) for record_id, raw in crm]
    news = readings.file_crm(tx, shelf, rows, now, now, desk.chance.id)
    others = sorted(set(news) - {case.party.party_id for case in loaded})
    queue.put(tx, desk.customer_id, [(party_id, Lane.changes, now) for party_id in others], now)
    there = [(record_id, raw) for record_id, raw in audience.items() if raw is not None]
    readings.file_audience(tx, shelf, there, now, now, desk.chance.id)
    homes = parties.party_of(tx, desk.customer_id, shelf.audience, list(audience))
    fresh = readings.load(tx, desk.customer_id, sorted(set(homes.values())))
    readings.save(tx, desk.customer_id, [_read(party, list(audience)) for party in fresh.values()])


def _read(party: Party, people: Iterable[str]) -> Party:
    read = tuple(replace(one, reread=False) if one.record_id in people else one for one in party.people)
    return replace(party, people=read)


# --- people whom nobody has linked yet -------------------------------------------------------------------------------


async def _look_up(desk: Desk, slot: Slot, loaded: Sequence[Case]) -> list[Case]:
    """Ask the CRM for everybody new, by address, in one call. Not before the first sweep of the CRM side was whole:
    until then somebody who is there already could look new."""
    new = [(case, person) for case in loaded for person in _strangers(desk, case)]
    if not new:
        return list(loaded)
    if not await desk.db.run(_swept, desk):
        return _till_swept(loaded, [case for case, _ in new], desk.clock.now())
    loaded = _wait(loaded, [case for case, _ in new[LOOK_UPS:]], "later", 0.0)
    new = new[:LOOK_UPS]
    addresses = sorted({_address(case, person) for case, person in new})
    now = desk.clock.now()
    raws = await desk.crm.find(addresses)
    found = [(record_id, raw, desk.crm.snapshot(raw, now)) for record_id, raw in raws]
    moved = await desk.db.run(_adopt, desk, slot, found, loaded, now)
    held = await desk.db.run(_held, desk, [contact for _, _, contact in found], addresses)
    contacts = [contact for _, _, contact in found]
    asked = {(case.party.party_id, person.record_id) for case, person in new}
    ready = [_with_candidates(desk, case, contacts, held, asked) for case in loaded]
    if await desk.db.run(standstill.batch_pending, desk):
        ready = _wait(ready, [case for case in ready if _may_be_sent(case)], standstill.NAME, WAITING)
    return [_postponed(case, moved) for case in ready]


def _may_be_sent(case: Case) -> bool:
    """Would somebody of these go into the nightly batch?"""
    nobody = [case.readings.audience[record_id] for record_id, found in case.readings.candidates.items() if not found]
    return not case.party.linked() and any(one.consent is Consent.opted_in for one in nobody)


def _till_swept(loaded: Sequence[Case], these: Sequence[Case], now: Instant) -> list[Case]:
    """Longer, the longer it takes: what keeps a first sweep from its end may take somebody hours to mend."""
    since = min(case.entry.arrived for case in these)
    shortest, longest = SWEPT
    return _wait(loaded, these, "first_sweep", max(shortest, min((now - since) / 4, longest)))


def _wait(loaded: Sequence[Case], these: Sequence[Case], why: str, again: float) -> list[Case]:
    waiting = {case.party.party_id for case in these}
    return [replace(case, postponed=why, again=again) if case.party.party_id in waiting else case for case in loaded]


def _strangers(desk: Desk, case: Case) -> list[Person]:
    if case.postponed or desk.route.alone:
        return []
    here, crm = case.readings.audience, case.readings.crm
    # Whom we created, or whose reference the contact carries, is known without asking.
    ours = {record_id for _, record_id in (*case.party.enrolled, *(crm.references if crm else ()))}
    others = [one for one in case.party.people if one.record_id not in ours]
    return [one for one in others if needs_look_up(one, here.get(one.record_id), desk.route.policy)]


def _address(case: Case, person: Person) -> str:
    return case.readings.audience[person.record_id].email or ""


def _swept(tx: Connection, desk: Desk) -> bool:
    return marks.get(tx, desk.customer_id, desk.route.crm, "crm_sweep").mark is not None


def _adopt(
    tx: Connection, desk: Desk, slot: Slot, found: Sequence[Any], loaded: Sequence[Case], now: Instant
) -> set[str]:
    """A contact that carries our reference becomes the party's at once; such parties are decided in the next turn, and
    those that became part of another one never again."""
    queue.guard(tx, slot)
    news = readings.file_crm(tx, desk.shelf, found, now, now, desk.chance.id)
    queue.put(tx, desk.customer_id, [(party_id, Lane.changes, now) for party_id in news], now)
    before = {case.party.party_id for case in loaded}
    gone = before - readings.load(tx, desk.customer_id, sorted(before)).keys()
    return {*news, *gone}


def _held(tx: Connection, desk: Desk, found: Sequence[CrmContact], addresses: Sequence[str]) -> dict[str, str]:
    """Who holds what already: individuals of these contacts that are linked, addresses under submission."""
    homes = parties.party_of(tx, desk.customer_id, desk.route.crm, [contact.record_id for contact in found])
    linked = readings.load(tx, desk.customer_id, sorted(set(homes.values()))).values()
    held = {one.individual: one.record_id for party in linked for one in party.people if one.individual}
    wanted = {email(address) for address in addresses}
    for row in submissions.unresolved(tx, desk.customer_id):
        if row["address"] in wanted:
            held[f"submission:{row['address']}"] = row["record_id"]
    for address in strangers.under_way(tx, desk):
        held.setdefault(f"submission:{address}", strangers.HELD)
    return held


def _with_candidates(
    desk: Desk, case: Case, found: Sequence[CrmContact], held: Mapping[str, str], asked: set[tuple[str, str]]
) -> Case:
    mine = {}
    taken = dict(held)
    for person in _strangers(desk, case):
        if (case.party.party_id, person.record_id) not in asked:
            continue
        address = email(_address(case, person))
        mine[person.record_id] = tuple(one for one in found if _reachable(one, address))
        if f"submission:{address}" in held:
            taken["submission"] = held[f"submission:{address}"]
    return replace(case, readings=replace(case.readings, candidates=mine, held=taken))


def _reachable(contact: CrmContact, address: str) -> bool:
    methods = [method for one in contact.individuals for method in one.methods if method.kind == "email"]
    return any(email(method.value) == address for method in methods)


def _postponed(case: Case, moved: Collection[str]) -> Case:
    return replace(case, postponed="adopted") if case.party.party_id in moved else case


async def _of_the_lost(desk: Desk, slot: Slot, loaded: Sequence[Case]) -> list[Case]:
    missing = lost.among(loaded)
    if not missing:
        return list(loaded)
    loaded = _wait(loaded, [case for case, _ in missing[lost.MOST :]], "later", 0.0)
    found = await lost.asked_for(desk, missing[: lost.MOST])
    moved = await desk.db.run(_adopt, desk, slot, found, loaded, desk.clock.now())
    return [_postponed(lost.with_whereabouts(case, found, missing), moved) for case in loaded]


# --- contacts whom only the CRM has ----------------------------------------------------------------------------------


async def _of_crm_only(desk: Desk, loaded: Sequence[Case]) -> list[Case]:
    """With what is known of the addresses of whom the route may create; not before everybody else was looked at."""
    theirs = strangers.among(desk, loaded)
    if not theirs:
        return list(loaded)
    if not await desk.db.run(strangers.may_be_decided, desk, desk.clock.now()):
        return _till_swept(loaded, theirs, desk.clock.now())
    return await strangers.with_barred(desk, loaded, theirs)


# --- what every decision shares --------------------------------------------------------------------------------------


def setting(tx: Connection, desk: Desk, now: Instant) -> Setting:
    """The route's policy and labels, and what was learned of this organization's imports."""
    known = tuple(
        Label(
            list_id=one.list_id,
            list_name=one.list_name,
            tag_name=one.tag_name or "",
            tag_id=one.tag_id,
            paused=one.reason if one.state != "live" else None,
            kind="tag" if one.kind == "tag" else "list",
        )
        for one in labels.every(tx, desk.customer_id)
    )
    learned, stood = marks.named(tx, desk.customer_id, desk.route.crm, ("imports", standstill.NAME))
    bound = tuple(
        Binding(audience=one.audience, crm=one.crm, paused=one.reason if one.state != "live" else None)
        for one in fields.every(tx, desk.customer_id)
        if one.crm is not None
    )
    return Setting(
        policy=desk.route.policy,
        labels=known,
        now=now,
        imports_opt_in=bool((learned.data or {}).get("opt_in")),
        stood=stood.mark,
        bindings=bound,
        alone=desk.route.alone,
    )
