"""A step is one concrete write, decided and not yet done; an outcome is how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

from keepstep.model.contact import Side
from keepstep.model.instant import Instant


class Lane(IntEnum):
    """Priority of a step or entry; lower goes first."""

    consent = 0
    changes = 1
    sweep = 2
    bulk = 3


# Kinds that replace a record as a whole: what one of them has not been answered for may still come and overwrite.
REPLACING = ("opt_out", "set_fields")
# Why a change is only inferred and nobody's own act or edit (design section 4, brake).
Inferred = Literal["absence", "deletion", "bounce", "false"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One write that a decision wants. `target` is unique within (party, side); `group` names what may share a call;
    `inferred` says why, where nobody was seen to ask for it.

    Kinds and their payloads. `was` is what the decision saw there: a write over anything else is not made, it is
    decided anew. Ids are text; in a creation a phone is {kind, raw} or None, an address is {kind, street, city, state,
    postal, country} or None; `custom` is {name of the field in the CRM: value}; `lists` are ids of lists and of the
    audience side's own tags.

    | side | kind | payload |
    |---|---|---|
    | crm | submit | record_id, first_name, last_name, email, phone, address, lists [ids], tags [names], custom |
    | crm | create | as submit; made directly, opted out, but with `opted_in` |
    | crm | link | contact, record_id, individual |
    | crm | set_person | contact, individual, first_name, last_name (None: leave), was {first_name, last_name} |
    | crm | set_email | contact, individual, method, value, was |
    | crm | swap_email | as set_email, type, opted_in: by a new method, where people change addresses with each other |
    | crm | set_phone | contact, individual, method (None: add), kind, value, was |
    | crm | set_address | contact, address (None: add), kind, street, city, state, postal, country, was {...} |
    | crm | set_custom | contact, values {name: value}, was {name: value or None} |
    | crm | set_consent | contact, individual, method, opted_in |
    | crm | add_tag, remove_tag | contact, tag_id, tag, list_id |
    | crm | note | contact, text, act |
    | crm | unlink | contact, record_id: our reference goes off the contact |
    | crm | drop_phone, drop_address | contact, individual, method or address, was: what a run had added goes |
    | audience | opt_out | record_id, reason, source (Contact or Account) |
    | audience | set_fields | record_id, values {field: name, phone {kind, raw} or address {kind, parts}}, was {field} |
    | audience | join, leave | record_id, list_ids |
    | audience | enrol | contact, individual, email, first_name, last_name, phone, address, list_ids, evidence |
    | audience | import, import_one | feed, row, version, email, names, phone, address, custom, list_ids, kept, revive |
    | audience | tag_on, tag_off | record_id, list_ids [tag ids of the audience side] |

    A row of a feed goes with others in one `import`, or alone; it has only what is said. `kept` are lists that the
    person must be on still, `revive` says that a deleted contact may come back, `since` when an import dropped it,
    `notes` what of it does not travel.

    A step that restores what a run has written has `undo` besides: {run, at, rows [ids of what was written], seen
    {value: what the other side says of it}}; an empty text in it empties the value.
    """

    party_id: str
    side: Side
    kind: str
    target: str
    lane: Lane
    group: str
    payload: Mapping[str, Any]
    member: str | None = None
    hold: str | None = None
    inferred: Inferred | None = None


def a_step(
    party_id: str,
    member: str,
    kind: str,
    payload: Mapping[str, Any],
    *,
    side: Side = Side.crm,
    target: str | None = None,
    lane: Lane = Lane.changes,
    group: str | None = None,
    hold: str | None = None,
) -> Step:
    """A step for one member. Unless named, its target is its kind and member, and its call carries nothing else."""
    target = target or f"{kind}:{member}"
    return Step(
        party_id=party_id,
        side=side,
        kind=kind,
        target=target,
        lane=lane,
        group=group or f"{party_id}:{target}",
        payload=payload,
        member=member,
        hold=hold,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One vendor call that carries the steps of one group: what a connector is asked to do."""

    id: str
    side: Side
    kind: str
    steps: tuple[Step, ...]
    vendor_id: str | None = None
    sent_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """It took effect. `answer` holds what the vendor says the values are now, by the names of the step's payload."""

    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The vendor took it and works on it: look again, by `vendor_id` where there is one, after `look_after` seconds."""

    vendor_id: str | None = None
    look_after: float = 60.0


@dataclass(frozen=True, slots=True)
class Nothing:
    """It was already so, or must not be; no write was made. `answer` as of `Done`."""

    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retry:
    """It did not take effect and may be tried again after so many seconds."""

    after: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows; look after so many seconds before anything is repeated."""

    look_after: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Dead:
    """It will never succeed; show it to a person."""

    reason: str
    status: int | None = None


Outcome = Done | Accepted | Nothing | Retry | Unknown | Dead
