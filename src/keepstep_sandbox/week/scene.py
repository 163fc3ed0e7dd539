"""Who is in the week, where they stand now, and the set-up: lists, tags, people, and what Virtuous knew before."""

import random
from collections import Counter
from collections.abc import Callable, Container, Sequence
from typing import Any

from keepstep_sandbox import people as crowd
from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION, Person
from keepstep_sandbox.world import World

Raw = dict[str, Any]
Wanted = Callable[[Person], bool]
# Reason: how many contacts have the address, and under which last name if not the person's.
DOUBTS: dict[str, tuple[int, str | None]] = {"several_matches": (2, None), "name_differs": (1, "Quillfeather")}
NEVER_TAGGED_AT_START = 1  # lists whose tag staff make late, on purpose


class Scene:
    """The people of one week by number, in the order they were loaded; `ids` are their contact ids.

    `tags_prefix`: what the tags of contacts travel under; empty where the route leaves them at home. `plant`: what
    Virtuous knew before, if not everything that a week has; it gives the people who must be parked, with the reason.
    """

    def __init__(
        self,
        world: World,
        people: Sequence[Person],
        tags_prefix: str = "",
        plant: "Callable[[Scene], dict[int, str]] | None" = None,
    ) -> None:
        self.world, self.people, self.tags_prefix = world, list(people), tags_prefix
        self.chance = random.Random(f"week:{world.seed}")
        self.ids = crowd.load(world, self.people)
        self.list_ids = {one["name"]: one["list_id"] for one in world.constant_contact.lists(ACCOUNT)}
        self.tag_ids: dict[str, str] = {}
        self.field_ids: dict[str, str] = {}
        self.tagged: set[int] = set()
        self._first_names: dict[str, str] = {}  # of lists that were renamed
        self._shared: dict[int, set[str]] = {}
        self._unmailable: set[int] = set()
        self.late = self._late_lists()
        for name in self.list_ids:
            if name not in self.late:
                self.act(VIRTUOUS, "add_tag", name=fields.TAG_PREFIX + name)
        self._free = self._undisturbed()
        self.planted = (plant or _planted)(self)

    # choosing

    def pick(self, wanted: Wanted = lambda _person: True, among: Container[int] | None = None) -> int | None:
        """Somebody nothing else happens to; None where nobody fits."""
        for place, who in enumerate(self._free):
            if wanted(self.people[who]) and (among is None or who in among):
                return self._free.pop(place)
        return None

    def pick_for(self, what: str, wanted: Wanted, among: Container[int] | None = None) -> int | None:
        """Somebody to whom nothing of this kind happens: one field of a person says nothing about another one."""
        for who, taken in self._shared.items():
            if what not in taken and wanted(self.people[who]) and (among is None or who in among):
                taken.add(what)
                return who
        fresh = self.pick(wanted, among)
        if fresh is not None:
            self._shared[fresh] = {what}
        return fresh

    def free(self, place: int) -> int:
        """Somebody nothing else happens to, by place among them; they stay free."""
        return self._free[place]

    @property
    def spare(self) -> int:
        """How many there are to whom nothing happens."""
        return len(self._free)

    def pick_unmailable(self, permission: str | None) -> int | None:
        """Somebody who was loaded with a permission, or (None) without an address, and whom nothing happens to."""
        for who, person in enumerate(self.people):
            found = person.email is None if permission is None else person.email and person.permission == permission
            if found and who not in self._unmailable:
                self._unmailable.add(who)
                return who
        return None

    def _undisturbed(self) -> list[int]:
        """Mailable people with a whole name, whose telephone and roof are their own, in a drawn order."""
        phones = Counter(number for person in self.people for _kind, number in person.phones)
        streets = Counter(place["street"] for person in self.people for place in person.addresses)
        free = []
        for number, person in enumerate(self.people):
            alone = all(phones[one] == 1 for _kind, one in person.phones)
            alone = alone and all(streets[one["street"]] == 1 for one in person.addresses)
            mailable = person.email and person.permission in ("implicit", "explicit")
            if mailable and alone and person.first_name and person.last_name:
                free.append(number)
        self.chance.shuffle(free)
        return free

    def _late_lists(self) -> list[str]:
        """The lists whose tag comes late: the smallest that have members, and no comma."""
        sizes = Counter(name for person in self.people for name in person.lists)
        return sorted(sizes, key=lambda name: ("," in name, sizes[name], name))[:NEVER_TAGGED_AT_START]

    # doing and looking

    def act(self, side: str, act: str, /, **values: Any) -> Any:
        """An act in the first customer's account or organization."""
        return self.world.act(side, act, **crowd.with_tenant(self.world, side, act, values))

    def audience(self, who: int) -> Raw:
        """A person's contact at Constant Contact, now."""
        found: Raw = self.world.constant_contact.contact(ACCOUNT, self.ids[who])
        return found

    def crm(self, who: int) -> Raw | None:
        """The Virtuous contact with the person's reference; None while there is none."""
        found = self.world.virtuous.contacts_with(ORGANIZATION, fields.REFERENCE_SOURCE, self.ids[who])
        return next((one for one in found if one["mergedIntoContactId"] is None), None)

    def individual(self, who: int) -> tuple[Raw, Raw, Raw] | None:
        """The Virtuous contact, the individual and the e-mail method of a person; None while not linked."""
        contact = self.crm(who)
        address = fields.email(self.audience(who).get("email_address", {}).get("address"))
        for individual in contact["contactIndividuals"] if contact else ():
            for method in individual["contactMethods"] or ():
                if fields.is_email(method) and fields.email(method["value"]) == address:
                    assert contact is not None
                    return contact, individual, method
        return None

    def tag_of(self, name: str) -> str:
        """The tag of a list; a list that was renamed keeps it."""
        return fields.TAG_PREFIX + self._first_names.get(name, name)

    def rename(self, name: str, new: str) -> None:
        """Staff rename a list at Constant Contact; nobody renames its tag."""
        self.act(CONSTANT_CONTACT, "rename_list", list_id=self.list_ids[name], name=new)
        self.list_ids[new] = self.list_ids.pop(name)
        self._first_names[new] = self._first_names.pop(name, name)


