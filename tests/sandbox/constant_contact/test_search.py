"""GET /v3/contacts and the wire format: CC facts 1, 4, 5.1, 5.2, 5.4."""

import base64
import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from keepstep_sandbox.constant_contact import ConstantContact, dates
from keepstep_sandbox.http import Request
from tests.sandbox.constant_contact.door import ALL, Door


def people(door: Door, count: int) -> list[str]:
    return [door.person(first_name=f"P{at}", email=f"p{at}@example.org") for at in range(count)]


def walk(door: Door, query: str) -> list[str]:
    path, seen = f"/v3/contacts?{query}", []
    while path:
        page = door.get(path)
        seen += [one["contact_id"] for one in page["contacts"]]
        path = ((page.get("_links") or {}).get("next") or {}).get("href", "")
    return seen


def test_the_default_hides_deleted_and_shows_unsubscribed() -> None:
    """CC facts 5.1."""
    door = Door()
    a, b, c = people(door, 3)
    door.cc.person_opts_out("a1", b, door.now)
    door.cc.delete("a1", c, door.now)
    assert door.ids("") == [a, b]
    assert door.ids("status=all") == [a, b, c]
    assert door.ids("status=deleted") == [c]
    assert door.ids("status=unsubscribed") == [b]
    assert door.ids("status=active") == [a]
    assert door.ids("status=unsubscribed,deleted") == [b, c]


def test_subresources_come_only_when_included() -> None:
    """CC facts 5.1, 5.2: lists are plain strings; there is no status property."""
    door = Door()
    news = door.list("News")
    street = {"kind": "home", "street": "1 Main St", "city": "Chicago"}
    a = door.person(email="a@example.org", phones=[("home", "555-0100")], addresses=[street], lists=[news])
    bare = door.get("/v3/contacts")["contacts"][0]
    assert set(bare) == {"contact_id", "email_address", "create_source", "created_at", "updated_at"}
    full = door.get(f"/v3/contacts?include={ALL}")["contacts"][0]
    assert full["list_memberships"] == [news]
    assert full["phone_numbers"][0]["phone_number"] == "555-0100"
    assert full["street_addresses"][0]["kind"] == "home"
    assert full["taggings"] == full["notes"] == full["custom_fields"] == []
    assert "phone_numbers" in door.get(f"/v3/contacts/{a}?include=phone_numbers")


def test_pages_are_relative_links_with_a_base64_cursor() -> None:
    """CC facts 1, paging: the cursor holds limit, ordinal and filters; a last page has empty links."""
    door = Door()
    ids = people(door, 5)
    page = door.get("/v3/contacts?limit=2&status=all&include=notes&include_count=true")
    href = page["_links"]["next"]["href"]
    assert href.startswith("/v3/contacts?cursor=")
    assert page["contacts_count"] == 5
    cursor = base64.b64decode(parse_qs(urlsplit(href).query)["cursor"][0]).decode()
    assert cursor.startswith("limit=2&next=3&status%5B%5D=all")
    assert "notes" in door.get(href)["contacts"][0]
    assert walk(door, "limit=2&status=all") == ids
    assert door.get("/v3/contacts")["_links"] == {}


@pytest.mark.parametrize(("style", "rest"), [("no_links", {}), ("next_null", {"_links": {"next": None}})])
def test_the_last_page_has_three_forms(style: str, rest: dict[str, Any]) -> None:
    """CC facts 1, paging."""
    assert Door(last_page=style).get("/v3/contacts") == {"contacts": [], **rest}


def test_rows_may_shift_while_paging() -> None:
    """CC facts 1, paging: duplicates and gaps are possible."""
    door = Door(page_shift="insert")
    a, b, c, d, e = people(door, 5)
    assert walk(door, "limit=2") == [a, b, b, c, d, e]
    door.cc.switches.choose("page_shift", "delete")
    assert walk(door, "limit=2") == [a, b, d, e]


