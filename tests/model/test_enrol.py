"""People whom only the CRM has: who is created at the audience side, on which lists, and who never is."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.change import Lane, Step
from keepstep.model.contact import Address, AudienceContact, Consent, CrmContact, Individual, Method, Side
from keepstep.model.customer import Policy
from keepstep.model.decide import Setting, decide
from keepstep.model.enrol import Verdict, addresses, enrolments, joined, matched, unfit
from keepstep.model.foresee import after_enrolments
from keepstep.model.party import Label, Party, Person, Readings
from keepstep.model.settle import found_so, refused, settle

POLICY = Policy(crm_only="create", permission_evidence="They signed for it.")
NEWS = Label(list_id="L1", list_name="News", tag_name="CC: News", tag_id="T1")
GALA = Label(list_id="L2", list_name="Gala", tag_name="CC: Gala", tag_id=None)
OWN = Label(list_id="A1", list_name="Gala", tag_name="CC: Gala", tag_id="T3", kind="tag")
SETTING = Setting(policy=POLICY, labels=(NEWS, GALA, OWN), now=1000.0)
ALONE = Party(party_id="p", crm_id="77")


def mail(value: str = "bob@example.org", opted_in: bool | None = True, **more: Any) -> Method:
    return Method(record_id=f"m-{value}", kind="email", type="Home Email", value=value, opted_in=opted_in, **more)


def bob(*methods: Method, record_id: str = "1", **more: Any) -> Individual:
    said: dict[str, Any] = {"first_name": "Bob", "last_name": "Poe", "primary": record_id == "1", **more}
    return Individual(record_id=record_id, methods=methods, **said)


def contact(*people: Individual, **more: Any) -> CrmContact:
    return CrmContact(record_id="77", individuals=people or (bob(mail()),), **{"tags": ("CC: News",), **more})


def wanted(crm: CrmContact | None, party: Party = ALONE, setting: Setting = SETTING, **more: Any) -> Verdict | None:
    return enrolments(party, Readings(crm=crm, **more), setting)


def steps_of(crm: CrmContact, setting: Setting = SETTING, **more: Any) -> tuple[Step, ...]:
    verdict = wanted(crm, setting=setting, **more)
    return verdict.steps if verdict else ()


def why(crm: CrmContact, setting: Setting = SETTING, **more: Any) -> str | None:
    verdict = wanted(crm, setting=setting, **more)
    assert verdict is not None and (verdict.standing, verdict.steps) == ("left_out", ())
    return verdict.reason


def with_policy(**more: Any) -> Setting:
    return replace(SETTING, policy=replace(POLICY, **more))


def test_a_living_person_who_is_opted_in_is_created_with_everything_that_is_known() -> None:
    phone = Method(record_id="f", kind="phone", type="Mobile Phone", value="602 555 0100", primary=True)
    fax = Method(record_id="x", kind="phone", type="Fax", value="602 555 0199")
    place = Address(street="1 Main St", city="Mesa", state="AZ", postal="85201", country="US")
    [step] = steps_of(contact(bob(mail(), fax, phone), address=place))
    assert (step.kind, step.side, step.lane, step.hold) == ("enrol", Side.audience, Lane.bulk, "gate")
    assert (step.target, step.member) == ("enrol:1", "1")
    parts = {"street": "1 Main St", "city": "Mesa", "state": "AZ", "postal": "85201", "country": "US"}
    assert step.payload == {
        "contact": "77",
        "individual": "1",
        "email": "bob@example.org",
        "first_name": "Bob",
        "last_name": "Poe",
        "phone": {"kind": "mobile", "raw": "602 555 0100"},
        "address": {"kind": "home", **parts},
        "list_ids": ["L1"],
        "evidence": "They signed for it.",
    }


def test_a_phone_of_no_known_kind_is_another_one() -> None:
    fax = Method(record_id="x", kind="phone", type="Fax", value="602 555 0199")
    [step] = steps_of(contact(bob(mail(), fax)))
    assert step.payload["phone"] == {"kind": "other", "raw": "602 555 0199"} and step.payload["address"] is None


@pytest.mark.parametrize("policy", ["leave", "external"])
def test_no_other_policy_creates_anybody(policy: str) -> None:
    assert wanted(contact(), setting=with_policy(crm_only=policy)) is None


def test_whoever_has_somebody_at_the_audience_side_is_no_contact_of_the_crm_alone() -> None:
    assert wanted(contact(), replace(ALONE, people=(Person(record_id="a"),))) is None
    assert wanted(contact(), replace(ALONE, crm_id=None)) is None
    assert wanted(None) is None


@pytest.mark.parametrize(
    ("crm", "reason"),
    [
        (contact(bob(mail(opted_in=False))), "opted_out_in_crm"),
        (contact(bob(mail(opted_in=None))), "consent_unknown"),
        (contact(bob(mail(), mail("old@example.org", opted_in=False))), "opted_out_in_crm"),
        (contact(bob(mail(), deceased=True)), "deceased"),
        (contact(bob()), "no_email"),
        (contact(archived=True), "archived"),
        (contact(merged_into="78"), "merged"),
        (CrmContact(record_id="77"), "nobody"),
        (contact(tags=()), "no_list"),
        (contact(tags=("CC: Gala",)), "no_list"),
        (contact(bob(mail()), bob(mail(opted_in=False), record_id="2")), "consent_unknown"),
    ],
)
def test_who_is_not_created_and_why(crm: CrmContact, reason: str) -> None:
    assert why(crm) == reason
    assert unfit(crm) == (None if reason == "no_list" else reason)


def test_an_address_of_the_household_that_anybody_there_has_closed_is_closed_for_all() -> None:
    shut = contact(bob(mail()), bob(replace(mail(), opted_in=False), record_id="2"))
    assert steps_of(shut) == ()


@pytest.mark.parametrize("reason", ["opted_out", "several_contacts"])
def test_a_barred_address_is_nobodys(reason: str) -> None:
    crm = contact(bob(mail("Bob@Example.org")), bob(mail("eve@example.org"), record_id="2"))
    setting = with_policy(added_tag_goes_to="all")
    assert [step.member for step in steps_of(crm, setting, barred={"bob@example.org": reason})] == ["2"]


@pytest.mark.parametrize("reason", ["at_cc", "deleted_at_cc", "opted_out_at_cc"])
def test_who_shares_a_household_with_somebody_over_there_is_not_created(reason: str) -> None:
    crm = contact(bob(mail()), bob(mail("eve@example.org"), record_id="2"))
    assert why(crm, barred={"eve@example.org": reason}) == reason
    ours = replace(ALONE, people=(Person(record_id="a"),), enrolled=(("1", "a"),))
    assert wanted(crm, ours, barred={"eve@example.org": reason}) == Verdict("enrolled")


def test_a_tag_means_the_first_who_can_be_mailed_and_the_routes_list_means_everybody() -> None:
    crm = contact(bob(), bob(mail("eve@example.org"), record_id="2"), bob(mail("al@example.org"), record_id="3"))
    assert [step.member for step in steps_of(crm)] == ["2"]
    for named in (" gala ", "L2"):
        both = steps_of(crm, with_policy(crm_only_list=named))
        assert [step.payload["list_ids"] for step in both] == [["L1", "L2"], ["L2"]]
    assert len(steps_of(crm, with_policy(added_tag_goes_to="all"))) == 2


def test_lists_that_go_to_a_custom_field_have_no_tags() -> None:
    assert why(contact(), with_policy(lists_to="custom_field", lists_field="Lists")) == "no_list"


def test_more_lists_than_a_contact_can_be_on_are_parked() -> None:
    labels = tuple(Label(list_id=f"L{n:02}", list_name=f"n{n}", tag_name=f"CC: {n}", tag_id=f"T{n}") for n in range(51))
    crm = contact(tags=tuple(label.tag_name for label in labels))
    assert why(crm, replace(SETTING, labels=labels)) == "too_many_lists"


def test_of_those_who_share_an_address_the_first_is_created() -> None:
    crm = contact(bob(mail()), bob(replace(mail("BOB@example.org"), record_id="n"), record_id="2"))
    assert [step.member for step in steps_of(crm, with_policy(added_tag_goes_to="all"))] == ["1"]


def test_nobody_is_created_twice_or_after_a_no() -> None:
    crm = contact()
    [step] = steps_of(crm)
    done = settle(ALONE, step, {"record_id": "a"})
    assert done.people == (Person(record_id="a", reread=True),) and done.enrolled == (("1", "a"),)
    assert settle(done, step, {"record_id": "a"}) == done
    assert wanted(crm, done) == Verdict("enrolled")
    out = found_so(ALONE, step, {"left_out": "deleted_at_cc"})
    assert out.kept_out == (("1", "deleted_at_cc"),) and wanted(crm, out) == Verdict("left_out", "deleted_at_cc")
    assert settle(out, step, {}).kept_out == (("1", "refused"),)
    assert refused(ALONE, step).kept_out == (("1", "refused_by_vendor"),)


def test_what_is_known_of_two_parties_is_known_of_both() -> None:
    one, other = replace(ALONE, enrolled=(("1", "a"),)), replace(ALONE, kept_out=(("2", "at_cc"),))
    assert joined((one, other, one)) == {"enrolled": (("1", "a"),), "kept_out": (("2", "at_cc"),)}


def test_every_address_of_a_contact_counts_once() -> None:
    assert addresses(contact(bob(mail("B@x.org"), mail("b@x.org"), mail("")))) == ("b@x.org",)


# --- whom we created is linked ---------------------------------------------------------------------------------------


OURS = replace(ALONE, people=(Person(record_id="a"),), enrolled=(("1", "a"),))
HERE = AudienceContact(
    record_id="a", email="bob@example.org", consent=Consent.opted_in, first_name="Bob", last_name="Poe", lists=("L1",)
)


def test_whom_we_created_is_linked_without_a_look_up() -> None:
    decision = decide(OURS, Readings(crm=contact(), audience={"a": HERE}), SETTING)
    assert [(step.kind, step.payload["individual"]) for step in decision.steps] == [("link", "1")]
    assert decision.crm_only == Verdict("enrolled")


def test_whom_we_created_is_never_submitted() -> None:
    gone = contact(bob(mail(), record_id="9"))
    for crm in (None, gone, contact(archived=True), contact(merged_into="78")):
        assert decide(OURS, Readings(crm=crm, audience={"a": HERE}), SETTING).steps == ()
    assert matched(OURS, Person(record_id="a"), None) is None
    assert matched(ALONE, Person(record_id="a"), contact()) is None


def test_whom_we_created_and_who_was_deleted_since_is_left_out() -> None:
    gone = replace(HERE, deleted=True, consent=Consent.not_mailable)
    decision = decide(OURS, Readings(crm=contact(), audience={"a": gone}), SETTING)
    assert decision.steps == () and decision.party.people[0].reason == "deleted"


def test_a_plan_sees_the_link_and_the_tag_that_follow() -> None:
    place = Address(street="1 Main St")
    phone = Method(record_id="f", kind="phone", type="Home Phone", value="602 555 0100")
    gala = replace(GALA, tag_id="T2")
    setting = replace(with_policy(crm_only_list="Gala"), labels=(NEWS, gala))
    crm = contact(bob(mail(), phone), address=place)
    [step] = steps_of(crm, setting)
    after = after_enrolments([step], ALONE, crm, setting)
    assert [(one.kind, one.member) for one in after] == [("link", "1"), ("add_tag", "1")]
    bare = contact()
    assert [one.kind for one in after_enrolments(steps_of(bare), ALONE, bare, SETTING)] == ["link"]
