"""May we mail this address, and why; the last certificate; conflicts with both values. Reads of what is stored: nobody
is asked."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import certify, queue
from keepstep.model.canonical import FIELDS, email
from keepstep.model.consent import false_kind, standing
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Side
from keepstep.model.instant import Instant, format_instant
from keepstep.model.party import Party, Person, individual_of
from keepstep.state import chain, consent, journal, letters, parties, readings
from keepstep.wiring import alone, past
from keepstep.wiring.between import known_customer

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.wiring.service import Service

Row = dict[str, Any]
YES, NO, UNKNOWN = "yes", "no", "unknown"
# A certificate older than this says nothing of today.
VALID = 2 * certify.DAY


async def may_mail(service: "Service", customer_id: str, address: str) -> Row:
    """{"may_mail": yes | no | unknown, "why": [...], "people": [...], "acts": [...], "ledger": {...}}."""
    return await service.db.run(_may_mail, await service.desk(customer_id), address)


def _may_mail(tx: Tx, desk: "Desk", address: str) -> Row:
    known_customer(tx, desk.customer_id)
    people = [_evidence(tx, desk, party, person, address) for party, person in _holders(tx, desk, address)]
    hashed = desk.hashed(address)
    acts = consent.acts_on(tx, desk.customer_id, hashed) if hashed else []
    last = certify.latest(tx, desk.customer_id)
    ledger = chain.check(tx, desk.customer_id, last["data"]["ledger"]["head"] if last else None)
    said = [(one["says"], one["why"]) for one in people]
    if not people:
        out = bool(acts) and acts[-1]["direction"] == "out"
        said = [(NO, "the last that the ledger knows of this address is an opt-out")] if out else []
    if ledger.breaks:
        said.append((UNKNOWN, "the ledger's chain is broken, so it proves nothing"))
    answer = next((one for one in (NO, UNKNOWN, YES) if any(says == one for says, _ in said)), UNKNOWN)
    why = [why for says, why in said if says == answer] or ["nobody known has this address, and nothing is known of it"]
    broken = [{"row": one.row, "what": one.what} for one in ledger.breaks]
    return {
        "may_mail": answer,
        "why": list(dict.fromkeys(why)),
        "people": people,
        "acts": [_act(act) for act in acts],
        "ledger": {"rows": ledger.rows, "breaks": broken},
    }


def _holders(tx: Tx, desk: "Desk", address: str) -> list[tuple[Party, Person]]:
    """Everybody who has the address now, on either side."""
    wanted = email(address)
    rows = parties.holders(tx, desk.customer_id, "email", [wanted]).get(wanted, ())
    found = readings.load(tx, desk.customer_id, sorted({party_id for party_id, _, _ in rows}))
    named = {(party_id, record_id) for party_id, _, record_id in rows}
    return [
        (party, person)
        for party_id, party in found.items()
        for person in party.people
        if (party_id, person.record_id) in named or (party_id, person.email_method) in named
    ]


def _evidence(tx: Tx, desk: "Desk", party: Party, person: Person, address: str) -> Row:
    """One person: what each side said last, what stands, and what follows."""
    here = readings.audience_of(tx, desk.shelf, [party]).get(person.record_id)
    there = readings.crm_of(tx, desk.shelf, [party]).get(party.crm_id or "")
    contact = desk.audience.snapshot(here[0], here[1]) if here else None
    crm = desk.crm.snapshot(there[0], there[1]) if there else None
    out = standing(person.acts, address)
    says, why = _verdict(person, contact, crm, bool(out), address)
    if says == YES and any(row.kind == "link" for row in queue.steps_of(tx, desk.customer_id, [party.party_id])):
        says, why = UNKNOWN, "found in the CRM and not linked yet, so nobody knows what the CRM says"
    acts = consent.acts_of(tx, desk.customer_id, [party.party_id])[party.party_id]
    return {
        "record": person.record_id,
        "crm": party.crm_id,
        "says": says,
        "why": why,
        "audience": _reading(contact, str(contact.consent) if contact else None),
        "crm_method": _reading(crm, _opted(_open(person, crm, address))),
        "standing": f"{person.standing}: {person.reason}" if person.reason else person.standing,
        "acts": [_act(act) for act in acts if act["record_id"] == person.record_id],
    }


def _verdict(
    person: Person, contact: AudienceContact | None, crm: CrmContact | None, stands: bool, address: str
) -> tuple[str, str]:
    """The strictest that anything says."""
    opened = _open(person, crm, address)
    if stands:
        return NO, "an opt-out stands"
    if contact is None:
        return UNKNOWN, "the audience side's contact was never read"
    if contact.deleted or contact.consent is Consent.opted_out:
        return NO, "the audience side says out"
    if opened is False and false_kind(person) == "unknown":
        return UNKNOWN, "opted out in the CRM, and nobody was seen to do it"
    if opened is False and false_kind(person) != "default":
        return NO, "the CRM says out"
    if contact.consent is not Consent.opted_in:
        return UNKNOWN, "the audience side has no permission"
    if email(contact.email) != email(address):
        return UNKNOWN, "the address is in the CRM only; the person's own is another one"
    return YES, "the audience side has permission, and no opt-out stands on either side"


def _open(person: Person, crm: CrmContact | None, address: str) -> bool | None:
    """Is the person's method open in the CRM, and every other one there with this address? None where it says
    nothing."""
    one = individual_of(crm, person)
    methods = [method for method in one.methods if method.kind == "email"] if one else []
    mine = [m.opted_in for m in methods if m.record_id == person.email_method or email(m.value) == email(address)]
    return None if not mine else False if False in mine else True if True in mine else None


def _opted(opened: bool | None) -> str | None:
    return None if opened is None else "opted_in" if opened else "opted_out"


def _reading(read: AudienceContact | CrmContact | None, says: str | None) -> Row | None:
    return None if read is None else {"says": says, "read": format_instant(read.read_at)}


def _act(act: Mapping[str, Any]) -> Row:
    moments = {name: _text(act[name]) for name in ("after", "before", "at", "seen_at")}
    plain = {name: act[name] for name in ("id", "platform", "record_id", "kind", "direction", "source", "evidence")}
    return plain | moments | {"seal": act["seal"][:12]}


def _text(at: Instant | None) -> str | None:
    return None if at is None else format_instant(at)


# --- the certificate -------------------------------------------------------------------------------------------------


async def certificate(service: "Service", customer_id: str) -> Row:
    """The last certificate with what the sweeps can prove today. `verdict`: complete, incomplete, or none."""
    alone.refuse(service.settings.route(customer_id), "a certificate proves that both sides know every opt-out")
    return await service.db.run(_certificate, await service.desk(customer_id), service.clock.now())


def _certificate(tx: Tx, desk: "Desk", now: Instant) -> Row:
    known_customer(tx, desk.customer_id)
    troubles = {one.platform: one.trouble for one in certify.sweeps(tx, desk, now).values() if one.trouble}
    last = certify.latest(tx, desk.customer_id)
    if last is None or troubles or last["at"] < now - VALID:
        why: Any = troubles or ("no certificate yet" if last is None else "the last certificate is too old")
        return {"verdict": "none", "why": why, "at": _text(last["at"]) if last else None}
    said = dict(last["data"])
    ledger = chain.check(tx, desk.customer_id, said["ledger"]["head"])
    proof = {
        platform: {name: format_instant(at) for name, at in sweep.items()} for platform, sweep in said["sweeps"].items()
    }
    broken = [{"row": one.row, "what": one.what} for one in ledger.breaks]
    if broken and said["verdict"] == "complete":
        said["verdict"] = "incomplete"
    said["ledger"] = {"rows": ledger.rows, "head": ledger.head, "breaks": broken}
    return {"at": format_instant(last["at"]), **said, "sweeps": proof}


# --- conflicts -------------------------------------------------------------------------------------------------------


async def conflicts(service: "Service", customer_id: str, limit: int) -> list[Row]:
    """The newest first: both sides changed a field, or an undo made them differ, and what each of them said then."""
    return await service.db.run(_conflicts, await service.desk(customer_id), limit)


def _conflicts(tx: Tx, desk: "Desk", limit: int) -> list[Row]:
    known_customer(tx, desk.customer_id)
    lines = journal.latest(tx, desk.customer_id, ("conflict", "undone"), limit)
    return [_conflict(tx, desk, line) for line in lines if _is_of_a_field(str(line["data"]["field"]))]


def _is_of_a_field(what: str) -> bool:
    """An undo tells of lists and references too."""
    return what in FIELDS or what.startswith("custom:")


def _conflict(tx: Tx, desk: "Desk", line: Mapping[str, Any]) -> Row:
    record, field = str(line["data"]["record"]), str(line["data"]["field"])
    party_id = letters.survivor(tx, desk.customer_id, line["party_id"])
    then = past.described(tx, desk, party_id, record, line["at"]) if party_id else None
    person = next((one for one in (then or {}).get("people", ()) if one["record"] == record), None)
    owner = desk.route.policy.owners.get(field, desk.route.policy.custom_fields_owner)
    run = line["data"].get("run")
    return {
        "at": format_instant(line["at"]),
        "record": record,
        "field": field,
        "audience": _value(person, "audience", field, kept=run is not None),
        "crm": _value(person, "crm", field, kept=run is not None),
        "kept": "both" if run else str(Side(owner)),
        "undone": run,
    }


def _value(person: Mapping[str, Any] | None, side: str, field: str, kept: bool) -> Any:
    """What a side said then; `kept`: what was known of it once it was restored, before it was read again."""
    if person is None:
        return None
    for when in ("seen", "now") if kept else ("now", "seen"):
        said: Sequence[Any] | Mapping[str, Any] | None = person[side][when]
        if isinstance(said, Mapping) and field in said:
            return said[field]
    return None
