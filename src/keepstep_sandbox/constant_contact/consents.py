"""What people consent to: codes of the authorization and of the device flow (CC facts 2.1, 2.5)."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

CODE_LIFE = 300.0  # CC facts 2.1
DEVICE_LIFE, INTERVAL = 600.0, 5.0  # the usual ones of this server family (CC facts 2.5)
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Refused(Exception):
    """An OAuth error: its word, and words for people."""

    def __init__(self, error: str, words: str) -> None:
        super().__init__(error)
        self.error, self.words = error, words


@dataclass(frozen=True, slots=True)
class Consented:
    """An account's owner said yes to a scope."""

    account_id: str
    scope: str


@dataclass(slots=True, eq=False)
class _Code:
    client_id: str
    redirect: str
    challenge: str
    consented: Consented
    expires: float
    used: bool = False


@dataclass(slots=True, eq=False)
class _Device:
    client_id: str
    user_code: str
    scope: str
    expires: float
    asked: float = float("-inf")
    consented: Consented | None = None
    denied: bool = False


class Consents:
    """Codes that are out. `mint` makes an unguessable text."""

    def __init__(self, mint: Callable[[], str]) -> None:
        self._mint = mint
        self._codes: dict[str, _Code] = {}
        self._devices: dict[str, _Device] = {}

    def code(self, account_id: str, asked: Mapping[str, str], now: float) -> str:
        """The code of a consent that was asked for with these parameters."""
        code = self._mint()
        consented = Consented(account_id, asked.get("scope", "").replace("+", " "))
        challenge = asked.get("code_challenge", "")
        self._codes[code] = _Code(asked["client_id"], asked["redirect_uri"], challenge, consented, now + CODE_LIFE)
        return code

    def device(self, client_id: str, scope: str, now: float) -> dict[str, object]:
        """A device asks; a person types its code in elsewhere."""
        code, user_code = self._mint(), self._mint()[:8].upper().replace("-", "X").replace("_", "Y")
        self._devices[code] = _Device(client_id, user_code, scope, now + DEVICE_LIFE)
        return {"device_code": code, "user_code": user_code, "expires_in": int(DEVICE_LIFE), "interval": int(INTERVAL)}

    def waiting(self, user_code: str, now: float) -> bool:
        """Does a device wait for this code?"""
        return self._device(user_code, now) is not None

    def decide(self, user_code: str, account_id: str | None, now: float) -> None:
        """The person's answer to a device: an account, or None for no. Raises KeyError for an unknown code."""
        device = self._device(user_code, now)
        if device is None:
            raise KeyError(user_code)
        device.denied = account_id is None
        device.consented = Consented(account_id, device.scope) if account_id is not None else None

    def redeem(self, client_id: str, confidential: bool, values: Mapping[str, str], now: float) -> Consented:
        """What a code is worth. Raises Refused."""
        if values.get("grant_type") == "authorization_code":
            return self._redeemed(client_id, confidential, values, now)
        if values.get("grant_type") == DEVICE_GRANT:
            return self._asked(client_id, values.get("device_code", ""), now)
        raise Refused("unsupported_grant_type", "The grant type is not supported.")

    def _redeemed(self, client_id: str, confidential: bool, values: Mapping[str, str], now: float) -> Consented:
        """Once, for five minutes, by the application that asked, with the same redirect, by who knows the verifier."""
        code = self._codes.get(values.get("code", ""))
        right = code is not None and not code.used and now < code.expires and code.client_id == client_id
        if code is None or not right or values.get("redirect_uri") != code.redirect:
            raise Refused("invalid_grant", "The authorization code is invalid or has expired.")
        if (code.challenge or not confidential) and not _proves(values.get("code_verifier", ""), code.challenge):
            raise Refused("invalid_grant", "PKCE verification failed.")
        code.used = True
        return code.consented

    def _asked(self, client_id: str, device_code: str, now: float) -> Consented:
        device = self._devices.get(device_code)
        if device is None or device.client_id != client_id:
            raise Refused("invalid_grant", "The device code is unknown.")
        if now >= device.expires:
            raise Refused("expired_token", "The device code has expired.")
        if device.denied:
            raise Refused("access_denied", "The resource owner denied the request.")
        too_soon, device.asked = now - device.asked < INTERVAL, now
        if device.consented is None:
            raise Refused("slow_down" if too_soon else "authorization_pending", "The device authorization is pending.")
        del self._devices[device_code]
        return device.consented

    def _device(self, user_code: str, now: float) -> _Device | None:
        typed = user_code.strip().upper()
        alive = [one for one in self._devices.values() if one.user_code == typed and now < one.expires]
        return alive[0] if alive else None


def _proves(verifier: str, challenge: str) -> bool:
    """PKCE with S256 (CC facts 2.5)."""
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return bool(challenge) and hmac.compare_digest(made, challenge)
