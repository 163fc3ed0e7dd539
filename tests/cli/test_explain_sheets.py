"""`explain` against every piece of JSON in the project's fact sheets, where they are at hand."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from keepstep.cli.explain import explained
from keepstep.connectors import discover
from tests.cli.shorthand import read, snippets

VARIABLE = "KEEPSTEP_FACT_SHEETS"
SHEETS = {"constant_contact": ("constant-contact.md", 28), "virtuous": ("virtuous.md", 45)}


def folder() -> Path:
    """The folder named by KEEPSTEP_FACT_SHEETS, or one beside the checkout."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "facts"


needs_sheets = pytest.mark.skipif(not folder().is_dir(), reason="not checked: no fact sheets")


def told(platform: str, value: Any) -> list[dict[str, Any]]:
    shown, code = explained(platform, discover()[platform].explain, json.dumps(value).encode())
    assert code == 0
    found: list[dict[str, Any]] = shown.get("snapshots", [shown])
    return found


@needs_sheets
@pytest.mark.parametrize("platform", sorted(SHEETS))
def test_every_snippet_of_a_sheet_is_explained(platform: str) -> None:
    """Each has a kind and warnings; what has no kind says so. None is an exception or unreadable."""
    sheet, least = SHEETS[platform]
    found = [(one, told(platform, read(one))) for one in snippets(folder() / sheet)]
    assert len(found) >= least
    silent = [
        snippet
        for snippet, records in found
        for record in records
        if not isinstance(record.get("record_type"), str)
        or not isinstance(record["warnings"], list)
        or (record["record_type"] == "unknown" and not record["warnings"])
        or record["record_type"] == "unreadable"
    ]
    assert silent == []


@needs_sheets
def test_constant_contacts_sheet_holds_nothing_unknown() -> None:
    sheet = folder() / SHEETS["constant_contact"][0]
    kinds = {one: [record["record_type"] for record in told("constant_contact", read(one))] for one in snippets(sheet)}
    assert [one for one, found in kinds.items() if "unknown" in found] == []


@pytest.mark.parametrize(
    ("snippet", "value"),
    [
        ('{"total","explicit"}', {"total": "x", "explicit": "x"}),
        ('"_links": {"next": {"href": "…"}}', {"_links": {"next": {"href": "…"}}}),
        ("[{topic_id (integer), roles[], hook_uri?}]", [{"topic_id": "x", "roles": [], "hook_uri": "x"}]),
        ('{"a":n?,"b":[…],"c":"x"|"y","d":{…}}', {"a": "n", "b": [], "c": "x", "d": {}}),
        ('{"url":"https://x.example/{id}"}', {"url": "https://x.example/{id}"}),
    ],
)
def test_the_sheets_way_of_writing_json_short_is_read(snippet: str, value: Any) -> None:
    assert read(snippet) == value


@pytest.mark.parametrize("snippet", ["{", "[", '{"a":', "{a} b"])
def test_what_is_no_json_is_not_guessed(snippet: str) -> None:
    with pytest.raises(ValueError):
        read(snippet)
