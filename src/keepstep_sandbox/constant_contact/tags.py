"""/v3/contact_tags (CC facts 6.3)."""

from typing import Any

from keepstep_sandbox.constant_contact import fields, paging
from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.changes import Change
from keepstep_sandbox.constant_contact.dates import seconds, stamp
from keepstep_sandbox.constant_contact.definitions import Tag
from keepstep_sandbox.constant_contact.refusals import conflict, invalid, missing
from keepstep_sandbox.http import Request, Response, answer

PATH = "/v3/contact_tags"


def find(account: Account, request: Request, _now: float) -> Response:
    """A page of tags."""
    query = paging.read(request, account.switches, 50, 500)
    rows, counted = list(account.tags.values()), query.params.get("include_count") == "true"
    begin, end = paging.window(len(rows), query, account.switches)
    page = {"tags": [view(account, one, counted) for one in rows[begin:end]]}
    return answer(200, page | paging.links(PATH, query, end < len(rows), account.switches))


def get(account: Account, request: Request, _now: float, tag_id: str) -> Response:
    """GET one."""
    return answer(200, view(account, _known(account, tag_id), request.params().get("include_count") == "true"))


def post(account: Account, request: Request, now: float) -> Response:
    """Create; 409 on a name that is taken."""
    body = fields.body_of(request)
    return answer(201, view(account, create(account, _free_name(account, body, None), now)))


def put(account: Account, request: Request, now: float, tag_id: str) -> Response:
    """Another name for the same tag."""
    found = _known(account, tag_id)
    rename(account, found, _free_name(account, fields.body_of(request), found), now)
    return answer(200, view(account, found))


def create(account: Account, name: str, now: float) -> Tag:
    """A new tag."""
    made = Tag(account.ids.next(), name, seconds(now), seconds(now))
    account.tags[made.tag_id] = made
    account.note(f"tag:{made.tag_id}", "name", None, name)
    return made


def rename(account: Account, found: Tag, name: str, now: float) -> None:
    """Another name; the id stays."""
    if found.name != name:
        account.note(f"tag:{found.tag_id}", "name", found.name, name)
        found.name, found.updated = name, seconds(now)


def remove(account: Account, tag_id: str, now: float) -> None:
    """Delete a tag and take it off everybody."""
    if account.tags.pop(tag_id, None) is None:
        return
    for one in account.contacts.values():
        if tag_id in one.parts["taggings"]:
            Change(account, one, now).untag(tag_id)
    account.note(f"tag:{tag_id}", "deleted_at", None, stamp(seconds(now)))


def view(account: Account, one: Tag, counted: bool = False) -> dict[str, Any]:
    """A tag as a JSON object, with a key that no document knows (CC facts 12)."""
    dialect = account.switches["date_dialect"]
    shown = {"tag_id": one.tag_id, "name": one.name, "tag_source": "Contact", "color": "teal"}
    shown["created_at"] = stamp(one.created, dialect, "created_at")
    shown["updated_at"] = stamp(one.updated, dialect, "updated_at")
    if not counted:
        return shown
    return {**shown, "contacts_count": sum(one.tag_id in each.parts["taggings"] for each in account.contacts.values())}


def _known(account: Account, tag_id: str) -> Tag:
    found = account.tags.get(tag_id)
    if found is None:
        raise missing("Tag not found.")
    return found


def _free_name(account: Account, body: dict[str, Any], but: Tag | None) -> str:
    name = fields.text(body, "name", 255)
    if name is None:
        raise invalid("name is required.")
    if any(one.name == name and one is not but for one in account.tags.values()):
        raise conflict("A tag with this name exists.")
    return name
