"""What every transaction really changed: triggers on the simulated disk tell it, whatever statement did it."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from keepstep_simulator.story import digested

Touched = tuple[str, str, dict[str, Any]]
_MINE = "customer_id"
# Only what checkers read: the log of a week holds a hundred thousand statements. JSON columns are the text as stored.
COLUMNS: dict[str, tuple[str, ...]] = {
    "customer": (_MINE, "state"),
    "connection": (_MINE, "platform", "account_id", "health", "reason"),
    "secret": (_MINE, "platform", "field", "updated", "key_id", "nonce", "ciphertext"),
    "slot": (_MINE, "wake", "lease_until", "holder", "fence"),
    "delivery": (_MINE, "id", "platform", "received", "state", "body"),
    "alias": (_MINE, "platform", "record_id", "party_id", "standing", "reason"),
    "party": (_MINE, "party_id", "rev"),
    "snapshot": (_MINE, "platform", "record_id", "read_no", "read_at", "whole", "stamp"),
    "act": (
        *(_MINE, "id", "party_id", "platform", "record_id", "kind", "direction", "after", "before", "at", "source"),
        *("seen_at", "previous", "seal"),
    ),
    "entry": (_MINE, "party_id", "lane", "due", "arrived", "rev", "tries"),
    "step": (
        *(_MINE, "id", "party_id", "side", "kind", "target", "lane", "grp", "since", "due", "tries", "hold", "job_id"),
        "inferred",
    ),
    "submission": (_MINE, "record_id", "party_id", "state", "since"),
    "job": (_MINE, "id", "side", "grp", "kind", "state", "vendor_id", "look_at", "sent_at"),
    "permit": ("key", "n", "free_at", "day", "used", "stop"),
    "mark": (_MINE, "platform", "name", "mark", "cursor", "due"),
    "label": (_MINE, "list_id", "list_name", "tag_id", "tag_name", "state", "reason", "kind"),
    "field": (_MINE, "field_id", "state", "reason"),
    "journal": (_MINE, "id", "at", "party_id", "kind", "data"),
    "dead_letter": (_MINE, "id", "party_id", "at", "side", "kind", "reason", "tries", "state", "resolved"),
    "plan": (_MINE, "state", "first"),
    "inferred": (_MINE, "party_id", "side", "target", "fingerprint", "kind", "why", "since", "state"),
    "reconciliation": (_MINE, "id", "run", "at", "category", "resolution"),
    "run": (_MINE, "id", "kind", "state"),
    "stranger": (_MINE, "record_id", "standing", "reason"),
    "alert": (_MINE, "id", "at", "kind", "subject", "state", "times", "closed"),
}
_STAMP = "coalesce(json_extract({row}.body, '$.updated_at'), json_extract({row}.body, '$.modifiedDateTimeUtc'))"
touched: list[Touched] = []


def watch(disk: sqlite3.Connection) -> None:
    """Tell this module of every row that changes from now on. The triggers lie on the disk itself."""
    listen(disk)
    for table, columns in COLUMNS.items():
        for verb, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            values = ", ".join(_value(table, column, row) for column in columns)
            told = f"SELECT witness('{table}', '{verb}', {values})"
            disk.execute(f'CREATE TRIGGER "witness_{table}_{verb}" AFTER {verb} ON "{table}" BEGIN {told}; END')


def listen(disk: sqlite3.Connection) -> None:
    """Make the function known that a watched disk's triggers call; needed on every connection."""
    disk.create_function("witness", -1, _noted)


def _value(table: str, column: str, row: str) -> str:
    return _STAMP.format(row=row) if (table, column) == ("snapshot", "stamp") else f'{row}."{column}"'


def _noted(table: str, verb: str, *values: Any) -> None:
    touched.append(touch(table, verb, values))


def touch(table: str, verb: str, values: Sequence[Any]) -> Touched:
    """A row as checkers read it. `values`: in the order of COLUMNS."""
    row = dict(zip(COLUMNS[table], values, strict=True))
    if table == "delivery":
        row["body"] = digested(row["body"].decode("utf-8", "replace"))
    return table, verb, row


def take() -> tuple[Touched, ...]:
    """What was noted since `forget`."""
    return tuple(touched)


def forget() -> None:
    """A transaction begins, or ended without effect."""
    touched.clear()
