"""A story is told in words that somebody understands who has never seen the code."""

import re
from typing import Any

import pytest

from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.world import START
from keepstep_simulator import chaos, deeds, shrink, story, visitors, wording
from keepstep_simulator.narrative import narrate
from keepstep_simulator.run import Plan
from keepstep_simulator.script import SETTING, Element, Script
from keepstep_simulator.shrink import Minimal
from keepstep_simulator.story import Final, Story, Violation
from tests.simulator import stories
from tests.simulator.stories import Stored

ANA, BEN = "0d2947264-0000-4000-8000-00000000000a"[1:], "1d2947264-0000-4000-8000-00000000000b"[1:]
HOUR = 3600.0
ID = re.compile(r"[0-9a-f]{8}-[0-9a-z]{4}-|\b(contact|individual|method):\d")


def scripted(*elements: Element) -> Script:
    """Ana and Ben, and what happens."""
    script = Script(5)
    for who, (record, first) in enumerate(((ANA, "Ana"), (BEN, "Ben"))):
        said = {"record": record, "first": first, "last": "Lee", "email": f"{first.lower()}@example.org"}
        script.plays(f"person customer-0 {who}", START, **said)
    for one in elements:
        script.played[one.label] = one
    return script


def deed(name: str, at: float, who: int = 0, done: bool = True, number: int = 0) -> Element:
    return Element(f"deed customer-0 {number}", at, {"name": name, "who": who, "other": -1, "agitated": False}, done)


def told(*facts: tuple[float, str, str, dict[str, Any]]) -> Story:
    """Facts of customer-0 in New York, and Ana's household in Virtuous."""
    found = Story()
    found.tell(START, 0, "", "PLAN", zone="America/New_York")
    for at, kind, key, data in facts:
        found.tell(at, 1, "customer-0", kind, key, **data)
    method = {"id": 31, "type": "Home Email", "value": "ana@example.org"}
    person = {"id": 21, "firstName": "Ana", "lastName": "Lee", "contactMethods": [method]}
    found.final = Final(crm={"customer-0": [{"id": 11, "name": "Lee", "contactIndividuals": [person]}]})
    return found


def lines(facts: Story, script: Script, why: str = "", n: int = -1) -> list[str]:
    """What is told, for a violation of I5 at a fact (the last one)."""
    elements = tuple(script.played.values())
    minimal = Minimal(
        seed=5,
        invariant="I5",
        only=frozenset(script.played),
        events=tuple(one for one in elements if one.kind not in SETTING),
        setting=tuple(one for one in elements if one.kind in SETTING),
        violation=Violation("I5", n if n >= 0 else len(facts.facts) - 1, why),
        struck=0,
        runs=1,
        least=True,
    )
    return narrate(minimal, facts, script)


def out(number: str, method: str, path: str, write: bool) -> tuple[str, str, dict[str, Any]]:
    vendor = VIRTUOUS if path.startswith("/api") else CONSTANT_CONTACT
    return "OUT", number, {"vendor": vendor, "method": method, "path": path, "body": "", "write": write}


def act(what: str = "person_opts_out") -> tuple[str, str, dict[str, Any]]:
    return "ACT", ANA, {"actor": "person", "side": CONSTANT_CONTACT, "what": what}


def test_an_opt_out_between_a_read_and_a_write_is_told_with_name_and_time() -> None:
    """The clock is that of the customer."""
    at = START + 14 * 60
    facts = told(
        (at - 2, *out("1", "GET", "/v3/contacts", write=False)),
        (at - 1, "RSP", "1", {"status": 200, "body": f'{{"contact_id": "{ANA}"}}'}),
        (at, *act()),
        (at + 1, *out("2", "PUT", f"/v3/contacts/{ANA}", write=True)),
        (at + 2, "RSP", "2", {"status": 200, "body": ""}),
        (at + 9, "JUDGED", "", {}),
    )
    found = lines(facts, scripted(deed("opts_out", at)), f"customer-0 {ANA}: method:31 is open")
    assert found == [
        "Seed 5 breaks I5 with 1 events.",
        "There are Ana, Ben.",
        "Day 1, 09:14: Ana opts out at Constant Contact, while Keepstep has read them and not yet written.",
        "At the end, broken: I5, nothing of ours undoes an opt-out. Customer-0 Ana: Ana's home email is open.",
    ]


def test_a_deed_while_a_call_is_open_says_which() -> None:
    at = START + 30 * HOUR
    for write, said in ((True, "while the write in Virtuous of Ana's home email is on its way"), (False, "")):
        facts = told(
            (at - 1, *out("1", "PUT" if write else "GET", "/api/ContactMethod/31" if write else "/v3/contacts", write)),
            (at, *act()),
        )
        found = lines(facts, scripted(deed("opts_out", at)))[2]
        want = said or "just before the look at the contacts of Constant Contact is answered"
        assert found == f"Day 2, 15:00: Ana opts out at Constant Contact, {want}."


def test_what_never_became_possible_says_so() -> None:
    found = lines(told(), scripted(deed("is_renamed_last", START, who=1, done=False)))
    assert "Staff write the last name of Ben differently in Virtuous: that never becomes possible." in found[2]


def test_faults_and_deaths_are_told() -> None:
    call = {"call": f"customer-0 PUT /v3/contacts/{ANA}", "fault": "reset_after"}
    script = scripted(
        Element("fault x", START + 60, call),
        Element("commit x", START + 120, {"point": "after", "name": "record"}),
        Element("crash 0", START + 180, {}),
        Element("visitor 0", START + 240, {"visitor": "forged"}, done=True),
        Element("operator key customer-0", START + 300, {"what": "key"}, done=True),
    )
    facts = told((START + 180, "CRASH", "after commit record", {}), (START + 200, "BOOT", "", {"double": True}))
    assert [line.partition(": ")[2] for line in lines(facts, script)[2:-1]] == [
        "The answer to the write of the record of Ana is lost, after Constant Contact did what it was asked.",
        "The commit of `record` is done, and the database says that it failed.",
        "Keepstep dies right after the commit of `record`.",
        "A second Keepstep is started beside the first.",
        "A forged delivery comes.",
        "The owner makes another key at Virtuous.",
    ]


