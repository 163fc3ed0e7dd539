"""People whose individual is on another contact by now: what is heard of them, and when they are at home there."""

from dataclasses import replace
from typing import Any

from keepstep.model.contact import CrmContact
from keepstep.model.decide import Decision, decide
from keepstep.model.party import Party
from keepstep.model.settle import refused, settle
from keepstep.model.whereabouts import addresses_of, is_lost
from tests.model.people import (
    SETTING,
    decided,
    household,
    individual,
    kinds,
    mail,
    paired,
    person,
    readings,
    subscriber,
)

ANN = subscriber("a")
KNOWN = paired(household(individual("a"), individual("b")), ANN, subscriber("b"))
LEFT = replace(household(individual("a"), individual("b")), individuals=(individual("b"),), read_at=200.0)
BARE = replace(LEFT, references=(("Constant Contact", "b"),))


def there(*people: Any, **changed: Any) -> CrmContact:
    return replace(household(*(people or (individual("a"),)), references=()), record_id="901", read_at=200.0, **changed)


def looked_for(known: Party, crm: CrmContact, *found: CrmContact) -> Decision:
    both = (ANN, subscriber("b"))
    return decide(known, readings(crm, *both, candidates={"a": found}), SETTING)


def reason(decision: Decision) -> str:
    return person(decision.party).reason


def test_who_is_on_another_contact_gives_the_reference_up_first_and_goes_there_then() -> None:
    first = looked_for(KNOWN, LEFT, LEFT, there())
    assert (kinds(first), first.moves, reason(first)) == (["unlink"], {}, "individual_moved")
    known = settle(first.party, first.steps[0], {})
    assert known.reread
    then = looked_for(known, BARE, there())
    assert (kinds(then), then.moves, reason(then)) == ([], {"a": "901"}, "individual_moved")


def test_a_no_that_is_found_there_crosses_before_anybody_goes() -> None:
    found = looked_for(KNOWN, BARE, there(individual("a", opted_in=False)))
    assert (kinds(found), found.moves) == (["opt_out"], {})
    assert [(record, act.kind, act.direction) for record, act in found.acts] == [("a", "choice", "out")]


def test_whoever_is_nowhere_waits_and_only_a_no_at_the_address_counts() -> None:
    nowhere = looked_for(KNOWN, LEFT)
    assert (kinds(nowhere), nowhere.moves, reason(nowhere)) == ([], {}, "individual_gone")
    stranger = individual("z", methods=(mail("m8", "cay@example.org", False), mail("m9", "ANN@example.org")))
    assert looked_for(KNOWN, LEFT, there(stranger)).acts == ()
    shut = replace(stranger, methods=(mail("m9", "ann@example.org", False),))
    heard = looked_for(KNOWN, LEFT, there(shut), there(merged_into="77"))
    assert [act.kind for _, act in heard.acts] == ["unknown"], "a method that is new to us says nothing of its origin"
    assert (kinds(heard), reason(heard)) == ([], "individual_gone")


def test_without_a_method_of_the_address_the_person_goes_all_the_same() -> None:
    moved = looked_for(KNOWN, BARE, there(individual("a", methods=())))
    assert (moved.acts, moved.moves) == ((), {"a": "901"})


def test_the_reference_follows_to_the_contact_that_the_person_came_to() -> None:
    known = replace(KNOWN, crm_id="901")
    both = there(individual("a"))
    moved = replace(known, people=(person(known),))
    arrived = decide(moved, readings(both, ANN), SETTING)
    assert [(step.kind, step.payload["contact"]) for step in arrived.steps] == [("link", "901")]
    linked = replace(both, references=(("Constant Contact", "a"),))
    done = decide(settle(arrived.party, arrived.steps[0], {}), readings(linked, ANN), SETTING)
    assert (kinds(done), person(done.party).carrier, person(done.party).standing) == ([], "901", "in_step")
    never = decide(refused(arrived.party, arrived.steps[0]), readings(both, ANN), SETTING)
    assert (kinds(never), person(never.party).standing) == ([], "in_step")


def test_a_reference_that_was_never_seen_elsewhere_is_not_put_on() -> None:
    bare = replace(household(individual("a")), references=())
    alone = paired(household(individual("a")), ANN)
    assert kinds(decided(alone, bare, ANN)) == []
    assert kinds(decided(alone.with_person(replace(person(alone), carrier=None)), bare, ANN)) == []


def test_a_merge_that_left_the_reference_behind_is_proven_by_it_and_the_address() -> None:
    survivor = there(replace(individual("a"), record_id="i7", methods=(mail("m7", "ann@example.org"),)))
    known = paired(household(individual("a")), ANN)
    found = decided(replace(known, crm_id="901"), survivor, ANN)
    assert (person(found.party).individual, kinds(found)[-1]) == ("i7", "link")


def test_who_is_lost_and_where_to_look() -> None:
    ann = person(KNOWN)
    assert is_lost(ann, LEFT)
    assert not is_lost(ann, None)
    assert not is_lost(ann, replace(LEFT, merged_into="7"))
    assert not is_lost(replace(ann, individual=None), LEFT)
    assert not is_lost(ann, household(individual("a")))
    assert addresses_of(replace(ann, crm=None), replace(ANN, email=None)) == []
    assert addresses_of(replace(ann, crm={"email": "Old@example.org"}), ANN) == ["ann@example.org", "old@example.org"]
