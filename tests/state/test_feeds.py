"""Rows of feeds as they are kept, on both engines: what counts as changed, and what became of them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from keepstep.model.feed import Feed, Row, party_id, row_id
from keepstep.state import feeds, marks
from keepstep.state.feeds import Settled
from keepstep.state.marks import Mark

NOW = 1_000_000.0
ME = "acme"
FEED = Feed(name="members")
ON = {"L1": {"version": "v1", "at": NOW, "state": "on"}}


@pytest.fixture
def tx(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as open_one:
        yield open_one


def row(key: str, version: str = "v1", **more: Any) -> Row:
    fields = {"email": f"{key}@example.org"}
    return Row(
        row_id=row_id(key), version=version, address=f"{key}@example.org", fields=fields, lists=("News",), **more
    )


def file(tx: Connection, *rows: Row, feed: Feed = FEED, at: float = NOW) -> list[str]:
    return feeds.file(tx, ME, feed, rows, at)


def one(tx: Connection, key: str = "ann", feed: str = "members") -> feeds.FeedRow:
    place = party_id(feed, row_id(key))
    return feeds.load(tx, ME, [place])[place]


def settle(tx: Connection, key: str, state: Any, reason: str | None = None, version: str = "v1", **more: Any) -> None:
    place = party_id("members", row_id(key))
    feeds.set_states(tx, ME, [Settled(party_id=place, version=version, state=state, reason=reason, **more)], NOW + 10)


def test_only_new_rows_and_new_versions_count_as_changed(tx: Connection) -> None:
    assert file(tx, row("ann"), row("bob")) == sorted([row_id("ann"), row_id("bob")])
    assert file(tx, row("ann"), row("bob", "v2")) == [row_id("bob")]
    assert file(tx) == []


def test_of_a_row_that_comes_twice_in_a_page_the_last_one_counts(tx: Connection) -> None:
    assert file(tx, row("ann", "v1"), row("ann", "v2")) == [row_id("ann")]
    assert one(tx).version == "v2"


def test_a_row_is_kept_as_it_was_mapped(tx: Connection) -> None:
    file(tx, replace(row("ann", permission_at=5.0), problem="no_list", key="7"))
    kept = one(tx)
    fields = {"email": "ann@example.org"}
    assert kept.body == {"fields": fields, "lists": ["News"], "problem": "no_list", "key": "7"}
    assert (kept.address, kept.permission_at, kept.state, kept.lists) == ("ann@example.org", 5.0, "waiting", {})
    assert feeds.load(tx, ME, ["row:members:none"]) == {}
    assert feeds.load(tx, "other", [kept.party_id]) == {}


def test_a_new_version_waits_again_and_what_was_imported_before_stays_known(tx: Connection) -> None:
    file(tx, row("ann"))
    settle(tx, "ann", "done", lists=ON)
    file(tx, row("ann", "v2"), at=NOW + 20)
    kept = one(tx)
    assert (kept.state, kept.version, kept.since, kept.lists) == ("waiting", "v2", NOW + 20, ON)


def test_where_only_new_rows_count_a_known_one_stays_as_it_is(tx: Connection) -> None:
    only_new = replace(FEED, new_rows_only=True)
    file(tx, row("ann"), feed=only_new)
    assert file(tx, row("ann", "v2"), row("bob"), feed=only_new) == [row_id("bob")]
    assert one(tx).version == "v1"


def test_two_feeds_keep_the_same_key_apart(tx: Connection) -> None:
    other = Feed(name="donors")
    file(tx, row("ann"))
    assert file(tx, row("ann"), feed=other) == [row_id("ann")]
    found = feeds.of_addresses(tx, ME, ["ann@example.org", "nobody@example.org"])
    assert {key: [each.feed for each in rows] for key, rows in found.items()} == {
        "ann@example.org": ["donors", "members"]
    }


def test_an_outcome_of_an_older_version_leaves_a_row_waiting_but_its_lists_are_kept(tx: Connection) -> None:
    file(tx, row("ann"))
    file(tx, row("ann", "v2"))
    settle(tx, "ann", "done", version="v1", lists=ON)
    assert (one(tx).state, one(tx).lists) == ("waiting", ON)
    settle(tx, "ann", "done", version="v2")
    assert (one(tx).state, one(tx).lists) == ("done", ON)


def test_since_moves_only_with_the_state_or_the_reason(tx: Connection) -> None:
    file(tx, row("ann"))
    settle(tx, "ann", "parked", "unknown_list")
    assert one(tx).since == NOW + 10
    feeds.set_states(
        tx, ME, [Settled(party_id=one(tx).party_id, version="v1", state="parked", reason="unknown_list")], NOW + 50
    )
    assert one(tx).since == NOW + 10
    feeds.set_states(
        tx, ME, [Settled(party_id=one(tx).party_id, version="v1", state="parked", reason="no_list")], NOW + 60
    )
    assert one(tx).since == NOW + 60


def test_rows_are_counted_by_state_and_reason_and_found_by_them(tx: Connection) -> None:
    file(tx, row("ann"), row("bob"), row("cid"))
    settle(tx, "ann", "parked", "unknown_list")
    settle(tx, "bob", "done")
    assert feeds.counts(tx, ME) == {"members": {"parked": {"unknown_list": 1}, "done": {"": 1}, "waiting": {"": 1}}}
    assert [each.row_id for each in feeds.in_state(tx, ME, "members", "parked", 10)] == [row_id("ann")]
    assert [each.row_id for each in feeds.in_state(tx, ME, "members", "parked", 10, "no_list")] == []
    assert len(feeds.in_state(tx, ME, "members", None, 2)) == 2
    assert feeds.with_reason(tx, ME, "members", ["unknown_list"]) == [party_id("members", row_id("ann"))]
    assert feeds.waiting_of(tx, ME, ["ann@example.org", "cid@example.org"]) == [party_id("members", row_id("cid"))]


@pytest.mark.parametrize(
    ("cursor", "data", "reads"),
    [(None, {}, False), ("x", {}, True), ("x", {"tries": 1}, False), ("x", {"problem": ["no column"]}, False)],
)
def test_nobody_waits_for_a_round_that_does_not_go_on(
    tx: Connection, cursor: str | None, data: dict[str, Any], reads: bool
) -> None:
    marks.put(tx, ME, Mark(feeds.platform("members"), feeds.CHORE, cursor=cursor, data=data))
    assert feeds.reading(tx, ME, "members") is reads


def test_many_rows_are_filed_in_one_go(tx: Connection) -> None:
    many = [row(f"p{n}") for n in range(6000)]
    assert len(file(tx, *many)) == 6000
    assert file(tx, *many) == []
