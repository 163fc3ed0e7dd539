"""Who somebody is in the CRM: every verdict says its evidence, and what is doubtful stays a question."""

from typing import Any

from keepstep.wiring import parked, plans, report
from tests.flows.crossing import CUSTOMER, SOURCE, Crossing, emails
from tests.flows.test_parked import answer, under_another_name

SHOWN = {"archived-flag": "present"}


def timeline(c: Crossing, record: str) -> list[dict[str, Any]]:
    return [dict(line) for line in c.ask(report.timeline(c.service, CUSTOMER, record))]


def shown(c: Crossing, record: str) -> dict[str, Any]:
    return dict(c.ask(parked.shown(c.service, CUSTOMER, record)))


def a_person(first: str, last: str, address: str, **more: Any) -> dict[str, Any]:
    method = {"type": "Home Email", "value": address, "isOptedIn": True, "isPrimary": True}
    return {"firstName": first, "lastName": last, "contactMethods": [method], **more}


def test_a_link_says_its_evidence_and_who_else_was_compared() -> None:
    with Crossing() as c:
        number = c.household("ann@example.org", others=[a_person("Bob", "Lee", "bob@example.org")])
        ann = c.person()
        c.connect()
        c.wait(hours=1)
        assert c.standing(ann) == ("in_step", "")
        [line] = [one for one in timeline(c, ann) if one["what"] == "matched"]
        assert (line["contact"], line["evidence"]) == (str(number), ["address_exact", "name_equal"])
        [other] = line["alternatives"]
        assert other["why_not"] == ["no_address", "name_differs"]
        assert "ann@" not in str(line) and "Lee" not in str(line)
        c.wait(days=8)
        assert len(c.lines("matched")) == 1


def test_a_question_names_every_candidate_once() -> None:
    with Crossing() as c:
        contacts = {str(c.household("ann@example.org", first)) for first in ("Bea", "Cay", "Dot")}
        ann = c.person()
        c.connect()
        c.wait(days=3)
        assert c.standing(ann) == ("parked", "several_matches")
        [line] = c.lines("compared")
        assert {one["contact"] for one in line["candidates"]} == contacts
        assert line["reason"] == "several_matches"
        rows = shown(c, ann)["alternatives"]
        assert {row["contact"] for row in rows} == contacts
        assert all(row["evidence"] == ["address_exact", "name_differs"] and row["score"] for row in rows)
        assert set(shown(c, ann)["would"]) == {"same", "nobody", "leave"}


def test_father_and_son_at_one_address_are_a_question() -> None:
    with Crossing() as c:
        father = c.household("smith@example.org", "John", "Smith")
        son = c.person("smith@example.org", "John", "Smith Jr.")
        c.connect()
        c.night()
        assert c.standing(son) == ("parked", "name_differs")
        assert c.carriers(son) == []
        [row] = shown(c, son)["alternatives"]
        assert (row["contact"], row["why_not"]) == (str(father), ["Jr or Sr differs: perhaps a parent or a child"])
        answer(c, son, "nobody")
        c.wait(hours=2)
        assert c.there(son)["id"] != father
        assert c.standing(son) == ("in_step", "")


def test_a_suffix_of_its_own_field_tells_father_and_son_apart() -> None:
    with Crossing() as c:
        method = {"type": "Home Email", "value": "smith@example.org", "isOptedIn": True, "isPrimary": True}
        son = {"firstName": "John", "lastName": "Smith", "suffix": "Jr.", "isPrimary": True, "contactMethods": [method]}
        c.v.add_contact(CUSTOMER, c.now(), contactIndividuals=[son])
        father = c.person("smith@example.org", "John", "Smith")
        c.connect()
        c.wait(hours=1)
        assert c.standing(father) == ("parked", "name_differs")


def test_somebody_who_died_is_linked_by_a_persons_word_only() -> None:
    with Crossing() as c:
        number = c.household("ann@example.org")
        individual = c.everybody()[0]["contactIndividuals"][0]["id"]
        c.v.staff_sets_deceased(CUSTOMER, individual, c.now())
        ann = c.person()
        c.connect()
        c.night()
        assert c.standing(ann) == ("parked", "deceased")
        assert c.carriers(ann) == []
        answer(c, ann, "same")
        c.wait(hours=2)
        assert c.there(ann)["id"] == number
        assert c.standing(ann) == ("parked", "deceased")


def test_an_archived_duplicate_does_not_stand_in_the_way() -> None:
    with Crossing(v=SHOWN) as c:
        old, new = c.household("ann@example.org"), c.household("ann@example.org")
        c.v.staff_archives(CUSTOMER, old, c.now())
        ann = c.person()
        c.connect()
        c.wait(hours=1)
        assert c.there(ann)["id"] == new
        assert c.standing(ann) == ("in_step", "")


