"""What a webhook about contacts names. The vendor has none; the recipe describes one (CC facts 10, 11).

Its topics for technology partners, which do exist, name an account and no contact (CC facts 10.1).
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from keepstep.connectors.constant_contact.api import decode
from keepstep.model.errors import Refused
from keepstep.ports import Notice

# Of the vendor's earlier scheme, base64 of the HMAC-SHA256 of the raw body; its present one signs for partners only
# and with the vendor's own key (CC facts 10.3).
SIGNATURE_HEADER = "x-ctct-hmac-sha256"
LARGEST = 10_000_000
_PARTNER_ACCOUNT = re.compile(r"/partner/accounts/([^/?#]+)")


def parse_delivery(body: bytes) -> list[Notice]:
    """The contacts that a delivery names, each once; none for a partner's topic. Raises Refused for what is no
    delivery."""
    if len(body) > LARGEST:
        raise Refused(413, "the delivery is too large")
    try:
        events = _events(decode(body))
    except ValueError as problem:
        raise Refused(400, "the delivery is no JSON") from problem
    if not all(is_event(event) for event in events):
        raise Refused(400, "the delivery names no event")
    named = dict.fromkeys(name for event in events if (name := text_of(event, "contactid")))
    return [Notice("contact", name) for name in named]


def account_of(body: bytes) -> str | None:
    """The account that a body names, None where it names none. Of several all, joined: that is nobody's account."""
    try:
        events = _events(decode(body))
    except ValueError:
        return None
    found = dict.fromkeys(name for event in events for name in accounts_in(event))
    return ",".join(found) or None


def signatures(headers: Mapping[str, str]) -> list[str]:
    """The values of the header that holds the signature."""
    return [value for name, value in headers.items() if name.lower() == SIGNATURE_HEADER]


def is_event(value: object) -> bool:
    """An object that names an event or a contact."""
    return isinstance(value, Mapping) and bool(text_of(value, "eventtype") or text_of(value, "contactid"))


def account_in(event: object) -> str | None:
    """The first of the accounts that an event names."""
    return next(iter(accounts_in(event)), None)


def accounts_in(event: object) -> list[str]:
    """By its own keys, and from the path of a partner's `url`, whose host is never called (CC facts 10.1)."""
    if not isinstance(event, Mapping):
        return []
    path = _PARTNER_ACCOUNT.search(text_of(event, "url") or "")
    named = [*texts_of(event, "accountid"), *texts_of(event, "encodedaccountid"), *([unquote(path[1])] if path else [])]
    return list(dict.fromkeys(named))


def text_of(event: Mapping[str, Any], name: str) -> str | None:
    """The first value of a key."""
    return next(iter(texts_of(event, name)), None)


def texts_of(event: Mapping[str, Any], name: str) -> list[str]:
    """`contact_id`, `contactId` and `Contact-ID` are one: nobody has published a body."""
    values = (value for key, value in event.items() if "".join(filter(str.isalnum, key.lower())) == name)
    plain = (str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool))
    return [value for value in plain if value.strip()]


def _events(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
