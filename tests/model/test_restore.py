"""What an undo restores, what it leaves, and that the next decision takes none of it for anybody's edit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from keepstep.model.change import Lane, Step, a_step
from keepstep.model.contact import Consent, Side
from keepstep.model.custom import Binding, CustomField
from keepstep.model.decide import Decision
from keepstep.model.party import Answer, Party, Restore, address_parts
from keepstep.model.settle import found_so, refused, settle
from keepstep.model.written import folded, values
from tests.model.people import (
    GIFTS,
    HOME,
    NEWS,
    SETTING,
    decided,
    household,
    individual,
    kinds,
    paired,
    person,
    subscriber,
)
from tests.model.world import World, household_of_two

SHIRT = Binding(
    audience=CustomField(field_id="c1", names=("Shirt",), kind="text"),
    crm=CustomField(field_id="Shirt", names=("Shirt",), kind="text"),
)
NOW = 1000.0


@dataclass(frozen=True)
class Row:
    """One value as a run has written it."""

    id: int
    member: str | None
    kind: str
    what: str
    payload: dict[str, Any]
    answer: dict[str, Any] | None = None


def rows(*steps: tuple[Step, dict[str, Any]]) -> list[Row]:
    """What a run keeps of these steps and their answers."""
    found: list[Row] = []
    for step, answer in steps:
        for what in values(step.kind, step.payload):
            found.append(Row(len(found) + 1, step.member, step.kind, what, dict(step.payload), answer))
    return found


def asked(known: Party, *steps: tuple[Step, dict[str, Any]], at: float = NOW) -> Party:
    """The party once somebody has asked to undo these."""
    restores, _ = folded("plan-1", at, rows(*steps))
    return replace(known, restore=restores)


def done(world: World, act: Any) -> list[tuple[Step, dict[str, Any]]]:
    """What a run writes because of this act, as it is kept."""
    before = len(world.written)
    act()
    world.poll()
    world.poll_crm()
    world.turns()
    return [(step, {}) for step in world.written[before:]]


def a_write(kind: str, payload: dict[str, Any], side: Side = Side.crm, member: str = "a") -> Step:
    return a_step("P", member, kind, payload, side=side)


def said(decision: Decision) -> list[tuple[str, str]]:
    return [(str(note.data["what"]), str(note.data["state"])) for note in decision.notes if note.kind == "undo"]


# --- what a run wrote ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "payload", "names"),
    [
        ("set_person", {"first_name": "Ann", "last_name": None}, ("first_name",)),
        ("set_custom", {"values": {"Shirt": "L", "Size": "S"}}, ("custom:Shirt", "custom:Size")),
        ("set_fields", {"values": {"phone": {}}}, ("phone",)),
        ("join", {"list_ids": ["L1", "L2"]}, ("L1", "L2")),
        ("add_tag", {"list_id": "L1"}, ("L1",)),
        ("swap_email", {}, ("email",)),
        ("link", {}, ("reference",)),
        ("submit", {}, ("submit",)),
    ],
)
def test_every_value_of_a_step_is_undone_by_itself(kind: str, payload: dict[str, Any], names: tuple[str, ...]) -> None:
    assert values(kind, payload) == names


def test_of_several_writes_of_a_value_the_first_says_what_was_there_and_the_last_what_is() -> None:
    ids = {"contact": "900", "individual": "ia", "method": "pa", "kind": "mobile"}
    first = a_write("set_phone", {**ids, "value": "2", "was": "1"}), {"value": "+2", "method": "pa"}
    last = a_write("set_phone", {**ids, "value": "3", "was": "+2"}), {"value": "+3", "method": "pa"}
    [one], stays = folded("plan-1", NOW, rows(first, last))
    assert (one.was, one.wrote, one.rows, stays) == ("1", "+3", (1, 2), {})


def test_what_a_run_itself_has_taken_back_is_as_before() -> None:
    tag = {"contact": "900", "tag_id": "71", "tag": NEWS.tag_name, "list_id": NEWS.list_id}
    both = (a_write("add_tag", tag), {}), (a_write("remove_tag", tag, member="b"), {})
    assert folded("plan-1", NOW, rows(*both)) == ((), {1: "as_before", 2: "as_before"})


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("submit", "created"),
        ("create", "created"),
        ("note", "note"),
        ("set_consent", "consent"),
        ("opt_out", "consent"),
        ("of tomorrow", "not_undone"),
    ],
)
def test_what_was_made_and_consent_stay(kind: str, why: str) -> None:
    assert folded("plan-1", NOW, rows((a_write(kind, {}), {}))) == ((), {1: why})


# --- values ----------------------------------------------------------------------------------------------------------


def full_world() -> World:
    """Ann and Bob in step, with a custom field on both sides."""
    return household_of_two(replace(SETTING, bindings=(SHIRT,)))


def undone_in(world: World, writes: Sequence[tuple[Step, dict[str, Any]]]) -> tuple[Step, ...]:
    """Undo these and let the world come to rest twice; what was written."""
    before = len(world.written)
    world.party = asked(world.party, *writes, at=world.now)
    world.sync()
    steps = world.written[before:]
    world.sync()
    assert world.written[before:] == steps
    assert world.party.restore == ()
    return steps


CHANGES: dict[str, dict[str, Any]] = {
    "names": {"first_name": "Anna", "last_name": "Leigh"},
    "email": {"email": "anna@example.org"},
    "phone": {"phones": (replace(subscriber("a").phones[0], raw="(303) 555-0100"),)},
    "address": {"addresses": (replace(HOME, record_id=None, street="2 Oak Ave", city="Lynn"),)},
    "custom": {"custom_fields": (("c1", "L"),)},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_value_goes_back_and_is_not_written_again(what: str) -> None:
    world = full_world()
    before = world.crm
    writes = done(world, lambda: world.edit("a", **CHANGES[what]))
    assert world.crm != before
    steps = undone_in(world, writes)
    assert len(steps) == len(writes) == 1
    assert plain(world) == plain(replace_crm(world, before))


def replace_crm(world: World, crm: Any) -> World:
    other = world.branch()
    other.crm = crm
    return other


def plain(world: World) -> Any:
    """The CRM's values as text: an empty one is none."""
    custom = tuple((name, value) for name, value in world.crm.custom_fields if value)
    people = [
        (one.first_name, one.last_name, [(m.kind, "".join(s for s in m.value if s.isalnum())) for m in one.methods])
        for one in world.crm.individuals
    ]
    place = address_parts(world.crm.address) if world.crm.address else None
    return people, place, custom, world.crm.tags


