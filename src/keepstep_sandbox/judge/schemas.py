"""A reader of the vendors' API documents, Swagger 2 and OpenAPI 3: operations by method and path, bodies by type."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

Node = Mapping[str, Any]
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


class Document:
    """One vendor's document. `base` is the path that stands before every path of it."""

    def __init__(self, root: Node, base: str) -> None:
        self._root, self._base = root, base
        # Fixed segments first: /Contact/Find is not a contact whose id is Find.
        self._paths = sorted(((path, _pattern(path)) for path in root["paths"]), key=lambda row: row[0].count("{"))

    def operation(self, method: str, path: str) -> tuple[str, Node] | None:
        """The document's path and operation for a request; None where it knows none."""
        inside = unquote(path).removeprefix(self._base) if path.startswith(self._base) else ""
        for template, pattern in self._paths:
            item = self._root["paths"][template]
            if pattern.fullmatch(inside) and method.lower() in item:
                operation = item[method.lower()]
                both = [*item.get("parameters", ()), *operation.get("parameters", ())]
                return template, {**operation, "parameters": [self._resolved(one) for one in both]}
        return None

    def body(self, operation: Node) -> Node | None:
        """The schema of an operation's JSON body."""
        if "requestBody" in operation:
            content = self._resolved(operation["requestBody"]).get("content", {})
            found = next((content[kind].get("schema", {}) for kind in content if "json" in kind), None)
            return None if found is None else self._resolved(found)
        bodies = (one.get("schema", {}) for one in operation["parameters"] if one.get("in") == "body")
        return next((self._resolved(one) for one in bodies), None)

    def schema(self, name: str) -> Node:
        """A named definition."""
        found: Node = self._root.get("definitions", {}).get(name, {})
        return found

    def faults(self, value: Any, schema: Node, where: str = "") -> Iterator[str]:
        """What is wrong with a value: `unknown <key>`, `type <key>`, `too many <key>`. Null is accepted everywhere."""
        schema = self._resolved(schema)
        wanted = _TYPES.get(str(schema.get("type") or ("object" if "properties" in schema else "")))
        if value is None:
            return
        if wanted and (not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted)):
            yield f"type {where or 'body'}"
        elif isinstance(value, list):
            if len(value) > schema.get("maxItems", len(value)):
                yield f"too many {where}"
            for one in value:
                yield from self.faults(one, schema.get("items", {}), f"{where}[]")
        elif isinstance(value, dict):
            yield from self._members(value, schema, where)

    def _members(self, value: Mapping[str, Any], schema: Node, where: str) -> Iterator[str]:
        known = self._properties(schema)
        closed = bool(known) and not schema.get("additionalProperties")
        for key, one in value.items():
            place = f"{where}.{key}" if where else key
            if key in known:
                yield from self.faults(one, known[key], place)
            elif closed:
                yield f"unknown {place}"

    def _properties(self, schema: Node) -> dict[str, Node]:
        found = dict(schema.get("properties", {}))
        for part in schema.get("allOf", ()):
            found |= self._properties(self._resolved(part))
        return found

    def _resolved(self, node: Node) -> Node:
        while "$ref" in node:
            target: Any = self._root
            for step in str(node["$ref"]).removeprefix("#/").split("/"):
                target = target[step.replace("~1", "/").replace("~0", "~")]
            node = target
        return node


@lru_cache(maxsize=2)
def read(path: Path, base: str) -> Document | None:
    """A document from its file; None where it is YAML and nothing here reads YAML."""
    if path.suffix == ".json":
        return Document(json.loads(path.read_text(encoding="utf-8")), base)
    try:
        import yaml
    except ImportError:  # a tool of development, not of the product
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Document(yaml.load(path.read_text(encoding="utf-8"), loader), base)  # noqa: S506 - a safe loader either way


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", path.rstrip("/"))
    return re.compile("[^/]+".join(re.escape(part) for part in parts) + "/?")
