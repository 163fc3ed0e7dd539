"""The registries of disputed behaviour."""

import pytest

from keepstep_sandbox.constant_contact import SWITCHES as CC_SWITCHES
from keepstep_sandbox.switches import Switch, Switches
from keepstep_sandbox.virtuous import SWITCHES as V_SWITCHES
from tests.sandbox.constant_contact.door import Door

REGISTRY = (Switch("colour", ("red", "blue"), "facts 1"), Switch("size", ("small", "large"), "facts 2"))


def test_what_was_asked_for_is_known_until_it_is_forgotten() -> None:
    switches = Switches(REGISTRY, {"size": "large"})
    assert switches.asked() == frozenset()
    assert switches["size"] == "large"
    assert switches.asked() == {"size"}
    switches.forget_asked()
    assert switches.asked() == frozenset()


def test_choosing_and_showing_is_not_asking() -> None:
    switches = Switches(REGISTRY)
    switches.choose("colour", "blue")
    assert switches.chosen() == {"colour": "blue", "size": "small"}
    assert switches.asked() == frozenset()


def test_a_stand_in_tells_which_switches_a_call_asked_for() -> None:
    door = Door()
    door.cc.switches.forget_asked()
    door.get("/v3/account/user/privileges")
    assert door.cc.switches.asked() == {"reports_scope", "refused_calls_count"}


@pytest.mark.parametrize("registry", [CC_SWITCHES, V_SWITCHES])
def test_every_switch_has_one_name_several_values_and_a_source(registry: tuple[Switch, ...]) -> None:
    assert len({one.name for one in registry}) == len(registry)
    assert all(len(set(one.values)) == len(one.values) > 1 for one in registry)
    assert all(one.source.startswith(("CC facts", "Virtuous facts")) for one in registry)
