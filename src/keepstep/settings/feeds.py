"""The `[customers.ID.feeds.NAME]` tables of a settings file."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cronsim import CronSim, CronSimError

from keepstep.model.feed import CUSTOM, FIELDS, Feed, When
from keepstep.settings import values
from keepstep.settings.reader import Parser, Reader

Place = tuple[str, ...]
SCHEMES = ("mysql", "mariadb", "postgresql", "sqlite")
_URL = "write mysql://user@host/name, mariadb://..., postgresql://user@host/name or sqlite:///file"
_VAULT = "take it out and store it with `keepstep feed connect`"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# A server on this machine, without a port.
_SOCKET = re.compile(r"host=/[\w./-]+")
_QUOTED = re.compile(r"'(?:[^'\\]|''|\\.)*'|\"[^\"]*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
_WRITES = re.compile(
    r"\b(insert\s+into|delete\s+from|update\s+\S+\s+set|into\s+(?:outfile|dumpfile)|for\s+(?:update|share))\b",
    re.IGNORECASE,
)


def read(reader: Reader, customer: str, given: Mapping[str, Any]) -> dict[str, Feed]:
    """The feeds of one customer; what is wrong is noted with the reader."""
    tables, place = given.get("feeds", {}), ("customers", customer, "feeds")
    found = reader.section(tables, place, dict.fromkeys(tables, values.table))
    region = given.get("route", {}).get("phone_region", "US")
    return {name: _feed(reader, (*place, name), table, region) for name, table in found.items()}


def _feed(reader: Reader, place: Place, table: Mapping[str, Any], region: str) -> Feed:
    if not _NAME.fullmatch(place[-1]):
        reader.wrong(place, "is no name of a feed; use up to 64 letters, digits, - and _")
    before = len(reader.problems)
    read = {"phone_region": region, **reader.section(table, place, _KNOWN)}
    read |= {"columns": _columns(reader, (*place, "columns"), read.get("columns", {}))}
    read |= {"when": tuple(_whens(reader, (*place, "when"), read.get("when", ())))}
    feed = _anchored(Feed(name=place[-1], **read), reader.path)
    if len(reader.problems) == before:
        for key, problem in contradictions(feed):
            reader.wrong((*place, key), problem)
    return feed


def contradictions(feed: Feed) -> Iterator[tuple[str, str]]:
    """Keys that are missing or cannot work together, each with what is wrong and what would be right."""
    if not feed.database:
        yield "database", f"is missing; {_URL}"
    if not feed.table and not feed.query:
        yield "table", "is missing, and so is query; name the table that rows are read from"
    if feed.table and feed.query:
        yield "query", "contradicts table; leave one of them out"
    if not feed.key:
        yield "key", "is missing; name the column that tells rows apart"
    if not feed.changed and not feed.new_rows_only:
        yield "changed", "is missing; name the column that moves when a row changes, or write new_rows_only = true"
    if feed.changed and feed.new_rows_only:
        yield "new_rows_only", "contradicts changed; leave one of them out"
    if "email" not in feed.columns:
        yield "columns", 'has no email; write columns = { email = "the column with the address" }'
    if not feed.lists and not feed.when:
        yield "lists", "is missing, and so is when; name the lists that people are put on"
    if not feed.permission_evidence:
        yield "permission_evidence", "is missing; say in a sentence why these people may be mailed"


def _anchored(feed: Feed, path: Path | None) -> Feed:
    """Relative files of a settings file lie beside it, wherever the command is typed."""
    folder = path.parent if path else Path()
    database, ca_file = feed.database, str(folder / feed.ca_file) if feed.ca_file else ""
    if database.startswith("sqlite:///"):
        database = f"sqlite:///{folder / database.removeprefix('sqlite:///')}"
    return replace(feed, database=database, ca_file=ca_file)


# --- single values ---------------------------------------------------------------------------------------------------


def database(value: Any) -> str:
    """The URL of a customer's database. What is refused is not repeated: it may hold a password."""
    try:
        parts = urlsplit(values.text(value).strip())
        known = parts.scheme in SCHEMES and (parts.port is None or parts.port > 0)
    except ValueError:
        raise ValueError(f"is no URL of a database; {_URL}") from None
    if parts.password is not None:
        raise ValueError(f"holds a password; {_VAULT}")
    if not known:
        raise ValueError(f"is in no database that a feed can read; {_URL}")
    socket = parts.scheme == "postgresql" and bool(_SOCKET.fullmatch(parts.query))
    if (parts.query and not socket) or parts.fragment:
        raise ValueError("holds options after ? or #; leave them out: TLS is always proven, ca_file says by whom")
    sqlite = parts.scheme == "sqlite"
    if (sqlite and parts.netloc) or not parts.path.strip("/") or not (sqlite or socket or parts.hostname):
        raise ValueError(f"names no database; {_URL}")
    return str(value).strip()


