"""May we mail this address; the nightly certificate turns red where an opt-out was missed, and names it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, update

from keepstep import telemetry
from keepstep.schema.tables import act
from keepstep.wiring import proof
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, DAY, HOUR, Crossing, spoilt
from tests.flows.test_consent import linked, method_of


def may_mail(c: Crossing, address: str = "ann@example.org") -> dict[str, Any]:
    return dict(c.ask(proof.may_mail(c.service, CUSTOMER, address)))


def certificate(c: Crossing) -> dict[str, Any]:
    return dict(c.ask(proof.certificate(c.service, CUSTOMER)))


def conflicts(c: Crossing) -> list[dict[str, Any]]:
    return list(c.ask(proof.conflicts(c.service, CUSTOMER, 10)))


# --- one address -----------------------------------------------------------------------------------------------------


def test_who_is_in_on_both_sides_may_be_mailed_and_who_opted_out_may_not() -> None:
    with Crossing() as c:
        ann = linked(c)
        found = may_mail(c, "ANN@example.org")
        assert found["may_mail"] == "yes"
        [person] = found["people"]
        assert (person["record"], person["audience"]["says"], person["crm_method"]["says"]) == (
            ann,
            "opted_in",
            "opted_in",
        )
        c.opts_out(ann)
        c.wait(hours=1)
        found = may_mail(c)
        assert (found["may_mail"], found["why"]) == ("no", ["an opt-out stands"])
        assert [(one["kind"], one["direction"]) for one in found["acts"]] == [("choice", "out")]
        assert found["ledger"] == {"rows": 1, "breaks": []}
        c.open()
        assert may_mail(c)["may_mail"] == "no"


def test_of_an_address_that_nobody_has_nothing_is_known() -> None:
    with Crossing() as c:
        linked(c)
        assert may_mail(c, "nobody@example.org")["may_mail"] == "unknown"


def test_an_opt_out_by_staff_is_a_no_and_a_false_of_unknown_origin_is_unknown() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.household("bea@example.org", first="Bea", opted_in=False)
        c.person("bea@example.org", "Bea")
        c.v.staff_opts(CUSTOMER, method_of(c, ann), False, c.now())
        c.wait(days=1)
        assert may_mail(c)["may_mail"] == "no"
        found = may_mail(c, "bea@example.org")
        assert (found["may_mail"], found["why"]) == (
            "unknown",
            ["opted out in the CRM, and nobody was seen to do it"],
        )


def test_the_evidence_of_an_opt_out_outlives_the_address() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.opts_out(ann)
        c.wait(hours=1)
        c.edits(ann, email="new@example.org")
        c.wait(days=1)
        assert may_mail(c)["may_mail"] == "no"
        assert may_mail(c)["acts"]


def test_a_broken_ledger_proves_no_yes() -> None:
    with Crossing() as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        c.opts_out(bob)
        c.wait(hours=1)
        assert may_mail(c)["may_mail"] == "yes"
        with c.db._disk.begin() as tx:
            tx.execute(update(act).values(direction="in"))
        found = may_mail(c)
        assert (found["may_mail"], [one["what"] for one in found["ledger"]["breaks"]]) == ("unknown", ["changed"])
        assert ann


# --- the certificate -------------------------------------------------------------------------------------------------


def test_before_a_sweep_of_both_sides_was_whole_there_is_no_certificate() -> None:
    with Crossing() as c:
        c.person()
        c.faults.arm("503", vendor="virtuous", path="/api/Contact/Query", count=1_000_000)
        c.connect()
        c.wait(hours=2)
        assert certificate(c) == {"verdict": "none", "why": {"virtuous": "never_whole"}, "at": None}
        assert c.lines("certificate") == []


def test_opt_outs_that_are_everywhere_are_certified_with_the_sweeps_that_prove_it() -> None:
    with Crossing() as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        c.opts_out(ann)
        c.v.staff_opts(CUSTOMER, method_of(c, bob), False, c.now())
        c.wait(days=3)
        found = certificate(c)
        assert (found["verdict"], found["opt_outs"], found["missing"], found["records"]) == ("complete", 2, 0, [])
        assert set(found["sweeps"]) == {"constant_contact", "virtuous"}
        assert found["ledger"]["rows"] >= 2 and found["ledger"]["breaks"] == []
        assert len(c.lines("certificate")) >= 2


def blind(c: Crossing) -> Callable[[str, Request, Callable[[], Response]], Response]:
    """Every poll of opt-outs and changes, and the reports, come back empty; sweeps see."""

    def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
        response = handle()
        polled = "optout_after" in request.query or "updated_after" in request.query
        if request.path == "/v3/contacts" and polled and response.status == 200:
            return spoilt(response, json.dumps({"contacts": [], "_links": {}}).encode())
        return response

    return wire


def test_an_opt_out_that_only_the_sweep_found_turns_the_certificate_red_and_is_named() -> None:
    with Crossing(cadence={"reports": 90 * DAY}) as c:
        ann = linked(c)
        c.wait(days=2)
        assert certificate(c)["verdict"] == "complete"
        c.wire = blind(c)
        c.wait(hours=20)
        c.opts_out(ann)
        red: list[dict[str, Any]] = []
        for _ in range(60):
            c.wait(hours=1)
            if certificate(c)["verdict"] == "incomplete":
                red.append(certificate(c))
        assert red
        [record] = red[0]["records"]
        assert (record["record"], record["why"]) == (ann, "found_by_the_sweep_only")
        assert c.consents(ann) == [False]
        c.wait(days=2)
        assert certificate(c)["verdict"] == "complete"


def test_an_opt_out_that_was_not_carried_over_turns_it_red_and_is_named_and_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(telemetry, "report", lambda *_given, **said: told.append(said.get("reason")))
    with Crossing() as c:
        ann = linked(c)
        c.faults.arm("503", vendor="virtuous", method="PUT", count=1_000_000)
        c.opts_out(ann)
        c.wait(days=2)
        found = certificate(c)
        assert (found["verdict"], found["missing"]) == ("incomplete", 1)
        assert found["records"][0] == {"record": ann, "crm": str(c.there(ann)["id"]), "why": "open_on_the_other_side"}
        assert told.count("certificate_incomplete") == 1
        c.faults.clear()
        c.wait(days=2)
        assert certificate(c)["verdict"] == "complete"


def test_an_opt_out_that_the_ledger_lost_turns_it_red() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.opts_out(ann)
        c.wait(days=2)
        assert certificate(c)["verdict"] == "complete"
        with c.db._disk.begin() as tx:
            tx.execute(delete(act))
        assert certificate(c)["verdict"] == "incomplete", "the chain ends before the last certificate's end"
        c.wait(days=1)
        assert [one["why"] for one in certificate(c)["records"]] == ["not_in_the_ledger"]


def test_a_person_whom_the_sweep_did_not_show_is_not_certified() -> None:
    """A page that shifts, or a vendor that hides somebody: whoever was not read may have opted out."""
    with Crossing() as c:
        ann = linked(c)

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            response = handle()
            if request.path != "/v3/contacts" or response.status != 200:
                return response
            page = json.loads(response.body)
            page["contacts"] = [one for one in page["contacts"] if one["contact_id"] != ann]
            return spoilt(response, json.dumps(page).encode())

        c.wire = wire
        c.wait(days=2)
        found = certificate(c)
        assert (found["verdict"], [one["why"] for one in found["records"]]) == ("incomplete", ["not_read_by_the_sweep"])


def test_a_sweep_that_is_not_whole_any_more_gives_no_certificate() -> None:
    with Crossing(cadence={"sweep": 4 * HOUR}) as c:
        linked(c)
        c.wait(days=1)
        assert certificate(c)["verdict"] == "complete"
        c.faults.arm("503", vendor="constant_contact", path="/v3/contacts", count=1_000_000)
        for _ in range(14):
            c.wait(hours=2)
        found = certificate(c)
        assert (found["verdict"], found["why"]) == ("none", {"constant_contact": "not_whole_since"})
        assert c.lines("certificate")[-1]["verdict"] == "none"


# --- conflicts -------------------------------------------------------------------------------------------------------


def test_a_conflict_is_listed_with_both_values_and_whose_was_kept() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.wait(hours=2)
        one = c.there(ann)["contactIndividuals"][0]["id"]
        c.edits(ann, first_name="Anna")
        c.v.lose_next(10)
        c.v.staff_renames(CUSTOMER, one, c.now(), first_name="Annie")
        c.wait(hours=3)
        [row] = conflicts(c)
        assert (row["record"], row["field"], row["audience"], row["crm"], row["kept"]) == (
            ann,
            "first_name",
            "Anna",
            "Annie",
            "crm",
        )
        c.v.staff_renames(CUSTOMER, one, c.now(), first_name="Ann")
        c.wait(hours=3)
        assert conflicts(c)[-1]["crm"] == "Annie", "as it was then"
