"""The readiness checklist, each line with evidence from the customer's own data, and the live checks."""

from typing import Any

import pytest
from msgspec.structs import replace as changed

from keepstep.model.errors import Refused
from keepstep.settings import Settings
from keepstep.state import customers
from tests.flows.crossing import CUSTOMER, Crossing, emails

OAUTH = "each customer signs in with OAuth"
SIGNED = "webhooks are believed by their signature only"
POLLS = "polls find what no webhook tells"
REFERENCE = "the contact's id is the reference"
OPT_OUTS = "opt-outs and bounces close the address"
PREFIX = "tags of lists have the prefix"
ECHO = "our own changes do not come back as new ones"
APART = "customers are apart: secrets, queue, marks"
CADENCE = "the cadence fits the vendor's quota"
PACE = "bulk stays below 1500 calls an hour"
EVERY = [OAUTH, SIGNED, POLLS, REFERENCE, OPT_OUTS, PREFIX, ECHO, APART, CADENCE, PACE]


def lines(c: Crossing, customer: str = CUSTOMER) -> dict[str, dict[str, Any]]:
    return {one["line"]: one for one in c.ask(c.service.ready_for_production(customer))}


def states(c: Crossing) -> dict[str, str]:
    return {line: one["state"] for line, one in lines(c).items()}


def checks(c: Crossing) -> dict[tuple[str, str], tuple[str, str]]:
    rows = c.ask(c.service.check(CUSTOMER))
    return {(one["platform"], one["check"]): (one["state"], one["detail"]) for one in rows}


def test_a_customer_who_runs_well_passes_every_line() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann, bob = c.person(lists=[news]), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        c.opts_out(bob)
        c.edits(ann, first_name="Anna")
        c.wait(hours=2)
        found = lines(c)
        assert list(found) == EVERY
        assert {line: one["state"] for line, one in found.items()} == dict.fromkeys(EVERY, "pass")
        assert [one["next"] for one in found.values()] == [""] * len(EVERY)
        assert "2 of 2 linked" in found[REFERENCE]["evidence"]
        assert "1 opt-outs of linked people, 1 applied, 0 open; 0 owed" in found[OPT_OUTS]["evidence"]
        assert "1 of 1 lists" in found[PREFIX]["evidence"]
        assert "last refreshed 2025-" in found[OAUTH]["evidence"]
        assert "nobody more than" in found[ECHO]["evidence"]


def test_before_anything_ran_nothing_is_claimed() -> None:
    with Crossing() as c:
        c.key("v_key")
        found = lines(c)
        assert found[OAUTH]["state"] == "fail"
        assert found[OAUTH]["person"]
        assert "keepstep customer add" in found[OAUTH]["next"]
        assert found[POLLS]["state"] == "fail"
        assert found[REFERENCE]["state"] == found[OPT_OUTS]["state"] == "not applicable"


def test_what_staff_must_make_is_named() -> None:
    with Crossing() as c:
        c.a_list("Newsletter", tag=False)
        c.connect()
        assert lines(c)[PREFIX]["state"] == "fail"
        assert "create: CC: Newsletter" in lines(c)[PREFIX]["next"]


def test_without_a_public_address_signatures_do_not_apply() -> None:
    with Crossing() as c:
        c.connect()
        assert states(c)[SIGNED] == "pass"
        settings = c.service.settings
        c.service.settings = changed(settings, service=changed(settings.service, public_url=None))
        assert states(c)[SIGNED] == "not applicable"


def test_a_grant_that_was_revoked_fails_its_line_and_needs_a_person() -> None:
    with Crossing() as c:
        c.connect()
        c.cc.revoke_grant(CUSTOMER)
        c.wait(days=2)
        assert states(c)[OAUTH] == "fail"
        assert lines(c)[OAUTH]["person"]
        assert states(c)[POLLS] == "fail"
        assert checks(c)["constant_contact", "account"][0] == "person"


def test_polls_too_close_and_a_pace_too_high_fail() -> None:
    with Crossing() as c:
        c.connect()
        assert (states(c)[CADENCE], states(c)[PACE]) == ("pass", "pass")
        settings: Settings = c.service.settings
        audience = changed(settings.platforms["constant_contact"], per_day=50)
        crm = changed(settings.platforms["virtuous"], per_hour=5000)
        c.service.settings = changed(settings, platforms={"constant_contact": audience, "virtuous": crm})
        assert (states(c)[CADENCE], states(c)[PACE]) == ("fail", "fail")


def test_an_opt_out_that_is_not_applied_yet_fails_its_line() -> None:
    with Crossing() as c:
        ann = c.person()
        c.connect()
        c.night()
        c.faults.arm("503", vendor="virtuous", method="PUT", count=1000)
        c.opts_out(ann)
        c.wait(minutes=40)
        assert lines(c)[OPT_OUTS]["state"] == "fail"
        c.faults.clear()
        c.wait(hours=1)
        assert lines(c)[OPT_OUTS]["state"] == "pass"
        assert emails(c.there(ann))[0]["isOptedIn"] is False


def test_two_customers_do_not_share_an_account_unseen() -> None:
    with Crossing(customers=(CUSTOMER, "other")) as c:
        c.connect()
        assert states(c)[APART] == "pass"
        db = c.service.db
        mine = c.ask(db.run(customers.get_connection, CUSTOMER, "constant_contact"))
        assert mine.account_id
        c.ask(db.run(customers.bind_account, "other", "constant_contact", mine.account_id))
        assert lines(c)[APART]["state"] == "fail"
        assert "other uses the same account" in lines(c)[APART]["evidence"]


def test_the_live_checks_ask_for_accounts_tags_fields_origin_and_reports() -> None:
    with Crossing() as c:
        c.a_list("Newsletter", tag=False)
        c.connect()
        found = checks(c)
        assert found["constant_contact", "account"][0] == found["virtuous", "account"][0] == "ok"
        assert found["virtuous", "tags"] == ("person", "1 tags are missing")
        assert found["virtuous", "custom fields"][0] == "ok"
        assert "not known: left out" in found["virtuous", "origin"][1]
        assert found["constant_contact", "reports"] == ("ok", "can be read")
        c.v.add_segment(CUSTOMER, "CONSTANT-CONTACT-SYNC")
        assert checks(c)["virtuous", "origin"] == ("ok", "CONSTANT-CONTACT-SYNC is known")


@pytest.mark.parametrize("scope", ["missing", "no_privilege"])
def test_reports_that_may_not_be_read_need_a_person(scope: str) -> None:
    with Crossing(cc={"reports_scope": scope}) as c:
        c.connect()
        assert checks(c)["constant_contact", "reports"][0] == "person"


def test_a_customer_who_is_not_there_is_said_so() -> None:
    with Crossing() as c:
        for asked in (c.service.check("nobody"), c.service.ready_for_production("nobody")):
            with pytest.raises(Refused, match="no customer nobody"):
                c.ask(asked)
