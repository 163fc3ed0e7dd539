"""Out dominates; acts are what was seen to happen; our own writes are no acts."""

from dataclasses import replace

import pytest

from keepstep.model.change import a_step
from keepstep.model.consent import (
    crm_false_is_ours,
    false_kind,
    observe_audience,
    observe_crm,
    proves_opt_in,
    standing_out,
)
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Side
from keepstep.model.decide import Setting
from keepstep.model.party import Act, Party, Person, Submission
from keepstep.model.settle import found_so, settle
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
    subscriber,
)
from tests.model.world import World, household_of_two

ANN, HERS = subscriber("a"), household(individual("a"))
OUT = {"consent": Consent.opted_out, "opt_out_source": "Contact", "opt_out_at": 150.0, "lists": None}


def out(before: float = 200.0, kind: str = "choice", side: Side = Side.crm) -> Act:
    return Act(id="1", side=side, kind=kind, direction="out", after=None, before=before)  # type: ignore[arg-type]


def observed(known: Person, *contacts: AudienceContact) -> Person:
    for contact in contacts:
        known = observe_audience(known, contact)
    return known


def test_an_opt_out_is_seen_once_with_the_interval_it_fell_into() -> None:
    ann = observed(Person(record_id="a"), replace(ANN, read_at=100.0), *[replace(ANN, read_at=200.0, **OUT)] * 2)
    assert [(act.kind, act.after, act.before, act.at, act.source) for act in ann.acts] == [
        ("choice", 100.0, 200.0, 150.0, "Contact")
    ]


def test_a_deletion_is_an_act_of_its_own() -> None:
    gone = replace(ANN, read_at=200.0, deleted=True, deleted_at=180.0, consent=Consent.not_mailable)
    ann = observed(Person(record_id="a"), ANN, gone, gone)
    assert [(act.kind, act.at) for act in ann.acts] == [("record", 180.0)]
    assert len({act.id for act in observed(ann, ANN, gone).acts}) == 2


@pytest.mark.parametrize(
    ("changed", "back"),
    [
        ({"opt_in_at": 201.0}, True),
        ({"opt_in_at": 200.0}, False),
        ({"opt_in_at": 199.0}, False),
        ({"opt_in_at": None}, False),
        ({"opt_in_at": 201.0, "opt_in_source": "Account"}, False),
        ({"opt_in_at": 201.0, "consent": Consent.not_mailable}, False),
        ({"opt_in_at": 201.0, "deleted": True}, False),
    ],
)
def test_the_only_way_back_is_the_persons_own_act_after_the_end_of_the_interval(
    changed: dict[str, object], back: bool
) -> None:
    ann = observed(Person(record_id="a"), replace(ANN, read_at=200.0, **OUT))
    ann = observed(ann, replace(ANN, read_at=300.0, **{"opt_in_source": "Contact", **changed}))  # type: ignore[arg-type]
    assert (standing_out(ann.acts, ANN.email) is None) is back


def test_a_way_back_is_later_than_every_opt_out_that_stands() -> None:
    """The last act was read at 150 and an earlier one at 200: 180 proves nothing."""
    ann = replace(Person(record_id="a"), acts=(out(200.0, side=Side.audience), out(150.0)))
    assert standing_out(observed(ann, replace(ANN, read_at=300.0, opt_in_at=180.0)).acts, None)
    assert standing_out(observed(ann, replace(ANN, read_at=300.0, opt_in_at=201.0)).acts, None) is None


@pytest.mark.parametrize("consent", [Consent.not_mailable, Consent.unknown])
def test_what_is_not_mailable_is_no_opt_out(consent: Consent) -> None:
    assert observed(Person(record_id="a"), ANN, replace(ANN, consent=consent)).acts == ()


def seen_false(
    known: Person, crm: CrmContact = HERS, imports_opt_in: bool = False, stamps: tuple[float, float] | None = None
) -> str | None:
    method = mail("ma", "ann@example.org", opted_in=False)
    if stamps:
        method = replace(method, created_at=stamps[0], updated_at=stamps[1])
    after = observe_crm(known, method, crm, imports_opt_in)
    return after.acts[-1].kind if len(after.acts) > len(known.acts) else None


UNTOUCHED, TOUCHED = (1000.0, 1000.0), (1000.0, 1100.0)


def test_a_false_is_what_its_history_makes_it() -> None:
    ann = Person(record_id="a", email_method="ma")
    assert seen_false(ann) == "unknown"
    assert seen_false(replace(ann, opted_in=True)) == "choice"
    assert seen_false(replace(ann, opted_in=False)) is None
    assert seen_false(replace(ann, imported=True)) == "default"
    default = replace(ann, opted_in=False, acts=(out(50.0, "default"),))
    assert seen_false(default) is None


