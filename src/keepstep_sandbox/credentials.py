"""Who is calling: which account a credential stands for, learnt from what the stand-ins hand out."""

import base64
import hashlib
import json
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qsl

from keepstep_sandbox.http import Request, Response
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS


@dataclass(frozen=True, slots=True)
class Caller:
    """`account`: whose data; `key`: whose rate budget; `client`: a fingerprint. All empty for a stranger."""

    account: str = ""
    key: str = ""
    client: str = ""


def is_token(vendor: str, path: str) -> bool:
    """Whether a path is the token endpoint of its vendor."""
    return path.endswith("/token") if vendor == CONSTANT_CONTACT else path == "/Token"


@dataclass(slots=True)
class Credentials:
    """Tokens and keys seen so far."""

    _virtuous: dict[str, str] = field(default_factory=dict)  # API key -> organization
    _refresh: dict[str, tuple[str, str]] = field(default_factory=dict)  # refresh token -> account, client id
    _access: dict[str, tuple[str, str]] = field(default_factory=dict)  # access token -> account, client id

    def key(self, api_key: str, organization: str) -> None:
        """A Virtuous API key."""
        self._virtuous[api_key] = organization

    def grant(self, refresh_token: str, account: str, client_id: str) -> None:
        """A Constant Contact grant."""
        self._refresh[refresh_token] = (account, client_id)

    def caller(self, vendor: str, request: Request) -> Caller:
        """Who sends this request."""
        if vendor == CONSTANT_CONTACT and is_token(vendor, request.path):
            account, client_id = self._refresh.get(_form(request).get("refresh_token", ""), ("", ""))
            return Caller(account, client_id, _fingerprint(client_id or _basic(request)))
        token = request.headers.get("authorization", "").partition(" ")[2].strip()
        if vendor == VIRTUOUS:
            organization = self._virtuous.get(token, "")
            return Caller(organization, organization, _fingerprint(token))
        account, client_id = self._access.get(token, ("", ""))
        return Caller(account, client_id, _fingerprint(token))

    def learn(self, vendor: str, request: Request, response: Response) -> None:
        """A token answer names the next tokens of the same account."""
        if vendor != CONSTANT_CONTACT or response.status != 200 or not is_token(vendor, request.path):
            return
        owner = self._refresh.get(_form(request).get("refresh_token", ""))
        try:
            tokens = json.loads(response.body)
        except ValueError:
            return
        if owner is not None and isinstance(tokens, dict):
            self._access[str(tokens.get("access_token"))] = owner
            self._refresh[str(tokens.get("refresh_token"))] = owner


def _form(request: Request) -> dict[str, str]:
    return request.params() | dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


def _basic(request: Request) -> str:
    coded = request.headers.get("authorization", "").partition(" ")[2]
    try:
        return base64.b64decode(coded, validate=True).decode("utf-8", "replace").partition(":")[0]
    except (Base64Error, ValueError):
        return ""


@lru_cache(maxsize=1024)
def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:10] if text else ""
