"""One authorised request on its way to a handler: its parts, read strictly, and the ways to refuse it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from keepstep_sandbox.http import JSON, Effect, Request, Response, answer
from keepstep_sandbox.switches import Switches
from keepstep_sandbox.virtuous.change import API_USER, Change
from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.records import WHOLE_NUMBERS, YES_OR_NO, Contact, Fields

T = TypeVar("T")

WHOLE = re.compile(r"-?[0-9]{1,18}")
TAKE = 10
TAKE_MAX = 1000
CODES = {400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND", 409: "CONFLICT"}


class Refused(Exception):
    """The request is answered with an error; `place` names the offending property, if there is one."""

    def __init__(self, status: int, message: str = "", place: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.place = status, message, place

    def response(self, switches: Switches) -> Response:
        """404 is empty; the others come in the old or the new form (Virtuous facts 5, 18.2)."""
        if self.status == 404:
            return Response(404)
        if switches["error-body"] == "envelope":
            return answer(self.status, self._envelope())
        if not self.place:
            return answer(self.status, {"message": self.message})
        return answer(self.status, {"message": "The request is invalid.", "modelState": {self.place: [self.message]}})

    def _envelope(self) -> dict[str, Any]:
        details = [{"field": self.place, "code": "INVALID", "message": self.message}] if self.place else []
        code = "VALIDATION_FAILED" if self.place else CODES.get(self.status, "BAD_REQUEST")
        return {"error": {"code": code, "message": self.message, "details": details}}


@dataclass(eq=False)
class Call:
    """A request of one organization; `place` holds the path's variable parts, decoded."""

    organization: Organization
    request: Request
    now: float
    place: tuple[str, ...]
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        params = self.request.params() if self.request.query else {}
        self.query = {name.lower(): value for name, value in params.items()}

    @cached_property
    def body(self) -> dict[str, Any]:
        """The body as an object, else 400."""
        try:
            value = self.request.json() if self.request.body.strip() else None
        except (ValueError, RecursionError):
            raise Refused(400, "An error has occurred.", "body") from None
        if value is None:
            raise Refused(400, "The argument cannot be null")
        if not isinstance(value, dict):
            raise Refused(400, "An error has occurred.", "body")
        return value

    @property
    def optional_body(self) -> dict[str, Any]:
        """The body where there may be none."""
        return self.body if self.request.body.strip() else {}

    def number(self, at: int = 0) -> int:
        """A variable part of the path as a number, else 404."""
        part = self.place[at]
        if not (part.isascii() and part.isdigit() and len(part) < 19):
            raise Refused(404)
        return int(part)

    def change(self) -> Change:
        return Change(self.organization, self.now, API_USER)

    def page(self) -> tuple[int, int]:
        """`skip` and `take`; the default is ten, above 1000 is refused (Virtuous facts 6, 9)."""
        source: Mapping[str, Any] = self.query
        if self.organization.switches["paging-place"] == "body" and self.request.method == "POST":
            source = self.optional_body
        skip = _paging(source.get("skip"), 0, "skip")
        take = _paging(source.get("take"), TAKE, "take")
        if take > TAKE_MAX:
            raise Refused(400, f"take must not exceed {TAKE_MAX}")
        return skip, take

    def listing(self, rows: Sequence[T], shape: Callable[[T], Any]) -> Response:
        """One page as `{list, total}`."""
        skip, take = self.page()
        return answer(200, {"list": [shape(row) for row in rows[skip : skip + take]], "total": len(rows)})

    def written(self, change: Change, contact: Contact) -> tuple[Effect, ...]:
        """Finish a write; one that changed nothing is silent or still counts (switch write-without-change)."""
        if self.organization.switches["write-without-change"] == "touches":
            change.touch(contact)
        return change.finish()


Handler = Callable[[Call], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is below /api; `{}` stands for one variable part."""

    method: str
    path: str
    handler: Handler


def joined_bodies(bodies: Iterable[bytes], total: int) -> Response:
    """A list answer from ready-made JSON."""
    body = b'{"list": [' + b", ".join(bodies) + b'], "total": ' + str(total).encode() + b"}"
    return Response(200, {"Content-Type": JSON}, body)


def ready_body(body: bytes, effects: tuple[Effect, ...] = ()) -> Response:
    """An answer from ready-made JSON."""
    return Response(200, {"Content-Type": JSON}, body, effects)


def empty(effects: tuple[Effect, ...] = ()) -> Response:
    """200 without a body."""
    return answer(200, None, effects)


def text(values: Mapping[str, Any], name: str) -> str | None:
    """A text or null; numbers are taken as text, anything else is 400."""
    value = values.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise Refused(400, "An error has occurred.", name)


def required(values: Mapping[str, Any], name: str) -> str:
    """A text that must not be empty."""
    value = text(values, name)
    if value is None or not value.strip():
        raise Refused(400, f"The {name} field is required.", name)
    return value


def whole(values: Mapping[str, Any], name: str) -> int | None:
    """A whole number, also as text (Virtuous facts 6); an empty text is null."""
    value = values.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and WHOLE.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Refused(400, "An error has occurred.", name)


def boolean(values: Mapping[str, Any], name: str) -> bool | None:
    """True or false, also as text (Virtuous facts 6)."""
    value = values.get(name)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise Refused(400, "An error has occurred.", name)


def objects(values: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects; absent is empty."""
    value = values.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Refused(400, "An error has occurred.", name)
    return value


def typed(values: Mapping[str, Any], names: Iterable[str]) -> Fields:
    """The named properties that are there, each of its kind."""
    readers = {name: whole if name in WHOLE_NUMBERS else boolean if name in YES_OR_NO else text for name in names}
    return {name: reader(values, name) for name, reader in readers.items() if name in values}


def custom_values(values: Mapping[str, Any]) -> dict[str, str]:
    """`customFields` as an object or as a list of name and value; null clears (Virtuous facts 7.5)."""
    given = values.get("customFields")
    if isinstance(given, list):
        given = {required(item, "name"): item.get("value") for item in objects(values, "customFields")}
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Refused(400, "An error has occurred.", "customFields")
    return {name: _custom_value(value) for name, value in given.items()}


def replaced(blank: Mapping[str, Any], given: Fields, names: Iterable[str], kept: Iterable[str], patch: bool) -> Fields:
    """What a PUT means: an omitted property goes back to blank, unless it is kept or the PUT is a patch."""
    kept = set(kept)
    return {name: given.get(name, blank[name]) for name in names if name in given or not (patch or name in kept)}


def _custom_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        raise Refused(400, "An error has occurred.", "customFields")
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _paging(value: Any, default: int, name: str) -> int:
    if value is None or value == "":
        return default
    number = whole({name: value}, name)
    if number is None or number < 0:
        raise Refused(400, "An error has occurred.", name)
    return number
