"""A feed: rows of a customer's SQL table that become people on lists of the audience side.

A feed only adds. It never takes anybody off a list, never blanks a field, never lifts an opt-out, and what a person or
the nonprofit's staff did since a row was imported stands: a row is imported once per version and list.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from keepstep.model.instant import Instant

# The queue's word for a row; no party of the sync begins so.
PREFIX = "row:"
KIND = "import"
# What a column may be mapped to; besides `custom:NAME`, a custom field of the audience side by its name.
FIELDS = ("email", "first_name", "last_name", "phone", "street", "city", "state", "postal", "country")
CUSTOM = "custom:"

State = Literal["waiting", "sent", "done", "left_out", "parked", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Rows whose `column` holds one of `equals`, or lies from `since` until before `before` (dates), go to these
    lists."""

    column: str
    lists: tuple[str, ...]
    equals: tuple[str, ...] = ()
    since: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What a customer's settings say of one feed.

    database: its URL without the password, which the vault has. table or query: where rows come from. key: the column
    that tells rows apart. changed: the column that moves when a row changes, read again with `overlap` seconds;
    new_rows_only: instead of it, a known key is never looked at again. columns: field (FIELDS or custom:NAME) to
    column. lists: ids or names of every row's lists; when: of some rows'. schedule: a cadence in seconds ("1d", "15m",
    "daily") or a cron line, in `zone`, which is also what times without a zone are in. permission_evidence: the
    nonprofit's own words why these people may be mailed; permission_at: the column that says when a row's person said
    so. existing: whether people who are there already get the row's fields, or only the lists. ca_file: who vouches for
    the database's certificate, where that is not one of the system's authorities. phone_region: of numbers without a
    country code.
    """

    name: str
    database: str = ""
    table: str = ""
    query: str = ""
    key: str = ""
    changed: str = ""
    new_rows_only: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    lists: tuple[str, ...] = ()
    when: tuple[When, ...] = ()
    schedule: str = "1d"
    zone: str = "UTC"
    overlap: float = 600.0
    permission_evidence: str = ""
    permission_at: str = ""
    existing: Literal["update", "lists_only"] = "update"
    ca_file: str = ""
    phone_region: str = "US"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as mapped. version: a hash of `fields`, `lists` and `permission_at`. `fields`: FIELDS and custom:NAME, as
    text and as written, without empty ones. `lists` as the settings name them: ids or names. `address`: the canonical
    email, None where it is none that mail can go to. `problem`: why the row can never be imported as it is: no_key,
    unreadable (a value that is no text), no_email, bad_email, long_email, no_list. key: as it stands in the table, so
    that somebody who may see the fields finds the row again; None where it has none."""

    row_id: str
    version: str
    key: str | None = None
    address: str | None
    fields: Mapping[str, Any]
    lists: tuple[str, ...]
    permission_at: Instant | None = None
    problem: str | None = None


def row_id(key: str) -> str:
    """What a row is known by: its key may be an address, which has no place in a log or a queue."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def party_id(feed: str, row: str) -> str:
    """A row's place in the queue."""
    return f"{PREFIX}{feed}:{row}"


def is_row(party: str) -> bool:
    return party.startswith(PREFIX)