@pytest.mark.switch("constant_contact", "cursor_extra", "ignored", "400")
def test_parameters_beside_a_cursor() -> None:
    """CC facts 1, paging: ignored or 400."""
    door = Door()
    people(door, 2)
    href = door.get("/v3/contacts?limit=1")["_links"]["next"]["href"]
    assert len(door.get(f"{href}&status=deleted&limit=9")["contacts"]) == 1
    door.cc.switches.choose("cursor_extra", "400")
    assert door.call("GET", f"{href}&limit=1").status == 400
    assert door.call("GET", href).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "status=gone",
        "include=secrets",
        "cursor=%%%",
        "cursor=bGltaXQ9MQ==",
        "cursor=é",
        "updated_after=yesterday",
        "updated_after=2025-01-01T00:00:00+00:00",
        "optout_before=2025-13-40",
    ],
)
def test_bad_questions_are_refused_with_an_array(query: str) -> None:
    """CC facts 4; an unencoded + of a zone offset breaks (CC facts 1)."""
    answer = Door().call("GET", f"/v3/contacts?{query}")
    assert answer.status == 400
    assert answer.json()[0]["error_key"] == "contacts.api.validation.error"


@pytest.mark.parametrize(("shape", "check"), [("object", dict), ("gateway", dict), ("array", list)])
def test_error_bodies_come_in_several_shapes(shape: str, check: type) -> None:
    """CC facts 4."""
    door = Door(error_body=shape)
    assert isinstance(door.call("GET", "/v3/contacts/nobody").json(), check)
    door.cc.switches.choose("error_body", "html")
    assert door.call("GET", "/v3/nowhere").headers["Content-Type"].startswith("text/html")


def test_unknown_paths_methods_and_content_types() -> None:
    """CC facts 1, 4: outside /v3 the gateway answers 403."""
    door = Door()
    assert door.call("GET", "/v3/nowhere").status == 404
    assert door.call("GET", "/v3/contacts/sign_up_form/x").status == 404
    assert door.call("PATCH", "/v3/contacts").status == 405
    outside = door.call("GET", "/v2/contacts")
    assert (outside.status, outside.json()) == (403, {"message": "Forbidden"})
    headers = {"authorization": f"Bearer {door.bearer}", "content-type": "text/plain"}
    assert door.cc.handle(Request("POST", "/v3/contacts", "", headers, b"{}"), door.now + 1).status == 415
    assert door.call("GET", "/v3/contacts").headers["Date"] == dates.http_date(int(door.now))


def test_an_unsubscribe_moves_only_the_email() -> None:
    """CC facts 5.4: updated_after misses it, optout_after finds it."""
    door = Door()
    a, b = people(door, 2)
    door.now += 100
    mark = dates.stamp(int(door.now))
    before = door.one(a)
    effects = door.cc.person_opts_out("a1", a, door.now, "too many")
    after = door.one(a)
    assert {one.field for one in effects} == {
        f"email_address.{name}" for name in ("permission_to_send", "opt_out_source", "opt_out_date", "opt_out_reason")
    }
    assert after["updated_at"] == before["updated_at"]
    assert after["email_address"]["updated_at"] != before["email_address"]["updated_at"]
    assert after["email_address"]["opt_out_source"] == "Contact"
    assert "opt_in_source" not in after["email_address"]
    assert door.ids(f"status=all&updated_after={mark}") == []
    assert door.ids(f"status=unsubscribed&optout_after={mark}") == [a]
    assert door.ids("optout_before=2030-01-01") == [a]
    door.cc.edit("a1", b, door.now, first_name="New")
    assert door.ids(f"updated_after={mark}") == [b]


def test_whether_a_date_bound_is_inclusive_is_a_switch() -> None:
    """CC facts 5.1."""
    door = Door()
    (a,) = people(door, 1)
    at = dates.stamp(int(door.now))
    assert door.ids(f"created_after={at}") == [a]
    door.cc.switches.choose("date_bounds", "exclusive")
    assert door.ids(f"created_after={at}") == door.ids(f"created_before={at}") == []
    assert door.ids("created_after=2018-3-31") == [a]