def test_after_a_standstill_a_false_that_the_audience_side_explains_may_be_ours() -> None:
    """Read open at 100, closed now, and nobody served the customer until 300."""
    ann = Person(record_id="a", email_method="ma", opted_in=True, true_at=100.0)
    shut = mail("ma", "ann@example.org", opted_in=False)

    def seen(known: Person, stood: float | None, *acts: Act) -> str:
        return observe_crm(replace(known, acts=acts), shut, HERS, False, stood).acts[-1].kind

    bounce = replace(out(200.0, "address", Side.audience), after=200.0)
    assert seen(ann, 300.0, bounce) == seen(ann, 300.0, replace(bounce, after=None)) == "unknown"
    assert seen(replace(ann, true_at=None), 300.0, bounce) == "unknown"
    assert seen(ann, None, bounce) == "choice"  # nobody has forgotten anything
    assert seen(replace(ann, true_at=310.0), 300.0, bounce) == "choice"  # open since
    assert seen(ann, 300.0) == seen(ann, 300.0, replace(bounce, side=Side.crm)) == "choice"
    assert seen(ann, 300.0, replace(bounce, direction="in")) == "choice"
    assert seen(ann, 300.0, replace(bounce, before=90.0, after=90.0)) == "choice"  # known before
    assert seen(ann, 300.0, replace(bounce, before=400.0, after=400.0)) == "choice"  # served again by then


def test_a_false_of_our_import_is_a_choice_only_where_imports_opt_in_and_somebody_touched_it_since() -> None:
    ann = Person(record_id="a", email_method="ma", imported=True)
    for stamps in (None, UNTOUCHED, TOUCHED):
        assert seen_false(ann, stamps=stamps) == "default"
        learned = "choice" if stamps == TOUCHED else "default"
        assert seen_false(ann, imports_opt_in=True, stamps=stamps) == learned


def test_who_closed_a_method_while_the_import_was_still_running_is_told_by_name() -> None:
    """Staff do so seconds after the import made it; stamps so near to each other may both be the import's."""
    ann = Person(record_id="a", email_method="ma", imported=True)
    soon = replace(mail("ma", "ann@example.org", opted_in=False), created_at=1000.0, updated_at=1002.0)
    assert observe_crm(ann, soon, HERS, imports_opt_in=True).acts[-1].kind == "default"
    theirs = replace(soon, other_hand=True)
    assert observe_crm(ann, theirs, HERS, imports_opt_in=True).acts[-1].kind == "choice"
    assert observe_crm(ann, theirs, HERS, imports_opt_in=False).acts[-1].kind == "default"
    assert not proves_opt_in(ann, replace(theirs, opted_in=True))


def test_after_a_standstill_an_imported_false_that_the_audience_side_explains_may_be_ours() -> None:
    """A backup was put back from before the person was linked; a bounce since had closed the method."""
    ann = Person(record_id="a", email_method="ma", imported=True)
    shut = replace(mail("ma", "ann@example.org", opted_in=False), created_at=1000.0, updated_at=1100.0)
    bounce = replace(out(200.0, "address", Side.audience), after=200.0)

    def seen(known: Person, stood: float | None, *acts: Act) -> str:
        return observe_crm(replace(known, acts=acts), shut, HERS, True, stood).acts[-1].kind

    assert seen(ann, 300.0, bounce) == "unknown"
    assert seen(ann, None, bounce) == "choice"  # nobody has forgotten anything
    assert seen(ann, 300.0) == "choice"  # we had no reason to close it
    known = replace(ann, opted_in=False)
    assert seen(known, 300.0, bounce, replace(out(250.0, "default"), at=240.0)) == "unknown"


def test_a_default_becomes_a_choice_when_it_is_learned_later_that_imports_opt_in() -> None:
    """By the stamps it was first seen with: by now our own writes may have touched it."""
    ann = Person(record_id="a", email_method="ma", imported=True)
    for stamps, kind in ((UNTOUCHED, None), (TOUCHED, "choice")):
        method = replace(mail("ma", "ann@example.org", opted_in=False), created_at=stamps[0], updated_at=stamps[1])
        default = observe_crm(ann, method, HERS, imports_opt_in=False)
        assert default.acts[-1].kind == "default"
        assert seen_false(default, imports_opt_in=True, stamps=TOUCHED) == kind
        assert seen_false(default, stamps=TOUCHED) is None


