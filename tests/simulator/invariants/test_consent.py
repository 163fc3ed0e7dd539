"""I5 to I9: hand-made stories in which they are broken, and their neighbours in which they are not."""

import json
from typing import Any

import pytest

from keepstep_simulator.invariants.consent import (
    follows_the_address,
    never_lost,
    never_undone,
    one_lane,
    paid_in_time,
)
from keepstep_simulator.invariants.people import address
from tests.simulator.invariants.telling import (
    CC,
    DATED,
    Told,
    V,
    act,
    contact,
    eff,
    ended,
    household,
    judged,
    out,
    rsp,
    story,
    tx,
)

PERMISSION = "email_address.permission_to_send"
HOURS = 3600.0
CADENCE = {"opted_out": 2 * HOURS, "deleted": 4 * HOURS, "sweep": 24 * HOURS, "reports": 3 * HOURS}
CADENCE |= {"crm_changed": 5 * HOURS, "crm_sweep": 24 * HOURS, "obligations": 300.0}
PLAN = Told("PLAN", "", {"cadence": CADENCE, "zone": "UTC", "nets": {}}, at=DATED)
METHOD, CONTACT, ANA = "method:9", "contact:7", "a-na"


def at(hours: float, told: Told) -> Told:
    """A fact so many hours after the beginning."""
    return Told(told.kind, told.key, told.data, told.process, DATED + hours * HOURS, told.customer)


def left(actor: str = "person") -> Told:
    """Somebody opts out at Constant Contact."""
    return eff(f"contact:{ANA}", PERMISSION, "implicit", "unsubscribed", actor)


def closed(after: bool | None = False, before: bool | None = True, actor: str = "product", **more: Any) -> Told:
    """The method in Virtuous is closed."""
    return eff(METHOD, "isOptedIn", before, after, actor, **more)


# --- I5 --------------------------------------------------------------------------------------------------------------

BACK = eff(f"contact:{ANA}", PERMISSION, "unsubscribed", "implicit", "product", call="1")
WITHIN = (
    out("0", "/v3/contacts/x", vendor=CC),
    act(ANA, "campaign_opt_out"),
    left(),
    out("1", "/v3/contacts/x", "PUT", CC),
)
REFUSED = (out("2", "/v3/emails", vendor=CC), rsp("2", 403))
UNDONE = {
    "taken back in": ((left(), BACK), 1),
    "by a job": ((left(), eff(f"contact:{ANA}", PERMISSION, "unsubscribed", "explicit", "job")), 1),
    "the person came back": ((left(), act(ANA, "person_opts_in"), BACK), 0),
    "came back before": ((act(ANA, "person_opts_in"), left(), BACK), 1),
    "by the person": ((left(), eff(f"contact:{ANA}", PERMISSION, "unsubscribed", "explicit", "person")), 0),
    "between our reading and our answer": (
        (out("0", "/v3/contacts/x", vendor=CC), left(), out("1", "/v3/contacts/x", "PUT", CC), BACK),
        0,
    ),
    "within our write, by a mail": ((*WITHIN, BACK), 1),
    "within our write, and put back": ((*WITHIN, BACK, left("product")), 0),
    "within our write, and the person came back": ((*WITHIN, act(ANA, "person_opts_in"), BACK), 0),
    "within our write, where reports are refused": ((*WITHIN, BACK, *REFUSED), 0),
    "before our reading": (
        (left(), out("0", "/v3/contacts/x", vendor=CC), out("1", "/v3/contacts/x", "PUT", CC), BACK),
        1,
    ),
    "opened in Virtuous": ((closed(actor="staff"), closed(True, False)), 1),
}


@pytest.mark.parametrize(("facts", "broken"), UNDONE.values(), ids=UNDONE)
def test_never_undone(facts: tuple[Told, ...], broken: int) -> None:
    found, premise = never_undone(story(*facts))
    assert [one.invariant for one in found] == ["I5"] * broken
    assert premise >= 1


# --- I6 --------------------------------------------------------------------------------------------------------------

END = at(60, Told("END", "", {"stored": {}}))
FAULT = Told("RSP", "1", {"status": 503, "fault": "503"})
ENTRY = tx(("entry", "DELETE", {"party_id": "p"}))
SEEN = (
    tx(("alias", "INSERT", {"platform": V, "record_id": "7", "party_id": "p"})),
    tx(("snapshot", "INSERT", {"platform": V, "record_id": "7", "stamp": ""})),
    ENTRY,
)
STAFF = closed(actor="staff")
HEARD = (
    Told("RECV", "b", {"n": 1, "verified": True, "names": (("7", "2026-03-02T16:00:00"),)}),
    Told("ACK", "b", {"n": 1, "status": 200}),
)


