"""What a person said of somebody who was parked. An answer settles what evidence could not, and nothing else: it makes
no proof of its own superfluous, widens nothing that an opt-out shuts, and is void where its record is gone.

| answer | settles |
|---|---|
| same | which individual this is, of several that could be it, or of one with another name |
| nobody | these individuals are other people; whoever is left may be the one, or nobody is |
| leave | the person is not synced |
| stays | a CRM `false` of unknown origin is the person's own choice, and reaches the audience side |
| lifted | a CRM `false` of unknown origin means nothing, and is lifted while nobody stands out |
"""

from collections.abc import Iterable
from dataclasses import replace

from keepstep.model.consent import false_kind, with_act
from keepstep.model.contact import CrmContact, Side
from keepstep.model.match import Match
from keepstep.model.party import Act, Answer, Person

# Reasons of people who are nobody in the CRM yet, and what may be said of each.
IDENTITY: tuple[str, ...] = ("same", "nobody", "leave")
ANSWERS: dict[str, tuple[str, ...]] = {
    "name_differs": IDENTITY,
    "several_matches": IDENTITY,
    "several_people": IDENTITY,
    "several_references": ("same", "leave"),
    "reference_without_address": ("leave",),
    "reference_gone": ("leave",),
    "individual_held": ("leave",),
    "other_household": ("leave",),
    "not_in_household": ("leave",),
    "archived": ("leave",),
    "merged": ("leave",),
    "deceased": IDENTITY,
    "survivor_unknown": ("nobody", "leave"),
    "consent_unknown": ("stays", "lifted"),
}

_OUTWEIGHED = ("name_differs", "deceased")


def possible(person: Person) -> tuple[str, ...]:
    """What may be said of this person now; `ask` takes an earlier answer back."""
    if person.individual and person.reason != "consent_unknown":
        said: tuple[str, ...] = ()
    else:
        said = ANSWERS.get(person.reason, ()) if person.standing == "parked" else ()
    return (*said, "ask") if person.answer else said


def is_left_alone(person: Person) -> bool:
    """Somebody said so. Whoever is linked by now is in step all the same."""
    return person.answer is not None and person.answer.kind == "leave" and person.individual is None


def is_nobody_of_these(person: Person) -> bool:
    """Then the person is created directly: the CRM's import matches by address and would overwrite one of these."""
    return person.answer is not None and person.answer.kind == "nobody"


def heeded(answer: Answer | None, candidates: Iterable[CrmContact]) -> tuple[CrmContact, ...]:
    """The candidates as far as the answer leaves them: the individual that was meant, or without those that were not.

    An individual that is in none of them any more was merged or deleted: the answer is void and the question open.
    """
    found = tuple(candidates)
    if answer is None or answer.kind not in ("same", "nobody"):
        return found
    if answer.kind == "nobody":
        return tuple(_only(crm, {one.record_id for one in crm.individuals} - {*answer.individuals}) for crm in found)
    meant = tuple(_only(crm, {*answer.individuals}) for crm in found)
    return tuple(crm for crm in meant if crm.individuals) or found


def _only(crm: CrmContact, individuals: set[str]) -> CrmContact:
    return replace(crm, individuals=tuple(one for one in crm.individuals if one.record_id in individuals))


def said_of(answer: Answer | None, found: Match) -> Match:
    """A name that differs, or a death, is no doubt where somebody said that it is the same person."""
    if answer is None or answer.kind != "same" or found.reason not in _OUTWEIGHED or found.crm is None:
        return found
    meant = next((one for one in found.crm.individuals if one.record_id in answer.individuals), None)
    if meant is None:
        return found
    if found.crm.archived:
        return replace(found, reason="archived")
    return replace(found, verdict="same_person", reason="", individual=meant)


def stays_out(person: Person) -> Person:
    """The opt-out that somebody confirmed, as an act, once. It holds from the answer on, not from before."""
    said = person.answer
    if said is None or said.kind != "stays" or false_kind(person) != "unknown" or _is_newer(person, said):
        return person
    act = Act(id="", side=Side.crm, kind="choice", direction="out", after=None, before=said.at, source="answer")
    return with_act(person, act)


def may_lift(person: Person) -> bool:
    """Was it said of the CRM's present `false` that it means nothing? A later `false` is another question."""
    said = person.answer
    return said is not None and said.kind == "lifted" and not _is_newer(person, said)


def _is_newer(person: Person, said: Answer) -> bool:
    """Was a `false` of the CRM first seen after the answer?"""
    return any(act.side is Side.crm and act.direction == "out" and act.before > said.at for act in person.acts)
