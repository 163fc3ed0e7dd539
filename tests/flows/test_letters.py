"""Dead letters: grouped by cause, shown with their trace, replayed once the cause is mended, discarded for good."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keepstep.connectors.constant_contact import ConstantContact
from keepstep.database import Inline, engine_of
from keepstep.model.errors import Refused
from keepstep.schema.tables import metadata
from keepstep.submit import decided
from keepstep.wiring import letters
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Crossing
from tests.flows.test_consent import linked

SIZES = ["S", "M"]


def customs(c: Crossing, record: str) -> dict[str, str]:
    return {one["name"]: one["value"] for one in c.there(record)["customFields"]}


def refused_for_an_option(c: Crossing) -> tuple[str, str]:
    """Staff made the field anew without an option that we still know of: the write of it is refused for good."""
    field = c.cc.add_custom_field(CUSTOMER, "Size", c.now(), "single_select", SIZES)
    c.v.add_custom_field(CUSTOMER, "Size", c.now(), "List", options=SIZES)
    ann = linked(c)
    c.v.remove_custom_field(CUSTOMER, "Size")
    c.v.add_custom_field(CUSTOMER, "Size", c.now(), "List", options=["S"])
    c.cc.set_custom_field(CUSTOMER, ann, field, c.now(), "M")
    c.edits(ann, last_name="Leigh")
    c.wait(hours=2)
    return ann, field


def listed(c: Crossing, state: str | None = "open") -> dict[str, Any]:
    return dict(c.ask(letters.listed(c.service, CUSTOMER, state)))


def replay(c: Crossing, letter: str) -> dict[str, Any]:
    return dict(c.ask(letters.replayed(c.service, CUSTOMER, letter, "olga")))


def test_a_write_refused_by_a_wrong_mapping_is_replayed_once_the_mapping_is_right() -> None:
    with Crossing() as c:
        ann, _ = refused_for_an_option(c)
        found = listed(c)
        [group] = found["groups"]
        [letter] = found["letters"]
        assert (group["kind"], group["cause"], group["count"]) == ("set_custom", "value_refused", 1)
        assert (letter["record"], letter["state"]) == (ann, "open")
        assert "Leigh" not in str(found) and "M" not in str(letter["next"]).split()
        c.v.add_custom_option(CUSTOMER, "Size", "M")
        assert replay(c, letter["id"]) == {"id": letter["id"], "state": "replayed", "changed": True}
        c.wait(minutes=5)
        assert customs(c, ann) == {"Size": "M"}
        assert c.standing(ann) == ("in_step", "")
        assert listed(c)["letters"] == []
        assert c.lines("replayed") == [{"letter": letter["id"], "by": "olga"}]


def test_of_a_write_that_was_split_by_a_refusal_one_letter_speaks() -> None:
    """What was refused together goes field by field: only the value that is never taken is a letter."""
    with Crossing() as c:
        hobby = c.cc.add_custom_field(CUSTOMER, "Hobby", c.now(), "string", [])
        size = c.cc.add_custom_field(CUSTOMER, "Size", c.now(), "single_select", SIZES)
        c.v.add_custom_field(CUSTOMER, "Hobby", c.now(), "Text")
        c.v.add_custom_field(CUSTOMER, "Size", c.now(), "List", options=SIZES)
        ann = linked(c)
        c.v.remove_custom_field(CUSTOMER, "Size")
        c.v.add_custom_field(CUSTOMER, "Size", c.now(), "List", options=["S"])
        c.cc.set_custom_field(CUSTOMER, ann, size, c.now(), "M")
        c.cc.set_custom_field(CUSTOMER, ann, hobby, c.now(), "Go")
        c.edits(ann, last_name="Leigh")
        c.wait(hours=2)
        assert customs(c, ann) == {"Hobby": "Go"}
        [alone] = listed(c)["letters"]
        c.v.add_custom_option(CUSTOMER, "Size", "M")
        replay(c, alone["id"])
        c.wait(minutes=5)
        assert customs(c, ann) == {"Size": "M", "Hobby": "Go"} and c.standing(ann) == ("in_step", "")
        assert listed(c)["letters"] == []


def test_to_replay_twice_is_to_replay_once() -> None:
    with Crossing() as c:
        refused_for_an_option(c)
        [letter] = listed(c)["letters"]
        c.v.add_custom_option(CUSTOMER, "Size", "M")
        assert [replay(c, letter["id"])["changed"] for _ in range(2)] == [True, False]
        c.wait(hours=2)
        writes = len(c.writes())
        assert replay(c, letter["id"])["changed"] is False
        c.wait(hours=2)
        assert len(c.writes()) == writes
        assert len(c.lines("replayed")) == 1


def test_a_replay_whose_cause_is_still_there_is_another_letter() -> None:
    with Crossing() as c:
        ann, _ = refused_for_an_option(c)
        [letter] = listed(c)["letters"]
        replay(c, letter["id"])
        c.wait(minutes=5)
        [again] = listed(c)["letters"]
        assert again["id"] != letter["id"]
        assert c.standing(ann) == ("parked", "refused_by_vendor")


def test_what_is_decided_anew_is_what_both_sides_say_then() -> None:
    with Crossing() as c:
        ann, field = refused_for_an_option(c)
        [letter] = listed(c)["letters"]
        c.cc.set_custom_field(CUSTOMER, ann, field, c.now(), "S")
        c.edits(ann, first_name="Anna")
        replay(c, letter["id"])
        c.wait(hours=2)
        assert customs(c, ann) == {"Size": "S"}


def test_a_letter_is_shown_with_payload_answer_and_trace() -> None:
    with Crossing() as c:
        ann, _ = refused_for_an_option(c)
        [letter] = listed(c)["letters"]
        found = c.ask(letters.shown(c.service, CUSTOMER, letter["id"]))
        assert found["payload"]["values"] == {"Size": "M"}
        assert found["answer"] == {"status": 400}
        assert {"standing", "outcome"} <= {line["what"] for line in found["trace"]}
        assert found["trace"][-1]["record"] == ann
        with pytest.raises(Refused):
            c.ask(letters.shown(c.service, CUSTOMER, "nothing"))


def test_a_letter_whose_cause_is_gone_closes_itself() -> None:
    with Crossing() as c:
        ann, field = refused_for_an_option(c)
        c.cc.set_custom_field(CUSTOMER, ann, field, c.now(), "S")
        c.edits(ann, first_name="Anna")
        c.wait(hours=2)
        assert [row["next"] for row in listed(c)["letters"]] == [letters.CLOSED]
        c.wait(days=1)
        assert listed(c)["letters"] == []
        assert [row["state"] for row in listed(c, None)["letters"]] == ["closed"]


def test_what_was_discarded_is_not_tried_again_and_not_replayed() -> None:
    with Crossing() as c:
        ann, _ = refused_for_an_option(c)
        [letter] = listed(c)["letters"]
        c.ask(letters.discarded(c.service, CUSTOMER, letter["id"], "olga"))
        c.v.add_custom_option(CUSTOMER, "Size", "M")
        assert replay(c, letter["id"]) == {"id": letter["id"], "state": "discarded", "changed": False}
        c.wait(days=2)
        assert customs(c, ann) == {}
        assert [row["state"] for row in listed(c, None)["letters"]] == ["discarded"]
        assert c.lines("discarded") == [{"letter": letter["id"], "by": "olga"}]


def test_letters_of_one_cause_are_chosen_together() -> None:
    with Crossing() as c:
        refused_for_an_option(c)
        [letter] = listed(c)["letters"]
        ask = c.ask
        assert ask(letters.chosen(c.service, CUSTOMER, (), "value_refused")) == [letter["id"]]
        assert ask(letters.chosen(c.service, CUSTOMER, (letter["id"],), "value_refused")) == [letter["id"]]
        assert ask(letters.chosen(c.service, CUSTOMER, (), "gave_up")) == []
        with pytest.raises(Refused):
            ask(letters.chosen(c.service, CUSTOMER, ("nothing",), None))


def test_a_letter_follows_its_person_into_another_household() -> None:
    """There the same write says another contact and is refused anew: the first letter is about nothing any more."""
    with Crossing() as c:
        bob = c.person("bob@example.org", "Bob", "Roe")
        ann, _ = refused_for_an_option(c)
        [first] = listed(c)["letters"]
        c.v.staff_merges(CUSTOMER, c.there(ann)["id"], c.there(bob)["id"], c.now())
        c.wait(hours=2)
        rows = {row["id"]: row for row in listed(c)["letters"]}
        assert rows.pop(first["id"])["next"] == letters.CLOSED
        [again] = rows.values()
        assert again["record"] == ann
        trace = c.ask(letters.shown(c.service, CUSTOMER, first["id"]))["trace"]
        assert any(line["what"] == "merged" for line in trace)
        c.v.add_custom_option(CUSTOMER, "Size", "M")
        assert replay(c, again["id"])["changed"]
        c.wait(minutes=5)
        assert customs(c, ann) == {"Size": "M"}


def test_a_record_that_could_not_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    true = ConstantContact.snapshot

    def broken(self: ConstantContact, raw: Any, read_at: float) -> Any:
        if raw.get("first_name") == "Odd":
            raise ValueError("odd")
        return true(self, raw, read_at)

    with Crossing() as c, monkeypatch.context() as patch:
        patch.setattr(ConstantContact, "snapshot", broken)
        odd = c.person("odd@example.org", "Odd", "One")
        c.connect()
        [letter] = listed(c)["letters"]
        assert (letter["cause"], letter["record"]) == ("record_unreadable", odd)
        with pytest.raises(ValueError):
            replay(c, letter["id"])
        assert [row["state"] for row in listed(c)["letters"]] == ["open"]
        patch.setattr(ConstantContact, "snapshot", true)
        assert replay(c, letter["id"]) == {"id": letter["id"], "state": "replayed", "changed": True, "found": True}
        c.night()
        assert c.standing(odd) == ("in_step", "")


def test_a_record_that_breaks_again_after_its_replay_is_another_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    true = ConstantContact.snapshot
    broken = {"on": True}

    def snapshot(self: ConstantContact, raw: Any, read_at: float) -> Any:
        if broken["on"] and raw.get("first_name") == "Odd":
            raise ValueError("odd")
        return true(self, raw, read_at)

    monkeypatch.setattr(ConstantContact, "snapshot", snapshot)
    with Crossing() as c:
        odd = c.person("odd@example.org", "Odd", "One")
        c.connect()
        [letter] = listed(c)["letters"]
        broken["on"] = False
        replay(c, letter["id"])
        c.wait(minutes=5)
        broken["on"] = True
        c.edits(odd, last_name="Other")
        c.wait(hours=2)
        assert [row["id"] for row in listed(c)["letters"]] != [letter["id"]]
        assert len(listed(c)["letters"]) == 1


def test_a_party_that_could_not_be_decided_is_decided_again(monkeypatch: pytest.MonkeyPatch) -> None:
    true = decided.decide

    def failing(party, readings, setting):  # type: ignore[no-untyped-def]
        raise ArithmeticError

    with Crossing() as c:
        ann = c.person()
        monkeypatch.setattr(decided, "decide", failing)
        c.connect()
        found = listed(c)
        assert [group["cause"] for group in found["groups"]] == ["decision_failed"]
        monkeypatch.setattr(decided, "decide", true)
        for letter in found["letters"]:
            replay(c, letter["id"])
        c.night()
        assert c.standing(ann) == ("in_step", "")


def test_a_replay_waits_for_the_turn_that_is_under_way() -> None:
    """A turn stores what it decided from what it read before: a change beneath it would be lost."""
    with Crossing() as c:
        ann, field = refused_for_an_option(c)
        [letter] = listed(c)["letters"]
        c.v.add_custom_option(CUSTOMER, "Size", "M")
        ended: list[Any] = []

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if not ended:
                ended.append("busy")
                with pytest.raises(letters.queue.UnderWay):
                    with c.db._disk.begin() as tx:
                        letters.queue.visit(tx, CUSTOMER, c.now())
            return handle()

        c.wire = wire
        c.wait(hours=1)
        assert ended
        replay(c, letter["id"])
        c.wait(minutes=5)
        assert customs(c, ann) == {"Size": "M"}
        assert field


KILLED = """
import os, signal, sys
from types import SimpleNamespace
from keepstep import queue
from keepstep.database import engine_of
from keepstep.model.customer import Route
from keepstep.wiring import letters
url, letter, now, point = sys.argv[1:]
clock = SimpleNamespace(now=lambda: float(now))
desk = SimpleNamespace(customer_id="acme", route=Route(customer_id="acme"), clock=clock)
with engine_of(url).begin() as tx:
    queue.visit(tx, "acme", float(now))
    letters._replayed(tx, desk, letter, "olga")
    if point == "before":
        os.kill(os.getpid(), signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("point", ["before", "after"])
def test_a_replay_whose_process_is_killed_has_one_effect(point: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keepstep.db'}"
    engine = engine_of(url)
    metadata.create_all(engine)
    with Crossing(db=Inline(disk=engine)) as c:
        ann, _ = refused_for_an_option(c)
        [letter] = listed(c)["letters"]
        c.v.add_custom_option(CUSTOMER, "Size", "M")
        writes = len(c.writes())
        path = {"PYTHONPATH": os.pathsep.join(sys.path)}
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, url, letter["id"], str(c.now()), point], env=path, check=False
        )
        assert killed.returncode == -signal.SIGKILL
        c.open()
        assert replay(c, letter["id"])["changed"] is (point == "before")
        c.wait(minutes=5)
        assert customs(c, ann) == {"Size": "M"}
        assert len(c.writes()) == writes + 1
        assert len(c.lines("replayed")) == 1
    engine.dispose()
