"""Who is in the week, where they stand now, and the set-up: lists, tags, people, and what Virtuous knew before."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from keepstep_sandbox import people as crowd
from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION, Person
from keepstep_sandbox.world import World

Raw = dict[str, Any]
NEVER_TAGGED_AT_START = 1  # lists whose tag staff make late, on purpose


class Scene:
    """The people of one week by number, in the order they were loaded; `ids` are their contact ids."""

    def __init__(self, world: World, people: Sequence[Person]) -> None:
        self.world, self.people = world, list(people)
        self.chance = random.Random(f"week:{world.seed}")
        self.ids = crowd.load(world, self.people)
        self.list_ids = {one["name"]: one["list_id"] for one in world.constant_contact.lists(ACCOUNT)}
        self.late = self._late_lists()
        for name in self.list_ids:
            if name not in self.late:
                self.act(VIRTUOUS, "add_tag", name=fields.TAG_PREFIX + name)
        self._free = self._undisturbed()
        self.planted = _planted(self)

    # choosing

    def pick(self, wanted: Callable[[Person], bool] = lambda _person: True) -> int | None:
        """Somebody nothing else happens to; None where nobody fits."""
        for place, who in enumerate(self._free):
            if wanted(self.people[who]):
                return self._free.pop(place)
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
        mine = {"source": fields.REFERENCE_SOURCE, "id": self.ids[who]}
        found = [one for one in self.world.virtuous.contacts(ORGANIZATION) if mine in one["contactReferences"]]
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

    def happened(self, what: str, side: str, record: str = "") -> None:
        """Count one event of a kind for the report."""
        self.world.note("week", side, "event", record, what=what)


def _planted(scene: Scene) -> dict[int, str]:
    """What Virtuous knew before: clear matches, a couple, and the ambiguities that must be parked."""
    several = max(1, len(scene.people) // 180)
    for _ in range(several):
        _known(scene, [scene.pick(lambda person: bool(person.phones))])
    _known(scene, [scene.pick(), scene.pick()])
    parked: dict[int, str] = {}
    for _ in range(several):
        for reason, times, last_name in (("several_matches", 2, None), ("name_differs", 1, "Quillfeather")):
            who = scene.pick()
            if who is None:
                continue
            for _again in range(times):
                _known(scene, [who], last_name)
            parked[who] = reason
            scene.world.note("week", VIRTUOUS, "planted", scene.ids[who], reason=reason)
    return parked


def _known(scene: Scene, group: Sequence[int | None], last_name: str | None = None) -> None:
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
