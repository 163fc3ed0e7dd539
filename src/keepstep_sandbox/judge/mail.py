"""Whether every bounce closed the address it was about, and bounces, deletions and complaints left one note each.

The reports say which address a mail went to; the acts say which address the person had when it came back.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.evidence import Evidence, Finding, Member
from keepstep_sandbox.judge.values import LOST
from keepstep_sandbox.log import CONSTANT_CONTACT
from keepstep_sandbox.people import ACCOUNT

DUPLICATE = "duplicates"
COUNTED = ("B", "S", "D", "F", "X", "Z")  # V was delivered (CC facts 8); soft ones opt out as in the recipe


@dataclass(frozen=True, slots=True)
class Bounce:
    """One mail that came back. `then`: the person's address at that moment."""

    t: float
    member: str
    address: str
    then: str

    @property
    def current(self) -> bool:
        """Whether the address was still the person's own."""
        return self.address == self.then


class Mail:
    """What came back of the mailings, and what became of it."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._back = {act.record: act.t for act in evidence.acts_of(CONSTANT_CONTACT, "person_opts_in")}
        # Who may not read reports knows of no bounce (CC facts 2.2).
        readable = evidence.world.constant_contact.switches["reports_scope"] == "granted"
        self._told = list(_bounces(evidence)) if readable else []
        self.bounces = [one for one in self._told if one.current]
        self.due = self._due()

    def bounced(self, member: Member) -> bool:
        """Whether mail to the person came back from what was the person's address."""
        return any(one.member == member.id for one in self.bounces)

    def lapsed(self, member: Member) -> bool:
        """Whether the person has left the address that mail came back from."""
        mine = [one for one in self.bounces if one.member == member.id]
        return bool(mine) and all(one.address != member.address for one in mine)

    def applied(self) -> int:
        """How many bounces hold, those that have lapsed included."""
        return sum(not self._open(one) for one in self.bounces)

    def notes(self) -> int:
        """How many notes there are on contacts with our reference."""
        return sum(len(contact["notes"]) for contact in self._contacts())

    def findings(self) -> Iterator[Finding]:
        """Bounces that closed nothing, acts without their note, notes without their act."""
        for one in self.bounces:
            if self._open(one):
                yield Finding(LOST, one.member, "bounce: still opted in at Virtuous")
        for household in self._evidence.households.values():
            yield from self._counted(household)

    def _contacts(self) -> Iterator[dict[str, list[object]]]:
        for household in self._evidence.households.values():
            if household[0].contact is not None:
                yield household[0].contact  # type: ignore[misc]

    def _open(self, bounce: Bounce) -> bool:
        member = self._evidence.members[bounce.member]
        came_back = self._back.get(bounce.member, float("-inf")) > bounce.t
        if member.address != bounce.address or not member.linked or came_back:
            return False
        for contact in member.contacts:
            for individual in contact["contactIndividuals"]:
                for method in individual["contactMethods"] or ():
                    same = fields.is_email(method) and fields.email(method["value"]) == bounce.address
                    if same and method["isOptedIn"]:
                        return True
        return False

    def _counted(self, household: list[Member]) -> Iterator[Finding]:
        """One note for each act, also for the bounce of an address that somebody had left."""
        contact = household[0].contact
        if contact is None:
            return
        have = len(contact["notes"])
        due = sum(self.due[one.id] for one in household)
        owner = next((one.id for one in household if self.due[one.id]), household[0].id)
        for _ in range(have - due):
            yield Finding(DUPLICATE, owner, "note: more than acts that leave one")
        for _ in range(due - have):
            yield Finding(LOST, owner, "note: an act left none")

    def _due(self) -> Counter[str]:
        """Bounces, deletions and complaints by person. A complaint is one only where a reason names it."""
        due = Counter(one.member for one in self._told)
        due.update(act.record for act in self._evidence.acts_of(CONSTANT_CONTACT, "delete"))
        if self._evidence.world.constant_contact.switches["complaint"] == "unsubscribes_with_reason":
            due.update(act.record for act in self._evidence.acts_of(CONSTANT_CONTACT, "complain"))
        return due


def _bounces(evidence: Evidence) -> Iterator[Bounce]:
    for campaign in evidence.world.constant_contact.campaigns(ACCOUNT):
        for activity in campaign["activities"]:
            for track in activity["tracks"]:
                if track["kind"] == "em_bounces" and track["code"] in COUNTED:
                    number, at = str(track["contact_id"]), float(track["at"])
                    yield Bounce(at, number, fields.email(track["address"]), evidence.address_at(number, at))
