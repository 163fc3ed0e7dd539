"""Steps and jobs: what is decided, what is sent, what became of it."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from keepstep import queue
from keepstep.model.change import Lane, Step
from keepstep.model.contact import Side
from keepstep.queue import Job, Slot, StepRow
from keepstep.state import customers, parties

NOW = 1_000_000.0


@pytest.fixture
def held(engine: Engine) -> Slot:
    with engine.begin() as tx:
        customers.add(tx, "c", {}, NOW)
        found = queue.claim(tx, "w", NOW, 30)
    assert found is not None
    return found


@pytest.fixture
def tx(engine: Engine, held: Slot) -> Iterator[Connection]:
    """One transaction for the whole test: what matters here is the state, not who commits when."""
    with engine.begin() as open_one:
        yield open_one


@pytest.fixture(autouse=True)
def _ids() -> None:
    global new_ids
    new_ids = count(1)


new_ids = count(1)


def step(target: str, party: str = "p", **other: Any) -> Step:
    given = {"side": Side.audience, "kind": "join", "lane": Lane.changes, "group": "g", "payload": {"list": target}}
    return Step(party_id=party, target=target, **(given | other))


def decide(tx: Connection, held: Slot, *steps: Step, party: str = "p", now: float = NOW) -> None:
    queue.replace_steps(tx, held, party, steps, now)


def form(tx: Connection, held: Slot, now: float = NOW, size: int = 10, **other: int) -> list[Job]:
    return queue.form(tx, held, now, lambda side, kind: size, lambda: f"j{next(new_ids)}", **other)


def rows(tx: Connection, party: str = "p") -> list[StepRow]:
    return queue.steps_of(tx, "c", [party])


def targets(steps: Sequence[StepRow]) -> list[str]:
    return [row.target for row in steps]


def send_one(tx: Connection, held: Slot, *steps: Step) -> Job:
    decide(tx, held, *steps)
    (job,) = form(tx, held)
    queue.send(tx, held, job.id, NOW)
    return job


def test_a_decision_replaces_the_unsent_steps_of_its_party_only(tx: Connection, held: Slot) -> None:
    decide(tx, held, step("a"), step("b"))
    decide(tx, held, step("x", party="q"), party="q")
    decide(tx, held, step("b", payload={"list": "other"}), step("c"))
    assert [(row.target, row.payload) for row in rows(tx)] == [("b", {"list": "other"}), ("c", {"list": "c"})]
    assert targets(rows(tx, "q")) == ["x"]


def test_an_equal_step_keeps_its_age_tries_and_hold(tx: Connection, held: Slot) -> None:
    decide(tx, held, step("a"))
    (job,) = form(tx, held)
    queue.settle(tx, held, job.id, "done", NOW, again={job.steps[0].id: NOW + 60})
    queue.hold_steps(tx, held, "gate", side="audience")
    decide(tx, held, step("a", lane=Lane.consent), now=NOW + 9)
    (row,) = rows(tx)
    assert (row.since, row.due, row.tries, row.hold, row.lane) == (NOW, NOW + 60, 1, "gate", 0)


def test_what_came_as_a_change_stays_one_when_a_sweep_finds_it_too(tx: Connection, held: Slot) -> None:
    decide(tx, held, step("a", lane=Lane.changes))
    decide(tx, held, step("a", lane=Lane.sweep))
    assert [row.lane for row in rows(tx)] == [Lane.changes]


def test_a_changed_step_starts_anew(tx: Connection, held: Slot) -> None:
    decide(tx, held, step("a", hold="plan"))
    decide(tx, held, step("a", payload={"list": "z"}), now=NOW + 9)
    (row,) = rows(tx)
    assert (row.since, row.due, row.tries, row.hold) == (NOW + 9, NOW + 9, 0, None)


def test_a_released_hold_is_not_put_back_by_deciding_the_same_again(tx: Connection, held: Slot) -> None:
    decide(tx, held, step("a", hold="plan"))
    assert queue.let_go(tx, "c", "plan", NOW) == 1
    decide(tx, held, step("a", hold="plan"))
    assert [row.hold for row in rows(tx)] == [None]


def test_held_steps_are_not_sent_and_wake_nobody(tx: Connection, held: Slot) -> None:
    decide(tx, held, step("a", hold="brake"))
    assert form(tx, held) == []
    assert queue.release(tx, held, NOW) is None


def test_letting_go_names_side_or_steps_and_makes_them_due(tx: Connection, held: Slot) -> None:
    decide(tx, held, step("a"), step("b"), step("c", side=Side.crm))
    assert queue.hold_steps(tx, held, "blocked", side="audience") == 2
    assert queue.hold_steps(tx, held, "quota", ids=[row.id for row in rows(tx) if row.target == "c"]) == 1
    assert queue.let_go(tx, "c", "blocked", NOW + 5, side="crm") == 0
    assert queue.let_go(tx, "c", "blocked", NOW + 5, ids=[row.id for row in rows(tx) if row.target == "b"]) == 1
    assert queue.let_go(tx, "c", "blocked", NOW + 6) == 1
    assert [(row.hold, row.due) for row in rows(tx)] == [(None, NOW + 6), (None, NOW + 5), ("quota", NOW)]


def test_steps_of_one_side_kind_and_group_share_jobs_up_to_the_size(tx: Connection, held: Slot) -> None:
    decide(tx, held, *(step(f"{n}") for n in range(5)), step("x", group="h"), step("y", kind="leave"))
    jobs = form(tx, held, size=3)
    assert [(job.kind, job.group, targets(job.steps)) for job in jobs] == [
        ("join", "g", ["0", "1", "2"]),
        ("join", "g", ["3", "4"]),
        ("join", "h", ["x"]),
        ("leave", "g", ["y"]),
    ]
    assert form(tx, held) == []


def test_urgent_lanes_are_formed_first(tx: Connection, held: Slot) -> None:
    decide(tx, held, step("bulk", lane=Lane.bulk), step("out", kind="opt_out", lane=Lane.consent))
    assert [job.kind for job in form(tx, held)] == ["opt_out", "join"]


def test_forming_is_bounded_and_the_rest_is_due(tx: Connection, held: Slot) -> None:
    decide(tx, held, *(step(f"{n}") for n in range(5)))
    (job,) = form(tx, held, size=2, limit=2)
    assert len(job.steps) == 2
    queue.settle(tx, held, job.id, "accepted", NOW, look_at=NOW + 60)
    assert queue.release(tx, held, NOW) == NOW


def test_only_an_intent_can_be_sent_and_only_once(tx: Connection, held: Slot) -> None:
    job = send_one(tx, held, step("a"))
    with pytest.raises(ValueError, match="not an intent"):
        queue.send(tx, held, job.id, NOW)


def test_done_and_dead_steps_leave_and_so_does_their_job(tx: Connection, held: Slot) -> None:
    job = send_one(tx, held, step("a"), step("b"))
    queue.settle(tx, held, job.id, "done", NOW, done=[job.steps[0].id], dead=[job.steps[1].id])
    assert rows(tx) == []
    assert queue.unresolved(tx, held, NOW + 1e6) == []
    assert queue.release(tx, held, NOW) is None


def test_a_step_tried_again_is_unsent_and_due_later(tx: Connection, held: Slot) -> None:
    job = send_one(tx, held, step("a"))
    queue.settle(tx, held, job.id, "done", NOW, again={job.steps[0].id: NOW + 30})
    assert form(tx, held) == []
    assert queue.release(tx, held, NOW) == NOW + 30
    (again,) = form(tx, held, NOW + 30)
    assert again.steps[0].tries == 1


def test_a_job_is_not_done_while_a_step_of_it_is_unaccounted_for(tx: Connection, held: Slot) -> None:
    """Unknown is never success."""
    job = send_one(tx, held, step("a"), step("b"))
    with pytest.raises(ValueError, match="not accounted"):
        queue.settle(tx, held, job.id, "done", NOW, done=[job.steps[0].id])


def test_an_unknown_job_cannot_be_settled(tx: Connection, held: Slot) -> None:
    with pytest.raises(ValueError, match="no job"):
        queue.settle(tx, held, "nobody", "done", NOW)


def test_an_accepted_job_is_looked_at_when_it_is_time_with_its_steps(tx: Connection, held: Slot) -> None:
    job = send_one(tx, held, step("a"), step("b"))
    queue.settle(tx, held, job.id, "accepted", NOW, vendor_id="v7", look_at=NOW + 60, done=[job.steps[0].id])
    assert queue.unresolved(tx, held, NOW + 59) == []
    (found,) = queue.unresolved(tx, held, NOW + 60)
    assert (found.id, found.state, found.vendor_id, targets(found.steps)) == (job.id, "accepted", "v7", ["b"])
    queue.settle(tx, held, job.id, "accepted", NOW + 60, look_at=NOW + 120)
    assert queue.release(tx, held, NOW) == NOW + 120
    assert queue.unresolved(tx, held, NOW + 120)[0].vendor_id == "v7"


def test_what_was_intended_and_never_sent_is_decided_and_sent_again(tx: Connection, held: Slot) -> None:
    decide(tx, held, step("a"))
    form(tx, held)
    assert queue.unresolved(tx, held, NOW) == []
    assert [(row.job_id, row.tries) for row in rows(tx)] == [(None, 0)]
    assert len(form(tx, held)) == 1


def test_what_was_sent_and_never_answered_is_unknown_and_looked_at_later(tx: Connection, held: Slot) -> None:
    job = send_one(tx, held, step("a"))
    assert queue.unresolved(tx, held, NOW + 119) == []
    assert queue.release(tx, held, NOW + 119) == NOW + 120
    (found,) = queue.unresolved(tx, held, NOW + 120)
    assert (found.id, found.state, found.sent_at) == (job.id, "unknown", NOW)
    assert form(tx, held, NOW + 120) == []


def test_jobs_that_were_not_called_are_given_back_without_a_try(tx: Connection, held: Slot) -> None:
    decide(tx, held, step("a"), step("b", kind="leave"))
    one, two = form(tx, held)
    queue.give_back(tx, held, [one.id], NOW + 40)
    queue.give_back(tx, held, [two.id])
    assert [(row.job_id, row.tries, row.due) for row in rows(tx)] == [(None, 0, NOW + 40), (None, 0, NOW)]


def test_a_sent_job_cannot_be_given_back(tx: Connection, held: Slot) -> None:
    job = send_one(tx, held, step("a"))
    with pytest.raises(ValueError, match="not an intent"):
        queue.give_back(tx, held, [job.id])


def test_a_step_waits_while_a_job_for_its_target_is_unresolved(tx: Connection, held: Slot) -> None:
    job = send_one(tx, held, step("a"))
    queue.settle(tx, held, job.id, "unknown", NOW, look_at=NOW + 120)
    decide(tx, held, step("a", kind="leave"), step("b"))
    assert [targets(formed.steps) for formed in form(tx, held)] == [["b"]]
    assert queue.unresolved(tx, held, NOW) == []
    decide(tx, held, step("a", kind="leave"))
    assert queue.release(tx, held, NOW) == NOW + 120
    queue.settle(tx, held, job.id, "done", NOW, done=[job.steps[0].id])
    assert [formed.kind for formed in form(tx, held)] == ["leave"]


def test_the_same_target_of_another_party_or_side_does_not_wait(tx: Connection, held: Slot) -> None:
    send_one(tx, held, step("a"))
    decide(tx, held, step("a", party="q"), party="q")
    decide(tx, held, step("a", side=Side.crm))
    assert len(form(tx, held)) == 2


def test_a_consent_step_waits_for_no_job(tx: Connection, held: Slot) -> None:
    send_one(tx, held, step("a"))
    decide(tx, held, step("a", kind="opt_out", lane=Lane.consent))
    assert [formed.kind for formed in form(tx, held)] == ["opt_out"]


def test_a_write_that_is_under_way_is_not_decided_twice(tx: Connection, held: Slot) -> None:
    send_one(tx, held, step("a"))
    decide(tx, held, step("a"))
    assert [row.job_id is None for row in rows(tx)] == [False]


def test_a_newer_decision_stands_when_an_older_write_comes_back(tx: Connection, held: Slot) -> None:
    job = send_one(tx, held, step("a"))
    decide(tx, held, step("a", kind="leave"))
    queue.settle(tx, held, job.id, "done", NOW, again={job.steps[0].id: NOW})
    assert [(row.kind, row.job_id) for row in rows(tx)] == [("leave", None)]


def test_two_writes_of_one_target_that_both_come_back_leave_one(tx: Connection, held: Slot) -> None:
    first = send_one(tx, held, step("a"))
    second = send_one(tx, held, step("a", kind="opt_out", lane=Lane.consent))
    for job in (second, first):
        queue.settle(tx, held, job.id, "done", NOW, again={job.steps[0].id: NOW})
    assert [row.kind for row in rows(tx)] == ["opt_out"]


def test_the_backlog_counts_entries_by_lane_and_steps_by_hold(tx: Connection, held: Slot) -> None:
    send_one(tx, held, step("a"))
    decide(tx, held, step("b"), step("c", hold="brake"))
    queue.put(tx, "c", [("p", 0, NOW), ("q", 2, NOW), ("r", 2, NOW)], NOW - 7)
    assert queue.backlog(tx, "c") == {
        "entries": {0: (1, NOW - 7), 2: (2, NOW - 7)},
        "steps": {"": 1, "brake": 1},
        "in_jobs": 1,
    }


def test_a_merged_party_keeps_what_was_sent_and_forgets_what_was_not(tx: Connection, held: Slot) -> None:
    send_one(tx, held, step("a"))
    decide(tx, held, step("b"))
    queue.put(tx, "c", [("p", 1, NOW)], NOW)
    parties.merge(tx, "c", "p", "survivor")
    assert rows(tx) == []
    assert targets(rows(tx, "survivor")) == ["a"]
    assert queue.take(tx, held, NOW) == []
