"""People to put into the stand-ins: read from a file, or drawn from a seed."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepstep_sandbox.log import CONSTANT_CONTACT
from keepstep_sandbox.world import World

ACCOUNT = "account-1"
ORGANIZATION = "organization-1"
ZONE = "America/New_York"
MOST = 3  # phones and addresses a contact may have (CC facts 3.2)

LISTS = (
    "Monthly Newsletter",
    "Volunteers, Weekend",  # a comma: joined with ", " this name splits in two
    "Donor Updates",
    "Amis de la Forêt",
    "Events",
    "Board & Friends",
    "学校支援",
    "Spring Appeal 2026",
)
_NAMES = (
    ("Amelia", "Okafor"),
    ("Noah", "Lindqvist"),
    ("José", "García Márquez"),
    ("Zoë", "O'Brien-Núñez"),
    ("Łukasz", "Żółkiewski"),
    ("Søren", "Kjærgård"),
    ("Мария", "Иванова"),
    ("Дмитрий", "Соколов"),
    ("美咲", "佐藤"),
    ("健太", "鈴木"),
    ("Ελένη", "Παπαδοπούλου"),
    ("נועה", "לוי"),
    ("ليلى", "حداد"),
    ("Aarav", "Krishnamurthy"),
    ("Chloé", "Lefèvre"),
    ("Nguyễn", "Thị Hồng"),
    ("Anders", "De La Cruz"),
    ("Mary Ann", "van der Berg"),
    ("Ian", "McAllister"),
    ("Ruth", "St. James"),
    ("Ọlá", "Adébáyọ̀"),
    ("지우", "김"),
    ("Ümit", "Yıldız"),
    ("Grace", "Hopewell"),
    ("Tom", "Ashby"),
    ("Wren", "Halloran"),
)
_STREETS = (
    "Maple Street",
    "Harbor Road",
    "Calle Luna",
    "Mill Lane",
    "5th Avenue NW",
    "Old Post Road",
    "Rue des Érables",
)
_TOWNS = (
    ("Burlington", "VT", "05401"), ("Santa Fe", "NM", "87501"), ("Portland", "ME", "04101"), ("Duluth", "MN", "55802"),
    ("Asheville", "NC", "28801"), ("Eugene", "OR", "97401"),
)  # fmt: skip
_KINDS = ("mobile", "home", "work", "other")


@dataclass(slots=True)
class Person:
    """One contact to load: phones as (kind, number), addresses as the API's keys; lists, tags and custom fields by
    name."""

    first_name: str | None
    last_name: str | None
    email: str | None
    permission: str = "implicit"
    phones: list[tuple[str, str]] = field(default_factory=list)
    addresses: list[dict[str, str]] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    custom: dict[str, str] = field(default_factory=dict)


def first_customer(world: World) -> dict[str, Any]:
    """One connected account and one organization; the answer holds their made-up credentials."""
    return {
        "constant_contact": world.connect_account(ACCOUNT, "sandbox-client", "sandbox-client-secret"),
        "virtuous": world.open_organization(ORGANIZATION, "sandbox-virtuous-key", ZONE),
    }


def with_tenant(world: World, vendor: str, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an act with the first customer's account or organization where none is named."""
    tenant = "account_id" if vendor == CONSTANT_CONTACT else "organization"
    wanted = tenant in world.parameters(vendor, name) and tenant not in args
    return {tenant: ACCOUNT if vendor == CONSTANT_CONTACT else ORGANIZATION, **args} if wanted else dict(args)


