"""The vendor calls of a turn, and T3: their outcomes, what is now seen, the journal.

An intent is committed before each call. Recording an outcome is tried harder than the call was: what is not recorded
stays `sent`, becomes unknown, and is looked at before anything is repeated.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from keepstep import queue, telemetry
from keepstep.desk import CALL_TIMEOUT, LEASE, LONGEST_JITTER, LONGEST_PAUSE, Desk, pause_after
from keepstep.model.alerts import Kind
from keepstep.model.change import REPLACING, Accepted, Call, Dead, Done, Lane, Nothing, Outcome, Retry, Step, Unknown
from keepstep.model.contact import Side
from keepstep.model.enrol import KIND
from keepstep.model.errors import Blocked, Missing, Permanent, Transient, Unanswered
from keepstep.model.feed_decide import KINDS as OF_ROWS
from keepstep.model.instant import Instant
from keepstep.model.parts import goes_in_parts
from keepstep.model.party import Party
from keepstep.model.settle import found_so, outdated, refused, settle, submitted, withdrawn
from keepstep.queue import Job, Slot, State, StepRow
from keepstep.state import customers, journal, readings, submissions
from keepstep.state.alerts import raise_alert
from keepstep.submit import confirm, custody, imported, letters, past, strangers, written
from keepstep.submit.decided import CREATING
from keepstep.submit.moved import MANY, moved
from keepstep.submit.patience import HOURLY, SLOW, is_spent, slower
from keepstep.telemetry import Event

TURN = 5.0
SOON = 5.0
LOOK_AFTER = {Side.audience: 120.0, Side.crm: 30.0}


@dataclass(frozen=True, slots=True)
class Result:
    """What a job came to: one outcome a step. `blocked`: the connection's owner must act, and why."""

    job: Job
    outcomes: tuple[Outcome, ...]
    blocked: str | None = None


async def make(desk: Desk, slot: Slot, jobs: Sequence[Job]) -> Slot:
    """Make the calls for at most one turn's time; what was not called becomes steps again."""
    began, busy = desk.clock.now(), set[str]()
    for number, job in enumerate(jobs):
        if desk.clock.now() - began > TURN:
            await desk.db.run(queue.give_back, slot, [rest.id for rest in jobs[number:]])
            return slot
        if _in_the_way(job, busy):
            await desk.db.run(queue.give_back, slot, [job.id], desk.clock.now() + SOON)
            continue
        slot = await desk.db.run(_send, slot, job.id, desk.clock.now())
        desk.lease.until = slot.lease_until
        result = await _call(desk, job)
        await desk.db.run(record, desk, slot, result, desk.clock.now())
        busy |= _still_written(result)
        if result.blocked:
            await desk.db.run(queue.give_back, slot, [rest.id for rest in jobs[number + 1 :]])
            return slot
    return slot


def _in_the_way(job: Job, busy: Collection[str]) -> bool:
    """May this call come across one of this turn whose end is open? A job on lists runs on while others are written;
    what replaces a record would undo it, or be undone."""
    return job.side == Side.audience and any(f"{job.kind in REPLACING} {row.member}" in busy for row in job.steps)


def _still_written(result: Result) -> set[str]:
    """The people to whom a call of the audience side may yet do something, for whom nothing is replaced any more this
    turn; and where it replaces them itself, for whom nothing else is written either."""
    open_ends = [isinstance(one, (Accepted, Unknown)) for one in result.outcomes]
    if result.job.kind in OF_ROWS:  # they are known by their addresses only, and a write meets what it finds
        return set()
    who = [row.member for row, is_open in zip(result.job.steps, open_ends, strict=True) if is_open]
    if result.job.side != Side.audience:
        return set()
    also = [False] if result.job.kind in REPLACING else []
    return {f"{replaces} {one}" for one in who for replaces in (True, *also)}


