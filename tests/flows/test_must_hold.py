"""What must hold whatever happens, read from the stand-ins' own effects and records, never from our tables."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keepstep.wiring import letters
from keepstep_sandbox.http import Effect, Request, Response
from keepstep_simulator.bothways import rest_of_audience, rest_of_crm
from tests.flows.crossing import CUSTOMER, DAY, HOUR, Crossing, Wire, emails
from tests.flows.test_consent import linked, method_of
from tests.flows.test_lists import lists_of

TAG = "CC: Newsletter"
ADDS = "/v3/activities/add_list_memberships"


def effects(c: Crossing) -> Iterator[Effect]:
    """What the product changed at either vendor, its jobs and submissions included, oldest first at each."""
    for call in c.calls:
        yield from call.answer.effects
    yield from (one for _at, one in (*c.cc.background, *c.v.background))


def turned_in(c: Crossing) -> list[Effect]:
    """Every address or method that we took from out to in."""
    return [
        one
        for one in effects(c)
        if (one.field == "isOptedIn" and one.before is False and one.after is True)
        or (one.field.endswith("permission_to_send") and one.before == "unsubscribed" and one.after != "unsubscribed")
    ]


def out_everywhere(c: Crossing, record: str) -> bool:
    """May not be mailed on either side, was never let in by us, and is on no list by us."""
    return c.permission(record) == "unsubscribed" and c.consents(record) == [False] and turned_in(c) == []


# --- an edit made during our own read-modify-write ---


def before_each(c: Crossing, method: str, path: str, do: Callable[[], None]) -> None:
    """Somebody does something once, right before the vendor hears the first such call of ours."""
    left = [do]

    def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
        if left and request.method == method and request.path.startswith(path):
            left.pop()()
        return handle()

    c.wire = wire


def test_an_edit_just_before_our_opt_out_reads_the_contact_survives_it() -> None:
    """Our PUT replaces the whole contact (CC facts 5.3): what it sends back is what it has just read."""
    with Crossing() as c:
        ann = linked(c)
        before_each(c, "GET", f"/v3/contacts/{ann}", lambda: c.edits(ann, last_name="Leigh", phones=[("home", "1")]))
        c.v.staff_opts(CUSTOMER, method_of(c, ann), False, c.now())
        c.wait(hours=3)
        assert c.wire is not None and out_everywhere(c, ann)
        assert c.here(ann)["last_name"] == "Leigh"
        assert [one["phone_number"] for one in c.here(ann)["phone_numbers"]] == ["1"]


def test_staffs_edit_just_before_our_write_reads_the_individual_survives_or_is_a_conflict() -> None:
    """The write carries what the decision saw; whatever else is there is read and decided anew."""
    with Crossing() as c:
        ann = linked(c)
        one = c.there(ann)["contactIndividuals"][0]["id"]
        path = f"/api/ContactIndividual/{one}"
        before_each(c, "GET", path, lambda: c.v.staff_renames(CUSTOMER, one, c.now(), last_name="Staff"))
        c.edits(ann, last_name="Leigh")
        c.wait(hours=3)
        assert c.there(ann)["contactIndividuals"][0]["lastName"] == "Staff"
        assert [line["field"] for line in c.lines("conflict")] == ["last_name"]


# --- an opt-out is not undone ---


def test_a_stale_payload_undoes_no_opt_out() -> None:
    """A delivery that says `isOptedIn: true` arrives after the opt-out, and once more a day later."""
    with Crossing() as c:
        ann = linked(c)
        c.v.delay_next(2, 3 * HOUR)
        c.v.staff_renames(CUSTOMER, c.there(ann)["contactIndividuals"][0]["id"], c.now(), last_name="Li")
        c.opts_out(ann)
        c.wait(hours=1)
        assert out_everywhere(c, ann)
        c.v.duplicate_next(3)
        c.wait(days=2)
        assert out_everywhere(c, ann)


def test_a_nightly_import_undoes_no_opt_out() -> None:
    """The row was submitted while the person was in; the opt-out came first on the other side, or on both."""
    with Crossing() as c:
        ann = c.person()
        c.connect()
        c.opts_out(ann)
        c.wait(hours=1)
        c.night()
        c.wait(days=3)
        assert out_everywhere(c, ann)


def test_a_first_read_of_everybody_undoes_no_opt_out() -> None:
    """Everybody is read from the beginning: the sweeps of both sides, each day."""
    with Crossing(cadence={"sweep": DAY, "crm_sweep": DAY}) as c:
        ann = linked(c)
        bob = c.person("bob@example.org", "Bob", "Roe")
        c.night()
        c.opts_out(ann)
        c.v.staff_opts(CUSTOMER, method_of(c, bob), False, c.now())
        c.wait(days=4)
        assert out_everywhere(c, ann) and out_everywhere(c, bob)


def refused_at(path: str) -> Wire:
    """Constant Contact takes no such call."""

    def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
        no = Response(400, {"Content-Type": "application/json"}, b'[{"error_key":"contacts.api.validation.error"}]')
        return no if request.path.startswith(path) else handle()

    return wire


def test_a_replayed_letter_undoes_no_opt_out() -> None:
    """A tag that Constant Contact refused to take; the person opts out; then the letter is replayed, twice."""
    with Crossing() as c:
        c.a_list("Newsletter")
        ann = linked(c)
        c.wire = refused_at(ADDS)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], TAG, c.now())
        c.wait(minutes=20)
        c.wire = None
        [letter] = c.ask(letters.listed(c.service, CUSTOMER, "open"))["letters"]
        c.opts_out(ann)
        c.wait(hours=1)
        before = len(c.made("POST", ADDS))
        for _ in range(2):
            c.ask(letters.replayed(c.service, CUSTOMER, letter["id"], "olga"))
            c.wait(hours=1)
        assert out_everywhere(c, ann)
        assert (lists_of(c, ann), len(c.made("POST", ADDS))) == ([], before)


@pytest.mark.parametrize("survivor", ["out", "in"])
def test_a_merge_undoes_no_opt_out(survivor: str) -> None:
    """Two households become one, of which one person is out: no tag of the other one puts them on a list."""
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann, bob = c.person(lists=[news]), c.person("bob@example.org", "Bob", "Roe", lists=[news])
        c.connect()
        c.night()
        c.opts_out(bob)
        c.wait(hours=1)
        loser, to = (ann, bob) if survivor == "out" else (bob, ann)
        c.v.staff_merges(CUSTOMER, c.there(loser)["id"], c.there(to)["id"], c.now())
        c.wait(days=2)
        kept = {one["value"]: one["isOptedIn"] for one in emails(c.there(ann))}
        assert kept == {"ann@example.org": True, "bob@example.org": False}
        assert (c.permission(ann), c.permission(bob)) == ("implicit", "unsubscribed")
        assert turned_in(c) == []


def test_a_backup_of_a_week_ago_undoes_no_opt_out() -> None:
    """The database of a week ago is put back: what people did that week stays as they left it."""
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = c.person(lists=[news])
        bob, cat = c.person("bob@example.org", "Bob", "Roe"), c.person("cat@example.org", "Cat", "Nye", lists=[news])
        dan = c.person("dan@example.org", "Dan", "Orr")
        c.connect()
        c.night()
        backup = c.db.dump()
        c.opts_out(ann)
        c.v.staff_opts(CUSTOMER, method_of(c, bob), False, c.now())
        c.cc.person_leaves(CUSTOMER, cat, news, c.now())
        c.cc.delete(CUSTOMER, dan, c.now())
        c.wait(days=7)
        c.db.load(backup)
        c.open()
        calls = len(c.made("POST", "/api/Contact/Batch")) + len(c.made("POST", "/api/Contact/Transaction"))
        c.wait(days=3)
        assert out_everywhere(c, ann) and out_everywhere(c, bob)
        assert lists_of(c, cat) == []
        assert "deleted_at" in c.here(dan) and c.consents(dan) == [False]
        assert calls == len(c.made("POST", "/api/Contact/Batch")) + len(c.made("POST", "/api/Contact/Transaction"))
        assert all(len(c.carriers(one)) == 1 for one in (ann, bob, cat, dan))


def hears(c: Crossing, off: float) -> None:
    """From now on the clocks of both vendors are so many seconds ahead of ours."""
    hear_cc, hear_v = c.cc.handle, c.v.handle
    c.cc.handle = lambda request, now: hear_cc(request, now + off)  # type: ignore[method-assign]
    c.v.handle = lambda request, now: hear_v(request, now + off)  # type: ignore[method-assign]


@pytest.mark.parametrize("days", [1.0, 3.0, -3.0])
def test_a_clock_that_is_wrong_undoes_no_opt_out(days: float) -> None:
    """Ours is days behind both vendors', or ahead of them: no old way back is taken for a later one.

    A vendor whose own clock is set back finds its last calls still to come and turns everybody away: ours is ahead from
    the beginning.
    """
    with Crossing() as c:
        off = days * DAY
        news = c.a_list("Newsletter")
        if off < 0:
            hears(c, off)
        ann = linked(c)
        if off > 0:
            hears(c, off)
        c.cc.person_opts_out(CUSTOMER, ann, c.now() + off)
        c.wait(hours=2)
        c.cc.person_opts_in(CUSTOMER, ann, c.now() + off)
        c.wait(hours=2)
        c.cc.person_opts_out(CUSTOMER, ann, c.now() + off)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], TAG, c.now() + off)
        c.wait(days=2)
        assert c.permission(ann) == "unsubscribed" and c.consents(ann) == [False]
        assert news not in lists_of(c, ann)


# --- a false that an import made ---


def test_imports_that_opt_nobody_in_opt_nobody_out() -> None:
    """Where imported methods are born `isOptedIn: false`, that false is nobody's choice (Virtuous facts 7.3)."""
    with Crossing(v={"opt-in-default": "false"}, cadence={"sweep": DAY, "crm_sweep": DAY}) as c:
        people = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}") for n in range(6)]
        c.connect()
        c.night()
        assert all(c.consents(one) == [False] for one in people)
        one = c.there(people[0])["contactIndividuals"][0]["id"]
        c.v.staff_renames(CUSTOMER, one, c.now(), last_name="Staff")  # a touch by staff makes it no choice either
        c.edits(people[1], last_name="Person")
        c.wait(days=5)
        assert {c.permission(one) for one in people} == {"implicit"}
        assert c.made("PUT", "/v3/contacts") == []


