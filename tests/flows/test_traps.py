"""Traps that no other story falls into: each test is the one that a planted mistake, or one reading of a disputed fact,
must fail. The catalogue is docs/reference/traps.toml."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from keepstep.cli.run import _door
from keepstep.connectors.constant_contact import source
from keepstep.web import build
from keepstep_sandbox.http import Request, Response, answer
from tests.flows.crossing import CUSTOMER, DAY, HOUR, SOURCE, Crossing, emails
from tests.flows.test_capture import only, poisoned
from tests.flows.test_consent import SEEN_SOON, linked, method_of
from tests.flows.test_lists import lists_of

CC = "constant_contact"
SOON = SEEN_SOON | {f"updated_at_on_{name}": "yes" for name in ("list", "tag", "custom_field", "address", "deletion")}
HOME = {"kind": "home", "street": "1 Elm St", "city": "Mesa"}
WORK = {"kind": "work", "street": "9 Office Park", "city": "Tempe"}


def notes_of(c: Crossing, record: str) -> list[str]:
    return [one["note"] for one in c.there(record)["notes"]]


def bounced(c: Crossing, record: str, code: str) -> None:
    c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=[record])
    c.cc.bounce(CUSTOMER, record, code, c.now())


# --- bounces, complaints, opt-outs of campaigns ---


def test_a_bounce_of_an_old_address_does_not_close_the_new_one() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=[ann])
        c.edits(ann, email="new@example.org")
        c.wait(hours=2)
        c.cc.bounce(CUSTOMER, ann, "B", c.now())
        c.wait(hours=3)
        assert [(one["value"], one["isOptedIn"]) for one in emails(c.there(ann))] == [("new@example.org", True)]


@pytest.mark.parametrize("policy", ["opt_out", "count"])
def test_an_automatic_answer_was_delivered_and_opts_nobody_out(policy: str) -> None:
    with Crossing(policy={"soft_bounces": policy, "soft_bounce_count": 1}) as c:
        ann = linked(c)
        bounced(c, ann, "V")
        c.wait(hours=3)
        assert (c.consents(ann), notes_of(c, ann)) == ([True], [])


@pytest.mark.parametrize("code", "DFXZ")
@pytest.mark.parametrize("policy", ["opt_out", "ignore"])
def test_a_soft_bounce_does_what_the_route_says(policy: str, code: str) -> None:
    with Crossing(policy={"soft_bounces": policy}) as c:
        ann = linked(c)
        bounced(c, ann, code)
        c.wait(hours=3)
        assert c.consents(ann) == [policy == "ignore"]
        assert len(notes_of(c, ann)) == (policy == "opt_out")
        assert c.permission(ann) == "implicit", "a bounce is the audience side's own knowledge"


@pytest.mark.switch("constant_contact", "hard_bounce_holds", "no", "yes")
@pytest.mark.parametrize("code", "BS")
@pytest.mark.parametrize("holds", ["no", "yes"])
def test_one_hard_bounce_is_one_note_however_often_its_report_is_read(holds: str, code: str) -> None:
    """Whether the vendor holds such an address itself is not known (CC facts 8)."""
    with Crossing(cc={"hard_bounce_holds": holds}, policy={"soft_bounces": "ignore"}) as c:
        ann = linked(c)
        bounced(c, ann, code)
        c.wait(hours=9)
        assert [f"hard, code {code}" in one for one in notes_of(c, ann)] == [True]
        assert c.consents(ann) == [False]


@pytest.mark.switch("constant_contact", "complaint", "unsubscribes_with_reason", "unsubscribes", "count_only")
@pytest.mark.parametrize("complaint", ["unsubscribes_with_reason", "unsubscribes", "count_only"])
def test_a_complaint_is_an_opt_out_and_noted_once_where_it_is_told(complaint: str) -> None:
    """The vendor only counts complaints; that a complainer becomes unsubscribed is presumed (CC facts 8)."""
    with Crossing(cc={"complaint": complaint}) as c:
        ann = linked(c)
        c.cc.send_campaign(CUSTOMER, c.now(), contact_ids=[ann])
        c.cc.complain(CUSTOMER, ann, c.now())
        c.wait(hours=30)
        assert c.consents(ann) == [complaint == "count_only"]
        assert len(notes_of(c, ann)) == (complaint == "unsubscribes_with_reason")


@pytest.mark.switch("constant_contact", "reports_scope", "missing", "no_privilege")
@pytest.mark.parametrize("scope", ["missing", "no_privilege"])
def test_reports_that_may_not_be_read_leave_everybody_else_in_step(scope: str) -> None:
    with Crossing(cc={"reports_scope": scope}) as c:
        c.person()
        c.connect()
        c.night()
        assert c.standings() == {"in_step": 1}


# --- consent that comes and goes ---


@pytest.mark.parametrize("permission", ["temp_hold", "pending_confirmation", "not_set", "paused_by_moonlight"])
def test_who_is_held_or_unconfirmed_did_not_opt_out(permission: str) -> None:
    with Crossing(cc=SOON) as c:
        ann = linked(c)
        c.edits(ann, permission=permission)
        c.wait(hours=2)
        assert c.consents(ann) == [True]
        c.edits(ann, permission="implicit")
        c.wait(hours=2)
        assert (c.consents(ann), c.standing(ann)) == ([True], ("in_step", ""))


def test_somebody_deleted_and_revived_stays_out_until_they_say_so() -> None:
    with Crossing(cc=SOON) as c:
        ann = linked(c)
        c.cc.delete(CUSTOMER, ann, c.now())
        c.wait(hours=2)
        c.cc.revive(CUSTOMER, ann, c.now())
        c.wait(hours=2)
        assert c.consents(ann) == [False]
        assert c.standing(ann) == ("parked", "back_without_own_act")
        assert len(notes_of(c, ann)) == 1


@pytest.mark.switch("constant_contact", "resubscribe_moves_opt_in_date", "yes", "no")
@pytest.mark.parametrize("moves", ["yes", "no"])
def test_a_return_lifts_an_opt_out_only_if_its_date_is_later(moves: str) -> None:
    """`opt_in_date` may be of the first opt-in: then nobody can tell whose act it was, and a person is asked."""
    with Crossing(cc=SOON | {"resubscribe_moves_opt_in_date": moves}) as c:
        ann = linked(c, permission="explicit", opt_in_source="Contact")
        c.cc.person_opts_in(CUSTOMER, ann, c.now())
        c.opts_out(ann)
        c.wait(hours=1)
        c.cc.person_opts_in(CUSTOMER, ann, c.now())
        c.wait(hours=2)
        assert c.consents(ann) == [moves == "yes"]
        assert c.standing(ann) == (("in_step", "") if moves == "yes" else ("parked", "back_without_own_act"))


@pytest.mark.switch("constant_contact", "unsubscribed_keeps_lists", "yes", "no")
@pytest.mark.parametrize("keeps", ["yes", "no"])
def test_an_opt_out_takes_no_tags_away(keeps: str) -> None:
    with Crossing(cc={"unsubscribed_keeps_lists": keeps}) as c:
        ann = linked(c, lists=[c.a_list("Newsletter")])
        c.opts_out(ann)
        c.wait(days=1, hours=2)
        assert (c.consents(ann), c.there(ann)["tags"]) == ([False], ["CC: Newsletter"])


def test_staffs_opt_out_revives_nobody_who_was_deleted_meanwhile() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.wait(minutes=50)
        c.cc.delete(CUSTOMER, ann, c.now())
        c.v.staff_opts(CUSTOMER, method_of(c, ann), False, c.now())
        c.wait(minutes=5)
        assert c.here(ann).get("deleted_at")
        assert c.made("PUT", f"/v3/contacts/{ann}") == []


def test_a_tag_for_somebody_deleted_meanwhile_revives_nobody() -> None:
    with Crossing() as c:
        c.a_list("Newsletter")
        ann = linked(c)
        c.cc.delete(CUSTOMER, ann, c.now())
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wait(minutes=10)
        assert c.here(ann).get("deleted_at")
        assert c.made("POST", "/v3/activities") == []


def test_putting_somebody_on_a_list_says_nothing_of_consent() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = linked(c)
        before = dict(c.here(ann)["email_address"])
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wait(minutes=10)
        assert lists_of(c, ann) == [news]
        assert c.here(ann)["email_address"] == before


def test_a_contact_that_is_once_not_found_was_not_deleted() -> None:
    cadence = dict.fromkeys(("changed", "opted_out", "deleted", "reports", "sweep"), 30 * DAY)
    with Crossing(cc={"contact_webhooks": "object"}, policy={"contact_webhooks": True}, cadence=cadence) as c:
        ann = linked(c)
        path, secret = c.hook(CC)
        c.cc.set_contact_webhook(CUSTOMER, f"http://127.0.0.1:9{path}", secret.decode())
        left = [1]

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.path == f"/v3/contacts/{ann}" and left:
                left.clear()
                return answer(404, [{"error_key": "contacts.api.not_found", "error_message": "not found"}])
            return handle()

        c.wire = wire
        c.edits(ann, first_name="Anna")
        c.wait(minutes=5)
        assert left == []
        assert (c.consents(ann), notes_of(c, ann)) == ([True], [])


# --- pages and rounds ---


def test_a_round_that_breaks_off_begins_again_where_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that the vendor forgets ends the round; what its later pages would have shown is still to be read."""
    with only("changed") as c:
        people = [c.person(f"p{n}@example.org", f"First{n}", f"Last{n}") for n in range(3)]
        c.connect()
        c.night()
        c.until((c.mark(CC, "changed").due or 0.0) + 60)
        for one in people:
            c.edits(one, first_name="Anna")
        monkeypatch.setattr(source, "MOST", 1)
        left = [1]

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if request.path == "/v3/contacts" and "cursor=" in request.query and left:
                left.clear()
                return answer(400, [{"error_key": "contacts.api.validation.error", "error_message": "cursor"}])
            return handle()

        c.wire = wire
        c.wait(hours=1, minutes=30)
        assert left == []
        assert [c.there(one)["contactIndividuals"][0]["firstName"] for one in people] == ["Anna"] * 3


