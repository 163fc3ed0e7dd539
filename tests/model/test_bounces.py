"""Bounces bind to their address: they close it in the CRM, stay there, and lapse with it. What reports tell, once."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.consent import observe_audience, standing_out, unlifted
from keepstep.model.contact import Consent, CrmContact, Report, Side
from keepstep.model.customer import Policy
from keepstep.model.decide import Decision, Setting, decide, needs_look_up
from keepstep.model.party import Party, Person
from keepstep.model.settle import settle, submitted
from tests.model.people import (
    SETTING,
    decided,
    household,
    individual,
    kinds,
    mail,
    paired,
    party,
    person,
    readings,
    subscriber,
)
from tests.model.world import World, household_of_two

ANN, HERS = subscriber("a"), household(individual("a"))
MOVED = replace(ANN, email="lee@example.org", read_at=300.0)
NEW = party("a", crm_id=None)


def line(at: float = 150.0, kind: Any = "bounce", **said: Any) -> Report:
    said = {"address": "Ann@Example.org", "strength": "hard", "code": "B"} | said if kind == "bounce" else said
    return Report(id=f"mailing:{at:.0f}", record_id="a", kind=kind, at=at, **said)


def told(
    known: Party, crm: CrmContact | None, contact: Any = ANN, *lines: Report, setting: Setting = SETTING
) -> Decision:
    return decide(known, readings(crm, contact, reports={"a": lines}), setting)


def observed(*lines: Report, policy: Policy | None = None) -> Person:
    return observe_audience(Person(record_id="a"), ANN, lines, policy or Policy())


# --- which lines are acts --------------------------------------------------------------------------------------------


def test_a_hard_bounce_is_an_act_of_its_address_with_its_code_and_moment() -> None:
    (act,) = observed(line()).acts
    assert (act.side, act.kind, act.direction, act.address) == (Side.audience, "address", "out", "ann@example.org")
    assert (act.after, act.at, act.before, act.code, act.report) == (150.0, 150.0, 150.0, "B", "mailing:150")


@pytest.mark.parametrize(("policy", "out"), [("opt_out", True), ("ignore", False), ("count", False)])
def test_a_soft_bounce_is_what_the_route_says(policy: Any, out: bool) -> None:
    acts = observed(line(strength="soft", code="F"), policy=Policy(soft_bounces=policy)).acts
    assert bool(acts) is out


@pytest.mark.parametrize(
    ("times", "acts"),
    [
        ((100.0, 110.0), 0),
        ((100.0, 110.0, 120.0), 1),
        ((100.0, 110.0, 120.0, 130.0), 2),
        ((100.0, 110.0, 200.0), 0),
        ((101.0, 110.0, 201.0), 0),
        ((101.0, 110.0, 200.0), 1),
    ],
)
def test_soft_bounces_are_counted_in_a_span_of_their_own_address(times: tuple[float, ...], acts: int) -> None:
    policy = Policy(soft_bounces="count", soft_bounce_count=3, soft_bounce_span=100.0)
    soft = [line(at, strength="soft") for at in times]
    others = [line(105.0, address="lee@example.org", strength="soft"), line(106.0, strength="delivered")]
    assert len(observed(*soft, *others, policy=policy).acts) == acts


def test_what_was_delivered_is_no_bounce_and_a_class_nobody_named_is_soft() -> None:
    assert observed(line(strength="delivered", code="V")).acts == ()
    assert [act.reason for act in observed(line(strength=None)).acts] == ["soft"]


def test_a_line_is_one_act_however_often_it_is_read() -> None:
    ann = observed(line())
    assert observe_audience(ann, ANN, (line(),)) == ann
    assert len(observe_audience(ann, ANN, (line(), line(160.0))).acts) == 2


def test_a_bounce_that_names_no_address_is_taken_for_one_of_the_present_address() -> None:
    assert standing_out(observed(line(address=None)).acts, "ANN@example.org")


# --- what a bounce does ----------------------------------------------------------------------------------------------


def test_a_bounce_closes_every_method_that_carries_the_address_and_goes_nowhere_else() -> None:
    spouse = individual("b", methods=(mail("mb", "ANN@example.org"), mail("mc", "bob@example.org")))
    crm = household(individual("a"), spouse)
    decision = told(paired(crm, ANN), crm, ANN, line())
    assert [(step.kind, step.payload.get("method")) for step in decision.steps] == [
        ("set_consent", "ma"),
        ("set_consent", "mb"),
        ("note", None),
    ]
    assert {step.side for step in decision.steps} == {Side.crm}
    assert [(record_id, act.kind) for record_id, act in decision.acts] == [("a", "address")]


def test_it_leaves_alone_what_staff_have_put_in_place_of_the_address() -> None:
    crm = household(individual("a", methods=(mail("ma", "lee@example.org"),)))
    decision = told(paired(HERS, ANN), crm, ANN, line())
    assert kinds(decision) == ["note"]
    gone = replace(ANN, read_at=200.0, consent=Consent.opted_out, opt_out_at=180.0)
    assert "set_consent" in kinds(told(decision.party, crm, gone, line()))


def test_while_it_stands_nothing_widens() -> None:
    world = household_of_two()
    world.bounce("a")
    world.tag()
    world.sync()
    assert world.audience["a"].lists == ()
    assert world.audience["a"].consent is Consent.opted_in
    assert (person(world.party).standing, person(world.party).reason) == ("in_step", "")
    world.permit("a", opted_in=True)
    world.sync()
    assert world.method("ma").opted_in is False


def test_another_address_is_not_punished() -> None:
    decision = told(paired(HERS, ANN), HERS, ANN, line(address="old@example.org"))
    assert kinds(decision) == ["note"]
    assert "earlier" in decision.steps[0].payload["text"]
    tagged = replace(HERS, tags=("CC: News",))
    assert "join" in kinds(told(decision.party, tagged, ANN, line(address="old@example.org")))


def test_the_persons_own_return_lifts_it() -> None:
    world = household_of_two()
    world.bounce("a")
    world.sync()
    world.audience["a"] = replace(world.audience["a"], opt_in_at=world.now + 1)
    world.oracle["a"].back_at = world.now + 1
    world.sync()
    assert world.method("ma").opted_in is True


def test_an_opt_out_in_the_crm_travels_although_a_bounce_came_later() -> None:
    known = decided(paired(HERS, ANN), household(individual("a", opted_in=False), read_at=120.0), ANN).party
    closed = household(individual("a", opted_in=False), read_at=120.0)
    assert kinds(told(known, closed, ANN, line())) == ["opt_out", "note"]


def test_a_bounce_is_no_fault_of_whoever_has_just_left_the_address() -> None:
    """Ann and Bob swap addresses, and Bob's new one bounces while Ann's method still carries it."""
    world = household_of_two()
    world.swap_addresses()
    world.bounce("b")
    world.sync()
    assert [(world.method(one).value, world.method(one).opted_in) for one in ("ma", "mb")] == [
        ("bob@example.org", True),
        ("ann@example.org", False),
    ]


@pytest.mark.parametrize(("reason", "closed"), [("step_waiting", []), ("address_held", ["ma"])])
def test_but_of_whoever_cannot_leave_it_for_now(reason: str, closed: list[str]) -> None:
    crm = household(individual("a"), individual("b"))
    known = paired(crm, ANN, subscriber("b"))
    known = known.with_person(replace(person(known), standing="pending", reason=reason))
    here = (MOVED, subscriber("b", email="ann@example.org", read_at=300.0))
    bounce = replace(line(), record_id="b")
    decision = decide(known, readings(crm, *here, reports={"b": (bounce,)}), SETTING)
    assert [step.payload["method"] for step in decision.steps if step.kind == "set_consent"] == closed


def test_an_opt_out_leaves_alone_whoever_has_the_address_by_now() -> None:
    """An opted-out contact says nothing of fields, so Ann's method keeps the address that Bob has since."""
    world = household_of_two()
    world.opt_out("a")
    world.sync()
    world.swap_addresses()
    world.sync()
    assert [(world.method(one).value, world.method(one).opted_in) for one in ("ma", "mb")] == [
        ("ann@example.org", False),
        ("ann@example.org", True),
    ]


