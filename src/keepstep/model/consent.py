"""Consent is a lattice in which out dominates. Acts are what was seen; from them alone follows who may be mailed.

Nothing we do turns out into in. The only way back is the person's own act on the audience side, dated after the end of
the interval in which the opt-out must have happened (design section 4, consent).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from keepstep.model.canonical import email, fingerprint
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Method, Report, Side
from keepstep.model.customer import Policy
from keepstep.model.instant import Instant
from keepstep.model.party import Act, Kind, Person

# A false of unknown origin opts nobody out, and the default of our own import says nothing.
BINDING: tuple[Kind, ...] = ("choice", "record", "address")
# The code of an opt-out that a write of ours fell upon.
RACED = "raced"
# From the first to the last stamp that one run of the vendor's import sets, and between their clock and ours.
AN_IMPORT_TAKES = 60.0


def standing(acts: Iterable[Act], address: str | None) -> list[Act]:
    """The opt-outs that stand for whoever has this address now. A bounce of another address has lapsed."""
    here = email(address)
    return [act for act in unlifted(acts) if act.kind != "address" or act.address == here]


def standing_out(acts: Iterable[Act], address: str | None) -> Act | None:
    """The last opt-out that stands for whoever has this address now."""
    return next(reversed(standing(acts, address)), None)


def unlifted(acts: Iterable[Act]) -> list[Act]:
    """Every opt-out that no later act of the person lifted, whatever its address. One from before the person came back
    is lifted also where it is heard of after that."""
    acts = tuple(acts)
    back = max((_moment(act) for act in acts if act.direction == "in"), default=float("-inf"))
    return [act for act in acts if act.direction == "out" and act.kind in BINDING and act.before >= back]


def _moment(act: Act) -> Instant:
    return act.before if act.at is None else act.at


# --- what the audience side says -------------------------------------------------------------------------------------


def observe_audience(
    person: Person, contact: AudienceContact, lines: Sequence[Report] = (), policy: Policy | None = None
) -> Person:
    """Turn what the audience side says now into acts, against what was seen there: the reading, and the lines of
    reports that name the person, oldest first. Our own writes are no acts."""
    person = _of_race(person, contact)
    for act in (*_of_reading(person, contact), *_of_lines(person, contact, lines, policy or Policy())):
        person = with_act(person, act)
    is_in = contact.consent is Consent.opted_in and not contact.deleted
    in_at = contact.read_at if is_in else person.in_at
    return returned(replace(person, consent=contact.consent, deleted=contact.deleted, in_at=in_at), contact)


def returned(person: Person, contact: AudienceContact) -> Person:
    """The person, with a way back from everything that is known to stand, if this reading proves one."""
    back = _way_back(contact, person.acts)
    return with_act(person, back) if back else person


def _of_reading(person: Person, contact: AudienceContact) -> list[Act]:
    acts = []
    was_out = person.consent is Consent.opted_out
    if contact.consent is Consent.opted_out and not (was_out and not _again(person, "choice", _own_opt_out(contact))):
        acts.append(_out(person, contact, "choice"))
    if contact.deleted and not (person.deleted and not _again(person, "record", contact.deleted_at)):
        acts.append(_out(person, contact, "record"))
    return acts


def _of_race(person: Person, contact: AudienceContact) -> Person:
    """An own opt-out that a write of ours fell upon, as an act: the record itself may not show it any more."""
    if person.raced is None:
        return person
    act = Act(
        id="",
        side=Side.audience,
        kind="choice",
        direction="out",
        after=person.in_at,
        before=max(contact.read_at, person.raced),
        at=person.raced,
        source="Contact",
        code=RACED,
    )
    return with_act(replace(person, raced=None), act)


def _own_opt_out(contact: AudienceContact) -> Instant | None:
    """When the person opted out by an own act. What the account did may have been us."""
    return contact.opt_out_at if contact.opt_out_source == "Contact" else None


def _again(person: Person, kind: Kind, at: Instant | None) -> bool:
    """Out before and out now, but since a moment that no act knows: a return and its end fell between two readings, or
    the person opted out before we could. It is an opt-out of its own, and a return must be later than this one."""
    before = [act for act in unlifted(person.acts) if act.side is Side.audience and act.kind == kind]
    return at is not None and all(act.before < at and act.at != at for act in before)


def _out(person: Person, contact: AudienceContact, kind: Kind) -> Act:
    choice = kind == "choice"
    return Act(
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


def _of_lines(person: Person, contact: AudienceContact, lines: Sequence[Report], policy: Policy) -> list[Act]:
    known = {act.report for act in person.acts}
    news = [line for line in lines if line.id not in known]
    return [_of_line(line, contact) for line in news if line.kind == "opt_out" or _opts_out(line, lines, policy)]


def _of_line(line: Report, contact: AudienceContact) -> Act:
    """A report knows the moment itself. A bounce without an address is taken for one of the address that is there."""
    bounce = line.kind == "bounce"
    return Act(
        id="",
        side=Side.audience,
        kind="address" if bounce else "choice",
        direction="out",
        after=line.at,
        before=line.at,
        at=line.at,
        source="report" if bounce else "Contact",
        reason=line.strength or "soft" if bounce else line.reason,
        address=email(line.address or contact.email) if bounce else None,
        code=line.code,
        report=line.id,
    )


def _opts_out(bounce: Report, lines: Sequence[Report], policy: Policy) -> bool:
    """Hard bounces do at once, soft ones as the route says; what was delivered is no bounce (CC facts 8)."""
    if bounce.strength in ("hard", "delivered"):
        return bounce.strength == "hard"
    if policy.soft_bounces != "count":
        return policy.soft_bounces == "opt_out"
    return sum(_alike(one, bounce, policy.soft_bounce_span) for one in lines) >= policy.soft_bounce_count


def _alike(one: Report, bounce: Report, span: float) -> bool:
    """Another bounce of that address that counts towards this one; a hard one counts as well."""
    same = one.kind == "bounce" and one.strength != "delivered" and email(one.address) == email(bounce.address)
    return same and bounce.at - span < one.at <= bounce.at


def _way_back(contact: AudienceContact, acts: Iterable[Act]) -> Act | None:
    """The person's own re-subscribe, if this reading proves one: later than every opt-out not yet lifted, a lapsed
    bounce among them. An overlap with an opt-out's interval proves nothing."""
    out = unlifted(acts)
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