def read(path: Path) -> list[Person]:
    """People of a file with one JSON object a line. Raises ValueError naming the line."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            if line.strip():
                found.append(of_row(json.loads(line)))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"{path.name}, line {number}: {error}") from error
    return found


def of_row(row: Mapping[str, Any]) -> Person:
    """`phone` and `address` are work, `offices` further ones, `committees` lists, `tags` names, `custom_fields` texts
    by label; other keys are ignored."""
    offices = [office for office in row.get("offices") or () if isinstance(office, Mapping)]
    phones = [("work", row.get("phone")), *(("other", office.get("phone")) for office in offices)]
    places = [("work", row.get("address") or {}), *(("other", _office(office)) for office in offices)]
    return Person(
        **{name: _text(row.get(name)) for name in ("first_name", "last_name", "email")},
        permission=row.get("permission") or "implicit",
        phones=list(dict.fromkeys((kind, str(number)) for kind, number in phones if number))[:MOST],
        addresses=[_address(kind, place) for kind, place in places if place.get("street")][:MOST],
        lists=[str(name) for name in row.get("committees") or ()],
        tags=[str(name) for name in row.get("tags") or ()],
        custom={str(label): str(value) for label, value in dict(row.get("custom_fields") or {}).items() if value},
    )


def _office(office: Mapping[str, Any]) -> dict[str, Any]:
    street = ", ".join(str(part) for part in (office.get("address"), office.get("suite")) if part)
    return {
        "street": street,
        "city": office.get("city"),
        "state": office.get("state"),
        "postal_code": office.get("zip"),
    }


def _address(kind: str, place: Mapping[str, Any]) -> dict[str, str]:
    keys = ("street", "city", "state", "postal_code", "country")
    return {"kind": kind, **{key: str(place[key]) for key in keys if place.get(key)}}


def _text(value: Any) -> str | None:
    return str(value) if value else None


def generated(seed: int, count: int) -> list[Person]:
    """About `count` people: several scripts, couples under one roof, gaps, and a few who may not be mailed."""
    chance = random.Random(f"people:{seed}")
    found: list[Person] = []
    while len(found) < count:
        person = _drawn(chance, len(found))
        found.append(person)
        if len(found) < count and len(found) % 36 == 3:
            found.append(_partner(chance, person, len(found)))
    for place, change in _ODD.items():
        for index in range(place, count, 37):
            change(found[index])
    return found


def newcomer(seed: int, number: int) -> Person:
    """Somebody who was not there at the beginning."""
    return _drawn(random.Random(f"newcomer:{seed}:{number}"), 90_000 + number)


def phone_number(number: int) -> str:
    """A number nobody has: the exchange 555 with a running number."""
    return f"{201 + number // 10_000 * 7 % 700}-555-{number % 10_000:04d}"


def address(number: int, kind: str = "home") -> dict[str, str]:
    """An address nobody has."""
    city, state, postal = _TOWNS[number % len(_TOWNS)]
    street = f"{number + 10} {_STREETS[number % len(_STREETS)]}"
    return {
        "kind": kind,
        "street": street,
        "city": city,
        "state": state,
        "postal_code": postal,
        "country": "United States",
    }


def _drawn(chance: random.Random, number: int) -> Person:
    first, last = _NAMES[chance.randrange(len(_NAMES))][0], _NAMES[chance.randrange(len(_NAMES))][1]
    phones = [(kind, phone_number(number * 4 + place)) for place, kind in enumerate(_KINDS) if chance.random() < 0.5]
    places = [address(number * 3 + place, kind) for place, kind in enumerate(("home", "work")) if chance.random() < 0.7]
    return Person(
        first,
        last,
        f"person{number}@example.org",
        permission=chance.choice(("implicit", "explicit")),
        phones=phones[:MOST],
        addresses=places,
        lists=sorted(chance.sample(LISTS, chance.choice((1, 1, 2, 2, 3)))),
    )


def _partner(chance: random.Random, person: Person, number: int) -> Person:
    """Same roof, same last name, same telephone; never the same first name, which would be the same person to
    anybody."""
    drawn = _drawn(chance, number)
    while drawn.first_name == person.first_name:
        drawn = _drawn(chance, number)
    drawn.last_name, drawn.addresses, drawn.phones = person.last_name, list(person.addresses), list(person.phones)
    return drawn


def _odd(**values: Any) -> Any:
    def change(person: Person) -> None:
        for name, value in values.items():
            setattr(person, name, value)

    return change


# By place in every 37 people, so that 40 people already hold one of each.
_ODD = {
    7: _odd(permission="unsubscribed"),
    11: _odd(email=None, permission="implicit"),
    15: _odd(permission="temp_hold"),
    20: _odd(permission="pending_confirmation"),
    23: _odd(first_name=None),
    26: _odd(phones=[], addresses=[]),
    29: _odd(permission="unsubscribed", phones=[]),
}


def list_names(people: Iterable[Person]) -> list[str]:
    """Every list named, in the order of first mention."""
    return list(dict.fromkeys(name for person in people for name in person.lists))


def load(world: World, rows: Sequence[Person | Mapping[str, Any]]) -> list[str]:
    """Put people and the lists, tags and text fields they name into the first customer's account. Returns the contact
    ids in their order."""
    people = [row if isinstance(row, Person) else of_row(row) for row in rows]
    known = {one["name"]: one["list_id"] for one in world.constant_contact.lists(ACCOUNT) if not one.get("deleted_at")}
    for name in list_names(people):
        if name not in known:
            known[name] = world.act(CONSTANT_CONTACT, "add_list", ACCOUNT, name)
    made = [add(world, person, known) for person in people]
    _label(world, people, made)
    return made


def _label(world: World, people: Sequence[Person], ids: Sequence[str]) -> None:
    """Give everybody their tags and the values of their custom fields, defining what is not there yet."""
    tags = {one["name"]: one["tag_id"] for one in world.constant_contact.tags(ACCOUNT)}
    fields = {one["label"]: one["custom_field_id"] for one in world.constant_contact.custom_fields(ACCOUNT)}
    for person, contact_id in zip(people, ids, strict=True):
        for name in person.tags:
            if name not in tags:
                tags[name] = world.act(CONSTANT_CONTACT, "add_tag", ACCOUNT, name)
            world.act(CONSTANT_CONTACT, "person_tagged", ACCOUNT, contact_id, tags[name])
        for label, value in person.custom.items():
            if label not in fields:
                fields[label] = world.act(CONSTANT_CONTACT, "add_custom_field", ACCOUNT, label)
            world.act(CONSTANT_CONTACT, "set_custom_field", ACCOUNT, contact_id, fields[label], value)


def add(world: World, person: Person, list_ids: Mapping[str, str], age: float = 30 * 86_400.0) -> str:
    """Put one person into the first customer's account, as if `age` seconds ago. Returns the contact id."""
    at = int(world.now - age)
    made = world.act(
        CONSTANT_CONTACT,
        "add_person",
        ACCOUNT,
        first_name=person.first_name,
        last_name=person.last_name,
        email=person.email,
        permission=person.permission,
        phones=person.phones,
        addresses=person.addresses,
        lists=[list_ids[name] for name in person.lists],
        created_at=at,
        updated_at=at,
    )
    return str(made)
