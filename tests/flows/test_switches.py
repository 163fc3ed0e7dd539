"""What a week does not come to: short stories for values of switches that the product meets only now and then.

Each story asserts that the stand-in was asked for its switch, or the value was not played.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Crossing, emails, key_of
from tests.flows.test_lists import linked


@pytest.mark.switch("virtuous", "merged-read", "200", "404")
@pytest.mark.switch("virtuous", "merge-carries", "everything", "people")
@pytest.mark.parametrize("carries", ["everything", "people"])
@pytest.mark.parametrize("read", ["200", "404"])
def test_a_merge_is_followed_however_the_loser_is_read(read: str, carries: str) -> None:
    """Virtuous facts 7.6: whether the loser stays readable, and what moves to the survivor."""
    with Crossing(v={"merged-read": read, "merge-carries": carries}) as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        c.v.staff_merges(CUSTOMER, c.there(bob)["id"], c.there(ann)["id"], c.now())
        c.wait(hours=3)
        c.opts_out(bob)
        c.wait(days=1)
        kept = {one["value"]: one["isOptedIn"] for one in emails(c.there(ann))}
        assert kept == {"ann@example.org": True, "bob@example.org": False}
        assert c.letters() == []
        assert {"merge-carries"} <= c.v.switches.asked()


@pytest.mark.switch("virtuous", "batch-bad-row", "fails-all", "skipped")
@pytest.mark.parametrize("mode", ["fails-all", "skipped"])
def test_a_row_that_the_vendor_refuses_keeps_nobody_else_out(mode: str) -> None:
    """Virtuous facts 10.2. Skipped without a word, a row waits, and after three days somebody is to look at it."""
    with Crossing(v={"batch-bad-row": mode}) as c:
        people = [c.person(f"p{number}@example.org", f"P{number}") for number in range(4)]

        def wire(vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            spoiled = request.body.replace(b'"firstName":"P2"', b'"customFields":"none","firstName":"P2"')
            return handle() if spoiled == request.body else c.v.handle(replace(request, body=spoiled), c.now())

        c.wire = wire
        c.connect()
        c.night()
        assert {c.standing(one)[0] for one in people if one != people[2]} == {"in_step"}
        assert mode == "skipped" or c.standing(people[2]) == ("parked", "refused_by_vendor")
        assert "batch-bad-row" in c.v.switches.asked()


@pytest.mark.switch("virtuous", "reference-clash", "400", "move")
@pytest.mark.parametrize("clash", ["400", "move"])
def test_a_reference_that_staff_put_elsewhere_is_nobodys_second_contact(clash: str) -> None:
    """Virtuous facts 11: a reference that exists may be refused, or move."""
    with Crossing(v={"reference-clash": clash}) as c:
        c.household("ann@example.org")
        ann = c.person()
        c.connect()
        c.wait(hours=1)
        assert c.standing(ann) == ("in_step", "")
        assert len(c.carriers(ann)) == 1


@pytest.mark.switch("virtuous", "unauthorized-body", "json", "text")
@pytest.mark.parametrize("body", ["json", "text"])
def test_a_refused_key_blocks_and_a_new_one_resumes(body: str) -> None:
    """Virtuous facts 3: the 401 may be JSON or plain text."""
    with Crossing(v={"unauthorized-body": body}) as c:
        ann = linked(c)
        c.v.revoke_key(key_of(CUSTOMER))
        c.opts_out(ann)
        c.wait(hours=2)
        assert c.consents(ann) == [True]
        assert "unauthorized-body" in c.v.switches.asked()
        c.v.add_organization(CUSTOMER, "another-key", c.now())
        c.key("another-key")
        c.wait(minutes=30)
        assert c.consents(ann) == [False]


@pytest.mark.switch("constant_contact", "error_body", "array", "object", "gateway", "html")
@pytest.mark.parametrize("body", ["array", "object", "gateway", "html"])
def test_a_refusal_of_any_shape_loses_nothing(body: str) -> None:
    """CC facts 4."""
    with Crossing(cc={"error_body": body}) as c:
        ann = linked(c)
        left = iter(range(3))

        def wire(vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.path != "/v3/contacts" or next(left, None) is None:
                return handle()
            return c.cc.handle(replace(request, query="limit=none"), c.now())

        c.wire = wire
        c.opts_out(ann)
        c.wait(minutes=40)
        assert c.consents(ann) == [False]
        assert "error_body" in c.cc.switches.asked()


@pytest.mark.switch("constant_contact", "refresh_reuse", "invalid_grant", "revokes_family")
@pytest.mark.switch("constant_contact", "refresh_grace", "0", "5", "60")
@pytest.mark.parametrize("grace", ["0", "5", "60"])
@pytest.mark.parametrize("reuse", ["invalid_grant", "revokes_family"])
def test_no_refresh_token_is_ever_used_twice(reuse: str, grace: str) -> None:
    """CC facts 2.4: a second use may cost the customer's consent, so whether it would is never found out."""
    with Crossing(cc={"refresh_reuse": reuse, "refresh_grace": grace, "access_token_lifetime": "short"}) as c:
        ann = linked(c)
        for _ in range(3):
            c.open()
            c.wait(hours=2)
        c.opts_out(ann)
        c.wait(minutes=20)
        assert c.consents(ann) == [False]
        assert [one for one in c.made("", "/oauth2") if one.answer.status != 200] == []
