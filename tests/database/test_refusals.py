"""What a database of others refuses becomes a class of recovery, in words that hold no value and no secret."""

import ssl
from typing import Any

import psycopg
import pymysql
import pytest

from keepstep.database.refusals import refusal
from keepstep.model.errors import Blocked, Misconfigured, Problem, Transient

ANN = "ann@example.org"
MYSQL = pymysql.err.OperationalError
STATES = psycopg.errors


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("dialect", "error", "kind", "said"),
    [
        ("mysql", MYSQL(1045, f"Access denied for user '{ANN}'"), Blocked, "keepstep feed connect"),
        ("mysql", MYSQL(2026, "SSL is required"), Blocked, "ca_file"),
        ("mysql", caused_by(MYSQL(2003, "x"), ssl.SSLCertVerificationError(ANN)), Blocked, "ca_file"),
        ("mysql", pymysql.err.ProgrammingError(1146, "Table 'shop.x' doesn't exist"), Misconfigured, "shop.x"),
        ("mysql", MYSQL(1142, "SELECT command denied"), Misconfigured, "grant it SELECT"),
        ("mysql", MYSQL(1044, f"Access denied for user '{ANN}' to database"), Misconfigured, "correct `database`"),
        ("mysql", MYSQL(1792, "Cannot execute"), Misconfigured, "may only read"),
        ("mysql", MYSQL(1969, "max_statement_time exceeded"), Transient, "an index on the change column"),
        ("mysql", MYSQL(2013, "Lost connection"), Transient, "does not answer (2013)"),
        ("mysql", MYSQL(1366, f"Incorrect value {ANN}"), Transient, "does not answer (1366)"),
        ("mysql", MYSQL(), Transient, "does not answer (OperationalError)"),
        ("postgresql", STATES.InvalidPassword(ANN), Blocked, "keepstep feed connect"),
        ("postgresql", STATES.InsufficientPrivilege("denied"), Misconfigured, "grant it SELECT"),
        ("postgresql", STATES.ReadOnlySqlTransaction("no"), Misconfigured, "may only read"),
        ("postgresql", STATES.UndefinedTable("x"), Misconfigured, "correct the feed's settings"),
        ("postgresql", STATES.InvalidTextRepresentation(f"invalid: {ANN}"), Misconfigured, "some row (22P02)"),
        ("postgresql", STATES.QueryCanceled("timeout"), Transient, "an index on the change column"),
        ("postgresql", STATES.AdminShutdown("bye"), Transient, "does not answer (57P01)"),
        ("postgresql", psycopg.OperationalError("server does not support SSL"), Blocked, "ca_file"),
        ("postgresql", psycopg.OperationalError(f'role "{ANN}" does not exist'), Blocked, "feed connect"),
        ("postgresql", psycopg.OperationalError('FATAL:  database "x" does not'), Misconfigured, "no database"),
        ("postgresql", psycopg.OperationalError("Connection refused"), Transient, "does not answer"),
        ("sqlite", ValueError("unable to open database file"), Misconfigured, "cannot be opened"),
        ("sqlite", ValueError("database disk image is malformed"), Misconfigured, "no whole SQLite database"),
        ("sqlite", ValueError("attempt to write a readonly database"), Misconfigured, "may only read"),
        ("sqlite", ValueError("no such column: x"), Misconfigured, "no such column: x"),
        ("sqlite", ValueError(f"database is locked {ANN}"), Transient, "does not answer (ValueError)"),
    ],
)
def test_each_refusal_has_its_recovery(dialect: str, error: Any, kind: type[Problem], said: str) -> None:
    found = refusal(dialect, error)
    assert type(found) is kind and said in str(found)
    assert ANN not in str(found)


def test_a_problem_of_ours_stays_what_it_is() -> None:
    problem = Misconfigured(("ca_file",))
    assert refusal("mysql", problem) is problem
