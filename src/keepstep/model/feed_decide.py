"""What becomes of one row of a feed: the only home of its policy.

A feed only adds (model/feed.py). The unit of once is a row's version and a list. What took a person away since stands,
and only a permission that is newer than it brings them back; an opt-out is never lifted here at all.

| what is known | what becomes of the row |
|---|---|
| the address opted out, by whatever side or the ledger | left_out opted_out |
| it is on hold, or its confirmation is awaited | left_out not_mailable |
| it was deleted, and the permission is no newer | left_out deleted |
| a newer row of the same address goes to the same lists | left_out duplicate |
| an import of ours had put it on a list that it has left | that list is left out; nothing else to do: left_out left |
| this version was put on a list before | that list is done |
| it is on the list by an earlier version | its fields go, to whoever is on the list still |
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from keepstep.model.canonical import LIMITS, email, region_of
from keepstep.model.contact import AudienceContact, Consent
from keepstep.model.feed import CUSTOM, Row, State
from keepstep.model.instant import Instant

# The kinds of steps: one row of a job that carries up to 40,000, and one person by calls of their own.
IMPORT, IMPORT_ONE = "import", "import_one"
KINDS = (IMPORT, IMPORT_ONE)
# Why a row of a job is tried again: the vendor's import took it and dropped it; or it never took the call.
DROPPED, NOT_TAKEN = "dropped by the vendor's import", "the vendor did not take the import"
# Why a job was not tried yet, which is no try: who is there is still being read, or some of it may not go.
READING, OTHERS_SHUT = "reading who is there", "others of the job are shut"
NOT_TRIED = (READING, OTHERS_SHUT)
# A list that it was to go to is not there any more; the lists are read again before it is decided anew.
LIST_GONE = "a list is not there any more"
OPTED_OUT, DELETED, NOT_MAILABLE, LEFT = "opted_out", "deleted", "not_mailable", "left"
DUPLICATE, UNKNOWN_LIST, TOO_MANY_LISTS = "duplicate", "unknown_list", "too_many_lists"

# Of a row whose feed the settings do not name any more: it goes on where they name it again.
NO_FEED = "no_feed"

LISTS = 50  # of one contact (CC facts 3.2)
IMPORT_EMAIL = 50  # of a row of an import; 80 otherwise (CC facts 3.2: the sources disagree)
# Characters (CC facts 3.2).
PLACE = {"street": 255, "city": 50, "state": 50, "postal": 50, "country": 50}
CUSTOM_FIELDS, CUSTOM_VALUE = 25, 255
# Whose numbers the import takes (CC facts 7.1).
DOMESTIC = ("US", "CA")
DAY = 86_400.0

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """What an import did to an address on one list. state: on; left (noted at `at`); missing (the import had dropped
    it). mine: by an earlier turn of the row that is decided, not by another one of the address."""

    version: str
    at: Instant
    state: str
    address: str | None
    mine: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known besides the row itself.

    lists: the ids that its lists' names mean; unknown: names that mean no list, or several. people: whoever the
    audience side has at the row's address and at those under which it was imported before. out: the reason why the
    address is shut (opted_out, no_ledger_key); gone: when the ledger saw it deleted. puts: list id to the last import
    there. newer: is there a newer row of the same address; claimed: the lists that such rows go to.
    """

    lists: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    people: tuple[AudienceContact, ...] = ()
    out: str | None = None
    gone: Instant | None = None
    puts: Mapping[str, Put] = field(default_factory=dict)
    newer: bool = False
    claimed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a row.

    way: by which it goes (None: nothing is sent). lists: to which it is put; kept: those among them, or where there
    are none the others, that it must be on still; left: those that it was found to have left; fields: {first_name,
    last_name, phone {kind, raw}, address {part}, custom {name}} as far as they go. revive: a deleted contact may come
    back. notes: what of the row does not travel, and why. since: when an import that dropped it was sent.
    """

    state: State
    reason: str | None = None
    way: Literal["import", "import_one"] | None = None
    lists: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    fields: Fields = field(default_factory=dict)
    revive: bool = False
    notes: tuple[str, ...] = ()
    since: Instant | None = None


def decide(row: Row, known: Known, existing: str = "update", region: str = "US") -> Verdict:
    """What becomes of a row. existing: whether people who are there get its fields (model.feed.Feed). region: the
    country of phones without one."""
    if reason := _unfit(row, known):
        return Verdict(state="parked", reason=reason)
    here = [one for one in known.people if not one.deleted]
    moment = _gone(row, known, here)
    if reason := _shut(row, known, here, moment):
        return Verdict(state="left_out", reason=reason)
    wanted = [one for one in known.lists if one not in known.claimed]
    if not wanted:
        return Verdict(state="left_out", reason=DUPLICATE)
    standings = {one: _standing(row, one, known, here) for one in wanted}
    return _verdict(row, known, here, standings, existing, region, revive=moment is not None)


# --- whether at all --------------------------------------------------------------------------------------------------


def _unfit(row: Row, known: Known) -> str | None:
    """Why a row cannot be imported as it is, whoever it is about."""
    if row.problem or not row.address:
        return row.problem or "no_email"
    if known.unknown:
        return UNKNOWN_LIST
    if not known.lists or len(known.lists) > LISTS:
        return TOO_MANY_LISTS if known.lists else "no_list"
    return known.out if known.out not in (None, OPTED_OUT) else None


def _gone(row: Row, known: Known, here: Sequence[AudienceContact]) -> Instant | None:
    """When the address was deleted; None where somebody has it, or nobody ever had. Whoever has one that the row had
    before says nothing of a deletion at this one."""
    if any(email(one.email) == row.address for one in here):
        return None
    away = [one for one in known.people if one.deleted and (not here or email(one.email) == row.address)]
    moments = [deleted_by(one.deleted_at, one.read_at) for one in away]
    return max([*moments, *([] if known.gone is None or here else [known.gone])], default=None)


def deleted_by(at: Instant | None, read_at: Instant) -> Instant:
    """The end of the interval in which a deletion was: the vendor tells a day, and perhaps nothing (CC facts 5.2)."""
    return read_at if at is None else at + DAY if at % DAY == 0 else at


def _shut(row: Row, known: Known, here: Sequence[AudienceContact], gone: Instant | None) -> str | None:
    """Why nobody may be put anywhere at this address."""
    if known.out or any(one.consent is Consent.opted_out for one in known.people):
        return OPTED_OUT
    if any(one.consent is not Consent.opted_in for one in here):
        return NOT_MAILABLE
    return DELETED if gone is not None and not _permits(row, gone) else None


def _permits(row: Row, since: Instant) -> bool:
    return row.permission_at is not None and row.permission_at > since


# --- list by list ----------------------------------------------------------------------------------------------------


def _standing(row: Row, list_id: str, known: Known, here: Sequence[AudienceContact]) -> str:
    """new, done, kept (on it by an earlier import), left, or missing (the last import dropped this version)."""
    put = known.puts.get(list_id)
    if put is None:
        return "new"
    same = put.mine and put.version == row.version
    if put.state == "missing":
        return "missing" if same else "new"
    away = _away(put, list_id, here)
    if away is not None:
        return "new" if _permits(row, away) else "left"
    if put.address != row.address:  # whoever was imported under the row's address before is on the list still
        return "new"
    return "done" if same else "kept"


def _away(put: Put, list_id: str, here: Iterable[AudienceContact]) -> Instant | None:
    """When somebody whom an import put on a list was known to be off it; None where nothing shows that they are."""
    told = [one for one in here if one.lists is not None and one.read_at > put.at]
    if any(list_id in (one.lists or ()) for one in told):
        return None
    return put.at if put.state == LEFT else max((one.read_at for one in told), default=None)


def _verdict(
    row: Row,
    known: Known,
    here: Sequence[AudienceContact],
    standings: Mapping[str, str],
    existing: str,
    region: str,
    *,
    revive: bool,
) -> Verdict:
    by = {word: tuple(key for key, one in standings.items() if one == word) for word in _WORDS}
    news, left = (*by["new"], *by["missing"]), by[LEFT]
    silent = known.newer or bool(by["done"]) or (existing == "lists_only" and bool(here))
    fields, notes = ({}, ()) if silent else _fields(row)
    if not news and not (by["kept"] and fields):
        gone = bool(left) and not by["kept"] and not by["done"]
        return Verdict(state="left_out" if gone else "done", reason=LEFT if gone else None, left=left)
    if any(len({*(one.lists or ()), *news}) > LISTS for one in here):
        return Verdict(state="parked", reason=TOO_MANY_LISTS, left=left)
    return Verdict(
        state="waiting",
        reason=",".join(notes) or None,
        way="import_one" if by["missing"] or _is_slow(row, fields, region) else "import",
        lists=tuple(sorted(news or by["kept"])),
        kept=tuple(sorted(by["kept"])),
        left=left,
        fields=fields,
        revive=revive,
        notes=notes,
        since=min((known.puts[one].at for one in by["missing"]), default=None),
    )


_WORDS = ("new", "missing", "kept", "done", LEFT)


# --- what the vendor takes -------------------------------------------------------------------------------------------


def _is_slow(row: Row, fields: Fields, region: str) -> bool:
    """Is there anything that an import does not take, and a call for one person does (CC facts 3.2, 7.1)?"""
    phone = fields.get("phone")
    abroad = phone is not None and region_of(phone["raw"], region) not in DOMESTIC
    return abroad or len(row.fields["email"]) > IMPORT_EMAIL


def _fields(row: Row) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The row's fields as far as they travel, and what does not. Nothing is ever blanked: what is empty is left out."""
    said = {name: value for name, value in row.fields.items() if value}
    found: dict[str, Any] = {}
    notes: list[str] = []
    for name in ("first_name", "last_name"):
        if name in said:
            found[name] = said[name][: LIMITS[name]]
            notes += ["name_cut"] if len(said[name]) > LIMITS[name] else []
    if phone := said.get("phone"):
        long = len(phone) > LIMITS["phone"]
        notes += ["phone_too_long"] if long else []
        found |= {} if long else {"phone": {"kind": "other", "raw": phone}}
    place, cut = _place(said)
    custom, more = _custom(said)
    found |= ({"address": place} if place else {}) | ({"custom": custom} if custom else {})
    return found, tuple(dict.fromkeys([*notes, *cut, *more]))


def _place(said: Fields) -> tuple[dict[str, str], list[str]]:
    """The parts of the address that are short enough; a part that was cut would be another place."""
    parts = {name: said[name] for name in PLACE if name in said}
    fit = {name: part for name, part in parts.items() if len(part) <= PLACE[name]}
    return fit, ["address_too_long"] if fit != parts else []


def _custom(said: Fields) -> tuple[dict[str, str], list[str]]:
    named = {name.removeprefix(CUSTOM): value for name, value in sorted(said.items()) if name.startswith(CUSTOM)}
    fit = {name: value for name, value in named.items() if len(value) <= CUSTOM_VALUE}
    most = dict(list(fit.items())[:CUSTOM_FIELDS])
    notes = ["value_too_long"] if fit != named else []
    return most, [*notes, *(["too_many_fields"] if most != fit else [])]
