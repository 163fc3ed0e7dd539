"""Whether a delivery was signed with one of the vendor's keys: a detached JWS over the raw body.

RFC 7515 appendix F, RFC 7797.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from keepstep.model.instant import Instant

# A delivery is tried every minute for an hour, and nobody says whether each try is signed anew (CC facts 10.3); five
# minutes more for two clocks that differ.
TOLERANCE = 3900.0
# A stranger chooses how many headers to send and how long they are, and every one is tried with every key.
_MOST_GIVEN, _MOST_KEYS, _LONGEST = 2, 8, 4096
# `ts` is the vendor's own word, which no registry of header names knows; `crit` is still held to what is understood.
_REGISTRY = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)


def verify(body: bytes, given: Sequence[str], keys: Sequence[RSAKey], now: Instant) -> bool:
    """Whether any given text is `<protected header>..<signature>` of the raw body under any key, with `ts` within
    TOLERANCE of now; never raises.

    Only RS256 with `b64` false and `crit` naming it: what else a header asks for is not how the vendor signs (CC facts
    10.3). The header names no key, so each is tried.
    """
    texts = [text for text in given[:_MOST_GIVEN] if len(text) <= _LONGEST and _one_spelling(text)]
    return any(_signed(body, text, key, now) for text in texts for key in keys[:_MOST_KEYS])


def keys_of(published: Any) -> list[RSAKey]:
    """The RSA keys of a published key set; what is no key is left out."""
    rows = published.get("keys") if isinstance(published, Mapping) else None
    found = (_key(row) for row in rows or () if isinstance(row, Mapping) and row.get("kty") == "RSA")
    return [key for key in found if key is not None]


def _key(row: Mapping[str, Any]) -> RSAKey | None:
    try:
        return RSAKey.import_key({"kty": "RSA", "n": row["n"], "e": row["e"]})
    except (JoseError, KeyError, TypeError, ValueError):
        return None


def _signed(body: bytes, text: str, key: RSAKey, now: Instant) -> bool:
    try:
        header = jws.deserialize_compact(text, key, registry=_REGISTRY, payload=body).headers()
    except (JoseError, ValueError, TypeError, KeyError):
        return False
    at = header.get("ts")
    if not isinstance(at, int | float) or isinstance(at, bool) or header.get("b64") is not False:
        return False
    return abs(now - at) <= TOLERANCE


def _one_spelling(text: str) -> bool:
    """Is the body left out, and the signature as base64url spells it? Unused bits of the last letter would give one
    signature many spellings."""
    head, _, rest = text.partition("..")
    if not head or not rest or "." in rest or "." in head:
        return False
    try:
        raw = base64.b64decode(rest + "=" * (-len(rest) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return base64.urlsafe_b64encode(raw).decode().rstrip("=") == rest