async def look(desk: Desk, slot: Slot, job: Job) -> None:
    """Look what became of a call that was accepted or never answered."""
    result = await _call(desk, job, looking=True)
    await desk.db.run(record, desk, slot, result, desk.clock.now())


def _send(tx: Connection, slot: Slot, job_id: str, now: Instant) -> Slot:
    """No call without enough lease left for it to end in."""
    if slot.lease_until - now < 2 * CALL_TIMEOUT:
        slot = queue.renew(tx, slot, now, LEASE)
    queue.send(tx, slot, job_id, now)
    return slot


async def _call(desk: Desk, job: Job, looking: bool = False) -> Result:
    """Every way a call can end, as outcomes. What nobody foresaw is unknown, never done."""
    side = desk.crm if job.side == Side.crm else desk.audience
    call = _as_call(job)
    try:
        outcomes = tuple(await (side.look(call) if looking else side.write(call)))
    except Blocked as problem:
        return _all(job, (Unknown if looking else Retry)(HOURLY, problem.reason), problem.reason)
    except Unanswered as problem:
        return _all(job, Unknown(problem.retry_after or LOOK_AFTER[Side(job.side)], str(problem)))
    except Transient as problem:
        return _all(job, _still(job, problem.retry_after, str(problem), looking))
    except Permanent as problem:
        return _all(job, _refused(problem, looking))
    except Exception as failure:
        return _all(job, Unknown(HOURLY, type(failure).__name__))
    if len(outcomes) != len(job.steps):
        return _all(job, Unknown(LOOK_AFTER[Side(job.side)], "outcomes do not match the steps"))
    return Result(job, outcomes)


def _refused(problem: Permanent, looking: bool) -> Outcome:
    """What was to be changed is gone: the change is not there either, and the next decision reads what is."""
    if not looking:
        return Dead(problem.detail, problem.status)
    return Retry(LONGEST_PAUSE, str(problem)) if isinstance(problem, Missing) else Unknown(HOURLY, str(problem))


def _still(job: Job, retry_after: float | None, why: str, looking: bool) -> Outcome:
    """A look that failed leaves the call's fate as it was; a write that was refused for now did not happen."""
    tries = max((step.tries for step in job.steps), default=0)
    after = retry_after if retry_after is not None else pause_after(tries)
    return Unknown(max(after, 5.0), why) if looking else Retry(after, why)


def _all(job: Job, outcome: Outcome, blocked: str | None = None) -> Result:
    return Result(job, tuple(outcome for _ in job.steps), blocked)


def _as_call(job: Job) -> Call:
    steps = tuple(row.as_step() for row in job.steps)
    return Call(
        id=job.id, side=Side(job.side), kind=job.kind, steps=steps, vendor_id=job.vendor_id, sent_at=job.sent_at
    )


# --- T3 --------------------------------------------------------------------------------------------------------------


def record(tx: Connection, desk: Desk, slot: Slot, result: Result, now: Instant) -> None:
    """Outcomes, seen and journal of one job, and a mark to look at its parties again."""
    queue.guard(tx, slot)
    if result.job.kind in OF_ROWS:
        imported.settle(tx, desk, slot, result.job, result.outcomes, now)
    else:
        _record(tx, desk, slot, result, now)
    if result.blocked:
        platform = desk.route.crm if result.job.side == Side.crm else desk.route.audience
        block(tx, desk, platform, result.blocked)
        queue.hold_steps(tx, slot, "blocked", side=result.job.side)


