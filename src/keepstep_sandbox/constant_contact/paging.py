"""Pages: relative next links whose cursor is a base64 query string with an ordinal (CC facts 1, paging)."""

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from keepstep_sandbox.constant_contact.refusals import invalid
from keepstep_sandbox.http import Request
from keepstep_sandbox.switches import Switches


@dataclass(frozen=True, slots=True)
class Query:
    """A collection's question: its filters, the page size, and the 1-based ordinal of the first row wanted."""

    params: dict[str, str]
    limit: int
    start: int

    @property
    def first(self) -> bool:
        return self.start == 1


def read(request: Request, switches: Switches, default: int, most: int) -> Query:
    """The question of a request, taken from its cursor where it has one. Raises Refusal."""
    params = request.params()
    cursor = params.pop("cursor", None)
    if cursor is not None:
        if params and switches["cursor_extra"] == "400":
            raise invalid("cursor may not be combined with other parameters.")
        params = _decoded(cursor)
    start = _number(params.pop("next", "1"), "cursor", 1, 1 << 40)
    return Query(params, _number(params.pop("limit", str(default)), "limit", 1, most), start)


def window(total: int, query: Query, switches: Switches) -> tuple[int, int]:
    """First and last+1 index of the page. With a page shift, one row came or went before the second page."""
    shift = {"insert": -1, "delete": 1}.get(switches["page_shift"], 0)
    begin = query.start - 1 + (0 if query.first else shift)
    return min(begin, total), min(begin + query.limit, total)


def links(path: str, query: Query, more: bool, switches: Switches) -> dict[str, Any]:
    """The `_links` member of a page, in the dialect of switch `last_page`."""
    if more:
        pairs = [("limit", str(query.limit)), ("next", str(query.start + query.limit))]
        for name, value in query.params.items():
            pairs += [("status[]", one) for one in value.split(",")] if name == "status" else [(name, value)]
        cursor = base64.b64encode(urlencode(pairs).encode()).decode()
        return {"_links": {"next": {"href": f"{path}?cursor={quote(cursor, safe='=')}"}}}
    last: dict[str, dict[str, Any]] = {
        "empty_links": {"_links": {}},
        "no_links": {},
        "next_null": {"_links": {"next": None}},
    }
    return last[switches["last_page"]]


def _decoded(cursor: str) -> dict[str, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), validate=True).decode()
    except ValueError as error:
        raise invalid("cursor is invalid.") from error
    params: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name == "status[]":
            name, value = "status", f"{params['status']},{value}" if "status" in params else value
        params[name] = value
    if "next" not in params:
        raise invalid("cursor is invalid.")
    return params


def _number(text: str, name: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 15 or not least <= int(text) <= most:
        raise invalid(f"{name} must be between {least} and {most}.")
    return int(text)