def query(value: Any) -> str:
    """One statement that reads. The database itself is told to refuse the others; here is said why."""
    bare = _QUOTED.sub(" ", values.text(value)).strip().removesuffix(";")
    if not re.match(r"\(*\s*(select|with)\b", bare, re.IGNORECASE):
        raise ValueError("is no query that reads; begin with SELECT or WITH")
    if ";" in bare:
        raise ValueError("holds several statements; write one SELECT")
    if found := _WRITES.search(bare):
        raise ValueError(f"writes or locks ({' '.join(found[1].split()).upper()}); a feed may only read")
    return str(value).strip()


def key(value: Any) -> str:
    if isinstance(value, list) or (isinstance(value, str) and "," in value):
        raise ValueError(
            "is several columns, and one must tell rows apart; "
            "make one in a query, e.g. SELECT CONCAT(a, '-', b) AS row_key, ..."
        )
    return values.text(value)


def schedule(value: Any) -> str:
    """A cadence, or a cron line of five fields; as it was written."""
    said = " ".join(values.text(value).split())
    if len(said.split()) < 5:
        values.cadence(said)
        return said
    try:
        if len(said.split()) != 5:
            raise CronSimError
        next(CronSim(said, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration):
        raise ValueError('is no cron line; write five fields, e.g. "30 6 * * 1-5", or "daily"') from None
    return said


def lists(value: Any) -> tuple[str, ...]:
    named = tuple(each.strip() for each in values.texts(value))
    if not named or not all(named):
        raise ValueError('names no list; write ["Newsletter"]')
    return named


def day(value: Any) -> str:
    """A date, as TOML has it or as a text."""
    try:
        return (date.fromisoformat(value) if isinstance(value, str) else _date(value)).isoformat()
    except ValueError:
        raise ValueError('is no date; write "2026-01-31"') from None


def region(value: Any) -> str:
    if not re.fullmatch("[A-Z]{2}", values.text(value)):
        raise ValueError('is no country code; write two capital letters, e.g. "US"')
    return str(value)


def _date(value: Any) -> date:
    if type(value) is not date:
        raise ValueError
    return value


def _conditions(value: Any) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError('is no list of conditions; write [{ column = "country", equals = ["US"], lists = ["US"] }]')
    return tuple(value)


# --- what is mapped, and where rows go -------------------------------------------------------------------------------


def _columns(reader: Reader, place: Place, table: Mapping[str, Any]) -> dict[str, str]:
    custom = [name for name in table if name.startswith(CUSTOM) and name.removeprefix(CUSTOM).strip()]
    shown: Mapping[str, Parser] = dict.fromkeys((*FIELDS, *custom), values.text)
    return reader.section(table, place, shown)


def _whens(reader: Reader, place: Place, conditions: tuple[dict[str, Any], ...]) -> Iterator[When]:
    for number, condition in enumerate(conditions, 1):
        here = (*place, str(number))
        before = len(reader.problems)
        given = reader.section(condition, here, _CONDITION)
        if len(reader.problems) > before:
            continue
        if missing := [name for name in ("column", "lists") if name not in given]:
            reader.wrong(here, f"has no {missing[0]}; write {{ column = ..., equals = [...], lists = [...] }}")
        elif ("equals" in given) == ("since" in given or "before" in given):
            reader.wrong(here, "needs equals, or since and before; a condition is of one kind")
        else:
            yield When(**given)


_CONDITION: Mapping[str, Parser] = {
    "column": values.text,
    "equals": lists,
    "since": day,
    "before": day,
    "lists": lists,
}
_KNOWN: Mapping[str, Parser] = {
    "database": database,
    "table": values.text,
    "query": query,
    "key": key,
    "changed": values.text,
    "new_rows_only": values.flag,
    "columns": values.table,
    "lists": lists,
    "when": _conditions,
    "schedule": schedule,
    "zone": values.zone,
    "overlap": values.duration,
    "permission_evidence": values.text,
    "permission_at": values.text,
    "existing": values.choice("update", "lists_only"),
    "ca_file": values.text,
    "phone_region": region,
}
