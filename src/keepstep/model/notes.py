"""Notes in the CRM: exactly one for each bounce, deletion and complaint (design section 4, consent).

A note ends with its act's id, by which a repetition finds it. It names no address: addresses leave with their person.
"""

from keepstep.model.canonical import email
from keepstep.model.change import Step, a_step
from keepstep.model.contact import Side
from keepstep.model.fields import Pair
from keepstep.model.party import Act, Person

# An opt-out names a complaint in its reason or nowhere: the vendor only counts them (CC facts 8).
COMPLAINTS = ("spam", "abuse", "complaint")


def notes(pair: Pair) -> tuple[Step, ...]:
    """What is still to be noted on the contact of a linked person."""
    person = pair.person
    told = [(act, text) for act in person.acts if act.id not in person.noted and (text := _text(pair, act))]
    return tuple(_note(pair, act, text) for act, text in told)


def _note(pair: Pair, act: Act, text: str) -> Step:
    payload = {"contact": pair.crm.record_id, "act": act.id, "text": f"{text} [keepstep {act.id}]"}
    return a_step(pair.party.party_id, pair.person.record_id, "note", payload, target=f"note:{act.id}")


def _text(pair: Pair, act: Act) -> str | None:
    if act.kind == "record":
        return "Deleted in the mailing list service; opted out here."
    if act.kind == "address":
        return _of_bounce(act, still=act.address == email(pair.contact.email))
    if act.kind == "choice" and act == _complaint(pair.person, act):
        return "Opted out in the mailing list service with a complaint; opted out here."
    return None


def _of_bounce(act: Act, *, still: bool) -> str:
    named = f"{act.reason}, code {act.code}" if act.code else f"{act.reason}"
    if still:
        return f"Mail to the email address bounced ({named}); opted out here."
    return f"Mail to an earlier email address bounced ({named})."


def _complaint(person: Person, act: Act) -> Act | None:
    """The act that speaks for the complaint of that time: a report and the contact both tell of one opt-out, and who is
    out complains no second time before coming back."""
    alike = [one for one in person.acts if _names_one(one) and _returns(person, one) == _returns(person, act)]
    return next(iter(alike), None)


def _names_one(act: Act) -> bool:
    reason = (act.reason or "").casefold()
    out = act.side is Side.audience and act.kind == "choice" and act.direction == "out"
    return out and any(word in reason for word in COMPLAINTS)


def _returns(person: Person, act: Act) -> int:
    """How often the person had come back before an act."""
    ins = [one.at for one in person.acts if one.direction == "in" and one.at is not None]
    return sum(at <= act.before for at in ins)
