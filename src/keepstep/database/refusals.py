"""What a database of others refuses, as a class of recovery. Only words that cannot hold a row's values or a secret are
taken over: a database quotes both."""

import ssl
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError

from keepstep.model.errors import Blocked, Misconfigured, Problem, Transient

_WRITES = "it writes, and a feed may only read; leave the part that writes out"
_SLOW = "the statement took longer than it may; an index on the change column makes it quick"
_CREDENTIAL = "the user or its password is refused; store the right one with `keepstep feed connect`"
_NO_RIGHT = "its user may not read what the feed names ({}); grant it SELECT there, or correct `database` and the names"
_TLS = (
    "the database does not prove who it is (TLS); name its certificate authority in ca_file, or have TLS set up there"
)
_MYSQL_CREDENTIAL = {1045, 1130, 1227, 1251, 1698, 1820, 1862, 2059, 2061, 3118, 4151}
# Unknown table, column, database, function; syntax; doubled names; a view of things that are gone.
_MYSQL_SETTINGS = {1046, 1049, 1051, 1052, 1054, 1060, 1064, 1066, 1109, 1146, 1248, 1305, 1356, 1630}
# 1044 is also said of a database that is not there, to a user who may not see which there are.
_MYSQL_NO_RIGHT = {1044, 1142, 1143, 1370}
_MYSQL_SLOW = {1317, 1969, 3024}
_MYSQL_WRITES = {1290, 1792}
_SQLITE_SETTINGS = ("no such table", "no such column", "no such function", "ambiguous column", "unrecognized token")


def refusal(dialect: str, error: Exception) -> Problem:
    """The problem to raise instead of a driver's error."""
    if isinstance(error, Problem):
        return error
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    if any(isinstance(each, ssl.SSLError) for each in _causes(cause)):
        return Blocked("tls", _TLS)
    by_dialect = {"mysql": _mysql, "postgresql": _postgresql, "sqlite": _sqlite}
    return by_dialect[dialect](cause) or Transient(f"the database does not answer ({type(cause).__name__})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came of; PyMySQL keeps that under a name of its own."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = getattr(found, "original_exception", None) or found.__cause__


def _mysql(error: BaseException) -> Problem | None:
    code, said = (*error.args, 0, "")[:2] if error.args else (0, "")
    if code in _MYSQL_CREDENTIAL:
        return Blocked("credential", _CREDENTIAL)
    if code == 2026:
        return Blocked("tls", _TLS)
    if code in _MYSQL_SETTINGS:
        return Misconfigured((f"the database says: {_short(said)} ({code}); correct the feed's settings",))
    if code in _MYSQL_NO_RIGHT:
        return Misconfigured((_NO_RIGHT.format(code),))
    if code in _MYSQL_WRITES:
        return Misconfigured((f"the query cannot run: {_WRITES}",))
    if code in _MYSQL_SLOW:
        return Transient(_SLOW)
    return Transient(f"the database does not answer ({code})") if code else None


def _postgresql(error: BaseException) -> Problem | None:
    state = getattr(error, "sqlstate", None) or ""
    if not state:
        return _not_connected(str(error))
    if state.startswith("28"):
        return Blocked("credential", _CREDENTIAL)
    if state == "42501":
        return Misconfigured((_NO_RIGHT.format(state),))
    if state == "25006":
        return Misconfigured((f"the query cannot run: {_WRITES}",))
    if state.startswith("42") or state in ("3D000", "3F000"):
        said = getattr(getattr(error, "diag", None), "message_primary", "")
        return Misconfigured((f"the database says: {_short(said)} ({state}); correct the feed's settings",))
    if state.startswith("22"):
        return Misconfigured((f"the query fails at a value of some row ({state}); make it take every row",))
    return Transient(_SLOW if state == "57014" else f"the database does not answer ({state})")


def _not_connected(said: str) -> Problem:
    """libpq names no state where it could not connect at all."""
    if "certificate" in said or "SSL" in said:
        return Blocked("tls", _TLS)
    if any(word in said for word in ("authentication", "no password supplied", "pg_hba.conf", "role ")):
        return Blocked("credential", _CREDENTIAL)
    if "FATAL:  database" in said:
        return Misconfigured(("there is no database of that name on the server; correct `database`",))
    return Transient("the database does not answer")


def _sqlite(error: BaseException) -> Problem | None:
    said = str(error)
    if "unable to open" in said:
        return Misconfigured(("the file of the database cannot be opened; correct `database`, or who may read it",))
    if "not a database" in said or "malformed" in said:
        return Misconfigured(("the file is no whole SQLite database; correct `database`, or restore it",))
    if "readonly" in said or "read-only" in said:
        return Misconfigured((f"the query cannot run: {_WRITES}",))
    if "syntax error" in said or said.startswith(_SQLITE_SETTINGS):
        return Misconfigured((f"the database says: {_short(said)}; correct the feed's settings",))
    return None


def _short(said: object) -> str:
    return " ".join(str(said).split())[:200]