def _record(tx: Connection, desk: Desk, slot: Slot, result: Result, now: Instant) -> None:
    found = readings.load(tx, desk.customer_id, sorted({row.party_id for row in result.job.steps}))
    tally = _Tally(tx, desk, now, dict(found), large=len(result.job.steps) > MANY)
    for row, outcome in zip(result.job.steps, result.outcomes, strict=True):
        tally.take(row, outcome)
    tally.parties |= written.keep(tx, desk, tally.meant, tally.parties, now)
    readings.save(tx, desk.customer_id, tally.parties.values())
    changed = [party for key, party in tally.parties.items() if party != found[key]]
    past.settled(tx, desk, changed, tally.ended, now)
    tally.settle(slot, result.job)
    custody.given_up(tx, desk, result.job.steps, now)
    journal.append(tx, desk.customer_id, [*tally.lines, *written.lines(tally.meant, now)])
    queue.put(tx, desk.customer_id, [(party_id, Lane.changes, now) for party_id in sorted(found)], now)


def block(tx: Connection, desk: Desk, platform: str, reason: str) -> None:
    """The connection waits for its owner, who is told once."""
    if customers.block(tx, desk.customer_id, platform, reason):
        telemetry.report(Event.blocked, desk.customer_id, platform=platform, reason=reason)
        raise_alert(tx, desk.customer_id, Kind.connection_blocked, platform, {"reason": reason}, desk.clock.now())


