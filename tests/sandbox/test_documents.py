"""Requests against the vendors' own API documents, where they are at hand."""

from pathlib import Path
from typing import Any

import pytest

from keepstep_sandbox.judge.documents import DEFECTS, checked, folder
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Arrival
from keepstep_sandbox.world import World
from tests.sandbox.oracle import Oracle

needs_documents = pytest.mark.skipif(folder() is None, reason="not checked: no vendor documents")


def arrival(vendor: str, method: str, path: str, query: str = "", body: bytes = b"") -> Arrival:
    return Arrival(0, 0.0, vendor, "", "", method, path, query, 200, "", (), "", body)


def test_without_documents_every_vendor_is_visibly_not_checked(tmp_path: Path) -> None:
    found = checked([arrival(VIRTUOUS, "GET", "/nowhere")], tmp_path)
    assert set(found["skipped"].values()) == {"not checked: no vendor documents"}
    assert found["skipped"].keys() == {CONSTANT_CONTACT, VIRTUOUS}
    assert found["violations"] == []


def test_every_defect_of_the_documents_cites_its_source() -> None:
    assert all(source.startswith(("CC facts", "Virtuous facts")) for *_rest, source in DEFECTS)


@needs_documents
def test_a_whole_week_of_requests_keeps_to_the_documents(good: tuple[World, Oracle]) -> None:
    found = checked(good[0].log.arrivals)
    assert found["violations"] == []
    assert found["checked"][VIRTUOUS] > 30
    assert found["checked"][CONSTANT_CONTACT] > 10


CC, V = CONSTANT_CONTACT, VIRTUOUS
JOBS = "/v3/activities"
MEMBERS = b'{"source":{"contact_ids":["a"]},"list_ids":["b"]}'


@needs_documents
@pytest.mark.parametrize(
    ("request_", "what"),
    [
        ((CC, "GET", "/v3/nonsense"), "no such operation"),
        ((CC, "POST", "/v3/contacts/1f/2"), "no such operation"),
        ((CC, "GET", "/v3/contacts", "cursor=abc&limit=500"), None),
        ((CC, "GET", "/v3/contacts", "colour=red"), "query colour"),
        (
            (
                CC,
                "POST",
                "/v3/activities/add_list_memberships",
                "",
                b'{"source":{"contact_ids":["a"]},"list_ids":["b"]}',
            ),
            None,
        ),
        (
            (
                CC,
                "POST",
                "/v3/activities/remove_list_memberships",
                "",
                b'{"source":{"contact_ids":["a"]},"list_ids":["b"]}',
            ),
            None,
        ),
        ((CC, "POST", f"{JOBS}/add_list_memberships", "", b'{"sauce":{}}'), "unknown sauce"),
        ((CC, "PUT", "/v3/contacts/9", "", b'{"update_source":"Account","created_at":"2026-01-01T00:00:00Z"}'), None),
        ((CC, "PUT", "/v3/contacts/9", "", b'{"first_name":7}'), "type first_name"),
        ((CC, "PUT", "/v3/contacts/9", "", b"<html>"), "the body is no JSON"),
        ((V, "POST", "/api/Contact/Query/FullContact", "skip=0&take=1000", b'{"groups":[]}'), None),
        ((V, "POST", "/api/Contact/Query/FullContact", "page=2", b"{}"), "query page"),
        ((V, "GET", "/api/Contact/Constant%20Contact/abc"), None),
        ((V, "POST", "/api/Tag/Bulk", "", b"{}"), "no such operation"),
        ((V, "PUT", "/api/ContactMethod/5", "", b'{"isOptedIn":"false"}'), "type isOptedIn"),
        ((V, "PUT", "/api/ContactMethod/5", "", b'{"optedIn":false}'), "unknown optedIn"),
        ((V, "POST", "/api/Contact/Batch", "", b'{"contacts":[{"tags":["a"]}]}'), "type contacts[].tags"),
    ],
)
def test_a_request_that_the_documents_do_not_know_is_named(request_: Any, what: str | None) -> None:
    found = checked([arrival(*request_)])
    assert [row["what"] for row in found["violations"]] == ([] if what is None else [what])


@needs_documents
def test_a_violation_names_keys_and_never_values() -> None:
    found = checked([arrival(V, "PUT", "/api/ContactMethod/5", "", b'{"value":{"secret":"person@example.org"}}')])
    assert found["violations"]
    assert "person@example.org" not in str(found)
