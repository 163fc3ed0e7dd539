"""What both vendors hold before the week begins: custom fields of every kind, tags, an odd list, odd people.

`TABLE` is what the nonprofit set up: which fields go together by name is for the service to find out.
"""

from dataclasses import dataclass
from typing import Any

from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import Person
from keepstep_sandbox.week.scene import Scene

ODD_LIST = "Friends; Neighbours"  # joined with ";" this name splits in two (Virtuous facts 10.1)
TAGS = ("Major Donor", "Board; Emeritus", "Trail Crew, Spring")
SEGMENT = "CONSTANT-CONTACT-SYNC"
EVERY = 3  # every so many people fill in the custom fields, and twice as many have a tag


@dataclass(frozen=True, slots=True)
class Pair:
    """A custom field at Constant Contact and, where `name` says so, one in Virtuous that looks like the same."""

    label: str
    kind: str
    name: str = ""
    data_type: str = ""
    choices: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


TABLE = (
    Pair("Favorite Program", "string", "favorite_program", "Text"),
    Pair("Member Since", "date", "Member Since", "Date"),
    Pair("Volunteer Hours", "number", "Volunteer Hours", "Number"),
    Pair("Legacy Circle", "boolean", "legacy circle", "Boolean"),
    # An option is one only letter by letter; "2XL" and "small" are none (Virtuous facts 7.5).
    Pair(
        *("Shirt Size", "single_select", "Shirt Size", "Dropdown"),
        choices=("Small", "Medium", "Large", "2XL"),
        options=("Small", "Medium", "Large", "Extra Large"),
    ),
    Pair("Interests", "multi_select", "Interests", "Text", choices=("Trails", "Schools", "Rivers, Lakes")),
    Pair("Shoe Size", "string"),  # nothing in Virtuous goes by this name
    Pair("Table Number", "string", "Table Number", "Number"),  # the kinds do not carry each other
)
# Values by field, as people fill them in; the first few are the ones that everybody begins with.
VALUES: dict[str, tuple[Any, ...]] = {
    "Favorite Program": ("River clean-up", "Школа и сад", "Food & Shelter", "Night Walks"),
    "Member Since": ("2019-04-07", "2021-11-30", "2024-02-29", "2015-01-05"),
    "Volunteer Hours": ("12", "40", "1200", "7"),
    "Legacy Circle": ("true", "false"),
    "Shirt Size": ("Small", "Large", "2XL", "Medium"),
    "Interests": (["Trails"], ["Trails", "Rivers, Lakes"], ["Schools"]),
    "Shoe Size": ("44", "38"),
    "Table Number": ("by the window", "12"),
}
# What staff write for the same fields in Virtuous.
STAFF_VALUES = {
    "favorite_program": "Gala",
    "Member Since": "2010-09-01",
    "Volunteer Hours": "99",
    "legacy circle": "true",
    "Shirt Size": "Extra Large",
    "Interests": "Gardening",
}


def lay(scene: Scene) -> None:
    """Set everything up. Contact tags get their counterparts only where the route carries them."""
    _segment(scene)
    _odd_list(scene)
    for pair in TABLE:
        _field(scene, pair)
    for name in TAGS:
        scene.tag_ids[name] = scene.act(CONSTANT_CONTACT, "add_tag", name=name)
        if scene.tags_prefix:
            scene.act(VIRTUOUS, "add_tag", name=scene.tags_prefix + name)
    _fill(scene)
    _odd_people(scene)


def _segment(scene: Scene) -> None:
    if knows_segment(scene):
        scene.act(VIRTUOUS, "add_segment", code=SEGMENT)


def knows_segment(scene: Scene) -> bool:
    """Every third organization does not know the segment of our imports when the week begins."""
    return scene.world.seed % 3 != 0


def _odd_list(scene: Scene) -> None:
    scene.list_ids[ODD_LIST] = scene.act(CONSTANT_CONTACT, "add_list", name=ODD_LIST)
    scene.act(VIRTUOUS, "add_tag", name=fields.TAG_PREFIX + ODD_LIST)
    for who, person in enumerate(scene.people):
        if who % (3 * EVERY) == 1 and person.permission in ("implicit", "explicit"):
            scene.act(CONSTANT_CONTACT, "person_joins", contact_id=scene.ids[who], list_id=scene.list_ids[ODD_LIST])


def _field(scene: Scene, pair: Pair) -> None:
    made = scene.act(CONSTANT_CONTACT, "add_custom_field", label=pair.label, kind=pair.kind, choices=pair.choices)
    scene.field_ids[pair.label] = made
    if pair.name:
        values = {"name": pair.name, "data_type": pair.data_type, "options": pair.options}
        scene.act(VIRTUOUS, "add_custom_field", **values)


def _fill(scene: Scene) -> None:
    for who, person in enumerate(scene.people):
        turn = who // EVERY
        for place, (label, values) in enumerate(VALUES.items()):
            if who % EVERY == 0 and _says_something(person) and (turn + place) % 2:
                sets_field(scene, who, label, values[(turn // 2 + place) % len(values)])
        if who % (2 * EVERY) == 2:
            scene.tagged.add(who)
            tag_id = scene.tag_ids[TAGS[who // (2 * EVERY) % len(TAGS)]]
            scene.act(CONSTANT_CONTACT, "person_tagged", contact_id=scene.ids[who], tag_id=tag_id)


def _says_something(person: Person) -> bool:
    return bool(person.email and person.first_name)


def sets_field(scene: Scene, who: int, label: str, value: Any) -> bool:
    """A person's value of a field at Constant Contact; whether it is another one than before."""
    values = {"contact_id": scene.ids[who], "field_id": scene.field_ids[label], "value": value}
    return bool(scene.act(CONSTANT_CONTACT, "set_custom_field", **values))


def _odd_people(scene: Scene) -> None:
    """Records with words that no document knows (CC facts 12): one not mailable, one mailable."""
    at = int(scene.world.now - 40 * 86_400)
    whole = {"created_at": at, "updated_at": at, "loyalty_tier": {"name": "gold", "since": None}}
    strange = {"address": "odd-one@example.org", "permission_to_send": "paused_by_vendor", "channel": 7}
    scene.act(CONSTANT_CONTACT, "add_person", first_name="Odd", last_name="One", email_address=strange, **whole)
    phones = [{"phone_number_id": "p-1", "kind": "satellite", "phone_number": "+88 16 555 0199"}]
    scene.act(
        CONSTANT_CONTACT,
        "add_person",
        first_name="Odd",
        last_name="Two",
        email="odd-two@example.org",
        phone_numbers=phones,
        create_source="Landing Page",
        **whole,
    )