def restored(hours_ago: float) -> Told:
    """The disk is put back to what it was so many hours ago."""
    return Told("RESTORE", "", {"age": hours_ago * HOURS})


def hours(*pairs: tuple[float, Told]) -> tuple[Told, ...]:
    """Facts at their hours."""
    return tuple(at(hour, one) for hour, one in pairs)


LATE: dict[str, tuple[tuple[Told, ...], int, int]] = {
    "within the cadence": (hours((1, left()), (2.9, closed())), 0, 1),
    "after it": (hours((1, left()), (3.1, closed())), 1, 1),
    "never": (hours((1, left())), 1, 1),
    "after a fault, late": (hours((1, left()), (2, FAULT), (4.9, closed())), 0, 1),
    "after a fault, too late": (hours((1, left()), (2, FAULT), (5.2, closed())), 1, 1),
    "a fault long before": (hours((1, FAULT), (3, left()), (5.1, closed())), 1, 1),
    "the person came back": (
        hours((1, left()), (2, eff(f"contact:{ANA}", PERMISSION, "unsubscribed", "explicit", "person"))),
        0,
        0,
    ),
    "deleted": (hours((1, eff(f"contact:{ANA}", "deleted_at", None, "x", "staff")), (4.9, closed())), 0, 1),
    "deleted, late": (hours((1, eff(f"contact:{ANA}", "deleted_at", None, "x", "staff")), (5.1, closed())), 1, 1),
    "bounced": (hours((1, act(ANA, "bounce", code="B")), (4.2, closed())), 1, 1),
    "bounced, in time": (hours((1, act(ANA, "bounce", code="B")), (3.9, closed())), 0, 1),
    "an automatic answer": (hours((1, act(ANA, "bounce", code="V"))), 0, 0),
    "the story ends before": (hours((59, left())), 0, 0),
    "by staff in Virtuous, polled": (hours(*((0.5, one) for one in SEEN), (1, STAFF), (5.9, left("product"))), 0, 1),
    "polled, late": (hours(*((0.5, one) for one in SEEN), (1, STAFF), (6.1, left("product"))), 1, 1),
    "heard, late": (
        hours(*((0.5, one) for one in SEEN), (1, STAFF), *((1, one) for one in HEARD), (1.1, left("product"))),
        1,
        1,
    ),
    "never seen open": (hours((1, STAFF)), 0, 0),
    "seen open, and lost with the disk": (
        hours(*((0.5, one) for one in SEEN), (0.9, restored(1.0)), (10, STAFF), (15.1, left("product"))),
        0,
        0,
    ),
    "seen open before the disk was saved, late": (
        hours(*((0.5, one) for one in SEEN), (0.9, restored(0.2)), (10, STAFF), (15.1, left("product"))),
        1,
        1,
    ),
    "held by the brake": (
        hours(*((0.5, one) for one in SEEN), (1, STAFF), (2, tx(("inferred", "INSERT", {"state": "held"})))),
        0,
        0,
    ),
}


@pytest.mark.parametrize(("facts", "broken", "counted"), LATE.values(), ids=LATE)
def test_never_lost(facts: tuple[Told, ...], broken: int, counted: int) -> None:
    out_at_end = any(one.kind == "EFF" and one.data["actor"] == "product" for one in facts)
    is_open = not (out_at_end or any(one.key == METHOD for one in facts))
    final = ended([contact(ANA, "Ana@X.org", "unsubscribed")], [household(7, "ana@x.org", ANA, opted_in=is_open)])
    found, premise = never_lost(story(PLAN, *facts, END, final=final))
    assert [one.invariant for one in found] == ["I6"] * broken
    assert premise == counted


# --- I7 --------------------------------------------------------------------------------------------------------------

MIDNIGHT = 9.0  # hours from DATED, 15:00 UTC
ROW = (
    eff("submission:1", "state", None, "waiting"),
    eff("submission:1", "referenceId", None, ANA),
)
BORN = (
    eff("individual:8", "contactId", None, 7, "batch"),
    eff(METHOD, "contactIndividualId", None, 8, "batch"),
    eff(METHOD, "type", None, "Home Email", "batch"),
    eff(METHOD, "value", None, "ana@x.org", "batch"),
    closed(True, None, "batch"),
    eff("submission:1", "state", "waiting", "created", "batch"),
    eff("submission:1", "contactId", None, 7, "batch"),
)
WAITED: dict[str, tuple[float, float | None, int]] = {
    "at once": (3, MIDNIGHT + 0.09, 0),
    "late": (3, MIDNIGHT + 0.11, 1),
    "never": (3, None, 1),
    "said just before, read by its own round": (8, MIDNIGHT + 0.9, 0),
}


