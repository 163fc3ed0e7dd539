"""What leaves the service beside its log: an export, and the errors of databases and providers that quote what they
were given, a password or a value among it."""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
from botocore.exceptions import ClientError, HTTPClientError, ParamValidationError
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from keepstep.cli.console import described
from keepstep.database.foreign import Foreign
from keepstep.database.refusals import refusal
from keepstep.model.errors import Problem
from keepstep.safes.parameter_store import ParameterStore
from keepstep.safes.secrets_manager import SecretsManager
from keepstep.state.vault import Secret
from keepstep.wiring import export, vault
from tests.flows.canaries import CUSTOMER, Evidence, Hostile, Person, secret, shown

NOBODY = "127.0.0.1:9"
PASSWORD, VALUE = secret(11), secret(12)


def quoted(x: Hostile, found: Evidence, folder: Path) -> None:
    """All of it, by class: `export`, `errors`, `commands`."""
    for customer in (CUSTOMER, "c01"):
        path = folder / f"export of {customer}"
        x.ask(export.export(x.service, customer, path, lambda said: found.add("commands", said)))
        for file in sorted(path.iterdir()):
            found.add("export", file.read_bytes())
    for line in ("customer remove c02", "vault status", "vault rotate --finish", "feed check donors --customer acme"):
        found.add("commands", shown([*line.split(), "--json"]))
    found.add("commands", repr(x.ask(vault.status(x.service))))
    for error in (*_databases(), *_providers()):
        said = "".join(traceback.format_exception(error))
        found.add("errors", f"{error!r} {error!s} {error.args} {vars(error)} {described(error)} {said}")


def _databases() -> Iterator[Exception]:
    """Ours, which are real, and those of drivers that quote the password, or a row."""
    for scheme in ("postgresql", "mysql"):
        foreign = Foreign(f"{scheme}://reader@{NOBODY}/shop", PASSWORD)
        yield from _raised(lambda foreign=foreign: foreign.all(text("SELECT 1")))
        yield Problem(f"{foreign!r} {foreign._engine!r} {foreign._engine.url}")
    row = {"email": Person(12).email, "name": Person(12).first}
    for dialect, error in (
        ("postgresql", psycopg.OperationalError(f"connection failed: password={PASSWORD} {Person(12).email}")),
        ("mysql", pymysql.err.OperationalError(1045, f"Access denied, password {PASSWORD}")),
        ("mysql", pymysql.err.OperationalError(2003, f"Can't connect with {PASSWORD}")),
        ("mysql", pymysql.err.DataError(1366, f"Incorrect value {Person(12).first}")),
        ("sqlite", OSError(f"{PASSWORD} {Person(12).street}")),
    ):
        yield refusal(dialect, error)
        yield refusal(dialect, OperationalError("SELECT 1", row, error))
        yield refusal(dialect, IntegrityError("INSERT", row, error))


class _Quoting:
    """A client of AWS whose every call ends with an error that quotes the value."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, _name: str) -> Callable[..., Any]:
        def refuse(**_: Any) -> Any:
            raise self.error

        return refuse


def _providers() -> Iterator[Exception]:
    for error in (
        *(
            ClientError(
                {"Error": {"Code": code, "Message": VALUE}, "ResponseMetadata": {"HTTPHeaders": {"x": VALUE}}}, "P"
            )
            for code in ("AccessDeniedException", "ValidationException", "InternalServerError")
        ),
        ParamValidationError(report=f"Invalid length for parameter Value, value: {VALUE}"),
        HTTPClientError(error=VALUE),
    ):
        for safe in (ParameterStore(_Quoting(error)), SecretsManager(_Quoting(error))):
            yield from _raised(lambda safe=safe: safe.put("a/b/c/d", Secret(VALUE), "m" * 64))
            yield from _raised(lambda safe=safe: safe.get([("a/b/c/d", "1")]))
            yield from _raised(lambda safe=safe: safe.delete("a/b/c/d"))


def _raised(work: Callable[[], object]) -> Iterator[Exception]:
    try:
        work()
    except Exception as error:
        yield error
    else:
        raise AssertionError("it did not fail")
