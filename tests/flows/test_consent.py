"""Opt-outs cross in both directions, soon and always; nothing but the person's own act lifts one."""

from collections.abc import Callable

from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Crossing, emails, next_midnight

# A change of the permission moves the contact's updated_at, so that the hourly poll sees a way back (CC facts 5.4).
SEEN_SOON = {"updated_at_on_permission": "yes"}


def linked(c: Crossing, **more: object) -> str:
    """Somebody who is in step on both sides."""
    ann = c.person(**more)
    c.connect()
    c.night()
    assert c.consents(ann) == [True]
    return ann


def method_of(c: Crossing, record: str) -> int:
    return int(emails(c.there(record))[0]["id"])


def test_an_opt_out_that_moves_no_updated_at_reaches_virtuous_within_a_poll() -> None:
    with Crossing() as c:
        ann = linked(c)
        before = c.here(ann)["updated_at"]
        c.opts_out(ann, "too many")
        assert c.here(ann)["updated_at"] == before
        c.wait(minutes=16)
        assert c.consents(ann) == [False]
        assert c.standing(ann) == ("in_step", "")


def test_an_opt_out_while_the_person_waits_is_applied_after_the_batch() -> None:
    with Crossing() as c:
        ann = c.person()
        c.connect()
        c.opts_out(ann)
        c.v.lose_next(100)
        c.until(next_midnight(c.now()) - 1)
        assert c.everybody() == []
        c.wait(minutes=5.5)
        assert c.consents(ann) == [False]
        assert c.permission(ann) == "unsubscribed"


def test_staffs_opt_out_reaches_constant_contact_by_webhook() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.v.staff_opts(CUSTOMER, method_of(c, ann), False, c.now())
        c.wait(minutes=1)
        assert c.permission(ann) == "unsubscribed"
        assert len(c.made("PUT", f"/v3/contacts/{ann}")) == 1
        c.wait(hours=2)
        assert len(c.made("PUT", f"/v3/contacts/{ann}")) == 1


def test_the_opt_out_in_constant_contact_keeps_everything_else_of_the_contact() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        field = c.cc.add_custom_field(CUSTOMER, "Shoe size", c.now())
        ann = linked(
            c,
            lists=[news],
            phones=[("mobile", "202-555-0111"), ("work", "202-555-0112")],
            addresses=[{"kind": "home", "street": "1 Main St", "city": "X", "state": "WA", "postal_code": "98201"}],
            custom_fields=[{"custom_field_id": field, "value": "44"}],
            job_title="Captain",
            birthday_month=4,
            birthday_day=1,
        )
        before = c.here(ann)
        c.v.staff_opts(CUSTOMER, method_of(c, ann), False, c.now())
        c.wait(minutes=1)
        after = c.here(ann)
        kept = ("first_name", "job_title", "birthday_month", "phone_numbers", "street_addresses", "custom_fields")
        for name in (*kept, "list_memberships", "created_at"):
            assert after.get(name) == before.get(name), name
        assert after["email_address"]["permission_to_send"] == "unsubscribed"


def test_an_opt_out_on_both_sides_is_written_on_none() -> None:
    with Crossing() as c:
        ann = linked(c)
        written = len(c.writes())
        c.opts_out(ann)
        c.v.staff_opts(CUSTOMER, method_of(c, ann), False, c.now())
        c.wait(hours=1)
        assert (c.consents(ann), c.permission(ann)) == ([False], "unsubscribed")
        assert len(c.writes()) == written


def test_coming_back_by_the_persons_own_act_lifts_what_we_set() -> None:
    with Crossing(cc=SEEN_SOON) as c:
        ann = linked(c)
        c.opts_out(ann)
        c.wait(minutes=20)
        assert c.consents(ann) == [False]
        c.cc.person_opts_in(CUSTOMER, ann, c.now())
        c.wait(hours=2)
        assert c.consents(ann) == [True]
        assert c.standing(ann) == ("in_step", "")


