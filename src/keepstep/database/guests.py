"""Engines for databases in which we are guests: every transaction is read-only by the database's own word, statements
end after a while, and off this machine the other side must prove who it is.

A stamp that no calendar of ours holds (a zero date, infinity) and a text in a broken encoding must not cost a page:
such types are not converted here.
"""

import ipaddress
import sqlite3
import ssl
from typing import Any
from urllib.parse import quote

import psycopg
import pymysql
from psycopg.adapt import Buffer, Loader
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions, through
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.pool import NullPool

from keepstep.model.errors import Misconfigured

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 300
_POSTGRESQL_TEXTS = """date time timetz timestamp timestamptz interval numeric float4 uuid json jsonb text varchar
    bpchar name""".split()
_MYSQL_TEXTS = (
    FIELD_TYPE.DATE,
    FIELD_TYPE.NEWDATE,
    FIELD_TYPE.TIME,
    FIELD_TYPE.DATETIME,
    FIELD_TYPE.TIMESTAMP,
    FIELD_TYPE.DECIMAL,
    FIELD_TYPE.NEWDECIMAL,
)
_MYSQL_DECODERS = conversions | dict.fromkeys(_MYSQL_TEXTS, through)


def guest_engine(url: str, password: str | None, ca_file: str = "") -> Engine:
    """An engine for mysql://, mariadb://, postgresql:// (a socket's folder as ?host=) or sqlite:///file. ca_file: whom
    to believe instead of the system's own authorities."""
    parsed = make_url(url)
    match parsed.get_backend_name():
        case "mysql" | "mariadb":
            return _mysql(parsed, password, ca_file)
        case "postgresql":
            return _postgresql(parsed, password, ca_file)
        case "sqlite":
            return _sqlite(parsed)
    raise Misconfigured(("database: the URL must begin with mysql://, mariadb://, postgresql:// or sqlite:///",))


def is_here(host: str | None) -> bool:
    """Does nobody but this machine see what is said to this host?"""
    try:
        return host in (None, "", "localhost") or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def text_of(raw: bytes) -> str:
    """A text as it is; what is no UTF-8 in it stays recognizable, and goes back as it came."""
    return raw.decode("utf-8", "surrogateescape")


# --- SQLite ----------------------------------------------------------------------------------------------------------


def _sqlite(url: URL) -> Engine:
    def connect() -> sqlite3.Connection:
        file = f"file:{quote(url.database or '')}?mode=ro"
        connection = sqlite3.connect(file, uri=True, timeout=CONNECT_SECONDS, check_same_thread=False)
        connection.text_factory = text_of
        connection.execute("PRAGMA query_only = ON")
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


# --- MySQL and MariaDB -----------------------------------------------------------------------------------------------


def _mysql(url: URL, password: str | None, ca_file: str) -> Engine:
    def connect() -> Any:
        connection = pymysql.connect(
            host=url.host or "localhost",
            port=url.port or 3306,
            user=url.username or "",
            # As bytes: the driver takes a text for Latin-1.
            password=(password or "").encode(),
            database=url.database,
            charset="utf8mb4",
            conv=_MYSQL_DECODERS,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=STATEMENT_SECONDS + CONNECT_SECONDS,
            write_timeout=CONNECT_SECONDS,
            # A context makes TLS required: the driver refuses a server that has none.
            ssl=None if is_here(url.host) and not ca_file else _trusting(ca_file),
        )
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.execute("SET time_zone = '+00:00'")
            is_mariadb = "mariadb" in str(vars(connection)["server_version"]).lower()
            unit = f"max_statement_time = {STATEMENT_SECONDS}"
            cursor.execute(f"SET {unit if is_mariadb else f'max_execution_time = {STATEMENT_SECONDS * 1000}'}")
        return connection

    engine = create_engine("mysql+pymysql://", creator=connect, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def read_only(connection: Any) -> None:
        connection.exec_driver_sql("START TRANSACTION READ ONLY")

    return engine


def _trusting(ca_file: str) -> ssl.SSLContext:
    """Certificates are proven, and so is the host's name."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError):
        raise Misconfigured((f"ca_file {ca_file} is no file of certificates; name one in PEM form",)) from None


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


class _AsWritten(Loader):
    def load(self, data: Buffer) -> str:
        return text_of(bytes(data))


def _postgresql(url: URL, password: str | None, ca_file: str) -> Engine:
    proven = {"sslmode": "verify-full", "sslrootcert": ca_file or "system", "gssencmode": "disable"}

    def connect() -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            host=url.host or str(url.query.get("host", "localhost")),
            port=url.port or 5432,
            user=url.username,
            password=password,
            dbname=url.database,
            connect_timeout=CONNECT_SECONDS,
            client_encoding="UTF8",
            application_name="keepstep",
            # Statements that a pooler between us may not keep.
            prepare_threshold=None,
            **({} if is_here(url.host) and not ca_file else proven),  # type: ignore[arg-type]
        )
        for name in _POSTGRESQL_TEXTS:
            connection.adapters.register_loader(name, _AsWritten)
        return connection

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def read_only(connection: Any) -> None:
        # For this transaction: behind a pooler the session is others' too.
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        for said in (f"statement_timeout = {STATEMENT_SECONDS * 1000}", "timezone = 'UTC'", "datestyle = 'ISO, YMD'"):
            connection.exec_driver_sql(f"SET LOCAL {said}")

    return engine
