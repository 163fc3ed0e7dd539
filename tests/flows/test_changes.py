"""Edits cross once, in the direction that the route says, and never walk back."""

from tests.flows.crossing import CUSTOMER, Crossing, emails, methods
from tests.flows.test_consent import linked

PLACE = {"kind": "home", "street": "1 Main St", "city": "Everett", "state": "WA", "postal_code": "98201"}


def name_of(c: Crossing, record: str) -> str:
    return str(c.there(record)["contactIndividuals"][0]["firstName"])


def test_an_edit_while_the_person_waits_arrives_after_the_batch() -> None:
    with Crossing() as c:
        ann = c.person(phones=[("mobile", "202-555-0111")])
        c.connect()
        c.edits(ann, first_name="Anna", phones=[("mobile", "202-555-0199")])
        c.wait(hours=1, minutes=10)
        assert len(c.v.waiting(CUSTOMER)) == 1
        c.night()
        contact = c.there(ann)
        assert name_of(c, ann) == "Anna"
        assert [one["value"] for one in methods(contact, "phone")] == ["202-555-0199"]
        assert len(c.everybody()) == 1


def test_staffs_edit_right_after_the_batch_wins_over_what_waited() -> None:
    with Crossing() as c:
        ann = c.person()
        c.connect()
        c.wire = None
        c.v.lose_next(100)
        c.until(c._midnight)
        person = c.there(ann)["contactIndividuals"][0]["id"]
        c.v.staff_renames(CUSTOMER, person, c.now(), first_name="Annie")
        c.edits(ann, first_name="Anna")
        c.wait(hours=2)
        assert name_of(c, ann) == "Annie"
        assert len(c.lines("conflict")) >= 1


def test_an_edit_of_every_field_crosses_once() -> None:
    with Crossing() as c:
        ann = linked(c, phones=[("mobile", "202-555-0111")], addresses=[PLACE])
        written = len(c.writes())
        moved = {**PLACE, "street": "2 Oak Ave", "postal_code": "98203"}
        c.edits(ann, first_name="Anna", last_name="Li", phones=[("mobile", "202-555-0122")], addresses=[moved])
        c.wait(hours=2)
        contact = c.there(ann)
        assert name_of(c, ann) == "Anna"
        assert [one["value"] for one in methods(contact, "phone")] == ["202-555-0122"]
        assert (contact["address"]["address1"], contact["address"]["postal"]) == ("2 Oak Ave", "98203")
        assert len(c.writes()) == written + 3
        c.wait(hours=3)
        assert len(c.writes()) == written + 3


def test_a_new_address_changes_the_one_method() -> None:
    with Crossing() as c:
        ann = linked(c)
        method = emails(c.there(ann))[0]["id"]
        c.edits(ann, email="ann.lee@example.org")
        c.wait(hours=2)
        assert [(one["id"], one["value"]) for one in emails(c.there(ann))] == [(method, "ann.lee@example.org")]
        assert c.consents(ann) == [True]
        assert len(c.everybody()) == 1


def test_a_new_address_while_the_person_waits_changes_the_one_method() -> None:
    with Crossing() as c:
        ann = c.person()
        c.connect()
        c.edits(ann, email="ann.lee@example.org")
        c.wait(hours=1, minutes=10)
        c.night()
        c.wait(hours=1)
        assert [one["value"] for one in emails(c.there(ann))] == ["ann.lee@example.org"]
        assert len(c.everybody()) == 1


def test_staffs_edits_are_left_alone() -> None:
    with Crossing() as c:
        ann = linked(c, phones=[("mobile", "202-555-0111")], addresses=[PLACE])
        contact = c.there(ann)
        person = contact["contactIndividuals"][0]["id"]
        written = len(c.writes())
        c.v.staff_renames(CUSTOMER, person, c.now(), first_name="Annie")
        c.v.staff_sets_phone(CUSTOMER, person, c.now(), "202-555-0177")
        c.v.staff_sets_address(CUSTOMER, contact["id"], c.now(), address1="9 Elm Ct")
        c.wait(hours=2)
        after = c.there(ann)
        assert name_of(c, ann) == "Annie"
        assert [one["value"] for one in methods(after, "phone")] == ["202-555-0177"]
        assert after["address"]["address1"] == "9 Elm Ct"
        assert len(c.writes()) == written


def test_staff_win_where_both_sides_changed_a_name() -> None:
    with Crossing() as c:
        ann = linked(c)
        person = c.there(ann)["contactIndividuals"][0]["id"]
        c.v.staff_renames(CUSTOMER, person, c.now(), first_name="Annie")
        c.edits(ann, first_name="Anna")
        c.wait(hours=2)
        assert name_of(c, ann) == "Annie"
        assert len(c.lines("conflict")) == 1


