"""The database of some days ago is put back: what both sides and we did since then is found out, never invented."""

from collections.abc import Callable

import pytest

from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Crossing, key_of
from tests.flows.test_consent import method_of
from tests.flows.test_lists import lists_of
from tests.flows.test_must_hold import turned_in

TAG = "CC: Newsletter"
Happen = Callable[[Crossing], None]


def put_back(c: Crossing, since: Happen, days: float = 3.0) -> None:
    """A backup, so many days with what happened right after it, and the backup again in a new process. Its refresh
    token is spent by then: an hour later the owner connects the account once more."""
    backup = c.db.dump()
    since(c)
    c.wait(days=days)
    c.db.load(backup)
    c.open()
    c.wait(hours=1)
    c.consent(c.cc.add_account(CUSTOMER, "client", "secret", c.now())["refresh_token"])


def turned_away(vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
    """Nobody new may be sent to the CRM with this key."""
    sends = vendor == "virtuous" and request.path in ("/api/Contact/Batch", "/api/Contact/Transaction")
    return Response(401, {}, b"") if sends else handle()


def people(c: Crossing, count: int) -> list[str]:
    """So many who are in step on both sides."""
    found = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}") for n in range(count)]
    c.connect()
    c.night()
    assert all(c.consents(one) == [True] for one in found)
    return found


def opted_out_by_us(c: Crossing, since: float) -> list[str]:
    """Whom we have opted out at Constant Contact since then."""
    return [one.request.path for one in c.made("PUT", "/v3/contacts/") if one.at > since]


@pytest.mark.parametrize(("days", "count"), [(0.5, 3), (0.5, 25), (3.0, 3)])
def test_a_false_that_we_wrote_for_a_bounce_is_nobodys_choice(days: float, count: int) -> None:
    """The backup knows neither the bounce nor our write: the `false` looks as if staff had set it."""
    with Crossing() as c:
        found = people(c, count)
        began = c.now()
        put_back(c, lambda c: [c.cc.bounce(CUSTOMER, one, "B", c.now()) for one in found[:20]] and None, days)
        assert all(c.consents(one) == [False] for one in found[:20])
        c.wait(days=1.5)
        assert opted_out_by_us(c, began) == []
        assert {c.permission(one) for one in found} == {"implicit"} and turned_in(c) == []


def test_nor_where_staff_touch_the_person_before_anything_is_read_again() -> None:
    """The CRM is read at once, the audience side only when its account is connected again."""
    with Crossing() as c:
        [ann, _bob] = people(c, 2)
        began = c.now()
        backup = c.db.dump()
        c.cc.bounce(CUSTOMER, ann, "B", c.now())
        c.wait(days=1)
        c.db.load(backup)
        c.open()
        c.v.staff_renames(CUSTOMER, c.there(ann)["contactIndividuals"][0]["id"], c.now(), first_name="Anna")
        c.wait(hours=3)
        c.consent(c.cc.add_account(CUSTOMER, "client", "secret", c.now())["refresh_token"])
        c.wait(days=1.5)
        assert opted_out_by_us(c, began) == [] and c.permission(ann) == "implicit"


def test_what_staff_said_while_nobody_was_served_crosses() -> None:
    """A service that stood still must not take every `false` for its own: without a bounce it is staff's choice."""
    with Crossing() as c:
        [ann, bob] = people(c, 2)
        put_back(c, lambda c: c.v.staff_opts(CUSTOMER, method_of(c, ann), False, c.now()), 0.2)
        c.wait(days=1)
        assert (c.permission(ann), c.permission(bob)) == ("unsubscribed", "implicit")
        assert c.standing(ann) == ("in_step", "")


def test_who_waited_in_the_batch_is_not_sent_a_second_time() -> None:
    """The row was sent after the backup; until the batch has run, nobody can see it."""
    with Crossing() as c:
        people(c, 1)
        backup = c.db.dump()
        new = c.person("new@example.org", "New", "Comer")
        c.wait(hours=3)
        sent = len(c.made("POST", "/api/Contact/Batch")) + len(c.made("POST", "/api/Contact/Transaction"))
        c.db.load(backup)
        c.open()
        c.consent(c.cc.add_account(CUSTOMER, "client", "secret", c.now())["refresh_token"])
        c.wait(days=2)
        assert sent == len(c.made("POST", "/api/Contact/Batch")) + len(c.made("POST", "/api/Contact/Transaction"))
        assert len(c.carriers(new)) == 1 and c.standing(new) == ("in_step", "")


def test_what_the_backup_had_decided_is_decided_anew() -> None:
    """The row that was about to go is somebody who has arrived since, and opted out: nobody sends it a second time."""
    with Crossing() as c:
        people(c, 1)
        c.wire = turned_away
        new = c.person("new@example.org", "New", "Comer")
        c.wait(hours=3)
        backup = c.db.dump()
        c.wire = None
        c.key(key_of(CUSTOMER))
        c.night()
        c.opts_out(new)
        c.wait(hours=3)
        assert c.consents(new) == [False]
        c.db.load(backup)
        c.open()
        c.key(key_of(CUSTOMER))
        written = len(c.writes())
        c.wait(hours=3)
        assert len(c.writes()) == written and c.status()["steps_held"] == {"standstill": 1}
        c.consent(c.cc.add_account(CUSTOMER, "client", "secret", c.now())["refresh_token"])
        c.wait(days=2)
        assert not [one for one in c.writes()[written:] if one.request.path.startswith("/api/Contact/")]
        assert c.consents(new) == [False] and "standstill" not in c.status()["steps_held"]


def test_lists_and_tags_of_the_week_stay_as_people_left_them() -> None:
    """In step when the backup is put back: nothing is added or taken off, on either side."""
    with Crossing() as c:
        news, gala = c.a_list("Newsletter"), c.a_list("Gala")
        one = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}", lists=[news]) for n in range(4)]
        c.connect()
        c.night()

        def week(c: Crossing) -> None:
            c.cc.person_leaves(CUSTOMER, one[0], news, c.now())
            c.cc.person_joins(CUSTOMER, one[1], gala, c.now())
            c.v.staff_removes_tag(CUSTOMER, c.there(one[2])["id"], TAG, c.now())
            c.v.staff_adds_tag(CUSTOMER, c.there(one[3])["id"], "CC: Gala", c.now())

        put_back(c, week)
        before = [(sorted(lists_of(c, one)), sorted(c.there(one)["tags"])) for one in one]
        both = (sorted([news, gala]), ["CC: Gala", TAG])
        assert before == [([], []), both, ([], []), both]
        written = len(c.writes())
        c.wait(days=2)
        assert [(sorted(lists_of(c, one)), sorted(c.there(one)["tags"])) for one in one] == before
        assert len(c.writes()) == written
