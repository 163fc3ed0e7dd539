"""People cross from Constant Contact into Virtuous: created, linked, left out, parked."""

import pytest

from keepstep.connectors.constant_contact import source
from tests.flows.crossing import CUSTOMER, Crossing, emails, methods


def test_a_person_waits_for_the_batch_and_is_linked() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = c.person(phones=[("mobile", "202-555-0111")], lists=[news])
        c.connect()
        assert c.standing(ann) == ("pending", "submission_waiting")
        assert len(c.v.waiting(CUSTOMER)) == 1
        assert c.everybody() == []
        c.night()
        contact = c.there(ann)
        assert c.standing(ann) == ("in_step", "")
        assert [one["value"] for one in emails(contact)] == ["ann@example.org"]
        assert contact["tags"] == ["CC: Newsletter"]
        assert len(c.made("POST", "/api/Contact/Transaction")) == 1


def test_every_page_of_more_than_500_people_is_read() -> None:
    with Crossing() as c:
        people = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}") for n in range(503)]
        c.connect()
        pages = [one for one in c.made("GET", "/v3/contacts") if one.request.path == "/v3/contacts"]
        assert len(pages) == 2
        assert sorted(row["row"]["referenceId"] for row in c.v.waiting(CUSTOMER)) == sorted(people)
        assert c.standings() == {"pending": 503}


def test_people_without_an_address_and_people_who_may_not_be_mailed_are_left_out() -> None:
    with Crossing() as c:
        nobody = c.person(None, "No", "Mail")
        held = c.person("held@example.org", permission="temp_hold")
        unset = c.person("unset@example.org", permission="not_set")
        asked = c.person("asked@example.org", permission="pending_confirmation")
        c.connect()
        c.night()
        assert c.everybody() == []
        assert c.standing(nobody) == ("left_out", "no_email")
        assert {c.standing(one) for one in (held, unset, asked)} == {("left_out", "not_mailable")}
        assert c.made("POST", "/api/Contact/Transaction") == c.made("POST", "/api/Contact/Batch") == []


def test_somebody_left_out_crosses_as_soon_as_they_may_be_mailed() -> None:
    with Crossing() as c:
        held = c.person("held@example.org", permission="temp_hold")
        c.connect()
        c.edits(held, permission="implicit")
        c.wait(hours=2)
        c.night()
        assert c.standing(held) == ("in_step", "")
        assert c.consents(held) == [True]


def test_an_opted_out_stranger_is_created_opted_out_and_never_by_an_import() -> None:
    with Crossing() as c:
        out = c.person("out@example.org", permission="unsubscribed")
        c.connect()
        assert c.consents(out) == [False]
        assert c.made("POST", "/api/Contact/Transaction") == c.made("POST", "/api/Contact/Batch") == []
        c.night()
        assert c.consents(out) == [False]
        assert len(c.everybody()) == 1


def test_somebody_known_already_is_linked_and_not_created() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        known = c.household("ann@example.org", tags=["Donor"])
        ann = c.person(lists=[news])
        c.connect()
        c.wait(minutes=10)
        contact = c.there(ann)
        assert contact["id"] == known
        assert sorted(contact["tags"]) == ["CC: Newsletter", "Donor"]
        assert c.standing(ann) == ("in_step", "")
        assert len(c.everybody()) == 1
        assert c.v.waiting(CUSTOMER) == []


def test_two_contacts_with_the_address_park_the_person() -> None:
    with Crossing() as c:
        c.household("ann@example.org")
        c.household("ann@example.org", "Anna")
        ann = c.person()
        c.connect()
        c.night()
        assert c.standing(ann) == ("parked", "several_matches")
        assert c.carriers(ann) == []
        assert len(c.everybody()) == 2


def test_another_name_behind_the_address_parks_the_person() -> None:
    with Crossing() as c:
        c.household("ann@example.org", "Robert", "Stone")
        ann = c.person()
        c.connect()
        c.night()
        assert c.standing(ann) == ("parked", "name_differs")
        assert c.carriers(ann) == []
        assert c.v.waiting(CUSTOMER) == []


