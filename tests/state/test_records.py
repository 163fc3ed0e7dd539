"""Snapshots, the consent ledger, the journal, dead letters, submissions, deliveries, chores and labels."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from keepstep.schema.tables import snapshot
from keepstep.state import consent, dead_letters, journal, labels, marks, parties, snapshots, submissions
from keepstep.state.labels import Label
from keepstep.state.marks import Mark

NOW = 1_000_000.0


@pytest.fixture
def tx(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as open_one:
        yield open_one


def store(tx: Connection, *rows: tuple[str, dict[str, Any]], at: float = NOW, whole: bool = True) -> list[str]:
    return snapshots.store(tx, "c", "crm", [(record, body, at, whole) for record, body in rows])


def test_only_new_and_different_bodies_count_as_changed(tx: Connection) -> None:
    assert store(tx, ("1", {"a": 1, "b": [1, 2]}), ("2", {})) == ["1", "2"]
    assert store(tx, ("1", {"b": [1, 2], "a": 1}), ("2", {"a": None}), ("3", {})) == ["2", "3"]
    assert store(tx, ("1", {"b": [2, 1], "a": 1})) == ["1"]


def test_a_reading_replaces_the_one_before_even_if_nothing_changed(tx: Connection) -> None:
    store(tx, ("1", {"a": 1}))
    store(tx, ("1", {"a": 1}), at=NOW - 5, whole=False)
    assert snapshots.get(tx, "c", "crm", ["1", "2"]) == {"1": ({"a": 1}, NOW - 5, False)}
    assert tx.execute(select(snapshot.c.read_no)).scalar_one() == 2


def test_the_last_reading_of_a_page_counts(tx: Connection) -> None:
    assert store(tx, ("1", {"a": 1}), ("1", {"a": 2})) == ["1"]
    assert snapshots.get(tx, "c", "crm", ["1"])["1"][0] == {"a": 2}


def test_bodies_are_kept_raw(tx: Connection) -> None:
    body = {"z": 1.5, "a": "\x00 ünï 😀 \ud83d", "big": 2**60, "deep": [{"x": None}]}
    store(tx, ("1", body))
    found = snapshots.get(tx, "c", "crm", ["1"])["1"][0]
    assert list(found.items()) == list(body.items())


def test_snapshots_are_counted_paged_and_the_missed_ones_found(tx: Connection) -> None:
    store(tx, *((str(n), {}) for n in range(5)))
    store(tx, ("1", {}), ("3", {}), at=NOW + 10)
    assert snapshots.count(tx, "c", "crm") == 5
    assert snapshots.count(tx, "c", "audience") == 0
    assert snapshots.ids(tx, "c", "crm", after="1", limit=2) == ["2", "3"]
    assert snapshots.unread_since(tx, "c", "crm", NOW + 10) == ["0", "2", "4"]


def act(record: str, party: str = "p", **other: Any) -> dict[str, Any]:
    given = {"kind": "choice", "direction": "out", "source": "poll", "seen_at": NOW}
    return {"party_id": party, "platform": "audience", "record_id": record} | given | other


def test_acts_come_back_in_order_for_every_party_asked_for(tx: Connection) -> None:
    consent.append(tx, "c", [act("1"), act("1", direction="in", at=NOW, after=NOW - 9, before=NOW, evidence={"e": 1})])
    consent.append(tx, "other", [act("1")])
    found = consent.acts_of(tx, "c", ["p", "q"])
    assert [(row["direction"], row["at"], row["evidence"]) for row in found["p"]] == [
        ("out", None, None),
        ("in", NOW, {"e": 1}),
    ]
    assert found["q"] == []


def test_an_act_follows_its_record_into_another_party(tx: Connection) -> None:
    consent.append(tx, "c", [act("1"), act("2")])
    parties.set_alias(tx, "c", "audience", "1", "q", NOW)
    found = consent.acts_of(tx, "c", ["p", "q"])
    assert {party: [row["record_id"] for row in acts] for party, acts in found.items()} == {"p": ["2"], "q": ["1"]}


def test_acts_on_an_address_are_found_whoever_held_it(tx: Connection) -> None:
    consent.append(tx, "c", [act("1", address_hash="h"), act("2", "q", address_hash="h"), act("3", address_hash="i")])
    assert [row["record_id"] for row in consent.acts_on(tx, "c", "h")] == ["1", "2"]


def test_the_journal_of_a_party_holds_the_past_of_those_merged_into_it(tx: Connection) -> None:
    journal.append(
        tx, "c", [(NOW, "a", "first", {"n": 1}), (NOW + 1, "b", "second", None), (NOW + 1, None, "chore", {})]
    )
    journal.append(tx, "c", [(NOW + 2, "b", "merged", {"from": "a"}), (NOW + 3, "a", "merged", {"from": "b"})])
    parties.set_alias(tx, "c", "crm", "1", "b", NOW)
    kinds = [line["kind"] for line in journal.of_record(tx, "c", "crm", "1", until=NOW + 2)]
    assert kinds == ["first", "second", "merged"]
    assert journal.of_record(tx, "c", "crm", "2") == []
    assert [line["kind"] for line in journal.latest(tx, "c", limit=2)] == ["merged", "merged"]
    assert [line["at"] for line in journal.latest(tx, "c", ["second", "first"])] == [NOW + 1, NOW]


def test_a_dead_letter_is_closed_once(tx: Connection) -> None:
    dead_letters.add(tx, "c", "d", NOW, side="crm", kind="note", reason="no such tag", payload={"a": 1}, tries=2)
    letter = dead_letters.get(tx, "c", "d")
    assert letter is not None
    assert (letter["payload"], letter["answer"], letter["state"], letter["tries"]) == ({"a": 1}, None, "open", 2)
    assert dead_letters.get(tx, "other", "d") is None
    assert dead_letters.count(tx, "c") == 1
    assert [dead_letters.resolve(tx, "c", "d", one, NOW) for one in ("replayed", "discarded")] == [
        True,
        False,
    ]
    assert dead_letters.of_customer(tx, "c") == []
    assert [item["state"] for item in dead_letters.of_customer(tx, "c", None)] == ["replayed"]


def test_a_person_is_created_by_one_submission_at_a_time(tx: Connection) -> None:
    def submit(payload: int) -> bool:
        return submissions.open_one(tx, "c", "1", "p", {"n": payload}, "a@example.org", NOW)

    assert [submit(1), submit(2)] == [True, False]
    submissions.set_state(tx, "c", "1", "unknown")
    assert not submit(3)
    assert [(row["payload"], row["state"]) for row in submissions.unresolved(tx, "c")] == [({"n": 1}, "unknown")]
    submissions.set_state(tx, "c", "1", "resolved")
    assert submissions.unresolved(tx, "c") == []
    assert submit(4)
    submissions.withdraw(tx, "c", "1")
    assert submissions.of_records(tx, "c", ["1"]) == {}


def test_a_chore_stands_as_it_was_put(tx: Connection) -> None:
    assert marks.get(tx, "c", "crm", "changed") == Mark("crm", "changed")
    changed = Mark("crm", "changed", NOW - 60, "page 2", NOW, {"round": NOW})
    for chore in (changed, Mark("crm", "sweep", due=NOW - 1), Mark("crm", "later", due=NOW + 1), Mark("crm", "never")):
        marks.put(tx, "c", chore)
    assert [chore.name for chore in marks.every(tx, "c")] == ["changed", "later", "never", "sweep"]
    assert marks.get(tx, "c", "crm", "changed") == changed
    marks.put(tx, "c", Mark("crm", "changed", NOW, None, NOW + 300))
    assert marks.get(tx, "c", "crm", "changed") == Mark("crm", "changed", NOW, None, NOW + 300)
    assert len(marks.every(tx, "c")) == 4


def test_labels_keep_ids_together_and_pause_with_a_reason(tx: Connection) -> None:
    labels.put(tx, "c", [Label("l1", "News"), Label("l2", "Gala", "7", "CC: Gala")])
    labels.put(tx, "c", [Label("l1", "News", "8", "CC: News")])
    labels.set_state(tx, "c", "l2", "paused", "tag renamed")
    assert labels.every(tx, "c") == [
        Label("l1", "News", "8", "CC: News"),
        Label("l2", "Gala", "7", "CC: Gala", "paused", "tag renamed"),
    ]