def test_an_address_that_somebody_else_is_out_at_is_not_opened_for_a_person_who_came_back() -> None:
    world = household_of_two()
    world.opt_out("b")
    world.sync()
    world.opt_out("a")
    world.sync()
    world.set_method("ma", value="bob@example.org")
    world.come_back("a")
    world.oracle["a"].out = True  # the address that the method carries now is Bob's
    world.sync()
    assert world.method("ma").opted_in is False
    assert (person(world.party).standing, person(world.party).reason) == ("parked", "address_opted_out")
    world.set_method("ma", value="ann@example.org")
    world.oracle["a"].out = False
    world.sync()
    assert world.method("ma").opted_in is True


# --- when the address changes ----------------------------------------------------------------------------------------


def lapsed() -> World:
    world = household_of_two()
    world.bounce("a")
    world.sync()
    world.change_address("a")
    world.sync()
    return world


def test_a_new_address_is_written_and_nothing_blocks_but_our_false_stays_and_is_asked_about() -> None:
    world = lapsed()
    assert (world.method("ma").value, world.method("ma").opted_in) == ("new.ann@example.org", False)
    assert (person(world.party).standing, person(world.party).reason) == ("parked", "bounce_lapsed")
    world.tag()
    world.rename("b", "Rob")
    world.edit("a", first_name="Anna")
    world.sync()
    assert world.audience["a"].lists == ("L1",)
    assert world.crm.individuals[0].first_name == "Anna"
    assert world.method("ma").opted_in is False


