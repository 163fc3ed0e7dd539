"""The OAuth password grant and its refresh at /Token (Virtuous facts 3)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from keepstep_sandbox.http import Request, Response, answer

LIFETIME = 3599
REFRESH_LIFETIME = 365 * 86400


@dataclass(slots=True)
class _User:
    organization: str
    name: str
    password: str
    otp: str | None


class Grants:
    """Users, access tokens and rotating refresh tokens."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0
        self._users: dict[str, _User] = {}
        self._access: dict[str, tuple[_User, float]] = {}
        self._refresh: dict[str, tuple[_User, float]] = {}

    def add_user(self, organization: str, name: str, password: str, otp: str | None) -> None:
        self._users[name] = _User(organization, name, password, otp)

    def organization(self, token: str, now: float) -> str | None:
        """Whose token this is, while it lives."""
        found = self._access.get(token)
        return found[0].organization if found and now < found[1] else None

    def answer(self, request: Request, now: float) -> Response:
        """A form only; a first try of a user with two factors is 202 (Virtuous facts 3)."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return _refused("unsupported_grant_type", "The grant type is not supported.")
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if form.get("grant_type") == "refresh_token":
            user, until = self._refresh.pop(form.get("refresh_token", ""), (None, 0.0))
            return self._issue(user, now) if user and now < until else _refused("invalid_grant", "Invalid token.")
        if form.get("grant_type") != "password":
            return _refused("unsupported_grant_type", "The grant type is not supported.")
        known = self._users.get(form.get("username", ""))
        if known is None or known.password != form.get("password"):
            return _refused("invalid_grant", "The user name or password is incorrect.")
        code = form.get("otp") or request.headers.get("otp")
        return Response(202) if known.otp is not None and code != known.otp else self._issue(known, now)

    def _issue(self, user: _User, now: float) -> Response:
        access, refresh = self._token("access"), self._token("refresh")
        self._access[access] = (user, now + LIFETIME)
        self._refresh[refresh] = (user, now + REFRESH_LIFETIME)
        value: dict[str, Any] = {
            "access_token": access,
            "token_type": "bearer",
            "expires_in": LIFETIME,
            "refresh_token": refresh,
            "userName": user.name,
            "twoFactorEnabled": str(user.otp is not None),
            ".issued": formatdate(now, usegmt=True),
            ".expires": formatdate(now + LIFETIME, usegmt=True),
        }
        return answer(200, value)

    def _token(self, kind: str) -> str:
        self._count += 1
        return hashlib.sha256(f"{self._seed}:{kind}:{self._count}".encode()).hexdigest()


def _refused(error: str, description: str) -> Response:
    return answer(400, {"error": error, "error_description": description})
