"""Writes whose answer is lost: looked for before they are repeated, so that each has one effect."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from keepstep_sandbox.faults import is_write
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Crossing, emails, methods

PLACE = {"kind": "home", "street": "1 Main St", "city": "Everett", "state": "WA", "postal_code": "98201"}
MOVED = {**PLACE, "street": "2 Oak Ave"}
NUMBER, OTHER = [("mobile", "202-555-0111")], [("mobile", "202-555-0122")]
# Changes of everything move updated_at here, so that the hourly poll sees them all (CC facts 5.4).
SOON = {f"updated_at_on_{name}": "yes" for name in ("deletion", "list", "phone", "address")}


@dataclass(frozen=True, slots=True)
class Write:
    """One kind of write: its call, what makes it needed, and what is there in the end.

    `happens` gets the crossing, a person who is in step, and a list; `person` is who that is, `listed` if on the list.
    """

    method: str
    path: str
    happens: Callable[[Crossing, str, str], object]
    seen: Callable[[Crossing, str], object]
    after: object
    person: dict[str, Any] = field(default_factory=dict)
    listed: bool = False


def phones(c: Crossing, ann: str) -> list[str]:
    return [one["value"] for one in methods(c.there(ann), "phone")]


def streets(c: Crossing, ann: str) -> list[str]:
    return [one["address1"] for one in c.there(ann)["contactAddresses"]]


def tags(c: Crossing, ann: str) -> list[str]:
    return list(c.there(ann)["tags"])


def lists(c: Crossing, ann: str) -> int:
    return len(c.here(ann)["list_memberships"])


def contact(c: Crossing, ann: str) -> int:
    return int(c.there(ann)["id"])


WRITES: dict[str, Write] = {
    "set_person": Write(
        "PUT",
        "/api/ContactIndividual/",
        lambda c, ann, _: c.edits(ann, first_name="Anna"),
        lambda c, ann: c.there(ann)["contactIndividuals"][0]["firstName"],
        "Anna",
    ),
    "set_email": Write(
        "PUT",
        "/api/ContactMethod/",
        lambda c, ann, _: c.edits(ann, email="new@example.org"),
        lambda c, ann: [one["value"] for one in emails(c.there(ann))],
        ["new@example.org"],
    ),
    "add_phone": Write(
        "POST", "/api/ContactMethod", lambda c, ann, _: c.edits(ann, phones=NUMBER), phones, ["202-555-0111"]
    ),
    "set_phone": Write(
        "PUT",
        "/api/ContactMethod/",
        lambda c, ann, _: c.edits(ann, phones=OTHER),
        phones,
        ["202-555-0122"],
        {"phones": NUMBER},
    ),
    "add_address": Write(
        "POST", "/api/ContactAddress", lambda c, ann, _: c.edits(ann, addresses=[PLACE]), streets, ["1 Main St"]
    ),
    "set_address": Write(
        "PUT",
        "/api/ContactAddress/",
        lambda c, ann, _: c.edits(ann, addresses=[MOVED]),
        streets,
        ["2 Oak Ave"],
        {"addresses": [PLACE]},
    ),
    "set_consent": Write(
        "PUT", "/api/ContactMethod/", lambda c, ann, _: c.opts_out(ann), lambda c, ann: c.consents(ann), [False]
    ),
    "note": Write(
        "POST",
        "/api/ContactNote",
        lambda c, ann, _: c.cc.delete(CUSTOMER, ann, c.now()),
        lambda c, ann: len(c.there(ann)["notes"]),
        1,
    ),
    "add_tag": Write(
        "POST",
        "/api/ContactTag",
        lambda c, ann, news: c.cc.person_joins(CUSTOMER, ann, news, c.now()),
        tags,
        ["CC: Newsletter"],
    ),
    "remove_tag": Write(
        "DELETE",
        "/api/ContactTag",
        lambda c, ann, news: c.cc.person_leaves(CUSTOMER, ann, news, c.now()),
        tags,
        [],
        listed=True,
    ),
    "opt_out": Write(
        "PUT",
        "/v3/contacts/",
        lambda c, ann, _: c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now()),
        lambda c, ann: c.permission(ann),
        "unsubscribed",
    ),
    "join": Write(
        "POST",
        "/v3/activities/add_list_memberships",
        lambda c, ann, _: c.v.staff_adds_tag(CUSTOMER, contact(c, ann), "CC: Newsletter", c.now()),
        lists,
        1,
    ),
    "leave": Write(
        "POST",
        "/v3/activities/remove_list_memberships",
        lambda c, ann, _: c.v.staff_removes_tag(CUSTOMER, contact(c, ann), "CC: Newsletter", c.now()),
        lists,
        0,
        listed=True,
    ),
}
CASES = [(kind, fault) for kind in WRITES for fault in ("reset_after", "reset_before")]
CASES += [(kind, fault) for kind in ("set_person", "opt_out", "join") for fault in ("truncated", "500", "html")]


@pytest.mark.parametrize(("kind", "fault"), CASES)
def test_a_write_whose_answer_is_lost_has_one_effect(kind: str, fault: str) -> None:
    write = WRITES[kind]
    with Crossing(cc=SOON) as c:
        news = c.a_list("Newsletter")
        ann = c.person(**write.person, lists=[news] if write.listed else [])
        c.connect()
        c.night()
        written = len(c.writes())
        c.faults.arm(fault, method=write.method, path=write.path)
        write.happens(c, ann, news)
        c.wait(hours=2)
        assert c.faults.armed == [], "the write was never tried"
        assert write.seen(c, ann) == write.after
        assert effects(c, ann, write.path, written) == 1
        assert c.letters() == []


@pytest.mark.parametrize("fault", ["reset_after", "reset_before", "truncated", "500"])
def test_a_submission_whose_answer_is_lost_makes_one_contact(fault: str) -> None:
    """An import shows nothing before it runs: only a batch that ran others proves that a lost row never arrived."""
    with Crossing() as c:
        ann = c.person()
        c.faults.arm(fault, method="POST", path="/api/Contact/Transaction")
        c.connect()
        c.person("bob@example.org", "Bob", "Roe")
        c.wait(hours=1)
        c.night()
        c.wait(hours=2)
        c.night()
        assert len(c.carriers(ann)) == 1 and len(c.everybody()) == 2
        assert len([one for one in c.writes() if b"ann@example.org" in one.request.body]) == 1
        assert c.letters() == []


def overtaken(c: Crossing, happens: Callable[[Crossing, str], object]) -> tuple[str, int]:
    """Somebody whose submission lost its answer and to whom something happens while it waits for staff, who run the row
    of somebody else. The person and the row that is left."""
    ann = c.person()
    c.faults.arm("reset_after", method="POST", path="/api/Contact/Transaction")
    c.connect()
    c.person("bob@example.org", "Bob", "Roe")
    c.wait(hours=1.2)
    happens(c, ann)
    c.night()
    c.wait(hours=2)
    mine, bob = c.v.waiting(CUSTOMER)
    c.v.resolve(CUSTOMER, bob["id"], "create", c.now())
    c.wait(hours=1.5)
    return ann, int(mine["id"])


def test_of_whoever_opted_out_a_lost_submission_is_waited_for_and_closed_when_staff_run_it_late() -> None:
    """Created beside it, the person would be there twice, and once open."""
    with Crossing(v={"import-run": "manual"}) as c:
        ann, row = overtaken(c, lambda c, ann: c.opts_out(ann))
        c.wait(days=2)
        assert c.carriers(ann) == [] and c.standing(ann) == ("pending", "submission_waiting")
        c.v.resolve(CUSTOMER, row, "create", c.now())
        c.wait(hours=1)
        assert c.consents(ann) == [False] and c.standing(ann) == ("in_step", "")


def test_whoever_bounced_before_a_lost_submission_went_again_is_decided_as_soon_as_it_is_given_up() -> None:
    """Not by the next sweep."""
    with Crossing(v={"import-run": "manual"}) as c:
        ann, _ = overtaken(c, bounces)
        assert c.standing(ann) == ("left_out", "bounced")


def bounces(c: Crossing, record: str) -> None:
    c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=[record])
    c.cc.bounce(CUSTOMER, record, "B", c.now())


def effects(c: Crossing, record: str, path: str, written: int) -> int:
    """How many calls changed something; of a job, how often it changed the person."""
    if path.startswith("/v3/activities"):
        return len([one for _, one in c.cc.background if record in one.record and one.field == "list_memberships"])
    return len([one for one in c.writes()[written:] if one.request.path.startswith(path)])


@pytest.mark.parametrize("fault", ["reset_after", "reset_before"])
def test_a_direct_creation_whose_answer_is_lost_makes_one_contact(fault: str) -> None:
    with Crossing() as c:
        out = c.person("out@example.org", permission="unsubscribed")
        left = [fault]

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if (request.method, request.path) == ("POST", "/api/Contact") and left:
                c.faults.arm(left.pop(), path="/api/Contact")
            return handle()

        c.wire = wire
        c.connect()
        c.wait(hours=2)
        assert left == [] and len(c.carriers(out)) == 1
        assert c.consents(out) == [False]


@pytest.mark.parametrize("fault", ["reset_after", "reset_before"])
def test_a_link_whose_answer_is_lost_is_made_once(fault: str) -> None:
    with Crossing() as c:
        c.household("ann@example.org")
        ann = c.person()
        c.faults.arm(fault, vendor="virtuous", method="POST", path="/api/ContactReference")
        c.connect()
        c.wait(hours=1)
        assert c.there(ann)["contactReferences"] == [{"source": "Constant Contact", "id": ann}]
        assert c.standing(ann) == ("in_step", "")


def test_every_write_of_a_day_loses_its_answer_and_the_end_is_the_same() -> None:
    with Crossing(cc=SOON) as c:
        seen: set[tuple[str, str, bytes]] = set()

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            once = (request.method, request.path, request.body)
            if is_write(request.method, request.path) and once not in seen:
                seen.add(once)
                c.faults.arm("reset_after", method=request.method, path=request.path)
            return handle()

        c.wire = wire
        news = c.a_list("Newsletter")
        ann, bob = c.person(lists=[news]), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        c.wait(hours=2)
        c.edits(ann, first_name="Anna", phones=[("mobile", "202-555-0111")])
        c.opts_out(bob)
        c.wait(hours=5)
        contact = c.there(ann)
        assert contact["contactIndividuals"][0]["firstName"] == "Anna"
        assert len(methods(contact, "phone")) == 1
        assert contact["tags"] == ["CC: Newsletter"]
        assert c.consents(bob) == [False]
        assert len(c.everybody()) == 2
