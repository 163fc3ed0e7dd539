"""A write of several values that was refused together goes value by value; only what is refused alone is a letter."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.canonical import fingerprint
from keepstep.model.change import Step, a_step
from keepstep.model.customer import Policy
from keepstep.model.parts import goes_in_parts
from keepstep.model.party import Party
from keepstep.model.settle import refused
from tests.model.people import SETTING, decided, household, individual, number, paired, person, subscriber

BACK = replace(SETTING, policy=Policy(fields_to_audience=("first_name", "phone")))
ANN = subscriber()
STAFFS = household(individual("a", first_name="Annie", methods=(*individual("a").methods[:1], number("pa", "123"))))


def wanted(known: Party) -> dict[str, list[str]]:
    steps = decided(known, STAFFS, ANN, setting=BACK).steps
    return {step.target: list(step.payload["values"]) for step in steps if step.kind == "set_fields"}


def no_to(known: Party, *targets: str) -> Party:
    for step in decided(known, STAFFS, ANN, setting=BACK).steps:
        known = refused(known, step) if step.target in targets else known
    return known


def test_what_was_refused_together_goes_one_by_one_and_the_rest_together_again() -> None:
    known = paired(household(), ANN, setting=BACK)
    assert wanted(known) == {"set_fields:a": ["first_name", "phone"]}
    known = no_to(known, "set_fields:a")
    apart = {"set_fields:a:first_name": ["first_name"], "set_fields:a:phone": ["phone"]}
    assert wanted(known) == apart
    known = no_to(known, "set_fields:a:phone")
    assert wanted(known) == {"set_fields:a": ["first_name"]}
    known = no_to(known, "set_fields:a:phone", "set_fields:a")
    last = decided(known, STAFFS, ANN, setting=BACK)
    assert (last.steps, person(last.party).reason) == ((), "refused_by_vendor")
    assert no_to(known, "set_fields:a:first_name") == known


def test_who_refused_both_alone_is_asked_for_neither() -> None:
    known = no_to(paired(household(), ANN, setting=BACK), "set_fields:a")
    steps = {step.target: step for step in decided(known, STAFFS, ANN, setting=BACK).steps}
    ann = known.people[0]
    both = tuple((target, fingerprint(dict(step.payload))) for target, step in steps.items())
    known = known.with_person(replace(ann, refused=(*ann.refused, *both)))
    assert wanted(known) == {}


def write(kind: str, **payload: Any) -> Step:
    return a_step("P", "a", kind, payload)


@pytest.mark.parametrize(
    ("step", "status", "parts"),
    [
        (write("set_fields", values={"first_name": "A", "phone": "1"}), 400, True),
        (write("set_custom", values={"Hobby": "Go", "Size": "M"}), 422, True),
        (write("set_custom", values={"Hobby": "Go"}), 400, False),
        (write("set_custom", values={"Hobby": "Go", "Size": "M"}), 404, False),
        (write("set_custom", values={"Hobby": "Go", "Size": "M"}), None, False),
        (write("set_custom", values={"Hobby": "Go", "Size": "M"}, undo={"rows": [1]}), 400, False),
        (write("set_person", first_name="A", last_name="B"), 400, False),
    ],
)
def test_only_a_value_that_is_refused_is_asked_for_by_itself(step: Step, status: int | None, parts: bool) -> None:
    assert goes_in_parts(step, status) is parts
