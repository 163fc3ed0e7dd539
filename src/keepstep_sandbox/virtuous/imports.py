"""Contact/Transaction and Contact/Batch into the hold, and the nightly batch that empties it (Virtuous facts 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keepstep_sandbox.http import Effect, Response
from keepstep_sandbox.virtuous import merging
from keepstep_sandbox.virtuous.calls import Call, Refused, Route, custom_values, empty, objects, text, whole
from keepstep_sandbox.virtuous.change import IMPORT, STAFF, Change
from keepstep_sandbox.virtuous.matching import Match, match
from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.submission import MATCH_NEEDED, READY, UPDATE_NEEDED, WAITING, Row

TEXTS = (
    "referenceSource", "referenceId", "contactType", "name", "title", "firstName", "middleName", "lastName", "suffix",
    "gender", "emailType", "email", "phoneType", "phone", "address1", "address2", "city", "state", "postal", "country",
    "eventName", "rsvpResponse", "tags", "originSegmentCode",
)  # fmt: skip
NUMBERS = ("birthMonth", "birthDay", "birthYear", "eventId")


def transaction(call: Call) -> Response:
    """200, empty: the row waits, no record exists yet (Virtuous facts 10.1)."""
    change = call.change()
    _hold(change, _row_fields(call.body))
    return empty(change.finish())


def batch(call: Call) -> Response:
    """Many rows of one source (Virtuous facts 10.2)."""
    if "contacts" in call.body and not isinstance(call.body["contacts"], list):
        raise Refused(400, "An error has occurred.", "model.contacts")
    contacts = call.body.get("contacts") or []
    limit = call.organization.switches["batch-size"]
    if limit != "unlimited" and len(contacts) > int(limit):
        raise Refused(400, f"A batch must not hold more than {limit} contacts.", "model.contacts")
    source = text(call.body, "referenceSource")
    rows = [fields for item in contacts if (fields := _batch_row(call, item, source)) is not None]
    change = call.change()
    for fields in rows:
        _hold(change, fields)
    return empty(change.finish())


def _batch_row(call: Call, item: Any, source: str | None) -> dict[str, Any] | None:
    try:
        if not isinstance(item, dict):
            raise Refused(400, "An error has occurred.", "model.contacts")
        return _row_fields({**item, "referenceSource": source})
    except Refused:
        if call.organization.switches["batch-bad-row"] == "skipped":
            return None
        raise


def _row_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the model knows of a body; there is no place for consent, a second e-mail or a note."""
    fields: dict[str, Any] = {name: text(body, name) for name in TEXTS}
    fields |= {name: whole(body, name) for name in NUMBERS}
    custom = custom_values(body) if isinstance(body.get("customFields"), dict) else None
    if body.get("customFields") is not None and custom is None:
        raise Refused(400, "An error has occurred.", "customFields")
    fields["customFields"] = custom or None
    lists = body.get("emailLists")
    if lists is not None and not isinstance(lists, list):
        raise Refused(400, "An error has occurred.", "emailLists")
    objects(body, "volunteerAttendances")
    fields["emailLists"] = lists
    return {name: value for name, value in fields.items() if value is not None}


def _hold(change: Change, fields: dict[str, Any]) -> None:
    row = Row(change.organization.next_id("submission"), fields, change.now)
    change.organization.rows[row.id] = row
    name = f"submission:{row.id}"
    change.effect(name, "state", None, WAITING)
    for key, value in fields.items():
        change.effect(name, key, None, value)


def run(organization: Organization, now: float) -> tuple[dict[str, int], tuple[Effect, ...]]:
    """One night: sort every waiting row into its bucket and run those that the switches let run, source by source."""
    counts = dict.fromkeys((MATCH_NEEDED, UPDATE_NEEDED, READY, "created", "merged"), 0)
    effects: list[Effect] = []
    for row in _by_source(organization):
        change = Change(organization, now, IMPORT)
        found, blocked = _sort(organization, row)
        counts[row.bucket] += 1
        if _runs(organization, row, blocked):
            counts["merged" if found.contacts else "created"] += 1
            _settle(change, row, found.contacts[0].id if found.contacts else None, WAITING)
        else:
            change.effect(f"submission:{row.id}", "state", WAITING, row.bucket)
        effects.extend(change.finish())
    counts[WAITING] = len(organization.rows)
    return counts, tuple(effects)


