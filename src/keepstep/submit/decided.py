"""T2: what was decided becomes steps, jobs and what is now seen, in one fenced transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.canonical import email, phone
from keepstep.model.change import Lane, Step
from keepstep.model.consent import proves_opt_in
from keepstep.model.contact import Method, Side
from keepstep.model.decide import Decision, Setting, decide
from keepstep.model.enrol import KIND as ENROL
from keepstep.model.feed_decide import IMPORT
from keepstep.model.feed_decide import KINDS as OF_ROWS
from keepstep.model.instant import Instant
from keepstep.model.party import Act, Party, Person
from keepstep.model.settle import submitted
from keepstep.model.whereabouts import GONE, MOVED
from keepstep.queue import Job, Slot
from keepstep.state import consent, customers, dead_letters, journal, marks, parties, readings, submissions
from keepstep.submit import brake, custody, holds, overwritten, past, rows, strangers, written
from keepstep.submit.custody import HELD, Turns, custody_rows
from keepstep.submit.load import Case

BATCH_ROWS = 100
LIST_JOB_CONTACTS = 500
AGAIN_PARKED = 86_400.0
AGAIN_WAITING = 900.0
AGAIN_LABELS = 30.0
CREATING = ("submit", "create")
# Steps on the audience side that one job does for many people.
SETS = ("join", "leave", "tag_on", "tag_off")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One case decided, or the reason why it could not be."""

    case: Case
    decision: Decision | None
    failure: str | None = None


def decide_all(cases: Sequence[Case], setting: Setting) -> list[Verdict]:
    """Decide each party by itself: one that cannot be decided harms no other."""
    return [_decide(case, setting) for case in cases if not case.postponed]


def _decide(case: Case, setting: Setting) -> Verdict:
    try:
        return Verdict(case, decide(case.party, case.readings, setting))
    except Exception as failure:  # whatever it is, it is this party's dead letter and nobody else's
        return Verdict(case, None, type(failure).__name__)


def store(
    tx: Connection, desk: Desk, slot: Slot, cases: Sequence[Case], verdicts: Sequence[Verdict], now: Instant
) -> None:
    """Everything a batch of decisions changes."""
    queue.guard(tx, slot)
    for verdict in verdicts:
        if verdict.decision is None:
            _bury(tx, desk, verdict, now)
    pairs = [(one.case, one.decision) for one in verdicts if one.decision]
    asked = custody.ask(tx, desk, [decision for _, decision in pairs], _keep(tx, desk, pairs))
    taken = {row["address"]: row["record_id"] for row in submissions.unresolved(tx, desk.customer_id)}
    allowed = [_allowed(tx, desk, case, decision, asked, taken) for case, decision in pairs]
    for (case, _), (decision, _) in zip(pairs, allowed, strict=True):
        _store_one(tx, desk, case, decision, now)
        written.ended(tx, desk, decision)
    wanted = {decision.party.party_id: steps for decision, steps in allowed}
    past.remember(tx, desk, [(decision, wanted[decision.party.party_id]) for decision, _ in allowed], now)
    queue.replace_all_steps(tx, slot, wanted, now)
    custody.follow(tx, desk, slot, asked, [decision for decision, _ in allowed], now)
    queue.forget(tx, slot, [case.entry for case in cases if case.again is None])
    for case in cases:
        if case.again is not None:
            queue.defer(tx, slot, case.entry, now + case.again, now)
    outcomes = [(case, one) for (case, _), (one, _) in zip(pairs, allowed, strict=True)]
    _again_later(tx, desk, outcomes, now)
    _learn(tx, desk, outcomes, now)
    _rehome(tx, desk, outcomes, now)


def _keep(tx: Connection, desk: Desk, pairs: Sequence[tuple[Case, Decision]]) -> bool:
    """Store what every party of the batch holds, before anybody asks who holds what."""
    held = {
        decision.party.party_id: custody_rows(desk, decision.party, case.readings.audience, case.readings.crm)
        for case, decision in pairs
    }
    return custody.keep(tx, desk, held)


