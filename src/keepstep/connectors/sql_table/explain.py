"""What `keepstep explain` prints for a row whose columns are named as the fields that they are mapped to."""

from typing import Any

from keepstep.connectors.sql_table.mapping import mapped
from keepstep.model.canonical import e164
from keepstep.model.feed import CUSTOM, FIELDS, Feed

PLATFORM = "sql_table"
_KEY = "id"


def explain(value: Any) -> list[dict[str, Any]]:
    """One entry a row; `id` is its key."""
    return [_row(each) for each in (value if isinstance(value, list) else [value])]


def _row(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {"platform": PLATFORM, "record_type": "unknown", "record_id": None, "warnings": ["not_a_record"]}
    columns = {name: name for name in value if name in FIELDS or name.startswith(CUSTOM)}
    feed = Feed(name="", key=_KEY, columns=columns, lists=("any",))
    row = mapped(feed, {**value, _KEY: ""}, 0.0)
    fields = dict(row.fields)
    phone, address = fields.get("phone"), {name: fields[name] for name in FIELDS[4:] if name in fields}
    return {
        "platform": PLATFORM,
        "record_type": "row",
        "record_id": value.get(_KEY),
        "email": fields.get("email"),
        "consent": "unknown",
        "deleted": False,
        "first_name": fields.get("first_name"),
        "last_name": fields.get("last_name"),
        "phones": [{"kind": "other", "raw": phone, "e164": e164(phone)}] if phone else [],
        "addresses": [address] if address else [],
        "custom_fields": {name.removeprefix(CUSTOM): each for name, each in fields.items() if name.startswith(CUSTOM)},
        "warnings": [row.problem] if row.problem else [],
    }
