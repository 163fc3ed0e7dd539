"""The token service: application keys, grants, refresh tokens that work once (CC facts 2.3, 2.4).

What a person consents to in a browser, or with a code of a device, is consents.py.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from keepstep_sandbox.constant_contact.consents import Consented, Consents, Refused
from keepstep_sandbox.constant_contact.dates import DAY, seconds
from keepstep_sandbox.constant_contact.limits import Limiter
from keepstep_sandbox.http import Request, Response, answer
from keepstep_sandbox.switches import Switches

IDLE_LIFE = 180 * DAY
LIFETIMES = {"86400": 86_400, "28800": 28_800, "short": 300}
SCOPE = "account_read contact_data campaign_data offline_access"
SCOPE_WITHOUT_CAMPAIGNS = "account_read contact_data offline_access"


@dataclass(slots=True, eq=False)
class AppKey:
    """One application of the developer portal, with its limits. Without a secret it is a public one (PKCE, device)."""

    client_id: str
    secret: str
    redirects: tuple[str, ...] = ()
    limiter: Limiter = field(default_factory=Limiter)
    last_token_call: float = float("-inf")


@dataclass(slots=True, eq=False)
class Grant:
    """What one consent gave: a family of refresh tokens, of which one is current."""

    account_id: str
    app: AppKey
    current: str
    issued: float
    revoked: bool = False
    superseded: dict[str, float] = field(default_factory=dict)  # token -> when it was superseded


@dataclass(frozen=True, slots=True)
class Access:
    """A live access token's meaning."""

    account_id: str
    app: AppKey
    expires: float


class TokenService:
    """Grants and access tokens of every account."""

    def __init__(self, switches: Switches, seed: int) -> None:
        self._switches, self._seed, self._minted = switches, seed, 0
        self.apps: dict[str, AppKey] = {}
        self._grants: dict[str, Grant] = {}  # by account
        self._by_refresh: dict[str, Grant] = {}
        self._access: dict[str, Access] = {}
        self.consents = Consents(self._refresh_token)

    def register(self, client_id: str, secret: str, redirects: tuple[str, ...]) -> None:
        """What the developer portal knows of an application."""
        app = self.apps.setdefault(client_id, AppKey(client_id, secret))
        app.secret, app.redirects = secret, redirects

    def consent(self, account_id: str, client_id: str, secret: str, now: float) -> str:
        """Connect an account to an application key; a new consent replaces the old grant. Returns the refresh token."""
        app = self.apps.setdefault(client_id, AppKey(client_id, secret))
        app.secret = secret
        return self._granted(account_id, app, now).current

    def _granted(self, account_id: str, app: AppKey, now: float) -> Grant:
        self.revoke(account_id)
        grant = Grant(account_id, app, self._refresh_token(), now)
        self._grants[account_id] = self._by_refresh[grant.current] = grant
        return grant

    def revoke(self, account_id: str) -> None:
        """The user takes the consent back; access tokens already out live on until they expire."""
        if account_id in self._grants:
            self._grants[account_id].revoked = True

    def access(self, token: str) -> Access | None:
        """What a bearer token stands for, expired ones too; None for a token never issued."""
        return self._access.get(token)

    def handle(self, request: Request, now: float) -> Response:
        """POST /oauth2/default/v1/token; values may come in the query or in a form body (CC facts 2.1)."""
        if request.method != "POST":
            return answer(405, {"error": "invalid_request", "error_description": "POST only"})
        values = request.params() | dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        app = self._app(request, values)
        if app is None:
            return answer(401, {"error": "invalid_client", "error_description": "Client authentication failed."})
        if now - app.last_token_call < 1.0:
            return answer(429, {"error": "too_many_requests", "error_description": "API rate limit exceeded"})
        app.last_token_call = now
        if values.get("grant_type") == "refresh_token":
            return self._refresh(app, values.get("refresh_token", ""), now)
        try:
            found = self.consents.redeem(app.client_id, bool(app.secret), values, now)
        except Refused as refused:
            return answer(400, {"error": refused.error, "error_description": refused.words})
        return self._first(app, found, now)

    def _first(self, app: AppKey, found: Consented, now: float) -> Response:
        """What a consent gives: a refresh token only where it was asked for (CC facts 2.1, 2.2)."""
        grant = self._granted(found.account_id, app, now)
        issued = self._issue(grant, now)
        if "offline_access" in found.scope.split():
            return issued
        return answer(200, {name: value for name, value in issued.json().items() if name != "refresh_token"})

    def _app(self, request: Request, values: dict[str, str]) -> AppKey | None:
        client_id, secret = values.get("client_id", ""), values.get("client_secret", "")
        kind, _, coded = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                client_id, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
            except ValueError:
                return None
        app = self.apps.get(client_id)
        return app if app is not None and app.secret == secret else None  # a public application has none

    def _refresh(self, app: AppKey, token: str, now: float) -> Response:
        grant = self._by_refresh.get(token)
        if grant is None or grant.app is not app or not self._usable(grant, token, now):
            return answer(
                400, {"error": "invalid_grant", "error_description": "The refresh token is invalid or expired."}
            )
        if self._switches["refresh_mode"] == "rotating" and token == grant.current:
            grant.superseded[token] = now
            grant.current = self._refresh_token()
            self._by_refresh[grant.current] = grant
        grant.issued = now
        return self._issue(grant, now)

    def _usable(self, grant: Grant, token: str, now: float) -> bool:
        if grant.revoked:
            return False
        if token == grant.current:
            return now - grant.issued < IDLE_LIFE
        if now - grant.superseded[token] < float(self._switches["refresh_grace"]):
            return True
        if self._switches["refresh_reuse"] == "revokes_family":
            grant.revoked = True
        return False

    def _issue(self, grant: Grant, now: float) -> Response:
        lifetime = LIFETIMES[self._switches["access_token_lifetime"]]
        token = self._access_token(grant, now, lifetime)
        self._access[token] = Access(grant.account_id, grant.app, now + lifetime)
        return answer(
            200,
            {
                "token_type": "Bearer",
                "expires_in": str(lifetime) if self._switches["expires_in_type"] == "string" else lifetime,
                "access_token": token,
                "scope": self._scope(),
                "refresh_token": grant.current,
            },
        )

    def _scope(self) -> str:
        """What the user consented to (CC facts 2.2)."""
        return SCOPE_WITHOUT_CAMPAIGNS if self._switches["reports_scope"] == "missing" else SCOPE

    def _digest(self) -> bytes:
        self._minted += 1
        return hashlib.sha256(f"{self._seed}:token:{self._minted}".encode()).digest()

    def _refresh_token(self) -> str:
        return _b64(self._digest())

    def _access_token(self, grant: Grant, now: float, lifetime: int) -> str:
        """JWT-shaped, with the claims of CC facts 2.3; the signature is noise, since nobody has the vendor's key."""
        digest = self._digest()
        claims = {
            "ver": 1,
            "jti": f"AT.{digest.hex()}",
            "iss": "https://identity.constantcontact.com/oauth2/aus1lm3ry9mF7x2Ja0h8",
            "aud": "https://api.cc.email/v3",
            "iat": seconds(now),
            "exp": seconds(now) + lifetime,
            "cid": grant.app.client_id,
            "uid": f"00u{digest.hex()[:17]}",
            "scp": self._scope().split(),
            "sub": f"user-{grant.account_id}",
            "platform_user_id": digest.hex()[:32],
        }
        head = _b64(b'{"kid":"sandbox","alg":"RS256"}')
        return f"{head}.{_b64(json.dumps(claims).encode())}.{_b64(digest * 8)}"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