def test_a_later_change_of_the_person_crosses_after_an_undo() -> None:
    world = full_world()
    writes = done(world, lambda: world.edit("a", first_name="Anna"))
    undone_in(world, writes)
    world.edit("a", first_name="Annabel")
    world.sync()
    assert world.crm.individuals[0].first_name == "Annabel"


@pytest.mark.parametrize("side", ["crm", "audience"])
def test_what_somebody_has_changed_since_is_theirs(side: str) -> None:
    world = full_world()
    writes = done(world, lambda: world.edit("a", first_name="Anna"))
    if side == "crm":
        world.rename("a", "Annie")
    else:
        world.edit("a", first_name="Annie")
    undone_in(world, writes)
    assert world.crm.individuals[0].first_name == "Annie"


def test_what_was_added_is_taken_away() -> None:
    world = full_world()
    bare = replace(individual("a"), methods=individual("a").methods[:1])
    world.staff(address=None, individuals=(bare, individual("b")))
    world.edit("a", phones=(), addresses=())
    world.sync()
    before = plain(world)
    world.edit("a", addresses=(replace(HOME, record_id=None, street="9 Elm St"),))
    writes = done(world, lambda: world.edit("a", phones=subscriber("a").phones))
    assert {step.kind for step, _ in writes} == {"set_phone", "set_address"}
    made = {"set_phone": {"method": world.party.people[0].phone_method}, "set_address": {"address": "801"}}
    steps = undone_in(world, [(step, made[step.kind]) for step, _ in writes])
    assert [step.kind for step in steps] == ["drop_phone", "drop_address"]
    assert plain(world) == before


def test_a_household_of_which_an_undo_emptied_a_field_is_not_filled_by_somebody_else() -> None:
    world = household_of_two()
    world.staff(address=None)
    world.edit("a", addresses=())
    world.sync()
    writes = done(world, lambda: world.edit("a", addresses=(replace(HOME, record_id=None),)))
    world.edit("b", addresses=(replace(HOME, record_id=None, street="7 Elm St"),))
    world.sync()
    steps = undone_in(world, [(step, {"address": "801"}) for step, _ in writes])
    assert [step.kind for step in steps] == ["drop_address"]
    assert world.crm.address is None