def test_one_row_that_cannot_be_stored_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, "F1")
    with Crossing() as c:
        for n in range(3):
            c.person(f"p{n}@example.org", f"F{n}", f"L{n}")
        c.connect()
        assert c.standings() == {"pending": 2}


@pytest.mark.switch("constant_contact", "list_page", "50", "1000")
@pytest.mark.parametrize("page", ["50", "1000"])
def test_the_fifty_first_list_is_a_list_too(page: str) -> None:
    with Crossing(cc={"list_page": page}) as c:
        lists = [c.a_list(f"List {n:02}") for n in range(60)]
        ann = linked(c, lists=lists[:2] + lists[-2:])
        assert sorted(c.there(ann)["tags"]) == ["CC: List 00", "CC: List 01", "CC: List 58", "CC: List 59"]


def test_more_than_ten_contacts_of_the_crm_are_found() -> None:
    """The default page has ten rows, and what the body says of paging is ignored (Virtuous facts 6)."""
    with Crossing() as c:
        for n in range(25):
            c.household(f"p{n}@example.org", f"First{n}", f"Last{n}")
            c.person(f"p{n}@example.org", f"First{n}", f"Last{n}")
        c.connect()
        assert c.v.waiting(CUSTOMER) == [], "they are there, so nobody is to be made"
        c.night()
        assert len(c.everybody()) == 25
        assert c.standings() == {"in_step": 25}


