"""Whether a feed can be read as it is set up, and what will not go well: in words with a remedy, without any row's
values."""

import difflib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text

from keepstep.connectors.sql_table import stamps
from keepstep.connectors.sql_table.mapping import Unreadable, is_address, plain
from keepstep.connectors.sql_table.source import Source
from keepstep.connectors.sql_table.statements import names, nothing_of, rows_of
from keepstep.database.foreign import Foreign
from keepstep.model.canonical import email
from keepstep.model.errors import Misconfigured
from keepstep.model.feed import Feed

# So many rows say whether the mapping fits.
_SOME = 100
# What is less like the name than that is no slip: last_name for first_name would send somebody the wrong way.
_LIKE = 0.75
_NOTHING = "; its user sees no table there: correct `database`, or grant it SELECT"
# Clocks of two machines may differ by so much.
_AHEAD = 900.0
_NO_ORDER = (
    "is in an inexact type (FLOAT, REAL): a page could not end at it; name another column, or cast it in a query"
)


def problems(feed: Feed, foreign: Foreign, source: Source) -> list[str]:
    """What keeps it from being read."""
    source.rest()
    try:
        return list(_problems(feed, foreign, source))
    except Misconfigured as problem:
        return _missing_table(feed, foreign) or list(problem.problems)


def warnings(feed: Feed, foreign: Foreign, source: Source) -> list[str]:
    """What can be read and will not go well. Nothing where it cannot be read."""
    if problems(feed, foreign, source):
        return []
    return [*_of_keys(feed, foreign), *_of_stamps(feed, foreign, source), *_of_addresses(feed, foreign)]


def _problems(feed: Feed, foreign: Foreign, source: Source) -> Iterator[str]:
    there = [name for name, _ in foreign.described(nothing_of(feed, every=True))]
    missing = [name for name in names(feed) if name not in there]
    for name in missing:
        yield f"there is no column {name}{_near(name, there)}"
    if missing:
        return
    kinds = source.kinds()
    for role, name in (("key", feed.key), ("changed", feed.changed)):
        if name and kinds[name] == "float":
            yield f"{role}: the column {name} {_NO_ORDER}"
    if not foreign.is_read_only():
        yield "the database does not keep its transaction read-only; have a user made that may only SELECT"


def _missing_table(feed: Feed, foreign: Foreign) -> list[str]:
    """Where it is the table that is not there: what is like it."""
    if not feed.table:
        return []
    schema, _, name = feed.table.rpartition(".")
    try:
        with foreign.asking():
            looked = foreign.inspector()
            there = [*looked.get_table_names(schema or None), *looked.get_view_names(schema or None)]
    except Misconfigured:
        return []
    return [] if name in there else [f"there is no table {feed.table}{_near(name, there)}"]


def _near(name: str, there: Sequence[str]) -> str:
    folded = {each.casefold(): each for each in there}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=_LIKE)
    if near:
        return f"; did you mean {folded[near[0]]}?"
    return f"; there are {', '.join(sorted(there)[:20])}" if there else _NOTHING


# --- what will not go well -------------------------------------------------------------------------------------------


def _of_keys(feed: Feed, foreign: Foreign) -> Iterator[str]:
    if feed.query:
        yield "nobody can see whether a query's key is unique and its change column has an index; make sure of both"
    else:
        yield from _of_indexes(feed, foreign)
    source = rows_of(feed)
    if nameless := foreign.all(select(func.count()).select_from(source).where(source.c[feed.key].is_(None)))[0][0]:
        yield f"{_rows(nameless)} no {feed.key}: not imported; fill it"
    if feed.changed:
        never = foreign.all(select(func.count()).select_from(source).where(source.c[feed.changed].is_(None)))[0][0]
        if never:
            yield f"{_rows(never)} no {feed.changed}: read again in every round; give them a stamp"


def _rows(count: int) -> str:
    return "1 row has" if count == 1 else f"{count} rows have"


