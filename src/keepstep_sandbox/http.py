"""What crosses the wire between a client and a stand-in, as plain values; no sockets here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` is percent-encoded as sent, `query` is the raw query string, header names are lower
    case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def params(self) -> dict[str, str]:
        """The query's parameters, decoded; of a repeated one the last."""
        return dict(_pairs(self.query))

    def params_all(self, name: str) -> list[str]:
        """Every value of one repeated query parameter."""
        return [value for key, value in _pairs(self.query) if key == name]

    def json(self) -> Any:
        """The body as JSON; raises ValueError where it is none."""
        return json.loads(self.body)


@lru_cache(maxsize=1024)
def _pairs(query: str) -> tuple[tuple[str, str], ...]:
    return tuple(parse_qsl(query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Effect:
    """One value that a request, a batch or a person really changed in a stand-in. `record` is `kind:id`."""

    vendor: str
    account: str
    record: str
    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer. `effects` never travels; `drop` means the connection is reset instead of answered;
    `delay` is how many virtual seconds the answer is held back."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    effects: tuple[Effect, ...] = ()
    drop: bool = False
    delay: float = 0.0

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def answer(status: int, value: Any = None, effects: tuple[Effect, ...] = (), **headers: str) -> Response:
    """A JSON answer, or an empty one where `value` is None. Header names are given with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    if value is None:
        return Response(status, named, b"", effects)
    return Response(status, {"Content-Type": JSON, **named}, json.dumps(value).encode(), effects)
