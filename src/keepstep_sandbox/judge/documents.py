"""Every request that arrived against the vendors' own API documents, where a folder holds them. Never copied."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from keepstep_sandbox.credentials import is_token
from keepstep_sandbox.judge.schemas import Document, Node, read
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Arrival

VARIABLE = "KEEPSTEP_VENDOR_DOCS"
FILES = {
    CONSTANT_CONTACT: ("constant-contact-v3.openapi.yml", "/v3"),
    VIRTUOUS: ("virtuous.openapi.json", ""),
}

# Where the documents are wrong: vendor, method and path of the document (empty: any), the finding, and who says so.
DEFECTS: tuple[tuple[str, str, str, str, str], ...] = (
    (CONSTANT_CONTACT, "GET", "", "query cursor", "CC facts 1, paging: next links carry it"),
    (CONSTANT_CONTACT, "GET", "", "query next", "CC facts 1, paging: next links of reports carry it"),
    (CONSTANT_CONTACT, "POST", "", "too many source.contact_ids", "CC facts 3.2: maxItems 0, the guide says 500"),
    (CONSTANT_CONTACT, "POST", "", "too many list_ids", "CC facts 3.2: maxItems 0, the guide says 50"),
    (CONSTANT_CONTACT, "POST", "", "unknown import_data[].home_country", "CC facts 7.1: spelt with a space"),
)
# CC facts 1, 5.3: read-only properties in a body are ignored, so a GET result may be sent back whole.
_SENT_BACK = ("PUT", "/contacts/{contact_id}", "ContactResource")
_READ_ONLY = ("created_at", "updated_at", "create_source", "update_source")


def folder() -> Path | None:
    """Where the vendors' documents lie: the folder named by KEEPSTEP_VENDOR_DOCS, or one beside the checkout."""
    named = os.environ.get(VARIABLE)
    place = Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "specs"
    return place if place.is_dir() else None


def checked(arrivals: Iterable[Arrival], place: Path | None = None) -> dict[str, Any]:
    """{"checked": {vendor: n}, "skipped": {vendor: why}, "violations": [{n, vendor, method, path, what}]}."""
    place = place or folder()
    documents, skipped = _documents(place)
    counts = dict.fromkeys(documents, 0)
    violations = []
    for one in arrivals:
        document = documents.get(one.vendor)
        if document is None or is_token(one.vendor, one.path):
            continue
        counts[one.vendor] += 1
        for what in _violations(document, one):
            row = {"n": one.n, "vendor": one.vendor, "method": one.method, "path": one.path, "what": what}
            violations.append(row)
    return {"checked": counts, "skipped": skipped, "violations": violations}


def _documents(place: Path | None) -> tuple[dict[str, Document], dict[str, str]]:
    documents, skipped = {}, {}
    for vendor, (name, base) in FILES.items():
        if place is None or not (place / name).is_file():
            skipped[vendor] = "not checked: no vendor documents"
            continue
        document = read(place / name, base)
        if document is None:
            skipped[vendor] = "not checked: the document is YAML and no reader is installed"
        else:
            documents[vendor] = document
    return documents, skipped


def _violations(document: Document, one: Arrival) -> Iterator[str]:
    found = document.operation(one.method, one.path)
    if found is None:
        yield "no such operation"
        return
    template, operation = found
    for what in (*_query(operation, one), *_body(document, template, operation, one)):
        if not _excused(one, template, what):
            yield what


def _query(operation: Node, one: Arrival) -> Iterator[str]:
    known = {row["name"] for row in operation["parameters"] if row.get("in") == "query"}
    for name in dict.fromkeys(key for key, _value in parse_qsl(one.query, keep_blank_values=True)):
        if name not in known:
            yield f"query {name}"


def _body(document: Document, template: str, operation: Node, one: Arrival) -> Iterator[str]:
    schema = document.body(operation)
    if not one.body:
        return
    if schema is None:
        yield "a body where none is declared"
        return
    try:
        value = json.loads(one.body)
    except ValueError:
        yield "the body is no JSON"
        return
    found = dict.fromkeys(document.faults(value, schema))
    if (one.method, template) != _SENT_BACK[:2]:
        yield from found
        return
    unread = set(document.faults(value, document.schema(_SENT_BACK[2])))
    yield from (fault for fault in found if fault in unread and not fault.endswith(_READ_ONLY))


def _excused(one: Arrival, template: str, what: str) -> bool:
    return any(
        (vendor, defect) == (one.vendor, what) and method in ("", one.method) and path in ("", template)
        for vendor, method, path, defect, _source in DEFECTS
    )