def test_coming_back_does_not_lift_what_staff_set() -> None:
    with Crossing(cc=SEEN_SOON) as c:
        ann = linked(c)
        c.v.staff_opts(CUSTOMER, method_of(c, ann), False, c.now())
        c.wait(minutes=20)
        assert c.permission(ann) == "unsubscribed"
        c.cc.person_opts_in(CUSTOMER, ann, c.now())
        c.wait(hours=2)
        assert c.consents(ann) == [False]
        assert c.standing(ann)[0] == "parked"


def test_staff_at_constant_contact_cannot_bring_somebody_back() -> None:
    with Crossing(cc=SEEN_SOON) as c:
        ann = linked(c)
        c.opts_out(ann)
        c.wait(minutes=20)
        c.edits(ann, permission="implicit")
        c.wait(hours=2)
        assert c.consents(ann) == [False]
        assert c.standing(ann) == ("parked", "back_without_own_act")


def test_staff_at_virtuous_cannot_bring_somebody_back() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.opts_out(ann)
        c.wait(minutes=20)
        c.v.staff_opts(CUSTOMER, method_of(c, ann), True, c.now())
        c.wait(hours=2)
        assert c.permission(ann) == "unsubscribed"
        assert c.consents(ann) == [False]


def test_a_false_that_nobody_was_seen_to_set_opts_nobody_out() -> None:
    with Crossing() as c:
        c.household("ann@example.org", opted_in=False)
        ann = c.person()
        c.connect()
        c.wait(hours=2)
        assert c.permission(ann) == "implicit"
        assert c.consents(ann) == [False]
        assert c.standing(ann) == ("parked", "consent_unknown")


def test_a_deletion_is_an_opt_out_and_exactly_one_note() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.cc.delete(CUSTOMER, ann, c.now())
        c.wait(days=1, hours=1)
        contact = c.there(ann)
        assert c.consents(ann) == [False]
        assert len(contact["notes"]) == 1
        assert not contact["isArchived"]
        c.wait(days=1)
        assert len(c.there(ann)["notes"]) == 1


def test_a_deletion_while_the_person_waits_is_an_opt_out_and_one_note() -> None:
    with Crossing(cc={"updated_at_on_deletion": "yes"}) as c:
        ann = c.person()
        c.connect()
        c.cc.delete(CUSTOMER, ann, c.now())
        c.wait(hours=1, minutes=5)
        c.night()
        c.wait(hours=1)
        assert c.consents(ann) == [False]
        assert len(c.there(ann)["notes"]) == 1


def test_an_opt_out_closes_the_address_wherever_the_household_has_it() -> None:
    with Crossing() as c:
        other = {"type": "Work Email", "value": "ann@example.org", "isOptedIn": True}
        spouse = {"firstName": "Bo", "lastName": "Lee", "contactMethods": [other]}
        c.household("ann@example.org", others=[spouse])
        ann = c.person()
        c.connect()
        c.wait(minutes=10)
        c.opts_out(ann)
        c.wait(minutes=20)
        assert c.consents(ann) == [False, False]


def test_a_choice_among_those_who_prove_that_imports_opt_in_is_read_as_one() -> None:
    """Read together after the night: by Ann's stamps and Bob's consent, though neither is read differently again."""

    def down(_vendor: str, _request: Request, _handle: Callable[[], Response]) -> Response:
        return Response(503, {}, b"")

    with Crossing() as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.wait(minutes=10)
        c.v.lose_next(100)
        c.until(next_midnight(c.now()) - 1)
        c.wire = down
        c.wait(minutes=10)
        c.v.staff_opts(CUSTOMER, method_of(c, ann), False, c.now())
        c.wire = None
        c.wait(hours=4)
        assert c.consents(ann) == [False] and c.consents(bob) == [True]
        assert (c.permission(ann), c.permission(bob)) == ("unsubscribed", "implicit")