# --- tags and memberships --------------------------------------------------------------------------------------------


def news_world(*on_news: str) -> World:
    return household_of_two(on_news=on_news)


def test_a_tag_that_followed_a_membership_goes_and_the_membership_stays() -> None:
    world = news_world()
    writes = done(world, lambda: world.join("a"))
    assert [step.kind for step in undone_in(world, writes)] == ["remove_tag"]
    assert world.crm.tags == () and world.audience["a"].lists == (NEWS.list_id,)
    world.join("b")
    world.sync()
    assert world.crm.tags == (NEWS.tag_name,)


def test_a_tag_that_was_taken_off_comes_back_and_nobody_joins_for_it() -> None:
    world = news_world("a")
    writes = done(world, lambda: world.leave("a"))
    assert [step.kind for step in undone_in(world, writes)] == ["add_tag"]
    assert world.crm.tags == (NEWS.tag_name,) and world.audience["a"].lists == ()


def test_a_membership_that_followed_a_tag_goes_and_the_tag_stays() -> None:
    world = news_world()
    writes = done(world, world.tag)
    assert [step.kind for step in undone_in(world, writes)] == ["leave"]
    assert world.crm.tags == (NEWS.tag_name,) and world.audience["a"].lists == ()


def test_who_was_taken_off_a_list_is_on_it_again_and_no_tag_follows() -> None:
    world = news_world("a")
    writes = done(world, world.untag)
    assert [step.kind for step in undone_in(world, writes)] == ["join"]
    assert world.crm.tags == () and world.audience["a"].lists == (NEWS.list_id,)


def test_nobody_is_put_back_on_a_list_who_may_not_be_mailed() -> None:
    world = news_world("a")
    writes = done(world, world.untag)
    world.hold("a")
    world.poll()
    before = len(world.written)
    world.party = asked(world.party, *writes)
    decision = decided(world.party, world.crm, *world.seen_audience.values())
    assert said(decision) == [(NEWS.list_id, "not_mailable")]
    assert kinds(decision) == [] and len(world.written) == before


TAG = {"contact": "900", "tag_id": "71", "tag": NEWS.tag_name, "list_id": NEWS.list_id}
MEMBERSHIP = {"record_id": "a", "list_ids": [NEWS.list_id]}


def a_party(*lists: str, tags: tuple[str, ...] = (), **changed: Any) -> tuple[Party, Any, Any]:
    """Ann's party, paired, with her lists and the household's tags."""
    crm, ann = household(tags=tags, **changed), subscriber("a", lists=lists)
    return paired(crm, ann), crm, ann


@pytest.mark.parametrize(
    ("kind", "payload", "state"),
    [
        ("add_tag", TAG, "touched"),
        ("add_tag", {**TAG, "tag_id": "99"}, "touched"),
        ("join", MEMBERSHIP, "touched"),
        ("tag_on", {**MEMBERSHIP, "list_ids": ["t1"]}, "touched"),
        ("leave", {**MEMBERSHIP, "list_ids": ["gone"]}, "label_gone"),
        ("remove_tag", {**TAG, "tag_id": "99"}, "label_gone"),
        ("link", {"contact": "901", "record_id": "a", "individual": "ia"}, "touched"),
    ],
)
def test_what_is_not_as_the_run_left_it_is_left(kind: str, payload: dict[str, Any], state: str) -> None:
    known, crm, ann = a_party()
    decision = decided(asked(known, (a_write(kind, payload), {})), crm, replace(ann, tags=()))
    assert [one for _, one in said(decision)] == [state]
    assert decision.party.restore == ()


def test_a_reading_that_does_not_speak_of_lists_restores_none() -> None:
    known, crm, ann = a_party(NEWS.list_id, tags=(NEWS.tag_name,))
    for reading in ((replace(ann, lists=None),), (replace(ann, deleted=True),), ()):
        decision = decided(asked(known, (a_write("join", MEMBERSHIP), {})), crm, *reading)
        assert said(decision) == [(NEWS.list_id, "touched")]


@pytest.mark.parametrize(("changed", "state"), [({"archived": True}, "archived"), ({"merged_into": "901"}, "touched")])
def test_nothing_of_a_contact_that_is_out_of_use_is_restored(changed: dict[str, Any], state: str) -> None:
    known, crm, ann = a_party(NEWS.list_id, tags=(NEWS.tag_name,))
    asking = asked(known, (a_write("add_tag", TAG), {}))
    assert said(decided(asking, replace(crm, **changed), ann)) == [(NEWS.list_id, state)]
    assert said(decided(asking, None, ann)) == [(NEWS.list_id, "touched")]


