"""Consent is a lattice in which out dominates. Acts are what was seen; from them alone follows who may be mailed.

Nothing we do turns out into in. The only way back is the person's own act on the audience side, dated after the end of
the interval in which the opt-out must have happened (design section 4, consent).
"""

from collections.abc import Iterable
from dataclasses import replace

from keepstep.model.canonical import fingerprint
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Method, Side
from keepstep.model.party import Act, Kind, Person


def standing_out(acts: Iterable[Act]) -> Act | None:
    """The opt-out that stands: the last one that no later act of the person lifted."""
    return next(reversed(_standing(acts)), None)


def _standing(acts: Iterable[Act]) -> list[Act]:
    out: list[Act] = []
    for act in acts:
        if act.direction == "in":
            out = []
        elif act.kind in ("choice", "record"):
            out.append(act)
    return out


def observe_audience(person: Person, contact: AudienceContact) -> Person:
    """Turn what the audience side says now into acts, against what was seen there. Our own writes are no acts."""
    acts = list(person.acts)
    if contact.consent is Consent.opted_out and person.consent is not Consent.opted_out:
        acts.append(_out(person, acts, contact, "choice"))
    if contact.deleted and not person.deleted:
        acts.append(_out(person, acts, contact, "record"))
    back = _way_back(contact, acts)
    if back:
        acts.append(_named(person, acts, back))
    is_in = contact.consent is Consent.opted_in and not contact.deleted
    return replace(
        person,
        acts=tuple(acts),
        consent=contact.consent,
        deleted=contact.deleted,
        in_at=contact.read_at if is_in else person.in_at,
    )


def _out(person: Person, acts: list[Act], contact: AudienceContact, kind: Kind) -> Act:
    choice = kind == "choice"
    act = Act(
        id="",
        side=Side.audience,
        kind=kind,
        direction="out",
        after=person.in_at,
        before=contact.read_at,
        at=contact.opt_out_at if choice else contact.deleted_at,
        source=contact.opt_out_source if choice else None,
        reason=contact.opt_out_reason if choice else None,
    )
    return _named(person, acts, act)


def _way_back(contact: AudienceContact, acts: list[Act]) -> Act | None:
    """The person's own re-subscribe, if this reading proves one: later than every opt-out that stands.

    An overlap with an opt-out's interval proves nothing.
    """
    out = _standing(acts)
    own = contact.opt_in_source == "Contact" and contact.consent is Consent.opted_in and not contact.deleted
    if not out or not own or contact.opt_in_at is None:
        return None
    known_by = max(act.before for act in out)
    if contact.opt_in_at <= known_by:
        return None
    return Act(
        id="",
        side=Side.audience,
        kind="choice",
        direction="in",
        after=known_by,
        before=contact.read_at,
        at=contact.opt_in_at,
        source="Contact",
    )


def observe_crm(person: Person, method: Method, crm: CrmContact, imports_opt_in: bool) -> Person:
    """Turn what the email method says now into acts, against what was seen there.

    Of a method that took another one's place nothing was seen yet: its `false` may be whatever methods are born with.
    """
    if person.email_method not in (None, method.record_id):
        person = replace(person, opted_in=None, imported=False)
    person = replace(person, email_method=method.record_id)
    if method.opted_in is None:
        return person
    seen = replace(person, opted_in=method.opted_in)
    if method.opted_in:
        return replace(seen, true_at=crm.read_at)
    kind = _false_kind(person, crm, imports_opt_in)
    if kind is None:
        return seen
    act = Act(id="", side=Side.crm, kind=kind, direction="out", after=person.true_at, before=crm.read_at, source="crm")
    return replace(seen, acts=(*person.acts, _named(person, list(person.acts), act)))


def _false_kind(person: Person, crm: CrmContact, imports_opt_in: bool) -> Kind | None:
    """What a `false` means: seen to change, a choice; never seen set, unknown; of our own import, a default.

    Where this organization's imports are known to opt in, an import's `false` was set by somebody since.
    """
    if person.opted_in is True:
        return "choice"
    if person.opted_in is None:
        ours = person.imported and _created_by_us(person, crm)
        return ("choice" if imports_opt_in else "default") if ours else "unknown"
    return "choice" if imports_opt_in and false_kind(person) == "default" else None


def _created_by_us(person: Person, crm: CrmContact) -> bool:
    sent = person.submission.since if person.submission else None
    return sent is None or crm.created_at is None or crm.created_at >= sent - 60


def false_kind(person: Person) -> Kind | None:
    """What the CRM's present `false` is known to be; None where it came from the audience side or from us.

    Only then may it be lifted again.
    """
    since = person.true_at if person.true_at is not None else float("-inf")
    acts = [act for act in person.acts if act.side is Side.crm and act.before > since]
    return acts[-1].kind if acts else None


def crm_false_is_ours(person: Person) -> bool:
    """Did the CRM's `false` come from the audience side or from us?"""
    return false_kind(person) is None


def _named(person: Person, acts: list[Act], act: Act) -> Act:
    name = [person.record_id, act.side, act.kind, act.direction, act.before, len(acts)]
    return replace(act, id=fingerprint(name)[:12])
