"""The migrations that ship make exactly the tables that the code is written for."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, MetaData, Table, Text, insert, inspect

from keepstep.database import engine_of, migrate
from keepstep.database.migration import _migrations
from keepstep.schema.tables import label, mark, metadata, party, submission
from keepstep.state import labels, marks, readings


def difference(url: str, wanted: MetaData) -> list[object]:
    engine = engine_of(url)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        found: list[object] = compare_metadata(context, wanted)
    engine.dispose()
    return found


def shape(engine: Engine) -> dict[str, object]:
    """Tables with columns, keys and indexes, partial ones with their condition, as the database itself tells them."""
    look = inspect(engine)
    return {
        name: (
            [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in look.get_columns(name)],
            look.get_pk_constraint(name),
            sorted((str(i["name"]), i["column_names"], i["unique"], _condition(i)) for i in look.get_indexes(name)),
        )
        for name in look.get_table_names()
        if name != "alembic_version"
    }


def _condition(index: Any) -> list[str]:
    return [str(value) for value in index.get("dialect_options", {}).values()]


def test_migrated_tables_are_the_tables_of_the_code(database_url: str) -> None:
    migrate(database_url)
    assert difference(database_url, metadata) == []


def test_the_comparison_notices_a_column_without_a_migration(sqlite_url: str) -> None:
    migrate(sqlite_url)
    other = MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(other)
    Table("label", other, Column("colour", Text), extend_existing=True)
    assert len(difference(sqlite_url, other)) == 1


def test_migrated_tables_equal_created_ones_in_all_that_the_database_knows(sqlite_url: str) -> None:
    """Alembic compares no conditions of partial indexes; the database does."""
    migrate(sqlite_url)
    migrated, created = engine_of(sqlite_url), engine_of("sqlite://")
    metadata.create_all(created)
    assert shape(migrated) == shape(created)
    migrated.dispose()
    created.dispose()


def test_migrating_again_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    migrate(database_url)
    assert difference(database_url, metadata) == []


def test_processes_that_migrate_at_once_all_succeed(postgres_url: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(migrate, [postgres_url] * 3))
    assert difference(postgres_url, metadata) == []


def test_every_table_is_split_by_customer_but_those_of_an_application_key() -> None:
    without = {table.name for table in metadata.sorted_tables if "customer_id" not in table.c}
    assert without == {"permit", "application_key"}


def at_first_version(url: str) -> Engine:
    """A database as the first version made it."""
    engine = engine_of(url)
    config = Config()
    config.set_main_option("script_location", str(_migrations()))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    return engine


def test_a_filled_database_of_the_first_version_is_upgraded_and_keeps_everything(database_url: str) -> None:
    engine = at_first_version(database_url)
    act = {"id": "act1", "kind": "choice", "direction": "out", "side": "audience", "after": None, "before": 5.0}
    people = [
        {"record_id": "c1", "filled": True, "acts": [act], "audience": {"email": "ann@example.org"}, "lists": ["l1"]},
        {"record_id": "c2", "filled": False},
        {"record_id": "c3"},
    ]
    docs = {f"p{number:04}": {"people": people, "crm_id": str(number), "tags": ["CC: News"]} for number in range(1200)}
    docs["empty"] = {"people": []}
    with engine.begin() as tx:
        rows = [
            {"customer_id": customer, "party_id": key, "doc": {"party_id": key, **doc}}
            for customer in ("acme", "other")
            for key, doc in docs.items()
        ]
        tx.execute(insert(party), rows)
        before = {"customer_id": "acme", "list_id": "l1", "list_name": "News", "tag_id": "7", "tag_name": "CC: News"}
        tx.execute(label.insert().inline().values(**before))
        tx.execute(
            insert(mark), [{"customer_id": "acme", "platform": "cc", "name": "sweep", "mark": 7.0, "data": None}]
        )
        waits = {"customer_id": "acme", "record_id": "c1", "party_id": "p0000", "payload": {"email": "x"}, "since": 1.0}
        tx.execute(insert(submission), [waits])
    engine.dispose()
    migrate(database_url)
    assert difference(database_url, metadata) == []
    engine = engine_of(database_url)
    with engine.begin() as tx:
        for customer in ("acme", "other"):
            found = readings.load(tx, customer, list(docs))
            assert len(found) == len(docs) and found["empty"].people == ()
            for key in ("p0000", "p0499", "p0500", "p1199"):
                assert [one.filled for one in found[key].people] == [("address",), (), ()]
                assert (found[key].crm_id, found[key].people[0].acts[0].before) == (str(int(key[1:])), 5.0)
        assert labels.every(tx, "acme") == [labels.Label("l1", "News", "7", "CC: News")]
        assert marks.get(tx, "acme", "cc", "sweep").mark == 7.0
    engine.dispose()