def test_a_note_whose_answer_was_lost_is_found_among_many() -> None:
    """Notes come in pages of ten, and have no key (Virtuous facts 6, 11)."""
    with Crossing() as c:
        known = c.household("ann@example.org", notes=[f"Called, part {n}" for n in range(30)])
        ann = c.person()
        c.connect()
        c.wait(minutes=10)
        c.faults.arm("reset_after", vendor="virtuous", method="POST", path="/api/ContactNote")
        c.cc.delete(CUSTOMER, ann, c.now())
        c.wait(hours=3)
        assert c.faults.armed == []
        assert c.there(ann)["id"] == known
        assert len([one for one in notes_of(c, ann) if "keepstep" in one]) == 1


# --- what a contact says ---


@pytest.mark.parametrize("turned", [False, True])
def test_the_home_address_crosses_whichever_comes_first(turned: bool) -> None:
    with Crossing() as c:
        ann = linked(c, addresses=[WORK, HOME] if turned else [HOME, WORK])
        assert c.there(ann)["address"]["address1"] == "1 Elm St"


def test_a_list_that_nobody_has_read_yet_has_no_name() -> None:
    with only("changed") as c:
        c.connect()
        news = c.a_list("Newsletter")
        ann = c.person(lists=[news])
        c.wait(hours=1, minutes=5)
        c.night()
        assert c.standing(ann) == ("in_step", "")
        assert c.there(ann)["tags"] == []
        assert [one["tagName"] for one in c.v.tags(CUSTOMER)] == ["CC: Newsletter"]