def test_a_chain_of_merges_is_followed_to_its_end() -> None:
    with Crossing() as c:
        people = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}") for n in range(3)]
        c.connect()
        c.night()
        first, second, third = (c.there(one)["id"] for one in people)
        c.v.staff_merges(CUSTOMER, first, second, c.now())
        c.v.staff_merges(CUSTOMER, second, third, c.now())
        c.wait(hours=3)
        assert {c.there(one)["id"] for one in people} == {third}
        assert c.standings() == {"in_step": 3}
        c.opts_out(people[0])
        c.wait(hours=2)
        closed = {one["value"] for one in emails(c.there(people[0])) if not one["isOptedIn"]}
        assert closed == {"p0@example.org"}


def test_a_ring_of_merges_hangs_nobody() -> None:
    """No vendor should say so; whoever does must not stop the others."""
    with Crossing() as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        one, other = c.there(ann)["id"], c.there(bob)["id"]
        c.v.staff_merges(CUSTOMER, one, other, c.now())
        c.wait(hours=1)
        fields = c.v._organizations[CUSTOMER].contacts[other].fields
        fields["mergedIntoContactId"] = one
        c.v.staff_sets_address(CUSTOMER, other, c.now(), city="Salem")
        cay = c.person("cay@example.org", "Cay", "Stone")
        c.wait(hours=3)
        c.night()
        assert c.standing(cay) == ("in_step", "")
        assert c.standing(ann)[0] == c.standing(bob)[0] == "parked"


def test_an_individual_whom_staff_moved_away_and_back_is_followed_and_nobody_else_is_written_to() -> None:
    with Crossing() as c:
        number = c.household("bob@example.org", "Bob", "Lee", others=[a_person("Ann", "Lee", "ann@example.org")])
        elsewhere = c.household("cay@example.org", "Cay", "Stone")
        ann = c.person()
        c.connect()
        c.wait(hours=1)
        moved = next(one for one in c.there(ann)["contactIndividuals"] if one["firstName"] == "Ann")
        c.v.staff_moves_individual(CUSTOMER, moved["id"], elsewhere, c.now())
        c.wait(hours=2)
        assert (c.there(ann)["id"], c.standing(ann)) == (elsewhere, ("in_step", ""))
        c.edits(ann, first_name="Anna")
        c.wait(hours=2)
        names = sorted(one["firstName"] for x in c.everybody() for one in x["contactIndividuals"])
        assert names == ["Anna", "Bob", "Cay"]
        c.v.staff_moves_individual(CUSTOMER, moved["id"], number, c.now())
        c.wait(hours=2)
        assert (c.there(ann)["id"], c.standing(ann)) == (number, ("in_step", ""))


def test_archived_and_back_again_only_opt_outs_crossed_meanwhile() -> None:
    with Crossing(v=SHOWN) as c:
        ann = c.person()
        c.connect()
        c.night()
        number = c.there(ann)["id"]
        c.v.staff_archives(CUSTOMER, number, c.now())
        c.wait(hours=1)
        assert c.standing(ann) == ("parked", "archived")
        c.edits(ann, first_name="Anna")
        c.wait(hours=2)
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Ann"
        c.v.staff_unarchives(CUSTOMER, number, c.now())
        c.wait(hours=2)
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Anna"
        assert c.standing(ann) == ("in_step", "")


def test_an_answer_holds_through_a_sweep_and_a_restart() -> None:
    with Crossing() as c:
        ann, contact = under_another_name(c)
        answer(c, ann, "nobody")
        c.wait(hours=2)
        c.open()
        c.wait(days=8)
        assert c.there(ann)["id"] != contact
        assert len(c.carriers(ann)) == 1
        assert c.standing(ann) == ("in_step", "")


def test_a_plan_says_the_evidence_of_every_link_and_every_question() -> None:
    with Crossing(policy={"stage": "observe"}) as c:
        number = c.household("ann@example.org")
        c.household("bob@example.org", "Robert", "Stone")
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Stone")
        c.connect()
        c.ask(plans.begin(c.service, CUSTOMER))
        c.wait(hours=2)
        plan = dict(c.ask(plans.draw(c.service, CUSTOMER)))
        [row] = [one for one in plan["records"] if one["record"] == ann]
        assert (row["link"]["contact"], row["link"]["evidence"]) == (str(number), ["address_exact", "name_equal"])
        [asked] = plan["questions"]
        assert (asked["record"], asked["reason"]) == (bob, "name_differs")
        assert [one["evidence"] for one in asked["candidates"]] == [["address_exact", "name_nickname"]]
        assert "example" not in str(plan["questions"])


def test_our_reference_on_somebody_without_the_address_is_a_question() -> None:
    with Crossing() as c:
        ann = c.person()
        zed = c.household("zed@example.org", "Zed", "Quill", contactReferences=[{"source": SOURCE, "id": ann}])
        c.connect()
        c.wait(hours=1)
        assert c.standing(ann) == ("parked", "reference_without_address")
        [row] = shown(c, ann)["alternatives"]
        assert (row["contact"], row["evidence"]) == (str(zed), ["reference", "name_differs"])
        assert c.v.waiting(CUSTOMER) == []
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Zed"
