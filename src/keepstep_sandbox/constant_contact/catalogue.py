"""The account itself: its summary, and what the consenting user may do (CC facts 2.2, 9)."""

from keepstep_sandbox.constant_contact.account import Account
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


def privileges(account: Account, _request: Request, _now: float) -> Response:
    """What the consenting user may do; roles are a second gate beside scopes (CC facts 2.2)."""
    lacking = ("ui:campaign:metrics",) if account.switches["reports_scope"] == "no_privilege" else ()
    names = [name for name in _PRIVILEGES if name not in lacking]
    return answer(200, [{"privilege_id": 30 + at, "privilege_name": name} for at, name in enumerate(names)])
