"""Changes of one record as values: where it is, whether it is already so, what goes back. PUT may replace or patch
(Virtuous facts 6), so everything else goes back as it was just read. Pure: `destination` does the calls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keepstep.connectors.virtuous.api import segment
from keepstep.connectors.virtuous.mapping import ADDRESS_PARTS, Reader, custom_fields, street
from keepstep.model import canonical
from keepstep.model.change import Step
from keepstep.model.custom import Binding, CustomField, same

Raw = Mapping[str, Any]

# What a PUT of a person takes (Virtuous facts 11), and three names that the API shows since 2023 (facts 7.2).
PERSON = (
    *("firstName", "lastName", "prefix", "middleName", "suffix", "gender", "birthMonth", "birthDay", "birthYear"),
    *("approximateAge", "isDeceased", "deceasedDate", "passion", "avatarUrl", "prefix2", "preMarriageName", "nickname"),
)
CONTACT = (
    *("contactType", "name", "informalName", "description", "website", "maritalStatus", "anniversaryMonth"),
    *("anniversaryDay", "anniversaryYear", "originSegmentId", "isPrivate"),
)
ADDRESS = ("label", "address1", "address2", *ADDRESS_PARTS, "startMonth", "startDay", "endMonth", "endDay")
METHOD = ("type", "value", "isOptedIn")
NAMES = {"first_name": "firstName", "last_name": "lastName"}


@dataclass(frozen=True, slots=True)
class Edit:
    """`fits`: it is so already. `stale`: somebody else changed it. `told`: its values by the payload's names."""

    path: str
    fits: Callable[[Raw], bool]
    changed: Callable[[Raw], Raw]
    told: Callable[[Raw], Raw]
    stale: Callable[[Raw], bool] = lambda _: False
    urgent: bool = False


Plan = Callable[[Step], Edit]


def value(field: str) -> Plan:
    """A new value for an email address or a phone. Consent is never touched here."""

    def plan(step: Step) -> Edit:
        wanted, was = step.payload["value"], step.payload.get("was")
        return Edit(
            path=_method_path(step),
            fits=lambda raw: canonical.same(field, _text(raw, "value"), wanted),
            changed=lambda raw: _method_model(raw) | {"value": wanted},
            told=lambda raw: {"method": step.payload["method"], "value": _text(raw, "value")},
            stale=lambda raw: bool(was) and not canonical.fits(field, was, _text(raw, "value")),
        )

    return plan


def consent(step: Step) -> Edit:
    """The opt-in of one method: the call that opts a person out (Virtuous facts 11)."""
    wanted = bool(step.payload["opted_in"])
    return Edit(
        path=_method_path(step),
        fits=lambda raw: Reader(raw, []).flag("isOptedIn") is wanted,
        changed=lambda raw: _method_model(raw) | {"isOptedIn": wanted},
        told=lambda raw: {"opted_in": Reader(raw, []).flag("isOptedIn")},
        urgent=True,
    )


def person(step: Step) -> Edit:
    """Names of an individual; deceased, birth, collections and the rest go back as read."""
    wanted = {key: step.payload[field] for field, key in NAMES.items() if step.payload.get(field) is not None}
    was = step.payload.get("was") or {}
    return Edit(
        path=f"/api/ContactIndividual/{segment(step.payload['individual'])}",
        fits=lambda raw: all(canonical.same("first_name", _text(raw, key), name) for key, name in wanted.items()),
        changed=lambda raw: _person_model(raw) | wanted,
        told=lambda raw: {"first_name": _text(raw, "firstName"), "last_name": _text(raw, "lastName")},
        stale=lambda raw: (
            not all(
                canonical.fits(field, was.get(field), _text(raw, key))
                for field, key in NAMES.items()
                if key in wanted and was
            )
        ),
    )


def address(step: Step) -> Edit:
    """The parts of an address that the step names; its label stays."""
    was = step.payload.get("was")
    return Edit(
        path=f"/api/ContactAddress/{segment(step.payload['address'])}",
        fits=lambda raw: same_address(raw, step.payload),
        changed=lambda raw: _address_model(raw) | _address_parts(raw, step.payload),
        told=told_address,
        stale=lambda raw: bool(was) and not canonical.fits("address", was, told_address(raw)),
    )