def _planted(scene: Scene) -> dict[int, str]:
    """What Virtuous knew before: clear matches, a couple, and the ambiguities that must be parked."""
    several = max(1, len(scene.people) // 180)
    for _ in range(several):
        knew(scene, [scene.pick(lambda person: bool(person.phones))])
    knew_couple(scene)
    return {who: reason for _ in range(several) for reason in DOUBTS for who in knew_in_doubt(scene, reason)}


def knew_couple(scene: Scene) -> None:
    """Two people in one household. Of two of one name nobody can tell who is meant: that is another question."""
    one = scene.pick()
    name = scene.people[one].first_name if one is not None else ""
    knew(scene, [one, scene.pick(lambda person: person.first_name != name)])


def knew_in_doubt(scene: Scene, reason: str) -> list[int]:
    """Somebody whom nobody but a person can match; none where nobody is left."""
    who = scene.pick()
    if who is None:
        return []
    times, last_name = DOUBTS[reason]
    for _again in range(times):
        knew(scene, [who], last_name)
    scene.world.note("week", VIRTUOUS, "planted", scene.ids[who], reason=reason)
    return [who]


def knew(scene: Scene, group: Sequence[int | None], last_name: str | None = None) -> None:
    """Staff made a contact long ago: names and addresses only, no reference."""
    individuals = []
    for who in group:
        if who is not None:
            person = scene.people[who]
            names = {
                "firstName": "Basil" if last_name else person.first_name,
                "lastName": last_name or person.last_name,
            }
            method = {"type": "Home Email", "value": person.email, "isOptedIn": True, "isPrimary": True}
            individuals.append({**names, "contactMethods": [method]})
    if individuals:
        name = " & ".join(f"{one['firstName']} {one['lastName']}" for one in individuals)
        scene.act(VIRTUOUS, "add_contact", contactType="Household", name=name, contactIndividuals=individuals)
