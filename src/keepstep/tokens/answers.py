"""What a token endpoint says."""

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

from keepstep.model.errors import Blocked, Transient, Unanswered
from keepstep.model.instant import Instant
from keepstep.ports import HttpAnswer

_ABSURD_LIFETIME = 10 * 365 * 86400.0
# Constant Contact's endpoint is an OAuth one: only `error` is to be relied on, never the words (CC facts 2.4).
_CLIENT_ERRORS = {"invalid_client", "unauthorized_client"}


def understood(answer: HttpAnswer) -> Mapping[str, Any] | None:
    """The granted tokens, None for invalid_grant.

    Raises Transient, Unanswered (a yes that cannot be read) or Blocked.
    """
    said = object_of(answer.body)
    if answer.status == 200:
        if not isinstance(said.get("access_token"), str) or not said["access_token"]:
            raise Unanswered("the token endpoint's answer holds no access token", status=200)
        return said
    if answer.status == 429 or answer.status < 400 or answer.status >= 500:
        raise Transient(
            f"token endpoint answered {answer.status}", seconds_of(answer.headers.get("retry-after")), answer.status
        )
    if said.get("error") == "invalid_grant":
        return None
    if said.get("error") in _CLIENT_ERRORS:
        raise Blocked("client_refused", "the vendor refuses client_id or client_secret; store them again")
    raise Blocked("refused", f"token endpoint answered {answer.status}; check the application in the vendor's portal")


def object_of(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def lifetime(said: Mapping[str, Any], now: Instant) -> float:
    """Seconds to live.

    `expires_in` (number or string), else the JWT's `exp`, else until refused; no constant (CC facts 2.3).
    """
    named = seconds_of(said.get("expires_in"))
    if named is not None:
        return named
    until = seconds_of(_claims(said["access_token"]).get("exp"))
    return max(until - now, 0.0) if until is not None else _ABSURD_LIFETIME


def _claims(token: str) -> Mapping[str, Any]:
    try:
        middle = token.split(".")[1]
        return object_of(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (IndexError, ValueError):
        return {}


def seconds_of(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
