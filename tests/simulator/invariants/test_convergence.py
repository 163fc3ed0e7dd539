"""I10 to I14: hand-made stories in which they are broken, and their neighbours in which they are not."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep_simulator.invariants.convergence import ABSENT, ASKS, converged, deletes_stay, no_echo
from keepstep_simulator.invariants.values import edits_win, nothing_invented
from keepstep_simulator.story import Final
from tests.simulator.invariants.telling import (
    CC,
    CUSTOMER,
    Told,
    V,
    act,
    contact,
    eff,
    ended,
    household,
    judged,
    out,
    plan,
    rsp,
    story,
    tx,
)

NOWHERE = Final()
CONNECTS = plan({"operator": "connects"})
PARTY = {"customer_id": CUSTOMER, "party_id": "p"}
BRAKED = ended(step=({**PARTY, "hold": "brake"},), alias=({**PARTY, "record_id": "ana"},))

STEP = {
    "nothing said": ((judged(),), NOWHERE, 0),
    "a wrong field": ((judged(("wrong_fields", "ana", "phone")),), NOWHERE, 1),
    "somebody lost": ((judged(("lost", "ana", "no claim")),), NOWHERE, 1),
    "an echo is not for this one": ((judged(("echo_writes", "1", "changed nothing")),), NOWHERE, 0),
    "still under way": ((judged(("pending", "ana", "step_waiting")),), NOWHERE, 1),
    "the vendor holds the row": ((judged(("pending", "ana", "submission_waiting"), waiting=("ana",)),), NOWHERE, 0),
    "a person must look": ((judged(("pending", "ana", "submission_review")),), NOWHERE, 0),
    "the brake holds it, and nobody looks": ((CONNECTS, judged(("pending", "ana", "step_waiting"))), BRAKED, 0),
    "the brake holds it, and somebody looks": ((plan(), judged(("pending", "ana", "step_waiting"))), BRAKED, 1),
}


RETURN = judged(("lost", "ana", ABSENT), ("lost", "ana", ASKS))
CLOSED = eff("method:9", "isOptedIn", True, False, at=50.0)
PUT_BACK = Told("RESTORE", "", {"age": 60.0}, at=100.0)
SHUT = ended([contact("ana", "ana@example.org")], [household(7, "ana@example.org", "ana", opted_in=False)])
NOT_HERS = ended([contact("ana", "ana@example.org")], [household(7, "bo@example.org", "ana", opted_in=False)])
STEP |= {
    "a return that an older disk cannot prove": ((CLOSED, PUT_BACK, RETURN), SHUT, 0),
    "it is not asked about": ((CLOSED, PUT_BACK, judged(("lost", "ana", ABSENT))), SHUT, 1),
    "something else is lost of her": ((CLOSED, PUT_BACK, RETURN, judged(("lost", "ana", "no claim"))), SHUT, 1),
    "no disk was put back": ((CLOSED, RETURN), SHUT, 2),
    "the disk knows that it closed her": ((replace(CLOSED, at=30.0), PUT_BACK, RETURN), SHUT, 2),
    "it closed her since": ((PUT_BACK, replace(CLOSED, at=110.0), RETURN), SHUT, 2),
    "staff closed her": ((eff("method:9", "isOptedIn", True, False, "staff", at=50.0), PUT_BACK, RETURN), SHUT, 2),
    "it opened her": ((eff("method:9", "isOptedIn", False, True, at=50.0), PUT_BACK, RETURN), SHUT, 2),
    "it closed somebody else": ((CLOSED, PUT_BACK, RETURN), NOT_HERS, 2),
}


@pytest.mark.parametrize(("facts", "final", "broken"), STEP.values(), ids=STEP)
def test_converged(facts: tuple[Told, ...], final: Final, broken: int) -> None:
    found, premise = converged(story(*facts, final=final))
    assert [one.invariant for one in found] == ["I10"] * broken
    assert premise == 3 * sum(one.kind == "JUDGED" for one in facts)


PUT = out("1", "/api/ContactMethod/3", "PUT")
TAGGED = eff("contact:7", "tags", (), ("CC: News",), side=V)
UNTAGGED = eff("contact:7", "tags", ("CC: News",), (), side=V)
ECHO = {
    "a write with an effect": ((PUT, eff("method:3", "value", "a", "b", call="1"), rsp("1")), 0),
    "a write without one": ((PUT, rsp("1")), 1),
    "refused": ((PUT, rsp("1", 409)), 0),
    "a job on lists runs later": ((out("1", "/v3/activities/add_list_memberships", "POST", CC), rsp("1", 201)), 0),
    "the second one, for nobody knew": (
        (
            PUT,
            eff("method:3", "value", "a", "b", call="1"),
            rsp("1", None),
            out("2", "/api/ContactMethod/3", "PUT"),
            rsp("2"),
        ),
        0,
    ),
    "the second one, for the process died": (
        (out("0", "/api/ContactTag", "POST", body="x"), out("1", "/api/ContactTag", "POST", body="x"), rsp("1")),
        0,
    ),
    "another one after a lost answer": (
        (out("0", "/api/ContactTag", "POST", body="x"), out("1", "/api/ContactTag", "POST", body="y"), rsp("1")),
        1,
    ),
    "twice between two changes": ((TAGGED, UNTAGGED), 0),
    "three times between two changes": ((TAGGED, UNTAGGED, TAGGED), 1),
    "three times, somebody in between": ((TAGGED, UNTAGGED, act("ana", "person_joins"), TAGGED), 0),
    "three tags": (
        tuple(eff("contact:7", "tags", (), (name,), side=V) for name in ("CC: a", "CC: b", "CC: c")),
        0,
    ),
}


@pytest.mark.parametrize(("facts", "broken"), ECHO.values(), ids=ECHO)
def test_no_echo(facts: tuple[Told, ...], broken: int) -> None:
    found, premise = no_echo(story(*facts))
    assert [one.invariant for one in found] == ["I11"] * broken
    assert premise == sum(one.kind == "EFF" for one in facts)


# --- I12 -------------------------------------------------------------------------------------------------------------


def linked(first: str, **more: Any) -> Final:
    return ended([contact("ana", "ana@x.org", **more)], [household(7, "Ana@x.org", "ana", firstName=first)])


def here(after: str, actor: str = "person") -> Told:
    return eff("contact:ana", "first_name", "Ana", after, actor)


def there(before: str, after: str, actor: str, call: str = "") -> Told:
    return eff("individual:8", "firstName", before, after, actor, call=call)


LOGGED = tx(("journal", "INSERT", {"kind": "conflict", "data": '{"record":"ana","field":"first_name"}'}))
LOOKED = (out("1", "/api/ContactIndividual/8"), rsp("1"))
WRITES = out("2", "/api/ContactIndividual/8", "PUT")
EDITED = {
    "nobody edits": ((), linked("Ana"), 0, 0),
    "an edit that arrived": ((here("Anna"), there("Ana", "Anna", "product")), linked("Anna"), 0, 1),
    "an edit that did not": ((here("Anna"),), linked("Ana"), 1, 1),
    "an edit that was there already": ((here("Ana "),), linked("Ana"), 0, 1),
    "an emptied name does not travel": ((here(""),), linked("Ana"), 0, 1),
    "of somebody who is out": ((here("Anna"),), linked("Ana", permission="unsubscribed"), 0, 1),
    "of somebody under way": ((here("Anna"), judged(("pending", "ana", "step_waiting"))), linked("Ana"), 0, 0),
    "a conflict, logged": ((here("Anna"), there("Ana", "Anne", "staff"), LOGGED), linked("Anne"), 0, 1),
    "a conflict in silence": ((here("Anna"), there("Ana", "Anne", "staff")), linked("Anne"), 1, 1),
    "staff's name, overwritten unread": (
        (here("Anna"), there("Ana", "Anne", "staff"), WRITES, there("Anne", "Anna", "product", "2")),
        linked("Anna"),
        0,
        1,
    ),
    "staff's name, overwritten though it was looked at": (
        (here("Anna"), there("Ana", "Anne", "staff"), *LOOKED, WRITES, there("Anne", "Anna", "product", "2")),
        linked("Anna"),
        1,
        1,
    ),
    "staff's name, overwritten though it was stored": (
        (
            here("Anna"),
            there("Ana", "Anne", "staff"),
            out("1", "/api/Contact/Query/FullContact", "POST"),
            rsp("1"),
            tx(("snapshot", "UPDATE", {"platform": V, "record_id": "7", "stamp": None})),
            WRITES,
            there("Anne", "Anna", "product", "2"),
        ),
        linked("Anna"),
        1,
        1,
    ),
    "staff's name, and a newer one after it": (
        (there("Ana", "Anne", "staff"), here("Anna"), *LOOKED, WRITES, there("Anne", "Anna", "product", "2")),
        linked("Anna"),
        0,
        1,
    ),
}


@pytest.mark.parametrize(("facts", "final", "broken", "premise"), EDITED.values(), ids=EDITED)
def test_edits_win(facts: tuple[Told, ...], final: Final, broken: int, premise: int) -> None:
    found, count = edits_win(story(*facts, final=final))
    assert [one.invariant for one in found] == ["I12"] * broken
    assert count == premise


# --- I13 -------------------------------------------------------------------------------------------------------------

ANA = act(
    "ana", "add_person", first_name="Ana", phones=[("mobile", "+1 (201) 555-0001")], addresses=[{"country": "US"}]
)
BACK = plan(fields_to_audience=("first_name", "phone"))
INVENTED = {
    "a name that was said": ((ANA, eff("individual:8", "firstName", None, "Ana")), 0),
    "a name that nobody said": ((ANA, eff("individual:8", "firstName", None, "Friend")), 1),
    "a telephone in another form": ((ANA, eff("method:3", "value", None, "201-555-0001")), 0),
    "another telephone": ((ANA, eff("method:3", "value", None, "201-555-0002")), 1),
    "a country by its name": ((ANA, eff("address:3", "country", None, "United States")), 0),
    "a country that nobody said": ((eff("address:3", "country", None, "United States"),), 1),
    "said by the other customer": (
        (Told("ACT", "bob", ANA.data, customer="customer-1"), eff("individual:8", "firstName", None, "Ana")),
        1,
    ),
    "said too late": ((eff("individual:8", "firstName", None, "Ana"), ANA), 1),
    "a name that is emptied": ((ANA, eff("individual:8", "firstName", "Ana", "")), 1),
    "a method that goes as a whole": ((ANA, eff("method:3", "value", "ana@x.org", None)), 0),
    "somebody else does": ((eff("individual:8", "firstName", "Ana", "Friend", "staff"),), 0),
    "a middle name is nobody's business": ((eff("individual:8", "middleName", "Q", ""),), 1),
    "of a record that is made it is": ((eff("individual:8", "middleName", None, "Q"),), 0),
    "consent is mapped": ((eff("contact:ana", "email_address.permission_to_send", "implicit", "unsubscribed"),), 0),
    "a name at Constant Contact is not": ((eff("contact:ana", "first_name", "Ana", None),), 1),
    "a name that the route writes back": (
        (
            BACK,
            act("8", "staff_renames", V, "staff", first_name="Anne"),
            eff("contact:ana", "first_name", "Ana", "Anne"),
        ),
        0,
    ),
    "a name that the route writes back, invented": ((BACK, eff("contact:ana", "first_name", "Ana", "Anne")), 1),
    "one telephone of two is new": (
        (
            BACK,
            act("8", "staff_sets_phone", V, "staff", number="201-555-0009"),
            eff(
                "contact:ana",
                "phone_numbers",
                [{"phone_number": "1"}],
                [{"phone_number": "1"}, {"phone_number": "2015550009"}],
            ),
        ),
        0,
    ),
    "choices as one text": (
        (
            act("ana", "set_custom", choices=["Schools", "Gardens"]),
            eff("contact:7", "customFields.x", None, "Schools; Gardens", side=V),
        ),
        0,
    ),
    "a day as midnight": (
        (
            act("ana", "set_custom", value="2024-02-29"),
            eff("contact:7", "customFields.x", None, "2024-02-29T00:00:00", side=V),
        ),
        0,
    ),
}


@pytest.mark.parametrize(("facts", "broken"), INVENTED.values(), ids=INVENTED)
def test_nothing_invented(facts: tuple[Told, ...], broken: int) -> None:
    found, premise = nothing_invented(story(*facts))
    assert [one.invariant for one in found] == ["I13"] * broken
    assert premise == sum(one.kind == "EFF" and one.data["actor"] == "product" for one in facts)


# --- I14 -------------------------------------------------------------------------------------------------------------

GONE = contact("ana", "ana@x.org", deleted_at="2026-03-03")
DELETED = (act("ana", "delete", actor="staff"), eff("contact:ana", "deleted_at", None, "2026-03-03", "staff"))
DELETES = {
    "nobody": ((eff("contact:7", "tags", (), ("a",)),), NOWHERE, 0, 0),
    "made, and not archived": ((eff("contact:7", "isArchived", None, False, side=V),), NOWHERE, 0, 0),
    "archived by us": ((eff("contact:7", "isArchived", False, True, side=V),), NOWHERE, 1, 0),
    "archived by staff": ((eff("contact:7", "isArchived", False, True, "staff", side=V),), NOWHERE, 0, 1),
    "revived by us": ((eff("contact:ana", "deleted_at", "2026-03-03", None),), NOWHERE, 1, 0),
    "a call that deletes": ((out("1", "/v3/contacts/ana", "DELETE", CC),), NOWHERE, 1, 0),
    "a call that takes a tag off": ((out("1", "/api/ContactTag/600", "DELETE"),), NOWHERE, 0, 0),
    "a deletion that closed the address": (DELETED, ended([GONE], [household(7, "ana@x.org", "ana", False)]), 0, 1),
    "a deletion that did not": (DELETED, ended([GONE], [household(7, "ana@x.org", "ana")]), 1, 1),
    "of somebody under way": (
        (*DELETED, judged(("pending", "ana", "step_waiting"))),
        ended([GONE], [household(7, "ana@x.org", "ana")]),
        0,
        1,
    ),
    "of somebody who is back": (
        DELETED,
        ended([contact("ana", "ana@x.org")], [household(7, "ana@x.org", "ana")]),
        0,
        1,
    ),
}


@pytest.mark.parametrize(("facts", "final", "broken", "premise"), DELETES.values(), ids=DELETES)
def test_deletes_stay(facts: tuple[Told, ...], final: Final, broken: int, premise: int) -> None:
    found, count = deletes_stay(story(*facts, final=final))
    assert [one.invariant for one in found] == ["I14"] * broken
    assert count == premise