def _store_one(tx: Connection, desk: Desk, case: Case, decision: Decision, now: Instant) -> None:
    party, shelf = decision.party, desk.route.audience
    if party != case.party:
        readings.save(tx, desk.customer_id, [party])
    strangers.keep(tx, desk, decision, now)
    for person, before in zip(party.people, case.party.people, strict=True):
        if (person.standing, person.reason) != (before.standing, before.reason):
            parties.set_standing(tx, desk.customer_id, shelf, person.record_id, person.standing, now, person.reason)
        if before.submission and not person.submission:
            _resolve(tx, desk, person, before.submission.since)
    if any(act.direction == "out" and _waits(party, record_id) for record_id, act in decision.acts):
        _watch(tx, desk, now)
    consent.append(tx, desk.customer_id, [_ledger(desk, case, *pair, now) for pair in decision.acts])
    lines = [(now, party.party_id, note.kind, {"record": note.record_id, **note.data}) for note in decision.notes]
    lines += overwritten.lines(tx, desk, case, party, now)
    journal.append(tx, desk.customer_id, [*lines, *_standing_lines(case, party, now)])


def _standing_lines(case: Case, party: Party, now: Instant) -> list[tuple[Instant, str, str, dict[str, Any]]]:
    return [
        (now, party.party_id, "standing", {"record": one.record_id, "standing": one.standing, "reason": one.reason})
        for one, before in zip(party.people, case.party.people, strict=True)
        if (one.standing, one.reason) != (before.standing, before.reason)
    ]


def _waits(party: Party, record_id: str) -> bool:
    person = party.person(record_id)
    return person is not None and person.submission is not None


def _watch(tx: Connection, desk: Desk, now: Instant) -> None:
    """An opt-out of somebody who waits in the batch is owed from this moment on."""
    mark = marks.get(tx, desk.customer_id, desk.route.crm, "watch_batch")
    marks.put(tx, desk.customer_id, replace(mark, due=now))


def _method_of(case: Case, person: Person) -> list[Method]:
    """The email method that stands for a person, as read; none where it was not."""
    people = case.readings.crm.individuals if case.readings.crm else ()
    return [method for one in people for method in one.methods if method.record_id == person.email_method]


def _learn(tx: Connection, desk: Desk, pairs: Sequence[tuple[Case, Decision]], now: Instant) -> None:
    """Do imports opt in? Then a default that somebody touched was a choice, and those parties are decided anew: no
    later reading differs, by which they would be."""
    if not any(_proves(case, decision) for case, decision in pairs):
        return
    mark = marks.get(tx, desk.customer_id, desk.route.crm, "imports")
    if not (mark.data or {}).get("opt_in"):
        marks.put(tx, desk.customer_id, replace(mark, data={"opt_in": True}))
        touched = consent.touched_defaults(tx, desk.customer_id, desk.route.audience)
        queue.put(tx, desk.customer_id, [(one, Lane.consent, now) for one in touched], now)


def _proves(case: Case, decision: Decision) -> bool:
    people = zip(decision.party.people, case.party.people, strict=True)
    new = [person for person, before in people if before.opted_in is None]
    return any(proves_opt_in(person, method) for person in new for method in _method_of(case, person))


def _resolve(tx: Connection, desk: Desk, person: Person, since: Instant) -> None:
    """Confirmed: the batch is now known to have run rows that were sent at that time. Or given up: it never arrived."""
    if not person.individual:
        submissions.withdraw(tx, desk.customer_id, person.record_id)
        return
    submissions.set_state(tx, desk.customer_id, person.record_id, "resolved")
    mark = marks.get(tx, desk.customer_id, desk.route.crm, "batch")
    marks.put(tx, desk.customer_id, replace(mark, mark=max(since, mark.mark or 0.0)))


def _ledger(desk: Desk, case: Case, record_id: str, act: Act, now: Instant) -> dict[str, Any]:
    """An act for the ledger, which holds keyed hashes of addresses, so that erasure and proof can both hold."""
    contact = case.readings.audience.get(record_id)
    address = act.address or (contact.email if contact else None)
    platform = desk.route.crm if act.side == "crm" else desk.route.audience
    said = {"id": act.id, "reason": act.reason, "code": act.code, "report": act.report}
    return {
        "party_id": case.party.party_id,
        "platform": platform,
        "record_id": record_id,
        "address_hash": desk.hashed(address) if address else None,
        "kind": act.kind,
        "direction": act.direction,
        "after": act.after,
        "before": act.before,
        "at": act.at,
        "source": act.source or act.side,
        "evidence": {name: value for name, value in said.items() if value},
        "seen_at": now,
    }


