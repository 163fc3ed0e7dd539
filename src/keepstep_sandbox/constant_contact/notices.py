"""Deliveries to a technology partner: who signs them, and when they are tried again (CC facts 10.3)."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from keepstep_sandbox.constant_contact.webhooks import ATTEMPTS, DELAY, RETRY, ContactDelivery

V2_SIGNATURE = "x-ctct-hmac-sha256"
V3_SIGNATURE = "X-CTCT-WEBHOOK-SIG"


@dataclass(slots=True)
class PartnerNotices:
    """What waits to be posted, and the vendor's own key. Nothing is sent from here; ids are below zero."""

    _waiting: list[ContactDelivery] = field(default_factory=list)
    _taken: dict[int, ContactDelivery] = field(default_factory=dict)
    _keys: list[rsa.RSAPrivateKey] = field(default_factory=list)
    _count: int = 0

    def queue(self, edition: str, uri: str, body: bytes, known: Mapping[str, str], now: float) -> None:
        """Sign and queue one event; every try carries the first one's signature."""
        headers = {"Content-Type": "application/json", **self.signature(edition, body, known, now)}
        self._count -= 1
        self._waiting.append(ContactDelivery(self._count, now + DELAY, "", uri, headers, body))

    def signature(self, edition: str, body: bytes, known: Mapping[str, str], now: float) -> dict[str, str]:
        """The header that proves who sends this."""
        if edition == "v2":
            mac = hmac.new(known.get("api_secret", "").encode(), body, hashlib.sha256)
            return {V2_SIGNATURE: base64.b64encode(mac.digest()).decode()}
        head = _b64(json.dumps({"alg": "RS256", "b64": False, "crit": ["b64"], "ts": int(now)}).encode())
        signed = self._key().sign(head.encode() + b"." + body, padding.PKCS1v15(), hashes.SHA256())
        return {V3_SIGNATURE: f"{head}..{_b64(signed)}"}

    def rotate(self) -> None:
        """Sign with a new key."""
        self._keys.append(rsa.generate_private_key(public_exponent=65537, key_size=2048))

    def published(self) -> dict[str, Any]:
        """The public key set: an elliptic key that signs nothing, and ours, without a name."""
        numbers = self._key().public_key().public_numbers()
        mine = {"kty": "RSA", "use": "sig", "n": _number(numbers.n), "e": _number(numbers.e)}
        return {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, mine]}

    def due(self, now: float) -> list[ContactDelivery]:
        """Take what is due; a delivery that is never reported on is lost."""
        if not self._waiting:
            return []
        ready = [one for one in self._waiting if one.due <= now]
        self._waiting = [one for one in self._waiting if one.due > now]
        self._taken |= {one.id: one for one in ready}
        return ready

    def delivered(self, delivery: ContactDelivery, status: int | None, now: float) -> None:
        """Without a success code it is tried again every minute for an hour."""
        one = self._taken.pop(delivery.id, None)
        if one is None or (status is not None and 200 <= status < 300) or one.attempt >= ATTEMPTS:
            return
        again = ContactDelivery(one.id, now + RETRY, "", one.url, one.headers, one.body, one.attempt + 1)
        self._waiting.append(again)

    def next_due(self) -> float | None:
        """When the next delivery falls due."""
        return min([one.due for one in self._waiting]) if self._waiting else None

    def _key(self) -> rsa.RSAPrivateKey:
        if not self._keys:
            self.rotate()
        return self._keys[-1]


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))
