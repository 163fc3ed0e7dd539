"""Bring a database to the newest schema with the migrations that ship inside the package."""

from pathlib import Path

from sqlalchemy import Connection, text

import keepstep.schema
from keepstep.database.engines import engine_of

# Any constant: all processes of the service that start at once wait for the one that migrates.
_LOCK = 5_318_008_771


def migrate(url: str) -> None:
    """Create or upgrade the tables, in one transaction; a database that is up to date is left alone."""
    engine = engine_of(url)
    try:
        with engine.begin() as connection:
            upgrade(connection)
    finally:
        engine.dispose()


def upgrade(connection: Connection) -> None:
    """The same inside the caller's transaction."""
    # Alembic takes most of a second to import, which only this command should pay.
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _migrations() -> Path:
    return Path(keepstep.schema.__path__[0]) / "migrations"
