"""How a grant comes: a person consents in a browser, or types the code of a device in, or gives name and password.

Each ends in what the token endpoint said, to be stored only once the account behind it is known to be the right one.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from keepstep.model.errors import Blocked, Refused
from keepstep.model.instant import Instant
from keepstep.ports import HttpAnswer
from keepstep.tokens.answers import object_of, seconds_of, understood
from keepstep.tokens.endpoint import Client, Endpoint

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
# The usual ones of this server family where the answer says none (CC facts 2.5; RFC 8628).
_DEVICE_SECONDS, _INTERVAL, _SLOWER = 600.0, 5.0, 5.0
Tokens = Mapping[str, Any]


def authorize_url(endpoint: Endpoint, client: Client, redirect: str, state: str, verifier: str) -> str:
    """Where a browser is sent. A public application proves itself by the verifier (PKCE, S256); a confidential one by
    its secret, since nobody says that both go together (CC facts 2.5)."""
    asked = {
        "client_id": client.client_id.reveal(),
        "redirect_uri": redirect,
        "response_type": "code",
        "scope": " ".join(endpoint.oauth.scopes),
        "state": state,
    }
    if client.secret is None:
        asked |= {"code_challenge": challenge(verifier), "code_challenge_method": "S256"}
    return f"{endpoint.url.rstrip('/')}{endpoint.oauth.authorize}?{urlencode(asked)}"


def challenge(verifier: str) -> str:
    """What a verifier is known by before it is shown."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


async def redeemed(endpoint: Endpoint, client: Client, code: str, redirect: str, verifier: str) -> Tokens:
    """What the code of a consent is worth. Raises Refused where it is worth nothing any more, else as `understood`."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
    if client.secret is None:
        form["code_verifier"] = verifier
    said = understood(await endpoint.ask(form, client))
    if said is None:
        raise Refused(400, "the code was used or is older than five minutes; begin again")
    return said


@dataclass(frozen=True, slots=True)
class Device:
    """A device that waits for its person: what to type in and where, how often to ask, until when."""

    device_code: str
    user_code: str
    uri: str
    whole_uri: str | None
    every: float
    until: Instant


async def device(endpoint: Endpoint, client: Client, now: Instant) -> Device:
    """Ask for a code. Raises as `understood`, and Blocked where the answer holds none."""
    form = {"scope": " ".join(endpoint.oauth.scopes), "response_type": "device_code"}
    answer = await endpoint.post(endpoint.oauth.device or "", {**form, "client_id": client.client_id.reveal()}, client)
    said = object_of(answer.body)
    names = ("device_code", "user_code", "verification_uri")
    if answer.status != 200:
        understood(answer)
    if not all(isinstance(said.get(name), str) and said[name] for name in names):
        raise Blocked("refused", "the vendor gives no code for a device; connect in a browser instead")
    whole = said.get("verification_uri_complete")
    return Device(
        device_code=str(said["device_code"]),
        user_code=str(said["user_code"]),
        uri=str(said["verification_uri"]),
        whole_uri=whole if isinstance(whole, str) else None,
        every=seconds_of(said.get("interval")) or _INTERVAL,
        until=now + (seconds_of(said.get("expires_in")) or _DEVICE_SECONDS),
    )


async def allowed(endpoint: Endpoint, client: Client, waiting: Device) -> tuple[Tokens | None, float]:
    """The tokens, or None and after how many seconds to ask again. Raises Refused where nobody said yes."""
    form = {"grant_type": DEVICE, "device_code": waiting.device_code}
    answer = await endpoint.ask({**form, "client_id": client.client_id.reveal()}, client)
    error = object_of(answer.body).get("error")
    if error in ("authorization_pending", "slow_down"):
        return None, waiting.every + (_SLOWER if error == "slow_down" else 0.0)
    if error in ("access_denied", "expired_token"):
        how = "said no" if error == "access_denied" else "did not answer in time"
        raise Refused(400, f"the person {how}; begin again")
    said = understood(answer)
    if said is None:
        raise Refused(400, "the vendor does not know the code any more; begin again")
    return said, 0.0


async def with_password(endpoint: Endpoint, name: str, password: str, code: str | None) -> Tokens | None:
    """The tokens; None where a second factor is asked for: a code went to the person's phone (Virtuous facts 3)."""
    form = {"grant_type": "password", "username": name, "password": password}
    answer: HttpAnswer = await endpoint.ask(form | ({"otp": code} if code else {}), None)
    if answer.status == 202:
        return None
    said = understood(answer)
    if said is None:
        raise Refused(400, "name, password or code are refused; try again")
    return said
