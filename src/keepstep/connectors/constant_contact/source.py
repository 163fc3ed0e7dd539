"""Reading people at Constant Contact: the account, pages of contacts, one contact."""

from collections.abc import Mapping, Sequence
from typing import Any

from keepstep.connectors.constant_contact.api import Api, Reply, segment
from keepstep.model.errors import Missing, Permanent, Transient
from keepstep.model.instant import Instant, format_instant, parse_instant
from keepstep.ports import Page

INCLUDES = "custom_fields,list_memberships,notes,phone_numbers,street_addresses,taggings"
MOST = 500
LIMIT = str(MOST)

# `updated_after` misses opt-outs, which move only `opt_out_date`; the default status hides deletions (CC facts 5.4).
POLLS: Mapping[str, tuple[str, str | None]] = {
    "changed": ("all", "updated_after"),
    "opted_out": ("unsubscribed", "optout_after"),
    "deleted": ("deleted", None),  # by no date: a deletion moves `updated_at` or not, and `deleted_at` is a bare date
    "sweep": ("all", None),
}


class Source:
    """What can be read. Rows carry `_whole: True`, since all six includes are always asked for."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def account(self) -> str:
        """The tenant key, `encoded_account_id` (CC facts 9)."""
        value = (await self._api.get("/account/summary")).value
        account = value.get("encoded_account_id") if isinstance(value, dict) else None
        if not isinstance(account, str) or not account:
            raise Transient("account summary without encoded_account_id")
        return account

    async def changes(self, poll: str, since: Instant | None, cursor: str | None, size: int | None = None) -> Page:
        """One page of a poll; a cursor is the vendor's whole relative href, which holds the size that it began with."""
        reply = await (self._api.follow(cursor) if cursor else self._api.get("/contacts", _query(poll, since, size)))
        rows = rows_of(reply, "contacts")
        records = tuple((row["contact_id"], {**row, "_whole": True}) for row in rows if _is_contact(row))
        at = reply.at if reply.at is not None else max(_stamps(records), default=None)
        return Page(records, next_href(reply, cursor), at, poison=len(rows) - len(records))

    async def read(self, record_id: str) -> Mapping[str, Any] | None:
        """One contact with all includes, deleted ones too; None where there is none (CC facts 5.1)."""
        try:
            return {**await read_contact(self._api, record_id, INCLUDES), "_whole": True}
        except Missing:
            return None


async def read_contact(api: Api, record_id: str, include: str) -> dict[str, Any]:
    """One contact as it is now. Raises Missing where there is none."""
    value = (await api.get(f"/contacts/{segment(record_id)}", {"include": include})).value
    if not isinstance(value, dict) or value.get("contact_id") != record_id:
        raise Transient("the answer is not the contact that was asked for")
    return value


def _query(poll: str, since: Instant | None, size: int | None) -> dict[str, str]:
    if poll not in POLLS:
        raise Permanent(0, f"no poll {poll!r}")
    status, bound = POLLS[poll]
    after = {bound: format_instant(since)} if bound and since is not None else {}
    return {"status": status, **after, "include": INCLUDES, "limit": str(min(max(size or MOST, 1), MOST))}


async def rows_of_all_pages(api: Api, path: str, query: Mapping[str, str], name: str) -> list[Any]:
    """Every row of a collection. Raises Transient where a next link comes twice."""
    reply = await api.get(path, query)
    rows, followed = rows_of(reply, name), set[str]()
    while href := next_href(reply, None):
        if href in followed:
            raise Transient("a next link leads back")
        followed.add(href)
        reply = await api.follow(href)
        rows = rows + rows_of(reply, name)
    return rows


def next_href(reply: Reply, cursor: str | None) -> str | None:
    """The next page's href, None on the last page: `_links` may be {}, missing or hold null (CC facts 1, paging)."""
    link: Any = reply.value
    for name in ("_links", "next", "href"):
        link = link.get(name) if isinstance(link, dict) else None
    if link is None:
        return None
    if not isinstance(link, str) or link == cursor:
        raise Transient("a next link is not text or leads back")
    return link or None


def rows_of(reply: Reply, name: str) -> list[Any]:
    rows = reply.value.get(name) if isinstance(reply.value, dict) else None
    if not isinstance(rows, list):  # an empty result is an empty array; anything else is no answer (CC facts 5.1)
        raise Transient(f"a page without {name}")
    return rows


def _is_contact(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("contact_id"), str) and bool(row["contact_id"])


def _stamps(records: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Instant]:
    found: list[Instant] = []
    for _, row in records:
        email = row.get("email_address")
        opted_out = email.get("opt_out_date") if isinstance(email, dict) else None
        found += [at for at in (parse_instant(row.get("updated_at")), parse_instant(opted_out)) if at is not None]
    return found