# --- deletions stay where they are ---


def test_a_deletion_on_one_side_deletes_nobody_on_the_other() -> None:
    with Crossing() as c:
        ann = linked(c)
        bob, cat = c.person("bob@example.org", "Bob", "Roe"), c.person("cat@example.org", "Cat", "Nye")
        c.night()
        c.cc.delete(CUSTOMER, ann, c.now())
        c.v.staff_archives(CUSTOMER, c.there(bob)["id"], c.now())
        c.v.staff_sets_deceased(CUSTOMER, c.there(cat)["contactIndividuals"][0]["id"], c.now())
        c.wait(days=4)
        assert "deleted_at" in c.here(ann) and not c.there(ann).get("isArchived")
        assert "deleted_at" not in c.here(bob) and "deleted_at" not in c.here(cat)
        gone = [one for one in effects(c) if one.field in ("deleted_at", "isArchived") and one.before is not None]
        assert gone == []
        assert c.made("DELETE", "/v3/contacts") == [] == c.made("DELETE", "/api/Contact/")


# --- what is not mapped ---


def everything_filled(c: Crossing) -> str:
    """Somebody of whom both sides know much more than what travels."""
    shoe = c.cc.add_custom_field(CUSTOMER, "Shoe size", c.now())
    ann = c.person(
        company_name="Acme",
        job_title="Captain",
        birthday_month=4,
        birthday_day=24,
        anniversary="2006-11-15",
        phones=[("mobile", "202-555-0101"), ("work", "202-555-0102")],
    )
    c.cc.set_custom_field(CUSTOMER, ann, shoe, c.now(), "44")
    individual = {
        "firstName": "Ann",
        "lastName": "Lee",
        "middleName": "Q.",
        "suffix": "PhD",
        "prefix": "Dr.",
        "gender": "Female",
        "birthMonth": 4,
        "birthDay": 24,
        "birthYear": 1980,
        "passion": "rivers",
        "contactMethods": [{"type": "Home Email", "value": "ann@example.org", "isOptedIn": True, "isPrimary": True}],
    }
    c.v.add_contact(
        CUSTOMER,
        c.now(),
        contactIndividuals=[individual],
        description="A friend",
        website="https://example.org",
        maritalStatus="Married",
        tags=["Board", "Major Donor"],
    )
    return ann


