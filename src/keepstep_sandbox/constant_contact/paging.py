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


# Parameters of several values, and how each value is named in a cursor (CC facts 1).
_SEVERAL = {"status": "status[]", "bounce_code": "bounce_code"}
_ONE = {spelled: name for name, spelled in _SEVERAL.items()}


def read(request: Request, switches: Switches, default: int, most: int, name: str = "cursor") -> Query:
    """The question of a request, taken from its cursor where it has one; reports call theirs `next`. Raises
    Refusal."""
    params = request.params()
    cursor = params.pop(name, None)
    if "bounce_code" in params:
        params["bounce_code"] = ",".join(request.params_all("bounce_code"))
    if cursor is not None:
        if params and switches["cursor_extra"] == "400":
            raise invalid(f"{name} may not be combined with other parameters.")
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
        return next_link(path, query, "cursor")
    last: dict[str, dict[str, Any]] = {
        "empty_links": {"_links": {}},
        "no_links": {},
        "next_null": {"_links": {"next": None}},
    }
    return last[switches["last_page"]]


def report_links(path: str, query: Query, more: bool, switches: Switches) -> dict[str, Any]:
    """The same of a report: `?next=`, and `_links` may be missing although it is required (CC facts 1, 8)."""
    if more:
        return next_link(path, query, "next")
    last: dict[str, dict[str, Any]] = {
        "no_links": {},
        "empty_links": {"_links": {}},
        "href_null": {"_links": {"next": {"href": None}}},
    }
    return last[switches["report_last_page"]]


def next_link(path: str, query: Query, name: str) -> dict[str, Any]:
    """The link to the page after this one, relative and with everything that was asked."""
    pairs = [("limit", str(query.limit)), ("next", str(query.start + query.limit))]
    for key, value in query.params.items():
        pairs += [(_SEVERAL[key], one) for one in value.split(",")] if key in _SEVERAL else [(key, value)]
    cursor = base64.b64encode(urlencode(pairs).encode()).decode()
    return {"_links": {"next": {"href": f"{path}?{name}={quote(cursor, safe='=')}"}}}


def _decoded(cursor: str) -> dict[str, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), validate=True).decode()
    except ValueError as error:
        raise invalid("cursor is invalid.") from error
    params: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        one = _ONE.get(name, name)
        params[one] = f"{params[one]},{value}" if name in _ONE and one in params else value
    if "next" not in params:
        raise invalid("cursor is invalid.")
    return params


def _number(text: str, name: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 15 or not least <= int(text) <= most:
        raise invalid(f"{name} must be between {least} and {most}.")
    return int(text)
