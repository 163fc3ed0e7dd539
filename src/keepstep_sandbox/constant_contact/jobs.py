"""Jobs on memberships, lists and tags, and what each does when it runs (CC facts 6.2, 6.3)."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from keepstep_sandbox.constant_contact import fields, lists, tags
from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.activities import PATH, Activity, Tally
from keepstep_sandbox.constant_contact.changes import Change
from keepstep_sandbox.constant_contact.contact import Contact
from keepstep_sandbox.constant_contact.refusals import invalid, missing
from keepstep_sandbox.http import Request, Response, answer

LISTS_OF_A_CONTACT = TAGS_OF_A_CONTACT = 50  # CC facts 3.2
_SOURCES = {"contact_ids": 500, "list_ids": 50, "tag_ids": 50}
Step = Callable[[Account, Contact, list[str], float, Tally], None]


def add(account: Account, request: Request, now: float) -> Response:
    """POST /v3/activities/add_list_memberships."""
    return _memberships(account, request, now, "add_list_memberships", _join)


def remove(account: Account, request: Request, now: float) -> Response:
    """POST /v3/activities/remove_list_memberships."""
    return _memberships(account, request, now, "remove_list_memberships", _leave)


def tag(account: Account, request: Request, now: float) -> Response:
    """POST /v3/activities/contacts_taggings_add (CC facts 6.3)."""
    return _taggings(account, request, now, "contacts_taggings_add", _tag)


def untag(account: Account, request: Request, now: float) -> Response:
    """POST /v3/activities/contacts_taggings_remove."""
    return _taggings(account, request, now, "contacts_taggings_remove", _untag)


def delete_tag(account: Account, _request: Request, now: float, tag_id: str) -> Response:
    """DELETE /v3/contact_tags/{id}: 202, by and by (CC facts 6.3)."""
    if tag_id not in account.tags:
        raise missing()

    def work(at: float, tally: Tally) -> None:
        for one in tally.share([tag_id]):
            tags.remove(account, one, at)
            tally.add("items_completed_count")

    posted = account.activities.post(account.ids.next(), "tag_delete", work, {"items_total_count": 1}, now)
    return accepted(account, posted, now, 202)


def delete_list(account: Account, _request: Request, now: float, list_id: str) -> Response:
    """DELETE /v3/contact_lists/{id}: 202 with Location (CC facts 6.1)."""
    if account.live_list(list_id) is None:
        raise missing()

    def work(at: float, tally: Tally) -> None:
        for one in tally.share([list_id]):
            lists.remove(account, one, at)
            tally.add("items_completed_count")

    posted = account.activities.post(
        account.ids.next(), "list_delete", work, {"items_total_count": 1, "list_count": 1}, now
    )
    return accepted(account, posted, now, 202)


def accepted(account: Account, posted: Activity, now: float, status: int) -> Response:
    """The answer to a posted job."""
    return answer(status, account.activities.view(posted, now), Location=f"{PATH}/{posted.activity_id}")


def _memberships(account: Account, request: Request, now: float, kind: str, step: Step) -> Response:
    body = fields.body_of(request)
    targets = fields.list_ids(account, body.get("list_ids"), 1)
    select = _selection(account, body)

    def work(at: float, tally: Tally) -> None:
        live = [one for one in targets if account.live_list(one) is not None]
        tally.errors += [f"List not found: {one}" for one in targets if one not in live]
        _run(account, select(), live, at, tally, step)

    counts = {"items_total_count": len(select()), "items_completed_count": 0, "list_count": len(targets)}
    return accepted(account, account.activities.post(account.ids.next(), kind, work, counts, now), now, 201)


def _taggings(account: Account, request: Request, now: float, kind: str, step: Step) -> Response:
    body = fields.body_of(request)
    targets = fields.tag_ids(account, body.get("tag_ids"))
    select = _selection(account, body)

    def work(at: float, tally: Tally) -> None:
        live = [one for one in targets if one in account.tags]
        tally.errors += [f"Tag not found: {one}" for one in targets if one not in live]
        _run(account, select(), live, at, tally, step)

    counts = {"items_total_count": len(select()), "items_completed_count": 0}
    return accepted(account, account.activities.post(account.ids.next(), kind, work, counts, now), now, 201)


def _run(account: Account, ids: list[str], live: list[str], at: float, tally: Tally, step: Step) -> None:
    spoiled = ids[-1:] if account.switches["activity_error_count"] == "1" and tally.unlucky else []
    for one in tally.share(ids):
        contact = account.contacts.get(one)
        if contact is None or one in spoiled:
            tally.error(f"Contact could not be processed: {one}")
        else:
            step(account, contact, live, at, tally)


def _selection(account: Account, body: dict[str, Any]) -> Callable[[], list[str]]:
    """Whom the source names, looked up when the job runs. Raises Refusal (400)."""
    source, exclude = body.get("source"), body.get("exclude") or {}
    if not isinstance(source, dict) or len(source) != 1 or not isinstance(exclude, dict):
        raise invalid("source must hold exactly one kind of source.")
    kind, value = next(iter(source.items()))
    if kind in _SOURCES:
        value = fields.strings(value, kind, _SOURCES[kind], 1)
    elif kind != "all_active_contacts" or value is not True:
        raise invalid(f"source {kind} is not supported.")
    if exclude and kind not in ("list_ids", "all_active_contacts"):
        raise invalid("exclude needs list_ids or all_active_contacts.")
    left_out = frozenset(fields.strings(exclude.get("contact_ids", []), "exclude", 500))
    if kind == "contact_ids":
        return partial(list, value)
    return lambda: [one.contact_id for one in _matching(account, kind, value) if one.contact_id not in left_out]


def _matching(account: Account, kind: str, value: Any) -> Iterable[Contact]:
    if kind == "all_active_contacts":
        return (one for one in account.contacts.values() if one.mailable)
    part, wanted = ("list_memberships" if kind == "list_ids" else "taggings"), frozenset(value)
    return (one for one in account.contacts.values() if not wanted.isdisjoint(one.parts[part]))


def _join(account: Account, contact: Contact, targets: list[str], at: float, tally: Tally) -> None:
    """Adding a deleted contact revives it; one who opted out stays opted out (CC facts 5.5, 6.2)."""
    change = Change(account, contact, at)
    change.revive()
    if contact.out and account.switches["list_job_adds_unsubscribed"] == "no":
        tally.add("cannot_add_to_list_count")
        return
    for one in targets:
        if (
            one not in contact.parts["list_memberships"]
            and len(contact.parts["list_memberships"]) >= LISTS_OF_A_CONTACT
        ):
            tally.error(f"Contact has {LISTS_OF_A_CONTACT} lists already: {contact.contact_id}")
            return
        change.join(one)
    tally.add("items_completed_count")


def _leave(account: Account, contact: Contact, targets: list[str], at: float, tally: Tally) -> None:
    change = Change(account, contact, at)
    for one in targets:
        change.leave(one)
    tally.add("items_completed_count")


def _tag(account: Account, contact: Contact, targets: list[str], at: float, tally: Tally) -> None:
    """A deleted contact is not brought back by a tag; nothing is stated, so the job counts an error."""
    if contact.deleted is not None:
        tally.error(f"Contact could not be processed: {contact.contact_id}")
        return
    for one in targets:
        if one not in contact.parts["taggings"] and len(contact.parts["taggings"]) >= TAGS_OF_A_CONTACT:
            tally.error(f"Contact has {TAGS_OF_A_CONTACT} tags already: {contact.contact_id}")
            return
        Change(account, contact, at).tag(one)
    tally.add("items_completed_count")


def _untag(account: Account, contact: Contact, targets: list[str], at: float, tally: Tally) -> None:
    for one in targets:
        Change(account, contact, at).untag(one)
    tally.add("items_completed_count")