@pytest.mark.parametrize(("said", "paid", "broken"), WAITED.values(), ids=WAITED)
def test_paid_in_time(said: float, paid: float | None, broken: int) -> None:
    rows = [*((1.0, one) for one in ROW), (said, left()), *((MIDNIGHT, one) for one in BORN)]
    facts = hours(*rows, *([(paid, closed())] if paid else []))
    final = ended([contact(ANA, "ana@x.org", "unsubscribed")], [household(7, "ana@x.org", ANA, opted_in=paid is None)])
    found, premise = paid_in_time(story(PLAN, *facts, END, final=final))
    assert [one.invariant for one in found] == ["I7"] * broken
    assert premise == 1


SLOW, RIGHT = Told("SKEW", "", {"ahead": -1800.0}), Told("SKEW", "", {"ahead": 0.0})
CLOCKS: dict[str, tuple[tuple[Told, ...], float, int]] = {
    "half an hour behind": (hours((4, SLOW)), MIDNIGHT + 0.59, 0),
    "half an hour behind, later than that": (hours((4, SLOW)), MIDNIGHT + 0.61, 1),
    "put right long before": (hours((3, SLOW), (4, RIGHT)), MIDNIGHT + 0.11, 1),
    "ahead": (hours((4, Told("SKEW", "", {"ahead": 1800.0}))), MIDNIGHT + 0.11, 1),
}


@pytest.mark.parametrize(("clocks", "paid", "broken"), CLOCKS.values(), ids=CLOCKS)
def test_paid_by_a_midnight_that_our_own_clock_shows(clocks: tuple[Told, ...], paid: float, broken: int) -> None:
    rows = [*((1.0, one) for one in ROW), (3.0, left())]
    facts = (*hours(*rows), *clocks, *hours(*((MIDNIGHT, one) for one in BORN), (paid, closed())))
    final = ended([contact(ANA, "ana@x.org", "unsubscribed")], [household(7, "ana@x.org", ANA, opted_in=False)])
    found, _ = paid_in_time(story(PLAN, *facts, END, final=final))
    assert [one.invariant for one in found] == ["I7"] * broken


# --- I8 --------------------------------------------------------------------------------------------------------------


def job(kind: str) -> Told:
    """A call is about to be made."""
    return tx(("job", "UPDATE", {"id": "j", "kind": kind, "state": "sent"}))


def reads(vendor: str, path: str, record: dict[str, Any]) -> tuple[Told, ...]:
    """One record is read."""
    return out("1", path, vendor=vendor), rsp("1", 200, json.dumps(record))


def puts(vendor: str, path: str, record: Any, method: str = "PUT") -> Told:
    """One is written."""
    return out("2", path, method, vendor, body=json.dumps(record))


CARD, PHONE = f"/v3/contacts/{ANA}", "/api/ContactMethod/9"
MAIL = {"email_address": {"permission_to_send": "implicit"}}
GONE = {"email_address": {"permission_to_send": "unsubscribed"}}
LEDGER = tx(("act", "INSERT", {"record_id": ANA, "direction": "out"}))
LANE: dict[str, tuple[tuple[Told, ...], int]] = {
    "the value just read": ((*reads(CC, CARD, MAIL), job("set_fields"), puts(CC, CARD, MAIL)), 0),
    "taken for granted": ((*reads(CC, CARD, GONE), job("set_fields"), puts(CC, CARD, MAIL)), 1),
    "left out": ((*reads(CC, CARD, MAIL), job("set_fields"), puts(CC, CARD, {"email_address": {}})), 1),
    "an opt-out": ((*reads(CC, CARD, MAIL), job("opt_out"), puts(CC, CARD, GONE)), 0),
    "fields that opt out": ((*reads(CC, CARD, MAIL), job("set_fields"), puts(CC, CARD, GONE)), 1),
    "a raced opt-out, again": ((*reads(CC, CARD, MAIL), left(), job("set_fields"), puts(CC, CARD, GONE)), 0),
    "the form": ((puts(CC, "/v3/contacts/sign_up_form", {}, "POST"),), 1),
    "a method as it was": (
        (*reads(V, PHONE, {"isOptedIn": True}), job("set_email"), puts(V, PHONE, {"isOptedIn": True})),
        0,
    ),
    "a method that is closed by the way": (
        (*reads(V, PHONE, {"isOptedIn": True}), job("set_email"), puts(V, PHONE, {"isOptedIn": False})),
        1,
    ),
    "a method that is opened by the way": (
        (*reads(V, PHONE, {"isOptedIn": False}), job("set_phone"), puts(V, PHONE, {"isOptedIn": True})),
        1,
    ),
    "a method that says nothing": ((*reads(V, PHONE, {"isOptedIn": True}), puts(V, PHONE, {"value": "x"})), 1),
    "imported": ((puts(V, "/api/Contact/Batch", {"contacts": [{"referenceId": ANA}]}, "POST"),), 0),
    "imported while out": ((LEDGER, puts(V, "/api/Contact/Batch", {"contacts": [{"referenceId": ANA}]}, "POST")), 1),
    "put on a list": (
        (puts(CC, "/v3/activities/add_list_memberships", {"source": {"contact_ids": [ANA]}}, "POST"),),
        0,
    ),
    "opened anew while out": (
        (
            LEDGER,
            puts(V, "/api/ContactMethod", {"type": "Home Email", "value": "ANA@x.org", "isOptedIn": True}, "POST"),
        ),
        1,
    ),
    "created open while out": (
        (
            LEDGER,
            puts(
                V,
                "/api/Contact",
                {
                    "referenceId": ANA,
                    "contactIndividuals": [{"contactMethods": [{"type": "Home Email", "isOptedIn": True}]}],
                },
                "POST",
            ),
        ),
        1,
    ),
}


