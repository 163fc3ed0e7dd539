"""What the stand-ins answer, held against the vendors' own API documents, where they are at hand."""

from typing import Any

import pytest

from keepstep_sandbox.judge.documents import FILES, folder
from keepstep_sandbox.judge.schemas import Document, Node, read

needs_documents = pytest.mark.skipif(folder() is None, reason="not checked: no vendor documents")


def faults(vendor: str, method: str, path: str, value: Any, status: str = "200") -> list[str]:
    """What of an answer the vendor's document does not know, or knows otherwise; null counts as anything."""
    document = _document(vendor)
    found = document.operation(method, path)
    assert found is not None, f"no operation {method} {path}"
    return sorted(set(document.faults(value, _schema(found[1]["responses"][status]))))


def _document(vendor: str) -> Document:
    place = folder()
    name, base = FILES[vendor]
    assert place is not None
    document = read(place / name, base)
    if document is None:
        pytest.skip("not checked: the document is YAML and no reader is installed")
    return document


def _schema(response: Node) -> Node:
    content: Node = response.get("content", {})
    schemas = [content[kind].get("schema", {}) for kind in content if "json" in kind]
    found: Node = schemas[0] if schemas else response.get("schema", {})
    return found
