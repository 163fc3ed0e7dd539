"""Turns in a life: consent that pauses, records that go and come back, addresses that change hands."""

from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.week.happenings import edits, other_list
from keepstep_sandbox.week.scene import Scene


def is_held(scene: Scene, who: int) -> bool:
    """The vendor holds the address: not mailable, and not opted out (CC facts 5.2)."""
    return edits(scene, who, permission="temp_hold")


def is_unset(scene: Scene, who: int) -> bool:
    """Nobody knows of a permission."""
    return edits(scene, who, permission="not_set")


def is_asked(scene: Scene, who: int) -> bool:
    """The person is asked to confirm."""
    return edits(scene, who, permission="pending_confirmation")


def is_explicit(scene: Scene, who: int) -> bool:
    """The permission is there, explicitly."""
    return edits(scene, who, permission="explicit")


def gives_address(scene: Scene, who: int) -> bool:
    """Somebody without an address gives one."""
    return edits(scene, who, email=f"given{who}@example.net", permission="explicit")


def loses_address(scene: Scene, who: int) -> bool:
    """Staff take the address away; the contact stays."""
    return scene.crm(who) is not None and edits(scene, who, email=None)


def comes_back(scene: Scene, who: int) -> bool:
    """Staff bring a deleted contact back. That is no act of the person."""
    if "deleted_at" not in scene.audience(who):
        return False
    scene.act(CONSTANT_CONTACT, "revive", contact_id=scene.ids[who])
    return True


def swaps(scene: Scene, one: int, other: int) -> bool:
    """Two people change addresses with each other, in one moment."""
    if scene.crm(one) is None or scene.crm(other) is None:
        return False
    mine, theirs = _address(scene, one), _address(scene, other)
    return edits(scene, one, email=theirs) and edits(scene, other, email=mine)


def hands_over(scene: Scene, one: int, other: int) -> bool:
    """One has a new address, and another one takes the old one."""
    if scene.crm(one) is None or scene.crm(other) is None:
        return False
    address = _address(scene, one)
    return edits(scene, one, email=f"heir{one}@example.net") and edits(scene, other, email=address)


def are_merged(scene: Scene, one: int, other: int) -> bool:
    """Staff merge the households of two people in Virtuous, who live in one from now on (Virtuous facts 7.6)."""
    survivor, loser = scene.crm(one), scene.crm(other)
    if survivor is None or loser is None or survivor["id"] == loser["id"]:
        return False
    scene.act(VIRTUOUS, "staff_merges", loser_id=loser["id"], survivor_id=survivor["id"])
    return True


def are_tagged(scene: Scene, one: int, other: int) -> bool:
    """Staff add the tag of a list to two contacts at once: one delivery tells of both (Virtuous facts 13.3)."""
    contacts = [scene.crm(one), scene.crm(other)]
    name = other_list(scene, one)
    if None in contacts or name is None or scene.list_ids[name] in scene.audience(other)["list_memberships"]:
        return False
    ids = [contact["id"] for contact in contacts if contact]
    scene.act(VIRTUOUS, "bulk_adds_tag", contact_ids=ids, tag_name=scene.tag_of(name))
    return True


def is_entered(scene: Scene, who: int) -> bool:
    """Staff type somebody in by hand who waits for tonight's batch already; the import overwrites what they typed."""
    person = scene.people[who]
    method = {"type": "Home Email", "value": person.email, "isOptedIn": True, "isPrimary": True}
    typed = {"firstName": person.first_name, "lastName": f"{person.last_name}-Byhand", "contactMethods": [method]}
    name = f"{person.first_name} {person.last_name}"
    scene.act(VIRTUOUS, "add_contact", contactType="Household", name=name, contactIndividuals=[typed])
    return True


def _address(scene: Scene, who: int) -> str:
    return str(scene.audience(who)["email_address"]["address"])
