"""Opt-outs and membership jobs against the stand-in, under every disputed behaviour (CC facts 5.3, 5.5, 6.2, 7.2)."""

import json
import pathlib
from typing import Any

import pytest

from keepstep.model.change import Accepted, Dead, Done, Nothing, Retry
from keepstep.model.errors import Missing, Permanent, Unanswered
from tests.connectors.constant_contact.world import ACCOUNT, START, World, call, run, said, scripted


def opt_out(person: str, source: str = "Contact") -> Any:
    return call("opt_out", {"record_id": person, "reason": "asked by phone", "source": source})


def rich(world: World, **more: Any) -> str:
    """A person of whom a careless PUT would lose something."""
    return world.person(
        first_name="Ann",
        last_name="Lee",
        email="ann@example.org",
        permission="explicit",
        phones=[("home", "555 0100"), ("mobile", "555 0101")],
        addresses=[{"kind": "home", "street": "1 Main St", "country": "United States"}],
        lists=[world.new_list("Daily"), world.new_list("Weekly")],
        job_title="Boss",
        birthday_month=2,
        birthday_day=29,
        anniversary="2006-11-15",
        notes=[{"note_id": "n1", "created_at": "2024-01-01T00:00:00Z", "content": "likes cats"}],
        taggings=[world.vendor.add_tag(ACCOUNT, "vip", START)],
        custom_fields=[{"custom_field_id": world.vendor.add_custom_field(ACCOUNT, "Hobby", START), "value": "chess"}],
        **more,
    )


KEPT = (
    "first_name",
    "last_name",
    "job_title",
    "birthday_month",
    "anniversary",
    "list_memberships",
    "taggings",
    "notes",
)


def kept(world: World, person: str) -> dict[str, Any]:
    """Everything a person could miss, without ids and dates that a replace makes anew."""
    raw = world.contact(person)
    values = {name: raw.get(name) for name in KEPT}
    values["email"] = raw["email_address"]["address"]
    values["phones"] = [(each["kind"], each["phone_number"]) for each in raw["phone_numbers"]]
    values["addresses"] = [(each["kind"], each["street"], each["country"]) for each in raw["street_addresses"]]
    values["custom"] = [(each["custom_field_id"], each["value"]) for each in raw["custom_fields"]]
    return values


@pytest.mark.switch("constant_contact", "put_subresources", "keeps", "clears")
@pytest.mark.parametrize("subresources", ["keeps", "clears"])
@pytest.mark.parametrize("source", ["Contact", "Account"])
def test_an_opt_out_changes_consent_and_nothing_else(subresources: str, source: str) -> None:
    """PUT replaces: everything goes back, whichever source is right about subresources (CC facts 5.3)."""
    world = World(put_subresources=subresources, put_without_email="clears", unsubscribed_keeps_lists="yes")
    person = rich(world)
    before = kept(world, person)
    assert run(world.cc.write(opt_out(person, source))) == [Done({"consent": "opted_out"})]
    assert kept(world, person) == before
    email = world.contact(person)["email_address"]
    assert (email["permission_to_send"], email["opt_out_reason"]) == ("unsubscribed", "asked by phone")
    assert email["opt_out_source"] == source
    assert run(world.cc.look(opt_out(person))) == [Done({"consent": "opted_out"})]


def test_nobody_is_opted_out_twice_or_revived() -> None:
    """A PUT would overwrite the person's own reason, or revive a deleted contact (CC facts 5.3, 5.5)."""
    world = World()
    out, gone = rich(world), world.person(email="gone@example.org")
    world.vendor.person_opts_out(ACCOUNT, out, world.clock.at, "own words")
    world.vendor.delete(ACCOUNT, gone, world.clock.at)
    for person in (out, gone):
        assert run(world.cc.write(opt_out(person))) == [Nothing()]
    assert world.sent("PUT") == []
    assert run(world.cc.look(opt_out(gone))) == [Nothing()]


def test_an_opt_out_that_cannot_be_done_is_shown() -> None:
    """Unknown is never success: no address, no contact."""
    world = World()
    assert run(world.cc.write(opt_out(world.person(first_name="Ann")))) == [
        Dead("the contact has no email address to opt out")
    ]
    with pytest.raises(Missing):
        run(world.cc.write(opt_out("0b0b0b0b-1111-4222-a333-444444444444")))


