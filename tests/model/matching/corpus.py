"""The labelled corpus of corpus.toml, and what the matcher makes of it."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from keepstep.model.contact import Address, AudienceContact, Consent, CrmContact, Individual, Method, Phone
from keepstep.model.match import Match, match

SOURCE = "Constant Contact"
RECORD = "a"
KINDS = {"m": "mobile", "h": "home"}


@dataclass(frozen=True, slots=True)
class Case:
    """One question with its labels: `todo` is link, park, wait or create, `to` the individual or the reason, `truth`
    the individual that it really is, None for nobody of these."""

    family: str
    line: str
    contact: AudienceContact
    candidates: tuple[CrmContact, ...]
    taken: dict[str, str]
    todo: str
    to: str
    truth: str | None

    def found(self) -> tuple[str, str]:
        """What the matcher does, in the words of the labels."""
        answer = self.match()
        if answer.verdict in ("confirmed", "same_person"):
            return "link", answer.individual.record_id if answer.individual else ""
        named = {"nobody": ("create", ""), "wait": ("wait", ""), "parked": ("park", answer.reason)}
        return named[answer.verdict]

    def match(self) -> Match:
        return match(self.contact, self.candidates, SOURCE, self.taken)


def cases() -> list[Case]:
    """Every case of the corpus."""
    text = (Path(__file__).parent / "corpus.toml").read_text(encoding="utf-8")
    return [case for name, family in tomllib.loads(text).items() for case in _family(name, family)]


def meanings() -> dict[str, str]:
    """What each family is about."""
    text = (Path(__file__).parent / "corpus.toml").read_text(encoding="utf-8")
    return {name: family["says"] for name, family in tomllib.loads(text).items()}


def _family(name: str, family: dict[str, list[str]]) -> Iterator[Case]:
    for line in family["cases"]:
        for number, person in enumerate(family.get("people", ["/"])):
            first, last = person.split("/")
            filled = re.sub(r"\bF/L\b", f"{first}/{last}", line) if "people" in family else line
            filled = re.sub(r"/L\b", f"/{last}", filled) if "people" in family else filled
            yield _case(name, re.sub(r"\bM\b", f"m{number}@example.org", filled))


def _case(family: str, line: str) -> Case:
    asked, known, label = re.split(r"\s*>>\s*", line)
    todo, _, truth = (part.strip() for part in label.partition(";"))
    verb, _, to = todo.partition(" ")
    contacts = [part for part in known.split("||") if part.strip()]
    really = truth.removeprefix("is ") if truth else to if verb == "link" else "nobody"
    return Case(
        family=family,
        line=line,
        contact=_contact(asked),
        candidates=tuple(_crm(str(n), part) for n, part in enumerate(contacts, 1)),
        taken=_taken(asked, contacts),
        todo=verb,
        to=to,
        truth=None if really == "nobody" else really,
    )


def _contact(text: str) -> AudienceContact:
    first, last, _ = _name(text)
    [address] = re.findall(r"<(.*?)>", text)
    phones = tuple(Phone(KINDS[kind], number.strip()) for kind, number in _phones(text))
    at = _place(text)
    return AudienceContact(
        record_id=RECORD,
        email=address,
        consent=Consent.opted_in,
        first_name=first,
        last_name=last,
        phones=phones,
        addresses=(at,) if at else (),
    )


def _crm(number: str, text: str) -> CrmContact:
    people = tuple(_individual(f"{number}.{n}", part) for n, part in enumerate(text.split(" + "), 1))
    merged = re.search(r"\[merged:(\d+)\]", text)
    return CrmContact(
        record_id=number,
        contact_type="Organization" if "[org]" in text else "Household",
        individuals=(replace(people[0], primary=True), *people[1:]),
        address=_place(text),
        references=((SOURCE, RECORD),) if "[ref]" in text else (),
        merged_into=merged[1] if merged else None,
        archived="[archived]" in text,
    )


def _individual(record_id: str, text: str) -> Individual:
    first, last, suffix = _name(re.sub(r"\[.*?\]|at:\S+", "", text))
    [mails] = re.findall(r"<(.*?)>", text)
    methods = [("email", "Home Email", value) for value in mails.split(",") if value]
    methods += [("phone", f"{KINDS[kind].title()} Phone", number.strip()) for kind, number in _phones(text)]
    found = tuple(
        Method(record_id=f"{record_id}.{n}", kind=kind, type=word, value=value)
        for n, (kind, word, value) in enumerate(methods)
    )
    died = text.rstrip().endswith("died")
    named = Individual(record_id=record_id, first_name=first, last_name=last, suffix=suffix, methods=found)
    return replace(named, deceased=died)


def _name(text: str) -> tuple[str | None, str | None, str | None]:
    parts = text.partition("<")[0].strip(" \t").split("/")
    first, last, suffix = (*parts, "")[:3] if len(parts) < 3 else parts
    return first or None, last or None, suffix or None


def _phones(text: str) -> list[tuple[str, str]]:
    return re.findall(r"\b([mh]):([+()\d][\d() +-]*)", text.partition("<")[2])


def _place(text: str) -> Address | None:
    found = re.search(r"at:([^,\s]+),(\S+)", text)
    return Address(street=found[1].replace("_", " "), postal=found[2]) if found else None


def _taken(asked: str, contacts: list[str]) -> dict[str, str]:
    held = {
        f"{n}.{k}": "other"
        for n, text in enumerate(contacts, 1)
        for k, part in enumerate(text.split(" + "), 1)
        if part.rstrip().endswith("held")
    }
    return held | ({"submission": "other"} if "[waiting]" in asked else {})
