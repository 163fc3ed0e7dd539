"""The nightly completeness certificate: every opt-out that the last whole sweeps found is in the ledger and out on the
other side, or here is the list of those that are not.

A sweep is the proof, since it asks no date and trusts no webhook. What it was the first to find is named too: the polls
and webhooks should have. A certificate is a journal line of kind `certificate`; it holds where the ledger ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import Connection

from keepstep import queue, telemetry
from keepstep.desk import Chore, Desk
from keepstep.model.alerts import Kind
from keepstep.model.consent import false_kind, unlifted
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Side
from keepstep.model.instant import Instant
from keepstep.model.party import Party, Person, individual_of
from keepstep.queue import Slot
from keepstep.rounds import OVERLAP
from keepstep.state import chain, consent, dead_letters, journal, marks, parties, readings
from keepstep.state.alerts import raise_alert
from keepstep.state.marks import Mark
from keepstep.telemetry import Event

NAME = "certificate"
HOUR, DAY = 3600.0, 86_400.0
PARTIES = 500
# So many missing ones are named; the count is of all.
NAMED = 1000
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The last whole sweep of a side: everything there was at `at` was read. `trouble`: why it proves nothing."""

    platform: str
    at: Instant = 0.0
    finished: Instant = 0.0
    trouble: str | None = None


def chores(desk: Desk) -> tuple[Chore, ...]:
    """Once a night."""
    return (Chore(desk.route.audience, NAME, certify),)


async def certify(desk: Desk, slot: Slot) -> None:
    """One piece of a certificate: some parties, a portion of the ledger, then the certificate itself."""
    turned = await desk.db.run(_piece, desk, slot, desk.clock.now())
    if turned:
        telemetry.report(Event.warned, desk.customer_id, platform=desk.route.audience, reason=f"certificate_{turned}")


def sweeps(tx: Connection, desk: Desk, now: Instant) -> dict[Side, Sweep]:
    """The last sweep of each side, with what is wrong with it."""
    route, cadence = desk.route, desk.route.cadence
    named = {
        Side.audience: (route.audience, "sweep", cadence.sweep),
        Side.crm: (route.crm, "crm_sweep", cadence.crm_sweep),
    }
    return {side: _sweep(tx, desk, *one, now) for side, one in named.items()}


def _sweep(tx: Connection, desk: Desk, platform: str, name: str, every: float, now: Instant) -> Sweep:
    mark = marks.get(tx, desk.customer_id, platform, name)
    data = mark.data or {}
    if mark.mark is None or data.get("finished") is None:
        return Sweep(platform, trouble="never_whole")
    found = Sweep(platform, mark.mark + OVERLAP, float(data["finished"]))
    if now - found.finished > 2 * max(every, float(data.get("every") or 0.0)):
        return replace(found, trouble="not_whole_since")
    return replace(found, trouble="rows_unreadable") if _unreadable(tx, desk, found, name) else found


def _unreadable(tx: Connection, desk: Desk, found: Sweep, name: str) -> bool:
    """Was there a row that could not be read or stored? Nobody knows what it says."""
    side = "audience" if found.platform == desk.route.audience else "crm"
    lines = journal.since(tx, desk.customer_id, "poison", found.at)
    left = dead_letters.of_customer(tx, desk.customer_id)
    return any(line["data"]["poll"] == name and "why" not in line["data"] for line in lines) or any(
        one["kind"] == "poison" and one["side"] == side for one in left
    )


