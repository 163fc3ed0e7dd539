"""/v3/contact_lists (CC facts 6.1)."""

from collections import Counter
from typing import Any

from keepstep_sandbox.constant_contact import fields, paging
from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.changes import Change
from keepstep_sandbox.constant_contact.dates import seconds, stamp
from keepstep_sandbox.constant_contact.definitions import ContactList
from keepstep_sandbox.constant_contact.refusals import conflict, invalid, missing
from keepstep_sandbox.http import Request, Response, answer

PATH = "/v3/contact_lists"
MOST = 1_000  # lists of an account, CC facts 3.2


def find(account: Account, request: Request, _now: float) -> Response:
    """One page of lists; there is no date filter."""
    most = 1_000 if account.switches["list_page"] == "1000" else 500
    query = paging.read(request, account.switches, int(account.switches["list_page"]), most)
    params = query.params
    rows = [one for one in account.lists.values() if _asked(one, params)]
    begin, end = paging.window(len(rows), query, account.switches)
    members = _counted(account, params.get("include_membership_count"))
    page: dict[str, Any] = {"lists": [view(one, account.switches["date_dialect"], members) for one in rows[begin:end]]}
    if params.get("include_count") == "true":
        page["lists_count"] = len(rows)
    return answer(200, page | paging.links(PATH, query, end < len(rows), account.switches))


def get(account: Account, request: Request, _now: float, list_id: str) -> Response:
    """GET one."""
    found = account.lists.get(list_id)
    if found is None:
        raise missing()
    members = _counted(account, request.params().get("include_membership_count"))
    return answer(200, view(found, account.switches["date_dialect"], members))


def post(account: Account, request: Request, now: float) -> Response:
    """Create; 409 on a name that is taken."""
    body = fields.body_of(request)
    name, description = _free_name(account, body, None), fields.text(body, "description", 4_000)
    if sum(one.deleted is None for one in account.lists.values()) >= MOST:
        raise invalid(f"An account holds at most {MOST} lists.")
    made = create(account, name, now)
    _describe(account, made, description, body.get("favorite") is True)
    return answer(201, view(made, account.switches["date_dialect"]))


def put(account: Account, request: Request, now: float, list_id: str) -> Response:
    """Replace; the id stays (CC facts 6.1)."""
    found = account.live_list(list_id)
    if found is None:
        raise missing()
    body = fields.body_of(request)
    name, description = _free_name(account, body, found), fields.text(body, "description", 4_000)
    rename(account, found, name, now)
    _describe(account, found, description, body.get("favorite") is True)
    return answer(200, view(found, account.switches["date_dialect"]))


def create(account: Account, name: str, now: float) -> ContactList:
    """A new list."""
    made = ContactList(account.ids.next(), name, seconds(now), seconds(now))
    account.lists[made.list_id] = made
    account.note(f"list:{made.list_id}", "name", None, name)
    return made


def rename(account: Account, found: ContactList, name: str, now: float) -> None:
    """Another name for the same list."""
    if found.name == name:
        return
    account.note(f"list:{found.list_id}", "name", found.name, name)
    found.name, found.updated = name, seconds(now)


def remove(account: Account, list_id: str, now: float) -> None:
    """Delete a list and its memberships, not the contacts."""
    found = account.live_list(list_id)
    if found is None:
        return
    for one in list(account.members(list_id)):
        Change(account, one, now).leave(list_id)
    found.deleted = seconds(now)
    account.note(f"list:{list_id}", "deleted_at", None, stamp(found.deleted))


def view(one: ContactList, dialect: str, members: Counter[str] | None = None) -> dict[str, Any]:
    """A list as a JSON object; an empty description is absent (CC facts 6.1)."""
    shown: dict[str, Any] = {"list_id": one.list_id, "name": one.name}
    if one.description:
        shown["description"] = one.description
    shown |= {"favorite": one.favorite, "created_at": stamp(one.created, dialect, "created_at")}
    shown["updated_at"] = stamp(one.updated, dialect, "updated_at")
    if one.deleted is not None:
        shown["deleted_at"] = stamp(one.deleted, dialect, "deleted_at")
    if members is not None:
        shown["membership_count"] = members[one.list_id]
    return shown


def _asked(one: ContactList, params: dict[str, str]) -> bool:
    states = params.get("status", "active").split(",")
    if not set(states) <= {"all", "active", "deleted"}:
        raise invalid("status holds an unknown value.")
    state = "active" if one.deleted is None else "deleted"
    return ("all" in states or state in states) and params.get("name", one.name) == one.name


def _counted(account: Account, which: str | None) -> Counter[str] | None:
    if which is None:
        return None
    if which not in ("all", "active"):
        raise invalid("include_membership_count must be all or active.")
    people = (one for one in account.contacts.values() if which == "all" or one.mailable)
    return Counter(list_id for one in people for list_id in one.parts["list_memberships"])


def _free_name(account: Account, body: dict[str, Any], but: ContactList | None) -> str:
    name = fields.text(body, "name", 255)
    if name is None:
        raise invalid("name is required.")
    if any(one.name == name and one is not but and one.deleted is None for one in account.lists.values()):
        raise conflict("A list with this name exists.")
    return name


def _describe(account: Account, one: ContactList, description: str | None, favorite: bool) -> None:
    account.note(f"list:{one.list_id}", "description", one.description, description)
    account.note(f"list:{one.list_id}", "favorite", one.favorite, favorite)
    one.description, one.favorite = description, favorite
