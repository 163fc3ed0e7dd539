"""The migrations that ship make exactly the tables that the code is written for."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, MetaData, Table, Text, inspect

from keepstep.database import engine_of, migrate
from keepstep.schema.tables import metadata


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
