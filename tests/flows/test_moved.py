"""Staff take people to another household, and merge contacts: consent and reference follow, whatever moves along."""

import pytest

from keepstep.wiring import proof
from keepstep_sandbox.http import Request
from tests.flows.crossing import CUSTOMER, SOURCE, Crossing, emails, key_of
from tests.flows.test_lists import lists_of
from tests.flows.test_matching import a_person


def move(c: Crossing, record: str, contact: int) -> None:
    """The individual with the person's address goes to another contact."""
    address = c.here(record)["email_address"]["address"]
    people = [one for contact in c.everybody() for one in contact["contactIndividuals"]]
    [mine] = [one for one in people if address in [method["value"] for method in one["contactMethods"] or ()]]
    c.v.staff_moves_individual(CUSTOMER, mine["id"], contact, c.now())


def opt(c: Crossing, record: str, opted_in: bool = False) -> None:
    address = c.here(record)["email_address"]["address"]
    [method] = [one for contact in c.everybody() for one in emails(contact) if one["value"] == address]
    c.v.staff_opts(CUSTOMER, method["id"], opted_in, c.now())


def two(c: Crossing) -> tuple[str, str]:
    """Ann and Bob of two households, linked."""
    ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
    c.connect()
    c.night()
    return ann, bob


@pytest.mark.parametrize("first", ["opt", "move"])
def test_an_opt_out_of_staff_is_found_wherever_the_person_was_taken_before_we_read_it(first: str) -> None:
    with Crossing() as c:
        ann, bob = two(c)
        host = c.there(bob)["id"]
        for act in ("opt", "move") if first == "opt" else ("move", "opt"):
            opt(c, ann) if act == "opt" else move(c, ann, host)
        c.wait(hours=2)
        assert c.permission(ann) == "unsubscribed"
        assert c.permission(bob) != "unsubscribed"
        assert c.there(ann)["id"] == host, "the reference is where the person is"


def test_who_was_taken_to_a_household_of_ours_is_in_step_there_and_an_edit_crosses() -> None:
    with Crossing() as c:
        news = c.a_list("News")
        ann, bob = c.person(lists=[news]), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        left = c.there(ann)["id"]
        move(c, ann, c.there(bob)["id"])
        c.wait(hours=1)
        assert c.standing(ann) == c.standing(bob) == ("in_step", "")
        assert [one["contact_id"] for one in c.cc.contacts(CUSTOMER) if news in lists_of(c, one["contact_id"])] == [ann]
        c.edits(ann, last_name="Leigh")
        c.wait(hours=2)
        assert "Leigh" in [one["lastName"] for one in c.there(ann)["contactIndividuals"]]
        assert [one["contactReferences"] for one in c.everybody() if one["id"] == left] == [[]]
        assert c.letters() == []
        before = len(c.writes())
        c.wait(days=2)
        assert len(c.writes()) == before


def test_whoever_stays_behind_keeps_household_reference_and_tag() -> None:
    """Also where the other household was nobody's of ours."""
    with Crossing() as c:
        news = c.a_list("News")
        c.household("ann@example.org", others=[a_person("Bob", "Lee", "bob@example.org")])
        elsewhere = c.household("cay@example.org", "Cay", "Stone")
        ann, bob = c.person(lists=[news]), c.person("bob@example.org", "Bob", "Lee", lists=[news])
        c.connect()
        c.night()
        home = c.there(bob)["id"]
        assert c.there(ann)["id"] == home
        move(c, ann, elsewhere)
        c.wait(hours=1)
        assert (c.there(ann)["id"], c.there(bob)["id"]) == (elsewhere, home)
        assert c.there(ann)["tags"] == c.there(bob)["tags"] == ["CC: News"]
        assert c.standing(ann) == c.standing(bob) == ("in_step", "")
        c.opts_out(bob)
        c.wait(hours=1)
        assert c.consents(ann) == [True, True], "nobody else is opted out by it"


def test_while_nobody_can_tell_where_somebody_is_nothing_widens_and_a_no_at_the_address_counts() -> None:
    """Staff enter the person anew elsewhere: the individual that we knew is nowhere any more."""
    with Crossing() as c:
        news = c.a_list("News")
        c.household("ann@example.org", others=[a_person("Zoe", "Lee", "zoe@example.org")])
        ann = c.person()
        c.connect()
        c.wait(hours=1)
        home = c.there(ann)
        gone = next(one["id"] for one in home["contactIndividuals"] if one["firstName"] == "Ann")
        c.household("ann@example.org", opted_in=False)
        headers = {"authorization": f"Bearer {key_of(CUSTOMER)}"}
        assert c.v.handle(Request("DELETE", f"/api/ContactIndividual/{gone}", "", headers, b""), c.now()).status == 200
        c.v.staff_adds_tag(CUSTOMER, home["id"], "CC: News", c.now())
        c.wait(days=2)
        assert c.standing(ann) == ("parked", "individual_gone")
        assert news not in lists_of(c, ann)
        told = c.ask(proof.may_mail(c.service, CUSTOMER, "ann@example.org"))
        assert "unknown" in str(told), told


@pytest.mark.parametrize("clash", ["400", "move"])
@pytest.mark.parametrize("read", ["200", "404"])
def test_after_a_merge_that_carried_people_only_our_reference_is_on_the_survivor(read: str, clash: str) -> None:
    with Crossing(v={"merge-carries": "people", "merged-read": read, "reference-clash": clash}) as c:
        news = c.a_list("News")
        ann, bob = c.person(lists=[news]), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        c.v.staff_merges(CUSTOMER, c.there(ann)["id"], c.there(bob)["id"], c.now())
        c.wait(hours=3)
        survivor = c.there(bob)
        assert {one["id"] for one in survivor["contactReferences"] if one["source"] == SOURCE} == {ann, bob}
        assert (survivor["tags"], lists_of(c, ann)) == (["CC: News"], [news])
        assert c.letters() == []
        assert c.standing(ann) == ("in_step", "")


def test_a_reference_that_staff_took_off_where_it_was_stays_off() -> None:
    with Crossing() as c:
        ann, _bob = two(c)
        home = c.there(ann)["id"]
        contact = c.v._organizations[CUSTOMER].contacts[home]
        contact.references.remove((SOURCE, ann))
        contact.body = None
        c.v.staff_sets_address(CUSTOMER, home, c.now(), city="Salem")
        c.wait(days=2)
        assert c.carriers(ann) == []


def test_a_merge_leaves_no_base_of_the_other_household_so_that_what_it_lacks_is_filled() -> None:
    """What was seen on the contact that is gone is no sign that staff cleared it on the one that is there."""
    with Crossing() as c:
        size = c.cc.add_custom_field(CUSTOMER, "Shirt Size", c.now())
        c.v.add_custom_field(CUSTOMER, "Shirt Size", c.now())
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.cc.set_custom_field(CUSTOMER, bob, size, c.now(), "L")
        c.connect()
        c.night()
        c.v.staff_merges(CUSTOMER, c.there(bob)["id"], c.there(ann)["id"], c.now())
        c.wait(hours=2)
        assert c.there(ann)["id"] == c.there(bob)["id"] and c.standings() == {"in_step": 2}
        assert [one["value"] for one in c.there(ann)["customFields"]] == ["L"]
