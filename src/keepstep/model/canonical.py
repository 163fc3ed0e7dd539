"""Canonical forms: what is left of a value when everything that vendors rewrite is taken away.

Computed at compare time, never stored.

`VERSION` goes into every fingerprint, so that a library upgrade changes fingerprints and never data.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import phonenumbers

VERSION = 1
FIELDS = ("first_name", "last_name", "email", "phone", "address")
_packed = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode
ADDRESS_PARTS = ("street", "city", "state", "postal", "country")

# Constant Contact cuts these (CC facts 3.2, size limits); a value cut there is a known lossy form.
LIMITS = {"first_name": 50, "last_name": 50, "email": 80, "phone": 25}


@lru_cache(maxsize=4096)
def text(value: str | None) -> str:
    """NFC, trimmed, inner white space folded; empty where there is none."""
    return " ".join(unicodedata.normalize("NFC", value or "").split())


@lru_cache(maxsize=65536)
def email(value: str | None) -> str:
    """Case-folded, the domain in its ASCII form (IDNA)."""
    local, at, domain = text(value).casefold().rpartition("@")
    try:
        return f"{local}{at}{domain.encode('idna').decode()}"
    except UnicodeError:
        return f"{local}{at}{domain}"


@lru_cache(maxsize=65536)
def e164(raw: str | None, region: str = "US") -> str | None:
    """The number in E.164, None where it cannot be one."""
    try:
        number = phonenumbers.parse(raw or "", region)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@lru_cache(maxsize=65536)
def region_of(raw: str | None, region: str = "US") -> str | None:
    """The country of a number, by code; None where it cannot be told. `region`: of one that names none."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(raw or "", region))
    except phonenumbers.NumberParseException:
        return None


def phone(raw: str | None, region: str = "US") -> str:
    """E.164, or the digits where no number can be read."""
    return e164(raw, region) or "".join(sign for sign in raw or "" if sign.isdigit())


@lru_cache(maxsize=4096)
def country(value: str | None) -> str:
    """The ISO 3166 code of a country given by code or by English or own name; else the text, case-folded."""
    return _country_names().get(text(value).casefold().rstrip("."), text(value).casefold())


@lru_cache(maxsize=1)
def _country_names() -> dict[str, str]:
    known = _locales()
    # A name that starts with an asterisk points to another language's.
    names = {name.casefold(): code for code, named in known.items() for name in named.values() if name[0] != "*"}
    names |= {code.casefold(): code for code in known}
    return names | {
        "usa": "US",
        "u.s.a": "US",
        "u.s": "US",
        "united states of america": "US",
        "uk": "GB",
        "england": "GB",
    }


def _locales() -> Mapping[str, Mapping[str, str]]:
    """Country code to its name in each language: one file of phonenumbers, read by itself, since the package that it
    lies in loads the area codes of the whole world first, which takes seconds."""
    path = Path(phonenumbers.__file__).parent / "geodata" / "locale.py"
    spec = spec_from_file_location("phonenumbers.names.locale", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    known: Mapping[str, Mapping[str, str]] = module.LOCALE_DATA
    return known


def address(value: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The five parts of an address, each folded; all empty where there is none."""
    parts = value or {}
    folded = [_part(parts.get(name)) for name in ADDRESS_PARTS[:3]]
    return (*folded, _part(parts.get("postal")).replace(" ", ""), country(parts.get("country")))


@lru_cache(maxsize=4096)
def _part(value: str | None) -> str:
    return " ".join(text(value).casefold().replace(",", " ").replace(".", " ").split())


def canonical(field: str, value: Any, region: str = "US") -> Any:
    """The canonical form of one field's value; falsy for an empty value."""
    if field == "address":
        parts = address(value)
        return parts if any(parts[:4]) else ()
    if field == "phone":
        return phone(value, region)
    return email(value) if field == "email" else text(value)


def same(field: str, one: Any, other: Any, region: str = "US") -> bool:
    """Are two values of one side the same?"""
    return bool(canonical(field, one, region) == canonical(field, other, region))


def fits(field: str, audience: Any, crm: Any, region: str = "US") -> bool:
    """Agreement across the two sides: equal in canonical form, or one is the known lossy form of the other."""
    here, there = canonical(field, audience, region), canonical(field, crm, region)
    if here == there:
        return True
    if field == "address":
        return bool(here and there) and here[:4] == there[:4] and not (here[4] and there[4])
    return bool(here) and len(text(crm)) > LIMITS[field] and same(field, audience, text(crm)[: LIMITS[field]], region)


def fingerprint(value: Any) -> str:
    """A short stable hash of any JSON-able value, bound to the canonicaliser's version."""
    return hashlib.sha256(_packed([VERSION, value]).encode()).hexdigest()[:24]
