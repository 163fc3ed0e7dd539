"""Who holds which address, and who waits for one.

The write of an address that another party of ours still has is stored with a hold, so that everybody's wishes can be
compared: `model/custody.py` says whose turn it is. Whoever waits is looked at again as soon as an address is given up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.canonical import email, phone
from keepstep.model.change import Lane, Step
from keepstep.model.contact import AudienceContact, CrmContact
from keepstep.model.custody import Turn, Wish, turns
from keepstep.model.decide import Decision
from keepstep.model.instant import Instant
from keepstep.model.party import Party, Person, audience_fields
from keepstep.queue import Slot, StepRow
from keepstep.state import parties, submissions

HELD = "address_held"
MOVES = ("set_email", "swap_email")
Row = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Turns:
    """Whose turn it is, by method, and the rows of those who ask, as they were stored before this."""

    given: Mapping[str, Turn]
    rows: tuple[StepRow, ...] = ()


def custody_rows(
    desk: Desk, party: Party, here: Mapping[str, AudienceContact], crm: CrmContact | None = None
) -> list[Row]:
    """Which addresses and phones a party holds, canonical: (kind, value, platform, record or method id)."""
    rows = []
    for person in party.people:
        contact = here.get(person.record_id)
        left = contact is None or (contact.deleted and person.individual)
        fields = {} if contact is None or left else audience_fields(contact)
        if fields.get("email"):
            rows.append(("email", email(fields["email"]), desk.route.audience, person.record_id))
        if fields.get("phone"):
            rows.append(("phone", phone(fields["phone"]), desk.route.audience, person.record_id))
    methods = [method for one in crm.individuals for method in one.methods] if crm and not crm.merged_into else []
    return rows + [("email", email(one.value), desk.route.crm, one.record_id) for one in methods if one.kind == "email"]


def keep(tx: Connection, desk: Desk, held: Mapping[str, Sequence[Row]]) -> bool:
    """Store what these parties hold; True if one of them gave an address up."""
    before = parties.custody_of(tx, desk.customer_id, list(held))
    given_up = False
    for party_id, rows in held.items():
        if sorted(set(rows)) != before[party_id]:
            parties.set_custody(tx, desk.customer_id, party_id, rows)
            given_up = given_up or any(row[0] == "email" and row not in rows for row in before[party_id])
    return given_up


def ask(tx: Connection, desk: Desk, decisions: Sequence[Decision], given_up: bool) -> Turns:
    """Whose turn it is among all who want an address; nothing is asked where nothing can have changed."""
    wanted = [step for one in decisions for step in one.steps if step.kind in MOVES]
    if not wanted and not given_up:
        return Turns({})
    fresh = {one.party.party_id for one in decisions}
    rows = queue.steps_of_kinds(tx, desk.customer_id, MOVES)
    stored = [row for row in rows if row.job_id is not None or row.party_id not in fresh]
    wishes = [_wish(step) for step in wanted] + [_wish(row) for row in stored]
    unique = {wish.method: wish for wish in sorted(wishes, key=lambda one: one.sent)}
    coming = _coming(tx, desk)
    holders = _holders(tx, desk, list(unique.values()), rows, coming)
    return Turns(turns([*unique.values(), *coming], holders), tuple(rows))


def _wish(item: Step | StepRow) -> Wish:
    sent = isinstance(item, StepRow) and item.job_id is not None
    address = email(item.payload["value"])
    return Wish(party_id=item.party_id, method=str(item.payload["method"]), address=address, sent=sent)


def _coming(tx: Connection, desk: Desk) -> list[Wish]:
    """Creations under way will have their address: an import that meets it elsewhere merges two people. One that needs
    review is no longer waited for by itself."""
    unresolved = submissions.unresolved(tx, desk.customer_id)
    waiting = [row for row in unresolved if submissions.stage(row, desk.clock.now()) != "review"]
    return [
        Wish(party_id=row["party_id"], method=f"submission:{row['record_id']}", address=row["address"] or "", sent=True)
        for row in waiting
    ]


def _holders(
    tx: Connection, desk: Desk, wishes: Sequence[Wish], rows: Sequence[StepRow], coming: Sequence[Wish]
) -> dict[str, list[tuple[str, str]]]:
    """Who carries these in the CRM and has the address still, or is about to leave it. Whoever has given it up and
    writes nothing, such as somebody who opted out since, keeps nobody waiting. A swap under way has let go of its old
    address first, or will find that it has."""
    gone = {str(row.payload["method"]) for row in rows if row.kind == "swap_email" and row.job_id is not None}
    moving = {wish.method for wish in wishes}
    there = parties.holders(tx, desk.customer_id, "email", sorted({wish.address for wish in wishes}))
    found = {}
    for address, held in there.items():
        keeping = {party for party, platform, _ in held if platform == desk.route.audience}
        carried = [(party, method) for party, platform, method in held if platform == desk.route.crm]
        found[address] = [
            (party, method)
            for party, method in carried
            if method not in gone and (party in keeping or method in moving)
        ]
    for wish in coming:
        found.setdefault(wish.address, []).append((wish.party_id, wish.method))
    return found


def awaited(decision: Decision, asked: Turns) -> Decision:
    """The decision with the standing of whoever waits for an address."""
    party = decision.party
    for step in decision.steps:
        person = party.person(step.member or "")
        turn = asked.given.get(str(step.payload.get("method"))) if step.kind in MOVES else None
        if person and turn in ("wait", "stuck"):
            party = party.with_person(waiting(person))
    return replace(decision, party=party)


def waiting(person: Person) -> Person:
    """Standing of somebody whose address another one of ours still has."""
    return replace(person, standing="pending", reason=HELD)


def turned(step: Step, asked: Turns, crm: CrmContact | None) -> Step:
    """The step as it may go: held, or as a swap, which carries the type and the consent of the method over."""
    turn = asked.given.get(str(step.payload.get("method"))) if step.kind in MOVES else None
    if turn != "swap":
        return replace(step, hold=HELD) if turn in ("wait", "stuck") else step
    methods = [method for one in crm.individuals for method in one.methods] if crm else []
    old = next((method for method in methods if method.record_id == step.payload["method"]), None)
    carried = {"opted_in": bool(old and old.opted_in), "type": old.type if old else None}
    return replace(step, kind="swap_email", payload={**step.payload, **carried})


def follow(tx: Connection, desk: Desk, slot: Slot, asked: Turns, decided: Sequence[Decision], now: Instant) -> None:
    """What was stored before follows its turn: a step that may go is let go, one that may not is held, and whoever
    waited elsewhere and may go now is looked at again."""
    fresh = {one.party.party_id for one in decided}
    mine = [row for row in asked.rows if row.job_id is None]
    free = [row for row in mine if asked.given.get(str(row.payload["method"])) in ("go", "swap")]
    held = [row for row in mine if asked.given.get(str(row.payload["method"])) in ("wait", "stuck")]
    here = [row.id for row in free if row.party_id in fresh and row.hold == HELD]
    if here:
        queue.let_go(tx, desk.customer_id, HELD, now, ids=here)
    # What something else holds as well, such as a plan, must still wait for the address when that lets it go.
    if tight := [row.id for row in held if row.hold != HELD and (row.party_id in fresh or row.hold is not None)]:
        queue.hold_instead(tx, slot, HELD, tight)
    elsewhere = {row.party_id: None for row in free if row.party_id not in fresh and row.hold == HELD}
    queue.put(tx, desk.customer_id, [(party_id, Lane.changes, now) for party_id in elsewhere], now)


def given_up(tx: Connection, desk: Desk, rows: Sequence[StepRow], now: Instant) -> None:
    """A swap has begun: whoever waits for the address that it left is looked at."""
    left = {email(row.payload.get("was")): None for row in rows if row.kind == "swap_email"}
    if not left:
        return
    waits = [row for row in queue.steps_of_kinds(tx, desk.customer_id, MOVES) if row.hold == HELD]
    items = {row.party_id: None for row in waits if email(row.payload["value"]) in left}
    queue.put(tx, desk.customer_id, [(party_id, Lane.changes, now) for party_id in items], now)


def is_carried(tx: Connection, desk: Desk, row: StepRow) -> bool:
    """Is the address that this step wants on another party of ours in the CRM, which may be about to let go of it?"""
    wanted = email(row.payload.get("value")) if row.kind in MOVES else ""
    there = parties.holders(tx, desk.customer_id, "email", [wanted] if wanted else []).get(wanted, [])
    return any(party != row.party_id and platform == desk.route.crm for party, platform, _ in there)
