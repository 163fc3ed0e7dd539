"""Hostile and broken input, at the door and from the vendors: refused or set apart, and nobody else is held up."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Crossing, served, spoilt
from tests.flows.test_consent import linked

Wire = Callable[[str, Request, Callable[[], Response]], Response]
DEEP = b"[" * 100_000
HTML = b"<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>"


def signed(secret: bytes, body: bytes) -> dict[str, str]:
    return {"x-virtuous-signature": base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()}


# --- the door ---

STRANGE: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"hello",
    "truncated": b'{"event":"ContactUpdate","contact":{"id":1',
    "deep": DEEP,
    "deep objects": b'{"contact":' * 100_000,
    "number": b"1e999",
    "long number": b'{"event":"ContactUpdate","contact":{"id":' + b"9" * 5000 + b"}}",
    "NaN": b'{"event":"ContactUpdate","contact":{"id":NaN}}',
    "null": b"null",
    "list of nothing": b"[null, 3, []]",
    "wrong types": b'{"event":["ContactUpdate"],"contact":"1001"}',
    "no ids": b'{"event":"ContactUpdate","contact":{}}',
    "id of another kind": b'{"event":"ContactUpdate","contact":{"id":{"$gt":0}}}',
    "negative id": b'{"event":"ContactUpdate","contact":{"id":-1}}',
    "unknown event": b'{"event":"PlanetUpdate","contact":{"id":1001}}',
    "lone surrogate": b'{"event":"ContactUpdate","contact":{"id":1001,"name":"\\ud800"}}',
    "NUL": b'{"event":"ContactUpdate","contact":{"id":1001,"name":"a\\u0000b"}}',
    "not UTF-8": b'{"event":"ContactUpdate","contact":{"id":1001,"name":"\xff\xfe"}}',
    "BOM": b"\xef\xbb\xbf" + b'{"event":"ContactUpdate","contact":{"id":1001}}',
    "doubled keys": b'{"event":"x","event":"ContactUpdate","contact":{"id":1},"contact":{"id":1001}}',
    "many events": json.dumps([{"event": "ContactUpdate", "contact": {"id": n}} for n in range(5000)]).encode(),
    "stranger": b'{"event":"ContactUpdate","contact":{"id":987654}}',
}


def test_signed_nonsense_is_stored_and_delays_nothing() -> None:
    """Whoever holds the secret may still send anything: each of it is answered 200 and an opt-out among it crosses."""
    with Crossing() as c:
        ann = linked(c)
        path, secret = c.hook()
        for body in STRANGE.values():
            assert c.ask(c.post(path, signed(secret, body), body)) == 200
        method = c.there(ann)["contactIndividuals"][0]["contactMethods"][0]["id"]
        c.v.staff_opts(CUSTOMER, method, False, c.now())
        c.wait(minutes=1)
        assert c.permission(ann) == "unsubscribed"
        assert sum(line["count"] for line in c.lines("delivery_not_understood")) >= 12
        assert c.lines("turn_failed") == []


def test_a_body_of_100_mb_is_cut_off_early() -> None:
    with Crossing() as c:
        linked(c)
        path, _secret = c.hook()
        read = 0

        def parts() -> Iterator[bytes]:
            nonlocal read
            for _ in range(100):
                read += 1
                yield b"x" * 1_000_000

        assert c.ask(c.post_all(path, {"x-virtuous-signature": "AAAA"}, parts())) == 413
        assert read <= 25


@pytest.mark.parametrize("given", [None, "", "garbage", "sha256=", "A" * 44, "é" * 20, "0" * 64, "null", "x" * 100_000])
def test_a_wrong_or_absent_signature_changes_nothing(given: str | None) -> None:
    with Crossing() as c:
        c.connect()
        path, _secret = c.hook()
        before, body = c.db.dump(), b'{"event":"ContactUpdate","contact":{"id":1001}}'
        headers = {} if given is None else {"x-virtuous-signature": given}
        assert c.ask(c.post(path, headers, body)) == 401
        assert c.db.dump() == before


def test_a_signature_over_the_parsed_body_is_not_one_over_the_body() -> None:
    with Crossing() as c:
        c.connect()
        path, secret = c.hook()
        body = b'{ "event" : "ContactUpdate", "contact" : { "id" : 1001 } }'
        again = json.dumps(json.loads(body), separators=(",", ":")).encode()
        assert c.ask(c.post(path, signed(secret, again), body)) == 401
        assert c.ask(c.post(path, signed(secret, body), body)) == 200


@pytest.mark.parametrize(
    "kind", ["text/html", "application/x-www-form-urlencoded", "", "multipart/form-data; boundary=x"]
)
def test_the_content_type_decides_nothing(kind: str) -> None:
    with Crossing() as c:
        c.connect()
        path, secret = c.hook()
        body = b'{"event":"ContactUpdate","contact":{"id":1001}}'
        assert c.ask(c.post(path, {"content-type": kind, **signed(secret, body)}, body)) == 200


# --- the vendors' answers ---


def once(path: str, answer: Callable[[Response], Response]) -> Wire:
    """The first answer of this path comes out otherwise."""
    left = [1]

    def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
        if request.path.startswith(path) and left:
            left.clear()
            return answer(handle())
        return handle()

    return wire


def changed(edit: Callable[[Any], Any]) -> Callable[[Response], Response]:
    """The answer with its JSON edited."""
    return lambda response: spoilt(response, json.dumps(edit(json.loads(response.body))).encode())


BROKEN: dict[str, Callable[[Response], Response]] = {
    "HTML": lambda _: served(HTML, "text/html"),
    "truncated": lambda response: spoilt(response, response.body[: len(response.body) // 2]),
    "empty": lambda response: spoilt(response, b""),
    "deep": lambda response: spoilt(response, DEEP),
    "null": lambda response: spoilt(response, b"null"),
    "a word": lambda response: spoilt(response, b'"processing"'),
    "other object": lambda response: spoilt(response, b'{"data":[]}'),
    "wrong type": lambda response: spoilt(response, b'{"contacts":"many","list":7,"lists":{}}'),
    "accepted": lambda response: Response(202, response.headers, b"{}"),
    "moved": lambda _: Response(302, {"Location": "http://169.254.169.254/"}),
}
PATHS = ["/v3/contacts", "/v3/contact_lists", "/api/Contact/Query/FullContact", "/api/Tag", "/api/Contact/QueryOptions"]


EVERY_WAY = [(path, how) for path in PATHS[:1] + PATHS[2:3] for how in BROKEN]
SOME_WAYS = [(path, how) for path in PATHS[1:2] + PATHS[3:] for how in ("HTML", "truncated", "null", "moved")]


@pytest.mark.parametrize(("path", "how"), EVERY_WAY + SOME_WAYS)
def test_an_answer_that_is_none_is_asked_for_again(path: str, how: str) -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        known = c.household("ann@example.org")
        ann, bob = c.person(lists=[news]), c.person("bob@example.org", "Bob", "Roe")
        c.wire = once(path, BROKEN[how])
        c.connect()
        c.wait(minutes=30)
        assert c.there(ann)["id"] == known
        assert [row["row"]["referenceId"] for row in c.v.waiting(CUSTOMER)] == [bob]
        assert c.lines("turn_failed") == []
        assert c.letters() == []


def test_an_answer_of_another_contact_is_not_believed() -> None:
    with Crossing() as c:
        ann = linked(c)
        bob = c.person("bob@example.org", "Bob", "Roe")
        stranger = json.dumps(c.here(bob)).encode()
        c.wire = once(f"/v3/contacts/{ann}", lambda response: spoilt(response, stranger))
        method = c.there(ann)["contactIndividuals"][0]["contactMethods"][0]["id"]
        c.v.staff_opts(CUSTOMER, method, False, c.now())
        c.wait(minutes=10)
        assert c.permission(ann) == "unsubscribed"
        assert c.permission(bob) == "implicit"


POISON: dict[str, Any] = {
    "null": None,
    "a number": 7,
    "a list": [1, 2],
    "no id": {"first_name": "No", "email_address": {"address": "noid@example.org"}},
    "id of a wrong type": {"contact_id": 12, "email_address": {"address": "a@example.org"}},
    "empty id": {"contact_id": "", "email_address": {"address": "a@example.org"}},
}


@pytest.mark.parametrize("poison", POISON)
def test_a_poisoned_row_is_counted_and_the_others_cross(poison: str) -> None:
    with Crossing() as c:
        ann = c.person()

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            response = handle()
            if request.path != "/v3/contacts" or response.status != 200:
                return response
            return changed(lambda page: page | {"contacts": [POISON[poison], *page["contacts"], POISON[poison]]})(
                response
            )

        c.wire = wire
        c.connect()
        c.night()
        assert c.standing(ann) == ("in_step", "")
        assert {line["rows"] for line in c.lines("poison")} == {2}
        assert c.lines("turn_failed") == []


STRANGE_PEOPLE: dict[str, dict[str, Any]] = {
    "names of wrong types": {"first_name": 5, "last_name": ["x"]},
    "address of a wrong type": {"email_address": "plain@example.org"},
    "phones of a wrong type": {"phone_numbers": {"kind": "home"}},
    "phones with nothing": {"phone_numbers": [None, {}, {"kind": 3, "phone_number": 4}, {"phone_number": "☎"}]},
    "lists of a wrong type": {"list_memberships": "all of them"},
    "addresses of a wrong type": {"street_addresses": [[], {"street": 7}, {"country": {"code": "US"}}]},
    "dates of every kind": {"created_at": "yesterday", "updated_at": 12, "deleted_at": ""},
    "a name of 100,000 letters": {"first_name": "x" * 100_000},
    "control characters": {"first_name": "a\u0000b\u001bc", "last_name": "\ud800"},
    "custom fields of a wrong type": {"custom_fields": [{"custom_field_id": None, "value": {}}, 5]},
    "an unknown permission": {"email_address": {"address": "u@example.org", "permission_to_send": {"a": 1}}},
    "an address that is none": {"email_address": {"address": "not an address", "permission_to_send": "implicit"}},
}


@pytest.mark.parametrize("how", STRANGE_PEOPLE)
def test_a_strange_person_is_set_apart_and_the_others_cross(how: str) -> None:
    with Crossing() as c:
        ann, odd = c.person(), c.person("odd@example.org", "Odd", "One")

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            response = handle()
            if request.path != "/v3/contacts" or response.status != 200:
                return response
            return changed(lambda page: page | {"contacts": [strange(one) for one in page["contacts"]]})(response)

        def strange(one: dict[str, Any]) -> dict[str, Any]:
            return one | STRANGE_PEOPLE[how] if one["contact_id"] == odd else one

        c.wire = wire
        c.connect()
        c.night()
        assert c.standing(ann) == ("in_step", "")
        assert c.standing(odd)[0] in ("in_step", "left_out", "parked", "pending")
        assert c.lines("turn_failed") == []
        assert len(c.everybody()) <= 2


def test_a_next_link_that_leads_back_ends_the_round_unfinished() -> None:
    with Crossing() as c:
        ann = c.person()
        link = {"_links": {"next": {"href": "/v3/contacts?cursor=bGltaXQ9NTAwJm5leHQ9MQ=="}}}

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            response = handle()
            endless = request.path == "/v3/contacts" and "updated_after" not in request.query
            return changed(lambda page: page | link)(response) if endless and response.status == 200 else response

        c.wire = wire
        c.connect()
        c.wait(minutes=20)
        assert len(c.made("GET", "/v3/contacts")) < 60
        c.wire = None
        c.night()
        assert c.standing(ann)[0] == "in_step"


@pytest.mark.parametrize(
    "href", ["https://evil.example.org/v3/x", "//evil.example.org/", "/v3/../x", "/v4/a", 7, "/v3/\n"]
)
def test_a_next_link_that_leads_elsewhere_is_not_followed(href: Any) -> None:
    with Crossing() as c:
        c.person()
        hosts = set()
        true_http = c.service.http

        async def http(method: str, url: str, *rest: Any, **more: Any) -> Any:
            hosts.add(url.split("/")[2])
            return await true_http(method, url, *rest, **more)

        c.service.http = http
        page = changed(lambda value: value | {"_links": {"next": {"href": href}}})
        c.wire = once("/v3/contacts", page)
        c.connect()
        assert hosts <= {"api.cc.email", "authz.constantcontact.com", "api.virtuoussoftware.com"}
        assert not [one for one in c.made("GET") if one.request.path in ("/v3/x", "/", "/v4/a", "/x")]


def test_empty_pages_of_both_vendors_are_a_finished_round() -> None:
    with Crossing() as c:
        c.connect()
        c.wait(hours=2)
        for platform, name in (
            ("constant_contact", "sweep"),
            ("constant_contact", "changed"),
            ("virtuous", "crm_sweep"),
        ):
            mark = c.mark(platform, name)
            assert mark.cursor is None and mark.mark is not None, name
        assert c.standings() == {}


def test_virtuous_rows_of_any_shape_harm_nobody() -> None:
    with Crossing() as c:
        ann = linked(c)
        junk = [None, 7, [], {"id": "x"}, {"id": 5}, {"id": 6, "contactIndividuals": "none", "tags": 3}]

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            response = handle()
            if not request.path.endswith("/FullContact") or response.status != 200:
                return response
            return changed(lambda page: page | {"list": [*junk, *page["list"]]})(response)

        c.wire = wire
        c.edits(ann, first_name="Anna")
        c.wait(hours=2)
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Anna"
        assert c.lines("turn_failed") == []
