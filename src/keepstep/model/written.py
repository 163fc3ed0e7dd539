"""What a run wrote, as values that can be restored one by one, and what stays whatever anybody asks.

Consent is never undone, and records that were made stay: contacts, and notes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from keepstep.model.canonical import ADDRESS_PARTS
from keepstep.model.fields import NAMES
from keepstep.model.instant import Instant
from keepstep.model.party import Restore
from keepstep.model.toward import plain

TAGS, JOINS = ("add_tag", "remove_tag"), ("join", "tag_on")
BACK = {"join": "leave", "leave": "join", "tag_on": "tag_off", "tag_off": "tag_on"}
# What is written of a whole household: whoever of its members it was written for.
SHARED = (*TAGS, "set_address", "set_custom")
STAYS = {"submit": "created", "create": "created", "enrol": "created", "note": "note"}
STAYS |= {"set_consent": "consent", "opt_out": "consent"}
_FAMILIES = {"tag": TAGS, "list": ("join", "leave"), "mark": ("tag_on", "tag_off"), "reference": ("link",)}
_FAMILIES |= {"audience": ("set_fields",)}
_FAMILIES |= {"crm": ("set_person", "set_email", "swap_email", "set_phone", "set_address", "set_custom")}
# The family of every kind of step that can be undone.
FAMILY = {kind: family for family, kinds in _FAMILIES.items() for kind in kinds}


class Write(Protocol):
    """One value as a run has written it."""

    @property
    def id(self) -> int: ...
    @property
    def member(self) -> str | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...
    @property
    def answer(self) -> Mapping[str, Any] | None: ...


def values(kind: str, payload: Mapping[str, Any]) -> tuple[str, ...]:
    """The values that a step of this kind writes: each is undone by itself. A step without any is named by its kind."""
    if kind == "set_person":
        return tuple(name for name in NAMES if payload.get(name) is not None)
    if kind == "set_custom":
        return tuple(f"custom:{name}" for name in payload["values"])
    if kind == "set_fields":
        return tuple(payload["values"])
    if kind in BACK:
        return tuple(payload["list_ids"])
    if kind in TAGS:
        return (str(payload["list_id"]),)
    return (_ALONE.get(kind, kind),)


_ALONE = {"set_email": "email", "swap_email": "email", "set_phone": "phone", "set_address": "address"}
_ALONE |= {"link": "reference"}


def folded(run: str, at: Instant, rows: Sequence[Write]) -> tuple[tuple[Restore, ...], dict[int, str]]:
    """What is to be restored of one party, of writes in their order; and why the other rows stay, by id. Of several
    writes of one value the first says what was there, the last what is."""
    groups: dict[tuple[str, str, str], list[Write]] = {}
    stays: dict[int, str] = {}
    for row in rows:
        if row.kind in STAYS or row.kind not in FAMILY:
            stays[row.id] = STAYS.get(row.kind, "not_undone")
        else:
            member = "" if row.kind in SHARED else row.member or ""
            groups.setdefault((FAMILY[row.kind], member, row.what), []).append(row)
    found = [_restore(run, at, group) for group in groups.values()]
    stays |= {row: "as_before" for one in found if one.was == one.wrote for row in one.rows}
    return tuple(one for one in found if one.was != one.wrote), stays


def _restore(run: str, at: Instant, group: Sequence[Write]) -> Restore:
    first, last = group[0], group[-1]
    was, _ = _change(first)
    _, wrote = _change(last)
    return Restore(
        run=run,
        at=at,
        rows=tuple(row.id for row in group),
        member=last.member or "",
        kind=last.kind,
        what=last.what,
        was=was,
        wrote=wrote,
        payload=dict(last.payload),
        answer=dict(last.answer or {}),
    )


def _change(row: Write) -> tuple[Any, Any]:
    """What was there, and what the vendor says it is now."""
    payload, answer = row.payload, row.answer or {}
    if row.kind in (*TAGS, *BACK, "link"):
        added = row.kind in ("add_tag", "link", *JOINS)
        return not added, added
    if row.kind == "set_address":
        return payload.get("was"), {part: answer.get(part, payload.get(part)) for part in ADDRESS_PARTS}
    if row.kind == "set_custom":
        name = row.what.removeprefix("custom:")
        return payload["was"].get(name), (answer.get("values") or {}).get(name, payload["values"][name])
    if row.kind == "set_fields":
        said = plain(row.what, payload["values"][row.what])
        return payload["was"].get(row.what), (answer.get("values") or {}).get(row.what, said)
    if row.kind == "set_person":
        return payload["was"].get(row.what), answer.get(row.what, payload[row.what])
    return payload.get("was"), answer.get("value", payload["value"])