def test_looking_after_an_unknown_opt_out() -> None:
    """Still subscribed: nothing happened, so again at once."""
    world = World()
    assert run(world.cc.look(opt_out(rich(world)))) == [Retry(0, "still not opted out")]


def test_a_200_that_does_not_say_so_is_unknown() -> None:
    """Done only where the answer says it."""
    raw = {"contact_id": "c1", "email_address": {"address": "a@example.org", "permission_to_send": "explicit"}}
    cc, _, _ = scripted(said(200, raw), said(200, raw))
    [outcome] = run(cc.write(opt_out("c1")))
    assert type(outcome).__name__ == "Unknown"


def pairs(people: list[str], lists: list[str]) -> list[dict[str, str]]:
    return [{"record_id": person, "list_ids": list(lists)} for person in people]


def crowd(world: World, size: int, **values: Any) -> list[str]:
    return [world.person(email=f"p{number}@example.org", **values) for number in range(size)]


@pytest.mark.parametrize("size", [2, 25])
@pytest.mark.parametrize("kind", ["join", "leave"])
def test_a_job_is_one_call_and_is_verified(kind: str, size: int) -> None:
    """One job for every contact times every list; its counts prove nothing, so we re-read (CC facts 6.2)."""
    world = World()
    lists = [world.new_list("Daily"), world.new_list("Weekly")]
    people = crowd(world, size, lists=lists if kind == "leave" else [])
    payloads = pairs(people, lists)
    accepted = run(world.cc.write(call(kind, *payloads)))
    assert len(world.sent("POST")) == 1
    first = accepted[0]
    assert isinstance(first, Accepted)
    assert set(accepted) == {Accepted(first.vendor_id, 30.0)}
    after = call(kind, *payloads, vendor_id=first.vendor_id, sent_at=world.clock.at)
    assert run(world.cc.look(after)) == [Accepted(first.vendor_id, 30.0)] * len(payloads)
    world.later(60)
    outcomes = run(world.cc.look(after))
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    if kind == "join":
        assert outcomes[0] == Done({"lists": sorted(lists)})
    assert [sorted(world.contact(person)["list_memberships"]) for person in people] == [
        sorted(lists) if kind == "join" else []
    ] * size


@pytest.mark.parametrize("size", [2, 25])
@pytest.mark.parametrize("kind", ["tag_on", "tag_off"])
def test_tags_go_on_and_off_like_lists(kind: str, size: int) -> None:
    """500 contacts x 50 tags in one job (CC facts 6.3), verified by re-reading and by the filter for tags (5.1)."""
    world = World()
    tags = [world.vendor.add_tag(ACCOUNT, name, START) for name in ("vip", "board")]
    people = crowd(world, size, taggings=tags if kind == "tag_off" else [])
    payloads = pairs(people, tags)
    [accepted, *_] = run(world.cc.write(call(kind, *payloads)))
    assert isinstance(accepted, Accepted)
    [posted] = world.sent("POST")
    assert posted.path == f"/v3/activities/contacts_taggings_{'add' if kind == 'tag_on' else 'remove'}"
    assert json.loads(posted.body) == {"source": {"contact_ids": sorted(people)}, "tag_ids": sorted(tags)}
    world.later(60)
    outcomes = run(world.cc.look(call(kind, *payloads, vendor_id=accepted.vendor_id)))
    there = sorted(tags) if kind == "tag_on" else []
    assert outcomes == [Done({"tags": there}) if kind == "tag_on" or size == 2 else Done()] * size
    assert [sorted(world.contact(person).get("taggings", [])) for person in people] == [there] * size


def test_a_tag_job_that_was_never_answered_is_looked_up_and_revives_nobody() -> None:
    """No idempotency key (CC facts 1); whoever was deleted meanwhile is left alone (5.5)."""
    world = World()
    vip = world.vendor.add_tag(ACCOUNT, "vip", START)
    [gone, there] = crowd(world, 2)
    job = call("tag_on", *pairs([gone, there], [vip]))
    assert run(world.cc.look(job)) == [Retry(0.0, "not as wanted yet")] * 2
    world.vendor.delete(ACCOUNT, gone, world.clock.at)
    outcomes = run(world.cc.write(job))
    assert outcomes[0] == Dead("the contact was deleted meanwhile")
    assert isinstance(outcomes[1], Accepted)
    world.later(60)
    assert run(world.cc.look(job)) == [Dead("the contact was deleted meanwhile"), Done({"tags": [vip]})]
    assert world.contact(gone).get("deleted_at")


