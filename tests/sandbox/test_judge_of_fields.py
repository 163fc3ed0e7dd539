"""What a service may change of a Constant Contact contact: nothing of its fields, unless its route writes them back."""

from types import SimpleNamespace
from typing import Any

import pytest

from keepstep_sandbox.http import Effect
from keepstep_sandbox.judge.collateral import collateral
from keepstep_sandbox.log import CONSTANT_CONTACT

HOME, WORK, NEW = ({"kind": "home", "phone_number": f"555 010{one}"} for one in range(3))


def found(
    field: str, before: Any, after: Any, *back: str, permission: str = "explicit", fed: frozenset[str] = frozenset()
) -> list[str]:
    """The findings of one change that the service made."""
    effect = Effect(CONSTANT_CONTACT, "acme", "contact:c1", field, before, after)
    member = SimpleNamespace(raw={"email_address": {"permission_to_send": permission}})
    evidence: Any = SimpleNamespace(
        tags_prefix="",
        written_back=frozenset(back),
        fed=fed,
        members={"c1": member},
        service_effects=lambda vendor: [(1.0, effect)] if vendor == CONSTANT_CONTACT else [],
    )
    return [one.reason for one in collateral(evidence)]


def test_a_field_is_changed_only_where_the_route_writes_it_back() -> None:
    assert found("first_name", "Ann", "Annie", "first_name") == []
    assert found("first_name", "Ann", "Annie", "last_name") != []
    assert found("first_name", "Ann", "Annie") != []
    assert found("first_name", "Ann", None, "first_name") != []
    assert found("job_title", "Boss", "Clerk", "first_name", "last_name", "phone", "address") != []


def test_what_a_row_of_a_feed_says_of_a_person_is_asked_for_but_never_a_permission() -> None:
    assert found("last_name", "Lee", "Low", fed=frozenset({"c1"})) == []
    assert found("last_name", "Lee", "Low", fed=frozenset({"c2"})) != []
    place = "email_address.permission_to_send"
    assert found(place, "implicit", "explicit", fed=frozenset({"c1"})) != []


@pytest.mark.parametrize(
    ("before", "after", "right"),
    [
        ([HOME, WORK], [HOME, NEW], True),
        ([], [NEW], True),
        (None, [NEW], True),
        ([HOME], [HOME, NEW], True),
        ([HOME, WORK], [NEW], False),
        ([HOME, WORK], [HOME], False),
        ([HOME], [], False),
    ],
)
def test_of_several_phones_one_is_changed_and_none_is_lost(before: Any, after: Any, right: bool) -> None:
    assert (found("phone_numbers", before, after, "phone") == []) is right


def test_consent_is_changed_towards_off_only() -> None:
    place = "email_address.permission_to_send"
    assert found(place, "explicit", "unsubscribed") == []
    assert found(place, None, "explicit") == []
    assert found(place, "implicit", "explicit", "first_name") != []
    assert found(place, "unsubscribed", "explicit") != []
    assert found(place, "unsubscribed", "explicit", permission="unsubscribed") == []  # raced, and repaired