def test_what_is_not_mapped_is_equal_before_and_after_a_week_of_edits() -> None:
    """Byte by byte, on both sides, though our writes replace whole records."""
    with Crossing(v={"put-individual": "replace", "put-contact": "replace", "put-method": "replace"}) as c:
        c.a_list("Newsletter")
        ann = everything_filled(c)
        c.connect()
        c.night()
        audience, crm = rest_of_audience(c.here(ann)), rest_of_crm(c.there(ann))
        assert audience["job_title"] == "Captain" and crm["tags"] == ["Board", "Major Donor"]
        c.edits(ann, last_name="Leigh", email="new@example.org", phones=[("mobile", "202-555-0199")])
        c.wait(days=1)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], TAG, c.now())
        c.wait(days=1)
        c.v.staff_opts(CUSTOMER, method_of(c, ann), False, c.now())
        c.wait(days=2)
        assert len(c.made("PUT")) >= 3
        assert rest_of_audience(c.here(ann)) == audience
        assert rest_of_crm(c.there(ann)) == crm


# --- webhooks change timing only ---


def states(c: Crossing, people: list[str]) -> list[Any]:
    """What both sides say of these people, without the vendors' own numbers and stamps."""
    found = []
    for one in people:
        here, there = c.here(one), c.there(one)
        mail = {"address": here["email_address"].get("address"), "may": here["email_address"]["permission_to_send"]}
        methods = sorted((m["type"], m["value"], m["isOptedIn"]) for m in emails(there))
        names = [(person["firstName"], person["lastName"]) for person in there["contactIndividuals"]]
        found.append((mail, here["last_name"], sorted(lists_of(c, one)), sorted(there["tags"]), names, methods))
    return found