def test_nothing_is_taken_off_a_deleted_contact_for_ever() -> None:
    """A deletion strips lists; whether tags too is not said (CC facts 5.5): nobody reads them."""
    raw = {"contact_id": "c1", "taggings": ["t1"], "deleted_at": "2025-06-01"}
    cc, _, _ = scripted(said(200, raw))
    assert run(cc.look(call("tag_off", *pairs(["c1"], ["t1"])))) == [Nothing()]


@pytest.mark.switch("constant_contact", "timed_out_spelling", "timed_out", "time_out")
@pytest.mark.parametrize("end", ["failed", "cancelled", "timed_out"])
@pytest.mark.parametrize("spelling", ["timed_out", "time_out"])
def test_a_job_that_failed_is_tried_again(end: str, spelling: str) -> None:
    """Whatever it says it ended as, the memberships decide (CC facts 7.2)."""
    world = World(activity_end=end, timed_out_spelling=spelling)
    payload = pairs([rich(world)], [world.new_list("News")])
    [accepted] = run(world.cc.write(call("join", *payload)))
    assert isinstance(accepted, Accepted)
    world.later(60)
    [outcome] = run(world.cc.look(call("join", *payload, vendor_id=accepted.vendor_id)))
    assert outcome == Retry(60.0, "not as wanted yet")


