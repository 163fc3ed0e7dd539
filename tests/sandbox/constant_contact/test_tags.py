"""Tags and the jobs that put them on and take them off: CC facts 6.3."""

import pytest

from keepstep_sandbox.log import CONSTANT_CONTACT
from tests.sandbox.constant_contact.door import Door, changed
from tests.sandbox.vendor import faults, needs_documents

ADD, REMOVE = "/v3/activities/contacts_taggings_add", "/v3/activities/contacts_taggings_remove"


def run(door: Door, path: str, contacts: list[str], tags: list[str]) -> dict[str, object]:
    """One job to its end; its activity."""
    answer = door.call("POST", path, {"source": {"contact_ids": contacts}, "tag_ids": tags})
    assert answer.status == 201, answer.body
    found: dict[str, object] = door.get(f"/v3/activities/{answer.json()['activity_id']}", wait=40.0)
    return found


def test_tags_are_made_renamed_counted_and_deleted_by_and_by() -> None:
    door = Door()
    made = door.call("POST", "/v3/contact_tags", {"name": "Vip; Board"})
    tag_id = made.json()["tag_id"]
    a = door.person(email="a@example.org")
    door.cc.person_tagged("a1", a, tag_id, door.now)
    assert made.status == 201
    assert door.call("POST", "/v3/contact_tags", {"name": "Vip; Board"}).status == 409
    assert door.call("POST", "/v3/contact_tags", {}).status == 400
    assert door.call("PUT", f"/v3/contact_tags/{tag_id}", {"name": "Board"}).json()["name"] == "Board"
    assert door.get("/v3/contact_tags?include_count=true")["tags"][0]["contacts_count"] == 1
    assert "contacts_count" not in door.get(f"/v3/contact_tags/{tag_id}")
    deleted = door.call("DELETE", f"/v3/contact_tags/{tag_id}")
    assert deleted.status == 202
    assert door.one(a)["taggings"] == [tag_id]
    door.now += 60
    assert door.one(a)["taggings"] == []
    assert door.get("/v3/contact_tags")["tags"] == []
    assert door.call("GET", f"/v3/contact_tags/{tag_id}").status == 404
    assert door.call("DELETE", f"/v3/contact_tags/{tag_id}").status == 404


def test_tags_page_like_contacts_do() -> None:
    door = Door()
    ids = [door.cc.add_tag("a1", f"T{at}", door.now) for at in range(3)]
    page = door.get("/v3/contact_tags?limit=2")
    assert [one["tag_id"] for one in page["tags"]] == ids[:2]
    assert [one["tag_id"] for one in door.get(page["_links"]["next"]["href"])["tags"]] == ids[2:]


def test_a_job_tags_and_another_untags_many_contacts() -> None:
    door = Door()
    people = [door.person(email=f"p{at}@example.org") for at in range(3)]
    tags = [door.cc.add_tag("a1", name, door.now) for name in ("One", "Two")]
    done = run(door, ADD, people[:2], tags)
    assert (done["state"], done["status"]) == (
        "completed",
        {"error_count": 0, "items_total_count": 2, "items_completed_count": 2},
    )
    assert [door.one(one)["taggings"] for one in people] == [tags, tags, []]
    run(door, REMOVE, people, tags[:1])
    assert [door.one(one)["taggings"] for one in people] == [tags[1:], tags[1:], []]
    assert door.ids(f"tags={tags[1]}") == people[:2]


def test_people_who_opted_out_are_tagged_and_deleted_ones_are_an_error() -> None:
    door = Door()
    out, gone = door.person(email="a@example.org"), door.person(email="b@example.org")
    door.cc.person_opts_out("a1", out, door.now)
    door.cc.delete("a1", gone, door.now)
    tag = door.cc.add_tag("a1", "Vip", door.now)
    done = run(door, ADD, [out, gone], [tag])
    assert done["status"] == {"error_count": 1, "items_total_count": 2, "items_completed_count": 1}
    assert door.one(out)["taggings"] == [tag]
    assert "deleted_at" in door.one(gone)


def test_a_tag_that_is_gone_when_the_job_runs_is_told_as_an_error() -> None:
    door = Door()
    a, tag = door.person(email="a@example.org"), door.cc.add_tag("a1", "Vip", door.now)
    answer = door.call("POST", ADD, {"source": {"contact_ids": [a]}, "tag_ids": [tag]})
    door.cc.delete_tag("a1", tag, door.now)
    shown = door.get(f"/v3/activities/{answer.json()['activity_id']}", wait=40.0)
    assert shown["activity_errors"] == [f"Tag not found: {tag}"]
    assert shown["state"] == "completed"


def test_a_contact_holds_fifty_tags() -> None:
    """CC facts 3.2."""
    door = Door()
    tags = [door.cc.add_tag("a1", f"T{at}", door.now) for at in range(51)]
    a = door.person(email="a@example.org", taggings=tags[:50])
    done = run(door, ADD, [a], tags[50:])
    assert done["status"] == {"error_count": 1, "items_total_count": 1, "items_completed_count": 0}
    assert len(door.one(a)["taggings"]) == 50


@pytest.mark.parametrize(
    "body",
    [
        {"source": {"contact_ids": ["PERSON"]}},
        {"source": {"contact_ids": ["PERSON"]}, "tag_ids": ["nothing"]},
        {"source": {}, "tag_ids": ["TAG"]},
        {"source": {"contact_ids": ["PERSON"] * 501}, "tag_ids": ["TAG"]},
    ],
)
def test_wrong_jobs_are_refused(body: dict[str, object]) -> None:
    assert Door().call("POST", ADD, body).status == 400


def test_acts_tag_and_untag_one_person() -> None:
    door = Door()
    a, tag = door.person(email="a@example.org"), door.cc.add_tag("a1", "Vip", door.now)
    before = door.one(a)["updated_at"]
    assert changed(door.cc.person_tagged("a1", a, tag, door.now + 9)) == {"taggings": ([], [tag])}
    assert door.cc.person_tagged("a1", a, tag, door.now + 9) == ()
    assert door.one(a)["updated_at"] == before  # unless switch updated_at_on_tag says so
    assert changed(door.cc.person_untagged("a1", a, tag, door.now + 9)) == {"taggings": ([tag], [])}
    assert changed(door.cc.rename_tag("a1", tag, "VIP", door.now)) == {"name": ("Vip", "VIP")}
    with pytest.raises(KeyError):
        door.cc.person_tagged("a1", a, "nothing", door.now)


@needs_documents
def test_tags_are_what_the_document_says_but_for_a_key_of_tomorrow() -> None:
    door = Door()
    tag = door.cc.add_tag("a1", "Vip", door.now)
    a = door.person(email="a@example.org", taggings=[tag])
    page = door.get("/v3/contact_tags?include_count=true")
    assert faults(CONSTANT_CONTACT, "GET", "/v3/contact_tags", page) == ["unknown tags[].color"]
    posted = door.call("POST", ADD, {"source": {"contact_ids": [a]}, "tag_ids": [tag]}).json()
    assert faults(CONSTANT_CONTACT, "POST", ADD, posted, "201") == ["unknown status.error_count"]