def test_a_bounce_that_is_heard_of_after_the_address_changed_closes_nothing() -> None:
    world = household_of_two()
    world.bounce("a")
    world.change_address("a")
    world.sync()
    assert world.method("ma").opted_in is True
    assert (person(world.party).standing, len(world.notes)) == ("in_step", 1)


def test_after_it_only_the_person_or_staff_open_the_new_address() -> None:
    own, staff = lapsed(), lapsed()
    own.opt_out("a")
    own.sync()
    own.come_back("a")
    staff.permit("a", opted_in=True)
    for world in (own, staff):
        world.sync()
        assert world.method("ma").opted_in is True
        assert person(world.party).standing == "in_step"


def test_the_old_address_is_bounced_again_when_it_is_back() -> None:
    world = lapsed()
    world.permit("a", opted_in=True)
    world.sync()
    world.change_address("a")
    world.sync()
    assert world.method("ma").opted_in is False
    assert len(world.notes) == 1


def test_an_opt_out_after_a_bounce_outlives_the_address() -> None:
    world = household_of_two()
    world.bounce("a")
    world.sync()
    world.opt_out("a")
    world.sync()
    world.change_address("a")
    world.sync()
    assert standing_out(person(world.party).acts, "new.ann@example.org")
    assert (world.method("ma").opted_in, person(world.party).standing) == (False, "in_step")


def test_a_default_of_our_import_is_none_of_the_bounces() -> None:
    known = paired(HERS, ANN)
    bounced = observe_audience(person(known), ANN, (line(),))
    ours = replace(bounced, opted_in=None, true_at=None, imported=True)
    crm = household(individual("a", opted_in=False))
    decision = told(known.with_person(ours), crm, MOVED, line())
    assert kinds(decision) == ["note", "set_email"]
    assert person(decision.party).standing == "pending"


# --- whom the CRM does not know --------------------------------------------------------------------------------------


