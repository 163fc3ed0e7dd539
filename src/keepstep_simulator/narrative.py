"""A story in plain words: who did what when, what went wrong, what Keepstep changed, and what is broken then.

People go by their first names; all of them were invented by the stand-ins (people.py).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from keepstep_sandbox.log import CONSTANT_CONTACT
from keepstep_sandbox.world import START
from keepstep_simulator import wording
from keepstep_simulator.invariants import INVARIANTS
from keepstep_simulator.script import Element, Script
from keepstep_simulator.shrink import Minimal
from keepstep_simulator.story import Fact, Story, Violation

Line = tuple[float, int, str]  # when, rank at one moment, what
OURS = ("product", "job", "batch")
MOST_WRITES = 12
NEAR = 90.0  # seconds between a read and the write that is made of it
_NUMBERS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-z]{4}){3}-[0-9a-z]{12}")
_CALL = re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE) /[^\s:,;]+")
_BODIES = re.compile(r"\b[0-9a-f]{16}\b")
_RECORDS = re.compile(r"\b(contact|individual|method|address|note|submission):(\d+)")


def narrate(minimal: Minimal, story: Story, script: Script) -> list[str]:
    """The lines of a minimal story. `story`, `script`: of the seed, played with nothing else."""
    told = Telling(story, script)
    lines = sorted([*told.happenings(minimal.events), *told.troubles(), *told.writes(minimal)], key=itemgetter(0, 1))
    return [
        f"Seed {minimal.seed} breaks {minimal.invariant} with {len(minimal.events)} events.",
        *told.setting(minimal.setting),
        *(f"{told.clock(at)}: {text}" for at, _rank, text in lines),
        told.end(minimal.violation),
    ]


class Telling:
    """One story, with the names of everybody in it."""

    def __init__(self, story: Story, script: Script) -> None:
        self._facts, self._elements = story.facts, script.played
        plans = [fact for fact in self._facts if fact.kind == "PLAN"]
        self._zone = ZoneInfo(str(plans[0].data["zone"]) if plans else "UTC")
        self._names = Names(story, script)

    def clock(self, at: float) -> str:
        """The day of the story and the time of day where the customer is."""
        there, began = datetime.fromtimestamp(at, self._zone), datetime.fromtimestamp(START, self._zone)
        return f"Day {(there.date() - began.date()).days + 1}, {there:%H:%M}"

    # how things stand

    def setting(self, elements: tuple[Element, ...]) -> Iterator[str]:
        """Who is there, and what is not as usual."""
        people = [self._names.who(one.label) for one in elements if one.kind == "person"]
        if people:
            yield f"There {'is' if len(people) == 1 else 'are'} {', '.join(people)}."
        for one in elements:
            if said := wording.setting(one):
                yield said

    # what happens

    def happenings(self, events: tuple[Element, ...]) -> Iterator[Line]:
        """What people and staff do, and what goes wrong with calls and commits."""
        for one in events:
            if one.kind == "deed":
                yield one.at, 1, self._deed(one)
            elif one.kind == "fault":
                call = self._names.call(one.what["call"].partition(" ")[2])
                yield one.at, 0, f"{wording.fault(one.what['fault'], call, one.what['call'])}."
            elif one.kind == "commit":
                yield one.at, 0, f"{wording.commit(one.what['point'], one.what['name'])}."
            elif one.kind == "visitor":
                yield one.at, 0, f"{wording.visitor(one.what['visitor'])}."
            elif one.kind == "operator" and (said := wording.owner(one.what["what"])):
                yield one.at, 0, f"{said}."
            elif one.kind not in wording.PROCESS:
                yield one.at, 0, f"{one.label}."

    def _deed(self, one: Element) -> str:
        labels = [f"person {one.label.split()[1]} {one.what.get(name)}" for name in ("who", "other")]
        said = wording.DEEDS.get(one.what["name"], f"{{}}: {one.what['name']}").format(*map(self._names.who, labels))
        if not one.done:
            return f"{said}: that never becomes possible."
        person = self._elements.get(labels[0])
        return f"{said}{self._meanwhile(one.at, person) if person else ''}."

    def _meanwhile(self, at: float, person: Element) -> str:
        """What Keepstep was doing with the same person."""
        customer, record = person.label.split()[1], str(person.what["record"])
        near = [fact for fact in self._facts if abs(fact.t - at) < NEAR and fact.customer == customer]
        done = next((fact.n for fact in near if fact.kind == "ACT" and fact.t == at), None)
        if done is None:
            return ""
        if call := _open(near, done):
            words = self._names.call(f"{call.data['method']} {call.data['path']}")
            return f", while {words} is on its way" if call.data["write"] else f", just before {words} is answered"
        mine = [fact for fact in near if self._names.concerns(fact, record)]
        before = next((fact for fact in reversed(mine) if fact.n < done), None)
        after = next((fact for fact in mine if fact.n > done and fact.kind == "OUT"), None)
        read = before is not None and before.kind == "RSP"
        return ", while Keepstep has read them and not yet written" if read and after and after.data["write"] else ""

    def troubles(self) -> Iterator[Line]:
        """Deaths, standstills, second processes, old disks, wrong clocks."""
        for fact in self._facts:
            if said := wording.trouble(fact, self._names.call):
                yield fact.t, 2, f"{said}."

    # what Keepstep did

    def writes(self, minimal: Minimal) -> Iterator[Line]:
        """What Keepstep changed from the first event on, at most so many changes before it was broken."""
        since = min((one.at for one in minimal.events), default=START)
        found = [one for one in self._facts[: minimal.violation.n + 1] if one.kind == "EFF" and one.t >= since]
        lines: dict[tuple[float, str], None] = {}
        for fact in found:
            ours = fact.data["actor"] in OURS and (self._names.known(fact) or fact.key in minimal.violation.why)
            if ours and (text := self._names.effect(fact)):
                lines[fact.t, text] = None
        left = len(lines) - MOST_WRITES
        if left > 0:
            yield since, 3, f"Keepstep makes {left} more changes, which are not told here."
        for at, text in list(lines)[-MOST_WRITES:]:
            yield at, 3, f"{text}."

    def end(self, violation: Violation) -> str:
        """What is broken."""
        fact = self._facts[min(violation.n, len(self._facts) - 1)]
        says = {one.id: one.says for one in INVARIANTS}.get(violation.invariant, "")
        when = "At the end" if fact.kind in ("JUDGED", "END") else self.clock(fact.t)
        why = _BODIES.sub(self._delivery, self._names.replaced(violation.why))
        return f"{when}, broken: {violation.invariant}, {says}. {why[:1].upper()}{why[1:]}."

    def _delivery(self, found: re.Match[str]) -> str:
        """When what is known by a hash came to the door."""
        came = next((fact for fact in self._facts if fact.kind in ("RECV", "ACK") and fact.key == found[0]), None)
        return f"the delivery of {self.clock(came.t)}" if came else found[0]


def _open(facts: list[Fact], done: int) -> Fact | None:
    """The call that was on its way when fact `done` was told."""
    answered = {fact.key for fact in facts if fact.kind == "RSP" and fact.n < done}
    asked = [fact for fact in facts if fact.kind == "OUT" and fact.n < done and fact.key not in answered]
    return asked[-1] if asked else None


class Names:
    """First names for ids of records on both sides."""

    def __init__(self, story: Story, script: Script) -> None:
        people = {label: one.what for label, one in script.played.items() if one.kind == "person"}
        self._firsts = {str(what["first"] or what["last"]) for what in people.values()}
        self._people = {label: _called(what, people) for label, what in people.items()}
        # Also of those who are there in every story, whatever is struck out.
        self._numbers = {str(one["contact_id"]): _audience(one) for one in chain(*story.final.audience.values())}
        self._numbers |= {str(what["record"]): self._people[label] for label, what in people.items()}
        self._addresses = {str(what["record"]): str(what["email"]).lower() for what in people.values()}
        self._records: dict[tuple[str, str], str] = {}
        for contacts in story.final.crm.values():
            for contact in contacts:
                self._learn(contact)

    def _learn(self, contact: Mapping[str, Any]) -> None:
        """Names of a Virtuous contact, its individuals and their methods."""
        people = contact["contactIndividuals"]
        for one in people:
            name = str(one["firstName"] or one["lastName"] or "somebody")
            self._records["individual", str(one["id"])] = name
            for method in one["contactMethods"] or ():
                self._records["method", str(method["id"])] = f"{name}'s {str(method['type']).lower()}"
        name = " and ".join(str(one["firstName"]) for one in people if one["firstName"]) or str(contact["name"])
        self._records["contact", str(contact["id"])] = name

    def who(self, label: str) -> str:
        """The person of a label of the script."""
        return self._people.get(label, "Somebody")

    def known(self, fact: Fact) -> bool:
        """Whether what changed is of the people of the story, and not of those who are there in every story."""
        kind, _, number = fact.key.partition(":")
        number = number.rpartition("/")[2]
        name = self._numbers.get(number) or self._records.get((kind, number), "").partition("'s ")[0]
        return bool({*name.split(" and ")} & {*self._firsts})

    def concerns(self, fact: Fact, record: str) -> bool:
        """Whether a call or an answer is about a person; a look at everybody is."""
        if fact.kind not in ("OUT", "RSP"):
            return False
        shown = f"{fact.data.get('path', '')} {fact.data.get('body', '')}".lower()
        name = self._numbers[record].lower()
        return record in shown or self._addresses[record] in shown or self.replaced_path(shown) == name

    def replaced_path(self, path: str) -> str:
        """Whose record a path at Virtuous ends in."""
        found = re.search(r"/contact(individual|method)?/(\d+)", path)
        kinds = {None: "contact", "individual": "individual", "method": "method"}
        return self._records.get((kinds[found[1]], found[2]), "").partition("'")[0].lower() if found else ""

    def replaced(self, text: str) -> str:
        """A text with names in place of ids."""
        text = _CALL.sub(lambda found: self.call(found[0]), text)
        text = _NUMBERS.sub(lambda found: self._numbers.get(found[0], found[0]), text)
        return _RECORDS.sub(lambda found: self._records.get((found[1], found[2]), found[0]), text)

    def call(self, where: str) -> str:
        """A call, "METHOD /path", in words."""
        method, _, path = where.partition(" ")
        words, kind = wording.call(method, path)
        number = path.rstrip("/").rpartition("/")[2]
        name = self._numbers.get(number) or self._records.get((kind, number))
        return f"{words} of {name}" if name else words

    def effect(self, fact: Fact) -> str:
        """One value that Keepstep changed, or made; empty for what the story does not need."""
        kind, _, number = fact.key.partition(":")
        name = self._numbers.get(number) or self._records.get((kind, number))
        side = "Constant Contact" if fact.data["side"] == CONSTANT_CONTACT else "Virtuous"
        if kind == "reference" and fact.data["after"] is not None:
            whose = self._numbers.get(number.rpartition("/")[2], "somebody")
            owner = self._records.get(("contact", str(fact.data["after"])), "a contact")
            return f"Keepstep links {whose} to the Virtuous contact of {owner}"
        return wording.effect(fact, name, side) if name else ""


def _audience(contact: Mapping[str, Any]) -> str:
    """What a contact of Constant Contact is called."""
    return str(contact.get("first_name") or contact.get("last_name") or "somebody without a name")


def _called(what: Mapping[str, Any], people: Mapping[str, Mapping[str, Any]]) -> str:
    """The first name; with the last one where two have it."""
    first, last = what["first"], what["last"]
    if not first:
        return str(last or what["email"] or "somebody without a name")
    several = sum(other["first"] == first for other in people.values()) > 1
    return f"{first} {last}" if several and last else str(first)
