"""People whom only Virtuous has: left alone, remembered as external, or created at Constant Contact."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from keepstep.state import strangers
from keepstep.wiring import letters
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Crossing, emails

EVIDENCE = "Everybody in our CRM signed the paper form of 2024 that asks for our letters."
CREATE = {"crm_only": "create", "permission_evidence": EVIDENCE}


def counted(c: Crossing) -> dict[str, Any]:
    return dict(c.ask(c.service.db.run(strangers.counted, CUSTOMER)))


def by_address(c: Crossing, address: str) -> list[dict[str, Any]]:
    """Everybody at Constant Contact with this address, deleted ones too."""
    return [one for one in c.cc.contacts(CUSTOMER) if (one.get("email_address") or {}).get("address") == address]


def created(c: Crossing) -> list[Any]:
    return [one for one in c.made("POST", "/v3/contacts") if one.request.path == "/v3/contacts"]


def submitted(c: Crossing) -> list[Any]:
    return c.made("POST", "/api/Contact/Batch") + c.made("POST", "/api/Contact/Transaction")


def a_stranger(c: Crossing, mail: str = "bob@example.org", first: str = "Bob", last: str = "Poe", **more: Any) -> int:
    return c.household(mail, first, last, **{"tags": ["CC: News"], **more})


# --- the three policies ----------------------------------------------------------------------------------------------


def test_who_is_only_there_is_left_alone_by_default() -> None:
    with Crossing() as c:
        c.a_list("News")
        a_stranger(c)
        c.connect()
        c.wait(hours=1)
        assert created(c) == [] and counted(c)["external"] == 0


def test_who_is_only_there_is_remembered_and_matched_when_they_appear() -> None:
    with Crossing(policy={"crm_only": "external"}) as c:
        news = c.a_list("News")
        a_stranger(c)
        c.connect()
        c.wait(hours=1)
        assert counted(c) == {"external": 1, "wanted": 0, "enrolled": 0, "left_out": 0, "left_out_reasons": {}}
        assert created(c) == []
        bob = c.person("bob@example.org", "Bob", "Poe", lists=[news])
        c.wait(hours=2)
        assert c.standing(bob) == ("in_step", "")
        assert len(c.everybody()) == 1 and counted(c)["external"] == 0


def test_who_is_only_there_is_created_once_on_the_list_of_the_tag_and_linked() -> None:
    with Crossing(policy=CREATE) as c:
        news = c.a_list("News")
        there = a_stranger(c, address={"address1": "1 Main St", "city": "Mesa", "state": "AZ", "postal": "85201"})
        c.connect()
        c.wait(minutes=20)
        [bob] = by_address(c, "bob@example.org")
        assert (bob["first_name"], bob["last_name"]) == ("Bob", "Poe")
        assert bob["email_address"]["permission_to_send"] == "implicit" and bob["create_source"] == "Account"
        assert bob["list_memberships"] == [news]
        assert c.there(bob["contact_id"])["id"] == there
        assert c.standing(bob["contact_id"]) == ("in_step", "")
        assert len(created(c)) == 1 and submitted(c) == []
        [said] = c.lines("enrolled")
        assert said["evidence"] == EVIDENCE and said["record"] == bob["contact_id"]
        written = len(c.writes())
        c.wait(hours=25)
        assert len(c.writes()) == written and len(c.everybody()) == 1
        assert counted(c)["enrolled"] == 1


# --- who is not ------------------------------------------------------------------------------------------------------


def left_out(c: Crossing, reason: str) -> None:
    """Nobody was created, for this reason."""
    assert created(c) == [] or all(one.answer.status == 409 for one in created(c))
    assert counted(c)["left_out_reasons"] == {reason: 1}


def silent(_vendor: str, _request: Request, handle: Callable[[], Response]) -> Response:
    """A Virtuous that does not say whether anybody is opted in."""
    answer = handle()
    return replace(answer, body=answer.body.replace(b'"isOptedIn"', b'"isOptedInOrNot"'))


def test_nobody_is_created_from_a_method_that_is_opted_out() -> None:
    with Crossing(policy=CREATE) as c:
        c.a_list("News")
        a_stranger(c, opted_in=False)
        c.connect()
        c.wait(minutes=20)
        left_out(c, "opted_out_in_crm")


def test_nobody_is_created_from_a_method_that_does_not_say() -> None:
    with Crossing(policy=CREATE) as c:
        c.wire = silent
        c.a_list("News")
        a_stranger(c)
        c.connect()
        c.wait(minutes=20)
        assert created(c) == []
        left_out(c, "consent_unknown")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"deceased": True}, "deceased"),
        ({"tags": []}, "no_list"),
        ({"tags": ["CC: Unheard of"]}, "no_list"),
        ({"archived": True}, "archived"),
    ],
)
def test_who_would_be_on_no_list_or_is_put_away_is_not_created(more: dict[str, Any], reason: str) -> None:
    with Crossing(policy=CREATE) as c:
        c.a_list("News")
        there = a_stranger(c, **{name: value for name, value in more.items() if name == "tags"})
        if "archived" in more:
            c.v.staff_archives(CUSTOMER, there, c.now())
        if "deceased" in more:
            [one] = c.everybody()[0]["contactIndividuals"]
            c.v.staff_sets_deceased(CUSTOMER, one["id"], c.now())
        c.connect()
        c.wait(minutes=20)
        assert created(c) == []
        assert counted(c)["left_out_reasons"] == {reason: 1}


def test_who_has_no_tag_goes_on_the_routes_own_list() -> None:
    with Crossing(policy={**CREATE, "crm_only_list": "news"}) as c:
        news = c.a_list("News")
        a_stranger(c, tags=[])
        c.connect()
        c.wait(minutes=20)
        [bob] = by_address(c, "bob@example.org")
        assert bob["list_memberships"] == [news]
        assert "CC: News" in str(c.there(bob["contact_id"])["tags"])


@pytest.mark.parametrize("finds", ["yes", "no"])
@pytest.mark.parametrize("wording", ["with_id", "without_id"])
def test_a_deleted_contact_is_never_revived(wording: str, finds: str) -> None:
    with Crossing(cc={"conflict_wording": wording, "email_finds_deleted": finds}, policy=CREATE) as c:
        c.a_list("News")
        c.connect()
        c.wait(hours=1)
        bob = c.person("bob@example.org", "Bob", "Poe")
        c.cc.delete(CUSTOMER, bob, c.now())
        a_stranger(c)
        c.wait(minutes=20)
        assert c.here(bob).get("deleted_at") and len(by_address(c, "bob@example.org")) == 1
        left_out(c, "deleted_at_cc")


def test_who_has_left_a_list_for_good_is_never_put_back_by_another_record() -> None:
    """The ledger knows the address, whoever has it now and wherever."""
    with Crossing(policy=CREATE) as c:
        news = c.a_list("News")
        bob = c.person("bob@example.org", "Bob", "Poe", lists=[news])
        c.connect()
        c.night()
        c.opts_out(bob)
        c.wait(hours=1)
        [method] = emails(c.there(bob))
        c.v.staff_sets_email(CUSTOMER, method["id"], c.now(), value="bob@elsewhere.example")
        c.edits(bob, email="bob@elsewhere.example")
        c.wait(hours=2)
        a_stranger(c, first="Other", last="Record")
        c.wait(hours=1)
        assert by_address(c, "bob@example.org") == [] and created(c) == []
        left_out(c, "opted_out")


def test_who_was_opted_out_over_there_meanwhile_stays_out() -> None:
    with Crossing(policy=CREATE) as c:
        c.a_list("News")
        c.connect()
        c.wait(hours=1)
        bob = c.person("bob@example.org", "Bob", "Poe", permission="unsubscribed")
        a_stranger(c)
        c.wait(hours=2)
        assert c.permission(bob) == "unsubscribed" and len(by_address(c, "bob@example.org")) == 1
        assert c.there(bob)["contactIndividuals"][0]["lastName"] == "Poe"
        assert all(one.answer.status == 409 for one in created(c)) and len(c.everybody()) == 1
        assert c.consents(bob) == [False]


def test_whom_constant_contact_has_by_now_is_left_to_matching() -> None:
    with Crossing(policy=CREATE) as c:
        news = c.a_list("News")
        c.connect()
        c.wait(hours=1)
        bob = c.person("bob@example.org", "Bob", "Poe", lists=[news])
        there = a_stranger(c)
        c.wait(hours=2)
        assert all(one.answer.status == 409 for one in created(c))
        assert c.there(bob)["id"] == there and len(c.everybody()) == 1
        assert c.standing(bob) == ("in_step", "") and submitted(c) == []


def test_one_address_on_two_contacts_is_nobodys() -> None:
    with Crossing(policy=CREATE) as c:
        c.a_list("News")
        a_stranger(c)
        a_stranger(c, first="Robert")
        c.connect()
        c.wait(minutes=20)
        assert created(c) == []
        assert counted(c)["left_out_reasons"] == {"several_contacts": 2}


# --- households ------------------------------------------------------------------------------------------------------


def spouse(address: str, **more: Any) -> dict[str, Any]:
    method = {"type": "Home Email", "value": address, "isOptedIn": True, "isPrimary": True}
    return {"firstName": "Eve", "lastName": "Poe", "isPrimary": False, "contactMethods": [method], **more}


@pytest.mark.parametrize("goes_to", ["primary", "all"])
def test_a_tag_of_a_household_means_its_first_person_or_everybody_with_an_own_address(goes_to: str) -> None:
    with Crossing(policy={**CREATE, "added_tag_goes_to": goes_to}) as c:
        c.a_list("News")
        a_stranger(c, others=[spouse("eve@example.org"), spouse("bob@example.org")])
        c.connect()
        c.wait(minutes=20)
        assert len(by_address(c, "bob@example.org")) == 1
        assert len(by_address(c, "eve@example.org")) == (goes_to == "all")
        assert len(created(c)) == 1 + (goes_to == "all")
        assert set(c.standings()) == {"in_step"} and len(c.everybody()) == 1


def test_a_household_that_has_somebody_on_lists_already_is_that_persons() -> None:
    with Crossing(policy={**CREATE, "added_tag_goes_to": "all"}) as c:
        news = c.a_list("News")
        bob = c.person("bob@example.org", "Bob", "Poe", lists=[news])
        a_stranger(c, others=[spouse("eve@example.org")])
        c.connect()
        c.wait(hours=2)
        assert c.standing(bob) == ("in_step", "")
        assert created(c) == [] and by_address(c, "eve@example.org") == []


# --- once, whatever is lost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quick", ["look", "poll"])
@pytest.mark.parametrize("fault", ["reset_after", "reset_before", "truncated", "500"])
def test_a_creation_whose_answer_is_lost_is_made_once_and_never_submitted(fault: str, quick: str) -> None:
    # With a poll every minute the new contact is read before anybody looks what became of the call.
    with Crossing(policy=CREATE, cadence={"changed": 60.0} if quick == "poll" else {}) as c:
        c.a_list("News")
        there = a_stranger(c)
        c.faults.arm(fault, vendor="constant_contact", method="POST", path="/v3/contacts")
        c.connect()
        c.wait(hours=2)
        [bob] = by_address(c, "bob@example.org")
        assert c.faults.armed == [] and len([one for one in created(c) if one.answer.effects]) == 1
        assert c.there(bob["contact_id"])["id"] == there and len(c.everybody()) == 1
        assert submitted(c) == [] and c.letters() == []
        assert c.standing(bob["contact_id"]) == ("in_step", "") and counted(c)["enrolled"] == 1


def test_a_poll_that_shows_the_new_contact_first_makes_no_second_party() -> None:
    """The process dies between the call and its record."""
    with Crossing(policy=CREATE, cadence={"changed": 60.0}) as c:
        c.a_list("News")
        there = a_stranger(c)
        c.connect()

        class Dead(BaseException):
            """No answer, no record, no process."""

        def dies(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            answer = handle()
            if (request.method, request.path) == ("POST", "/v3/contacts"):
                c.wire = None
                raise Dead
            return answer

        if not created(c):
            c.wire = dies
            with pytest.raises(Dead):
                c.wait(hours=1)
        c.open()
        c.wait(minutes=20)
        [bob] = by_address(c, "bob@example.org")
        assert len(created(c)) <= 1 and c.there(bob["contact_id"])["id"] == there
        assert len(c.everybody()) == 1 and submitted(c) == []
        assert c.standing(bob["contact_id"]) == ("in_step", "")


def test_a_refused_creation_is_a_dead_letter_and_not_tried_again() -> None:
    with Crossing(policy=CREATE) as c:
        c.a_list("News")
        a_stranger(c, "bob@nodomain")
        c.connect()
        c.wait(hours=2)
        [letter] = c.letters()
        assert len(created(c)) == 1 and letter["kind"] == "enrol"
        assert counted(c)["left_out_reasons"] == {"refused_by_vendor": 1}


def test_a_refused_creation_is_tried_again_when_its_letter_is_replayed() -> None:
    with Crossing(policy=CREATE) as c:
        c.a_list("News")
        a_stranger(c, "bob@nodomain")
        c.connect()
        c.wait(minutes=20)
        [letter] = c.letters()
        done = c.ask(letters.replayed(c.service, CUSTOMER, letter["id"], "somebody"))
        assert done["changed"]
        c.wait(minutes=20)
        assert len(created(c)) == 2


# --- held ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["observe", "one_way"])
def test_a_stage_that_writes_nothing_there_creates_nobody_there(stage: str) -> None:
    with Crossing(policy={**CREATE, "stage": stage}) as c:
        c.a_list("News")
        a_stranger(c)
        c.connect()
        c.wait(hours=1)
        assert created(c) == []
        held = c.status()["steps_held"]
        assert held == {"shadow gate" if stage == "observe" else "one_way gate": 1}
        assert c.status()["crm_only"]["wanted"] == 1
        c.policy = replace(c.policy, crm_only="leave", stage="both")
        c.open()
        c.wait(hours=1)
        assert created(c) == [] and c.status()["steps_held"] == {}


def test_a_route_that_begins_to_create_reads_the_crm_again() -> None:
    with Crossing() as c:
        c.a_list("News")
        a_stranger(c)
        c.connect()
        c.wait(hours=2)
        c.policy = replace(c.policy, **CREATE)
        c.open()
        c.wait(hours=2)
        assert len(by_address(c, "bob@example.org")) == 1
