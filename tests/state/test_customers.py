"""Customers and their connections."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, func, select

from keepstep.queue import put
from keepstep.schema.tables import act, metadata
from keepstep.state import consent, customers, journal, marks, parties
from keepstep.state.customers import Customer
from keepstep.state.marks import Mark
from tests.state.test_alerts import beside

NOW = 1_000_000.0


@pytest.fixture
def tx(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as open_one:
        yield open_one


def test_a_customer_is_added_paused_and_resumed(tx: Connection) -> None:
    customers.add(tx, "c", {"route": 1}, NOW)
    customers.pause(tx, "c")
    customers.add(tx, "c", {"route": 2}, NOW + 1)
    assert customers.every(tx) == [Customer("c", "paused", {"route": 2}, NOW)]
    customers.resume(tx, "c")
    found = customers.get(tx, "c")
    assert found is not None
    assert found.state == "active"
    assert customers.get(tx, "nobody") is None


def test_a_connection_is_blocked_once_and_healed(tx: Connection) -> None:
    customers.set_connection(tx, "c", "crm", "77", {"zone": "UTC"})
    assert [customers.block(tx, "c", "crm", "revoked"), customers.block(tx, "c", "crm", "forbidden")] == [True, False]
    found = customers.get_connection(tx, "c", "crm")
    assert found is not None
    assert (found.account_id, found.health, found.reason, found.data) == ("77", "blocked", "forbidden", {"zone": "UTC"})
    customers.unblock(tx, "c", "crm")
    assert [(item.health, item.reason) for item in customers.connections(tx, "c")] == [("ok", None)]
    assert customers.get_connection(tx, "c", "audience") is None


def test_a_removed_customer_leaves_only_that_addresses_opted_out(tx: Connection) -> None:
    for customer_id in ("c", "other"):
        customers.add(tx, customer_id, {}, NOW)
        put(tx, customer_id, [("p", 1, NOW)], NOW)
        parties.save(tx, customer_id, {"p": {}})
        marks.put(tx, customer_id, Mark("crm", "sweep"))
        journal.append(tx, customer_id, [(NOW, "p", "seen", {"email": "a@example.org"})])
        row = {"party_id": "p", "platform": "crm", "record_id": "1", "kind": "choice", "source": "poll", "seen_at": NOW}
        out = row | {"direction": "out", "address_hash": "h", "evidence": {"email": "a@example.org"}}
        consent.append(
            tx, customer_id, [out, row | {"direction": "in", "address_hash": "h"}, row | {"direction": "out"}]
        )
    before = rows(tx, "other")
    told = customers.counted(tx, "c")
    pieces = list(iter(lambda: customers.erase(tx, "c"), {}))
    assert {name: count for one in pieces for name, count in one.items() if count} == told
    assert customers.erase(tx, "c") == {} and customers.kept_hashes(tx, "c") == 1
    assert rows(tx, "c") == {"act": 1}
    (kept,) = consent.acts_on(tx, "c", "h")
    assert (kept["direction"], kept["party_id"], kept["record_id"], kept["evidence"]) == ("out", "", "", None)
    assert rows(tx, "other") == before
    assert before["act"] == 3


def rows(tx: Connection, customer_id: str) -> dict[str, int]:
    assert act.name in metadata.tables
    counts = {
        table.name: tx.execute(
            select(func.count()).select_from(table).where(table.c.customer_id == customer_id)
        ).scalar_one()
        for table in metadata.sorted_tables
        if "customer_id" in table.c
    }
    return {name: count for name, count in counts.items() if count}


def test_a_partners_pause_beside_a_removal_does_not_undo_what_is_noted_of_it(postgres_engine: Engine) -> None:
    def shut() -> None:
        with postgres_engine.begin() as tx:
            customers.pause(tx, "acme", "account.disable")

    with postgres_engine.begin() as tx:
        customers.add(tx, "acme", {}, 1.0)
    beside(postgres_engine, lambda tx: customers.note_removal(tx, "acme", {"began": 2.0}), shut)
    with postgres_engine.begin() as tx:
        known = customers.get(tx, "acme")
    assert known is not None and customers.removal(known) == {"began": 2.0}
    assert known.config[customers.PAUSED_BY] == "account.disable"
