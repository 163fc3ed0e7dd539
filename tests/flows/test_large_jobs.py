"""What one list job changes for many is moved in their stored readings: nothing else that they did is lost."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.change import Lane
from keepstep.model.contact import Side
from keepstep.model.party import Party, Person
from keepstep.queue import StepRow
from keepstep.submit.moved import MANY, moved
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Crossing
from tests.flows.test_lists import lists_of

ADDS = "/v3/activities/add_list_memberships"


def test_who_changes_or_leaves_while_a_large_job_runs_is_not_swallowed() -> None:
    """Both before the vendor runs the job and after; only the next poll can tell."""
    with Crossing(cc={"updated_at_on_list": "yes"}) as c:
        news, other = c.a_list("News"), c.a_list("Other")
        people = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}", lists=[other]) for n in range(MANY + 2)]
        c.connect()
        c.night()
        left: list[Any] = [None]

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if not left or request.path != ADDS:
                return handle()
            left.clear()
            c.edits(people[0], last_name="Before")
            c.cc.person_leaves(CUSTOMER, people[1], other, c.now())
            answer = handle()
            c.edits(people[2], last_name="After")
            c.cc.person_leaves(CUSTOMER, people[3], other, c.now())
            return answer

        c.wire = wire
        c.v.bulk_adds_tag(CUSTOMER, [c.there(one)["id"] for one in people], "CC: News", c.now())
        c.wait(hours=3)
        assert left == [] and all(news in lists_of(c, one) for one in people)
        names = [c.there(people[one])["contactIndividuals"][0]["lastName"] for one in (0, 2, 4)]
        assert names == ["Before", "After", "Last4"]
        tagged = ["CC: Other" in c.there(people[one])["tags"] for one in (1, 3, 4)]
        assert tagged == [False, False, True]
        assert all(other not in lists_of(c, people[one]) for one in (1, 3)), "nobody is put back"


class Untouched:
    """No stored reading may be asked for or changed."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name}: a reading that is not up to date was moved")


@pytest.mark.parametrize("why", ["old before", "whole again", "of the CRM", "nobody"])
def test_a_reading_that_is_not_up_to_date_is_read_again_instead(why: str) -> None:
    ann = Person(record_id="a", reread=why == "old before")
    before = Party(party_id="P", people=() if why == "nobody" else (ann,))
    after = replace(before, people=tuple(replace(one, reread=why != "whole again") for one in before.people))
    side = Side.crm if why == "of the CRM" else Side.audience
    row = StepRow(
        id=1, party_id="P", side=side, kind="join", target="t", lane=int(Lane.changes), group=None, since=0.0, due=0.0,
        tries=0, hold=None, job_id="j", member="a", payload={"record_id": "a", "list_ids": ["L"]},
    )  # fmt: skip
    untouched: Any = Untouched()
    assert moved(untouched, untouched, row, before, after, 1.0) is after