MOVERS: dict[str, dict[str, Any]] = {
    "list": {"lists": ["L"]},
    "tag": {"taggings": ["T"]},
    "custom_field": {"custom_fields": [{"custom_field_id": "F", "value": "x"}]},
    "phone": {"phones": [("home", "555-0100")]},
    "address": {"addresses": [{"kind": "home", "city": "Boston"}]},
    "permission": {"permission": "explicit"},
}


@pytest.mark.parametrize("what", MOVERS)
def test_what_moves_updated_at_is_a_switch_each(what: str) -> None:
    """CC facts 5.4."""
    for value, moved in (("no", False), ("yes", True)):
        door = Door(**{f"updated_at_on_{what}": value})
        (a,) = people(door, 1)
        before = door.one(a)["updated_at"]
        assert door.cc.edit("a1", a, door.now + 50, **MOVERS[what])
        assert (door.one(a)["updated_at"] != before) is moved
        if what == "permission":
            before = door.one(a)["updated_at"]
            door.cc.edit("a1", a, door.now + 90, permission="unsubscribed")
            assert door.one(a)["updated_at"] == before


def test_names_and_address_always_move_updated_at_and_deletion_by_switch() -> None:
    """CC facts 5.4, 5.5."""
    door = Door(updated_at_on_deletion="yes")
    a, b, c = people(door, 3)
    stamps = [door.one(one)["updated_at"] for one in (a, b, c)]
    door.now += 50
    door.cc.edit("a1", a, door.now, last_name="N")
    door.cc.edit("a1", b, door.now, email="new@example.org")
    door.cc.delete("a1", c, door.now)
    assert all(door.one(one)["updated_at"] != old for one, old in zip((a, b, c), stamps, strict=True))


@pytest.mark.parametrize(
    ("dialect", "text"),
    [("z", "2025-06-15T15:06:41Z"), ("millis", "2025-06-15T15:06:41.000Z"), ("offset", "2025-06-15T10:06:41-05:00")],
)
def test_dates_come_in_dialects(dialect: str, text: str) -> None:
    """CC facts 1, dates; one second is the resolution."""
    assert dates.stamp(1_750_000_001, dialect) == text
    assert dates.parse(text) == 1_750_000_001
    mixed = Door(date_dialect="mixed")
    (a,) = people(mixed, 1)
    assert mixed.one(a)["created_at"].endswith("Z")
    assert mixed.one(a)["updated_at"].endswith("-05:00")


@pytest.mark.switch("constant_contact", "email_finds_deleted", "yes", "no")
def test_an_address_is_found_whatever_its_case() -> None:
    """CC facts 5.5: with status=all deleted ones too, by switch."""
    door = Door()
    a, _ = people(door, 2)
    door.cc.delete("a1", a, door.now)
    assert door.ids("email=P0@EXAMPLE.org") == []
    assert door.ids("email=p0@example.org&status=all") == [a]
    door.cc.switches.choose("email_finds_deleted", "no")
    assert door.ids("email=p0@example.org&status=all") == []


def test_lists_and_tags_filter() -> None:
    """CC facts 5.1."""
    door = Door()
    one, two = door.list("One"), door.list("Two")
    a = door.person(email="a@example.org", lists=[one], taggings=["t1"])
    b = door.person(email="b@example.org", lists=[two])
    assert door.ids(f"lists={one}") == [a]
    assert door.ids(f"lists={one},{two}") == [a, b]
    assert door.ids("tags=t1") == [a]


