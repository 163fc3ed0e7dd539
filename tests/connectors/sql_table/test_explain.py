"""`keepstep explain` of a row whose columns are named as fields."""

from typing import Any

import pytest

from keepstep.connectors import discover

EXPLAIN = discover()["sql_table"].explain


def test_this_folder_is_found_in_its_role() -> None:
    found = discover()["sql_table"]
    assert found.open_table is not None
    assert found.open_audience is None and found.open_crm is None


def test_a_row_is_shown_as_it_would_be_imported() -> None:
    row = {"id": 7, "email": " Ann@Example.org", "phone": "(602) 555-0100", "city": "Phoenix", "custom:Member": 12}
    [found] = EXPLAIN([{**row, "unmapped": 1}])
    assert (found["record_id"], found["email"], found["warnings"]) == (7, "Ann@Example.org", [])
    assert found["phones"] == [{"kind": "other", "raw": "(602) 555-0100", "e164": "+16025550100"}]
    assert found["addresses"] == [{"city": "Phoenix"}]
    assert found["custom_fields"] == {"Member": "12"}


@pytest.mark.parametrize(
    ("value", "warned"),
    [
        ({"email": None}, "no_email"),
        ({}, "no_email"),
        ({"email": "ann"}, "bad_email"),
        ({"email": ["a"]}, "unreadable"),
        ({"email": "a@b.co", "id": {"x": 1}, "city": {}}, "unreadable"),
        (7, "not_a_record"),
        ("x", "not_a_record"),
    ],
)
def test_what_is_strange_is_a_warning(value: Any, warned: str) -> None:
    [found] = EXPLAIN(value)
    assert found["warnings"] == [warned]
