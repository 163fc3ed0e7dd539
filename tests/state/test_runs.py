"""Runs: which party belongs to which, when one ends, and what was written in it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine

from keepstep import queue
from keepstep.model.change import Lane, a_step
from keepstep.model.party import Party
from keepstep.queue import Slot
from keepstep.state import brake, customers, readings, runs
from keepstep.state.brake import Inferred
from keepstep.state.runs import Written
from keepstep.wiring import undo

NOW = 1_795_000_000.0


@pytest.fixture
def tx(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as open_one:
        customers.add(open_one, "c", {}, 0.0)
        yield open_one


@pytest.fixture
def slot(tx: Connection) -> Slot:
    found = queue.claim(tx, "me", NOW, 60.0, "c")
    assert found is not None
    return found


def a_write(run: str, party: str = "p", **more: str) -> Written:
    payload = {"list_id": "L1"}
    return Written(
        run=run, at=NOW, party_id=party, member="a", side="crm", kind="add_tag", what="L1", payload=payload, **more
    )


def states(tx: Connection) -> dict[str, str]:
    return {one.id: one.state for one in runs.every(tx, "c")}


def test_a_run_has_a_name_that_can_be_said_and_they_are_counted_by_the_day(tx: Connection) -> None:
    names = [runs.begin(tx, "c", kind, ["p"], None, NOW) for kind in ("plan", "brake", "plan")]
    assert names == ["plan-20261118-1", "brake-20261118-1", "plan-20261118-2"]
    assert runs.begin(tx, "d", "plan", [], {"checksum": "x"}, NOW) == "plan-20261118-1"
    found = runs.get(tx, "d", "plan-20261118-1")
    assert found is not None and (found.kind, found.state, found.doc) == ("plan", "open", {"checksum": "x"})
    assert runs.get(tx, "c", "plan-20261118-9") is None
    assert runs.of_parties(tx, "c", ["p", "q"]) == {"p": "plan-20261118-2"}


def test_a_party_is_of_its_run_until_it_has_neither_a_step_nor_a_mark(tx: Connection, slot: Slot) -> None:
    run = runs.begin(tx, "c", "plan", ["p", "q", "r"], None, NOW)
    queue.replace_steps(tx, slot, "p", [a_step("p", "a", "note", {"act": "1"})], NOW)
    queue.put(tx, "c", [("q", Lane.changes, NOW + 900.0), ("r", Lane.sweep, NOW + 86_400.0)], NOW)
    runs.end(tx, "c", NOW)
    assert runs.parties_of(tx, "c", run) == ["p", "q"], "who is looked at again in a day rests"
    queue.replace_steps(tx, slot, "p", [], NOW)
    queue.forget(tx, slot, queue.take(tx, slot, NOW + 1000.0))
    assert states(tx) == {run: "open"}
    runs.end(tx, "c", NOW + 1000.0)
    assert (runs.parties_of(tx, "c", run), states(tx)) == ([], {run: "ended"})
    runs.end(tx, "c", NOW + 1000.0)


def test_a_run_without_a_party_ends_at_once_and_an_undone_one_stays_undone(tx: Connection) -> None:
    empty, undone = runs.begin(tx, "c", "undo", [], None, NOW), runs.begin(tx, "c", "plan", ["p"], None, NOW)
    runs.set_state(tx, "c", undone, "undone", {"not_sent": 3})
    runs.end(tx, "c", NOW)
    assert states(tx) == {empty: "ended", undone: "undone"}
    found = runs.get(tx, "c", undone)
    assert found is not None and found.doc == {"not_sent": 3}


def test_what_was_written_is_told_in_its_order_and_marked(tx: Connection) -> None:
    runs.remember(tx, "c", [a_write("r1"), a_write("r2"), a_write("r1", "q")])
    runs.remember(tx, "c", [])
    first, second = runs.written_in(tx, "c", "r1")
    assert (first.party_id, second.party_id, first.state, first.answer) == ("p", "q", "kept", None)
    runs.mark(tx, "c", [second.id], "stays", "label_gone")
    assert [(one.state, one.why) for one in runs.written_in(tx, "c", "r1")] == [("kept", None), ("stays", "label_gone")]
    assert runs.counts(tx, "c") == {"r1": {"kept": 1, "stays": 1}, "r2": {"kept": 1}}
    assert runs.written_in(tx, "d", "r1") == []


@pytest.mark.parametrize("other", [None, "plan"])
def test_what_is_of_a_party_goes_along_where_it_becomes_part_of_another(tx: Connection, other: str | None) -> None:
    old = runs.begin(tx, "c", "plan", ["gone"], None, NOW)
    new = runs.begin(tx, "c", other, ["into"], None, NOW) if other else old
    runs.remember(tx, "c", [a_write(old, "gone")])
    readings.save(tx, "c", [Party(party_id="into"), Party(party_id="gone", apart=("L1",))])
    assert readings.unite(tx, "c", ["into", "gone"], NOW).apart == ("L1",)
    assert runs.of_parties(tx, "c", ["gone", "into"]) == {"into": new}
    assert [one.party_id for one in runs.written_in(tx, "c", old)] == ["into"]


def test_what_the_brake_knows_of_a_party_keeps_its_age_where_that_becomes_part_of_another(tx: Connection) -> None:
    for name in ("into", "gone"):
        readings.save(tx, "c", [Party(party_id=name, reread=name == "gone")])
    both = Inferred("gone", "crm", "consent:1", "f1", "set_consent", "bounce", NOW, "held")
    here = Inferred("into", "crm", "consent:2", "f2", "set_consent", "bounce", NOW + 1, "approved")
    brake.put(tx, "c", [both, replace(both, target="consent:2", fingerprint="f2"), here])
    assert readings.unite(tx, "c", ["into", "gone"], NOW).reread
    found = brake.of_parties(tx, "c", ["into", "gone"]).values()
    assert sorted(found, key=lambda one: one.target) == [replace(both, party_id="into"), here]


def test_an_approved_opt_out_goes_out_though_its_run_is_undone(tx: Connection, slot: Slot) -> None:
    name = runs.begin(tx, "c", "brake", ["p"], None, NOW)
    tag = Inferred("p", "crm", "tag:1", "f1", "remove_tag", "absence", NOW, "approved")
    out = Inferred("p", "crm", "consent:1", "f2", "set_consent", "bounce", NOW, "approved")
    brake.put(tx, "c", [tag, out])
    queue.replace_steps(tx, slot, "p", [a_step("p", "a", "remove_tag", {}, target="tag:1")], NOW)
    run = runs.get(tx, "c", name)
    assert run is not None
    undo._drop(tx, "c", run, queue.steps_of(tx, "c", ["p"]), NOW + 5)
    assert {one.kind: one.state for one in brake.of_parties(tx, "c", ["p"]).values()} == {
        "remove_tag": "held",
        "set_consent": "approved",
    }