# --- what the CRM says -----------------------------------------------------------------------------------------------


def observe_crm(
    person: Person, method: Method, crm: CrmContact, imports_opt_in: bool, stood: Instant | None = None
) -> Person:
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
    kind = _false_kind(person, method, crm, imports_opt_in, stood)
    if kind is None:
        return seen
    act = Act(id="", side=Side.crm, kind=kind, direction="out", after=person.true_at, before=crm.read_at, source="crm")
    return with_act(seen, replace(act, at=_touched_at(method)) if kind == "default" else act)


def _false_kind(
    person: Person, method: Method, crm: CrmContact, imports_opt_in: bool, stood: Instant | None
) -> Kind | None:
    """What a `false` means: seen to change, a choice; never seen set, unknown; of our own import, a default.

    Where this organization's imports are known to opt in, the `false` of an imported method that was changed after it
    was made was set by somebody since. Either alone proves nothing: not every organization's imports opt in, and
    somebody whom the import merely matched may be opted in by staff.
    """
    if person.opted_in is True:
        return "unknown" if _may_be_ours(person, stood) else "choice"
    if person.opted_in is None and not (person.imported and _created_by_us(person, method, crm)):
        return "unknown"
    known = person.acts[-1] if person.opted_in is False and false_kind(person) == "default" else None
    if person.opted_in is False and known is None:
        return None
    touched = (known.at if known else _touched_at(method)) is not None
    if imports_opt_in and touched:
        return "unknown" if _may_be_ours(person, stood) else "choice"
    return None if known else "default"


def _may_be_ours(person: Person, stood: Instant | None) -> bool:
    """May we have written a `false` that was not there when we last looked, and forgotten it? Where a backup was put
    back, and the audience side has given us a reason since."""
    since = person.true_at if person.true_at is not None else float("-inf")
    if stood is None or since >= stood:
        return False
    outs = [act for act in person.acts if act.side is Side.audience and act.direction == "out"]
    return any(act.before > since and (act.after is None or act.after <= stood) for act in outs)


def _touched_at(method: Method) -> Instant | None:
    """When a method was last changed, if it was at all since it was made. Staff may do so while the import still runs:
    their name tells them from it."""
    if method.created_at is None or method.updated_at is None:
        return None
    later = method.updated_at - method.created_at > AN_IMPORT_TAKES
    return method.updated_at if later or method.other_hand else None


def proves_opt_in(person: Person, method: Method) -> bool:
    """Does this method prove that the organization's imports opt people in? One of ours, open, as it was made."""
    return person.imported and method.opted_in is True and _touched_at(method) is None


def _created_by_us(person: Person, method: Method, crm: CrmContact) -> bool:
    sent = person.submission.since if person.submission else None
    made = method.created_at if method.created_at is not None else crm.created_at
    return sent is None or made is None or made >= sent - AN_IMPORT_TAKES


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


def with_act(person: Person, act: Act) -> Person:
    """The person with an act more, which gets its id: of the vendor's own date where there is one, so that a database
    that was put back finds again what was noted of it."""
    when = act.before if act.at is None else act.at
    name = [person.record_id, act.side, act.kind, act.direction, when, len(person.acts)]
    return replace(person, acts=(*person.acts, replace(act, id=fingerprint(name)[:12])))