def sized(c: Crossing, kind: str = "single_select") -> str:
    """A field of both sides whose options are not quite the same: `m` and `XL` are none in the CRM."""
    c.v.add_custom_field(CUSTOMER, "Size", c.now(), "List", options=("S", "M"))
    return c.cc.add_custom_field(CUSTOMER, "Size", c.now(), kind, ("S", "m", "XL"))


@pytest.mark.switch("virtuous", "unknown-option", "refused", "ignored", "stored")
@pytest.mark.parametrize("unknown", ["refused", "ignored", "stored"])
@pytest.mark.parametrize("choice", ["m", "XL"])
def test_a_choice_that_is_no_option_there_is_withheld(unknown: str, choice: str) -> None:
    with Crossing(cc=SOON, v={"unknown-option": unknown}) as c:
        size = sized(c)
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.cc.set_custom_field(CUSTOMER, bob, size, c.now(), choice)
        c.cc.set_custom_field(CUSTOMER, ann, size, c.now(), "S")
        c.connect()
        c.night()
        c.cc.set_custom_field(CUSTOMER, ann, size, c.now(), choice)
        c.wait(hours=2)
        assert [one["value"] for one in c.there(ann)["customFields"]] == ["S"]
        assert [one["value"] for one in c.there(bob)["customFields"] if one["value"]] == []
        assert c.letters() == []
        assert {one["field"] for one in c.lines("value_withheld")} == {"custom:Size"}


@pytest.mark.switch("constant_contact", "choice_id_type", "string", "number")
@pytest.mark.parametrize("kind", ["string", "number"])
def test_a_choice_has_its_label_however_its_id_is_written(kind: str) -> None:
    with Crossing(cc={"choice_id_type": kind}) as c:
        size = sized(c)
        ann = c.person()
        c.cc.set_custom_field(CUSTOMER, ann, size, c.now(), "S")
        c.connect()
        c.night()
        assert [one["value"] for one in c.there(ann)["customFields"]] == ["S"]


# --- households, tags and merges ---


def pair_of(c: Crossing) -> tuple[str, str, int]:
    """Two subscribers of one household, both linked."""
    mail = {"type": "Home Email", "value": "bo@example.org", "isOptedIn": True, "isPrimary": True}
    home = c.household("ann@example.org", others=[{"firstName": "Bo", "lastName": "Lee", "contactMethods": [mail]}])
    ann, bo = c.person(), c.person("bo@example.org", "Bo", "Lee")
    c.connect()
    c.wait(hours=1)
    assert c.standings() == {"in_step": 2}
    return ann, bo, home


def test_two_subscribers_of_one_household_are_two_references_and_two_consents() -> None:
    with Crossing() as c:
        ann, bo, home = pair_of(c)
        assert {one["id"] for one in c.there(bo)["contactReferences"] if one["source"] == SOURCE} == {ann, bo}
        c.opts_out(bo)
        c.wait(hours=1)
        assert {one["value"]: one["isOptedIn"] for one in emails(c.there(ann))} == {
            "ann@example.org": True,
            "bo@example.org": False,
        }
        assert c.there(bo)["id"] == home


def test_a_tag_by_staff_means_the_first_person_of_a_household() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann, bo, home = pair_of(c)
        c.v.staff_adds_tag(CUSTOMER, home, "CC: Newsletter", c.now())
        c.wait(hours=1)
        assert (lists_of(c, ann), lists_of(c, bo)) == ([news], [])


def test_a_tag_of_the_other_prefix_becomes_a_tag_and_no_list() -> None:
    with Crossing(policy={"contact_tags_prefix": "CCT: "}) as c:
        board = c.cc.add_tag(CUSTOMER, "Board", c.now())
        c.v.add_tag(CUSTOMER, "CCT: Board", c.now())
        ann = linked(c)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CCT: Board", c.now())
        c.wait(minutes=10)
        assert c.here(ann)["taggings"] == [board]
        assert c.standing(ann) == ("in_step", "")


