"""One range of parties: the same as when it was last found the same, or compared pair by pair."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from keepstep import filing
from keepstep.desk import Desk
from keepstep.model.canonical import fingerprint
from keepstep.model.contact import Side
from keepstep.model.drift import Finding, Looked, look
from keepstep.model.instant import Instant
from keepstep.model.party import Party, Setting
from keepstep.state import reconciliations

# A range grows with new parties until it is twice as long; then it is cut.
PARTIES = 500


class Sweep(Protocol):
    """The last whole sweep of a side. `trouble`: why it proves nothing."""

    @property
    def platform(self) -> str: ...
    @property
    def at(self) -> Instant: ...
    @property
    def finished(self) -> Instant: ...
    @property
    def trouble(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What other blocks know: what every decision is made by, and the last whole sweep of each side."""

    setting: Callable[[Connection, Desk, Instant], Setting]
    sweeps: Callable[[Connection, Desk, Instant], Mapping[Side, Sweep]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many parties; of those not compared since their range is as it was; compared; not compared since something
    waits for them. linked: people who are on both sides; conflict: differences that are explained."""

    parties: int = 0
    unchanged: int = 0
    compared: int = 0
    waiting: int = 0
    linked: int = 0
    conflict: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One finding of one party, as that party was then (`seen`)."""

    party_id: str
    crm_id: str | None
    seen: str
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A range that was looked at, up to `upto` ("": to the end)."""

    after: str
    upto: str
    fingerprint: str
    tally: Tally
    found: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """Parties as they are stored, each with one fingerprint over all that a comparison looks at."""

    prints: Mapping[str, str]
    waiting: frozenset[str]

    def together(self, mapping: str) -> str:
        return fingerprint([mapping, sorted(self.prints.items()), sorted(self.waiting)])


def mapping(setting: Setting) -> str:
    """The fingerprint of what pairs are compared by, with the canonicaliser's version in it."""
    labels = sorted((msgspec.to_builtins(one) for one in setting.labels), key=lambda one: (one["kind"], one["list_id"]))
    bound = [msgspec.to_builtins(one) for one in setting.bindings]
    return fingerprint([msgspec.to_builtins(setting.policy), labels, bound, setting.imports_opt_in])


def compared(tx: Connection, desk: Desk, setting: Setting, after: str) -> Range | None:
    """The range after this party id; None where there is nobody any more."""
    known = reconciliations.range_after(tx, desk.customer_id, after)
    docs = reconciliations.parties_in(tx, desk.customer_id, after, known["upto"] if known else "", 2 * PARTIES)
    if not docs:
        return None
    end = known["upto"] if known else ""
    ids = list(docs)
    if len(ids) == 2 * PARTIES or (not end and len(ids) >= PARTIES):
        ids = ids[:PARTIES]
        end = ids[-1]
    stored = as_stored(tx, desk, {one: docs[one] for one in ids})
    together = stored.together(mapping(setting))
    if known and (known["upto"], known["fingerprint"]) == (end, together):
        as_it_was = replace(Tally(**known["tally"]), compared=0, unchanged=len(ids))
        return Range(after=after, upto=end, fingerprint=together, tally=as_it_was)
    tally, found = deeply(tx, desk, setting, ids, stored)
    return Range(after=after, upto=end, fingerprint=together, tally=tally, found=found)


def remember(tx: Connection, desk: Desk, one: Range, now: Instant) -> None:
    """A range without a finding is not compared again until something in it is another."""
    if not one.found:
        tally = {name: int(value) for name, value in asdict(one.tally).items()}
        reconciliations.remember_range(tx, desk.customer_id, one.after, one.upto, one.fingerprint, tally, now)


def as_stored(tx: Connection, desk: Desk, docs: Mapping[str, str]) -> Stored:
    """The fingerprints of these parties. Raw text is hashed: nothing is understood that need not be."""
    read = reconciliations.readings_of(tx, desk.customer_id, list(docs))
    waits = reconciliations.waiting(tx, desk.customer_id, list(docs))
    return Stored({key: fingerprint([doc, read.get(key, [])]) for key, doc in docs.items()}, frozenset(waits))


def deeply(
    tx: Connection, desk: Desk, setting: Setting, party_ids: Sequence[str], stored: Stored
) -> tuple[Tally, tuple[Found, ...]]:
    """Compare these parties pair by pair."""
    resting = [one for one in party_ids if one not in stored.waiting]
    found: list[Found] = []
    tally = Tally(parties=len(party_ids), waiting=len(party_ids) - len(resting), compared=len(resting))
    for party, looked in _looks(tx, desk, setting, resting):
        tally += Tally(linked=looked.linked, conflict=looked.explained)
        seen = stored.prints[party.party_id]
        found += [
            Found(party_id=party.party_id, crm_id=party.crm_id, seen=seen, finding=one) for one in looked.findings
        ]
    return tally, tuple(found)


def _looks(tx: Connection, desk: Desk, setting: Setting, party_ids: Sequence[str]) -> list[tuple[Party, Looked]]:
    told = reconciliations.conflicts_of(tx, desk.customer_id, party_ids)
    found = filing.cases(tx, desk, party_ids)
    return [(party, look(party, read, setting, told.get(party.party_id, ()))) for party, read in found]
