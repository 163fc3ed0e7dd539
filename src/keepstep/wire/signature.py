"""Whether a delivery was signed with one of our secrets."""

import base64
import hashlib
import hmac
from collections.abc import Sequence

_PREFIX = "sha256="
# A stranger chooses how many headers to send, and every one is compared with every secret.
_MOST_GIVEN = 8


def verify(body: bytes, given: Sequence[str], secrets: Sequence[bytes]) -> bool:
    """Whether any given text is the HMAC-SHA256 of the raw body under any secret; never raises, takes the same time
    for any text.

    Base64 (standard alphabet, padded or not) or hex, with or without `sha256=`: Virtuous documents both (Virtuous
    facts 13.4), Constant Contact's `x-ctct-hmac-sha256` is base64 (CC facts 10.3). Texts are compared, not decoded
    bytes, so that one signature has one spelling.
    """
    texts = [_bare(text) for text in given[:_MOST_GIVEN]]
    found = False
    for secret in secrets:
        for expected in _spellings(hmac.new(secret, body, hashlib.sha256)):
            for text in texts:
                # An empty secret is a setting nobody made: anybody can sign with it.
                found |= hmac.compare_digest(text, expected) and bool(secret)
    return found


def _bare(text: str) -> bytes:
    return text.strip(" \t").removeprefix(_PREFIX).encode("utf-8", "surrogatepass")


def _spellings(mac: "hmac.HMAC") -> tuple[bytes, ...]:
    padded = base64.b64encode(mac.digest())
    hexadecimal = mac.hexdigest()
    return padded, padded.rstrip(b"="), hexadecimal.encode(), hexadecimal.upper().encode()