def test_an_edit_after_staffs_edit_was_seen_crosses() -> None:
    with Crossing() as c:
        ann = linked(c)
        person = c.there(ann)["contactIndividuals"][0]["id"]
        c.v.staff_renames(CUSTOMER, person, c.now(), first_name="Annie")
        c.wait(hours=1, minutes=5)
        c.edits(ann, last_name="Stone")
        c.wait(hours=1, minutes=5)
        individual = c.there(ann)["contactIndividuals"][0]
        assert (individual["firstName"], individual["lastName"]) == ("Annie", "Stone")


def test_an_emptied_field_clears_nothing() -> None:
    with Crossing() as c:
        ann = linked(c, phones=[("mobile", "202-555-0111")])
        written = len(c.writes())
        c.edits(ann, last_name=None, phones=[])
        c.wait(hours=2)
        contact = c.there(ann)
        assert contact["contactIndividuals"][0]["lastName"] == "Lee"
        assert [one["value"] for one in methods(contact, "phone")] == ["202-555-0111"]
        assert len(c.writes()) == written


def test_what_staff_keep_on_a_person_survives_our_write() -> None:
    with Crossing() as c:
        c.v.add_custom_field(CUSTOMER, "Shirt", c.now())
        known = c.household("ann@example.org", customFields={"Shirt": "XL"}, tags=["Donor"], description="A friend")
        ann = c.person()
        c.connect()
        c.edits(ann, last_name="Stone")
        c.wait(hours=1, minutes=10)
        contact = c.there(ann)
        assert (contact["id"], contact["description"]) == (known, "A friend")
        assert contact["tags"] == ["Donor"]
        assert [(one["name"], one["value"]) for one in contact["customFields"]] == [("Shirt", "XL")]


def test_nothing_is_written_while_nothing_changes() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        people = [c.person(f"p{n}@example.org", f"F{n}", f"L{n}", lists=[news], addresses=[PLACE]) for n in range(5)]
        c.connect()
        c.night()
        written = len(c.writes())
        assert c.standings() == {"in_step": len(people)}
        c.wait(days=1, hours=3)
        assert c.writes()[written:] == []


def test_two_people_at_one_address_of_two_households_stay_two() -> None:
    with Crossing() as c:
        ann = c.person(addresses=[PLACE], phones=[("home", "202-555-0100")])
        bob = c.person("bob@example.org", "Bob", "Lee", addresses=[PLACE], phones=[("home", "202-555-0100")])
        c.connect()
        c.night()
        assert c.there(ann)["id"] != c.there(bob)["id"]
        assert len(c.everybody()) == 2


def test_a_merge_by_staff_is_followed_to_the_survivor() -> None:
    with Crossing() as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        loser, survivor = c.there(bob)["id"], c.there(ann)["id"]
        c.v.staff_merges(CUSTOMER, loser, survivor, c.now())
        c.wait(hours=1, minutes=10)
        assert c.there(ann)["id"] == c.there(bob)["id"] == survivor
        c.opts_out(bob)
        c.wait(minutes=20)
        kept = {one["value"]: one["isOptedIn"] for one in emails(c.there(bob))}
        assert kept == {"ann@example.org": True, "bob@example.org": False}


def test_a_row_that_needs_staff_is_confirmed_when_they_have_decided() -> None:
    with Crossing(v={"import-run": "ready"}) as c:
        other = c.household("office@example.org", "Zed", "Quill")
        c.v.staff_sets_phone(CUSTOMER, c.everybody()[0]["contactIndividuals"][0]["id"], c.now(), "202-555-0144")
        ann = c.person(phones=[("mobile", "202-555-0144")])
        c.connect()
        c.night()
        assert c.standing(ann)[0] == "pending"
        [row] = c.v.waiting(CUSTOMER)
        c.v.resolve(CUSTOMER, row["id"], "create", c.now())
        c.wait(minutes=5)
        assert c.standing(ann) == ("in_step", "")
        assert c.there(ann)["id"] != other


def test_a_row_merged_into_somebody_without_the_address_is_parked() -> None:
    with Crossing(v={"import-email": "replace"}) as c:
        c.household("zed@example.org", "Zed", "Quill")
        c.v.staff_sets_phone(CUSTOMER, c.everybody()[0]["contactIndividuals"][0]["id"], c.now(), "202-555-0144")
        ann = c.person(phones=[("mobile", "202-555-0144")])
        c.connect()
        c.night()
        assert c.standing(ann)[0] in ("parked", "in_step")
        assert c.letters() == []
