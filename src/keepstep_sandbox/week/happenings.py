"""What can happen to one person in the week. Each returns False while it cannot happen yet; it is then tried again."""

from collections.abc import Callable
from typing import Any

from keepstep_sandbox import people as crowd
from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ORGANIZATION
from keepstep_sandbox.week.scene import Scene

Happening = Callable[[Scene, int], bool]
FRESH = 50_000  # numbers of telephones and addresses that nobody was loaded with
_FIRST = ("Marguerite-Élise", "Bjørn", "Анна", "Siobhán", "太郎", "Wilhelmina", "Ángel", "Priya")
_LAST = ("Sørensen-Vale", "O’Hara", "Петрова", "Castañeda", "山本", "Thistlewood", "Ó Súilleabháin", "Okonkwo")


def edits_name(scene: Scene, who: int) -> bool:
    """The person writes the first name differently at Constant Contact."""
    return edits(scene, who, first_name=_FIRST[who % len(_FIRST)])


def edits_phone(scene: Scene, who: int) -> bool:
    """The telephone number that crosses changes at Constant Contact."""
    phones = [(one["kind"], one["phone_number"]) for one in scene.audience(who)["phone_numbers"]]
    crossing = fields.preferred(scene.audience(who)["phone_numbers"], fields.PHONE_ORDER)
    old = ("mobile", "") if crossing is None else (crossing["kind"], crossing["phone_number"])
    new = (old[0], crowd.phone_number(FRESH + who))
    return edits(scene, who, phones=[new if one == old else one for one in phones] or [new])


def edits_address(scene: Scene, who: int) -> bool:
    """The postal address that crosses changes at Constant Contact."""
    places = scene.audience(who)["street_addresses"]
    crossing = fields.preferred(places, fields.ADDRESS_ORDER)
    keys = ("kind", "street", "city", "state", "postal_code", "country")
    kept = [{key: one[key] for key in keys if key in one} for one in places if one is not crossing]
    new = crowd.address(FRESH + who, "home" if crossing is None else crossing["kind"])
    return edits(scene, who, addresses=[new, *kept])


def changes_email(scene: Scene, who: int) -> bool:
    """The person has a new e-mail address."""
    return scene.crm(who) is not None and edits(scene, who, email=f"moved{who}@example.net")


def joins(scene: Scene, who: int) -> bool:
    """The person joins a list."""
    return moves(scene, who, "person_joins", other_list(scene, who))


def joins_comma(scene: Scene, who: int) -> bool:
    """The person joins a list whose name holds a comma."""
    names = [name for name in scene.list_ids if "," in name and name not in scene.late]
    return moves(scene, who, "person_joins", next((name for name in names if name not in _on(scene, who)), None))


def leaves(scene: Scene, who: int) -> bool:
    """The person leaves one of several lists."""
    return moves(scene, who, "person_leaves", next(iter(_on(scene, who)), None))


def opts_out(scene: Scene, who: int) -> bool:
    """The person unsubscribes; `updated_at` does not move."""
    scene.act(CONSTANT_CONTACT, "person_opts_out", contact_id=scene.ids[who], reason="Too many mails")
    return True


def opts_in(scene: Scene, who: int) -> bool:
    """The person subscribes again by an own act."""
    scene.act(CONSTANT_CONTACT, "person_opts_in", contact_id=scene.ids[who])
    return True


def is_deleted(scene: Scene, who: int) -> bool:
    """Staff delete the contact at Constant Contact, softly."""
    scene.act(CONSTANT_CONTACT, "delete", contact_id=scene.ids[who])
    return True


def is_renamed_first(scene: Scene, who: int) -> bool:
    """Staff write the first name differently in Virtuous."""
    return staff(scene, who, "staff_renames", 1, first_name=_FIRST[(who + 3) % len(_FIRST)])


def is_renamed_last(scene: Scene, who: int) -> bool:
    """Staff write the last name differently in Virtuous."""
    return staff(scene, who, "staff_renames", 1, last_name=_LAST[who % len(_LAST)])


def is_rephoned(scene: Scene, who: int) -> bool:
    """Staff change the telephone number in Virtuous."""
    return staff(scene, who, "staff_sets_phone", 1, number=crowd.phone_number(FRESH + 20_000 + who))


def is_readdressed(scene: Scene, who: int) -> bool:
    """Staff change the postal address in Virtuous."""
    new = crowd.address(FRESH + 20_000 + who)
    parts = {"address1": new["street"], "city": new["city"], "state": new["state"], "postal": new["postal_code"]}
    return staff(scene, who, "staff_sets_address", 0, **parts, address2=None, country="United States")


def is_opted_out(scene: Scene, who: int) -> bool:
    """Staff set isOptedIn to false on the person's e-mail address."""
    return staff(scene, who, "staff_opts", 2, opted_in=False)


def is_tagged(scene: Scene, who: int) -> bool:
    """Staff add the tag of a list that the person is not on."""
    name = other_list(scene, who)
    return name is not None and staff(scene, who, "staff_adds_tag", 0, tag_name=scene.tag_of(name))


def is_untagged(scene: Scene, who: int) -> bool:
    """Staff remove the tag of a list that the person is on."""
    contact = scene.crm(who)
    tags = [scene.tag_of(name) for name in _on(scene, who)]
    present = [tag for tag in tags if contact is not None and tag in contact["tags"]]
    return bool(present) and staff(scene, who, "staff_removes_tag", 0, tag_name=present[0])


def other_list(scene: Scene, who: int) -> str | None:
    """A list with a tag that the person is not on."""
    on = _on(scene, who)
    names = [name for name in scene.list_ids if name not in scene.late and name not in on]
    return names[who % len(names)] if names else None


def _on(scene: Scene, who: int) -> list[str]:
    ids = scene.audience(who)["list_memberships"]
    return [name for name, list_id in scene.list_ids.items() if list_id in ids and name not in scene.late]


def edits(scene: Scene, who: int, **values: Any) -> bool:
    scene.act(CONSTANT_CONTACT, "edit", contact_id=scene.ids[who], **values)
    return True


def moves(scene: Scene, who: int, act: str, name: str | None) -> bool:
    if name is None:
        return False
    scene.act(CONSTANT_CONTACT, act, contact_id=scene.ids[who], list_id=scene.list_ids[name])
    return True


def staff(scene: Scene, who: int, act: str, record: int, **values: Any) -> bool:
    """An act of staff on the person's contact (0), individual (1) or e-mail method (2); False while not linked."""
    found = scene.individual(who)
    if found is None:
        return False
    number = found[record]["id"]
    key = ("contact_id", "individual_id", "method_id")[record]
    scene.world.act(VIRTUOUS, act, **{"organization": ORGANIZATION, key: number}, **values)
    return True
