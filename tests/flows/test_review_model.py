"""What a second reading of deciding and submitting found: each of these was broken once."""

from collections.abc import Callable
from typing import Any

import pytest

from keepstep import filing
from keepstep.cli import page
from keepstep.desk import Desk
from keepstep.model.party import Party
from keepstep.state.vault import Secret, Vault
from keepstep_sandbox.http import Request, Response, answer
from tests.flows.crossing import CUSTOMER, HOUR, Crossing, key_of
from tests.flows.test_consent import SEEN_SOON, linked, method_of


def meanwhile(c: Crossing, what: Callable[[], object], method: str, path: str) -> None:
    """Something happens just before the next call of this kind arrives."""
    left = [what]

    def wire(vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
        if left and request.method == method and request.path.startswith(path):
            left.pop()()
        return handle()

    c.wire = wire


def refuses(c: Crossing, method: str, path: str, times: int = 1000, holding: bytes = b"") -> None:
    """The vendor refuses the next calls of this kind for good, or those whose body holds something."""
    left = [times]

    def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
        mine = request.method == method and request.path.startswith(path) and holding in request.body
        if not (mine and left[0]):
            return handle()
        left[0] -= 1
        return answer(400, {"error": {"code": "VALIDATION", "message": "no"}})

    c.wire = wire


def test_staffs_opt_out_that_ours_found_done_is_theirs() -> None:
    """Seen closed by our write, it was closed by staff: the bounce alone would never have reached the list service."""
    with Crossing() as c:
        ann = linked(c)
        number = method_of(c, ann)
        path = f"/api/ContactMethod/{number}"
        meanwhile(c, lambda: c.v.staff_opts(CUSTOMER, number, False, c.now()), "GET", path)
        c.cc.bounce(CUSTOMER, ann, "B", c.now())
        c.wait(hours=3)
        assert c.consents(ann) == [False]
        assert not c.made("PUT", path)
        assert c.permission(ann) == "unsubscribed"


def test_staffs_opt_out_that_ours_found_done_is_not_lifted_by_a_way_back() -> None:
    with Crossing(cc=SEEN_SOON) as c:
        ann = linked(c)
        number = method_of(c, ann)
        meanwhile(c, lambda: c.v.staff_opts(CUSTOMER, number, False, c.now()), "GET", f"/api/ContactMethod/{number}")
        c.opts_out(ann)
        c.wait(hours=2)
        c.cc.person_opts_in(CUSTOMER, ann, c.now())
        c.wait(hours=3)
        assert c.consents(ann) == [False]
        assert c.standing(ann) == ("parked", "crm_opt_out_stands")


def test_our_own_closing_whose_answer_was_lost_is_still_ours() -> None:
    with Crossing(cc=SEEN_SOON) as c:
        ann = linked(c)
        c.faults.arm("reset_after", vendor="virtuous", method="PUT", path="/api/ContactMethod/")
        c.opts_out(ann)
        c.wait(hours=2)
        c.cc.person_opts_in(CUSTOMER, ann, c.now())
        c.wait(hours=3)
        assert c.consents(ann) == [True]


@pytest.mark.parametrize("side", ["virtuous", "constant_contact"])
def test_an_opt_out_that_is_refused_goes_on_until_it_is_taken(side: str) -> None:
    """A vendor may refuse the whole record for another field of it; the opt-out must not be given up for that."""
    with Crossing() as c:
        ann = linked(c)
        number = method_of(c, ann)
        path = f"/api/ContactMethod/{number}" if side == "virtuous" else f"/v3/contacts/{ann}"
        refuses(c, "PUT", path, times=3)
        if side == "virtuous":
            c.opts_out(ann)
        else:
            c.v.staff_opts(CUSTOMER, number, False, c.now())
        c.wait(hours=2)
        assert c.standing(ann) == ("pending", "step_waiting")
        c.wait(hours=4)
        assert c.consents(ann) == [False]
        assert c.permission(ann) == "unsubscribed"
        assert c.standing(ann) == ("in_step", "")


def test_a_creation_that_is_refused_without_its_phone_is_not_tried_for_ever() -> None:
    """The phone stays out, since somebody else has it: what was refused is not what was decided."""
    with Crossing() as c:
        same = [("mobile", "202-555-0111")]
        linked(c, phones=same)
        bob = c.person("bob@example.org", "Bob", "Roe", phones=same)
        refuses(c, "POST", "/api/Contact/Transaction")
        before = len(c.made("POST", "/api/Contact/Transaction"))
        c.wait(hours=5)
        assert len(c.made("POST", "/api/Contact/Transaction")) == before + 1
        assert len(c.letters()) == 1
        assert c.standing(bob) == ("parked", "refused_by_vendor")


def test_a_swap_that_is_refused_is_not_tried_for_ever() -> None:
    with Crossing(v={"shared-email": "allowed"}) as c:
        ann, bob = c.person("ann@example.org", "Ann", "Lee"), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        refuses(c, "POST", "/api/ContactMethod")
        c.edits(ann, email="away@example.org")
        c.edits(bob, email="ann@example.org")
        c.edits(ann, email="bob@example.org")
        c.wait(hours=8)
        assert len(c.made("POST", "/api/ContactMethod")) == 1
        assert len(c.letters()) == 1


def test_who_waits_for_an_address_is_counted_by_age_with_what_to_do() -> None:
    with Crossing() as c:
        ann = c.person()
        c.connect()
        other = c.person("other@example.org", "Other", "Person")
        c.edits(ann, email="moved@example.org")
        c.edits(other, email="ann@example.org")
        c.wait(minutes=100)
        assert c.standing(other) == ("parked", "address_held")
        held = c.status()["held"]
        assert held["count"] == 1
        assert 0 < held["oldest_seconds"] < 2 * HOUR
        assert "take it off one in Virtuous" in held["next"]
        c.night()
        c.wait(hours=3)
        c.night()
        assert c.status()["held"] == {"count": 0, "oldest_seconds": 0.0, "next": ""}


def test_one_customers_lost_key_does_not_shut_anothers_door() -> None:
    with Crossing(customers=("aaa", CUSTOMER)) as c:
        for one in ("aaa", CUSTOMER):
            c.consent(c.refresh_tokens[one], one)
            c.key(key_of(one), one)
        path, _ = c.hook()
        lost = Vault({"other": b"x" * 32}, "other", c.chance.token)
        c.ask(c.service.db.run(lost.put, "aaa", "virtuous", "door_token", Secret("gone"), c.now()))
        found = c.ask(c.service.sender("virtuous", path.rpartition("/")[2]))
        assert found is not None
        assert found[0] == CUSTOMER


def test_what_a_vendor_says_in_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with Crossing() as c:
        linked(c)
        value = c.status()
        value["last_trouble"] = {"at": "now", "why": "400: [/contacts] is [bold]wrong[/bold]"}
        page.status({"customers": [value]})
    assert "400: [/contacts] is [bold]wrong[/bold]" in " ".join(capsys.readouterr().out.split())


def checked(c: Crossing, name: str) -> tuple[str, str]:
    """State and words of one of the doctor's live checks."""
    rows = c.ask(c.service.check(CUSTOMER))
    return next((one["state"], one["detail"]) for one in rows if one["check"] == name)


def test_the_doctor_names_settings_that_do_nothing() -> None:
    with Crossing(policy={"brake_share": 0.2, "soft_bounce_count": 7, "lists_field": "Lists"}) as c:
        c.connect()
        assert checked(c, "route") == (
            "person",
            "without effect as it is set: soft_bounce_count, lists_field",
        )
    with Crossing(policy={"soft_bounces": "count", "soft_bounce_count": 7}) as c:
        c.connect()
        assert checked(c, "route")[0] == "ok"


def test_the_doctor_looks_whether_the_field_for_the_lists_is_there() -> None:
    with Crossing(policy={"lists_to": "custom_field", "lists_field": "Mailing list"}) as c:
        c.connect()
        assert checked(c, "tags") == ("person", "lists go to 'Mailing list', and there is no such custom field")
        c.v.add_custom_field(CUSTOMER, "Mailing list", c.now(), "Number")
        assert "kinds_differ" in checked(c, "tags")[1]
    with Crossing(policy={"lists_to": "custom_field", "lists_field": "Mailing list"}) as c:
        c.v.add_custom_field(CUSTOMER, "Mailing list", c.now())
        c.connect()
        assert checked(c, "tags")[0] == "ok"


def test_a_stored_reading_that_nobody_understands_keeps_nobody_elses_opt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version may have stored it: every party whose turn came with it would have waited for ever."""
    with Crossing() as c:
        bob = c.person("bob@example.org", "Bob", "Roe")
        ann = linked(c)
        understood = filing.understood

        def broken(desk: Desk, party: Party, *stored: Any) -> Any:
            if party.person(bob):
                raise KeyError(bob)
            return understood(desk, party, *stored)

        monkeypatch.setattr(filing, "understood", broken)
        c.opts_out(bob)
        c.opts_out(ann)
        c.wait(hours=1)
        assert c.consents(ann) == [False]
        assert c.lines("read_failed")[-1] == {"chore": "stored reading", "why": "KeyError"}
        monkeypatch.undo()
        c.wait(hours=2)
        assert c.consents(bob) == [False]