def test_while_something_is_restored_nothing_else_is_written_but_consent() -> None:
    known, crm, ann = a_party(NEWS.list_id, tags=(NEWS.tag_name,))
    known = asked(known, (a_write("add_tag", TAG), {}))
    busy = replace(ann, first_name="Anna", lists=(NEWS.list_id, GIFTS.list_id))
    assert kinds(decided(known, crm, busy)) == ["remove_tag"]
    out = decided(known, crm, replace(busy, consent=Consent.opted_out, opt_out_source="Contact", opt_out_at=90.0))
    assert [step.kind for step in out.steps if step.lane is Lane.consent] == ["set_consent"]


# --- references ------------------------------------------------------------------------------------------------------

LINK = {"contact": "900", "record_id": "a", "individual": "ia"}


def test_a_reference_goes_last_and_its_person_is_left_alone() -> None:
    known, crm, ann = a_party(NEWS.list_id, tags=(NEWS.tag_name,))
    known = asked(known, (a_write("link", LINK), {}), (a_write("add_tag", TAG), {}))
    [tag] = decided(known, crm, ann).steps
    known = settle(known, tag, {})
    crm = replace(crm, tags=())
    [unlink] = decided(known, crm, ann).steps
    assert (tag.kind, unlink.kind, dict(unlink.payload) | {"undo": 0}) == (
        "remove_tag",
        "unlink",
        {"contact": "900", "record_id": "a", "undo": 0},
    )
    known = settle(known, unlink, {})
    assert person(known).answer == Answer(kind="leave", at=NOW, by="undo plan-1")
    after = decided(known, replace(crm, references=()), ann)
    assert after.steps == () and (person(after.party).standing, person(after.party).reason) == (
        "left_out",
        "left_alone",
    )


def test_a_reference_waits_for_what_is_owed_of_consent() -> None:
    known, crm, ann = a_party()
    known = asked(known, (a_write("link", LINK), {}))
    out = replace(ann, consent=Consent.opted_out, opt_out_source="Contact", opt_out_at=90.0)
    decision = decided(known, crm, out)
    assert kinds(decision) == ["set_consent"] and len(decision.party.restore) == 1


# --- the rest --------------------------------------------------------------------------------------------------------


def test_a_refusal_ends_it_and_finding_nothing_to_do_does() -> None:
    known, crm, ann = a_party(NEWS.list_id, tags=(NEWS.tag_name,))
    known = asked(known, (a_write("add_tag", TAG), {}))
    [step] = decided(known, crm, ann).steps
    assert refused(known, step).restore == ()
    assert found_so(known, step).restore == ()


def phone_of(method: str, value: str = "3", was: str | None = "1") -> dict[str, Any]:
    return {"contact": "900", "individual": "ia", "method": method, "kind": "mobile", "value": value, "was": was}


@pytest.mark.parametrize(
    ("kind", "payload", "answer"),
    [
        ("set_phone", phone_of("p9", subscriber("a").phones[0].raw), {}),
        ("set_email", {"method": "m9", "value": "ann@example.org", "was": "old@example.org"}, {}),
        ("set_address", {**address_parts(HOME), "kind": "home", "address": "999", "was": None}, {}),
        ("set_custom", {"contact": "900", "values": {"Gone": "L"}, "was": {"Gone": None}}, {}),
    ],
)
def test_another_record_than_the_one_that_was_written_is_left(
    kind: str, payload: dict[str, Any], answer: dict[str, Any]
) -> None:
    crm, ann = household(address=HOME), subscriber("a", addresses=(replace(HOME, record_id=None),))
    known = asked(paired(crm, ann), (a_write(kind, payload), answer))
    assert [one for _, one in said(decided(known, crm, ann))] == ["touched"]


def test_a_person_whom_the_sides_do_not_both_speak_of_is_left() -> None:
    known, crm, _ = a_party()
    known = asked(known, (a_write("set_person", {**LINK, "first_name": "Ann", "last_name": None, "was": {}}), {}))
    assert said(decided(known, crm)) == [("first_name", "touched")]


