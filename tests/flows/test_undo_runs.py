"""Undoing what was let go otherwise than by a first plan: what the brake held, a repair, fields written back."""

from dataclasses import replace

from keepstep.wiring import plans
from tests.flows.crossing import CUSTOMER, Crossing, emails
from tests.flows.test_brake import NEWSLETTER, approve, made, shown
from tests.flows.test_consent import linked
from tests.flows.test_lists import lists_of
from tests.flows.test_pairing import applied
from tests.flows.test_reconcile import apply, look, tampered
from tests.flows.test_toward import ALL, rename
from tests.flows.test_undo import at_cc, at_crm, differences, undone

NEW = "anna@example.org"


def is_quiet(c: Crossing) -> bool:
    """Nothing is written any more, for two nights."""
    written = len(c.writes())
    c.night()
    c.night()
    return len(c.writes()) == written and c.letters() == []


def test_memberships_that_the_brake_let_go_come_back_and_those_of_before_do_not() -> None:
    with made() as town:
        c = town.c
        for record in town.people[:30]:
            c.v.staff_removes_tag(CUSTOMER, c.there(record)["id"], NEWSLETTER, c.now())
        c.wait(minutes=20)
        held = sorted(one["record"] for one in shown(c)["records"])
        run = approve(c, shown(c)["checksum"])["run"]
        c.wait(minutes=20)
        off = {one for one in town.people if lists_of(c, one) == []}
        assert off == set(town.people[:30]) and 0 < len(held) < 30
        crm = at_crm(c)
        said = undone(c, run)
        assert (said["restored"], said["restoring"], said["touched"]) == (len(held), 0, 0)
        assert {one for one in town.people if lists_of(c, one) == []} == off - set(held)
        assert differences(crm, at_crm(c)) == {}
        assert is_quiet(c)


def test_opt_outs_that_the_brake_let_go_stay() -> None:
    with made() as town:
        c = town.c
        town.flip(*town.people[:30])
        c.wait(minutes=5)
        held = len(shown(c)["records"])
        run = approve(c, shown(c)["checksum"])["run"]
        c.wait(minutes=20)
        cc, crm = at_cc(c), at_crm(c)
        said = undone(c, run)
        assert (said["restored"], said["restoring"], said["stays"]) == (0, 0, held)
        assert differences(cc, at_cc(c)) == differences(crm, at_crm(c)) == {}
        assert is_quiet(c)


def moved_unheard(c: Crossing) -> str:
    """Somebody whose new address was never asked about: what we know says that it was there all the time."""
    ann = linked(c)
    c.wait(days=1)
    tampered(c, lambda one: replace(one, audience={**(one.audience or {}), "email": NEW}))
    c.edits(ann, email=NEW)
    c.wait(hours=2)
    assert emails(c.there(ann))[0]["value"] == "ann@example.org"
    return ann


def test_what_a_repair_wrote_goes_back_and_is_not_repaired_again() -> None:
    with Crossing(policy={"brake_floor": 0, "brake_share": 0.5}) as c:
        ann = moved_unheard(c)
        crm, cc = at_crm(c), at_cc(c)
        run = apply(c, look(c)["checksum"])["run"]
        c.wait(hours=1)
        assert emails(c.there(ann))[0]["value"] == NEW
        said = undone(c, run)
        assert (said["restored"], said["restoring"]) == (1, 0)
        assert differences(crm, at_crm(c)) == differences(cc, at_cc(c)) == {}
        assert is_quiet(c) and look(c)["findings"] == []


def test_fields_that_were_written_back_are_as_before_but_for_who_changed_since() -> None:
    with Crossing(policy=ALL) as c:
        ann = linked(c)
        bob = c.person("bob@example.org", "Bob", "Roe", phones=[("mobile", "202-555-0111")])
        c.night()
        c.ask(plans.begin(c.service, CUSTOMER))
        rename(c, ann, first_name="Annie")
        rename(c, bob, first_name="Robert", last_name="Row")
        c.wait(hours=2)
        crm, cc = at_crm(c), at_cc(c)
        run = applied(c, c.ask(plans.draw(c.service, CUSTOMER))["checksum"])["run"]
        c.wait(hours=2)
        assert (c.here(ann)["first_name"], c.here(bob)["first_name"]) == ("Annie", "Robert")
        phones = c.here(bob)["phone_numbers"]
        rename(c, ann, first_name="Staff")
        c.wait(hours=2)
        said = undone(c, run, minutes=60)
        assert (said["restored"], said["touched"], said["restoring"]) == (2, 1, 0)
        assert differences(cc, at_cc(c)) == {ann: ["names"]}
        assert (c.here(ann)["first_name"], c.here(bob)["phone_numbers"]) == ("Staff", phones)
        assert set(differences(crm, at_crm(c))) == {str(c.there(ann)["id"])}
        assert is_quiet(c)
