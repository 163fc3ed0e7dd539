"""The disk of a seed on a real PostgreSQL: the same product, the other database.

Everything lies in tables of the session's own (`pg_temp`), which nobody else sees and which go with the connection; no
two transactions are open at once, so what only interleaving shows is left to the tests with real processes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg
from sqlalchemy import JSON, Boolean, Column, Engine, Float, LargeBinary, create_engine, event, make_url
from sqlalchemy.pool import StaticPool

from keepstep.database.statements import json_text, json_value
from keepstep.schema.tables import metadata
from keepstep_simulator import witness
from keepstep_simulator.disk import counted

_MINE = "SET search_path = pg_temp"
_WITNESS = "CREATE TABLE witnessed (n bigserial PRIMARY KEY, place text, verb text, told json)"
_TOLD = "WITH told AS (DELETE FROM witnessed RETURNING *) SELECT place, verb, told FROM told ORDER BY n"
Saved = tuple[dict[str, bytes], dict[str, tuple[int, bool]]]


class Server:
    """One connection for all seeds of this process, emptied for each."""

    _shared: ClassVar[dict[str, Engine]] = {}

    def __init__(self, url: str) -> None:
        if url not in Server._shared:
            Server._shared[url] = _engine(url)
        self.engine = Server._shared[url]
        self._empty()

    def dump(self) -> Saved:
        """Everything on it: rows and counters."""
        with _cursor(self.engine) as cursor:
            return {name: b"".join(_copied(cursor, name)) for name in _tables()}, dict(_counters(cursor))

    def load(self, saved: Saved) -> None:
        """Put back what was there once."""
        self._empty()
        rows, counters = saved
        with _cursor(self.engine) as cursor:
            for name, text in rows.items():
                with cursor.copy(f'COPY "{name}" FROM STDIN') as copy:
                    copy.write(text)
            for name, (value, called) in counters.items():
                cursor.execute("SELECT setval(%s::regclass, %s, %s)", (name, value, called))
        self.rows()

    def deliveries(self) -> dict[str, int]:
        """How often each body is stored, whatever became of it."""
        return counted(row["body"] for row in self._rows("delivery"))

    def rows(self) -> tuple[witness.Touched, ...]:
        """What was committed since they were asked for last, of the tables that checkers read."""
        with _cursor(self.engine) as cursor:
            found = cursor.execute(_TOLD).fetchall()
        return tuple(witness.touch(place, verb, _plain(place, told)) for place, verb, told in found)

    def tables(self) -> dict[str, tuple[dict[str, Any], ...]]:
        """Every row of every table, as the other disk tells it."""
        return {name: tuple(self._rows(name)) for name in _tables()}

    def _rows(self, name: str) -> Iterator[dict[str, Any]]:
        columns = list(metadata.tables[name].columns)
        asked = ", ".join(_stored(column) for column in columns)
        with _cursor(self.engine) as cursor:
            found = cursor.execute(f'SELECT {asked} FROM "{name}" ORDER BY ctid').fetchall()  # noqa: S608  names of ours
        for row in found:
            yield dict(zip((column.name for column in columns), row, strict=True))

    def _empty(self) -> None:
        every = ", ".join(f'"{name}"' for name in (*_tables(), "witnessed"))
        with _cursor(self.engine) as cursor:
            cursor.execute(f"TRUNCATE {every} RESTART IDENTITY")


def _tables() -> list[str]:
    return sorted(metadata.tables)


def _engine(url: str) -> Engine:
    """The session, with the product's tables and a witness for each."""
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(parsed, poolclass=StaticPool, json_serializer=json_text, json_deserializer=json_value)

    @event.listens_for(engine, "connect")
    def of_its_own(connection: Any, _: object) -> None:
        connection.execute(_MINE)
        connection.commit()

    metadata.create_all(engine, checkfirst=False)
    with _cursor(engine) as cursor:
        cursor.execute(_WITNESS)
        for statement in _watching():
            cursor.execute(statement)
    return engine


@contextmanager
def _cursor(engine: Engine) -> Iterator[psycopg.Cursor[Any]]:
    """The driver's own, in a transaction."""
    driver: psycopg.Connection[Any] = engine.raw_connection().driver_connection  # type: ignore[assignment]
    with driver.transaction(), driver.cursor() as cursor:
        yield cursor


def _copied(cursor: psycopg.Cursor[Any], name: str) -> Iterator[bytes]:
    with cursor.copy(f'COPY "{name}" TO STDOUT') as copy:
        yield from map(bytes, copy)


def _counters(cursor: psycopg.Cursor[Any]) -> Iterator[tuple[str, tuple[int, bool]]]:
    named = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = pg_my_temp_schema() ORDER BY 1"
    for (name,) in cursor.execute(named).fetchall():
        last = cursor.execute(f'SELECT last_value, is_called FROM "{name}"').fetchone()  # noqa: S608  named by the catalogue
        assert last is not None
        yield name, last


def _watching() -> Iterator[str]:
    """A trigger for each table that checkers read."""
    for table, columns in witness.COLUMNS.items():
        told = {row: ", ".join(_value(table, column, row) for column in columns) for row in ("NEW", "OLD")}
        noted = "INSERT INTO witnessed (place, verb, told) VALUES"
        yield f"""CREATE FUNCTION pg_temp."witness_{table}"() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF TG_OP = 'DELETE' THEN {noted} ('{table}', TG_OP, json_build_array({told["OLD"]}));
            ELSE {noted} ('{table}', TG_OP, json_build_array({told["NEW"]})); END IF;
            RETURN NULL; END $$"""
        yield f"""CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON "{table}"
            FOR EACH ROW EXECUTE FUNCTION pg_temp."witness_{table}"()"""


def _value(table: str, column: str, row: str) -> str:
    if (table, column) == ("snapshot", "stamp"):
        return f"coalesce({row}.body->>'updated_at', {row}.body->>'modifiedDateTimeUtc')"
    there = metadata.tables[table].columns[column]
    if isinstance(there.type, LargeBinary):
        return f"""json_build_object('bytes', encode({row}."{column}", 'hex'))"""
    return _stored(there, f"{row}.")


def _stored(column: "Column[Any]", row: str = "") -> str:
    """A column as SQLite stores it: documents are text, yes and no are numbers."""
    name = f'{row}"{column.name}"'
    if isinstance(column.type, JSON):
        return f"{name}::text"
    return f"{name}::int" if isinstance(column.type, Boolean) else name


def _plain(table: str, told: Sequence[Any]) -> list[Any]:
    """What the trigger wrote as JSON, as the columns hold it."""
    columns = metadata.tables[table].columns
    types = [columns[name].type if name in columns else None for name in witness.COLUMNS[table]]
    return [_typed(kind, value) for kind, value in zip(types, told, strict=True)]


def _typed(kind: Any, value: Any) -> Any:
    if isinstance(kind, LargeBinary):
        return None if value["bytes"] is None else bytes.fromhex(value["bytes"])
    return float(value) if isinstance(kind, Float) and value is not None else value