def _of_indexes(feed: Feed, foreign: Foreign) -> Iterator[str]:
    schema, _, name = feed.table.rpartition(".")
    with foreign.asking():
        looked = foreign.inspector()
        primary = looked.get_pk_constraint(name, schema or None)["constrained_columns"]
        unique: list[Sequence[str | None]] = [
            each["column_names"] for each in looked.get_unique_constraints(name, schema or None)
        ]
        indexes = looked.get_indexes(name, schema or None)
        columns = {each["name"]: each for each in looked.get_columns(name, schema or None)}
    unique += [each["column_names"] for each in indexes if each["unique"]]
    if [feed.key] not in (primary, *unique):
        yield f"the key {feed.key} is not declared unique: two rows with one key would overwrite each other"
    first = {each["column_names"][0] for each in indexes if each["column_names"]} | set(primary[:1])
    if feed.changed and feed.changed in columns and feed.changed not in first:
        yield f"{feed.changed} has no index: each page sorts the whole table; make an index on it and {feed.key}"


def _of_stamps(feed: Feed, foreign: Foreign, source: Source) -> Iterator[str]:
    if not feed.changed:
        return
    column = rows_of(feed).c[feed.changed]
    some = select(column).where(column.is_not(None)).order_by(column.desc()).limit(_SOME)
    newest = [row[0] for row in foreign.all(some)]
    kind, now = source.kinds()[feed.changed], foreign.now()
    if len({_form(value) for value in newest}) > 1:
        yield f"{feed.changed} holds stamps of several forms: their order as text is not that of time; write one form"
    at = [stamps.instant_of(value, kind, feed.zone) for value in newest]
    if at and at[0] is not None and at[0] > now + _AHEAD:
        yield f"{feed.changed} has stamps in the future: they are mistyped, or `zone` ({feed.zone}) is wrong"
    if kind in ("stamp", "date") and (shown := _shown_elsewhere(feed, foreign)):
        yield f"{feed.changed} has no zone, the server's clock shows {shown} and `zone` is {feed.zone}; is that right?"


def _form(value: object) -> object:
    """What texts in one order have in common."""
    if not isinstance(value, str):
        return "number" if isinstance(value, int | float) else type(value)
    return "".join("0" if sign.isdigit() else sign for sign in value[:19]), value[19:].lstrip(".0123456789")


def _shown_elsewhere(feed: Feed, foreign: Foreign) -> str:
    """The server's own offset from UTC in minutes, as text, where the feed's zone has another one; else nothing.

    Stamps that the server itself writes into a column without a zone are in its own.
    """
    offsets = {
        "mysql": "SELECT TIMESTAMPDIFF(MINUTE, UTC_TIMESTAMP(),"
        " CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', @@global.time_zone))",
        "postgresql": "SELECT CAST(extract(epoch FROM p.utc_offset) / 60 AS int) FROM pg_timezone_names AS p"
        " JOIN pg_settings AS s ON s.reset_val = p.name WHERE s.name = 'TimeZone'",
    }
    if foreign.dialect not in offsets:
        return ""
    found = [row[0] for row in foreign.all(text(offsets[foreign.dialect]))]
    here = datetime.fromtimestamp(foreign.now(), UTC).astimezone(ZoneInfo(feed.zone)).utcoffset()
    minutes = int(here.total_seconds() // 60) if here else 0
    return f"UTC{found[0]:+d} min" if found and found[0] is not None and abs(found[0] - minutes) > 1 else ""


def _of_addresses(feed: Feed, foreign: Foreign) -> Iterator[str]:
    column = rows_of(feed).c[feed.columns["email"]]
    some = [row[0] for row in foreign.all(select(column).limit(_SOME))]
    wrong = sum(not is_address(email(_text(value))) for value in some)
    if some and wrong > len(some) / 2:
        yield f"{wrong} of the first {len(some)} rows have no email address in {feed.columns['email']}; is it mapped?"


def _text(value: object) -> str | None:
    try:
        return plain(value)
    except Unreadable:
        return None
