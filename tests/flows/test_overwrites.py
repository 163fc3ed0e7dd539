"""The CRM's own import takes a creation of ours for somebody who is there, and writes over what stands there."""

from typing import Any

import pytest

from keepstep.wiring import overwritten, parked
from tests.flows.crossing import CUSTOMER, Crossing, emails, methods

ELM = {"kind": "home", "street": "1 Elm St", "city": "Salem", "state": "MA", "postal_code": "01970"}
AT_ELM = {"address1": "1 Elm St", "city": "Salem", "state": "MA", "postal": "01970"}


def listed(c: Crossing) -> list[dict[str, Any]]:
    return list(c.ask(overwritten.listed(c.service, CUSTOMER)))


def values(c: Crossing) -> list[tuple[Any, ...]]:
    return [(row["field"].partition(":")[0], row["before"], row["after"], row["state"]) for row in listed(c)]


def with_phone(number: str) -> dict[str, Any]:
    return {"type": "Mobile Phone", "value": number, "isPrimary": True}


def linked_bob(c: Crossing, **more: Any) -> tuple[str, int]:
    """Bob of the list service, linked to his household, which has a phone that only the CRM knows."""
    number = c.household("bob@example.org", "Bob", "Lee", **more)
    bob = c.person("bob@example.org", "Bob", "Lee")
    c.connect()
    c.wait(hours=1)
    assert c.standing(bob) == ("in_step", "")
    return bob, number


def gets_a_phone(c: Crossing, number: int, value: str) -> None:
    individual = next(one for one in c.everybody() if one["id"] == number)["contactIndividuals"][0]["id"]
    c.v.staff_sets_phone(CUSTOMER, individual, c.now(), value)
    c.wait(hours=1)


def test_a_merge_by_phone_into_the_spouse_is_listed_with_the_name_that_stood_there() -> None:
    """Ann gives the family's number, which only the CRM has: the import takes her for Bob."""
    with Crossing() as c:
        bob, number = linked_bob(c)
        gets_a_phone(c, number, "202-555-0111")
        ann = c.person("ann@example.org", "Ann", "Stone", phones=[("home", "202-555-0111")])
        c.wait(hours=3)
        c.night()
        assert c.there(ann)["id"] == number, "the import merged her into the household"
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Ann"
        found = values(c)
        assert ("first_name", "Bob", "Ann", "overwritten") in found
        assert ("last_name", "Lee", "Stone", "overwritten") in found
        [line] = c.lines("overwritten_by_import")
        assert (line["record"], line["known"]) == (ann, True)
        assert "Bob" not in str(line) and "Ann" not in str(line)
        assert c.status()["overwritten"]["count"] == len(found)
        assert not (c.standing(ann)[0] == c.standing(bob)[0] == "in_step")


def test_what_staff_put_back_is_counted_no_more_and_a_third_value_is_theirs() -> None:
    with Crossing() as c:
        _, number = linked_bob(c)
        gets_a_phone(c, number, "202-555-0111")
        c.person("ann@example.org", "Ann", "Stone", phones=[("home", "202-555-0111")])
        c.wait(hours=3)
        c.night()
        individual = next(one for one in c.everybody() if one["id"] == number)["contactIndividuals"][0]["id"]
        c.v.staff_renames(CUSTOMER, individual, c.now(), first_name="Bob", last_name="Leigh")
        c.wait(hours=2)
        states = {row["field"]: row["state"] for row in listed(c)}
        assert (states["first_name"], states["last_name"]) == ("put_back", "changed")
        assert c.status()["overwritten"]["count"] == sum(state == "overwritten" for state in states.values())
        assert len(c.lines("overwritten_by_import")) == 1


def test_a_merge_by_name_and_street_into_a_household_of_ours_lists_what_it_changed() -> None:
    """Bob's wife is in the household, without an address of her own. Her own row finds her by name and street."""
    with Crossing() as c:
        wife = {"firstName": "Ann", "lastName": "Lee"}
        linked_bob(c, others=[wife], address={**AT_ELM, "address1": "1 Elm St", "country": "US"})
        ann = c.person("ann@example.org", "Ann", "Lee", addresses=[{**ELM, "country": "US"}])
        c.wait(hours=3)
        c.night()
        assert c.standing(ann) == ("in_step", "")
        assert len(c.everybody()) == 1
        assert [row for row in listed(c) if row["field"] != "address:state"] == []


