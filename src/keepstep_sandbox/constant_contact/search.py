"""GET /v3/contacts: filters, page, include (CC facts 5.1)."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from keepstep_sandbox.constant_contact import dates, paging
from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.contact import PERMISSIONS, Contact
from keepstep_sandbox.constant_contact.contacts import include_of
from keepstep_sandbox.constant_contact.refusals import invalid, missing
from keepstep_sandbox.http import JSON, Request, Response, answer

PATH = "/v3/contacts"
Test = Callable[[Contact], bool]
_ORDERS: dict[str, Callable[[Contact], Any]] = {"updated": lambda one: -one.updated, "newest": lambda one: -one.created}
_STATES = ("all", "active", "deleted", *PERMISSIONS)


def _opted_out(one: Contact) -> int | None:
    at = one.email.get("opt_out_date") if one.email else None
    return at if isinstance(at, int) else None


_MOMENTS: dict[str, Callable[[Contact], int | None]] = {
    "updated": lambda one: one.updated,
    "created": lambda one: one.created,
    "optout": _opted_out,
}


def find(account: Account, request: Request, _now: float) -> Response:
    """One page. Raises Refusal (400)."""
    query = paging.read(request, account.switches, 50, 500)
    params = query.params
    include = include_of(params)
    if "segment_id" in params and not _segment_ready(account, params):
        return answer(202, {"status": "processing"})
    rows = _rows(account, params)
    begin, end = paging.window(len(rows), query, account.switches)
    texts = [one.text(include, account.switches) for one in rows[begin:end]]
    rest: dict[str, Any] = {"contacts_count": len(rows)} if params.get("include_count") == "true" else {}
    rest |= paging.links(PATH, query, end < len(rows), account.switches)
    tail = ", " + json.dumps(rest)[1:] if rest else "}"
    return Response(200, {"Content-Type": JSON}, f'{{"contacts": [{", ".join(texts)}]{tail}'.encode())


def _segment_ready(account: Account, params: dict[str, str]) -> bool:
    """Whether a segment can be read yet: asked for the first time it may still be worked out (CC facts 5.1). Raises
    Refusal (400, 404)."""
    if len(params) > 1:
        raise invalid("segment_id may only be combined with limit.")
    number = int(params["segment_id"]) if params["segment_id"].isascii() and params["segment_id"].isdigit() else -1
    if number not in account.segments:
        raise missing("Segment not found.")
    first = number not in account.segments_asked
    account.segments_asked.add(number)
    return not first or account.switches["segment_answer"] == "200"


def _rows(account: Account, params: dict[str, str]) -> list[Contact]:
    if "segment_id" in params:
        return [account.contacts[one] for one in account.segments[int(params["segment_id"])]]
    tests = list(_tests(account, params))
    people: Iterable[Contact] = account.contacts.values()
    if "email" in params:
        people = account.holders(params["email"])
    rows = [one for one in people if all(test(one) for test in tests)]
    order = _ORDERS.get(account.switches["contact_order"])
    return sorted(rows, key=order) if order else rows


def _tests(account: Account, params: dict[str, str]) -> Iterable[Test]:
    yield _state(params.get("status"))
    if "email" in params and account.switches["email_finds_deleted"] == "no":
        yield lambda one: one.deleted is None
    if "lists" in params:
        yield _any_of("list_memberships", params["lists"], 25)
    if "tags" in params:
        yield _any_of("taggings", params["tags"], 50)
    inclusive = account.switches["date_bounds"] == "inclusive"
    for name, moment in _MOMENTS.items():
        for side in ("after", "before"):
            if f"{name}_{side}" in params:
                yield _dated(moment, side, _moment(params, f"{name}_{side}"), inclusive)


def _state(status: str | None) -> Test:
    if status is None:
        return lambda one: one.deleted is None
    states = frozenset(status.split(","))
    if not states <= frozenset(_STATES):
        raise invalid("status holds an unknown value.")
    if "all" in states:
        return lambda _: True

    def test(one: Contact) -> bool:
        if one.deleted is not None:
            return "deleted" in states
        return one.permission in states or ("active" in states and one.mailable)

    return test


def _any_of(part: str, ids: str, most: int) -> Test:
    wanted = frozenset(ids.split(","))
    if len(wanted) > most:
        raise invalid(f"At most {most} ids.")
    return lambda one: not wanted.isdisjoint(one.parts[part])


def _moment(params: dict[str, str], name: str) -> float:
    try:
        return dates.parse(params[name])
    except ValueError as error:
        raise invalid(f"{name} is not a date.") from error


def _dated(moment: Callable[[Contact], int | None], side: str, bound: float, inclusive: bool) -> Test:
    def test(one: Contact) -> bool:
        at = moment(one)
        if at is None:
            return False
        return (inclusive and at == bound) or (at > bound if side == "after" else at < bound)

    return test
