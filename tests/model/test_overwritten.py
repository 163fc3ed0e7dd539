"""What an import wrote over: values that were there, are others now, and are what was sent."""

from dataclasses import replace

import pytest

from keepstep.model.contact import CrmContact
from keepstep.model.overwritten import Place, overwritten, perhaps, values, was_there
from tests.model.people import HOME, household, individual, mail, number

SENT = {
    "first_name": "Ann",
    "last_name": "Stone",
    "email": "ann@example.org",
    "phone": {"raw": "(202) 555-0111"},
    "address": {"street": "2 Oak St", "city": None},
    "custom": {"Hobby": "Chess"},
}
BOB = individual(
    "b", methods=(mail("m", "bob@example.org"), number("p", "202-555-0199"), replace(mail("o", "x"), kind="other"))
)
BEFORE = household(BOB, address=HOME, custom_fields=(("Hobby", "Golf"), ("Size", "L")))


def after(**changed: str | None) -> CrmContact:
    """The household with Bob as the import left him."""
    values = {"first_name": BOB.first_name, "last_name": BOB.last_name, "mail": "bob@example.org"} | changed
    methods = (mail("m", values["mail"] or ""), number("p", changed.get("phone") or "202-555-0199"))
    bob = replace(BOB, first_name=values["first_name"], last_name=values["last_name"], methods=methods)
    place = replace(HOME, street=changed.get("street") or HOME.street)
    custom = (("Hobby", changed.get("hobby") or "Golf"), ("Size", "L"))
    return replace(BEFORE, individuals=(bob,), address=place, custom_fields=custom)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"first_name": "Ann"}, Place("ib", "first_name")),
        ({"last_name": "Stone"}, Place("ib", "last_name")),
        ({"mail": "ANN@example.org"}, Place("ib", "email:m")),
        ({"phone": "+1 202 555 0111"}, Place("ib", "phone:p")),
        ({"street": "2 Oak St"}, Place("", "address:street")),
        ({"hobby": "Chess"}, Place("", "custom:Hobby")),
    ],
)
def test_a_value_that_became_ours_was_overwritten(changed: dict[str, str | None], place: Place) -> None:
    assert overwritten(BEFORE, after(**changed), SENT) == [place]
    assert overwritten(BEFORE, BEFORE, SENT) == []
    assert overwritten(BEFORE, after(**changed), {}) == []


@pytest.mark.parametrize("changed", [{"first_name": "Rob"}, {"mail": "rob@example.org"}, {"street": "3 Ash St"}])
def test_what_somebody_else_changed_meanwhile_was_not(changed: dict[str, str | None]) -> None:
    assert overwritten(BEFORE, after(**changed), SENT) == []


def test_what_was_empty_was_filled_and_not_overwritten() -> None:
    bare = replace(BEFORE, individuals=(replace(BOB, first_name=None, methods=()),), address=None, custom_fields=())
    assert overwritten(bare, after(first_name="Ann", mail="ann@example.org", street="2 Oak St"), SENT) == []
    assert overwritten(after(first_name="Ann"), replace(BEFORE, individuals=()), SENT) == []


def test_where_nobody_knows_what_was_there_everything_that_is_ours_may_have_been() -> None:
    assert perhaps(after(first_name="Ann", street="2 Oak St"), SENT) == [
        Place("", "address:street"),
        Place("ib", "first_name"),
    ]
    assert perhaps(BEFORE, SENT) == []


def test_a_value_is_looked_up_by_its_place() -> None:
    assert values(BEFORE)[Place("ib", "phone:p")] == "202-555-0199"
    assert Place("ib", "other:o") not in values(BEFORE)


@pytest.mark.parametrize(("created", "there"), [(None, False), (50.0, True), (100.0, False)])
def test_who_was_made_before_the_creation_was_there(created: float | None, there: bool) -> None:
    assert was_there(replace(BEFORE, created_at=created), 100.0) is there
