"""Custom fields and tags of contacts, on both sides, and lists that get another name."""

from collections.abc import Callable

from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.week import ground
from keepstep_sandbox.week.happenings import Happening, moves, staff
from keepstep_sandbox.week.scene import Scene


def fills_in(label: str) -> Happening:
    """The person's custom field changes at Constant Contact."""

    def happens(scene: Scene, who: int) -> bool:
        values = ground.VALUES[label]
        turned = [values[(who + step) % len(values)] for step in range(len(values))]
        return any(ground.sets_field(scene, who, label, value) for value in turned)

    return happens


def clears(scene: Scene, who: int) -> bool:
    """A custom field is emptied at Constant Contact; that does not travel."""
    ground.sets_field(scene, who, "Interests", "")
    return True


def is_filled_in(scene: Scene, who: int) -> bool:
    """Staff write one of the custom fields in Virtuous."""
    names = list(ground.STAFF_VALUES)
    name = names[who % len(names)]
    return staff(scene, who, "staff_sets_custom", 0, name=name, value=ground.STAFF_VALUES[name])


def gets_tag(scene: Scene, who: int) -> bool:
    """Staff at Constant Contact tag the person."""
    return _tags(scene, who, "person_tagged", lambda on: not on)


def loses_tag(scene: Scene, who: int) -> bool:
    """Staff at Constant Contact take a tag off."""
    return _tags(scene, who, "person_untagged", lambda on: on)


def is_marked(scene: Scene, who: int) -> bool:
    """Staff in Virtuous add a tag that stands for one of Constant Contact's."""
    on = scene.audience(who)["taggings"]
    name = next(one for one in ground.TAGS if scene.tag_ids[one] not in on)
    return staff(scene, who, "staff_adds_tag", 0, tag_name=scene.tags_prefix + name)


def joins_odd(scene: Scene, who: int) -> bool:
    """The person joins the list whose name holds a semicolon, or leaves it."""
    on = scene.list_ids[ground.ODD_LIST] in scene.audience(who)["list_memberships"]
    return moves(scene, who, "person_leaves" if on else "person_joins", ground.ODD_LIST)


def renames_list(scene: Scene) -> bool:
    """Staff at Constant Contact give a list another name; its tag keeps the old one."""
    name = next(one for one in scene.list_ids if one not in scene.late and one != ground.ODD_LIST)
    scene.rename(name, f"{name} (new)")
    return True


def adds_segment(scene: Scene) -> bool:
    """Staff make the segment of our imports where there is none yet."""
    scene.act(VIRTUOUS, "add_segment", code=ground.SEGMENT)
    return True


def _tags(scene: Scene, who: int, act: str, wanted: Callable[[bool], bool]) -> bool:
    on = scene.audience(who)["taggings"]
    found = [number for number in scene.tag_ids.values() if wanted(number in on)]
    if found:
        scene.act(CONSTANT_CONTACT, act, contact_id=scene.ids[who], tag_id=found[0])
    return bool(found)