def test_what_keepstep_changes_is_told_up_to_the_violation() -> None:
    values = {"actor": "product", "side": VIRTUOUS, "field": "isOptedIn", "before": False, "after": True}
    facts = told(
        (START + 60, *act()),
        (START + 120, "EFF", "method:31", values),
        (START + 180, "EFF", "method:31", values | {"before": True, "after": False}),
    )
    found = lines(facts, scripted(deed("opts_out", START + 60)), "method:31 was taken back in by product", n=2)
    assert found[3:] == [
        "Day 1, 09:02: Keepstep sets the consent of Ana's home email at Virtuous from no to yes.",
        "Day 1, 09:02, broken: I5, nothing of ours undoes an opt-out. Ana's home email was taken back in by product.",
    ]


def test_what_is_made_is_told_in_its_order() -> None:
    """And of what it is made with, only the consent."""
    made: dict[str, Any] = {"actor": "batch", "side": VIRTUOUS, "before": None}
    effects = [
        (START + 60, "EFF", "individual:21", made | {"field": "id", "after": 21}),
        (START + 60, "EFF", "individual:21", made | {"field": "firstName", "after": "Ana"}),
        (START + 60, "EFF", "contact:11", made | {"field": "id", "after": 11}),
        (START + 60, "EFF", "method:31", made | {"field": "isOptedIn", "after": True}),
        (START + 60, "EFF", "contact:99", made | {"field": "id", "after": 99}),
    ]
    found = lines(told((START + 1, *act()), *effects), scripted(deed("opts_out", START + 1)))
    assert [line.partition(": ")[2] for line in found[3:-1]] == [
        "Virtuous' nightly import makes the individual Ana at Virtuous.",
        "Virtuous' nightly import makes the contact of Ana at Virtuous.",
        "Virtuous' nightly import sets the consent of Ana's home email at Virtuous to yes.",
    ]


def test_many_changes_are_counted() -> None:
    values = {"actor": "product", "side": VIRTUOUS, "field": "value", "before": "a"}
    effects = [(START + 60.0 * n, "EFF", "method:31", values | {"after": str(n)}) for n in range(1, 21)]
    found = lines(told((START + 1, *act()), *effects), scripted(deed("opts_out", START + 1)))
    assert sum("sets the value" in line for line in found) == 12
    assert any("Keepstep makes 8 more changes, which are not told here." in line for line in found)


def test_a_delivery_is_known_by_when_it_came() -> None:
    facts = told((START + 60, "RECV", "0123456789abcdef", {}), (START + 90, "END", "", {}))
    found = lines(facts, scripted(), "acknowledged, not stored: 0123456789abcdef")
    assert found[-1].endswith("Acknowledged, not stored: the delivery of Day 1, 09:01.")


def test_two_of_one_name_are_told_apart() -> None:
    script = scripted(deed("opts_out", START, who=1))
    said = script.played["person customer-0 1"].what
    said["first"], said["last"] = "Ana", "Moor"
    assert lines(told(), script)[1] == "There are Ana Lee, Ana Moor."


def test_settings_are_told_where_they_are_not_as_usual() -> None:
    script = scripted(
        Element("switch virtuous import-run", START, {"value": "manual"}),
        Element("net webhooks", START, {"value": "silent"}),
        Element("net deleted", START, {"value": "off"}),
        Element("policy brake_floor", START, {"value": 1}),
        Element("order", START, {}),
        Element("cadence lists", START, {"seconds": 7200.0}),
    )
    assert lines(told(), script)[2:-1] == [
        "At Virtuous, import-run is manual.",
        "Webhooks of Virtuous: silent.",
        "The round 'deleted' never runs again after the first time.",
        "The brake holds more than 1 at once.",
        "Tasks that are ready at one moment take turns at random.",
    ]


def test_there_are_words_for_everything() -> None:
    names = {*deeds.HAPPENINGS, *deeds._COURSES, *deeds._PAIRS, *deeds._OFFICE}
    assert names == set(wording.DEEDS)
    assert {*chaos.BEFORE, *chaos.AFTER} <= set(wording._FAULTS)
    assert set(visitors.KINDS) == set(wording._VISITORS)


def test_there_are_words_for_every_call() -> None:
    """Of a story of one customer."""
    outcome = shrink.retold(3, Plan(customers=1, people=(6, 6), nights=2), None)
    asked = {(fact.data["method"], fact.data["path"]) for fact in outcome.story.of("OUT")}
    wordless = sorted(f"{method} {path}" for method, path in asked if wording.call(method, path)[0].startswith(method))
    assert len(asked) > 20
    assert wordless == []


@pytest.mark.parametrize(("seconds", "said"), [(20.0, "20 seconds"), (3600.0, "1 hour"), (9000.0, "2.5 hours")])
def test_a_length_of_time(seconds: float, said: str) -> None:
    assert wording.span(seconds) == said


@pytest.mark.parametrize("stored", stories.read(), ids=lambda one: one.name)
def test_a_kept_story_is_told_without_a_single_id(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was told when it was found."""
    monkeypatch.setattr(story, "MOST_FACTS", stories.MOST_FACTS)
    assert stored.lines
    assert not [line for line in stored.lines if ID.search(line)]
    assert len(stored.lines) <= 50
