"""Jobs of many thousand steps: filled beyond what a turn looks at, cut by weight, halved, and looked at before they
go."""

from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import Connection, Engine

from keepstep import queue
from keepstep.model.change import Lane, Step
from keepstep.model.contact import Side
from keepstep.queue import Job, Scale, Slot
from keepstep.state import customers

NOW = 1_000_000.0
SIZES = {"import": 1000}
new_ids = count(1)


@pytest.fixture
def tx(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as open_one:
        customers.add(open_one, "c", {}, NOW)
        yield open_one


@pytest.fixture
def held(tx: Connection) -> Slot:
    found = queue.claim(tx, "w", NOW, 30)
    assert found is not None
    return found


def put(tx: Connection, held: Slot, number: int, group: str = "g", kind: str = "import") -> None:
    """So many steps, each a party of its own."""
    some = {
        f"{group}{n:04d}": [
            Step(
                party_id=f"{group}{n:04d}",
                side=Side.audience,
                kind=kind,
                target="row",
                lane=Lane.bulk,
                group=group,
                payload={"weight": 10},
            )
        ]
        for n in range(number)
    }
    queue.replace_all_steps(tx, held, some, NOW)


def form(tx: Connection, held: Slot, limit: int = 20, most: int | None = None) -> list[Job]:
    scales = {} if most is None else {"import": Scale(most, lambda row: int(row.payload["weight"]))}
    return queue.form(tx, held, NOW, lambda _side, kind: SIZES.get(kind, 5), lambda: f"j{next(new_ids)}", limit, scales)


def test_a_large_job_is_filled_beyond_what_is_looked_at(tx: Connection, held: Slot) -> None:
    put(tx, held, 300)
    assert [len(job.steps) for job in form(tx, held)] == [300]


def test_one_large_job_is_formed_a_turn_and_the_others_wait_whole(tx: Connection, held: Slot) -> None:
    put(tx, held, 30, "g")
    put(tx, held, 30, "h")
    put(tx, held, 7, "k", "join")
    assert [(job.group, len(job.steps)) for job in form(tx, held, limit=50)] == [("g", 30)]
    assert [(job.group, len(job.steps)) for job in form(tx, held, limit=50)] == [("k", 5), ("k", 2), ("h", 30)]


def test_steps_are_cut_by_their_weight_together(tx: Connection, held: Slot) -> None:
    put(tx, held, 30)
    assert [len(form(tx, held, most=120)[0].steps) for _ in range(3)] == [12, 12, 6]


def test_a_step_that_is_too_heavy_by_itself_goes_alone(tx: Connection, held: Slot) -> None:
    put(tx, held, 2)
    assert [len(form(tx, held, most=5)[0].steps) for _ in range(2)] == [1, 1]


def test_small_jobs_are_cut_by_weight_as_well(tx: Connection, held: Slot) -> None:
    put(tx, held, 5)
    assert [len(job.steps) for job in form(tx, held, limit=2000, most=20)] == [2, 2, 1]


def test_a_job_that_was_refused_is_halved(tx: Connection, held: Slot) -> None:
    put(tx, held, 5)
    [job] = form(tx, held)
    queue.send(tx, held, job.id, NOW)
    ids = [row.id for row in job.steps]
    queue.part(tx, held, job.id, {"a": ids[:2], "b": ids[2:]}, NOW)
    assert queue.job_states(tx, "c") == {}
    halves = [form(tx, held)[0] for _ in range(2)]
    assert [(one.group, [row.tries for row in one.steps]) for one in halves] == [("a", [1, 1]), ("b", [1, 1, 1])]


def test_what_is_taken_out_of_a_job_is_held_and_a_job_without_steps_is_none(tx: Connection, held: Slot) -> None:
    put(tx, held, 3)
    [job] = form(tx, held)
    ids = [row.id for row in job.steps]
    queue.take_out(tx, held, job.id, ids[:1], "filling", NOW)
    assert [(row.hold, row.job_id) for row in queue.unsent(tx, "c")] == [("filling", None)]
    assert list(queue.job_states(tx, "c")) == [job.id]
    queue.take_out(tx, held, job.id, ids[1:], "filling", NOW)
    assert queue.job_states(tx, "c") == {} and len(queue.unsent(tx, "c")) == 3