class _Tally:
    """The steps of one job, sorted by how they ended."""

    def __init__(self, tx: Connection, desk: Desk, now: Instant, parties: dict[str, Party], large: bool) -> None:
        self.tx, self.desk, self.now, self.parties, self.large = tx, desk, now, parties, large
        self.done: list[int] = []
        self.again: dict[int, Instant] = {}
        self.dead: list[int] = []
        self.look_at: list[Instant] = []
        self.unknown = False
        self.vendor_id: str | None = None
        self.lines: list[tuple[Instant, str | None, str, dict[str, Any]]] = []
        self.ended: list[dict[str, Any]] = []
        self.meant: list[tuple[StepRow, Outcome]] = []

    def take(self, row: StepRow, outcome: Outcome) -> None:
        step, outcome = row.as_step(), self._meant(row, outcome)
        self.meant.append((row, outcome))
        self._line(row, outcome)
        if isinstance(outcome, (Done, Nothing, Dead)) or (row.kind == "submit" and not isinstance(outcome, Retry)):
            self.ended.append({"party": row.party_id, "side": row.side, "target": row.target})
        match outcome:
            case Done(answer):
                before = self._party(row)
                settled = settle(before, step, answer)
                self._keep(moved(self.tx, self.desk, row, before, settled, self.now) if self.large else settled)
                self._created(row)
                self._raced(row, answer)
                self.done.append(row.id)
            case Nothing(answer):
                # At a second try it may have been our first one: its answer is all that was lost then.
                party = self._party(row)
                self._keep(settle(party, step, answer) if row.tries else found_so(party, step, answer))
                self.done.append(row.id)
            case Accepted() if row.kind == "submit":
                self._keep(submitted(self._party(row), step, "waiting", self.now))
                self.done.append(row.id)
            case Accepted(vendor_id, look_after):
                self.vendor_id = vendor_id or self.vendor_id
                self.look_at.append(self.now + look_after)
            case Unknown(look_after):
                self._unknown(row, step, look_after)
            case Retry(after):
                # Whatever kept it from happening may have changed what it would change: read again before deciding
                # again.
                self._keep(outdated(self._party(row), step.side, row.member or ""))
                after = max(after, slower(row.tries))
                self.again[row.id] = self.now + self.desk.chance.uniform(after, after + min(after / 2, LONGEST_JITTER))
            case Dead():
                self._bury(row, step, outcome)

    def _meant(self, row: StepRow, outcome: Outcome) -> Outcome:
        """What an outcome comes to for this very step."""
        if isinstance(outcome, Done) and row.kind == KIND:
            party, outcome = strangers.arrived(self.tx, self.desk, row, self._party(row), outcome, self.now)
            self._keep(party)
        if isinstance(outcome, Dead) and outcome.status == 409 and custody.is_carried(self.tx, self.desk, row):
            outcome = Retry(SLOW, outcome.reason)  # whoever has the address may let go of it; for a day there is time
        if isinstance(outcome, Dead) and self._never_dies(row, outcome):
            tries, status = row.tries + 1, outcome.status
            telemetry.report(Event.trouble, self.desk.customer_id, kind=row.kind, status=status, tries=tries)
            said = {"kind": row.kind, "status": status, "tries": tries}
            raise_alert(self.tx, self.desk.customer_id, Kind.optout_refused, str(row.side), said, self.now)
            return Retry(HOURLY, outcome.reason)
        if isinstance(outcome, Retry) and row.kind in CREATING:
            self._creation_again(row)
        if isinstance(outcome, Retry) and self._is_enough(row, outcome):
            return Dead(f"gave up after {row.tries + 1} tries: {outcome.reason}")
        return outcome

    def _never_dies(self, row: StepRow, outcome: Dead) -> bool:
        """An opt-out that is refused goes on, whatever else of its record is in the way; but nobody is mailed who is
        not there."""
        return row.lane == Lane.consent and not (row.side == Side.audience and outcome.status == 404)

    def _creation_again(self, row: StepRow) -> None:
        """A creation that did not happen frees its person; the next decision makes it anew from what is so then."""
        self._keep(withdrawn(self._party(row), row.as_step()))
        submissions.withdraw(self.tx, self.desk.customer_id, row.member or "")

    def _is_enough(self, row: StepRow, outcome: Retry) -> bool:
        """Consent never dies. What the vendor never answered is not counted."""
        return row.lane != Lane.consent and is_spent(row, outcome.after, self.now)

    def _unknown(self, row: StepRow, step: Step, look_after: float) -> None:
        if row.kind in CREATING:
            self._keep(submitted(self._party(row), step, "unknown", self.now))
            submissions.set_state(self.tx, self.desk.customer_id, row.member or "", "unknown")
            confirm.look_soon(self.tx, self.desk, self.now)
        if row.kind == "submit":  # nothing shows before the batch has run: confirm.py looks then
            self.done.append(row.id)
            return
        self.unknown = True
        self.look_at.append(self.now + look_after)

    def _bury(self, row: StepRow, step: Step, outcome: Dead) -> None:
        self._keep(refused(self._party(row), step))
        if row.kind in CREATING:
            submissions.withdraw(self.tx, self.desk.customer_id, row.member or "")
        self.dead.append(row.id)
        if not goes_in_parts(step, outcome.status):
            letters.write(self.tx, self.desk, row, outcome, self.now)

    def settle(self, slot: Slot, job: Job) -> None:
        state: State = "unknown" if self.unknown else "accepted" if self.look_at else "done"
        queue.settle(
            self.tx,
            slot,
            job.id,
            state,
            self.now,
            vendor_id=self.vendor_id,
            look_at=min(self.look_at, default=None),
            done=self.done,
            again=self.again,
            dead=self.dead,
        )

    def _party(self, row: StepRow) -> Party:
        return self.parties[row.party_id]

    def _created(self, row: StepRow) -> None:
        """A direct creation is confirmed by its own answer; an import only by the reading that shows it."""
        if row.kind == "create":
            submissions.set_state(self.tx, self.desk.customer_id, row.member or "", "resolved")

    def _keep(self, party: Party) -> None:
        self.parties[party.party_id] = party

    def _raced(self, row: StepRow, answer: Mapping[str, Any]) -> None:
        """An opt-out that fell between our reading of a record and our replacing it was found."""
        if raced := answer.get("raced"):
            said = {"record": row.member, "written": bool(raced.get("written"))}
            self.lines.append((self.now, row.party_id, journal.RACED, said))

    def _line(self, row: StepRow, outcome: Outcome) -> None:
        why = getattr(outcome, "reason", "")
        ended = {"step": row.kind, "side": row.side, "record": row.member, "outcome": type(outcome).__name__.lower()}
        self.lines.append((self.now, row.party_id, "outcome", ended | ({"why": why} if why else {})))
