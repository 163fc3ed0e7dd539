"""Whether a feed did what it is for: everybody of the table is on the lists, once, and what people did since stands.

Each row falls into exactly one class: on the list, left out for a reason that the stand-ins bear out, or missing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.evidence import MAILABLE, OUT, Finding
from keepstep_sandbox.judge.fed import Change, Fed, Row, joins, widened
from keepstep_sandbox.people import ACCOUNT
from keepstep_sandbox.world import World

MUST_BE_ZERO = ("missing", "doubled", "put_back", "revived", "mailed_opted_out", "wrong_fields", "unsaid")
GRACE = 2 * 3600.0  # an opt-out that is younger may cross with an import on its way
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+$")
_NAMES = ("first_name", "last_name")
_PLACE = ("street", "city", "state", "postal_code", "country")
_SAID = ("left_out", "parked", "dead")
Claims = Mapping[str, Mapping[str, Any]]


def judge_feed(world: World, rows: Sequence[Row], claims: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The report on one feed. `claims`: {key, state: waiting|sent|done|left_out|parked|dead, reason}, one a row.

    rows: how many keys; on_list: whose person is on every list; left_out: by reason. `details` lists every violation
    by report key, row and reason, never an address or a name.
    """
    fed = Fed(world, rows, ACCOUNT)
    claimed = {str(one["key"]): one for one in claims}
    classes = {key: _class(fed, versions[-1], claimed.get(key, {})) for key, versions in fed.versions.items()}
    findings = [Finding("missing", key, why) for key, (name, why) in classes.items() if name == "missing"]
    findings += _unsaid(fed, classes, claimed)
    for address in dict.fromkeys(one.address for one in fed.rows if one.address):
        findings += _of_address(fed, address, claimed)
    keys = Counter(one.key for one in findings)
    names = Counter(name for name, _why in classes.values())
    return {
        "rows": len(classes),
        "versions": len(fed.rows),
        "on_list": names["on_list"],
        "left_out": dict(sorted(Counter(why for name, why in classes.values() if name == "left_out").items())),
        "waiting": sum(str(one.get("state")) in ("waiting", "sent") for one in claimed.values()),
        **{key: keys[key] for key in MUST_BE_ZERO},
        "imports": len({(one.t, one.due) for sent in fed.sent.values() for one in sent}),
        "details": [one.exported() for one in findings],
    }


def failed(report: Mapping[str, Any]) -> bool:
    """Whether a report on a feed must end a demo with exit code 1."""
    sums = report["on_list"] + sum(report["left_out"].values()) + report["missing"]
    return any(report[key] for key in MUST_BE_ZERO) or sums != report["rows"]


# --- which class ----------------------------------------------------------------------------------------------------


def _class(fed: Fed, row: Row, claim: Mapping[str, Any]) -> tuple[str, str]:
    """A row's class, and the reason or what is amiss."""
    if not row.address:
        return "left_out", "no_address"
    if not _ADDRESS.match(row.address):
        return "left_out", "bad_address"
    contact = fed.contact(row.address)
    on = set(contact.get("list_memberships", ())) if contact and "deleted_at" not in contact else set()
    off = [one for one in row.lists if one in fed.live and one not in on]
    if not off:
        return "on_list", ""
    excuses = [_excuse(fed, row, one) for one in off]
    if all(excuses):
        return "left_out", excuses[0]
    if row.odd and str(claim.get("state")) in _SAID and claim.get("reason"):
        return "left_out", row.odd
    return "missing", f"not on {excuses.count('')} of {len(row.lists)} lists"


def _excuse(fed: Fed, row: Row, list_id: str) -> str:
    """Why a person may be absent from a list; empty where nothing says so."""
    number = fed.holders.get(row.address, "")
    contact = fed.contact(row.address)
    if fed.out_at(number, row.address, fed.world.now) is not None:
        return "opted_out"
    if contact is None:
        return ""
    email = contact.get("email_address") or {}
    if email.get("permission_to_send") == OUT:
        return "opted_out"
    gone = _deleted(fed, number)
    if "deleted_at" in contact:
        return "" if gone is None or fed.permitted(row.address, gone, fed.world.now) else "deleted"
    if email.get("permission_to_send") not in MAILABLE:
        return "not_mailable"
    sent = fed.first_sent(row.address, list_id)
    since = [at for at in fed.left(number, list_id) if at > sent]
    return "left_list" if since and not fed.permitted(row.address, since[-1], fed.world.now) else ""