def test_odd_people_can_be_loaded() -> None:
    """CC facts 12: no address, unknown enum values, unknown fields, ids that are not UUIDs."""
    door = Door()
    a = door.person(first_name="Sms", sms_channel={"sms_address": "555"}, surprise={"x": 1}, contact_id="71600990-908b")
    b = door.person(email="b@example.org", permission="on_the_fence", email_address={"novel": True})
    c = door.person(email="c@example.org", deleted_at="2016-07-08", updated_at="2018-01-25T00:00:00Z", created_at=5)
    door.person(email="b@example.org")
    shown = door.get(f"/v3/contacts/{a}?include=sms_channel")
    assert a == "71600990-908b"
    assert "email_address" not in shown
    assert (shown["surprise"], shown["sms_channel"]["sms_address"]) == ({"x": 1}, "555")
    assert door.one(b)["email_address"]["permission_to_send"] == "on_the_fence"
    assert door.one(b)["email_address"]["novel"] is True
    assert door.ids("status=deleted") == [c]
    assert door.one(c)["updated_at"] == "2018-01-25T00:00:00Z"
    assert len(door.ids("email=b@example.org")) == 2
    assert door.cc.person_opts_out("a1", a, door.now) == ()
    raw = door.cc.contacts("a1")
    assert len(raw) == 4
    json.dumps(raw)


def test_the_same_seed_makes_the_same_world() -> None:
    """Ids come from seed and order alone."""
    ids = []
    for seed in (1, 1, 2):
        cc = ConstantContact(seed=seed)
        first = cc.add_account("a", "k", "s", 0.0)
        ids.append((first["refresh_token"], cc.add_list("a", "L", 0.0), cc.add_person("a", 0.0, email="a@example.org")))
    assert ids[0] == ids[1]
    assert set(ids[0]).isdisjoint(ids[2])


def test_the_cursor_survives_unquoting() -> None:
    """CC facts 1: the padding may come escaped or not."""
    door = Door()
    people(door, 2)
    href = door.get("/v3/contacts?limit=1")["_links"]["next"]["href"]
    for form in (unquote(href), href.replace("=", "%3D").replace("cursor%3D", "cursor="), href.rstrip("=")):
        assert len(door.get(form)["contacts"]) == 1


def test_the_order_of_rows_is_a_switch() -> None:
    """CC facts 1, paging: unconfirmed."""
    door = Door()
    a, b, c = people(door, 3)
    door.cc.edit("a1", b, door.now + 5, first_name="X")
    for order, rows in (("created", [a, b, c]), ("updated", [b, c, a]), ("newest", [c, b, a])):
        door.cc.switches.choose("contact_order", order)
        assert door.ids("") == rows


def test_accounts_do_not_see_each_other() -> None:
    """A token belongs to one account."""
    door = Door()
    (a,) = people(door, 1)
    other = door.cc.add_account("a2", "key", "secret", door.now)["refresh_token"]
    door.bearer = door.token(other).json()["access_token"]
    assert door.ids("status=all") == []
    assert door.call("GET", f"/v3/contacts/{a}").status == 404
    assert door.get("/v3/account/summary")["encoded_account_id"] == "a2"


@pytest.mark.switch("constant_contact", "segment_answer", "200", "202_first")
def test_a_segment_may_be_worked_out_first() -> None:
    """CC facts 5.1: 202 with a status is no empty result; only `limit` goes with it."""
    door = Door()
    a, b, _c = people(door, 3)
    segment = door.cc.add_segment("a1", [b, a])
    assert door.ids(f"segment_id={segment}&limit=5") == [b, a]
    assert door.call("GET", f"/v3/contacts?segment_id={segment}&status=all").status == 400
    assert door.call("GET", "/v3/contacts?segment_id=99").status == 404
    door.cc.switches.choose("segment_answer", "202_first")
    again = door.cc.add_segment("a1", [a])
    waiting = door.call("GET", f"/v3/contacts?segment_id={again}")
    assert (waiting.status, waiting.json()) == (202, {"status": "processing"})
    assert door.ids(f"segment_id={again}") == [a]
