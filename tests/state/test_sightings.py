"""What each road showed first, on both engines; and which of it answers our own writes."""

import pytest
from sqlalchemy import Engine

from keepstep.state import journal, parties, retention, sightings, submissions
from keepstep.state.retention import Place

DAY = 86_400.0
NOW = 20_000 * DAY
ME, CRM = "acme", "virtuous"


def stamp(at: float) -> str:
    return sightings.stamp_of(at, None)


def see(engine: Engine, source: str, *seen: tuple[str, str], at: float = NOW, news: tuple[str, ...] = ()) -> None:
    with engine.begin() as tx:
        rows = [(one, text, "contactupdate") for one, text in seen]
        sightings.see(tx, ME, CRM, source, rows, at, news)  # type: ignore[arg-type]


def found(engine: Engine, since: float = NOW - 14 * DAY) -> list[tuple[str, str, float, bool]]:
    with engine.begin() as tx:
        rows = sightings.since(tx, ME, CRM, since)
    return sorted((one.record_id, one.source, one.at, one.ours) for one in rows)


def test_what_was_shown_first_stays(engine: Engine) -> None:
    see(engine, "hook", ("1", stamp(NOW - 5)), at=NOW)
    see(engine, "hook", ("1", stamp(NOW - 5)), at=NOW + 50)
    see(engine, "poll", ("1", stamp(NOW - 5)), at=NOW + 60)
    assert found(engine) == [("1", "hook", NOW, False), ("1", "poll", NOW + 60, False)]
    with engine.begin() as tx:
        assert sightings.heard(tx, ME, CRM) == NOW
        assert sightings.hearing(tx, ME, CRM, NOW - 60) == (NOW, 1)
        assert sightings.hearing(tx, ME, CRM, NOW + 600) == (NOW, 0)
        assert sightings.hearing(tx, "other", CRM, NOW) == (None, 0)
        assert sightings.heard(tx, "other", CRM) is None


def test_a_sweep_writes_down_what_is_new_and_not_everybody(engine: Engine) -> None:
    """Changed of late, new to us, or told by another road: nothing else."""
    old, body = stamp(NOW - 90 * DAY), sightings.stamp_of(None, {"id": 3})
    see(engine, "sweep", ("1", stamp(NOW - DAY)), ("2", old), ("3", body))
    assert [one[0] for one in found(engine, 0.0)] == ["1"]
    see(engine, "hook", ("2", old))
    see(engine, "sweep", ("2", old), ("3", body), ("4", old), news=("4",))
    assert [one[:2] for one in found(engine, 0.0)] == [("1", "sweep"), ("2", "hook"), ("2", "sweep"), ("4", "sweep")]
    assert [one[0] for one in found(engine)] == ["1"], "an old change is none of these days"


def test_a_body_without_a_stamp_is_known_by_its_hash() -> None:
    assert sightings.stamp_of(None, {"a": 1, "b": 2}) == sightings.stamp_of(None, {"b": 2, "a": 1})
    assert sightings.stamp_of(None, {"a": 1}) != sightings.stamp_of(None, {"a": 2})
    assert sightings.stamp_of(None, {"a": chr(0xD83D)}).startswith("#")
    assert sightings.stamp_of(1.0005, None) == "1.000"


def test_what_answers_our_own_writes_is_ours(engine: Engine) -> None:
    with engine.begin() as tx:
        for record, party in (("1", "p1"), ("2", "p2"), ("3", "p3")):
            parties.set_alias(tx, ME, CRM, record, party, NOW)
        done = {"side": "crm", "step": "add_tag"}
        journal.append(tx, ME, [(NOW, "p1", "outcome", done | {"outcome": "done"})])
        journal.append(tx, ME, [(NOW, "p2", "outcome", done | {"outcome": "nothing"})])
        submissions.open_one(tx, ME, "cc3", "p3", {}, None, NOW - 3600)
    see(engine, "hook", ("1", stamp(NOW - 3)), ("2", stamp(NOW - 3)), ("3", stamp(NOW)), ("9", stamp(NOW)))
    see(engine, "hook", ("1", stamp(NOW + 900)), ("3", stamp(NOW + 900)), at=NOW + 901)
    assert found(engine) == [
        ("1", "hook", NOW, True),
        ("1", "hook", NOW + 901, False),
        ("2", "hook", NOW, False),
        ("3", "hook", NOW, True),
        ("3", "hook", NOW + 901, False),
        ("9", "hook", NOW, False),
    ]


def test_what_was_seen_long_ago_is_forgotten_a_piece_at_a_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MOST", 3)
    see(engine, "hook", *((str(n), stamp(NOW)) for n in range(5)))
    see(engine, "hook", ("9", stamp(NOW)), at=NOW + 1)
    with engine.begin() as tx:
        piece = retention.sightings_of(CRM)
        assert [piece(tx, ME, NOW + 1, Place()) is not None for _ in range(3)] == [True, False, False]
    assert [one[0] for one in found(engine)] == ["9"]