def test_an_untouched_open_method_of_our_import_proves_that_imports_opt_in() -> None:
    ann = Person(record_id="a", imported=True)
    method = replace(mail("ma", "ann@example.org"), created_at=1000.0, updated_at=1000.5)
    assert proves_opt_in(ann, method)
    assert not proves_opt_in(replace(ann, imported=False), method)
    assert not proves_opt_in(ann, replace(method, opted_in=False))
    assert not proves_opt_in(ann, replace(method, updated_at=1100.0))


def test_a_contact_older_than_our_import_was_not_made_by_it() -> None:
    waits = Submission(state="waiting", since=1000.0, sent={})
    ann = Person(record_id="a", email_method="ma", imported=True, submission=waits)
    assert seen_false(ann, replace(HERS, created_at=990.0)) == "default"
    assert seen_false(ann, replace(HERS, created_at=900.0)) == "unknown"
    assert seen_false(ann, replace(HERS, created_at=990.0), stamps=(900.0, 900.0)) == "unknown"
    assert seen_false(ann) == "default"


def test_a_method_that_took_anothers_place_was_born_with_its_false() -> None:
    assert seen_false(Person(record_id="a", email_method="mx", opted_in=True, imported=True)) == "unknown"


def test_a_method_that_does_not_say_is_no_act() -> None:
    ann = Person(record_id="a", email_method="ma", opted_in=True)
    assert observe_crm(ann, mail("ma", "ann@example.org", opted_in=None), HERS, imports_opt_in=False) == ann


def test_a_true_by_staff_ends_what_was_known_of_the_false() -> None:
    ann = Person(record_id="a", acts=(out(100.0), out(120.0, "unknown")))
    assert false_kind(ann) == "unknown"
    assert not crm_false_is_ours(ann)
    assert crm_false_is_ours(replace(ann, true_at=200.0))


# --- what is decided -------------------------------------------------------------------------------------------------


def steps_after(changed: dict[str, object], crm: CrmContact = HERS, known: Party | None = None) -> list[str]:
    return kinds(decided(known or paired(HERS, ANN), crm, replace(ANN, read_at=200.0, **changed)))  # type: ignore[arg-type]


def test_an_opt_out_closes_every_method_of_the_household_that_carries_the_address() -> None:
    spouse = individual("b", methods=(mail("mb", "ANN@example.org"), mail("mc", "bob@example.org")))
    crm = household(individual("a"), spouse)
    decision = decided(paired(crm, ANN), crm, replace(ANN, read_at=200.0, **OUT))  # type: ignore[arg-type]
    assert [step.payload["method"] for step in decision.steps] == ["ma", "mb"]
    assert {step.payload["opted_in"] for step in decision.steps} == {False}
    assert {step.lane for step in decision.steps} == {0}


def test_a_deleted_person_is_closed_in_the_crm_and_noted_once() -> None:
    gone = {"deleted": True, "consent": Consent.not_mailable, "lists": None}
    assert steps_after(gone) == ["set_consent", "note"]
    decision = decided(paired(HERS, ANN), HERS, replace(ANN, read_at=200.0, **gone))  # type: ignore[arg-type]
    note = decision.steps[1]
    assert note.payload["act"] in note.payload["text"]
    known = settle(decision.party, note, {})
    assert "note" not in steps_after(gone, known=known)


def test_staff_opting_somebody_out_opts_out_at_the_audience_side() -> None:
    crm = household(individual("a", opted_in=False), read_at=200.0)
    decision = decided(paired(HERS, ANN), crm, ANN)
    assert [(step.kind, step.side, step.payload["source"]) for step in decision.steps] == [
        ("opt_out", Side.audience, "Account")
    ]
    assert [(name, act.kind) for name, act in decision.acts] == [("a", "choice")]


@pytest.mark.parametrize("changed", [{"email": None}, {"deleted": True}, {"consent": Consent.opted_out}])
def test_nobody_is_opted_out_where_that_says_nothing_or_would_revive(changed: dict[str, object]) -> None:
    crm = household(individual("a", opted_in=False), read_at=200.0)
    assert "opt_out" not in steps_after({"lists": None, **changed}, crm)


def test_an_opt_out_seen_in_the_crm_outlives_the_record_it_was_seen_in() -> None:
    known = decided(paired(HERS, ANN), household(individual("a", opted_in=False), read_at=200.0), ANN).party
    for crm in (None, household(individual("b")), replace(HERS, merged_into="901"), replace(HERS, archived=True)):
        assert kinds(decided(known, crm, ANN)) == ["opt_out"]