def test_of_a_contact_that_nobody_read_before_the_values_are_not_known_and_that_is_said() -> None:
    with Crossing() as c:
        c.connect()
        method = with_phone("202-555-0111")
        person = {"firstName": "Rita", "lastName": "Stone", "isPrimary": True, "contactMethods": [method]}
        number = c.v.add_contact(CUSTOMER, c.now(), contactIndividuals=[person])
        c.wait(hours=1)
        ann = c.person("ann@example.org", "Ann", "Lee", phones=[("home", "202-555-0111")])
        c.wait(hours=3)
        c.night()
        assert c.there(ann)["id"] == number
        rows = listed(c)
        assert rows
        assert {(row["before"], row["state"]) for row in rows} == {(None, "unknown")}
        assert "nobody read" in rows[0]["next"]
        assert c.status()["overwritten"] == {"count": 0, "unknown": 1, "next": c.status()["overwritten"]["next"]}


def test_a_creation_that_makes_a_new_contact_overwrites_nothing() -> None:
    with Crossing() as c:
        ann = c.person(phones=[("mobile", "202-555-0111")], addresses=[ELM])
        c.connect()
        c.night()
        assert c.standing(ann) == ("in_step", "")
        assert c.lines("overwritten_by_import") == []
        assert c.status()["overwritten"] == {"count": 0, "unknown": 0, "next": ""}


def test_a_merge_by_phone_that_does_not_take_the_address_is_parked_and_listed() -> None:
    with Crossing(v={"import-email": "add"}) as c:
        _, number = linked_bob(c)
        gets_a_phone(c, number, "202-555-0111")
        ann = c.person("ann@example.org", "Ann", "Stone", phones=[("home", "202-555-0111")])
        c.wait(hours=3)
        c.night()
        shown = c.ask(parked.shown(c.service, CUSTOMER, ann))
        assert {row["field"] for row in shown["overwritten"]} >= {"first_name", "last_name"}
        assert len(emails(c.there(ann))) == 2 and methods(c.there(ann), "phone")


@pytest.mark.parametrize("kind", ["spouse", "child", "stranger"])
def test_no_link_of_ours_rests_on_a_phone(kind: str) -> None:
    """Whoever the import merges, we link nobody to an individual that another person of ours has."""
    with Crossing() as c:
        bob, number = linked_bob(c)
        gets_a_phone(c, number, "202-555-0111")
        last = {"spouse": "Lee", "child": "Lee", "stranger": "Roe"}[kind]
        ann = c.person("ann@example.org", "Ann", last, phones=[("home", "202-555-0111")])
        c.wait(hours=3)
        c.night()
        c.wait(days=2)
        assert c.standing(ann)[0] == "parked"
        assert c.standing(bob)[0] in ("in_step", "parked")


def stored(c: Crossing, number: int) -> dict[tuple[Any, ...], str]:
    """Every value of a contact at the vendor, by its place; empty ones are not there."""
    contact = next(one for one in c.everybody() if one["id"] == number)
    found: dict[tuple[Any, ...], Any] = {}
    for one in contact["contactIndividuals"]:
        found |= {(one["id"], "first_name"): one["firstName"], (one["id"], "last_name"): one["lastName"]}
        kinds = {mean["id"]: "email" if "Email" in mean["type"] else "phone" for mean in one["contactMethods"]}
        found |= {(one["id"], f"{kinds[mean['id']]}:{mean['id']}"): mean["value"] for mean in one["contactMethods"]}
    place = contact["address"] or {}
    names = {"street": "address1", "city": "city", "state": "state", "postal": "postal"}
    found |= {("", f"address:{part}"): place.get(name) for part, name in names.items()}
    return {where: value for where, value in found.items() if value}


@pytest.mark.parametrize("switch", ["add", "replace"])
def test_every_value_that_the_import_changed_is_listed_with_the_value_before(switch: str) -> None:
    """Judged by what the vendor holds before and after the night, and not by our own tables."""
    with Crossing(v={"import-email": switch}) as c:
        _, number = linked_bob(c, address={**AT_ELM, "address1": "9 Oak St", "city": "Lynn", "country": "US"})
        gets_a_phone(c, number, "202-555-0111")
        c.person("ann@example.org", "Ann", "Stone", phones=[("home", "202-555-0111")], addresses=[ELM])
        c.wait(hours=3)
        before = stored(c, number)
        c.night()
        after = stored(c, number)
        changed = {where: value for where, value in before.items() if after.get(where) not in (None, value)}
        assert len(changed) >= 4
        found = {(int(row["individual"] or 0) or "", row["field"]): row["before"] for row in listed(c)}
        assert changed == found