def looked_up(known: Party, contact: Any, *lines: Report, candidates: Any = ()) -> Decision:
    return decide(known, readings(None, contact, candidates={"a": candidates}, reports={"a": lines}), SETTING)


def test_nobody_is_imported_at_an_address_that_bounces_until_there_is_another_one() -> None:
    decision = looked_up(NEW, ANN, line())
    assert decision.steps == ()
    assert (person(decision.party).standing, person(decision.party).reason) == ("left_out", "bounced")
    assert needs_look_up(person(decision.party), ANN, Policy())
    after = looked_up(decision.party, MOVED, line())
    assert [(step.kind, step.payload["email"]) for step in after.steps] == [("submit", "lee@example.org")]


def test_who_is_out_as_well_is_made_opted_out_or_parked() -> None:
    out = replace(ANN, consent=Consent.opted_out, read_at=200.0, lists=None)
    decision = looked_up(NEW, out, line())
    assert kinds(decision) == ["create"]
    back = replace(ANN, read_at=300.0, opt_in_source="Account")
    assert person(looked_up(decision.party, back, line()).party).reason == "back_without_own_act"


def test_who_is_there_already_is_linked_closed_and_noted() -> None:
    decision = looked_up(NEW, ANN, line(), candidates=(replace(HERS, references=()),))
    assert kinds(decision) == ["link"]
    known = settle(decision.party, decision.steps[0], {})
    linked = told(known, HERS, ANN, line())
    assert kinds(linked) == ["set_consent", "note"]


@pytest.mark.parametrize(("contact", "goes"), [(ANN, False), (MOVED, False), (ANN, True)])
def test_an_import_that_never_arrived_does_not_go_again_to_an_address_that_bounces(contact: Any, goes: bool) -> None:
    step = looked_up(NEW, ANN).steps[0]
    again = submitted(looked_up(NEW, ANN).party, step, "again", 100.0)
    lines = () if goes else (line(),)
    assert kinds(told(again, None, contact, *lines)) == (["submit"] if goes else [])


def test_a_bounce_while_an_import_waits_closes_what_it_has_made() -> None:
    step = looked_up(NEW, ANN).steps[0]
    waits = submitted(looked_up(NEW, ANN).party, step, "waiting", 100.0)
    waits = told(waits, None, ANN, line()).party
    assert kinds(told(waits, HERS, ANN, line()))[:1] == ["set_consent"]


# --- opt-outs that a report tells of ---------------------------------------------------------------------------------


def test_an_opt_out_from_a_mailing_has_its_exact_moment_and_takes_the_same_way_back() -> None:
    ann = observed(line(150.0, "opt_out"))
    assert [(act.kind, act.after, act.before, act.source) for act in ann.acts] == [("choice", 150.0, 150.0, "Contact")]
    lines = (line(150.0, "opt_out"),)
    assert standing_out(observe_audience(ann, replace(ANN, opt_in_at=150.0), lines).acts, None)
    back = observe_audience(ann, replace(ANN, opt_in_at=151.0), lines)
    assert standing_out(back.acts, None) is None
    assert observe_audience(back, replace(ANN, opt_in_at=151.0), lines) == back


def test_one_that_is_heard_of_after_the_person_came_back_changes_nothing() -> None:
    out = replace(ANN, consent=Consent.opted_out, read_at=200.0, opt_out_at=150.0, opt_out_source="Contact")
    back = replace(ANN, read_at=300.0, opt_in_at=250.0)
    ann = observe_audience(observe_audience(Person(record_id="a"), out), back)
    late = observe_audience(ann, back, (line(150.0, "opt_out"),))
    assert len(late.acts) == 3
    assert unlifted(late.acts) == []


def test_until_the_contact_is_read_again_the_report_is_believed() -> None:
    decision = told(paired(HERS, ANN), HERS, ANN, line(150.0, "opt_out"))
    assert kinds(decision) == ["set_consent"]
    assert person(decision.party).reason == "back_without_own_act"
