"""`explain`: any bytes give an answer."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep import cli
from keepstep.cli.explain import explained


def record(value: Any) -> list[dict[str, Any]]:
    """A platform whose pages are {"records": [...]}; ids under "id"."""
    rows = value if isinstance(value, list) else value.get("records", [value]) if isinstance(value, dict) else [value]
    return [
        {"record_id": str(row["id"]) if isinstance(row, dict) and "id" in row else None, "warnings": []} for row in rows
    ]


def test_one_record_is_one_snapshot() -> None:
    assert explained("p", record, b'{"id": 7, "lists": [{"id": 8}]}') == (
        {"platform": "p", "record_id": "7", "warnings": []},
        0,
    )


@pytest.mark.parametrize(
    "data", [b'[{"id": 7}]', b'{"records": [{"id": 7}]}', b'{"total": 1, "records": [{"id": "7"}]}']
)
def test_a_list_or_page_is_snapshots_even_with_one_record(data: bytes) -> None:
    value, code = explained("p", record, data)
    assert (len(value["snapshots"]), code) == (1, 0)


def test_a_page_whose_one_record_has_no_id_is_snapshots_too() -> None:
    """A page is told by its list, which by itself gives the same, and not by ids."""
    found, code = explained("p", record, b'{"records": [{"name": "x"}], "total": 1}')
    assert (found, code) == ({"snapshots": [{"platform": "p", "record_id": None, "warnings": []}]}, 0)


def test_an_object_that_nobody_knows_is_no_page_of_its_lists() -> None:
    def nobody(value: Any) -> list[dict[str, Any]]:
        return [{"record_type": "unknown", "warnings": ["?"]}]

    assert explained("p", nobody, b'{"a": [{}]}')[0]["record_type"] == "unknown"


def test_an_empty_or_longer_page_is_snapshots() -> None:
    assert explained("p", record, b"[]") == ({"snapshots": []}, 0)
    assert len(explained("p", record, b'[{"id":1},{"id":2}]')[0]["snapshots"]) == 2


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b'{"a":1}x', b"\x00"])
def test_what_is_no_json_is_unreadable_and_1(data: bytes) -> None:
    value, code = explained("p", record, data)
    assert code == 1 and value["record_type"] == "unreadable" and value["platform"] == "p" and value["warnings"]


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert explained("p", record, b'\xef\xbb\xbf{"id": 1}')[1] == 0


@settings(derandomize=True, deadline=None, max_examples=200)
@given(data=st.one_of(st.binary(max_size=60), st.text(alphabet='{}[]",:ae1+-.\\u0', max_size=60).map(str.encode)))
def test_any_bytes_give_an_answer_that_is_json(data: bytes) -> None:
    value, code = explained("p", record, data)
    assert code in (0, 1) and json.dumps(value)


def test_an_unknown_platform_and_a_missing_file_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["explain", "--platform", "nobody", "x.json"]) == 2
    assert "virtuous" in capsys.readouterr().err
    assert cli.main(["explain", "--platform", "virtuous", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize("platform", ["constant_contact", "virtuous"])
@pytest.mark.parametrize(
    "data", ["{", "[]", "{}", "null", "5", '"x"', '{"contacts": 5, "list": {"a": null}, "id": []}']
)
def test_the_real_platforms_answer_anything(
    platform: str, data: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.encode())))
    code = cli.main(["explain", "--platform", platform, "-", "--json"])
    assert code == (1 if data == "{" else 0)
    assert isinstance(json.loads(capsys.readouterr().out), dict)