def _piece(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> str | None:
    """The verdict, where it has turned from the good or to another bad one: somebody must be told, once."""
    queue.guard(tx, slot)
    mark = marks.get(tx, desk.customer_id, desk.route.audience, NAME)
    seen = sweeps(tx, desk, now)
    troubles = {one.platform: one.trouble for one in seen.values() if one.trouble}
    if troubles:
        young = "never_whole" in troubles.values()
        marks.put(tx, desk.customer_id, replace(mark, cursor=None, data={}, due=now + (HOUR if young else DAY)))
        if young:
            return None
        last = latest(tx, desk.customer_id)
        ledger = last["data"]["ledger"] if last else {"rows": 0, "head": "", "breaks": []}
        return _issue(tx, desk, seen, {"verdict": "none", "why": troubles, "ledger": ledger}, now)
    if "ledger" not in (mark.data or {}):
        _parties(tx, desk, mark, seen, now)
        return None
    return _portion(tx, desk, mark, seen, now)


def _parties(tx: Connection, desk: Desk, mark: Mark, seen: Mapping[Side, Sweep], now: Instant) -> None:
    some = parties.ids(tx, desk.customer_id, mark.cursor or "", PARTIES)
    tally = _added(mark.data if mark.cursor else None, examined(tx, desk, some, seen))
    whole = len(some) < PARTIES
    data = {**tally, "ledger": asdict(chain.Walk())} if whole else tally
    marks.put(tx, desk.customer_id, replace(mark, cursor=None if whole else some[-1], data=data, due=now))


def _portion(tx: Connection, desk: Desk, mark: Mark, seen: Mapping[Side, Sweep], now: Instant) -> str | None:
    """A portion of the ledger; after the last one the certificate."""
    last, data = latest(tx, desk.customer_id), dict(mark.data or {})
    ended = last["data"]["ledger"]["head"] if last else None
    walk = chain.follow(tx, desk.customer_id, msgspec.convert(data.pop("ledger"), chain.Walk), ended)
    if not walk.whole:
        marks.put(tx, desk.customer_id, replace(mark, data={**data, "ledger": asdict(walk)}, due=now))
        return None
    ledger = chain.found(walk, ended)
    broken = [{"row": one.row, "what": one.what} for one in ledger.breaks]
    verdict = "incomplete" if data["missing"] or broken else "complete"
    ledger_said = {"rows": ledger.rows, "head": ledger.head, "breaks": broken}
    marks.put(tx, desk.customer_id, Mark(desk.route.audience, NAME, mark=now, due=now + DAY, data={"finished": now}))
    said = {name: data[name] for name in ("opt_outs", "missing", "questions", "records")}
    return _issue(tx, desk, seen, {**said, "verdict": verdict, "ledger": ledger_said}, now)


def _added(before: Mapping[str, Any] | None, found: Mapping[str, Any]) -> Row:
    """The counts of the parties so far and of these."""
    counts = {name: int((before or {}).get(name) or 0) + found[name] for name in ("opt_outs", "missing", "questions")}
    named = [*((before or {}).get("records") or ()), *found["records"]][:NAMED]
    return {**counts, "records": named}


def _issue(tx: Connection, desk: Desk, seen: Mapping[Side, Sweep], said: Row, now: Instant) -> str | None:
    """Write the certificate down; its verdict where it is bad and the last one's was not the same."""
    last = latest(tx, desk.customer_id)
    proof = {one.platform: {"at": one.at, "finished": one.finished} for one in seen.values()}
    journal.append(tx, desk.customer_id, [(now, None, NAME, {**said, "sweeps": proof})])
    verdict = str(said["verdict"])
    if verdict != "complete":
        raise_alert(tx, desk.customer_id, Kind.certificate_red, NAME, {"verdict": verdict}, now)
    return verdict if verdict not in ("complete", last["data"]["verdict"] if last else None) else None


def latest(tx: Connection, customer_id: str) -> Row | None:
    """The last certificate's journal line."""
    return next(iter(journal.latest(tx, customer_id, (NAME,), limit=1)), None)


# --- one party -------------------------------------------------------------------------------------------------------


def examined(tx: Connection, desk: Desk, party_ids: Sequence[str], seen: Mapping[Side, Sweep]) -> Row:
    """Of these parties: how many opt-outs, how many questions of consent that wait for a person, and every record that
    is not as it should be, with why."""
    found = readings.load(tx, desk.customer_id, party_ids)
    here = readings.audience_of(tx, desk.shelf, found.values())
    there = readings.crm_of(tx, desk.shelf, found.values())
    acts = consent.acts_of(tx, desk.customer_id, list(found))
    tally: Row = {"opt_outs": 0, "missing": 0, "questions": 0, "records": []}
    for party_id, party in found.items():
        raw = there.get(party.crm_id or "")
        crm = desk.crm.snapshot(raw[0], raw[1]) if raw else None
        for person in party.people:
            read = here.get(person.record_id)
            contact = desk.audience.snapshot(read[0], read[1]) if read else None
            case = Case(desk, party, person, contact, crm, acts[party_id], seen)
            tally["opt_outs"] += case.is_out()
            tally["questions"] += person.reason == "consent_unknown"
            why = case.missing()
            tally["missing"] += why is not None
            if why is not None:
                tally["records"].append({"record": person.record_id, "crm": party.crm_id, "why": why})
    return tally


@dataclass(frozen=True, slots=True)
class Case:
    """One person, as both sides were last read, with the ledger's rows of their party."""

    desk: Desk
    party: Party
    person: Person
    contact: AudienceContact | None
    crm: CrmContact | None
    acts: Sequence[Mapping[str, Any]]
    sweeps: Mapping[Side, Sweep]

    def out_here(self) -> bool:
        """Does the audience side say out?"""
        return self.contact is not None and (self.contact.deleted or self.contact.consent is Consent.opted_out)

    def open_there(self) -> bool | None:
        """Is the linked individual's address open in the CRM? None where nobody is linked."""
        one = individual_of(self.crm, self.person)
        methods = [method for method in one.methods if method.record_id == self.person.email_method] if one else []
        return methods[0].opted_in is not False if methods else None

    def out_there(self) -> bool:
        """Does the CRM say out by somebody's choice? One of unknown origin is a question, our own an echo."""
        if self.open_there() is not False:
            return False
        return self.person.opted_in is not False or false_kind(self.person) == "choice"

    def is_out(self) -> bool:
        return self.out_here() or self.out_there()

    def missing(self) -> str | None:
        """Why this person's consent is not proved; None where it is."""
        if self._unread():
            return "not_read_by_the_sweep"
        for side in (Side.audience, Side.crm):
            if (self.out_here() if side is Side.audience else self.out_there()) and (why := self._open(side)):
                return why
        return None

    def _unread(self) -> bool:
        """A record that a whole sweep did not show. Those that the CRM merged or archived are in no sweep of it."""
        if self.contact is None or self.contact.read_at < self.sweeps[Side.audience].at:
            return self.contact is not None or self.person.reason != "new"
        gone = self.crm is None or self.crm.archived or self.crm.merged_into is not None
        return not gone and self.crm is not None and self.crm.read_at < self.sweeps[Side.crm].at

    def _open(self, side: Side) -> str | None:
        """What is open of an opt-out of one side: the ledger, the other side, or how it was heard of. An opt-out of
        the audience side that was our own write is in the ledger as the CRM's."""
        platform = self.sweeps[side].platform
        rows = [act for act in self.acts if act["record_id"] == self.person.record_id and act["direction"] == "out"]
        known = [act for act in rows if act["kind"] in ("choice", "record")]
        mine = [act for act in known if act["platform"] == platform]
        if not (known if side is Side.audience else mine):
            return "not_in_the_ledger"
        if not self._closed_beyond(side):
            return "waits_for_the_batch" if self.person.submission else "open_on_the_other_side"
        return "found_by_the_sweep_only" if mine and self._late(side, mine[-1]) else None

    def _closed_beyond(self, side: Side) -> bool:
        if side is Side.crm:
            return self.contact is None or self.out_here() or not self.contact.email
        if self.person.submission:
            return False
        stands = any(act.side is Side.audience and act.kind != "address" for act in unlifted(self.person.acts))
        return self.open_there() is not True or not stands

    def _late(self, side: Side, act: Mapping[str, Any]) -> bool:
        """Heard of in or after the sweep, though it is older than two rounds of what should have told it before."""
        sweep, cadence = self.sweeps[side], self.desk.route.cadence
        at = act["at"] if side is Side.audience else self.crm.updated_at if self.crm else None
        every = cadence.opted_out if side is Side.audience else cadence.crm_changed
        every = cadence.deleted if act["kind"] == "record" else every
        return bool(at is not None and at < sweep.at - 2 * every and act["seen_at"] >= sweep.at)
