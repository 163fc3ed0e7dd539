"""The small read-only doors: account summary, privileges, tags, custom fields (CC facts 2.2, 6.3, 6.4, 9)."""

from typing import Any

from keepstep_sandbox.constant_contact import paging
from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.dates import stamp
from keepstep_sandbox.http import Request, Response, answer

_PRIVILEGES = ("contacts:read", "contacts:write", "contacts:lists:read", "contacts:lists:write", "ui:campaign:metrics")


def summary(account: Account, _request: Request, _now: float) -> Response:
    """The tenant is `encoded_account_id`."""
    names = {
        "organization_name": f"Organization {account.account_id}",
        "country_code": "US",
        "time_zone_id": "US/Eastern",
    }
    return answer(200, {"encoded_account_id": account.account_id, **names})


def privileges(_account: Account, _request: Request, _now: float) -> Response:
    """What the consenting user may do."""
    return answer(200, [{"privilege_id": 30 + at, "privilege_name": name} for at, name in enumerate(_PRIVILEGES)])


def tags(account: Account, request: Request, _now: float) -> Response:
    """A page of tags."""
    return _page(account, request, account.tags, "tags", 500)


def custom_fields(account: Account, request: Request, _now: float) -> Response:
    """A page of custom fields."""
    return _page(account, request, account.custom_fields, "custom_fields", 100)


def _page(account: Account, request: Request, rows: list[dict[str, Any]], name: str, most: int) -> Response:
    query = paging.read(request, account.switches, 50, most)
    begin, end = paging.window(len(rows), query, account.switches)
    page = {name: [_dated(one, account.switches["date_dialect"]) for one in rows[begin:end]]}
    path = "/v3/contact_tags" if name == "tags" else "/v3/contact_custom_fields"
    return answer(200, page | paging.links(path, query, end < len(rows), account.switches))


def _dated(row: dict[str, Any], dialect: str) -> dict[str, Any]:
    return {name: stamp(one, dialect, name) if name.endswith("_at") else one for name, one in row.items()}
