"""What an owner is told: a sentence and a command for every kind, and nothing that is no word of ours."""

import string

import pytest

from keepstep.model.alerts import DAY, HOUR, WORDS, Cause, Kind, body, facts, is_news, next_digest, next_step, title
from keepstep.model.alerts import pause_after as pause

NOON = 20_000 * DAY + 12 * HOUR


def cause(kind: Kind = Kind.brake_holds, subject: str = "brake", **more: object) -> Cause:
    given = {"data": {"count": 21}, "at": NOON} | more
    return Cause("acme", kind, subject, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_sentence_and_a_next_step(kind: Kind) -> None:
    said = body([cause(kind, "virtuous")])
    assert "Next: " in said and "{" not in said and next_step(kind, "acme", "virtuous", {}) in said


@pytest.mark.parametrize("kind", Kind)
def test_what_has_only_happened_is_never_over_and_what_ends_in_words_has_them(kind: Kind) -> None:
    well = WORDS[kind].well
    assert well is None or (WORDS[kind].lasts and not WORDS[well].lasts)
    assert ("It is over since" in body([cause(kind, closed=NOON)])) == WORDS[kind].lasts


def test_a_fact_that_nobody_said_is_unknown() -> None:
    assert "({count})" not in body([cause(data={})]) and "(unknown)" in body([cause(data={})])


def test_words_and_numbers_of_ours_are_kept_and_any_other_text_is_hidden() -> None:
    said = {"reason": "reauthorize", "count": 3, "share": 0.5, "on": True, "none": None}
    assert facts(said) == said
    strange = ["Ann Lee", "ann@example.org", "https://x/y", "a" * 65, "", ["Ann"], {"name": "Ann"}]
    assert [facts({"it": one}) for one in strange] == [{"it": "***"}] * len(strange)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("reauthorize", "keepstep connect virtuous --customer acme"),
        ("not_connected", "keepstep connect virtuous --customer acme"),
        ("wrong_account", "keepstep connect virtuous --customer acme"),
        ("copied", "keepstep adopt"),
        ("sustained_limit", "keepstep customer resume acme"),
    ],
)
def test_what_ends_a_block_depends_on_its_reason(reason: str, says: str) -> None:
    assert says in next_step(Kind.connection_blocked, "acme", "virtuous", {"reason": reason})


def test_a_feed_without_its_password_is_connected_as_a_feed() -> None:
    said = next_step(Kind.connection_blocked, "acme", "sql_table:donors", {"reason": "not_connected"})
    assert said == "keepstep feed connect donors --customer acme"


def test_times_and_what_waits_are_said_where_they_say_something() -> None:
    assert "Writes that wait" not in body([cause()]) and "It came" not in body([cause()])
    said = body([cause(waits=7, times=3)])
    assert "Writes that wait: 7." in said and "It came 3 times since 2024-10-04T12:00:00" in said


def test_a_digest_says_how_many_things_it_sums_up() -> None:
    some = [cause(), cause(Kind.dead_letters, "crm", data={"kind": "update"})]
    assert title(some) == "Keepstep, acme: 2 things that keep coming"
    assert title(some[:1]) == "Keepstep, acme: brake holds"
    assert body(some).count("Next: ") == 2


def test_a_cause_that_comes_and_goes_within_a_day_is_the_same_unless_a_person_had_ended_it() -> None:
    assert not is_news(Kind.brake_holds, None, NOON)
    assert not is_news(Kind.brake_holds, NOON - HOUR, NOON)
    assert is_news(Kind.brake_holds, NOON - DAY - 1, NOON)
    assert is_news(Kind.connection_blocked, NOON - 1, NOON)


def test_the_digest_goes_out_once_a_day_in_the_morning() -> None:
    assert next_digest(NOON) == NOON + 3 * HOUR
    assert next_digest(NOON + 3 * HOUR) == NOON + 27 * HOUR
    assert next_digest(NOON + 4 * HOUR) == NOON + 27 * HOUR


def test_a_message_that_is_not_taken_is_tried_again_up_to_hourly() -> None:
    assert [pause(tries) for tries in (0, 1, 5, 6, 5000)] == [60.0, 120.0, 1920.0, 3600.0, 3600.0]


def test_placeholders_are_facts_that_somebody_may_say() -> None:
    names = {name for one in WORDS.values() for text in (one.says, one.then) for name in _fields(text)}
    assert names <= {
        *("customer", "subject", "reason", "platform", "tries", "chore", "error", "event", "why", "verdict", "count"),
        *("kind", "failed", "status", "problems"),
    }


def _fields(text: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(text) if name]
