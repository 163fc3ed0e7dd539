"""What a reading of the deciding and writing path found: each of these was broken once."""

from collections.abc import Callable

from keepstep_sandbox.http import Request, Response, answer
from tests.flows.crossing import CUSTOMER, Crossing
from tests.flows.test_consent import linked


def _blind_and_refusing(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
    """No poll can be read, and no job on lists is taken."""
    if (request.method, request.path) == ("GET", "/v3/contacts") or request.path.startswith("/v3/activities"):
        return answer(503)
    return handle()


def test_what_went_through_the_gate_and_was_refused_for_now_waits_there_again() -> None:
    with Crossing() as c:
        c.a_list("Newsletter")
        ann = linked(c)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wire, since = _blind_and_refusing, c.now()
        c.wait(hours=3)
        tried = [one.at - since for one in c.made("POST", "/v3/activities")]
        assert tried and max(tried) <= c.policy.gate
        assert c.status()["steps_held"] == {"gate": 1}
        c.wire = None
        c.wait(hours=1)
        assert c.here(ann)["list_memberships"]
