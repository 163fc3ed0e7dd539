"""What holds for every request: parsing is total, effects tell the whole truth."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep_sandbox.http import Effect, Request
from keepstep_sandbox.virtuous.calls import Route
from keepstep_sandbox.virtuous.routing import ROUTES
from tests.sandbox.virtuous.door import KEY, ORG, Door

ODD = [None, "", " ", "x", "\ud800", 0, -1, 1001, 1e300, True, [], [1], {}, {"a": 1}, [{"a": [1]}], "9" * 40, "²"]
NAMES = (
    "contactId contactIndividualId tagId type value isOptedIn setAsPrimary name contactType contactIndividuals"
    " contactMethods contactAddresses customFields groups conditions parameter operator values secondaryValue sortBy"
    " descending search includeArchived referenceSource referenceId contacts email phone tags emailLists birthYear"
    " payloadUrl secret active note noteDateTime label city firstName isDeceased take skip"
).split()  # fmt: skip
odd = st.sampled_from(ODD)
bodies = st.dictionaries(
    st.sampled_from(NAMES), odd | st.lists(st.dictionaries(st.sampled_from(NAMES), odd), max_size=2)
)
queries = st.sampled_from(
    ["", "take=x", "skip=-1", "take=1e3", "email=%ff", "active=", "referenceId=%00&referenceSource="]
)


@settings(max_examples=300)
@given(st.sampled_from(ROUTES), bodies, queries, st.sampled_from(["1001", "20001", "0", "x", "%ff", "²", "9" * 30]))
def test_no_request_crashes_and_a_refusal_changes_nothing(
    route: Route, body: dict[str, Any], query: str, part: str
) -> None:
    door = Door()
    door.person()
    before = door.machine.contacts(ORG)
    path = "/api/" + route.path.replace("{}", part)
    answer = door.send(route.method, path, body, query)
    assert answer.status in (200, 400, 404, 405, 409), answer
    if answer.status != 200 or not answer.effects:
        assert door.machine.contacts(ORG) == before
    door.night()


def test_arbitrary_bytes_are_answered() -> None:
    for raw in (b"\x00", b"\xff\xfe", b'{"a":' * 2000, b"NaN", b'{"contacts":[NaN]}'):
        for route in ROUTES:
            request = Request(route.method, "/api/" + route.path, "a&=&%", {"authorization": f"Bearer {KEY}"}, raw)
            assert Door().machine.handle(request, 0.0).status < 500


actions = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3), st.booleans()), max_size=25)


@settings(max_examples=100)
@given(actions)
def test_replaying_the_effects_gives_the_final_state(steps: list[tuple[int, int, bool]]) -> None:
    """Field by field, in order, with a matching value before: nothing changes unseen."""
    door = Door()
    numbers = [door.imported(referenceId=f"g{n}", firstName=f"F{n}", email=f"p{n}@example.org")["id"] for n in range(4)]
    effects = [effect for _, effect in door.machine.background]
    door.machine.background.clear()
    for kind, which, flag in steps:
        effects.extend(_act(door, kind, numbers, which, flag))
    state: dict[tuple[str, str], Any] = {}
    for effect in effects:
        key = (effect.record, effect.field)
        if not effect.record.startswith(("reference", "submission")):
            assert state.get(key, () if effect.field == "tags" else None) == effect.before, effect
        state[key] = effect.after
    for contact in door.machine.contacts(ORG):
        name = f"contact:{contact['id']}"
        assert (state.get((name, "tags")) or ()) == tuple(contact["tags"])
        assert state[(name, "isArchived")] == contact["isArchived"]
        assert state.get((name, "mergedIntoContactId")) == contact["mergedIntoContactId"]
        for person in contact["contactIndividuals"]:
            assert state[(f"individual:{person['id']}", "firstName")] == person["firstName"]
            for method in person["contactMethods"]:
                for field in ("type", "value", "isOptedIn", "isPrimary"):
                    assert state[(f"method:{method['id']}", field)] == method[field]
    _indexes_agree(door)


def _act(door: Door, kind: int, numbers: list[int], which: int, flag: bool) -> tuple[Effect, ...]:
    door.now += 1
    machine, number = door.machine, numbers[which]
    contact = next(c for c in machine.contacts(ORG) if c["id"] == number)
    if kind < 4:
        tag = f"T{kind}"
        return (machine.staff_adds_tag if flag else machine.staff_removes_tag)(ORG, number, tag, door.now)
    if kind == 4:
        return (machine.staff_archives if flag else machine.staff_unarchives)(ORG, number, door.now)
    if kind == 5:
        other = next(c for c in machine.contacts(ORG) if c["id"] == numbers[which - 1])
        living = contact["mergedIntoContactId"] is None and other["mergedIntoContactId"] is None
        return machine.staff_merges(ORG, number, other["id"], door.now) if living else ()
    if kind == 6:
        return _night(door, which, flag)
    people = contact["contactIndividuals"]
    return _act_on_person(door, kind, people[0], numbers[which - 1], flag) if people else ()


def _night(door: Door, which: int, flag: bool) -> tuple[Effect, ...]:
    door.submit(referenceId=f"g{which}", email=f"n{which}@example.org" if flag else "w@example.org", tags="T1")
    door.night()
    found = tuple(effect for _, effect in door.machine.background)
    door.machine.background.clear()
    return found


def _act_on_person(door: Door, kind: int, person: dict[str, Any], other: int, flag: bool) -> tuple[Effect, ...]:
    machine = door.machine
    if kind == 7:
        return machine.staff_renames(ORG, person["id"], door.now, first_name="F0" if flag else "New")
    if kind == 8:
        return machine.staff_moves_individual(ORG, person["id"], other, door.now)
    methods = [m["id"] for m in person["contactMethods"]]
    if kind == 9 or not methods:
        body = {"contactIndividualId": person["id"], "type": "Work Email", "value": "w@example.org", "isOptedIn": flag}
        return door.send("POST", "/api/ContactMethod", body).effects
    if kind == 10 and flag:
        return door.send("DELETE", f"/api/ContactMethod/{methods[0]}").effects
    body = {"type": "Home Email", "value": f"v{other}@example.org", "isOptedIn": flag, "setAsPrimary": flag}
    return door.send("PUT", f"/api/ContactMethod/{methods[-1]}", body).effects


def _indexes_agree(door: Door) -> None:
    """Every live address is found, and leads to the contact that holds it."""
    for contact in door.machine.contacts(ORG):
        for person in contact["contactIndividuals"]:
            for method in person["contactMethods"]:
                body = {"groups": [{"conditions": [{"parameter": "Email Address", "operator": "Is"}]}]}
                body["groups"][0]["conditions"][0]["value"] = method["value"]
                found = door.send("POST", "/api/Contact/Query", {**body, "includeArchived": True}).json()["list"]
                assert contact["id"] in [row["id"] for row in found]
        for reference in contact["contactReferences"]:
            assert door.get(f"/api/Contact/Constant%20Contact/{reference['id']}")["id"] == contact["id"]