def _deleted(fed: Fed, number: str) -> float | None:
    """When somebody deleted a contact the last time; None where nobody did."""
    found = [one.t for one in fed.changes[number] if one.what == "deleted_at" and one.after and not one.ours]
    return found[-1] if found else None


def _unsaid(fed: Fed, classes: Mapping[str, tuple[str, str]], claimed: Claims) -> Iterator[Finding]:
    """Rows that the service knows nothing of, or left out and gave no reason."""
    for key, (name, why) in classes.items():
        claim = claimed.get(key)
        if claim is None:
            yield Finding("unsaid", key, "no claim")
        elif str(claim.get("state")) in _SAID and not claim.get("reason"):
            yield Finding("unsaid", key, f"{claim.get('state')} without a reason")
        elif name == "left_out" and claim.get("state") == "done" and not _was_sent(fed, key):
            yield Finding("unsaid", key, f"claimed done, never sent ({why})")


def _was_sent(fed: Fed, key: str) -> bool:
    last = fed.versions[key][-1]
    return any(fed.first_sent(last.address, one) < float("inf") for one in last.lists)


# --- what was done to a person ---------------------------------------------------------------------------------------


def _of_address(fed: Fed, address: str, claimed: Claims) -> Iterator[Finding]:
    number = fed.holders.get(address)
    if number is None:
        return
    versions = fed.of_address(address)
    lists = list(dict.fromkeys(one for row in versions for one in row.lists))
    yield from _doubled(fed, address, number, versions)
    yield from _put_back(fed, address, number, lists, versions[-1].key)
    yield from _revived(fed, address, number, versions[-1].key)
    yield from _mailed(fed, address, number, lists, versions[-1].key)
    yield from _fields(fed, address, number, versions, claimed)


def _doubled(fed: Fed, address: str, number: str, versions: Sequence[Row]) -> Iterator[Finding]:
    """The same row of an import took effect more than once, beyond once a version."""
    moments = {one.t for one in fed.changes[number] if one.ours}
    effective: Counter[tuple[str, str]] = Counter()
    for one in fed.sent[address]:
        if one.due in moments:
            effective.update((one.payload, each) for each in one.lists)
    allowed = 1 + sum(one.permitted > before.permitted for before, one in pairwise(versions))
    for times in {payload: times for (payload, _list), times in effective.items()}.values():
        if times > allowed:
            yield Finding("doubled", versions[-1].key, f"{times} imports of one version changed something")


def _put_back(fed: Fed, address: str, number: str, lists: Sequence[str], key: str) -> Iterator[Finding]:
    """On a list again although taken off it since the service first put the person there."""
    for t, list_id in joins(fed, number, lists):
        first = fed.first_sent(address, list_id)
        since = [at for at in fed.left(number, list_id) if first < at < t]
        if since and not fed.permitted(address, since[-1], t) and not _asked_by_staff(fed, number, list_id, since[-1]):
            yield Finding("put_back", key, f"on the list again at {t:.0f}, off since {since[-1]:.0f}")


def _asked_by_staff(fed: Fed, number: str, list_id: str, since: float) -> bool:
    """Whether staff in Virtuous gave the list's tag since, which is another wish than the table's."""
    member, tag = fed.evidence.members.get(number), fed.evidence.tag_of(list_id)
    contact = member.contact if member else None
    return contact is not None and any(
        act.t >= since and act.record == str(contact["id"]) and act.data["tag_name"] == tag
        for act in fed.evidence.acts_of("virtuous", "staff_adds_tag")
    )


def _revived(fed: Fed, address: str, number: str, key: str) -> Iterator[Finding]:
    for one in fed.changes[number]:
        if one.ours and one.what == "deleted_at" and one.before and not one.after:
            gone = max((each.t for each in fed.changes[number] if _is_deletion(each) and each.t <= one.t), default=0.0)
            if not fed.permitted(address, gone, one.t):
                yield Finding("revived", key, f"deleted, and there again since {one.t:.0f}")


