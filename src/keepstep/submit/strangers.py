"""Contacts whom only the CRM has, where the route creates them at the audience side: what is known of their addresses
before anybody decides, once more before anything is sent, and what became of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy import exists as sql_exists

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.canonical import email
from keepstep.model.change import Done, Lane, Nothing
from keepstep.model.consent import unlifted
from keepstep.model.contact import Consent, Side
from keepstep.model.decide import Decision
from keepstep.model.enrol import KIND, addresses, is_crm_only, unfit
from keepstep.model.instant import Instant
from keepstep.model.party import Act, Party
from keepstep.queue import Slot, StepRow
from keepstep.schema.tables import alias, entry
from keepstep.state import feeds, journal, marks, parties, readings, snapshots, strangers

if TYPE_CHECKING:
    from keepstep.submit.load import Case

HELD = "crm_only"
# Somebody of the audience side who is decided in so many seconds is waited for.
SOON = 60.0


def are_created(desk: Desk) -> bool:
    """Does the route create people whom only the CRM has?"""
    return desk.route.policy.crm_only == "create"


def may_be_decided(tx: Connection, desk: Desk, now: Instant) -> bool:
    """Were both sides read, and everybody of the audience side looked at? Until then somebody who is there already
    could look new."""
    ends = ((desk.route.audience, "sweep"), (desk.route.crm, "crm_sweep"))
    if any(marks.get(tx, desk.customer_id, *end).mark is None for end in ends):
        return False
    return all_looked_at(tx, desk, now)


def all_looked_at(tx: Connection, desk: Desk, now: Instant) -> bool:
    """Was everybody of the audience side who was read looked at as well?"""
    asked = {"customer": desk.customer_id, "of": desk.route.audience, "soon": now + SOON}
    return not tx.execute(_NEW_AND_DUE, asked).scalar_one()


# Rows of feeds are many and nobody's: they are told apart before anything is looked up.
_NEW_AND_DUE = select(
    sql_exists().where(
        entry.c.customer_id == bindparam("customer"),
        entry.c.due <= bindparam("soon"),
        ~feeds.of_rows(entry.c.party_id),
        alias.c.customer_id == entry.c.customer_id,
        alias.c.party_id == entry.c.party_id,
        alias.c.platform == bindparam("of"),
        alias.c.standing == "pending",
        alias.c.reason == "new",
    )
)


def barred(tx: Connection, desk: Desk, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """Per party, of these addresses those at which nobody may be created, and why: an address that somebody else has,
    or has left by an opt-out, a deletion or a bounce. Without the ledger's key nobody can tell, so nobody may."""
    every = sorted({one for some in wanted.values() for one in some})
    held = parties.holders(tx, desk.customer_id, "email", every)
    hashes = {one: desk.hashed(one) or "" for one in every}
    acts = strangers.acts_on(tx, desk.customer_id, sorted(set(hashes.values())))
    out = {one: "opted_out" if hashed else "no_ledger_key" for one, hashed in hashes.items() if _is_out(acts, hashed)}
    there = _there(tx, desk, [row[2] for rows in held.values() for row in rows if row[1] == desk.route.audience])
    found = {}
    for party_id, some in wanted.items():
        others = {one: [row for row in held.get(one, ()) if row[0] != party_id] for one in some}
        by_others = {one: _why_held(desk, rows, there) for one, rows in others.items() if rows}
        found[party_id] = {one: out[one] for one in some if one in out} | by_others
    return found


def _is_out(acts: Mapping[str, Sequence[Any]], hashed: str) -> bool:
    """Does an opt-out stand for this address, whoever had it? A `false` of unknown origin counts here: it blocks
    whatever widens."""
    if not hashed:
        return True
    read = [as_act(row) for row in acts.get(hashed, ())]
    return bool(unlifted(replace(one, kind="choice") if one.kind == "unknown" else one for one in read))


def as_act(row: Any) -> Act:
    return Act(
        id=str(row.id),
        side=Side.audience,
        kind=row.kind,
        direction=row.direction,
        after=row.after,
        before=row.before if row.before is not None else row.seen_at,
        at=row.at,
    )


def _there(tx: Connection, desk: Desk, record_ids: Sequence[str]) -> dict[str, str]:
    """How whoever has an address at the audience side stands there."""
    read = snapshots.get(tx, desk.customer_id, desk.route.audience, sorted(set(record_ids)))
    contacts = {key: desk.audience.snapshot(raw, read_at) for key, (raw, read_at, _whole) in read.items()}
    return {
        key: "deleted_at_cc" if one.deleted else "opted_out_at_cc" if one.consent is Consent.opted_out else "at_cc"
        for key, one in contacts.items()
    }


def _why_held(desk: Desk, rows: Sequence[tuple[str, str, str]], there: Mapping[str, str]) -> str:
    here = [there.get(record_id, "at_cc") for _, platform, record_id in rows if platform == desk.route.audience]
    return here[0] if here else "several_contacts"


# --- before it is decided --------------------------------------------------------------------------------------------