@pytest.mark.parametrize(("facts", "broken"), LANE.values(), ids=LANE)
def test_one_lane(facts: tuple[Told, ...], broken: int) -> None:
    final = ended([contact(ANA, "ana@x.org")], [household(7, "ana@x.org", ANA)])
    found, premise = one_lane(story(*facts, final=final))
    assert [one.invariant for one in found] == ["I8"] * broken
    assert premise == 1 or "sign_up_form" in facts[0].data.get("path", "")


@pytest.mark.parametrize(("ago", "broken"), [(0.2, 0), (0.3, 1)])
def test_nobody_is_put_on_a_list_who_is_out_for_longer_than_the_gate(ago: float, broken: int) -> None:
    add = puts(CC, "/v3/activities/add_list_memberships", {"source": {"contact_ids": [ANA]}}, "POST")
    final = ended([contact(ANA, "ana@x.org", "unsubscribed")])
    found, _ = one_lane(story(*hours((1, left()), (1 + ago, add)), final=final))
    assert len(found) == broken


# --- I9 --------------------------------------------------------------------------------------------------------------

MOVES = eff(f"contact:{ANA}", "email_address.address", "ana@x.org", "new@x.org", "person")
FOLLOWS: dict[str, tuple[tuple[Told, ...], str, tuple[tuple[str, bool], ...], int, int]] = {
    "spelled otherwise and open": ((left(),), "ana@x.org", (("ANA@X.ORG ", True),), 1, 1),
    "spelled otherwise and closed": ((left(),), "ana@x.org", (("ANA@X.ORG ", False),), 0, 1),
    "carried twice, one open": ((left(),), "ana@x.org", (("ana@x.org", False), ("ana@x.org", True)), 1, 1),
    "moved since, open at the new one": ((left(), MOVES), "new@x.org", (("new@x.org", True),), 1, 1),
    "moved since, open at the old one": ((left(), MOVES), "new@x.org", (("ana@x.org", True),), 1, 1),
    "a bounce of an address that was left": (
        (act(ANA, "bounce", code="B"), MOVES),
        "new@x.org",
        (("new@x.org", True),),
        0,
        0,
    ),
    "came back": ((left(), act(ANA, "person_opts_in")), "ana@x.org", (("Ana@x.org", True),), 0, 0),
    "the import still holds the row": ((left(), judged(waiting=(ANA,))), "ana@x.org", (("Ana@x.org", True),), 0, 0),
}


@pytest.mark.parametrize(("facts", "now", "methods", "broken", "counted"), FOLLOWS.values(), ids=FOLLOWS)
def test_follows_the_address(
    facts: tuple[Told, ...], now: str, methods: tuple[tuple[str, bool], ...], broken: int, counted: int
) -> None:
    homes = [household(10 * place, value, ANA, is_open) for place, (value, is_open) in enumerate(methods, 1)]
    found, premise = follows_the_address(story(*facts, final=ended([contact(ANA, now, "unsubscribed")], homes)))
    assert [one.invariant for one in found] == ["I9"] * broken
    assert premise == counted


def test_an_address_has_one_name() -> None:
    """Case, outer space, and the domain in any script."""
    assert address(" Ana@Bücher.EXAMPLE") == address("ana@xn--bcher-kva.example")
    assert address(None) == ""