def _bury(tx: Connection, desk: Desk, verdict: Verdict, now: Instant) -> None:
    party_id = verdict.case.party.party_id
    reason = f"decision failed: {verdict.failure}"
    dead_letters.add(
        tx, desk.customer_id, desk.chance.id(), now, side="crm", kind="decide", reason=reason, party_id=party_id
    )
    journal.append(tx, desk.customer_id, [(now, party_id, "dead", {"reason": reason})])


def _allowed(
    tx: Connection, desk: Desk, case: Case, decision: Decision, asked: Turns, taken: dict[str | None, str]
) -> tuple[Decision, list[Step]]:
    """The steps that may be stored now, and the decision with the standing of whoever waits for an address: while a
    call of the party is under way only consent goes on, and a creation whose address another one claims waits."""
    decision = custody.awaited(decision, asked)
    steps = [step for step in decision.steps if not case.in_flight or step.lane is Lane.consent]
    steps = [_as_urgent_as(case.entry.lane, step) for step in steps]
    free = []
    for step in steps:
        person = decision.party.person(step.member or "")
        claimed = taken.setdefault(_claims(step), step.member or "") == step.member
        fit = _without_known_phone(tx, desk, step) if step.kind in CREATING else step
        fit = custody.turned(fit, asked, case.readings.crm)
        if person and not claimed:
            decision = replace(decision, party=decision.party.with_person(custody.waiting(person)))
        elif person and person.was_refused(fit.target, fit.payload):
            # Decided in other words than these, which are what was sent and refused: again would be for ever.
            parked = replace(person, standing="parked", reason="refused_by_vendor")
            decision = replace(decision, party=decision.party.with_person(parked))
        else:
            free.append(fit)
    return decision, free


def _as_urgent_as(lane: int, step: Step) -> Step:
    """What a sweep or a first import found waits for the hours of bulk work; consent never waits."""
    return step if step.lane is Lane.consent else replace(step, lane=Lane(max(step.lane, lane)))


def _claims(step: Step) -> str:
    """What a step claims for its person alone: a creation its address, every other step nothing that anybody wants."""
    return email(step.payload.get("email")) if step.kind in CREATING else f"{step.party_id} {step.side} {step.target}"


def _without_known_phone(tx: Connection, desk: Desk, step: Step) -> Step:
    """A phone that somebody else known to us has would let the import merge two people: it stays out of a creation."""
    number = phone((step.payload.get("phone") or {}).get("raw"))
    holders = parties.holders(tx, desk.customer_id, "phone", [number] if number else []).get(number, [])
    if all(record_id == step.member for _, _, record_id in holders):
        return step
    return replace(step, payload={**step.payload, "phone": None})


def _again_later(tx: Connection, desk: Desk, pairs: Sequence[tuple[Case, Decision]], now: Instant) -> None:
    """Who waits for an address, or is parked without being linked, is looked at again without anybody asking; who left
    a list, as soon as the lists themselves were read; whose submission was given up, at once, to be looked for."""
    items = []
    if any(one.labels_are_old for _, one in pairs):
        _read_soon(tx, desk, [marks.get(tx, desk.customer_id, desk.route.audience, "lists")], now)
    for case, decision in pairs:
        people = decision.party.people
        if _gave_up(case.party, decision.party):
            items.append((decision.party.party_id, Lane.changes, now))
        elif decision.labels_are_old:
            items.append((decision.party.party_id, Lane.changes, now + AGAIN_LABELS))
        elif any(one.reason in (HELD, MOVED) for one in people):
            items.append((decision.party.party_id, Lane.changes, now + AGAIN_WAITING))
        elif any(one.standing == "parked" and (not one.individual or one.reason == GONE) for one in people):
            items.append((decision.party.party_id, Lane.sweep, now + AGAIN_PARKED))
    queue.put(tx, desk.customer_id, items, now)


def _gave_up(before: Party, party: Party) -> bool:
    """Is somebody's submission over without a link?"""
    waited = {one.record_id for one in before.people if one.submission}
    return any(one.record_id in waited and not one.submission and not one.individual for one in party.people)