def among(desk: Desk, loaded: Sequence["Case"]) -> list["Case"]:
    """The cases of contacts whom only the CRM has, where the route creates people of those."""
    return [case for case in loaded if are_created(desk) and not case.postponed and _is_crm_only(case)]


async def with_barred(desk: Desk, loaded: Sequence["Case"], theirs: Sequence["Case"]) -> list["Case"]:
    """The cases with the addresses at which nobody may be created; who was archived meanwhile counts as such."""
    asked = {case.party.party_id: addresses(case.readings.crm) for case in theirs if case.readings.crm}
    known = await desk.db.run(barred, desk, asked)
    open_still = [case.readings.crm.record_id for case in theirs if case.readings.crm and _is_open(case)]
    shown = await desk.crm.unarchived(open_still) if open_still else frozenset()
    away = {one for one in open_still if one not in shown}
    return [_with_barred(case, known.get(case.party.party_id, {}), away) for case in loaded]


def _is_crm_only(case: "Case") -> bool:
    return case.readings.crm is not None and is_crm_only(case.party)


def _is_open(case: "Case") -> bool:
    """May somebody of this contact still be created?"""
    crm, known = case.readings.crm, {one for one, _ in (*case.party.enrolled, *case.party.kept_out)}
    return crm is not None and unfit(crm) is None and any(one.record_id not in known for one in crm.individuals)


def _with_barred(case: "Case", known: Mapping[str, str], away: Collection[str]) -> "Case":
    crm = case.readings.crm
    if crm is not None and crm.record_id in away:
        crm = replace(crm, archived=True)
    return replace(case, readings=replace(case.readings, crm=crm, barred=known))


# --- when it is decided, and before it is sent -----------------------------------------------------------------------


def keep(tx: Connection, desk: Desk, decision: Decision, now: Instant) -> None:
    """Note what became of a contact whom only the CRM has."""
    if decision.crm_only is not None and decision.party.crm_id is not None:
        standing = (decision.crm_only.standing, decision.crm_only.reason)
        strangers.note(tx, desk.customer_id, {decision.party.crm_id: standing}, now)


def hold(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> None:
    """Of the creations that are about to be sent, those at an address that is barred by now are not; nor is any where
    the route has changed its mind. They are decided anew."""
    rows = [row for row in queue.steps_of_kinds(tx, desk.customer_id, (KIND,)) if row.job_id is None]
    ready = [row for row in rows if row.hold in (None, HELD) or not are_created(desk)]
    if not ready:
        return
    mine: dict[str, list[str]] = {}
    for row in ready:
        mine.setdefault(row.party_id, []).append(email(row.payload["email"]))
    why = barred(tx, desk, mine)
    shut = [row for row in ready if not are_created(desk) or email(row.payload["email"]) in why[row.party_id]]
    news = [row for row in shut if row.hold != HELD]
    queue.hold_instead(tx, slot, HELD, [row.id for row in news])
    queue.hold_instead(tx, slot, "gate", [row.id for row in ready if row.hold == HELD and row not in shut])
    again = dict.fromkeys(row.party_id for row in news)
    queue.put(tx, desk.customer_id, [(party_id, Lane.bulk, now) for party_id in again], now)


def under_way(tx: Connection, desk: Desk) -> list[str]:
    """The addresses that somebody is being created with at the audience side: who turns up with one meanwhile is that
    person, and must not be created in the CRM."""
    rows = queue.steps_of_kinds(tx, desk.customer_id, (KIND,)) if are_created(desk) else []
    return [email(row.payload["email"]) for row in rows if row.job_id is not None]


# --- when it was sent ------------------------------------------------------------------------------------------------


def arrived(
    tx: Connection, desk: Desk, row: StepRow, party: Party, done: Done, now: Instant
) -> tuple[Party, Done | Nothing]:
    """Whom we created belongs to the contact's party before anybody reads them. A poll may have been quicker: what it
    made becomes part of the party, unless it is linked to another contact by now; then nobody was created here."""
    record_id = str(done.answer["record_id"])
    home = parties.party_of(tx, desk.customer_id, desk.route.audience, [record_id]).get(record_id)
    if home is None:
        place = (desk.customer_id, desk.route.audience, record_id, row.party_id, now)
        parties.set_alias(tx, *place, standing="pending", reason="look_up")
    elif home != row.party_id:
        if readings.load(tx, desk.customer_id, [home])[home].crm_id not in (None, party.crm_id):
            return party, Nothing({"left_out": "at_cc"})
        party = readings.unite(tx, desk.customer_id, [row.party_id, home], now)
    _told(tx, desk, row, record_id, now)
    return party, done


def _told(tx: Connection, desk: Desk, row: StepRow, record_id: str, now: Instant) -> None:
    """By what permission somebody was created: in the journal, and beside the contact for good."""
    contact, evidence = str(row.payload["contact"]), str(row.payload["evidence"])
    strangers.note(tx, desk.customer_id, {contact: (strangers.ENROLLED, None)}, now)
    strangers.keep_evidence(tx, desk.customer_id, contact, evidence)
    said = {"record": record_id, "contact": contact, "individual": row.payload["individual"], "evidence": evidence}
    journal.append(tx, desk.customer_id, [(now, row.party_id, "enrolled", said)])