def test_a_value_of_somebody_who_has_opted_out_goes_back_unheard() -> None:
    world = full_world()
    writes = done(world, lambda: world.edit("a", first_name="Anna"))
    world.opt_out("a")
    world.sync()
    assert [step.kind for step in undone_in(world, writes)] == ["set_person"]
    world.come_back("a")
    world.sync()
    assert world.crm.individuals[0].first_name == "Ann"


def test_an_address_that_somebody_else_has_is_not_waited_for_for_ever() -> None:
    crm, ann = household(), subscriber("a")
    write = {"contact": "900", "individual": "ia", "method": "ma", "value": "ann@example.org", "was": "old@example.org"}
    known = asked(paired(crm, ann), (a_write("set_email", write), {}))
    [step] = decided(known, crm, ann).steps
    assert (step.kind, step.payload["value"]) == ("set_email", "old@example.org")
    late = replace(SETTING, now=NOW + 90_000)
    assert said(decided(known, crm, ann, setting=late)) == [("email", "address_held")]
    swapped = settle(known, replace(step, kind="swap_email"), {"method": "m7", "value": "old@example.org"})
    assert (person(swapped).email_method, (person(swapped).crm or {})["email"]) == ("m7", "old@example.org")
    assert person(settle(known, replace(step, kind="swap_email"), {})).email_method == "ma"


# --- fields written to the audience side -----------------------------------------------------------------------------


def written_here(field: str, value: Any, was: Any) -> tuple[Step, dict[str, Any]]:
    payload = {"record_id": "a", "values": {field: value}, "was": {field: was}}
    return a_write("set_fields", payload, Side.audience), {}


@pytest.mark.parametrize(
    ("field", "value", "was", "told"),
    [
        ("first_name", "Ann", "Anna", "Anna"),
        ("first_name", "Ann", None, ""),
        ("phone", {"kind": "mobile", "raw": subscriber("a").phones[0].raw}, "1", {"kind": "mobile", "raw": "1"}),
        (
            "address",
            {"kind": "home", **address_parts(HOME)},
            {**address_parts(HOME), "street": "2 Oak Ave"},
            {"kind": "home", **address_parts(HOME), "street": "2 Oak Ave"},
        ),
    ],
)
def test_a_field_written_to_the_audience_side_goes_back(field: str, value: Any, was: Any, told: Any) -> None:
    crm, ann = household(address=HOME), subscriber("a", addresses=(replace(HOME, record_id=None),))
    known = asked(paired(crm, ann), written_here(field, value, was))
    [step] = decided(known, crm, ann).steps
    assert (step.kind, step.side, step.payload["values"]) == ("set_fields", Side.audience, {field: told})
    known = settle(known, step, {})
    restored = (person(known).audience or {})[field]
    assert restored == (told["raw"] if field == "phone" else was if field == "address" else told)


def test_an_opt_out_that_an_undo_fell_upon_is_not_lost() -> None:
    crm, ann = household(), subscriber("a")
    known = asked(paired(crm, ann), written_here("first_name", "Ann", "Anna"))
    [step] = decided(known, crm, ann).steps
    raced = settle(known, step, {"raced": {"at": 150.0, "written": False}})
    back = decided(raced, crm, replace(ann, first_name="Anna", read_at=300.0)).steps
    assert {(one.kind, one.inferred) for one in back if one.lane is Lane.consent} == {
        ("opt_out", None),
        ("set_consent", None),
    }


def test_a_number_that_was_added_at_the_audience_side_stays_and_a_changed_one_too() -> None:
    crm, ann = household(), subscriber("a")
    phone = {"kind": "mobile", "raw": ann.phones[0].raw}
    known = asked(paired(crm, ann), written_here("phone", phone, None))
    assert said(decided(known, crm, ann)) == [("phone", "not_emptied")]
    changed = replace(ann, first_name="Annie")
    known = asked(paired(crm, ann), written_here("first_name", "Ann", "Anna"))
    assert said(decided(known, crm, changed)) == [("first_name", "touched")]


def test_two_values_of_one_call_go_together() -> None:
    world = full_world()
    writes = done(world, lambda: world.edit("a", first_name="Anna", last_name="Leigh"))
    [step] = undone_in(world, writes)
    assert (step.payload["first_name"], step.payload["last_name"]) == ("Ann", "Lee")
    assert isinstance(world.party.restore, tuple) and all(isinstance(one, Restore) for one in world.party.restore)
