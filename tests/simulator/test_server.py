"""A seed on a real PostgreSQL tells the story that it tells on SQLite."""

from keepstep_simulator.night import SERVED, Night
from keepstep_simulator.run import Outcome, Plan, simulate
from keepstep_simulator.server import Server
from keepstep_simulator.story import Fact

SEED = 3


def _told(outcome: Outcome) -> list[tuple[float, str, str, str]]:
    """What happened, when and to whom. What a statement touched is not compared: where it finds a row to be there,
    PostgreSQL calls its trigger of an update too."""
    return [(fact.t, fact.kind, fact.key, fact.customer) for fact in outcome.story.facts]


def _touched(fact: Fact) -> set[tuple[str, str]]:
    return {(table, str(sorted(row.items(), key=str))) for table, _verb, row in fact.data["rows"]}


def test_fact_by_fact_it_is_the_same_story(postgres_server: str) -> None:
    there, here = simulate(SEED, Plan(server=postgres_server)), simulate(SEED, Plan())
    assert there.violations == ()
    assert _told(there) == _told(here)
    for one, other in zip(there.story.of("TX"), here.story.of("TX"), strict=True):
        assert _touched(one) == _touched(other)


def test_an_older_disk_is_put_back_with_its_counters(postgres_server: str) -> None:
    disk = Server(postgres_server)
    with disk.engine.begin() as tx:
        tx.exec_driver_sql("INSERT INTO customer (customer_id, state, config, created) VALUES ('a', 'active', '{}', 1)")
    saved = disk.dump()
    with disk.engine.begin() as tx:
        tx.exec_driver_sql("DELETE FROM customer")
    disk.load(saved)
    assert [row["customer_id"] for row in disk.tables()["customer"]] == ["a"]
    assert disk.dump() == saved


def test_one_seed_of_so_many_lies_on_it() -> None:
    night = Night(0, 2 * SERVED, 1, server="postgresql://there")
    assert [seed for seed in range(2 * SERVED) if night.part(seed).plan.server] == [SERVED - 1, 2 * SERVED - 1]