def test_the_best_of_five_phones_crosses_once() -> None:
    with Crossing() as c:
        numbers = [("work", "202-555-0101"), ("home", "202-555-0102"), ("other", "202-555-0103")]
        ann = c.person(phones=[*numbers, ("mobile", "202-555-0104"), ("fancy", "202-555-0105")])
        c.connect()
        c.night()
        assert [one["value"] for one in methods(c.there(ann), "phone")] == ["202-555-0104"]
        assert c.standing(ann) == ("in_step", "")


@pytest.mark.parametrize(
    "name", ["王小明", "Ольга", "محمد", "Zoë O’Brien-Núñez", "Ægir Þór", "ניר", "👩‍🎤 Star", "e\u0301lodie"]
)
def test_names_in_any_script_cross_and_stay(name: str) -> None:
    with Crossing() as c:
        ann = c.person(first=name, last=name)
        c.connect()
        c.night()
        written = len(c.writes())
        c.wait(hours=3)
        assert c.standing(ann) == ("in_step", "")
        assert c.there(ann)["contactIndividuals"][0]["firstName"]
        assert len(c.writes()) == written


def test_unknown_words_of_the_vendor_are_read_with_care() -> None:
    with Crossing() as c:
        strange = c.person("strange@example.org", permission="quantum_opt_in", phones=[("hologram", "202-555-0103")])
        fine = c.person("fine@example.org", "Fine", "Person", new_property={"deep": [1, 2]}, update_source="Robot")
        c.connect()
        c.night()
        assert c.standing(strange) == ("left_out", "not_mailable")
        assert c.standing(fine) == ("in_step", "")


def test_no_country_is_invented() -> None:
    with Crossing() as c:
        place = {"kind": "home", "street": "1 Main St", "city": "Lyon", "postal_code": "69001"}
        ann = c.person(addresses=[place])
        c.connect()
        [row] = c.v.waiting(CUSTOMER)
        assert "country" not in row["row"] or not row["row"]["country"]
        c.night()
        assert not c.there(ann)["address"]["country"]


@pytest.mark.parametrize("shift", ["insert", "delete"])
def test_rows_that_shift_while_we_page_are_read_by_the_next_sweep(shift: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST", 3)
    with Crossing(cc={"page_shift": shift}) as c:
        people = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}") for n in range(8)]
        c.connect()
        c.cc.switches.choose("page_shift", "off")
        c.wait(days=1, hours=2)
        assert len(c.everybody()) == 8
        assert c.standings() == {"in_step": len(people)}


@pytest.mark.parametrize(
    "switches",
    [{"date_dialect": one} for one in ("z", "millis", "offset", "mixed")]
    + [{"last_page": one} for one in ("empty_links", "no_links", "next_null")]
    + [{"contact_order": "newest"}, {"date_bounds": "exclusive"}, {"expires_in_type": "string"}],
    ids=lambda one: "-".join(f"{key}={value}" for key, value in one.items()),
)
def test_every_dialect_of_constant_contact_gives_the_same_end(switches: dict[str, str]) -> None:
    with Crossing(cc=switches) as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        c.edits(ann, first_name="Anna")
        c.opts_out(bob)
        c.wait(hours=2)
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Anna"
        assert c.consents(bob) == [False]
        assert c.standings() == {"in_step": 2}


@pytest.mark.parametrize(
    "switches",
    [
        {"contact-tags": "objects"},
        {"archived-flag": "present"},
        {"put-individual": "patch", "put-method": "patch"},
        {"put-method": "replace", "put-contact": "replace"},
        {"country": "as-sent"},
        {"write-without-change": "touches"},
        {"query-date": "instant"},
        {"error-body": "envelope", "unauthorized-body": "text"},
        {"opt-in-default": "false"},
        {"reference-event": "silent"},
    ],
    ids=lambda one: "-".join(f"{key}={value}" for key, value in one.items()),
)
def test_every_dialect_of_virtuous_gives_the_same_end(switches: dict[str, str]) -> None:
    with Crossing(v=switches) as c:
        news = c.a_list("Newsletter")
        ann = c.person(lists=[news], phones=[("mobile", "202-555-0111")])
        c.connect()
        c.night()
        c.edits(ann, first_name="Anna")
        c.opts_out(ann)
        c.wait(hours=2)
        assert c.consents(ann) == [False]
        assert c.standing(ann) == ("in_step", "")