def week_of_hooks(astray: Callable[[Crossing], None]) -> list[Any]:
    """One story of both sides; what happens to its webhooks is the caller's."""
    with Crossing(cadence={"crm_changed": HOUR}) as c:
        news, gala = c.a_list("Newsletter"), c.a_list("Gala")
        people = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}", lists=[news, gala][: n % 3]) for n in range(5)]
        c.connect()
        c.night()
        for n, one in enumerate(people):
            there = c.there(one)
            astray(c)
            c.v.staff_renames(CUSTOMER, there["contactIndividuals"][0]["id"], c.now(), last_name=f"Staff{n}")
            c.v.staff_adds_tag(CUSTOMER, there["id"], TAG, c.now())
            c.wait(hours=2)
            c.v.staff_removes_tag(CUSTOMER, there["id"], "CC: Gala", c.now())
            if n % 2:
                c.v.staff_opts(CUSTOMER, method_of(c, one), False, c.now())
            c.wait(hours=3)
        c.wait(days=2)
        assert c.letters() == []
        return states(c, people)


def _reordered(c: Crossing) -> None:
    c.v.reorder_next(2)
    c.v.delay_next(1, 4 * HOUR)


ASTRAY: dict[str, Callable[[Crossing], None]] = {
    "lost": lambda c: c.v.lose_next(100),
    "doubled": lambda c: c.v.duplicate_next(100),
    "reordered": _reordered,
    "late": lambda c: c.v.delay_next(100, 5 * HOUR),
}


@pytest.fixture(scope="module")
def undisturbed() -> list[Any]:
    """The same story with every webhook in time."""
    return week_of_hooks(lambda _c: None)


@pytest.mark.parametrize("how", sorted(ASTRAY))
def test_whatever_happens_to_webhooks_the_end_is_the_same(how: str, undisturbed: list[Any]) -> None:
    assert week_of_hooks(ASTRAY[how]) == undisturbed
    assert any(state[5][0][2] is False for state in undisturbed)