def test_what_staff_keep_of_an_individual_goes_back_with_a_new_name() -> None:
    kept = {"prefix": "Dr.", "middleName": "B.", "birthYear": 1970, "passion": "Birds"}
    mail = {"type": "Home Email", "value": "ann@example.org", "isOptedIn": True, "isPrimary": True}
    with Crossing(v={"put-individual": "replace"}) as c:
        person = {"firstName": "Ann", "lastName": "Lee", "isPrimary": True, "contactMethods": [mail], **kept}
        c.v.add_contact(CUSTOMER, c.now(), contactIndividuals=[person])
        ann = linked(c)
        c.edits(ann, last_name="Stone")
        c.wait(hours=2)
        [individual] = c.there(ann)["contactIndividuals"]
        assert {name: individual[name] for name in ("lastName", *kept)} == {"lastName": "Stone", **kept}


# --- grants and budgets ---


def test_the_day_of_an_application_key_is_all_its_customers() -> None:
    with Crossing(customers=(CUSTOMER, "beta")) as c:
        c.connect()
        c.night()
        c.faults.arm("quota_exceeded", vendor=CC, path="/v3/contacts")
        midnight = (c.now() // DAY + 1) * DAY
        c.until(midnight - 1)
        stopped = [one for one in c.made("", "/v3/") if one.answer.status == 429]
        assert len(stopped) == 1
        assert [one for one in c.made("", "/v3/") if stopped[0].at < one.at < midnight] == []


@pytest.mark.switch("constant_contact", "access_token_lifetime", "28800", "short")
@pytest.mark.switch("constant_contact", "expires_in_type", "number", "string")
@pytest.mark.parametrize("lifetime", ["28800", "short"])
@pytest.mark.parametrize("kind", ["number", "string"])
def test_a_token_is_renewed_before_its_end_however_long_it_lives(lifetime: str, kind: str) -> None:
    with Crossing(cc={"access_token_lifetime": lifetime, "expires_in_type": kind}) as c:
        linked(c)
        c.wait(hours=10)
        assert [one for one in c.made("", "/v3/") if one.answer.status == 401] == []


def test_a_sweep_is_no_reason_to_write() -> None:
    """Nothing has changed: a round of everything reads, compares and writes nothing."""
    with Crossing(cadence={"sweep": HOUR}) as c:
        linked(c, lists=[c.a_list("Newsletter")], addresses=[HOME])
        written = len(c.writes())
        c.wait(hours=5)
        assert c.writes()[written:] == []


def test_half_a_character_stops_nobody() -> None:
    with Crossing() as c:
        people = [c.person(), c.person("odd@example.org", "Odd", "One")]

        def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            response = handle()
            return replace(response, body=response.body.replace(b'"Odd"', b'"\\ud800"'))

        c.wire = wire
        c.connect()
        c.night()
        assert c.standings() == {"in_step": len(people)}


@pytest.mark.switch("constant_contact", "date_dialect", "z", "millis", "offset", "mixed")
@pytest.mark.parametrize("dialect", ["z", "millis", "offset", "mixed"])
def test_a_return_is_dated_in_every_dialect(dialect: str) -> None:
    with Crossing(cc=SOON | {"date_dialect": dialect}) as c:
        ann = linked(c)
        c.opts_out(ann)
        c.wait(hours=1)
        assert c.consents(ann) == [False]
        c.cc.person_opts_in(CUSTOMER, ann, c.now())
        c.wait(hours=2)
        assert c.consents(ann) == [True]


# --- the door ---


@pytest.mark.switch("virtuous", "signature-header", "X-Virtuous-Signature", "X-Webhook-Signature")
@pytest.mark.parametrize("header", ["X-Virtuous-Signature", "X-Webhook-Signature"])
@pytest.mark.parametrize("known", [True, False])
def test_a_signature_is_believed_in_the_headers_that_the_settings_name(header: str, known: bool) -> None:
    """No source names the header for sure. In one that nobody named, deliveries are refused and the poll is the net."""
    with Crossing(v={"signature-header": header}) as c:
        crm = c.service.settings.platforms["virtuous"]
        platforms = {**c.service.settings.platforms}
        platforms["virtuous"] = changed(crm, signature_headers=(header,) if known else None)
        c.service.settings = changed(c.service.settings, platforms=platforms)
        c.door = build(_door(c.service))
        ann = linked(c)
        c.v.staff_opts(CUSTOMER, method_of(c, ann), False, c.now())
        c.wait(minutes=1)
        heard = known or header == "X-Virtuous-Signature"
        assert c.permission(ann) == ("unsubscribed" if heard else "implicit")
        c.wait(hours=1, minutes=10)
        assert c.permission(ann) == "unsubscribed"
