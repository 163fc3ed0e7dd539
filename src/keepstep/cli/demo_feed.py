"""The demo's SQL table: its settings, and what the service says of its rows."""

from pathlib import Path
from typing import Any

FEED = "members"
# The stand-ins' week makes the table and writes into it (week/table.py there).
SETTINGS = """
[customers.acme.feeds.members]
database = "sqlite:///{path}"
table = "members"
key = "id"
changed = "changed_at"
schedule = "30m"
lists = ["Members of our database"]
permission_evidence = "asked at the desk; the date is in agreed_at"
permission_at = "agreed_at"

[customers.acme.feeds.members.columns]
email = "email"
first_name = "first_name"
last_name = "last_name"
phone = "phone"
street = "street"
city = "city"
state = "state"
postal = "postal_code"
country = "country"
"""
MOST = 100_000


async def claims(settings: Path, customer: str) -> list[dict[str, Any]]:
    """What the service says of every row: {key, state, reason}. It knows rows by hashes of their keys alone."""
    from keepstep.cli.service import open_service
    from keepstep.model.feed import row_id
    from keepstep.settings import load
    from keepstep.wiring import feeds

    async with open_service(load(settings, {})) as service:
        found = await feeds.rows(service, customer, FEED, None, MOST, shown=False)
    keys = {row_id(f"key:{number}"): str(number) for number in range(1, 2000)}
    return [
        {"key": keys.get(one["row"], one["row"]), **{name: one[name] for name in ("state", "reason")}} for one in found
    ]
