"""The past is rebuilt from what was kept: both sides, what was seen of them, and what was decided."""

from typing import Any

import msgspec

from keepstep import queue
from keepstep.state import parties, readings, snapshots
from keepstep.submit.past import document
from keepstep.wiring import past
from tests.flows.crossing import CUSTOMER, Crossing, emails

Stored = dict[str, Any]


class Story:
    """A crossing whose stored state is looked at after every step of it."""

    def __init__(self, c: Crossing, record: str) -> None:
        self.c, self.record = c, record
        self.seen: list[tuple[str, float, Stored]] = []

    def step(self, name: str, *, hours: float = 1.2) -> None:
        self.c.wait(hours=hours)
        self.seen.append((name, self.c.now(), self.stored()))
        self.c.wait(minutes=1)

    def party_id(self) -> str:
        found = self.c.ask(self.c.service.db.run(parties.party_of, CUSTOMER, "constant_contact", [self.record]))
        return str(found[self.record])

    def stored(self) -> Stored:
        """What is really there: the party without its reading marks, raw records, unsent steps."""
        db, party_id = self.c.service.db, self.party_id()
        party = self.c.ask(db.run(readings.load, CUSTOMER, [party_id]))[party_id]
        here = self.c.ask(db.run(snapshots.get, CUSTOMER, "constant_contact", [one.record_id for one in party.people]))
        there = self.c.ask(db.run(snapshots.get, CUSTOMER, "virtuous", [party.crm_id or ""]))
        rows = self.c.ask(db.run(queue.steps_of, CUSTOMER, [party_id]))
        return {
            "party": document(party),
            "audience": {key: reading[0] for key, reading in here.items()},
            "crm": {key: reading[0] for key, reading in there.items()},
            "steps": sorted((row.side, row.target) for row in rows),
        }

    def rebuilt(self, at: float) -> Stored:
        then = self.c.ask(self.c.service.db.run(past.rebuilt, CUSTOMER, self.party_id(), self.record, at))
        assert then is not None
        people = [one.record_id for one in then.party.people]
        sides = {"constant_contact": people, "virtuous": [then.party.crm_id]}
        read = {
            side: {key: then.readings[side, key][0] for key in keys if (side, key) in then.readings}
            for side, keys in sides.items()
        }
        return {
            "party": msgspec.to_builtins(then.party),
            "audience": read["constant_contact"],
            "crm": read["virtuous"],
            "steps": sorted((step["side"], step["target"]) for step in then.steps),
        }

    def check(self) -> None:
        """At every step the past is what was stored then."""
        for name, at, stored in self.seen:
            assert self.rebuilt(at) == stored, name


def test_at_every_step_of_a_story_the_past_is_what_was_stored_then() -> None:
    with Crossing() as c:
        news, gala = c.a_list("Newsletter"), c.a_list("Gala")
        ann = c.person(phones=[("mobile", "202-555-0111")], lists=[news])
        c.connect()
        story = Story(c, ann)
        story.step("sent", hours=0.1)
        c.night()
        story.step("linked")
        c.edits(ann, first_name="Anna")
        story.step("renamed")
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Gala", c.now())
        story.step("tagged")
        c.v.staff_renames(CUSTOMER, c.there(ann)["contactIndividuals"][0]["id"], c.now(), last_name="Stone")
        story.step("renamed by staff")
        c.cc.person_leaves(CUSTOMER, ann, news, c.now())
        story.step("left a list", hours=25)  # only a sweep finds it: no date of the contact moves
        c.opts_out(ann)
        story.step("opted out")
        assert len({str(stored) for _, _, stored in story.seen}) == len(story.seen)
        assert gala
        story.check()


def test_what_was_wanted_and_could_not_be_done_is_in_the_past() -> None:
    with Crossing() as c:
        ann = c.person()
        c.connect()
        c.night()
        story = Story(c, ann)
        c.faults.arm("503", vendor="virtuous", method="PUT", count=100)
        c.edits(ann, last_name="Stone")
        story.step("refused for now")
        assert story.seen[-1][2]["steps"] != []
        c.faults.clear()
        story.step("done")
        assert story.seen[-1][2]["steps"] == []
        story.check()


def test_a_person_who_became_part_of_a_household_had_a_party_of_their_own() -> None:
    with Crossing() as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        story = Story(c, bob)
        story.step("apart")
        c.v.staff_merges(CUSTOMER, c.there(bob)["id"], c.there(ann)["id"], c.now())
        story.step("together")
        assert [len(stored["party"]["people"]) for _, _, stored in story.seen] == [1, 2]
        story.check()


def test_the_past_in_words_has_both_sides_and_what_was_known() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = c.person(lists=[news])
        c.connect()
        c.night()
        c.wait(hours=1.2)
        before = c.now()
        c.edits(ann, first_name="Anna")
        c.opts_out(ann)
        c.wait(hours=1.2)

        def at(moment: float, record: str = ann) -> Any:
            return c.ask(c.service.at_moment(CUSTOMER, record, moment))

        then, now = at(before), at(c.now())
        [person] = then["people"]
        assert (person["standing"], then["acts"], then["steps"]) == ("in_step", [], [])
        for side, lists in (("audience", ["Newsletter"]), ("crm", ["CC: Newsletter"])):
            told = person[side]["now"]
            assert (told["first_name"], told["email"], told["consent"]) == ("Ann", "ann@example.org", "opted_in")
            assert told["lists"] == lists
            assert person[side]["seen"]["first_name"] == "Ann"
        assert now["people"][0]["audience"]["now"]["consent"] == "opted_out"
        assert now["people"][0]["crm"]["now"]["consent"] == "opted_out"
        assert [(act["kind"], act["direction"]) for act in now["acts"]] == [("choice", "out")]
        number = str(c.there(ann)["id"])
        assert at(before, number)["people"] == at(before, "ann@example.org")["people"] == then["people"]
        assert at(before - 86_400 * 30) is None
        assert at(before, "nobody@example.org") is None
        assert emails(c.there(ann))