def test_completed_with_an_error_is_found() -> None:
    """`completed` is not success (CC facts 7.2): the one who was left out is tried again, the other is done."""
    world = World(activity_error_count="1")
    payload = pairs(crowd(world, 2), [world.new_list("News")])
    [accepted, _] = run(world.cc.write(call("join", *payload)))
    assert isinstance(accepted, Accepted)
    world.later(60)
    outcomes = run(world.cc.look(call("join", *payload, vendor_id=accepted.vendor_id)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Done", "Retry"]


def test_a_forgotten_or_endless_job_is_verified() -> None:
    """404 after 10 days; unknown states run until our own deadline (CC facts 7.2)."""
    world = World()
    news = world.new_list("News")
    person = world.person(email="ann@example.org", lists=[news])
    forgotten = call("join", *pairs([person], [news]), vendor_id="0b0b0b0b-1111-4222-a333-444444444444")
    assert run(world.cc.look(forgotten)) == [Done({"lists": [news]})]
    strange = said(200, {"activity_id": "a1", "state": "pondering"})
    member = said(200, {"contact_id": "c1", "list_memberships": ["l1"]})
    cc, _, connection = scripted(strange, member)
    job = call("join", *pairs(["c1"], ["l1"]), vendor_id="a1", sent_at=START)
    assert run(cc.look(job)) == [Accepted("a1", 30.0)]
    connection.clock.at += 2 * 86_400
    connection.http.answers = [member]
    assert run(cc.look(job)) == [Done({"lists": ["l1"]})]


@pytest.mark.parametrize("size", [1, 25])
def test_an_unanswered_job_is_looked_up_by_its_effect(size: int) -> None:
    """No idempotency key: without an id only the memberships tell (CC facts 1)."""
    world = World()
    news = world.new_list("News")
    people = crowd(world, size)
    job = call("join", *pairs(people, [news]))
    assert {type(each) for each in run(world.cc.look(job))} == {Retry}
    run(world.cc.write(job))
    world.later(60)
    assert run(world.cc.look(job)) == [Done({"lists": [news]})] * size


def test_whoever_left_in_between_is_not_added_again() -> None:
    """A deleted contact would be revived, an opted-out one must not be added (CC facts 5.5, 6.2); both are shown."""
    world = World()
    news = world.new_list("News")
    gone, out, free = crowd(world, 3)
    world.vendor.delete(ACCOUNT, gone, world.clock.at)
    world.vendor.person_opts_out(ACCOUNT, out, world.clock.at)
    outcomes = run(world.cc.look(call("join", *pairs([gone, out, free], [news]))))
    assert outcomes == [
        Dead("the contact was deleted meanwhile"),
        Dead("the contact opted out meanwhile"),
        Retry(0.0, "not as wanted yet"),
    ]


def test_a_contact_that_is_not_there() -> None:
    """Nothing to leave, nobody to add."""
    world = World()
    payload = pairs(["0b0b0b0b-1111-4222-a333-444444444444"], [world.new_list("News")])
    assert run(world.cc.look(call("leave", *payload))) == [Nothing()]
    assert run(world.cc.look(call("join", *payload))) == [Dead("the contact is not there", 404)]


@pytest.mark.parametrize(
    "payloads",
    [
        [],
        [{"record_id": "a", "list_ids": ["1"]}, {"record_id": "b", "list_ids": ["2"]}],
        pairs([str(number) for number in range(501)], ["1"]),
        pairs(["a"], [str(number) for number in range(51)]),
    ],
)
def test_a_job_does_exactly_its_steps_or_is_refused(payloads: list[dict[str, str]]) -> None:
    """A job does every pair: a pair nobody decided would mail a person (CC facts 6.2: at most 500 and 50)."""
    cc, script, _ = scripted()
    with pytest.raises(Permanent):
        run(cc.write(call("join", *payloads)))
    assert script.asked == []


def test_a_job_without_an_id_is_unanswered() -> None:
    """It may run: accept any 2xx, but only with an activity_id (CC facts 7.1)."""
    cc, _, _ = scripted(said(202, {"state": "initialized"}))
    with pytest.raises(Unanswered):
        run(cc.write(call("leave", *pairs(["c1"], ["l1"]))))


def test_whoever_is_not_there_is_not_added() -> None:
    """404 before the job is posted: nothing to add, and nothing is sent."""
    cc, script, _ = scripted(said(404, [{"error_key": "contacts.api.not_found"}]))
    assert run(cc.write(call("tag_on", *pairs(["c1"], ["t1"])))) == [Dead("the contact is not there", 404)]
    assert [method for method, _ in script.asked] == ["GET"]


def test_unreadable_labels_are_unknown() -> None:
    """Unknown is never success."""
    cc, _, _ = scripted(said(200, {"contact_id": "c1", "taggings": {"t1": True}}))
    [outcome] = run(cc.look(call("tag_on", *pairs(["c1"], ["t1"]))))
    assert type(outcome).__name__ == "Unknown"


@pytest.mark.parametrize("others", [0, 20])
def test_somebody_deleted_meanwhile_is_not_added_and_so_not_revived(others: int) -> None:
    """No poll shows a deletion before the next sweep, and a list job brings a deleted contact back (CC facts 5.5)."""
    world = World()
    gone, news = world.person(email="gone@example.org"), world.new_list("News")
    there = crowd(world, others)
    world.vendor.delete(ACCOUNT, gone, START)
    outcomes = run(world.cc.write(call("join", *pairs([gone, *there], [news]))))
    assert outcomes[0] == Dead("the contact was deleted meanwhile")
    assert all(isinstance(outcome, Accepted) for outcome in outcomes[1:])
    world.later(60)
    assert world.contact(gone).get("deleted_at")


HELD = {"address": "ann@example.org", "permission_to_send": "temp_hold"}


@pytest.mark.parametrize("channel", [{}, {"email_address": HELD}], ids=["without an address", "on hold"])
def test_somebody_not_mailable_any_more_is_not_added_but_read_and_decided_again(channel: dict[str, Any]) -> None:
    """The look before the job is the newest that is known; it is no opt-out, so nothing dies of it (CC facts 5.2)."""
    cc, script, _ = scripted(said(200, {"contact_id": "c1", "list_memberships": [], **channel}))
    assert run(cc.write(call("join", *pairs(["c1"], ["l1"])))) == [Retry(60.0, "the contact may not be mailed now")]
    assert [method for method, _ in script.asked] == ["GET"]


@pytest.mark.parametrize("kind", ["resubscribe", "sign_up", ""])
def test_other_kinds_are_refused(kind: str) -> None:
    """There is no way here to turn out into in."""
    cc, script, _ = scripted()
    for work in (cc.write(call(kind, {})), cc.look(call(kind, {}))):
        with pytest.raises(Permanent):
            run(work)
    assert script.asked == []


def test_the_calls_that_opt_in_are_nowhere() -> None:
    """They are for a person's own act (CC facts 5.3)."""
    import keepstep.connectors.constant_contact as folder

    source = "".join(path.read_text() for path in pathlib.Path(folder.__file__).parent.glob("*.py"))
    assert "/contacts/" in source
    assert not {"sign_up_form", "resubscribe"} & set(source.replace("/", " ").split())
    assert "/sign_up_form" not in source
    assert "/resubscribe" not in source


# --- fields ---


def set_fields(person: str, values: dict[str, Any], was: dict[str, Any]) -> Any:
    return call("set_fields", {"record_id": person, "values": values, "was": was})


ADDRESS = {"street": "1 Main St", "city": None, "state": None, "postal": None, "country": "United States"}
MOVED = {"kind": "home", "street": "2 Oak Ave", "city": "Everett", "state": "WA", "postal": "98201", "country": None}


@pytest.mark.switch("constant_contact", "put_subresources", "keeps", "clears")
@pytest.mark.parametrize("subresources", ["keeps", "clears"])
def test_a_write_of_fields_changes_them_and_nothing_else(subresources: str) -> None:
    """The preferred phone gets the new number, the other one stays; a country that nobody says stays too."""
    world = World(put_subresources=subresources)
    person = rich(world)
    before = kept(world, person) | {"email": world.contact(person)["email_address"]}
    world.later(700)
    values = {"first_name": "Annie", "phone": {"kind": "mobile", "raw": "555 0199"}, "address": MOVED}
    was = {"first_name": "Ann", "phone": "555 0101", "address": ADDRESS}
    [outcome] = run(world.cc.write(set_fields(person, values, was)))
    told = {"first_name": "Annie", "phone": "555 0199", "address": {**MOVED, "country": "United States"}}
    told["address"].pop("kind")
    assert outcome == Done({"values": told})
    after = kept(world, person) | {"email": world.contact(person)["email_address"]}
    changed = {
        "first_name": "Annie",
        "phones": [("home", "555 0100"), ("mobile", "555 0199")],
        "addresses": [("home", "2 Oak Ave", "United States")],
    }
    assert after == before | changed
    assert run(world.cc.write(set_fields(person, values, was))) == [Nothing()]
    assert run(world.cc.look(set_fields(person, values, was))) == [Done({"values": told})]


def test_what_was_empty_is_added() -> None:
    world = World()
    person = world.person(email="ann@example.org", first_name="Ann")
    world.later(700)
    values = {"last_name": "Lee", "phone": {"kind": "work", "raw": "555 0199"}, "address": MOVED}
    [outcome] = run(world.cc.write(set_fields(person, values, dict.fromkeys(values))))
    assert isinstance(outcome, Done)
    raw = world.contact(person)
    assert [(one["kind"], one["phone_number"]) for one in raw["phone_numbers"]] == [("work", "555 0199")]
    assert [(one["kind"], one["street"]) for one in raw["street_addresses"]] == [("home", "2 Oak Ave")]


def test_nobody_is_written_over() -> None:
    """Somebody changed it, is at it, deleted the contact or opted out: not now, and not with these words."""
    world = World()
    edited, busy, gone, out = (world.person(email=f"{one}@example.org", first_name="Ann") for one in "abcd")
    world.later(700)
    world.vendor.edit(ACCOUNT, edited, world.clock.at, first_name="Anna")
    world.vendor.edit(ACCOUNT, busy, world.clock.at, job_title="Boss")
    world.vendor.delete(ACCOUNT, gone, world.clock.at)
    world.vendor.person_opts_out(ACCOUNT, out, world.clock.at)
    for person, after in ((edited, 0), (busy, 600), (gone, 0), (out, 0)):
        wanted = set_fields(person, {"first_name": "Annie"}, {"first_name": "Ann"})
        [outcome] = run(world.cc.write(wanted))
        assert isinstance(outcome, Retry) and abs(outcome.after - after) < 5
        [looked] = run(world.cc.look(wanted))
        assert isinstance(looked, Retry)
    assert world.sent("PUT") == []


RAW = {
    "contact_id": "c1",
    "first_name": "Ann",
    "email_address": {"address": "a@example.org", "permission_to_send": "explicit", "opt_in_source": "Account"},
}
OTHER = "0b0b0b0b-1111-4222-a333-444444444444"


def conflict(message: str) -> Any:
    return said(409, [{"error_key": "contacts.api.conflict", "error_message": message}])


@pytest.mark.switch("constant_contact", "conflict_wording", "with_id", "without_id")
@pytest.mark.parametrize(
    ("answers", "dies"),
    [
        ((conflict(f"Email already exists for contact {OTHER}"),), True),
        ((conflict("EmailAddress is not unique"), said(200, {"contacts": [RAW, RAW | {"contact_id": "c2"}]})), True),
        ((conflict("Another request is being processed"), said(200, {"contacts": [RAW]})), False),
    ],
)
@pytest.mark.parametrize("kind", ["opt_out", "set_fields"])
def test_a_conflict_is_another_contact_or_another_moment(kind: str, answers: Any, dies: bool) -> None:
    """The message is a hint, the search with every status the proof (CC facts 4, 5.5)."""
    cc, _, _ = scripted(said(200, RAW), *answers)
    fields = set_fields("c1", {"first_name": "Annie"}, {"first_name": "Ann"})
    [outcome] = run(cc.write(opt_out("c1") if kind == "opt_out" else fields))
    if dies:
        assert isinstance(outcome, Dead) and outcome.status == 409
        assert "another contact of the account has this address" in outcome.reason
    else:
        assert isinstance(outcome, Retry) and outcome.after == 60


def activity(*moments: str) -> Any:
    rows = [{"created_time": one, "tracking_activity_type": "em_optouts"} for one in moments]
    return said(200, {"tracking_activities": rows})


OUT = RAW | {"email_address": RAW["email_address"] | {"permission_to_send": "unsubscribed"}}  # type: ignore[operator]
LATER = "2100-01-01T00:00:00Z"
OWN = {"opt_in_source": "Contact", "opt_in_date": "2100-01-01T00:00:01Z"}


def after_the_put(*answers: Any, put: Any = None) -> Any:
    """The outcome of a write whose PUT was answered, with these answers after it."""
    cc, _, _ = scripted(said(200, RAW), said(200, put or RAW | {"first_name": "Annie"}), *answers)
    [outcome] = run(cc.write(set_fields("c1", {"first_name": "Annie"}, {"first_name": "Ann"})))
    return outcome


def test_a_raced_opt_out_is_found_in_the_activity_or_in_the_answer() -> None:
    found = after_the_put(activity(LATER), said(200, RAW), said(200, OUT))
    assert found.answer["raced"]["written"] is True
    left = RAW | {"email_address": RAW["email_address"] | {"opt_out_date": LATER}}  # type: ignore[operator]
    assert "raced" in after_the_put(activity(), said(200, OUT), put=left).answer
    failed = after_the_put(activity(LATER), said(503, {}))
    assert failed.answer["raced"]["written"] is False


def test_what_is_no_raced_opt_out() -> None:
    """An old one; one that the person lifted again; an activity that may not be read; an answer that says it itself."""
    own = RAW | {"email_address": RAW["email_address"] | OWN}  # type: ignore[operator]
    for outcome in (
        after_the_put(activity("2001-01-01T00:00:00Z")),
        after_the_put(activity(LATER), put=own),
        after_the_put(said(404, {})),
        after_the_put(put=OUT),
    ):
        assert isinstance(outcome, Done) and "raced" not in outcome.answer


def test_an_activity_that_cannot_be_read_now_is_looked_at_again() -> None:
    assert type(after_the_put(said(503, {}))).__name__ == "Unknown"
    assert type(after_the_put(put={"contact_id": "c2"})).__name__ == "Unknown"


def test_a_raced_opt_out_is_found_by_the_look_too() -> None:
    cc, _, _ = scripted(said(200, RAW), activity(LATER), said(200, RAW), said(200, OUT))
    [outcome] = run(cc.look(set_fields("c1", {"first_name": "Annie"}, {"first_name": "Ann"})))
    assert isinstance(outcome, Done) and outcome.answer["raced"]["written"] is True
