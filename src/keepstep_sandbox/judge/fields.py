"""The judge's own table of fields and its own normalisation; nothing of it is taken from the service under test."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Of several phones or addresses of a contact one crosses: the first of the first kind there is.
PHONE_ORDER = ("mobile", "home", "work", "other")
ADDRESS_ORDER = ("home", "work", "other")
TAG_PREFIX = "CC: "
REFERENCE_SOURCE = "Constant Contact"
NAMES = (("first_name", "firstName"), ("last_name", "lastName"))
ADDRESS_PARTS = ("street", "city", "state", "postal_code", "country")

_COUNTRIES = {
    "us": "united states", "usa": "united states", "unitedstatesofamerica": "united states", "ca": "canada",
    "gb": "united kingdom", "uk": "united kingdom", "mx": "mexico", "au": "australia", "de": "germany", "fr": "france",
    "nz": "new zealand", "ie": "ireland",
}  # fmt: skip


def name(value: Any) -> str:
    """A name counts letter by letter; only Unicode form and outer space do not."""
    return unicodedata.normalize("NFC", str(value)).strip() if value is not None else ""


def email(value: Any) -> str:
    """An address without regard to case."""
    return unicodedata.normalize("NFC", str(value)).strip().casefold() if value else ""


def phone(value: Any) -> str:
    """The digits, without a leading North American 1."""
    digits = re.sub(r"\D", "", str(value or ""))
    return digits[1:] if len(digits) == 11 and digits.startswith("1") else digits


def place(value: Any) -> str:
    """A part of an address: letters and digits of any script, without case."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", str(value or "")).casefold())


def country(value: Any) -> str:
    """A country by name, whether a code or a name was given."""
    return place(_COUNTRIES.get(place(value), value))


Address = tuple[str, ...]


def audience_address(raw: Mapping[str, Any]) -> Address:
    """A Constant Contact address by parts, in the order of ADDRESS_PARTS."""
    return (*(place(raw.get(part)) for part in ADDRESS_PARTS[:4]), country(raw.get("country")))


def crm_address(raw: Mapping[str, Any]) -> Address:
    """A Virtuous address by the same parts; both lines are the street."""
    street = f"{raw.get('address1') or ''} {raw.get('address2') or ''}"
    parts = (street, raw.get("city"), raw.get("state") or raw.get("stateCode"), raw.get("postal"))
    return (*(place(part) for part in parts), country(raw.get("country") or raw.get("countryCode")))


def preferred(items: Sequence[Mapping[str, Any]], order: Iterable[str]) -> Mapping[str, Any] | None:
    """The one of several phones or addresses that crosses."""
    return next((item for kind in order for item in items if item.get("kind") == kind), None)


def is_email(method: Mapping[str, Any]) -> bool:
    """Whether a Virtuous method holds an e-mail address."""
    return "email" in str(method.get("type", "")).casefold().replace("-", "")


def is_phone(method: Mapping[str, Any]) -> bool:
    """Whether a Virtuous method holds a telephone number; a fax is none."""
    return "phone" in str(method.get("type", "")).casefold()