def test_our_own_opt_outs_are_no_acts_on_either_side() -> None:
    for world in (opted_out_here(), opted_out_there()):
        acts = person(world.party).acts
        world.sync()
        assert len(acts) == 1
        assert person(world.party).acts == acts


def test_somebody_who_is_out_on_both_sides_is_in_step() -> None:
    for world in (opted_out_here(), opted_out_there()):
        assert (person(world.party).standing, person(world.party).reason) == ("in_step", "")


def opted_out_here() -> World:
    world = household_of_two()
    world.opt_out("a")
    world.sync()
    return world


def opted_out_there() -> World:
    world = household_of_two()
    world.permit("a", opted_in=False)
    world.sync()
    return world


def test_a_closed_method_shared_by_two_people_is_nobodys_act() -> None:
    """A stale address: Bob's method carries Ann's. Closing it for Ann must not look as if staff had opted Bob out."""
    crm = household(individual("a"), individual("b", methods=(mail("mb", "bob@example.org"),)))
    known = paired(crm, ANN, subscriber("b"))
    crm = household(individual("a"), individual("b", methods=(mail("mb", "ann@example.org"),)))
    decision = decided(known, crm, replace(ANN, read_at=200.0, **OUT), subscriber("b"))  # type: ignore[arg-type]
    known = decision.party
    for step in decision.steps:
        known = settle(known, step, {})
    closed = household(individual("a", False), individual("b", methods=(mail("mb", "ann@example.org", False),)))
    after = decided(known, closed, replace(ANN, read_at=300.0, **OUT), subscriber("b"))  # type: ignore[arg-type]
    assert after.acts == ()
    assert "opt_out" not in kinds(after)


def test_an_own_return_lifts_a_false_that_was_ours_behind_the_gate() -> None:
    world = opted_out_here()
    world.come_back("a")
    world.now += 1
    world.poll()
    lifts = world.decide()
    assert [(step.kind, step.payload["opted_in"], step.hold) for step in lifts] == [("set_consent", True, "gate")]
    world.sync()
    assert world.method("ma").opted_in is True
    assert person(world.party).standing == "in_step"


def test_an_own_return_does_not_lift_what_staff_set() -> None:
    world = opted_out_there()
    world.come_back("a")
    world.tag()
    world.sync()
    assert world.method("ma").opted_in is False
    assert world.audience["a"].lists == ()
    assert (person(world.party).standing, person(world.party).reason) == ("parked", "crm_opt_out_stands")


def test_a_return_by_the_account_is_parked_and_stays_out() -> None:
    world = opted_out_here()
    world.edit("a", consent=Consent.opted_in, opt_in_source="Account", opt_in_at=world.now + 1)
    world.tag()
    world.sync()
    assert world.method("ma").opted_in is False
    assert world.audience["a"].lists == ()
    assert person(world.party).reason == "back_without_own_act"


def test_staff_cannot_lift_an_opt_out_of_the_person() -> None:
    world = opted_out_here()
    world.permit("a", opted_in=True)
    world.sync()
    assert world.method("ma").opted_in is False
    assert len(person(world.party).acts) == 1


def test_a_false_found_at_first_pairing_is_unknown_opts_nobody_out_and_blocks_joins() -> None:
    crm = household(individual("a", opted_in=False), tags=("CC: News",))
    decision = decided(paired(crm, ANN), crm, ANN)
    assert decision.steps == ()
    assert person(decision.party).reason == "consent_unknown"
    answered = decided(decision.party, replace(crm, individuals=(individual("a"),), read_at=200.0), ANN)
    assert kinds(answered) == ["join"]


def test_the_default_of_our_own_import_blocks_nothing_and_stays() -> None:
    default = (out(50.0, "default"),)
    known = paired(HERS, ANN)
    known = known.with_person(replace(person(known), opted_in=False, acts=default, true_at=None))
    crm = household(individual("a", opted_in=False), tags=("CC: News",), read_at=200.0)
    assert kinds(decided(known, crm, ANN)) == ["join"]
    back = Act(id="2", side=Side.audience, kind="choice", direction="in", after=None, before=90.0)
    came = known.with_person(replace(person(known), acts=(*default, out(60.0, side=Side.audience), back)))
    decision = decided(came, replace(crm, tags=()), ANN)
    assert decision.steps == ()
    assert person(decision.party).standing == "in_step"


def test_a_method_whose_consent_is_not_readable_is_closed_once() -> None:
    unread = household(individual("a", opted_in=None))
    gone = replace(ANN, read_at=200.0, **OUT)  # type: ignore[arg-type]
    decision = decided(paired(unread, ANN), unread, gone)
    assert kinds(decision) == ["set_consent"]
    assert decided(settle(decision.party, decision.steps[0], {}), unread, gone).steps == ()


