"""Parties, their records and what they hold."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, select

from keepstep.schema.tables import party
from keepstep.state import parties
from keepstep.state.parties import Alias

NOW = 1_000_000.0


@pytest.fixture
def tx(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as open_one:
        yield open_one


def test_documents_come_back_as_saved_and_unknown_parties_are_left_out(tx: Connection) -> None:
    docs = {"p": {"a": [1, None, {"ü": "\x00"}]}, "q": {}}
    parties.save(tx, "c", docs)
    assert parties.load(tx, "c", ["p", "q", "nobody"]) == docs


def test_saving_again_replaces_and_counts(tx: Connection) -> None:
    parties.save(tx, "c", {"p": {"a": 1}})
    parties.save(tx, "c", {"p": {"b": 2}})
    assert parties.load(tx, "c", ["p"]) == {"p": {"b": 2}}
    assert tx.execute(select(party.c.rev)).scalar_one() == 2


def test_customers_with_equal_ids_are_apart(tx: Connection) -> None:
    parties.save(tx, "c", {"p": {"of": "c"}})
    parties.save(tx, "d", {"p": {"of": "d"}})
    parties.set_alias(tx, "c", "crm", "1", "p", NOW)
    parties.set_custody(tx, "c", "p", [("email", "a@example.org", "crm", "1")])
    assert parties.load(tx, "d", ["p"]) == {"p": {"of": "d"}}
    assert parties.party_of(tx, "d", "crm", ["1"]) == {}
    assert parties.holders(tx, "d", "email", ["a@example.org"]) == {}


def test_party_ids_come_in_pages(tx: Connection) -> None:
    parties.save(tx, "c", {name: {} for name in "dbac"})
    assert parties.ids(tx, "c", limit=2) == ["a", "b"]
    assert parties.ids(tx, "c", after="b") == ["c", "d"]


def test_a_record_belongs_to_one_party(tx: Connection) -> None:
    parties.set_alias(tx, "c", "crm", "1", "p", NOW)
    parties.set_alias(tx, "c", "audience", "1", "p", NOW)
    parties.set_alias(tx, "c", "crm", "1", "q", NOW + 1, standing="stub", reason="new")
    assert parties.party_of(tx, "c", "crm", ["1", "2"]) == {"1": "q"}
    assert parties.aliases_of(tx, "c", ["p", "q", "r"]) == {
        "p": [Alias("audience", "1", "p", "linked", None, NOW)],
        "q": [Alias("crm", "1", "q", "stub", "new", NOW + 1)],
        "r": [],
    }


def test_a_standing_dates_from_its_change(tx: Connection) -> None:
    parties.set_alias(tx, "c", "crm", "1", "p", NOW)
    parties.set_standing(tx, "c", "crm", "1", "parked", NOW + 5, "two matches")
    parties.set_standing(tx, "c", "crm", "1", "parked", NOW + 9, "three matches")
    assert parties.standings(tx, "c", "parked") == [Alias("crm", "1", "p", "parked", "three matches", NOW + 5)]
    parties.drop_alias(tx, "c", "crm", "1")
    assert parties.standings(tx, "c", "parked") == []


def test_more_ids_than_a_statement_takes_can_be_asked_for(tx: Connection) -> None:
    parties.set_alias(tx, "c", "crm", "39999", "p", NOW)
    assert parties.party_of(tx, "c", "crm", [str(n) for n in range(40_000)]) == {"39999": "p"}


def test_holders_of_a_value_are_all_records_that_have_it(tx: Connection) -> None:
    shared = ("email", "a@example.org")
    parties.set_custody(tx, "c", "p", [(*shared, "crm", "1"), (*shared, "audience", "x"), ("phone", "+1", "crm", "1")])
    parties.set_custody(tx, "c", "q", [(*shared, "crm", "2")])
    assert parties.holders(tx, "c", "email", ["a@example.org", "nobody@example.org"]) == {
        "a@example.org": [("p", "audience", "x"), ("p", "crm", "1"), ("q", "crm", "2")]
    }


def test_custody_is_replaced_whole_and_moves_with_its_record(tx: Connection) -> None:
    one = ("email", "a@example.org", "crm", "1")
    parties.set_custody(tx, "c", "p", [one, one, ("email", "b@example.org", "crm", "1")])
    parties.set_custody(tx, "c", "q", [one])
    assert parties.holders(tx, "c", "email", ["a@example.org"]) == {"a@example.org": [("q", "crm", "1")]}
    parties.set_custody(tx, "c", "p", [])
    assert parties.holders(tx, "c", "email", ["b@example.org"]) == {}


def test_a_merged_party_hands_everything_over(tx: Connection) -> None:
    parties.save(tx, "c", {"p": {}, "q": {"kept": 1}})
    parties.set_alias(tx, "c", "crm", "1", "p", NOW)
    parties.set_custody(tx, "c", "p", [("email", "a@example.org", "crm", "1")])
    parties.merge(tx, "c", "p", "q")
    assert parties.load(tx, "c", ["p", "q"]) == {"q": {"kept": 1}}
    assert parties.party_of(tx, "c", "crm", ["1"]) == {"1": "q"}
    assert parties.holders(tx, "c", "email", ["a@example.org"]) == {"a@example.org": [("q", "crm", "1")]}


def test_a_dropped_party_leaves_nothing(tx: Connection) -> None:
    parties.save(tx, "c", {"p": {}})
    parties.set_alias(tx, "c", "crm", "1", "p", NOW)
    parties.set_custody(tx, "c", "p", [("email", "a@example.org", "crm", "1")])
    parties.drop(tx, "c", "p")
    assert parties.load(tx, "c", ["p"]) == {}
    assert parties.party_of(tx, "c", "crm", ["1"]) == {}
    assert parties.holders(tx, "c", "email", ["a@example.org"]) == {}
