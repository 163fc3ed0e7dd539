"""How steps of feeds' rows ended: recorded in bulk, beside each row; the journal counts.

A job of 40,000 rows is no forty thousand parties: nothing is loaded but what an import did to each row before.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.canonical import email
from keepstep.model.change import Accepted, Dead, Done, Lane, Nothing, Outcome, Retry, Unknown
from keepstep.model.feed import State as RowState
from keepstep.model.feed_decide import DROPPED, IMPORT, LEFT, LIST_GONE, NOT_TRIED, OPTED_OUT
from keepstep.model.instant import Instant
from keepstep.queue import Job, Slot, State, StepRow
from keepstep.state import feeds, journal
from keepstep.state.feeds import FeedRow, Settled
from keepstep.submit import letters
from keepstep.submit.patience import is_spent, slower

_NO_TRY = (*NOT_TRIED, DROPPED, LIST_GONE)
# A row alone that its job's refusal was about; of a larger job nobody knows whose.
ALONE = 1
# A job that nothing was heard of yet.
FIRST = ("intent", "sent")
Lists = Mapping[str, Mapping[str, Any]]
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class _Sorted:
    """The steps of one job by how they ended: rows as they are now, steps to be tried again, deleted, buried."""

    settled: list[Settled] = field(default_factory=list)
    again: dict[int, Instant] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)
    dead: list[tuple[StepRow, Dead]] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    unknown_fields: set[str] = field(default_factory=set)
    lines: list[journal.Line] = field(default_factory=list)


def settle(tx: Connection, desk: Desk, slot: Slot, job: Job, outcomes: Sequence[Outcome], now: Instant) -> None:
    """Outcomes of one job of rows."""
    queue.guard(tx, slot)
    if _is_open(outcomes):
        _goes_on(tx, desk, slot, job, outcomes, now)
        return
    if len(job.steps) > ALONE and all(isinstance(one, Dead) for one in outcomes):
        _halve(tx, desk, slot, job, outcomes[0], now)
        return
    known = (
        {} if _was_not_made(job, outcomes) else feeds.load(tx, desk.customer_id, [row.party_id for row in job.steps])
    )
    ended = _Sorted()
    for row, outcome in zip(job.steps, outcomes, strict=True):
        _take(job, known.get(row.party_id), row, _meant(row, outcome, now), ended, now)
    feeds.set_states(tx, desk.customer_id, ended.settled, now)
    for row, dead in ended.dead:
        letters.write(tx, desk, row, dead, now)
    done = [*ended.done, *(row.id for row, _ in ended.dead)]
    tried = not any(isinstance(one, Retry) and one.reason in NOT_TRIED for one in outcomes)
    queue.settle(tx, slot, job.id, "done", now, done=done, again=ended.again, tried=tried)
    queue.put(tx, desk.customer_id, [(party, Lane.bulk, now) for party in ended.marks], now)
    journal.append(tx, desk.customer_id, _lines(desk, job, ended, now))


def _is_open(outcomes: Sequence[Outcome]) -> bool:
    """Whoever follows an import knows of all its rows or of none."""
    return all(isinstance(one, (Accepted, Unknown)) for one in outcomes)


def _was_not_made(job: Job, outcomes: Sequence[Outcome]) -> bool:
    """A call that was not made changes nothing beside its rows."""
    return job.state in FIRST and all(isinstance(one, Retry) and one.reason != DROPPED for one in outcomes)


def _goes_on(tx: Connection, desk: Desk, slot: Slot, job: Job, outcomes: Sequence[Outcome], now: Instant) -> None:
    first = outcomes[0]
    assert isinstance(first, (Accepted, Unknown))
    if job.state in FIRST:
        sent = [_of(row, "sent", _reason(row)) for row in job.steps]
        feeds.set_states(tx, desk.customer_id, sent, now)
        journal.append(tx, desk.customer_id, [(now, None, "rows_sent", {**_about(desk, job), "rows": len(sent)})])
    state: State = "unknown" if isinstance(first, Unknown) else "accepted"
    vendor_id = first.vendor_id if isinstance(first, Accepted) else None
    queue.settle(tx, slot, job.id, state, now, vendor_id=vendor_id, look_at=now + first.look_after)


def _halve(tx: Connection, desk: Desk, slot: Slot, job: Job, refused: Outcome, now: Instant) -> None:
    """A job that is refused as a whole is tried in halves, until it is known which row nobody takes."""
    ids, half = [row.id for row in job.steps], len(job.steps) // 2
    parts = {f"{job.id}:{number}": some for number, some in enumerate((ids[:half], ids[half:]))}
    queue.part(tx, slot, job.id, parts, now)
    said = {**_about(desk, job), "rows": len(ids), "why": getattr(refused, "reason", "")}
    journal.append(tx, desk.customer_id, [(now, None, "rows_halved", said)])


def _meant(row: StepRow, outcome: Outcome, now: Instant) -> Outcome:
    """After a day of tries somebody is told; not of what waits for its owner, or was not tried."""
    if isinstance(outcome, Retry) and outcome.reason not in _NO_TRY and is_spent(row, outcome.after, now):
        return Dead(f"gave up after {row.tries + 1} tries: {outcome.reason}")
    return outcome


def _was_no_try(outcome: Outcome) -> bool:
    return isinstance(outcome, Retry) and outcome.reason in NOT_TRIED


def _take(job: Job, known: FeedRow | None, row: StepRow, outcome: Outcome, ended: _Sorted, now: Instant) -> None:
    ended.counts[_word(outcome)] += 1
    lists: Lists = known.lists if known else {}
    match outcome:
        case Done(answer):
            ended.unknown_fields.update(answer.get("unknown_fields", ()))
            raced = answer.get("raced")
            ended.lines += (
                [(now, row.party_id, journal.RACED, {"written": bool(raced.get("written"))})] if raced else []
            )
            end: tuple[RowState, str | None] = ("left_out", OPTED_OUT) if raced else ("done", _reason(row, answer))
            _settle(ended, row, known, *end, _put(lists, row, "on", now))
        case Nothing(answer):
            left = [str(one) for one in answer.get(LEFT, ())]
            _settle(ended, row, known, "left_out", str(answer.get("left_out", LEFT)), _put(lists, row, LEFT, now, left))
            ended.marks += [row.party_id] if left else []
        case Retry(after, reason) if reason == DROPPED and row.kind == IMPORT:
            sent_at = job.sent_at or now
            _settle(ended, row, known, "waiting", None, _put(lists, row, "missing", sent_at))
            ended.marks.append(row.party_id)
        case Retry(after) | Unknown(after) | Accepted(_, after):
            ended.again[row.id] = now + max(after, 0.0 if _was_no_try(outcome) else slower(row.tries))
            if known is not None and known.state == "sent":  # while it was under way nothing marked it
                ended.settled.append(_of(row, "waiting", _reason(row)))
                ended.marks.append(row.party_id)
        case Dead():
            ended.dead.append((row, outcome))
            ended.settled.append(_of(row, "dead", outcome.reason))
    if known is not None and known.version != row.payload["version"]:
        ended.marks.append(row.party_id)


def _settle(
    ended: _Sorted, row: StepRow, known: FeedRow | None, state: RowState, reason: str | None, lists: Lists
) -> None:
    ended.done.append(row.id)
    if known is not None:
        ended.settled.append(replace(_of(row, state, reason), lists=lists))


def _of(row: StepRow, state: RowState, reason: str | None) -> Settled:
    return Settled(party_id=row.party_id, version=str(row.payload["version"]), state=state, reason=reason)


def _put(lists: Lists, row: StepRow, state: str, at: Instant, only: Sequence[str] | None = None) -> Lists:
    """What is known of a row's lists after an import: where it was put, and that what it was on before has this
    version."""
    payload = row.payload
    new = {"version": payload["version"], "at": at, "state": state, "address": email(payload["email"])}
    found = {key: dict(each) for key, each in lists.items()}
    found |= dict.fromkeys(payload["list_ids"] if only is None else only, new)
    kept = [one for one in payload["kept"] if state == "on" and one in found and one not in payload["list_ids"]]
    return found | {one: {**found[one], "version": payload["version"]} for one in kept}


def _reason(row: StepRow, answer: Mapping[str, Any] = NOTHING) -> str | None:
    """What of a row does not travel."""
    return (
        ",".join([*row.payload.get("notes", ()), *(["unknown_field"] if answer.get("unknown_fields") else [])]) or None
    )


def _word(outcome: Outcome) -> str:
    match outcome:
        case Nothing(answer):
            return str(answer.get("left_out", LEFT))
        case Retry(_, reason):
            return "dropped" if reason == DROPPED else "again"
    return type(outcome).__name__.lower()


def _about(desk: Desk, job: Job) -> dict[str, Any]:
    """What a job is about: its feed, the lists, and by what permission."""
    payload = job.steps[0].payload
    feed = desk.route.feeds.get(str(payload["feed"]))
    evidence = {"evidence": feed.permission_evidence} if feed else {}
    return {"feed": payload["feed"], "lists": payload["list_ids"], "way": job.kind, "call": job.id, **evidence}


def _lines(desk: Desk, job: Job, ended: _Sorted, now: Instant) -> list[journal.Line]:
    lines: list[journal.Line] = [
        *ended.lines,
        (now, None, "rows_settled", {**_about(desk, job), "outcomes": dict(ended.counts)}),
    ]
    if ended.unknown_fields:
        said = {"feed": job.steps[0].payload["feed"], "fields": sorted(ended.unknown_fields)}
        lines.append((now, None, "unknown_field", said))
    return lines