def _by_source(organization: Organization) -> list[Row]:
    """Rows are bundled per source, oldest first (Virtuous facts 10.3)."""
    sources: dict[str, list[Row]] = {}
    for row in organization.rows.values():
        if row.bucket == WAITING:
            sources.setdefault(row.text("referenceSource"), []).append(row)
    return [row for rows in sources.values() for row in rows]


def _sort(organization: Organization, row: Row) -> tuple[Match, bool]:
    """The bucket by Virtuous facts 10.3; True where the row holds an error that a person must look at."""
    found = match(organization, row)
    errors = _errors(organization, row, bool(found.contacts))
    row.candidates = [contact.id for contact in found.contacts]
    row.reasons = [f"matched by {found.signal}", *errors] if found.contacts else ["no match", *errors]
    if not found.confident:
        row.bucket = MATCH_NEEDED
    elif errors or merging.difference(organization, found.contacts[0], row):
        row.bucket = UPDATE_NEEDED
    else:
        row.bucket = READY
    return found, bool(errors)


def _errors(organization: Organization, row: Row, matched: bool) -> list[str]:
    errors = [] if matched or row.says_anything() else ["no name, e-mail or phone"]
    code = row.text("originSegmentCode")
    if code and code not in organization.segments and organization.switches["unknown-segment"] == "update-needed":
        errors.append("unknown segment code")
    if organization.switches["unknown-tag"] == "update-needed":
        errors.extend("unknown tag" for name in row.tags() if organization.tag_named(name) is None)
    custom = organization.unknown_options(row.fields.get("customFields") or {})
    if custom and organization.switches["unknown-option"] == "refused":
        errors.extend("unknown option" for _ in custom)
    return errors


def _runs(organization: Organization, row: Row, blocked: bool) -> bool:
    mode = organization.switches["import-run"]
    return (mode == "all" and not blocked) or (mode == "ready" and row.bucket == READY)


def _settle(change: Change, row: Row, contact_id: int | None, before: str) -> None:
    """Run one row into a contact, or into a new one; it leaves the hold."""
    organization = change.organization
    if contact_id is None:
        contact = merging.create(change, row)
    else:
        contact = organization.contacts[contact_id]
        merging.apply(change, merging.difference(organization, contact, row), row)
    change.announce_update(contact)
    change.effect(f"submission:{row.id}", "state", before, "created" if contact_id is None else "merged")
    change.effect(f"submission:{row.id}", "contactId", None, contact.id)
    del organization.rows[row.id]


def resolve(organization: Organization, row_id: int, how: str | int, now: float) -> tuple[Effect, ...]:
    """Staff decides about a row: `create`, `discard`, or the id of the contact it belongs to.

    Raises KeyError for an unknown row or contact, ValueError for anything else.
    """
    row = organization.rows[row_id]
    change = Change(organization, now, STAFF)
    if how == "discard":
        change.effect(f"submission:{row.id}", "state", row.bucket, "discarded")
        del organization.rows[row_id]
    elif how == "create":
        _settle(change, row, None, row.bucket)
    elif isinstance(how, int) and how in organization.contacts:
        _settle(change, row, how, row.bucket)
    else:
        raise ValueError("create, discard, or the id of a contact")
    return change.finish()


def run_by_staff(organization: Organization, now: float) -> tuple[Effect, ...]:
    """Staff runs what the nights have left in the buckets, matched anew; rows with an error stay."""
    effects: list[Effect] = []
    for row in [one for one in organization.rows.values() if one.bucket != WAITING]:
        found, blocked = _sort(organization, row)
        if not blocked:
            effects += resolve(organization, row.id, found.contacts[0].id if found.contacts else "create", now)
    return tuple(effects)


ROUTES = (
    Route("POST", "Contact/Transaction", transaction),
    Route("POST", "Contact/Batch", batch),
)
