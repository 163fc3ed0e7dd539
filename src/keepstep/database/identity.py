"""Which database this is, told from a copy of it."""

from pathlib import Path

from sqlalchemy import Connection, text

_MAY = text("SELECT has_function_privilege('pg_control_system()', 'execute')")
_SYSTEM = text("SELECT system_identifier FROM pg_control_system()")
_OID = text("SELECT oid FROM pg_database WHERE datname = current_database()")


def identity(tx: Connection) -> str | None:
    """SQLite: the file's inode, which a copy does not share. PostgreSQL: the server's system identifier, which a
    replica that takes over shares and a restored dump does not, and the database's oid. None in memory."""
    if tx.dialect.name == "postgresql":
        # Not every server lets everybody ask; a refusal would end the transaction.
        system = tx.execute(_SYSTEM).scalar_one() if tx.execute(_MAY).scalar_one() else "server"
        return f"{system}:{tx.execute(_OID).scalar_one()}"
    # Not by a pragma: after a backup was put into a database in memory, asking for its file ends the process.
    file = tx.engine.url.database
    try:
        return str(Path(file).stat().st_ino) if file and file != ":memory:" else None
    except OSError:
        return None