def _rehome(tx: Connection, desk: Desk, pairs: Sequence[tuple[Case, Decision]], now: Instant) -> None:
    """Whom staff took to another household goes to its party, once nothing of the one that was left is under way."""
    for case, decision in pairs:
        for record_id, contact in {} if case.in_flight else decision.moves.items():
            left = decision.party.party_id
            home = readings.rehome(tx, desk.shelf, left, record_id, contact, now, desk.chance.id)
            queue.put(tx, desk.customer_id, [(one, Lane.changes, now) for one in sorted({left, home})], now)


# --- forming jobs ----------------------------------------------------------------------------------------------------


def form(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> list[Job]:
    """Let go what the freshness gate held, form jobs with their intents, and open the creations among them."""
    queue.guard(tx, slot)
    waits = holds.waiting(tx, desk.customer_id)
    if not waits.kinds:  # most turns have decided that nothing is to be written
        holds.rest(tx, desk, slot, now)
        return []
    if rows.FILLING in waits.holds:
        rows.fill(tx, desk, slot, now)
    if brake.HOLD in waits.holds:
        brake.release(tx, desk, slot, now)
    holds.hold(tx, desk, slot, waits.holds, now)
    if gate_is_fresh(tx, desk, now) and waits.holds:
        # An opt-out that could not be decided yet holds its own party, and nobody else.
        queue.let_go(tx, desk.customer_id, holds.GATE, now, unmarked=Lane.consent)
    _blocked(tx, desk, slot)
    if ENROL in waits.kinds:
        strangers.hold(tx, desk, slot, now)
    if waits.inferred:
        brake.take(tx, desk, slot, now)
    jobs = queue.form(tx, slot, now, group_size, desk.chance.id, scales=rows.scales(desk))
    if waits.kinds.intersection(OF_ROWS):
        jobs = rows.checked(tx, desk, slot, jobs, now)
    for job in jobs:
        if job.kind in CREATING:
            _open(tx, desk, job, now)
    return jobs


def _blocked(tx: Connection, desk: Desk, slot: Slot) -> None:
    """What is about to go to a blocked connection is held; after the gate, which lets go whatever it held."""
    for one in customers.connections(tx, desk.customer_id):
        if one.health == "blocked" and one.platform in (desk.route.crm, desk.route.audience):
            side = Side.crm if one.platform == desk.route.crm else Side.audience
            queue.hold_steps(tx, slot, holds.BLOCKED, side=side)


_SIZES = {"submit": BATCH_ROWS, **dict.fromkeys(SETS, LIST_JOB_CONTACTS), IMPORT: rows.ROWS}


def group_size(_side: str, kind: str) -> int:
    """How many steps of a kind one call carries."""
    return _SIZES.get(kind, 1)


def _open(tx: Connection, desk: Desk, job: Job, now: Instant) -> None:
    found = readings.load(tx, desk.customer_id, sorted({step.party_id for step in job.steps}))
    for row in job.steps:
        address = email(row.payload.get("email"))
        submissions.open_one(tx, desk.customer_id, row.member or "", row.party_id, row.payload, address, now)
        found[row.party_id] = submitted(found[row.party_id], row.as_step(), "intended", now)
    readings.save(tx, desk.customer_id, found.values())


def gate_is_fresh(tx: Connection, desk: Desk, now: Instant) -> bool:
    """Were opt-outs and labels read within the gate's window? What is stale is read at once where the gate holds; what
    it let go before and was not sent since waits there again."""
    window = desk.route.policy.gate
    read = marks.named(tx, desk.customer_id, desk.route.audience, ("opted_out", "lists"))
    stale = [mark for mark in read if now - ((mark.data or {}).get("finished") or 0.0) > window]
    if stale:
        holds.shut(tx, desk.customer_id, now)
    if stale and holds.at_gate(tx, desk.customer_id):
        # The stale ones only: pulling the fresh one as well would let it run first every turn, and the other one never.
        _read_soon(tx, desk, stale, now)
    return not stale


def _read_soon(tx: Connection, desk: Desk, these: Sequence[marks.Mark], now: Instant) -> None:
    """Have these chores of the audience side done at once. What failed waits for its own next try, what is blocked for
    its owner."""
    audience = customers.get_connection(tx, desk.customer_id, desk.route.audience)
    works = audience is None or audience.health != "blocked"
    for mark in these:
        if works and not (mark.data or {}).get("tries") and (mark.due is None or mark.due > now):
            marks.put(tx, desk.customer_id, replace(mark, due=now))