def custom(known: Mapping[str, CustomField]) -> Plan:
    """Values of custom fields by name; all else of the contact goes back as read, the other fields too.

    `known`: the organization's definitions by name; a value of an unknown one is text.
    """

    def holds(raw: Raw, values: Raw) -> bool:
        there = dict(custom_fields(Reader(raw, [])))
        return all(_same(known.get(name), there.get(name), value) for name, value in values.items())

    def plan(step: Step) -> Edit:
        wanted, was = step.payload["values"], step.payload.get("was") or {}
        return Edit(
            path=f"/api/Contact/{segment(step.payload['contact'])}",
            fits=lambda raw: holds(raw, wanted),
            changed=lambda raw: _contact_model(raw) | {"customFields": _fields(custom_values(raw) | wanted)},
            told=lambda raw: {"values": {name: custom_values(raw).get(name) for name in wanted}},
            stale=lambda raw: not holds(raw, was),
        )

    return plan


def _same(one: CustomField | None, there: str | None, value: str | None) -> bool:
    """Whether two values of a field are one; the vendor may write a value in another form than was sent."""
    if one is None:
        return canonical.text(there) == canonical.text(value)
    return same(Binding(audience=one, crm=one), there, value)


def custom_values(raw: Raw) -> dict[str, Any]:
    """The values of a record's custom fields by name, as read (Virtuous facts 7.5)."""
    value = raw.get("customFields")
    items = value if isinstance(value, list) else []
    named = {item["name"]: item.get("value") for item in items if isinstance(item, Mapping) and item.get("name")}
    return dict(value) if isinstance(value, Mapping) else named


def _fields(values: Raw) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items() if value is not None]


def same_address(raw: Raw, payload: Raw) -> bool:
    """Whether every part that the step names is there."""
    there = told_address(raw)
    named = {key: part for key, part in payload.items() if key in canonical.ADDRESS_PARTS and part is not None}
    return canonical.address(there | named) == canonical.address(there)


def told_address(raw: Raw) -> dict[str, Any]:
    """An address record by the names of the step's payload."""
    read = Reader(raw, [])
    return {"address": read.id(), "street": street(read), **{key: read.text(key) for key in ADDRESS_PARTS}}


def _text(raw: Raw, name: str) -> str | None:
    return Reader(raw, []).text(name)


def _method_path(step: Step) -> str:
    return f"/api/ContactMethod/{segment(step.payload['method'])}"


def _kept(raw: Raw, names: tuple[str, ...]) -> dict[str, Any]:
    """Empty values are left out: they lose nothing, and "" is no date and no number."""
    return {name: raw[name] for name in names if raw.get(name) not in (None, "")}


def _primary(raw: Raw, which: str = "Primary") -> dict[str, Any]:
    return {f"setAs{which}": Reader(raw, []).flag(f"is{which}") is True}


def _method_model(raw: Raw) -> dict[str, Any]:
    return _kept(raw, METHOD) | _primary(raw)


def _person_model(raw: Raw) -> dict[str, Any]:
    return _kept(raw, PERSON) | _primary(raw) | _primary(raw, "Secondary") | _extras(raw)


def _contact_model(raw: Raw) -> dict[str, Any]:
    return _kept(raw, CONTACT) | _extras(raw)


def _extras(raw: Raw) -> dict[str, Any]:
    """What a customer added to the record: lists of names and values (Virtuous facts 7.1, 7.5)."""
    read = Reader(raw, [])
    sets = [(item["customCollectionName"], item.values("fields")) for item in read.items("customCollections")]
    return {
        "customFields": _fields(custom_values(raw)),
        "customCollections": [{"name": name, "fields": inner} for name, inner in sets],
    }


def _address_model(raw: Raw) -> dict[str, Any]:
    return _kept(raw, ADDRESS) | _primary(raw)


def _address_parts(raw: Raw, payload: Raw) -> dict[str, Any]:
    """A second line stays only where it is a part of the wanted street."""
    parts = {key: payload[key] for key in ADDRESS_PARTS if payload.get(key) is not None}
    wanted = payload.get("street")
    if wanted is not None and canonical.text(wanted) != canonical.text(street(Reader(raw, []))):
        parts |= {"address1": wanted} | ({"address2": ""} if raw.get("address2") else {})
    return parts