def test_a_false_without_any_act_is_left_alone() -> None:
    """Ours without an act: created opted out, and the person has not come back by an own act."""
    known = paired(HERS, ANN)
    known = known.with_person(replace(person(known), opted_in=False))
    decision = decided(known, household(individual("a", opted_in=False)), ANN)
    assert decision.steps == ()


def test_where_imports_are_known_to_opt_in_a_fresh_false_crosses() -> None:
    learned = Setting(policy=SETTING.policy, labels=SETTING.labels, now=1000.0, imports_opt_in=True)
    known = paired(HERS, ANN)
    ann = replace(person(known), opted_in=None, imported=True)
    her = individual("a", opted_in=False)
    touched = tuple(replace(one, created_at=1.0, updated_at=100.0) for one in her.methods)
    crm = household(replace(her, methods=touched))
    assert kinds(decided(known.with_person(ann), crm, ANN, setting=learned)) == ["opt_out"]
    assert kinds(decided(known.with_person(ann), household(her), ANN, setting=learned)) == []


def test_an_own_opt_out_just_before_ours_is_an_act_of_its_own() -> None:
    """Ours found nothing left to do, so we took the contact for opted out by us."""
    world = opted_out_there()
    assert person(world.party).consent is Consent.opted_out
    world.opt_out("a", "spam")
    world.sync()
    assert [(act.side, act.reason) for act in person(world.party).acts] == [("crm", None), ("audience", "spam")]
    assert len(world.notes) == 1


def test_a_return_is_later_than_an_opt_out_that_began_again_unseen() -> None:
    ann = observed(Person(record_id="a"), replace(ANN, read_at=200.0, **OUT))  # type: ignore[arg-type]
    again = {**OUT, "opt_out_at": 280.0}
    ann = observed(ann, replace(ANN, read_at=300.0, **again), replace(ANN, read_at=350.0, **again))  # type: ignore[arg-type]
    assert [act.before for act in ann.acts] == [200.0, 300.0]
    assert standing_out(observed(ann, replace(ANN, read_at=400.0, opt_in_at=250.0)).acts, None)
    assert not standing_out(observed(ann, replace(ANN, read_at=400.0, opt_in_at=301.0)).acts, None)


def test_a_return_after_the_crms_opt_out_was_read_keeps_the_audience_side_as_it_is() -> None:
    crm = household(individual("a", opted_in=False), read_at=200.0)
    decision = decided(paired(HERS, ANN), crm, replace(ANN, read_at=300.0, opt_in_at=250.0))
    assert decision.steps == ()
    assert person(decision.party).reason == "crm_opt_out_stands"


def test_an_opt_out_in_the_crm_reaches_a_contact_that_was_deleted_and_revived_since() -> None:
    world = opted_out_there()
    world.audience["a"] = subscriber("a", deleted=True, deleted_at=world.now, read_at=world.now)
    world.sync()
    world.audience["a"] = subscriber("a")
    world.sync()
    assert world.audience["a"].consent is Consent.opted_out


def test_a_method_that_was_swapped_for_a_new_one_is_no_news_of_consent() -> None:
    for opted_in in (True, False):
        crm = household(individual("a", opted_in=opted_in))
        known = paired(crm, ANN)
        moved = replace(ANN, email="lee@example.org", read_at=200.0)
        step = next(one for one in decided(known, crm, moved).steps if one.kind == "set_email")
        swap = replace(step, kind="swap_email", payload={**step.payload, "opted_in": opted_in})
        fresh = household(individual("a", methods=(mail("mx", "lee@example.org", opted_in),)), read_at=300.0)
        for answer in ({"method": "mx", "value": "lee@example.org"}, {}):
            after = decided(settle(known, swap, answer), fresh, moved)
            assert after.steps == ()
            assert after.acts == ()
            assert person(after.party).email_method == "mx"


@pytest.mark.parametrize(("opted_in", "seen"), [(True, True), (False, None)])
def test_a_method_that_was_closed_already_was_closed_by_somebody_else(opted_in: bool, seen: bool | None) -> None:
    known = party("a").with_person(Person(record_id="a", email_method="ma"))
    payload = {"contact": "900", "individual": "ia", "method": "ma", "opted_in": opted_in}
    step = a_step("P", "a", "set_consent", payload)
    after = found_so(known, step)
    assert (person(after).opted_in, after.reread) == (seen, True)
    assert person(settle(known, step, {})).opted_in is opted_in
