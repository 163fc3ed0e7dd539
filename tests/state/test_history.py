"""What was kept of the past, and what is asked of it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, insert

from keepstep import queue
from keepstep.model.change import Lane, a_step
from keepstep.schema.tables import delivery
from keepstep.state import customers, deliveries, history, journal, parties, submissions
from keepstep.state.history import Past


@pytest.fixture
def tx(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as open_one:
        yield open_one


def past(at: float, party: str, kind: str = "decided", **more: str) -> Past:
    return Past(at=at, party_id=party, kind=kind, body={"n": at}, **more)


def test_the_last_row_of_a_party_is_none_of_its_readings(tx: Connection) -> None:
    history.append(tx, "c", [past(1, "p"), past(2, "p", "settled"), past(3, "q")])
    history.append(tx, "c", [past(4, "p", "reading", platform="crm", record_id="1")])
    history.append(tx, "d", [past(5, "p")])
    history.append(tx, "c", [])
    assert {key: row.at for key, row in history.latest(tx, "c", ["p", "q", "r"]).items()} == {"p": 2, "q": 3}


def test_the_rows_of_parties_until_a_moment_come_in_the_order_they_were_added(tx: Connection) -> None:
    reading = past(2, "q", "reading", platform="crm", record_id="1")
    history.append(tx, "c", [past(1, "p"), reading, past(2, "p"), past(3, "p")])
    assert history.of_party(tx, "c", ["p", "q"], 2) == [past(1, "p"), reading, past(2, "p")]


def test_what_a_party_holds_is_told_sorted(tx: Connection) -> None:
    rows = [("phone", "+1", "audience", "a"), ("email", "a@example.org", "crm", "1")]
    parties.set_custody(tx, "c", "p", rows)
    parties.set_custody(tx, "d", "p", rows[:1])
    assert parties.custody_of(tx, "c", ["p", "q"]) == {"p": sorted(rows), "q": []}


def test_steps_of_a_kind_are_found_sent_or_not(tx: Connection) -> None:
    customers.add(tx, "c", {}, 0.0)
    slot = queue.claim(tx, "me", 1.0, 60.0, "c")
    assert slot is not None
    steps = [a_step("p", "a", "set_email", {"value": "x"}), a_step("p", "a", "set_phone", {"value": "y"})]
    queue.put(tx, "c", [("p", Lane.changes, 1.0)], 1.0)
    queue.replace_steps(tx, slot, "p", steps, 1.0)
    assert [row.kind for row in queue.steps_of_kinds(tx, "c", ("set_email", "swap_email"))] == ["set_email"]
    assert queue.steps_of_kinds(tx, "d", ("set_email",)) == []


@pytest.mark.parametrize(
    ("state", "age", "stage"),
    [
        ("waiting", 86_399, "waiting"),
        ("waiting", 86_400, "stuck"),
        ("unknown", 259_199, "stuck"),
        ("unknown", 259_200, "review"),
        ("review", 10, "review"),
    ],
)
def test_how_long_a_submission_waits_in_words(state: str, age: float, stage: str) -> None:
    assert submissions.stage({"state": state, "since": 1000.0}, 1000.0 + age) == stage


def test_lines_of_a_kind_since_a_moment_and_of_a_side(tx: Connection) -> None:
    lines = [(at, "p", "outcome", {"side": side}) for at, side in ((1.0, "crm"), (2.0, "audience"), (3.0, "crm"))]
    journal.append(tx, "c", [*lines, (4.0, "p", "standing", None)])
    assert [row["at"] for row in journal.since(tx, "c", "outcome", 2.0)] == [2.0, 3.0]
    assert [row["at"] for row in journal.since(tx, "c", "outcome", 0.0, side="crm")] == [1.0, 3.0]
    assert [row["at"] for row in journal.since(tx, "c", "standing", 0.0)] == [4.0]
    assert journal.since(tx, "c", "standing", 0.0, side="crm") == []


def test_deliveries_are_counted_by_state(tx: Connection) -> None:
    row = {"customer_id": "c", "platform": "p", "received": 1.0, "headers": {}, "body": b""}
    tx.execute(insert(delivery), [row | {"id": f"{n}", "state": state} for n, state in enumerate("aab")])
    assert deliveries.counts(tx, "c") == {"a": 2, "b": 1}
    assert deliveries.counts(tx, "d") == {}
