"""From a request's path to its handler. Paths are case-sensitive (Virtuous facts 2)."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import unquote

from keepstep_sandbox.http import Response, answer
from keepstep_sandbox.virtuous import (
    addresses,
    contacts,
    imports,
    individuals,
    methods,
    notes,
    query,
    subscriptions,
    tags,
)
from keepstep_sandbox.virtuous.calls import Handler, Route

ROUTES: tuple[Route, ...] = (
    *contacts.ROUTES,
    *query.ROUTES,
    *imports.ROUTES,
    *individuals.ROUTES,
    *methods.ROUTES,
    *addresses.ROUTES,
    *tags.ROUTES,
    *notes.ROUTES,
    *subscriptions.ROUTES,
)

Found = tuple[Handler, tuple[str, ...]]


def _table() -> dict[tuple[int, str], list[tuple[tuple[str, ...], dict[str, Handler]]]]:
    """Routes by length and noun, those with fewer variable parts first."""
    paths: dict[tuple[str, ...], dict[str, Handler]] = {}
    for route in ROUTES:
        paths.setdefault(tuple(route.path.split("/")), {})[route.method] = route.handler
    table: dict[tuple[int, str], list[tuple[tuple[str, ...], dict[str, Handler]]]] = {}
    for parts in sorted(paths, key=lambda parts: parts.count("{}")):
        table.setdefault((len(parts), parts[0]), []).append((parts, paths[parts]))
    return table


TABLE = _table()


@lru_cache(maxsize=1024)
def place_of(path: str) -> tuple[str, ...] | None:
    """The parts below /api, decoded one by one so that an encoded slash stays inside its part; None elsewhere."""
    if not path.startswith("/api/"):
        return None
    return tuple(unquote(part) for part in path[len("/api/") :].split("/"))


def find(method: str, path: str) -> Found | Response:
    """The handler and the variable parts, or 404, or 405 where the path is known under another method."""
    parts = place_of(path) or ("",)
    known: set[str] = set()
    for pattern, handlers in TABLE.get((len(parts), parts[0]), ()):
        variable = _variable(pattern, parts)
        if variable is None:
            continue
        if method in handlers:
            return handlers[method], variable
        # A word where an id belongs is an unknown path, such as ContactNote/Bulk (Virtuous facts 15).
        if all(part.isdigit() for part in variable):
            known.update(handlers)
    if not known:
        return Response(404)
    message = f"The requested resource does not support http method '{method}'."
    return answer(405, {"message": message}, Allow=", ".join(sorted(known)))


@lru_cache(maxsize=4096)
def _variable(pattern: tuple[str, ...], parts: tuple[str, ...]) -> tuple[str, ...] | None:
    """What stands for the pattern's variable parts; None where the rest differs."""
    pairs = list(zip(pattern, parts, strict=True))
    fits = all(want in ("{}", part) for want, part in pairs)
    return tuple(part for want, part in pairs if want == "{}") if fits else None