def _is_deletion(one: Change) -> bool:
    return one.what == "deleted_at" and bool(one.after)


def _mailed(fed: Fed, address: str, number: str, lists: Sequence[str], key: str) -> Iterator[Finding]:
    """Put on a list, made mailable or sent in an import long after the person had opted out."""
    moments = [("put on a list", t) for t, _list in joins(fed, number, lists)]
    moments += [("made mailable", t) for t in widened(fed, number)]
    moments += [("sent in an import", one.t) for one in fed.sent[address]]
    for what, t in moments:
        out = fed.out_at(number, address, t - GRACE)
        if what == "made mailable" or (out is not None and fed.out_at(number, address, t) is not None):
            yield Finding("mailed_opted_out", key, f"{what} at {t:.0f} although opted out")
            return


# --- what the person's record says ------------------------------------------------------------------------------------


def _fields(fed: Fed, address: str, number: str, versions: Sequence[Row], claimed: Claims) -> Iterator[Finding]:
    """The values of the last version, or what somebody else wrote over them since; parked rows promise nothing."""
    last = {one.key: one for one in versions}
    rows = [one for key, one in last.items() if claimed.get(key, {}).get("state") == "done"]
    contact = fed.contact(address)
    if contact is None or "deleted_at" in contact or not rows or not any(_on(contact, one) for one in rows):
        return
    sent = _first_effect(fed, address, number, rows[-1].at)
    for name in _NAMES:
        wanted = {fields.name(one.values[name]) for one in rows if one.values.get(name)}
        if wanted and not _allowed(fed, number, name, wanted, fields.name(contact.get(name)), rows[-1].at, sent):
            yield Finding("wrong_fields", rows[-1].key, name)
    yield from _phone(fed, number, contact, rows[-1])
    yield from _place(fed, number, contact, rows[-1])


def _first_effect(fed: Fed, address: str, number: str, written: float) -> float:
    """When a version first changed something; where none of its imports did, when the first of them ended."""
    moments = {one.t for one in fed.changes[number] if one.ours}
    dues = sorted((one.due not in moments, one.due) for one in fed.sent[address] if one.due >= written)
    return dues[0][1] if dues else written


def _on(contact: Mapping[str, Any], row: Row) -> bool:
    return bool(set(row.lists) & set(contact.get("list_memberships", ())))


def _allowed(fed: Fed, number: str, name: str, wanted: set[str], have: str, written: float, sent: float) -> bool:
    """A later edit of somebody else stands; one that crossed with the row may stand or not."""
    edits = [one for one in fed.changes[number] if one.what == name and not one.ours and one.t > written]
    if edits and edits[-1].t > sent:
        return have == fields.name(edits[-1].after)
    return have in wanted | {fields.name(one.after) for one in edits}


def _phone(fed: Fed, number: str, contact: Mapping[str, Any], row: Row) -> Iterator[Finding]:
    """The row's number is there, wherever it is from: what an import cannot take goes another way."""
    wanted = fields.phone(row.values.get("phone"))
    have = {fields.phone(one["phone_number"]) for one in contact.get("phone_numbers", ())}
    if wanted and wanted not in have and not _edited(fed, number, "phone_numbers", row.at):
        yield Finding("wrong_fields", row.key, "phone")


def _place(fed: Fed, number: str, contact: Mapping[str, Any], row: Row) -> Iterator[Finding]:
    """One address of the person says what the row says, in every part that it gives."""
    wanted = {name: row.values[name] for name in _PLACE if row.values.get(name)}
    shape = {name: _part(name, value) for name, value in wanted.items()}
    found = any(
        all(_part(name, one.get(name)) == value for name, value in shape.items())
        for one in contact.get("street_addresses", ())
    )
    if wanted and not found and not _edited(fed, number, "street_addresses", row.at):
        yield Finding("wrong_fields", row.key, "address")


def _part(name: str, value: Any) -> str:
    return fields.country(value) if name == "country" else fields.place(value)


def _edited(fed: Fed, number: str, name: str, since: float) -> bool:
    return any(one.what == name and not one.ours and one.t > since for one in fed.changes[number])
