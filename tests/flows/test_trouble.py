"""What goes wrong on the wire and in the process: nothing is lost, nothing is done twice, nobody is hurried."""

from collections.abc import Callable

import pytest

from keepstep import queue
from keepstep.connectors.constant_contact import source
from keepstep.database import Inline
from keepstep_sandbox.faults import is_write
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, DAY, START, Crossing, emails, methods
from tests.flows.test_consent import linked

PLACE = {"kind": "home", "street": "1 Main St", "city": "Everett", "state": "WA", "postal_code": "98201"}
Story = Callable[[Crossing], None]


# --- limits ---


def test_throttling_is_waited_out() -> None:
    with Crossing() as c:
        ann = c.person()
        c.faults.arm("throttled", vendor="constant_contact", path="/v3/contacts", count=3)
        c.connect()
        c.night()
        assert c.standing(ann) == ("in_step", "")
        refused = [one for one in c.made("GET", "/v3/contacts") if one.answer.status == 429]
        assert len(refused) == 3
        for one in refused:
            later = [other.at for other in c.made("", "/v3/") if other.at > one.at]
            assert min(later) - one.at >= 0.9


def test_a_used_up_day_stops_every_call_until_midnight_utc() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.faults.arm("quota_exceeded", vendor="constant_contact", path="/v3/contacts")
        c.opts_out(ann)
        midnight = (c.now() // DAY + 1) * DAY
        c.until(midnight - 1)
        stopped = [one for one in c.made("", "/v3/") if one.answer.status == 429]
        assert len(stopped) == 1
        assert [one for one in c.made("", "/v3/") if stopped[0].at < one.at < midnight] == []
        c.wait(minutes=20)
        assert c.consents(ann) == [False]


def test_a_limit_of_virtuous_is_waited_out_as_it_says() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.faults.arm("rate_limited", vendor="virtuous", method="PUT", seconds=120)
        c.opts_out(ann)
        c.wait(minutes=25)
        assert c.consents(ann) == [False]
        [refused] = [one for one in c.made("", "/api/") if one.answer.status == 429]
        assert [one for one in c.made("", "/api/") if refused.at < one.at < refused.at + 120] == []


def test_no_call_of_ours_meets_a_limit_that_nobody_scripted() -> None:
    with Crossing() as c:
        tags = [c.a_list(f"List {n}") for n in range(3)]
        people = [c.person(f"p{n}@example.org", f"F{n}", f"L{n}", lists=tags, addresses=[PLACE]) for n in range(40)]
        c.connect()
        c.night()
        for one in people:
            c.edits(one, first_name="New", phones=[("mobile", f"202-555-{1000 + people.index(one)}")])
        c.wait(hours=2)
        assert [one for one in c.calls if one.answer.status == 429] == []
        assert c.standings() == {"in_step": 40}


def test_budget_that_others_use_is_left_to_them_but_consent_passes() -> None:
    with Crossing() as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        c.v.spend(CUSTOMER, 1250, c.now())
        made = len(c.made("", "/api/"))
        c.opts_out(ann)
        c.edits(bob, first_name="Bobby")
        c.wait(minutes=16)
        assert c.consents(ann) == [False]
        assert len(c.made("", "/api/")) - made == 2


def test_the_budget_that_one_customer_used_up_is_nobody_elses() -> None:
    with Crossing(customers=(CUSTOMER, "beta")) as c:
        news = c.cc.add_list("beta", "Newsletter", c.now())
        c.v.add_tag("beta", "CC: Newsletter", c.now())
        bea = c.cc.add_person("beta", c.now(), first_name="Bea", last_name="Lee", email="bea@example.org")
        ann = c.person()
        c.connect()
        c.night()
        c.v.spend(CUSTOMER, 1450, c.now())
        c.opts_out(ann)
        c.wait(minutes=16)
        assert c.consents(ann) == [False]
        [contact] = c.v.contacts("beta")
        c.v.staff_adds_tag("beta", contact["id"], "CC: Newsletter", c.now())
        c.wait(minutes=5)
        assert next(one for one in c.cc.contacts("beta") if one["contact_id"] == bea)["list_memberships"] == [news]


def test_a_delivery_that_cannot_be_read_now_waits_without_spinning() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = linked(c)
        c.faults.arm("503", vendor="virtuous", count=10_000)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        made = len(c.calls)
        c.wait(minutes=30)
        assert set(c.answered) == {200}
        assert len(c.calls) - made < 60
        c.faults.clear()
        c.wait(minutes=10)
        assert c.here(ann)["list_memberships"] == [news]


def test_a_delivery_of_a_blocked_connection_is_read_when_the_connection_works_again() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.v.revoke_key("v_key")
        c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
        c.wait(minutes=30)
        assert c.status()["connections"]["virtuous"] == "unauthorized"
        c.v.add_organization(CUSTOMER, "v_key", c.now())
        c.key("v_key")
        c.wait(minutes=5)
        assert c.permission(ann) == "unsubscribed"


# --- what happens while a poll runs ---


def test_an_edit_made_while_a_slow_poll_runs_is_found_by_the_next_one() -> None:
    with Crossing() as c:
        ann = linked(c)
        left = [1]

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            response = handle()
            if request.path == "/v3/contacts" and "updated_after" in request.query and left:
                left.clear()
                c.clock.at += 2
                c.edits(ann, first_name="Anna")
                c.clock.at += 20
            return response

        c.wire = wire
        c.wait(hours=2, minutes=10)
        assert not left
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Anna"


# --- writes whose answer is lost ---


KINDS: dict[str, tuple[str, str, Story, Callable[[Crossing, str], object], object]] = {
    "submit": ("POST", "/api/Contact/Transaction", lambda c: None, lambda c, ann: len(c.carriers(ann)), 1),
    "set_person": (
        "PUT",
        "/api/ContactIndividual/",
        lambda c: c.edits(only(c), first_name="Anna"),
        lambda c, ann: c.there(ann)["contactIndividuals"][0]["firstName"],
        "Anna",
    ),
    "set_email": (
        "PUT",
        "/api/ContactMethod/",
        lambda c: c.edits(only(c), email="new@example.org"),
        lambda c, ann: [one["value"] for one in emails(c.there(ann))],
        ["new@example.org"],
    ),
    "add_phone": (
        "POST",
        "/api/ContactMethod",
        lambda c: c.edits(only(c), phones=[("mobile", "202-555-0111")]),
        lambda c, ann: [one["value"] for one in methods(c.there(ann), "phone")],
        ["202-555-0111"],
    ),
    "add_address": (
        "POST",
        "/api/ContactAddress",
        lambda c: c.edits(only(c), addresses=[PLACE]),
        lambda c, ann: len(c.there(ann)["contactAddresses"]),
        1,
    ),
    "set_consent": (
        "PUT",
        "/api/ContactMethod/",
        lambda c: c.opts_out(only(c)),
        lambda c, ann: c.consents(ann),
        [False],
    ),
    "note": (
        "POST",
        "/api/ContactNote",
        lambda c: c.cc.delete(CUSTOMER, only(c), c.now()) and None,
        lambda c, ann: len(c.there(ann)["notes"]),
        1,
    ),
    "add_tag": (
        "POST",
        "/api/ContactTag",
        lambda c: c.cc.person_joins(CUSTOMER, only(c), c.news, c.now()) and None,  # type: ignore[attr-defined]
        lambda c, ann: c.there(ann)["tags"],
        ["CC: Newsletter"],
    ),
    "opt_out": (
        "PUT",
        "/v3/contacts/",
        lambda c: c.v.staff_opts(CUSTOMER, emails(c.there(only(c)))[0]["id"], False, c.now()) and None,
        lambda c, ann: c.permission(ann),
        "unsubscribed",
    ),
    "join": (
        "POST",
        "/v3/activities/add_list_memberships",
        lambda c: c.v.staff_adds_tag(CUSTOMER, c.there(only(c))["id"], "CC: Newsletter", c.now()) and None,
        lambda c, ann: len(c.here(ann)["list_memberships"]),
        1,
    ),
}
SOON = {"updated_at_on_deletion": "yes", "updated_at_on_list": "yes", "updated_at_on_phone": "yes"}


def only(c: Crossing) -> str:
    """The one person of a story."""
    return str(c.cc.contacts(CUSTOMER)[0]["contact_id"])


@pytest.mark.parametrize("fault", ["reset_after", "reset_before", "truncated", "500"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_write_whose_answer_is_lost_has_one_effect(kind: str, fault: str) -> None:
    method, path, happens, seen, expected = KINDS[kind]
    with Crossing(cc={**SOON, "updated_at_on_address": "yes"}) as c:
        c.news = c.a_list("Newsletter")  # type: ignore[attr-defined]
        ann = c.person()
        if kind != "submit":
            c.connect()
            c.night()
        written = len(c.writes())
        c.faults.arm(fault, method=method, path=path)
        happens(c)
        if kind == "submit":
            c.connect()
        c.wait(hours=2)
        if kind == "submit":  # only a batch that ran another row proves that a lost one never arrived
            c.person("bob@example.org", "Bob", "Roe")
            c.night()
            c.wait(hours=2)
            c.night()
        assert c.faults.armed == [], "the write was never tried"
        assert seen(c, ann) == expected
        assert effects(c, ann, path, written) == 1
        assert c.letters() == []


def effects(c: Crossing, record: str, path: str, written: int) -> int:
    """How many calls changed something; of a job, how often it changed the person."""
    if path.startswith("/v3/activities"):
        return len([one for _, one in c.cc.background if record in one.record and one.field == "list_memberships"])
    return len([one for one in c.writes()[written:] if one.request.path.startswith(path) and of_ann(one.request)])


def of_ann(request: Request) -> bool:
    return b"bob@example.org" not in request.body


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


# --- credentials ---


def test_a_revoked_key_blocks_the_connection_and_keeps_the_work() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.v.revoke_key("v_key")
        c.opts_out(ann)
        c.wait(hours=2)
        assert c.status()["connections"]["virtuous"] == "unauthorized"
        tried = len(c.made("", "/api/"))
        c.wait(hours=3)
        assert len(c.made("", "/api/")) - tried <= 6
        c.v.add_organization(CUSTOMER, "v_key_2", c.now())
        c.key("v_key_2")
        c.wait(minutes=20)
        assert c.consents(ann) == [False]
        assert c.letters() == []


def test_a_revoked_grant_blocks_constant_contact_and_a_new_consent_resumes() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.cc.revoke_grant(CUSTOMER)
        c.wait(days=1)
        c.opts_out(ann)
        c.wait(hours=1)
        assert c.consents(ann) == [True]
        assert c.status()["connections"]["constant_contact"] != "ok"
        again = c.cc.add_account(CUSTOMER, "client", "secret", c.now())
        c.consent(again["refresh_token"])
        c.wait(minutes=20)
        assert c.consents(ann) == [False]


def test_rotating_refresh_tokens_carry_a_week() -> None:
    with Crossing(cc={"refresh_reuse": "revokes_family"}) as c:
        ann = linked(c)
        for _ in range(3):
            c.wait(days=1)
            c.open()
        tokens = [one for one in c.made("POST", "/oauth2") if one.answer.status == 200]
        assert len(tokens) >= 3
        assert [one for one in c.made("", "/oauth2") if one.answer.status != 200] == []
        c.opts_out(ann)
        c.wait(minutes=20)
        assert c.consents(ann) == [False]


def test_an_expired_access_token_is_renewed_once() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.opts_out(ann)
        seen = {"left": 1}

        def wire(vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if vendor == "constant_contact" and request.path.startswith("/v3/") and seen["left"]:
                seen["left"] -= 1
                return Response(401, {}, b'{"error_key":"unauthorized","error_message":"expired"}')
            return handle()

        c.wire = wire
        before = len(c.made("POST", "/oauth2"))
        c.wait(minutes=20)
        assert c.consents(ann) == [False]
        assert len(c.made("POST", "/oauth2")) == before + 1


# --- the process ---


class Crash(BaseException):
    """The process ends here."""


def test_an_import_resumes_where_it_was_after_a_crash_between_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LIMIT", "2")
    with Crossing() as c:
        people = [c.person(f"p{n}@example.org", f"F{n}", f"L{n}") for n in range(7)]
        pages = {"left": 2}

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.path == "/v3/contacts" and pages["left"] == 0:
                pages["left"] = -1
                raise Crash
            if request.path == "/v3/contacts":
                pages["left"] -= 1
            return handle()

        c.wire = wire
        with pytest.raises(Crash):
            c.connect()
        c.open()
        c.wait(minutes=15)
        first = [
            one
            for one in c.made("GET", "/v3/contacts")
            if "sweep" in one.request.query or "cursor" not in one.request.query
        ]
        assert (
            len(
                [one for one in first if "updated_after" not in one.request.query and "optout" not in one.request.query]
            )
            == 1
        )
        c.night()
        assert c.standings() == {"in_step": len(people)}
        assert len(c.everybody()) == 7


def test_a_new_process_goes_on_where_the_old_one_ended() -> None:
    with Crossing() as c:
        ann = c.person()
        c.connect()
        c.open()
        c.night()
        c.open()
        assert c.standing(ann) == ("in_step", "")
        c.opts_out(ann)
        c.wait(minutes=16)
        assert c.consents(ann) == [False]
        assert len(c.everybody()) == 1


@pytest.mark.parametrize("commit", ["record", "form", "store", "store_page", "take"])
@pytest.mark.parametrize("point", ["before", "after"])
def test_a_crash_at_any_commit_of_a_turn_has_one_effect(commit: str, point: str) -> None:
    armed = {"on": True}

    def at(where: str, name: str) -> None:
        if armed["on"] and (where, name) == (point, commit):
            armed["on"] = False
            raise Crash

    disk = Inline()
    with Crossing(db=disk) as c:
        c.db = disk.beside(at)
        c.open()
        ann = c.person(phones=[("mobile", "202-555-0111")])
        try:
            c.connect()
        except Crash:
            c.db = disk
            c.open()
            c.wait(minutes=15)
        assert not armed["on"], f"{commit} never happened"
        c.night()
        c.wait(hours=2)
        assert len(c.everybody()) == 1
        assert c.standing(ann) == ("in_step", "")
        assert len(methods(c.there(ann), "phone")) == 1


def test_a_submission_that_never_left_is_sent_again_once_a_batch_ran_without_it() -> None:
    armed = ["after"]

    def at(where: str, name: str) -> None:
        if armed and (where, name) == ("after", "_send"):
            armed.clear()
            raise Crash

    disk = Inline()
    with Crossing(db=disk) as c:
        c.db = disk.beside(at)
        c.open()
        ann = c.person()
        with pytest.raises(Crash):
            c.connect()
        c.db = disk
        c.open()
        bob = c.person("bob@example.org", "Bob", "Roe")
        c.wait(hours=1, minutes=15)
        assert [row["row"]["referenceId"] for row in c.v.waiting(CUSTOMER)] == [bob]
        c.night()
        c.wait(hours=1)
        assert [row["row"]["referenceId"] for row in c.v.waiting(CUSTOMER)] == [ann]
        c.night()
        assert c.standings() == {"in_step": 2}


def test_a_paused_customer_makes_no_call_and_loses_nothing() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.ask(c.service.pause(CUSTOMER))
        made = len(c.calls)
        c.opts_out(ann)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "Donor", c.now())
        c.wait(hours=3)
        assert len(c.calls) == made
        assert set(c.answered) == {200}
        c.ask(c.service.resume(CUSTOMER))
        c.wait(minutes=20)
        assert c.consents(ann) == [False]


def test_a_decision_that_fails_is_one_dead_letter_and_harms_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from keepstep.submit import decided

    true_decide = decided.decide

    def decide(party, readings, setting):  # type: ignore[no-untyped-def]
        if any(one.first_name == "Poison" for one in readings.audience.values()):
            raise ArithmeticError
        return true_decide(party, readings, setting)

    monkeypatch.setattr(decided, "decide", decide)
    with Crossing() as c:
        bad, good = c.person("bad@example.org", "Poison"), c.person("good@example.org", "Good", "Soul")
        c.connect()
        c.night()
        assert c.standing(good) == ("in_step", "")
        assert c.standing(bad)[0] == "pending"
        assert [one["reason"] for one in c.letters()] == ["decision failed: ArithmeticError"]


def test_a_write_that_the_vendor_refuses_is_a_dead_letter_and_the_rest_goes_on() -> None:
    with Crossing() as c:
        ann = linked(c)

        def wire(vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.method == "PUT" and request.path.startswith("/api/ContactIndividual"):
                return Response(
                    400, {}, b'{"message":"The request is invalid.","modelState":{"model.firstName":["no"]}}'
                )
            return handle()

        c.wire = wire
        c.edits(ann, first_name="Anna", phones=[("mobile", "202-555-0111")])
        c.wait(hours=2)
        assert len(methods(c.there(ann), "phone")) == 1
        assert [(one["kind"], one["tries"]) for one in c.letters()] == [("set_person", 1)]
        assert len(list(c.made("PUT", "/api/ContactIndividual"))) == 1
        assert c.standing(ann) == ("parked", "refused_by_vendor")


def test_a_consent_step_never_dies() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.faults.arm("503", vendor="virtuous", method="PUT", count=12)
        c.opts_out(ann)
        c.wait(hours=9)
        assert c.letters() == []
        assert c.consents(ann) == [False]


def test_an_outage_is_met_by_few_calls_and_all_work_is_kept() -> None:
    with Crossing() as c:
        ann = linked(c)
        began = c.now()
        c.faults.arm("503", vendor="virtuous", count=10_000)
        c.opts_out(ann)
        c.edits(ann, first_name="Anna")
        c.wait(hours=2)
        tried = [one for one in c.made("", "/api/") if one.at > began]
        assert len(tried) <= 120
        c.faults.clear()
        c.wait(hours=1, minutes=10)
        assert c.consents(ann) == [False]


def test_the_slot_is_never_held_by_two() -> None:
    with Crossing() as c:
        linked(c)
        first = c.ask(c.service.db.run(queue.claim, "one", c.now() + 9e9, 60.0, CUSTOMER))
        second = c.ask(c.service.db.run(queue.claim, "two", c.now() + 9e9, 60.0, CUSTOMER))
        assert first is not None and second is None
        assert c.now() > START
